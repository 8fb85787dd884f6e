"""Readers of journals accept unusual records: terms history, audit, ledger, recovery and replay."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec import UNSET, structs

from protocol.core.alarms import Alarm, AlarmCode
from protocol.core.effects import (
    AnyEffect,
    Apply,
    ClearAlarm,
    ExpireDraft,
    HoldDraft,
    Queue,
    RaiseAlarm,
    RejectFrame,
    Resend,
    Seal,
    Settle,
)
from protocol.core.events import (
    AnyEvent,
    BatchClosed,
    FrameReceived,
    FramesSuppressed,
    OfficerCancelled,
    OfficerRaisedAlert,
    OfficerReleased,
    TransportConnected,
)
from protocol.core.link import Link
from protocol.core.start_events import EpochOpened, OfficersEnrolled
from protocol.errors import JournalError
from protocol.record.audit import Audit
from protocol.record.journal import ORIGIN, Checkpoint, Entry, Record, complete_record_in, decode, encode
from protocol.record.ledger import Ledger, ledger_of
from protocol.record.recovery import SECTOR_BYTES, recover
from protocol.record.replay import Replay, _difference, replay
from protocol.record.terms_history import TermsHistory
from protocol.wire.instants import parsed, written
from protocol.wire.messages import Reference
from tests.support.cast import WORDS, Peer, a_heartbeat, an_alert, an_answer, ref, sealed
from tests.support.journal_samples import LINK, SIDE, Batch, batch, lines_of, raw_state
from tests.support.world import TERMS, Line

AT = parsed("2022-11-29T08:00:00.000Z")

ALERT: dict[str, Any] = {
    "request": "request-1",
    "officer": "watch-1",
    "status": "exercise",
    "category": "critical_infrastructure",
    "precedence": "routine",
    "event_at": "2022-11-29T08:00:00.000Z",
    "expires_at": "2022-11-30T08:00:00.000Z",
    "text": {"en": "Concerned about the dam."},
}


def records_of(*batches: Batch, n: int = 1) -> list[Record]:
    return [decode(line.removesuffix(b"\n")) for line in lines_of(list(batches), n=n)]


def record(entry: Entry, *effects: AnyEffect, n: int = 1) -> Record:
    line, _ = encode(n, LINK, SIDE, n, entry, effects, ORIGIN)
    return decode(line)


def the_checkpoint(**fields: object) -> Checkpoint:
    return Checkpoint(at=AT, mono=1, rules="1", core="Link", state=raw_state(**fields), signed_head="{}")


# --- terms history and audit --------------------------------------------------------------------------------------


def test_terms_history_ignores_an_unreadable_checkpoint() -> None:
    history = TermsHistory()
    assert not history.take(record(the_checkpoint(terms=5)))
    assert history.terms is None


def test_an_audit_names_signatures_before_any_key_is_enrolled() -> None:
    audit = Audit()
    frame = FrameReceived(at=AT, mono=1, channel="message", sender="ndmc", frame=b"{}", verdict="verified")
    for entry, reason in (
        (the_checkpoint(terms=5), "it has a signed head, before any key is enrolled"),
        (frame, "it says that a frame is verified, before any key is enrolled"),
        (BatchClosed(at=AT, mono=1, frames=(b"{}",)), "it seals frames, before any key is enrolled"),
    ):
        assert audit.take(record(entry, n=4)) == reason
    assert (audit.signatures, audit.sealed_upto) == (0, 0)


# --- the ledger ---------------------------------------------------------------------------------------------------


def test_the_ledger_ignores_effects_without_a_message() -> None:
    ledger = Ledger()
    connected = TransportConnected(at=AT, mono=1)
    unknown = ClearAlarm(code=AlarmCode.FORK, subject="ndmc")
    assert ledger.take(record(connected, RejectFrame(reason="bad_signature"), Resend(first=1), unknown)) == []
    assert ledger.take(record(connected, HoldDraft(draft=1), n=2)) == []
    assert (ledger.alarms, ledger.drafts) == ([], {})


def test_the_ledger_undoes_a_change_that_the_other_sides_service_refuses() -> None:
    """SPEC W2.3, B3.3"""
    ours, theirs, first = Peer("eucom"), Peer("ndmc"), Reference("eucom", 1, 1)
    changes = [an_alert(change={"of": ref(1), "kind": kind}) for kind in ("update", "cancellation")]
    ledger = ledger_of(
        [
            record(EpochOpened(at=AT, mono=1, terms=TERMS)),
            record(
                TransportConnected(at=AT, mono=1),
                *[Queue(message=ours.says(body)) for body in (an_alert(), *changes)],
                n=2,
            ),
        ]
    )

    def refused(seq: int) -> tuple[list[int], str, str]:
        """Let a service's refusal arrive; return the messages that changed, and the states of both."""
        body = {"type": "refusal", "of": ref(seq), "by": "service", "reason": "not_permitted"}
        said = Apply(sender="ndmc", message=theirs.says(body))
        changed = ledger.take(record(TransportConnected(at=AT, mono=1), said, n=2))
        own = [entry.reference.seq for entry in changed if entry.own]
        return own, ledger.entries[first].state, ledger.entries[Reference("eucom", 1, seq)].state

    # the second change of an alert has none; the first one stands
    assert refused(3) == ([3], "changed", "refused")
    assert refused(2) == ([1, 2], "queued", "refused")
    assert refused(2) == ([2], "queued", "refused")


