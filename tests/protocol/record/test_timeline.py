from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from protocol.core.events import (
    ClockStepped,
    LineTestRequested,
    OfficerAcknowledged,
    TransportConnected,
    TransportLost,
)
from protocol.errors import LocalProtocolError
from protocol.record.clock_difference import clock_differences
from protocol.record.evidence import Evidence, evidence_of
from protocol.record.line_proof import line_intervals
from protocol.record.timeline import Account, account
from protocol.wire.instants import parsed
from protocol.wire.messages import Reference
from tests.support.exchange import WATCH, Exchange, link_file
from tests.support.journal_samples import records
from tests.support.small_day import SLOT, a_day, begun
from tests.support.world import MINUTE, SECOND
from tests.vectors.terms import EPOCH_1

HOUR = 60 * MINUTE
DAY = 24 * HOUR


def evidence(folder: Path, *names: str) -> list[Evidence]:
    return [evidence_of(records(folder / name)) for name in names or ("eucom", "ndmc", WATCH)]


def told(found: Account, what: str) -> list[tuple[str, str]]:
    """Return journal and subject of the rows of one kind."""
    return [(row.journal, row.happening.subject) for row in found.rows if row.happening.what == what]


def place(found: Account, journal: str, what: str, subject: str) -> int:
    """Return where a row stands."""
    rows: list[tuple[str, str, str]] = [(row.journal, row.happening.what, row.happening.subject) for row in found.rows]
    return rows.index((journal, what, subject))


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("day")
    a_day(folder)
    return folder


@pytest.fixture(scope="module")
def whole(day: Path) -> Account:
    return account(evidence(day))


def test_the_order_of_the_journals_makes_no_difference(day: Path, whole: Account) -> None:
    again = account(evidence(day, WATCH, "ndmc", "eucom"))
    assert again.journals == whole.journals == ("eucom", "ndmc", WATCH)
    assert again.rows == whole.rows
    assert again.slots == whole.slots


def test_every_message_is_queued_sent_received_and_receipted_in_this_order(whole: Account) -> None:
    assert [str(reference) for reference in whole.messages] == [
        "eucom/1/1",
        "eucom/1/2",
        "ndmc/1/1",
        "ndmc/1/2",
        "ndmc/1/3",
    ]
    for reference in map(str, whole.messages):
        sender = reference.partition("/")[0]
        peer = "ndmc" if sender == "eucom" else "eucom"
        steps = [
            place(whole, sender, "queued", reference),
            place(whole, sender, "sent", reference),
            place(whole, peer, "received", reference),
            place(whole, peer, "receipt_sent", reference),
            place(whole, sender, "receipted", reference),
        ]
        assert steps == sorted(steps)
        assert place(whole, sender, "sent", reference) < place(whole, WATCH, "received", reference)


def test_a_slot_says_who_placed_its_test_and_who_answered(whole: Account) -> None:
    (slot,) = whole.slots
    assert (slot.due, slot.state) == (SLOT, "met")
    assert slot.views == {"eucom": "met", "ndmc": "met", WATCH: "met"}
    assert (slot.test, slot.placed_by) == (Reference("eucom", 1, 1), "service")
    assert (slot.answer, slot.answered_by) == (Reference("ndmc", 1, 1), "duty-1")
    assert whole.slots_in("met") == 1
    assert slot.placed_at
    assert slot.received_at
    assert slot.receipted_at
    assert slot.answered_at
    assert SLOT < slot.placed_at < slot.received_at < slot.receipted_at < slot.answered_at


def test_uses_are_counted_beyond_the_tests(whole: Account, day: Path) -> None:
    assert whole.uses == {"alert": 2, "acknowledgement": 1, "refusal": 0, "unknown": 0}
    assert whole.used
    assert whole.unscheduled == 0
    before = account(evidence(day), until=parsed(SLOT) + 2 * SECOND)
    assert not before.used
    assert before.complete
    # what one side alone records is not all that was said
    assert not account(evidence(day, "eucom", WATCH), until=parsed(SLOT) + 2 * SECOND).complete
    assert not account(evidence(day), until=parsed(whole.until) + HOUR).complete
    assert before.length_ms("proven")


