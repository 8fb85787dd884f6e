from __future__ import annotations

from typing import Any

import pytest

from protocol.core import events, start_events
from protocol.core.alarms import Alarm, AlarmCode
from protocol.core.effects import (
    AnyEffect,
    ClearAlarm,
    ExpireDraft,
    HoldDraft,
    Notify,
    RaiseAlarm,
    RejectFrame,
    Resend,
)
from protocol.core.event import Event
from protocol.phrases import Said
from protocol.record.happenings import Happening, Happenings
from protocol.record.journal import Closed, Entry, Record
from protocol.wire.instants import written
from protocol.wire.messages import Reference
from tests.support.journal_samples import NOON
from tests.vectors.terms import EPOCH_1, party_keys

DIGEST = "0" * 64
KEYS = party_keys("ed25519")
ALARM = Alarm(
    code=AlarmCode.HEARTBEAT_MISSED,
    severity="critical",
    subject="2022-11-29T08:00:00.000Z",
    raised_at="2022-11-29T08:15:00.000Z",
    detected_at="2022-11-29T08:15:01.000Z",
    detail="no line test",
    said=Said(text="no line test"),
)


def record(entry: Entry, *effects: AnyEffect) -> Record:
    return Record(7, "eucom-ndmc", "eucom", 7, entry, effects, DIGEST, DIGEST)


def listed(*records: Record) -> list[Happening]:
    """Return what the records say."""
    happenings = Happenings()
    for each in records:
        happenings.take(each)
        for effect in each.effects:
            happenings.effect(each, effect)
    return happenings.listed


def event(kind: type[Any], *, at: int = NOON, **fields: Any) -> Any:
    return kind(at=at, mono=0, **fields)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (event(start_events.EpochOpened, terms=EPOCH_1), ("epoch_opened", "1", "", "eucom -> ndmc")),
        (event(start_events.KeysEnrolled, keys=KEYS), ("keys_enrolled", "", "", "eucom: eucom-1; ndmc: ndmc-1")),
        (
            event(start_events.KeysChanged, keys=KEYS, digest=DIGEST, nonce="0" * 16),
            ("keys_changed", "", "", "eucom: eucom-1; ndmc: ndmc-1"),
        ),
        (
            event(start_events.OfficersEnrolled, officers={"b": DIGEST, "a": DIGEST}),
            ("officers_enrolled", "", "", "a, b"),
        ),
        (
            event(
                start_events.LinkConfirmed, officer="watch-1", digest=DIGEST, compared_at=written(NOON), first_word=7
            ),
            ("link_confirmed", DIGEST[:16], "watch-1", written(NOON)),
        ),
        (
            event(start_events.JournalRestored, restored_at=written(NOON), records=12, head=DIGEST),
            ("journal_restored", "12", "", written(NOON)),
        ),
        (event(start_events.WordsChosen, test_text="Проверка"), ("words_chosen", "", "", "Проверка")),
        (event(events.Stopped), ("stopped", "", "", "")),
        (event(events.ClockStepped, step_ms=-1_500), ("clock_set", "", "", "-1.500 s")),
        (event(events.TransportConnected), ("connected", "", "", "")),
        (event(events.TransportLost, reason="gone"), ("disconnected", "", "", "gone")),
        (event(events.PeerPresenceChanged, party="ndmc", present=True), ("presence", "ndmc", "", "present")),
        (event(events.PeerPresenceChanged, party="ndmc", present=False), ("presence", "ndmc", "", "gone")),
        (event(events.NotificationDone, id="x", delivered=False), ("notice_failed", "x", "", "")),
        (
            event(events.AlarmAcknowledged, request="1", officer="duty-1", code="fork", subject="ndmc"),
            ("alarm_acknowledged", "fork/ndmc", "duty-1", ""),
        ),
        (event(events.WatchTaken, request="1", officer="duty-1"), ("watch_taken", "", "duty-1", "")),
        (
            event(events.WatchTaken, request="1", officer="duty-1", relieves="duty-2"),
            ("watch_taken", "", "duty-1", "duty-2"),
        ),
        (
            event(events.WatchLeft, request="1", officer="duty-1", why="log-out"),
            ("watch_left", "", "duty-1", "log-out"),
        ),
        (
            event(events.OfficerReleased, request="1", officer="duty-2", draft=3),
            ("draft_released", "draft/3", "duty-2", ""),
        ),
        (
            event(events.OfficerCancelled, request="1", officer="duty-2", draft=3),
            ("draft_discarded", "draft/3", "duty-2", ""),
        ),
        (event(events.FramesSuppressed, reason="repeated", count=9), ("frame_refused", "9", "", "repeated")),
        (
            event(events.PublishRefused, channel="message", code=135, reason="no"),
            ("publish_refused", "message", "", "no"),
        ),
        (event(events.IdentityTakenOver, times=3), ("identity_taken_over", "3", "", "")),
        (
            event(events.CredentialsRefused, count=10, source="control socket"),
            ("credentials_refused", "10", "", "control socket"),
        ),
        (
            event(events.CertificateSeen, whose="own", ends_at=written(NOON)),
            ("certificate_seen", "own", "", written(NOON)),
        ),
        (event(events.SinkFailed, sink="webhook", why="timed out"), ("sink_failed", "webhook", "", "timed out")),
        (event(events.SinkReached, sink="webhook"), ("sink_reached", "webhook", "", "")),
        (event(events.ListenersMissing), ("listeners_missing", "", "", "")),
        (event(events.ListenersBack), ("listeners_back", "", "", "")),
        (
            event(events.SessionBegan, request="1", session="session-1", role="officer", officer="duty-1"),
            ("session_began", "session-1", "duty-1", "officer"),
        ),
        (
            event(events.SessionBegan, request="1", session="session-1", role="board"),
            ("session_began", "session-1", "", "board"),
        ),
        (
            event(
                events.SessionEnded, request="1", session="session-1", role="officer", officer="duty-1", why="expired"
            ),
            ("session_ended", "session-1", "duty-1", "officer: expired"),
        ),
        (event(events.SpaceLow, free_bytes=9), ("space_low", "", "", "9")),
        (event(events.SpaceOk, free_bytes=99), ("space_ok", "", "", "99")),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Event) else "",
)
def test_every_event_that_people_ask_about_is_listed(entry: Entry, said: tuple[str, str, str, str]) -> None:
    (found,) = listed(record(entry))
    assert (found.what, found.subject, found.officer, found.detail) == said
    assert (found.at, found.record) == (written(NOON), 7)