def test_the_ledger_counts_refused_frames_by_reason() -> None:
    """SPEC M6.2"""
    connected = TransportConnected(at=AT, mono=1)
    more = FramesSuppressed(at=AT, mono=2, reason="bad_signature", count=40)
    refused = [RejectFrame(reason="bad_signature"), RejectFrame(reason="wrong_link")]
    ledger = ledger_of([record(connected, *refused), record(more, n=2)])
    assert ledger.frames_refused == {"bad_signature": 41, "wrong_link": 1}


def test_the_ledger_counts_how_often_a_message_was_applied() -> None:
    """SPEC M3.1"""
    ours, theirs = Peer("eucom").says(an_alert()), Apply(sender="ndmc", message=Peer("ndmc").says(an_alert()))
    connected = TransportConnected(at=AT, mono=1)
    ledger = ledger_of([record(EpochOpened(at=AT, mono=1, terms=TERMS)), record(connected, Queue(message=ours), n=2)])
    for n in (3, 4):
        ledger.take(record(connected, theirs, n=n))
    assert {str(entry.reference): entry.applied for entry in ledger.entries.values()} == {"eucom/1/1": 0, "ndmc/1/1": 2}


def test_the_ledger_keeps_who_wrote_and_who_decided_each_draft() -> None:
    """SPEC P1.1"""
    ours = Peer("eucom")
    raised = OfficerRaisedAlert(at=AT, mono=1, **(ALERT | {"precedence": "flash"}))
    released = OfficerReleased(at=AT + 1, mono=2, request="request-2", officer="watch-2", draft=1)
    discarded = OfficerCancelled(at=AT + 1, mono=2, request="request-3", officer="watch-3", draft=2)
    cancelled = OfficerCancelled(at=AT + 1, mono=2, request="request-4", officer="watch-3", of=Reference("eucom", 1, 1))
    happened: list[tuple[AnyEvent, list[AnyEffect]]] = [
        (EpochOpened(at=AT, mono=1, terms=TERMS), []),
        (raised, [HoldDraft(draft=1)]),
        (raised, [HoldDraft(draft=2)]),
        (raised, [HoldDraft(draft=3)]),
        (released, [RejectFrame(reason="bad_signature"), Queue(message=ours.says(an_alert()))]),
        (discarded, []),
        (cancelled, [Queue(message=ours.says(an_alert()))]),
        # a draft that was held before the journal begins
        (structs.replace(discarded, draft=9), []),
    ]
    ledger = ledger_of(record(entry, *effects, n=n) for n, (entry, effects) in enumerate(happened, 1))
    assert {number: draft.raised.officer for number, draft in ledger.drafts.items()} == dict.fromkeys(
        (1, 2, 3), "watch-1"
    )
    at = written(AT + 1)
    assert [str(draft.end) for draft in ledger.drafts.values()] == [
        f"watch-2 released it at {at} as eucom/1/1",
        f"watch-3 discarded it at {at}",
        "None",
    ]
    assert {draft.raised.status for draft in ledger.drafts.values()} == {"exercise"}


