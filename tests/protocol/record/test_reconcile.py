from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from protocol.core.alarms import AlarmCode
from protocol.core.effects import RaiseAlarm
from protocol.core.events import AlarmAcknowledged, OfficerCancelled
from protocol.core.start_events import EpochOpened
from protocol.errors import LocalProtocolError
from protocol.record.evidence import Evidence, evidence_of
from protocol.record.journal import Checkpoint
from protocol.record.ledger import Ledger, ledger_of
from protocol.record.reconcile import Reconciliation, reconcile
from protocol.wire.instants import parsed, written
from protocol.wire.messages import Reference
from tests.support.exchange import link_file
from tests.support.journal_samples import records
from tests.support.small_day import SLOT, a_day, begun
from tests.support.world import HOUR, SECOND, terms


def evidence(folder: Path) -> tuple[Evidence, Evidence]:
    return evidence_of(records(folder / "eucom")), evidence_of(records(folder / "ndmc"))


def ledgers(folder: Path) -> tuple[Ledger, Ledger]:
    return ledger_of(records(folder / "eucom")), ledger_of(records(folder / "ndmc"))


def reconciled(folder: Path) -> Reconciliation:
    return reconcile(*evidence(folder))


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("day")
    a_day(folder)
    return folder


def test_the_ledger_has_each_message_of_a_day(day: Path) -> None:
    caller, answering = ledgers(day)
    test, alert = Reference("eucom", 1, 1), Reference("eucom", 1, 2)
    kinds = {str(reference): entry.kind for reference, entry in caller.entries.items()}
    assert kinds == {
        "eucom/1/1": "heartbeat",
        "ndmc/1/1": "heartbeat_answer",
        "eucom/1/2": "alert",
        "ndmc/1/2": "acknowledgement",
        "ndmc/1/3": "alert",
    }
    assert set(answering.entries) == set(caller.entries)
    sent, received = caller.entries[test], answering.entries[test]
    assert sent.own
    assert not received.own
    assert sent.acknowledged_by == "duty-1"
    assert sent.body["slot"] == SLOT
    assert parsed(SLOT) < parsed(sent.at) < parsed(received.received_at or "")
    assert (sent.digest, sent.body) == (received.digest, received.body)
    assert caller.entries[alert].decision == "understood"
    assert caller.entries[alert].state == "acknowledged"
    ours = caller.entries[Reference("ndmc", 1, 3)]
    assert (ours.state, answering.entries[ours.reference].state) == ("received", "receipted")
    assert ours.receipted_at is not None


def test_the_journals_of_both_sides_agree(day: Path) -> None:
    found = reconciled(day)
    assert found.agree
    assert found.only_in == {"eucom": (), "ndmc": ()}
    assert not found.outstanding
    assert len(found.messages) == 5
    for way in found.messages:
        assert way.sent_at is not None
        assert way.received_at is not None
        assert way.receipted_at is not None
        assert way.sent_at < way.received_at < way.receipted_at
    assert [way.acknowledged_at is not None for way in found.messages] == [True, True, False, False, False]
    assert reconcile(*reversed(evidence(day))) == msgspec.structs.replace(found, only_in={"ndmc": (), "eucom": ()})