def test_what_says_nothing_is_not_listed() -> None:
    """Ends of batches, and a cancellation of a message: the message itself is listed."""
    of = Reference("eucom", 1, 1)
    assert not listed(
        record(event(events.BatchClosed), Resend(first=1)),
        record(event(events.OfficerCancelled, request="1", officer="duty-2", of=of)),
    )


def started(at: int) -> Record:
    return record(event(events.Started, at=at, software="1", slots=(), slots_until=written(at), tzdata="2026.1"))


def test_an_absence_is_measured_from_the_last_record_of_work() -> None:
    first, again = NOON, NOON + 60_000
    opened = record(event(start_events.EpochOpened, at=again, terms=EPOCH_1))
    closed = record(event(Closed, at=NOON + 30_000))
    found = listed(started(first), record(event(events.BatchClosed, at=first + 1)), closed, opened, started(again))
    assert [each.what for each in found] == ["started", "epoch_opened", "blind", "started"]
    assert (found[2].since, found[2].at, found[2].detail) == (written(first + 1), written(again), "not_running")


def test_what_a_restored_journal_lacks_is_no_time_in_which_nobody_ran() -> None:
    restored = record(event(start_events.JournalRestored, restored_at=written(NOON), records=1, head=DIGEST))
    stopped = record(event(events.Stopped, at=NOON + 60_000))
    found = listed(started(NOON), restored, started(NOON + 60_000), stopped, started(NOON + 61_000))
    assert [each.detail for each in found if each.what == "blind"] == ["restored", "not_running"]


def test_a_clock_that_was_set_back_while_nobody_ran_makes_no_absence() -> None:
    assert [each.what for each in listed(started(NOON), started(NOON - 1))] == ["started", "started"]


def test_a_sleep_and_a_clock_set_forward_are_absences() -> None:
    slept, skipped = (
        listed(record(event(events.Resumed, since=written(NOON - 5_000)))),
        listed(record(event(events.ClockStepped, step_ms=5_000))),
    )
    assert [(each.what, each.since, each.detail) for each in slept] == [("blind", written(NOON - 5_000), "suspended")]
    before = written(NOON - 5_000)
    assert [(each.what, each.since) for each in skipped] == [("clock_set", before), ("blind", before)]


def test_a_forged_step_does_not_lead_out_of_the_calendar() -> None:
    _, blind = listed(record(event(events.ClockStepped, step_ms=1 << 60)))
    assert blind.since == "1970-01-01T00:00:00.000Z"
    (back,) = listed(record(event(events.ClockStepped, step_ms=-(1 << 60))))
    assert back.since == "9999-12-31T23:59:59.999Z"


def test_effects_are_listed_with_what_they_are_about() -> None:
    raised = event(events.BatchClosed)
    found = listed(
        record(
            raised,
            RaiseAlarm(alarm=ALARM),
            Notify(id="n-1", kind="alarm", alarm=ALARM, repeat=2),
            Notify(id="n-0", kind="alarm", alarm=ALARM.clear(ALARM.raised_at)),
            Notify(id="n-2", kind="message", reference=Reference("ndmc", 1, 4), body={}),
            Notify(id="n-3", kind="slot", slot=ALARM.subject, until=ALARM.raised_at),
            ClearAlarm(code=AlarmCode.HEARTBEAT_MISSED, subject=ALARM.subject),
            HoldDraft(draft=1),
            ExpireDraft(draft=1),
            RejectFrame(reason="bad_signature", detail="no good one"),
            RejectFrame(reason="too_large"),
        ),
        record(event(events.NotificationDone, id="n-2", delivered=True)),
    )
    missed = f"heartbeat_missed/{ALARM.subject}"
    assert [(each.what, each.subject, each.detail) for each in found] == [
        ("alarm_raised", missed, "no line test"),
        ("notified", missed, "2"),
        ("notified", missed, "over"),
        ("notified", "ndmc/1/4", ""),
        ("notified", ALARM.subject, ""),
        ("alarm_cleared", missed, ""),
        ("draft_held", "draft/1", ""),
        ("draft_expired", "draft/1", ""),
        ("frame_refused", "1", "bad_signature: no good one"),
        ("frame_refused", "1", "too_large"),
        ("notice_delivered", "ndmc/1/4", ""),
    ]
    assert (found[0].since, found[0].said) == (ALARM.raised_at, ALARM.said)