def test_the_ledger_keeps_that_a_draft_expired_and_waits_again() -> None:
    """SPEC P1.6"""
    raised = OfficerRaisedAlert(at=AT, mono=1, **(ALERT | {"precedence": "flash", "status": UNSET}))
    connected = TransportConnected(at=AT + 1, mono=2)
    ledger = ledger_of([record(EpochOpened(at=AT, mono=1, terms=TERMS)), record(raised, HoldDraft(draft=1), n=2)])
    ledger.take(record(connected, ExpireDraft(draft=1), ExpireDraft(draft=9), n=3))
    assert str(ledger.drafts[1].end) == f"it expired at {written(AT + 1)}"
    ledger.take(record(connected, HoldDraft(draft=1), HoldDraft(draft=9), n=4))
    assert ledger.drafts[1].end is None
    assert ledger.drafts[1].item.item["status"] == "exercise"


def test_a_message_keeps_its_first_times_of_sending_and_receipt() -> None:
    """A second seal or receipt that covers a message changes nothing."""
    ours = Peer("eucom")
    ledger = ledger_of([record(EpochOpened(at=AT, mono=1, terms=TERMS))])
    ledger.take(record(TransportConnected(at=AT, mono=1), Queue(message=ours.says(an_alert())), n=2))
    seal, settle = Seal(index=0, channel="message", first=1, last=2), Settle(upto=1, head=ours.head)
    assert len(ledger.take(record(BatchClosed(at=AT + 1, mono=2), seal, n=3))) == 1
    assert ledger.take(record(BatchClosed(at=AT + 2, mono=3), seal, n=4)) == []
    assert len(ledger.take(record(TransportConnected(at=AT + 3, mono=4), settle, n=5))) == 1
    (entry,) = ledger.entries.values()
    entry_before = (entry.sent_at, entry.receipted_at)
    ledger._settled = 0
    assert ledger.take(record(TransportConnected(at=AT + 4, mono=5), settle, n=6)) == []
    assert (entry.sent_at, entry.receipted_at) == entry_before
    # the end of an epoch does not change a receipted message
    ledger.take(record(EpochOpened(at=AT + 5, mono=6, terms=structs.replace(TERMS, epoch=2)), n=7))
    assert not entry.undelivered


def test_the_ledger_knows_since_when_officers_are_enrolled() -> None:
    """SPEC P1.5"""
    both = {"watch-1": "a" * 64, "watch-2": "b" * 64}
    ledger = ledger_of([record(OfficersEnrolled(at=AT, mono=1, officers=both))])
    assert ledger.officers == {"watch-1": written(AT), "watch-2": written(AT)}
    # watch-1 has a new credential, and stays enrolled; watch-2 is removed, and enrolled again
    ledger.take(record(OfficersEnrolled(at=AT + 1, mono=2, officers={"watch-1": "c" * 64}), n=2))
    assert ledger.officers == {"watch-1": written(AT)}
    ledger.take(record(OfficersEnrolled(at=AT + 2, mono=3, officers=both), n=3))
    ledger.take(record(TransportConnected(at=AT + 3, mono=4), n=4))
    assert ledger.officers == {"watch-1": written(AT), "watch-2": written(AT + 2)}


def test_a_journal_that_begins_at_a_checkpoint_does_not_say_since_when_officers_are_enrolled() -> None:
    checkpoint = structs.replace(the_checkpoint(officers={"watch-1": "a" * 64}), rules=Link.RULES)
    assert ledger_of([record(checkpoint)]).officers == {"watch-1": None}


def test_the_detail_of_a_standing_alarm_is_brought_up_to_date() -> None:
    """SPEC W4.3: it is the same alarm, and stays acknowledged."""
    now = written(AT)
    alarm = Alarm(code=AlarmCode.SINK_FAILING, severity="major", subject="log", raised_at=now, detected_at=now)
    newer = structs.replace(alarm, detail="no answer")
    connected = TransportConnected(at=AT, mono=1)
    ledger = ledger_of([record(connected, RaiseAlarm(alarm=alarm)), record(connected, RaiseAlarm(alarm=newer), n=2)])
    assert ledger.alarms == [newer]
    over = ClearAlarm(code=AlarmCode.SINK_FAILING, subject="log")
    ledger.take(record(connected, over, RaiseAlarm(alarm=alarm), n=3))
    assert [each.active for each in ledger.alarms] == [False, True]


def test_a_message_of_an_unknown_kind_is_no_act() -> None:
    """SPEC M7: a journal may hold one that its rules applied."""
    ledger = ledger_of([record(EpochOpened(at=AT, mono=1, terms=TERMS))])
    said = Apply(sender="ndmc", message=Peer("ndmc").says({"type": "acknowledgement", "of": 7}))
    (entry,) = ledger.take(record(TransportConnected(at=AT, mono=1), said, n=2))
    assert (entry.state, entry.acts) == ("received", [])