def test_acts_of_a_message_have_officer_decision_and_both_times(whole: Account) -> None:
    (act,) = whole.messages[Reference("eucom", 1, 2)].acts
    assert (act.act.party, act.act.officer, act.act.decision) == ("ndmc", "duty-1", "understood")
    assert act.act.at == act.recorded_at["ndmc"] < act.recorded_at["eucom"]
    assert act.body["type"] == "acknowledgement"


def test_what_a_signed_frame_proves_is_told_from_what_one_journal_claims(whole: Account) -> None:
    proofs = {(row.journal, row.happening.what, row.happening.subject): row.signed_by for row in whole.rows}
    alert = "eucom/1/2"
    assert proofs["eucom", "queued", alert] == "eucom"
    assert proofs["ndmc", "received", alert] == "ndmc"  # its receipt, which eucom holds
    assert proofs["ndmc", "receipt_sent", alert] == "ndmc"
    assert proofs["eucom", "receipted", alert] == "ndmc"
    assert proofs[WATCH, "received", alert] == "eucom"
    assert proofs["eucom", "connected", ""] == ""
    assert {row.proof for row in whole.rows if row.signed_by} == {"signed"}
    assert {row.proof for row in whole.rows if not row.signed_by} == {"alone"}


def test_one_journal_alone_proves_what_the_other_side_signed(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    arrived = exchange.delivered("eucom")
    lost = exchange.alert("eucom")
    exchange.settle(lost_from=["eucom"])
    theirs = exchange.delivered("ndmc")
    exchange.stop()
    proofs = {
        (row.happening.what, row.happening.subject): row.signed_by for row in account(evidence(tmp_path, "eucom")).rows
    }
    assert proofs["sent", arrived] == "ndmc"  # the receipt names the hash of this message
    assert proofs["sent", lost] == ""
    assert proofs["received", theirs] == "ndmc"
    assert proofs["receipt_sent", theirs] == ""


def test_a_receipt_for_another_version_of_a_message_proves_nothing_about_this_one(day: Path) -> None:
    mine = evidence(day, "eucom")[0]
    for entry in mine.ledger.entries.values():
        if entry.own:
            entry.digest = "0" * 64
    queued = [row for row in account([mine]).rows if row.happening.what == "queued"]
    assert queued
    assert {row.proof for row in queued} == {"alone"}


def test_nothing_is_received_before_it_was_sent_though_the_clocks_differ(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    ahead = exchange.ends["eucom"]
    ahead.skew += 10 * MINUTE
    ahead.happens(ClockStepped, step_ms=10 * MINUTE)
    exchange.settle()
    alert = exchange.delivered("eucom")
    exchange.acknowledge(alert)
    exchange.settle()
    exchange.stop()
    found = account(evidence(tmp_path))
    assert place(found, "eucom", "sent", alert) < place(found, "ndmc", "received", alert)
    assert place(found, "ndmc", "receipt_sent", alert) < place(found, "eucom", "receipted", alert)
    assert place(found, "ndmc", "queued", "ndmc/1/1") < place(found, "eucom", "received", "ndmc/1/1")


def test_the_difference_of_the_clocks_is_bounded_before_and_after_one_was_set(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    exchange.delivered("eucom")
    exchange.delivered("ndmc")
    behind = exchange.ends["ndmc"]
    behind.skew -= 5 * MINUTE
    behind.happens(ClockStepped, step_ms=-5 * MINUTE)
    exchange.settle()
    exchange.delivered("eucom")
    exchange.delivered("ndmc")
    exchange.stop()
    for names in (("eucom", "ndmc"), ("eucom", "ndmc", WATCH)):
        before, after = account(evidence(tmp_path, *names)).clocks
        for each, true in ((before, 0), (after, -5 * MINUTE)):
            assert each.least
            assert each.most
            assert each.least.bound_ms <= true <= each.most.bound_ms
            assert each.most.bound_ms - each.least.bound_ms < SECOND
            assert each.changed_by_ms == 0


def test_a_message_that_waited_while_the_clock_was_set_belongs_to_the_clock_at_its_departure(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    exchange.delivered("eucom")
    exchange.delivered("ndmc")
    ahead = exchange.ends["eucom"]
    ahead.happens(TransportLost, reason="cut")
    exchange.settle()
    exchange.alert("eucom")
    ahead.turn()
    ahead.skew += HOUR
    ahead.happens(ClockStepped, step_ms=HOUR)
    ahead.happens(TransportConnected)
    exchange.settle()
    exchange.delivered("ndmc")
    exchange.stop()
    before, after = account(evidence(tmp_path, "eucom", "ndmc")).clocks
    for each, true in ((before, 0), (after, -HOUR)):
        assert each.least
        assert each.most
        assert each.changed_by_ms == 0
        assert each.least.bound_ms <= true <= each.most.bound_ms


def test_one_journal_bounds_the_difference_by_the_times_that_the_other_side_signed(day: Path) -> None:
    for name in ("eucom", "ndmc"):
        (found,) = account(evidence(day, name)).clocks
        assert found.least
        assert found.most
        assert found.least.bound_ms <= 0 <= found.most.bound_ms
    assert account(evidence(day, WATCH)).clocks == ()


def test_clocks_that_drifted_apart_without_a_step_are_a_change_of_their_difference(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    exchange.delivered("eucom")
    exchange.delivered("ndmc")
    exchange.ends["ndmc"].skew += MINUTE  # nobody notices
    exchange.delivered("eucom")
    exchange.delivered("ndmc")
    exchange.stop()
    (found,) = account(evidence(tmp_path)).clocks
    assert MINUTE - SECOND < found.changed_by_ms <= MINUTE
    one, other = evidence(tmp_path, "eucom", "ndmc")
    # in one direction alone there is one bound, and nothing to contradict it
    one.receipts.clear()
    other.receipts.clear()
    other.applied.clear()
    (half,) = clock_differences("eucom", "ndmc", [one, other])
    assert half.most is None
    assert half.changed_by_ms == 0


def test_a_message_that_its_senders_journal_lacks_bounds_nothing(day: Path) -> None:
    mine, theirs = evidence(day, "eucom", "ndmc")
    del mine.ledger.entries[Reference("eucom", 1, 2)]
    (found,) = clock_differences("eucom", "ndmc", [mine, theirs])
    whole, all_of_it = evidence(day, "eucom", "ndmc")
    assert found.exchanges < clock_differences("eucom", "ndmc", [whole, all_of_it])[0].exchanges


# --- the state of the line ----------------------------------------------------------------------------------------


def states(found: Account) -> list[str]:
    return [each.state for each in found.line]


def test_the_line_is_proven_between_two_round_trips_and_not_after_the_last(whole: Account) -> None:
    assert states(whole) == ["not_proven", "proven", "not_proven"]
    assert whole.line[1].since > SLOT
    assert sum(map(whole.length_ms, ("proven", "not_proven", "blind"))) == parsed(whole.until) - parsed(whole.since)


def test_an_outage_between_two_round_trips_leaves_the_line_unproven(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    exchange.delivered("eucom")
    exchange.outage("ndmc", duration=5 * MINUTE)
    exchange.delivered("eucom")
    exchange.stop()
    found = account(evidence(tmp_path))
    assert states(found) == ["not_proven", "proven", "not_proven", "proven"]
    assert ("ndmc", "disconnected") in found.line[2].reasons
    assert ("ndmc", "broker_unreachable") in found.line[2].reasons


def test_a_reload_is_no_outage(tmp_path: Path) -> None:
    """It is a stop and a start at one instant, and the connection stands (SPEC E1.6)."""
    exchange = begun(tmp_path)
    exchange.delivered("eucom")
    exchange.run(MINUTE)
    for end in exchange.ends.values():
        end.stop()
        end.restart()
    exchange.settle()
    exchange.run(MINUTE)
    exchange.delivered("eucom")
    exchange.stop()
    found = account(evidence(tmp_path))
    assert states(found) == ["not_proven", "proven"]
    assert told(found, "blind") == []


def test_a_reload_without_a_connection_leaves_the_outage(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    exchange.delivered("eucom")
    side = exchange.ends["ndmc"]
    side.happens(TransportLost, reason="cut")
    exchange.settle(lost_from=["ndmc"])
    side.stop()
    side.open()
    side.runner.start(side.now)
    side.running = True
    exchange.run(MINUTE, lost_from=["ndmc"])
    side.happens(TransportConnected)
    exchange.settle()
    exchange.delivered("eucom")
    exchange.stop()
    found = account(evidence(tmp_path))
    assert states(found) == ["not_proven", "proven", "not_proven", "proven"]
    assert ("ndmc", "disconnected") in found.line[2].reasons


def test_a_message_that_waits_for_its_receipt_speaks_against_the_line(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    exchange.delivered("eucom")
    exchange.alert("eucom")
    exchange.run(5 * MINUTE, lost_from=["eucom"])
    exchange.stop()
    found = account(evidence(tmp_path, "eucom", "ndmc"))
    assert ("eucom", "waiting") in found.line[-1].reasons
    assert found.line[-1].state == "not_proven"
    # the receipt came late: that shows when the line worked again, and not before
    late = account(evidence(tmp_path, "eucom", "ndmc"), until=parsed(found.until) + HOUR)
    assert late.line[-1].state == "blind"
    assert {side for side, _ in late.line[-1].reasons} == {"eucom", "ndmc"}


def test_a_side_that_does_not_run_is_blind(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    exchange.delivered("eucom")
    exchange.ends["ndmc"].crash()
    exchange.run(10 * MINUTE)
    exchange.ends["ndmc"].open()
    exchange.ends["ndmc"].start()
    exchange.settle()
    exchange.delivered("eucom")
    exchange.stop()
    found = account(evidence(tmp_path))
    (blind,) = [each for each in found.line if each.state == "blind"]
    assert blind.reasons[0] == ("ndmc", "not_running")
    assert blind.length_ms >= 9 * MINUTE
    assert told(found, "blind") == [("ndmc", "")]


def test_a_journal_that_begins_later_leaves_its_side_blind_before(day: Path) -> None:
    sides = evidence(day, "eucom", "ndmc")
    first = line_intervals(sides, parsed(SLOT) - HOUR, parsed(SLOT))[0]
    assert (first.state, first.reasons) == ("blind", (("eucom", "not_begun"), ("ndmc", "not_begun")))
    assert line_intervals([Evidence()], 0, HOUR)[0].reasons == (("", "not_begun"),)


def test_a_clock_that_went_back_between_sending_and_receipt_proves_nothing(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    exchange.alert("eucom")
    exchange.ends["eucom"].turn()
    exchange.ends["eucom"].skew -= HOUR
    exchange.ends["eucom"].happens(ClockStepped, step_ms=-HOUR)
    exchange.settle()
    exchange.stop()
    assert account(evidence(tmp_path, "eucom")).length_ms("proven") == 0


def test_an_outage_is_one_also_if_the_clock_is_set_back_in_it(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    exchange.delivered("eucom")
    exchange.run(50 * MINUTE)
    lost_at = exchange.world.at
    side = exchange.ends["eucom"]
    side.happens(TransportLost, reason="cut")
    exchange.settle(lost_from=["eucom"])
    exchange.run(20 * MINUTE, lost_from=["eucom"])
    side.skew -= HOUR
    side.happens(ClockStepped, step_ms=-HOUR)
    exchange.run(10 * MINUTE, lost_from=["eucom"])
    side.happens(TransportConnected)
    exchange.settle()
    exchange.run(2 * HOUR)
    exchange.delivered("eucom")
    exchange.stop()
    found = account(evidence(tmp_path, "eucom"))
    for at in (lost_at + MINUTE, lost_at + 19 * MINUTE, lost_at - 39 * MINUTE, lost_at - 31 * MINUTE):
        (during,) = [each for each in found.line if parsed(each.since) <= at < parsed(each.until)]
        assert during.state == "not_proven"
        assert ("eucom", "disconnected") in during.reasons


def test_a_clock_that_was_wrongly_ahead_leaves_its_side_blind_only_until_it_was_set_back(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    exchange.delivered("eucom")
    side = exchange.ends["ndmc"]
    for step in (30 * DAY, -30 * DAY):
        side.skew += step
        side.happens(ClockStepped, step_ms=step)
        exchange.settle()
        exchange.run(10 * MINUTE)
    exchange.delivered("eucom")
    exchange.run(10 * MINUTE)
    exchange.delivered("eucom")
    exchange.stop()
    found = account(evidence(tmp_path, "eucom", "ndmc"))
    assert 9 * MINUTE < found.length_ms("blind") < 12 * MINUTE
    # the rows that this side recorded a month ahead are there too
    assert any(parsed(row.happening.at) > parsed(found.until) for row in found.rows)
    assert len(found.rows) == sum(len(each.ledger.happenings.listed) for each in evidence(tmp_path, "eucom", "ndmc"))


def test_a_message_of_an_epoch_that_has_ended_waits_no_longer(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    exchange.delivered("eucom")
    exchange.alert("eucom")
    exchange.run(5 * MINUTE, lost_from=["eucom"])
    second = link_file(msgspec.structs.replace(EPOCH_1, epoch=2))
    exchange.stop()
    for end in exchange.ends.values():
        end.file = second
    exchange.open()
    exchange.start()
    exchange.delivered("eucom")
    exchange.run(2 * MINUTE)
    exchange.delivered("eucom")
    exchange.stop()
    found = account(evidence(tmp_path, "eucom", "ndmc"))
    assert any(("eucom", "waiting") in each.reasons for each in found.line)
    last = [each for each in found.line if each.state == "proven"][-1]
    assert last.length_ms >= 2 * MINUTE


# --- slots --------------------------------------------------------------------------------------------------------


def slot_states(found: Account) -> list[str]:
    return [slot.state for slot in found.slots]


def test_a_test_that_nobody_placed_is_missed_and_a_later_one_makes_it_late(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    exchange.world.at = parsed(SLOT) + 5
    exchange.ends["eucom"].wake()
    exchange.settle(lost_from=["eucom"])
    exchange.run(20 * MINUTE, lost_from=["eucom"])
    missed = account(evidence(tmp_path))
    assert slot_states(missed) == ["missed"]
    assert missed.slots[0].views == {"eucom": "unknown", "ndmc": "missed", WATCH: "missed"}
    exchange.run(MINUTE)
    exchange.stop()
    late = account(evidence(tmp_path))
    assert slot_states(late) == ["late"]
    assert late.slots[0].answered_by is None
    # the caller's journal alone does not show when it arrived
    assert slot_states(account(evidence(tmp_path, "eucom"))) == ["unknown"]
    assert slot_states(account(evidence(tmp_path, WATCH))) == ["late"]


def test_a_slot_that_fell_due_while_nobody_watched_is_unknown(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    for name in ("ndmc", "eucom"):
        exchange.ends[name].crash()
    exchange.world.at = parsed(SLOT) + HOUR
    for name in ("ndmc", "eucom"):
        exchange.ends[name].open()
        exchange.ends[name].start()
    exchange.settle()
    exchange.stop()
    found = account(evidence(tmp_path, "eucom", "ndmc"))
    assert slot_states(found) == ["unknown"]
    assert found.slots[0].test is None


def test_a_journal_that_ends_before_a_slot_leaves_it_to_the_next_one(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    early = evidence(tmp_path, "ndmc")[0]
    exchange.world.at = parsed(SLOT) + 5
    exchange.ends["eucom"].wake()
    exchange.settle()
    exchange.run(20 * MINUTE)
    exchange.stop()
    (slot,) = account([early, *evidence(tmp_path, "eucom")]).slots
    assert slot.state == "met"
    assert slot.views == {"eucom": "met", "ndmc": "unknown"}


def test_a_later_epoch_with_a_shorter_grace_does_not_change_what_a_slot_was(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    exchange.world.at = parsed(SLOT) + 5 * MINUTE
    exchange.ends["eucom"].wake()
    exchange.settle()
    exchange.run(20 * MINUTE)
    exchange.stop()
    assert slot_states(account(evidence(tmp_path, "eucom"))) == ["met"]
    shorter = msgspec.structs.replace(EPOCH_1.policy, grace_s=60, answer_within_s=60)
    for end in exchange.ends.values():
        end.file = link_file(msgspec.structs.replace(EPOCH_1, epoch=2, policy=shorter))
    exchange.open()
    exchange.start()
    exchange.stop()
    assert slot_states(account(evidence(tmp_path, "eucom")))[:1] == ["met"]


def test_a_slot_in_its_grace_is_still_open(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    exchange.world.at = parsed(SLOT) + 5
    exchange.ends["ndmc"].wake()
    exchange.settle()
    assert slot_states(account(evidence(tmp_path, "ndmc"))) == ["open"]
    assert slot_states(account(evidence(tmp_path, "ndmc"), until=parsed(SLOT) + HOUR)) == ["unknown"]


def test_an_officer_who_placed_a_test_is_named(tmp_path: Path) -> None:
    policy = msgspec.structs.replace(EPOCH_1.policy, placed_by="officer")
    exchange = begun(tmp_path, file=link_file(msgspec.structs.replace(EPOCH_1, policy=policy)))
    exchange.world.at = parsed(SLOT) + MINUTE
    exchange.ask("eucom", LineTestRequested, nonce="0123456789abcdef")
    exchange.settle()
    exchange.world.at += MINUTE
    exchange.ask("eucom", LineTestRequested, nonce="0123456789abcdef")
    exchange.settle()
    exchange.stop()
    found = account(evidence(tmp_path))
    assert [slot.placed_by for slot in found.slots] == ["watch-1"]
    assert found.unscheduled == 1
    assert not found.used


# --- the whole ----------------------------------------------------------------------------------------------------


def test_drafts_notices_and_refusals_are_rows(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, at=parsed(SLOT) - MINUTE, latency=20)
    exchange.open()
    exchange.start()
    kept, gone = exchange.alert("eucom", "flash"), exchange.alert("eucom", "flash")
    exchange.release("eucom", kept)
    exchange.discard("eucom", gone)
    exchange.settle()
    exchange.refuse("eucom/1/1")
    exchange.settle()
    exchange.forge("ndmc")
    exchange.settle()
    exchange.stop()
    found = account(evidence(tmp_path))
    assert told(found, "draft_held") == [("eucom", kept), ("eucom", gone)]
    assert told(found, "draft_released") == [("eucom", kept)]
    assert told(found, "draft_discarded") == [("eucom", gone)]
    assert ("ndmc", "eucom/1/1") in told(found, "notified")
    assert ("ndmc", "eucom/1/1") in told(found, "notice_delivered")
    assert ("ndmc", "1") in told(found, "frame_refused")
    refused = found.messages[Reference("eucom", 1, 1)]
    assert (refused.refused, refused.refused_by, refused.state) == ("out_of_scope", "duty-1", "refused")
    assert refused.acknowledged_at is None
    assert found.uses["refusal"] == 1
    assert ("eucom", kept) in found.drafts


def test_a_promise_to_reply_is_no_acknowledgement(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    alert = exchange.delivered("eucom")
    exchange.ask("ndmc", OfficerAcknowledged, of=Reference.parse(alert), decision="will_reply")
    exchange.settle()
    promised = account(evidence(tmp_path)).messages[Reference.parse(alert)]
    assert (promised.state, promised.acknowledged_at) == ("will_reply", None)
    exchange.acknowledge(alert)
    exchange.settle()
    exchange.stop()
    done = account(evidence(tmp_path)).messages[Reference.parse(alert)]
    assert done.state == "acknowledged"
    assert done.acknowledged_at
    assert [act.act.decision for act in done.acts] == ["will_reply", "understood"]


def test_an_interval_holds_its_own_rows_and_slots_alone(day: Path, whole: Account) -> None:
    after = account(evidence(day), since=parsed(SLOT) + MINUTE)
    assert after.slots == ()
    assert {row.happening.at >= after.since for row in after.rows} == {True}
    assert 0 < len(after.rows) < len(whole.rows)
    assert Reference("eucom", 1, 1) not in after.messages
    empty = account(evidence(day), since=parsed(whole.until) + HOUR)
    assert (empty.rows, empty.line, empty.since) == ((), (), empty.until)


def test_journals_of_one_side_twice_are_refused(day: Path) -> None:
    with pytest.raises(LocalProtocolError, match="two journals are of eucom"):
        account(evidence(day, "eucom", "eucom"))


def test_journals_that_contradict_each_other_are_merged_all_the_same(day: Path) -> None:
    """Each row waits for one of the other journal: the recorded times decide."""
    one, other = evidence(day, "eucom", "ndmc")
    for each in (one, other):
        each.ledger.happenings.listed.reverse()
    found = account([one, other])
    assert len(found.rows) == len(one.ledger.happenings.listed) + len(other.ledger.happenings.listed)


def test_a_journal_without_terms_has_no_parties() -> None:
    bare = Evidence()
    found: Sequence[object] = account([bare]).rows
    assert found == ()