def test_a_message_in_flight_is_outstanding_but_not_a_disagreement(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    lost = Reference.parse(exchange.alert("eucom"))
    exchange.settle(lost_from=["eucom"])
    found = reconciled(tmp_path)
    assert found.agree
    assert found.outstanding == (lost,)
    assert found.messages[-1].received_at is None
    assert ledgers(tmp_path)[0].entries[lost].state == "sent"
    exchange.stop()


def test_a_receipted_message_missing_from_the_receiver_is_a_disagreement(day: Path) -> None:
    mine, theirs = records(day / "eucom"), records(day / "ndmc")
    # the receiver's journal ends before the first alert, for which the sender holds a receipt
    shorter = [record for record in theirs if record.entry.at < parsed(SLOT)]
    found = reconcile(evidence_of(mine), evidence_of(shorter))
    assert not found.agree
    # the receiver's own messages, which the other side has received, are missing from it as well
    everything = tuple(way.reference for way in found.messages)
    assert found.only_in == {"eucom": everything, "ndmc": ()}
    assert [str(way.reference) for way in found.messages if way.sent_at is None] == ["ndmc/1/1", "ndmc/1/2", "ndmc/1/3"]


def test_a_message_missing_from_the_sender_is_a_disagreement(day: Path) -> None:
    mine, theirs = records(day / "eucom"), records(day / "ndmc")
    shorter = [record for record in mine if record.entry.at < parsed(SLOT)]
    found = reconcile(evidence_of(shorter), evidence_of(theirs))
    assert not found.agree
    assert found.only_in["ndmc"][:2] == (Reference("eucom", 1, 1), Reference("eucom", 1, 2))


def test_different_messages_with_one_number_are_a_disagreement(day: Path) -> None:
    one, other = evidence(day)
    reference = Reference("eucom", 1, 2)
    other.ledger.entries[reference].digest = "0" * 64
    found = reconcile(one, other)
    assert not found.agree
    assert [*found.differing] == [reference]
    assert [version.seen.journal for version in found.differing[reference]] == ["eucom", "ndmc"]


def test_different_policies_in_one_epoch_are_a_disagreement(tmp_path: Path) -> None:
    begun(tmp_path, theirs=link_file(terms(grace_s=60)))
    found = reconciled(tmp_path)
    assert not found.agree
    assert found.policies == (1,)


def test_only_journals_of_one_link_and_of_different_sides_can_be_reconciled(day: Path) -> None:
    one, other = evidence(day)
    watch = evidence_of(records(day / "watch"))
    for journals in ((one, watch), (watch, other), (one, other, watch)):
        assert reconcile(*journals).agree
    with pytest.raises(LocalProtocolError, match="two journals are of eucom"):
        reconcile(one, one)
    second = evidence_of(records(day / "watch"))
    second.ledger.side = "watch-2"
    with pytest.raises(LocalProtocolError, match="two sides, and of its watch"):
        reconcile(watch, second)
    other.ledger.entries[Reference("syria", 1, 1)] = next(iter(other.ledger.entries.values()))
    with pytest.raises(LocalProtocolError, match="journals of eucom, ndmc hold messages of syria"):
        reconcile(one, other)
    other.ledger.link = "syria"
    with pytest.raises(LocalProtocolError, match="journals are of two links"):
        reconcile(one, other)


def test_the_ledger_of_the_watch_has_both_directions(day: Path) -> None:
    watch = ledger_of(records(day / "watch"))
    assert len(watch.entries) == 5
    assert watch.entries[Reference("eucom", 1, 2)].acknowledged_by == "duty-1"


def test_a_journal_that_begins_at_a_checkpoint_is_compared_from_there(tmp_path: Path) -> None:
    a_day(tmp_path, segment_bytes=4_000)
    mine, theirs = records(tmp_path / "eucom"), records(tmp_path / "ndmc")
    starts = [index for index, record in enumerate(mine) if isinstance(record.entry, Checkpoint)]
    for start in starts:
        late = evidence_of(mine[start:])
        assert late.beginning is not None
        found = reconcile(late, evidence_of(theirs))
        assert found == msgspec.structs.replace(reconcile(evidence_of(theirs), late), only_in={"eucom": (), "ndmc": ()})
        # a journal without any message or frame compares nothing but the digests of its checkpoint
        assert found.agree == bool(late.ledger.entries or late.held or late.sealed)
        assert (found.compared, found.by_checkpoint) == (5, 5 - len(late.ledger.entries))


def test_the_ledger_shows_refusals(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    reference = Reference.parse(exchange.delivered("eucom"))
    exchange.refuse(str(reference), officer="duty-2")
    exchange.settle()
    caller, answering = ledgers(tmp_path)
    for ledger in (caller, answering):
        entry = ledger.entries[reference]
        assert (entry.state, entry.refused, entry.refused_by) == ("refused", "out_of_scope", "duty-2")
    assert reconciled(tmp_path).messages[0].refused == "out_of_scope"


def test_the_ledger_shows_what_changed_and_cancelled_an_alert(tmp_path: Path) -> None:
    """SPEC B3.3"""
    exchange = begun(tmp_path)
    first, refused = (Reference.parse(exchange.delivered("eucom")) for _ in range(2))
    exchange.acknowledge(str(first))
    exchange.refuse(str(refused), officer="duty-2")
    exchange.settle()
    update = Reference.parse(exchange.alert("eucom", changes=first, change_kind="update"))
    cancellations = [
        Reference.parse(exchange.ask("eucom", OfficerCancelled, of=of, officer="watch-1")) for of in (update, refused)
    ]
    exchange.settle()
    for ledger in ledgers(tmp_path):
        known = ledger.entries
        assert (known[first].state, known[first].changed_by, known[first].change) == ("changed", update, "update")
        assert known[first].acknowledged_by == "duty-1"
        for of, by in zip((update, refused), cancellations, strict=True):
            assert (known[of].state, known[of].changed_by) == ("cancelled", by)
            assert known[by].changed_by is None
    found = {path.reference: (path.change, path.changed_by) for path in reconciled(tmp_path).messages}
    assert found[first] == ("update", update)
    assert found[refused] == ("cancellation", cancellations[1])
    assert found[cancellations[1]] == (None, None)


def test_a_change_of_what_the_journal_does_not_have_is_passed_over(tmp_path: Path) -> None:
    """SPEC B3.3, W6"""
    exchange = begun(tmp_path)
    first = Reference.parse(exchange.delivered("eucom"))
    before = len(records(tmp_path / "ndmc"))
    for kind in ("update", "correction"):
        exchange.delivered("eucom", changes=first, change_kind=kind)
        first = Reference("eucom", 1, first.seq + 1)
    opened, *rest = records(tmp_path / "ndmc")
    late = ledger_of([opened, *rest[before - 1 :]])
    assert [entry.changed_by for entry in late.entries.values()] == [Reference("eucom", 1, 3), None]


def test_messages_left_at_a_new_epoch_are_undelivered(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    lost = Reference.parse(exchange.alert("eucom"))
    exchange.settle(lost_from=["eucom"])
    exchange.world.at += SECOND
    for end in exchange.ends.values():
        end.happens(EpochOpened, terms=terms(2))
    exchange.settle()
    later = Reference.parse(exchange.delivered("eucom"))
    assert later == Reference("eucom", 2, 1)
    caller, _ = ledgers(tmp_path)
    assert caller.entries[lost].state == "undelivered"
    assert caller.entries[later].receipted_at is not None
    found = reconciled(tmp_path)
    assert found.agree
    assert found.outstanding == (lost,)


def test_the_ledger_shows_the_state_of_alarms(day: Path, tmp_path: Path) -> None:
    assert ledgers(day)[0].alarms == []
    exchange = begun(tmp_path)
    exchange.alert("eucom")
    exchange.settle(lost_from=["eucom"])
    exchange.world.at += 4 * HOUR
    exchange.alert("ndmc")
    exchange.settle(lost_from=["ndmc"])
    exchange.delivered("eucom")
    raised = [
        effect.alarm
        for record in records(tmp_path / "eucom")
        for effect in record.effects
        if isinstance(effect, RaiseAlarm)
    ]
    assert raised
    exchange.ask("eucom", AlarmAcknowledged, officer="watch-2", code=raised[0].code, subject=raised[0].subject)
    exchange.settle()
    alarms = ledgers(tmp_path)[0].alarms
    seen = next(alarm for alarm in alarms if alarm.subject == raised[0].subject)
    assert seen.code in AlarmCode
    assert seen.acknowledged_by == "watch-2"
    assert seen.acknowledged_at is not None


def test_the_ledger_returns_the_entries_that_changed(day: Path) -> None:
    ledger = Ledger()
    changes = [[str(entry.reference) for entry in ledger.take(record)] for record in records(day / "eucom")]
    flat = [reference for each in changes for reference in each]
    # queued, sent, receipted, answered
    assert flat.count("eucom/1/1") == 4
    assert ledger.last_at == written(records(day / "eucom")[-1].entry.at)