def test_an_answer_with_the_wrong_words_does_not_count() -> None:
    """SPEC B2.3"""
    ours, theirs = Peer("eucom"), Peer("ndmc")
    ledger = ledger_of([record(EpochOpened(at=AT, mono=1, terms=TERMS))])
    ledger.take(record(TransportConnected(at=AT, mono=1), Queue(message=ours.says(a_heartbeat())), n=2))
    for n, words in enumerate(((WORDS[1], WORDS[0], WORDS[2]), WORDS), 3):
        said = Apply(sender="ndmc", message=theirs.says(an_answer(ref(1), words)))
        ledger.take(record(TransportConnected(at=AT + n, mono=n), said, n=n))
        assert (ledger.entries[Reference("eucom", 1, 1)].acknowledged_at is not None) == (words == WORDS)


# --- lines and recovery -------------------------------------------------------------------------------------------


def test_text_that_resembles_a_hash_does_not_end_a_record() -> None:
    (line, *_) = lines_of([batch(0)])
    decoy = b',"hash":"' + b"0" * 64 + b'"}'
    assert complete_record_in(decoy + line) == 0
    assert complete_record_in(line) == len(line) - 1


@pytest.mark.parametrize(("link", "side"), [("other", SIDE), (LINK, "ndmc")])
def test_a_record_of_another_journal_after_a_hole_is_refused(link: str, side: str) -> None:
    """Sectors of the last batch may be missing, but the sectors that are there must belong to it."""
    first, last = lines_of([batch(0)]), lines_of([batch(1)] * 3, n=4)
    strange = lines_of([batch(1)] * 3, n=4, link=link, side=side)
    whole = b"".join(first)
    hole = -len(whole) % SECTOR_BYTES + SECTOR_BYTES
    data = whole + bytes(hole) + b"".join([b"x", *[b"\n"], *strange])
    with pytest.raises(JournalError, match="behind a hole"):
        recover(data, 1, LINK, SIDE)
    assert last != strange


# --- replay -------------------------------------------------------------------------------------------------------


def test_replay_keeps_a_difference_found_before_the_rules_change() -> None:
    """Records after a checkpoint of other rules are not replayed; a difference found before it remains."""
    link = Link.new(LINK, SIDE)
    own = Checkpoint(at=AT, mono=1, rules=Link.RULES, core="Link", state=link.checkpoint())
    other = Checkpoint(at=AT, mono=2, rules="1", core="Link", state=raw_state())
    result = Replay()
    result.take(record(own))
    result.diverge(1, "found elsewhere")
    result.take(record(other, n=2))
    assert result.other_rules == (2, "1")
    assert result.divergence is not None
    assert result.core is None


@pytest.mark.parametrize(
    ("payload", "shown"), [(b"not json", "6e6f74206a736f6e"), (b"[1,2,4]", r"payload: recorded \[1,2,4\]")]
)
def test_replay_shows_how_the_payload_of_a_frame_differs(payload: bytes, shown: str) -> None:
    line = Line()
    eucom = Link.restore(line.eucom.core.checkpoint())
    checkpoint = Checkpoint(at=AT, mono=1, rules=Link.RULES, core="Link", state=eucom.checkpoint())
    begun = AT + 1
    raised = OfficerRaisedAlert(at=begun, mono=line.eucom.mono, **ALERT)
    effects: Any = eucom.handle(raised)
    frame = sealed("eucom", "message", payload).frame
    closed = BatchClosed(at=begun, mono=line.eucom.mono, frames=(frame,))
    result = replay([record(checkpoint), record(raised, *effects, n=2), record(closed, n=3)])
    assert result.divergence is not None
    assert re.search(shown, result.divergence.reason), result.divergence.reason


def test_a_difference_is_shown_with_its_path() -> None:
    """Also if one value lacks a field of the other, or if one list is longer."""
    assert _difference({"a": None}, {}, "x") == 'x: recorded {"a":null}, the rules give {}'
    assert _difference([1, 2], [1], "x") == "x[1] is only recorded: 2"
    assert _difference([1], [1, 3], "x") == "x[1] is only given by the rules: 3"
    assert _difference([1, 2], [1, 3], "x") == "x[1]: recorded 2, the rules give 3"
