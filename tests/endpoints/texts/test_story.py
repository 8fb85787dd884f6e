from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from endpoints.journal.record_view import decoded, frame
from endpoints.texts.i18n import translator
from endpoints.texts.story import Storyteller
from endpoints.texts.wording import wording
from protocol.core import events, start_events
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
    Settle,
)
from protocol.core.staleness import Staleness
from protocol.record.journal import ORIGIN, Checkpoint, Closed, Entry, Record
from protocol.wire import envelope
from protocol.wire.instants import written
from protocol.wire.messages import MESSAGE_TYPE, Message, Reference
from tests.support.journal_samples import NOON, raw_state
from tests.vectors.terms import EPOCH_1

T = translator("en")
PURSUIT = T.term("category", "air_pursuit")
AT: dict[str, Any] = {"at": NOON, "mono": 1}
REQUEST: dict[str, Any] = {**AT, "request": "r", "officer": "watch-1"}
WHEN = "2022-11-29T08:00:00.000Z"
HEARTBEAT = {
    "type": "heartbeat",
    "status": "exercise",
    "language": "ru",
    "text": "Проверка",
    "challenge": ["лес", "река", "гора"],
}
OF = {"sender": "eucom", "epoch": 1, "seq": 7}
ALERT: dict[str, Any] = {
    "type": "alert",
    "status": "exercise",
    "category": "air_pursuit",
    "precedence": "flash",
    "event_at": WHEN,
    "expires_at": WHEN,
    "text": {"ru": "Погоня"},
    "released_by": ["watch-1"],
}
MOMENT = "29 Nov 2022, 08:00:00 UTC (11:00:00 Europe/Moscow)"
FACTS = f"event {MOMENT}; expires {MOMENT}; released by watch-1"
CIRCLE = "0.000001 N, 0.000002 E, radius 3 m"
ALARM = Alarm(code=AlarmCode.FORK, severity="critical", subject="ndmc", raised_at=WHEN, detected_at=WHEN, detail="why")


def message(body: dict[str, Any]) -> Message:
    return Message(7, ORIGIN, WHEN, body)


def told(entry: Entry, *effects: AnyEffect) -> list[str]:
    record = Record(1, "eucom-ndmc", "eucom", 1, entry, effects, ORIGIN, ORIGIN)
    return [f"{line.who}: {line.what}" for line in Storyteller(T, epoch=1).tell(record)]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (HEARTBEAT, "line test (unscheduled): Проверка [лес река гора]"),
        (
            HEARTBEAT | {"slot": WHEN},
            "line test (29 Nov 2022, 11:00:00 Europe/Moscow): Проверка [лес река гора]",
        ),
        (
            {"type": "heartbeat_answer", "of": OF, "language": "ru", "text": "Да", "read_back": ["а", "б", "в"]},
            "answer to the line test eucom/1/7, the service: Да [а б в]",
        ),
        (ALERT, f"alert, FLASH, EXERCISE: {PURSUIT}; {FACTS}: Погоня"),
        (
            ALERT
            | {
                "change": {"of": OF, "kind": "cancellation"},
                "area": {"name": "Kherson", "latitude_udeg": 1, "longitude_udeg": 2, "radius_m": 3},
            },
            f"alert, FLASH, EXERCISE, cancellation of eucom/1/7: {PURSUIT}; {FACTS}; {CIRCLE}: Kherson: Погоня",
        ),
        (
            {"type": "acknowledgement", "of": OF, "officer": "duty-1", "decision": "acting", "text": {"en": "Wait"}},
            f"acknowledgement of eucom/1/7, duty-1: {T.term('decision', 'acting')}: Wait",
        ),
        (
            {
                "type": "refusal",
                "of": OF,
                "by": "service",
                "reason": "out_of_scope",
                "referral": "ministers",
                "text": {"en": "No"},
            },
            f"refusal of eucom/1/7, the service: {T.term('reason', 'out_of_scope')}, referred to ministers: No",
        ),
        ({"type": "song", "of": 1}, '{"type":"song","of":1}'),
        ({"type": "x" * 300}, '{"type":"' + "x" * 191 + "..."),
    ],
)
def test_what_a_message_says(body: dict[str, Any], said: str) -> None:
    assert wording(body, T, "Europe/Moscow").casefold() == said.casefold()


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (events.Resumed(**AT, since=WHEN), "suspended since 08:00:00 UTC"),
        (events.TransportLost(**AT, reason="timeout"), "lost the connection to the broker: timeout"),
        (events.PeerPresenceChanged(**AT, party="ndmc", present=False), "ndmc is no longer present at the broker"),
        (events.PeerPresenceChanged(**AT, party="ndmc", present=True), "ndmc is present at the broker"),
        (events.FramesSuppressed(**AT, reason="bad_signature", count=3), "further frames refused (bad_signature): 3"),
        (events.SinkFailed(**AT, sink="webhook", why="answered 500"), "the webhook fails: answered 500"),
        (events.SinkReached(**AT, sink="webhook"), "the webhook works again"),
        (
            events.CertificateSeen(**AT, whose="broker", ends_at=WHEN),
            "certificate of the broker: valid until 29 Nov 2022, 08:00:00 UTC",
        ),
        (
            events.CredentialsRefused(**AT, count=3, source="uid-1000"),
            "wrong credentials of officers, from uid-1000: 3",
        ),
        (
            events.PublishRefused(**AT, channel="message", code=151, reason="quota"),
            "the broker refused a frame: quota",
        ),
        (events.OfficerReleased(**REQUEST, draft=3), "watch-1 released draft/3"),
        (events.OfficerCancelled(**REQUEST, draft=3), "watch-1 discarded draft/3"),
        (events.WatchTaken(**REQUEST), "watch-1 took the watch"),
        (events.WatchTaken(**REQUEST, relieves="watch-2"), "watch-1 took the watch from watch-2"),
        (events.WatchLeft(**REQUEST, why="log-out\nFINE"), "watch-1 left the watch: log-out\\nFINE"),
        (
            events.SessionBegan(**REQUEST, session="session-1", role="officer"),
            "watch-1 logged in at a console, session session-1",
        ),
        (
            events.SessionBegan(**AT, request="r", session="session-1", role="board"),
            "a board began to show this link, session session-1",
        ),
        (
            events.SessionBegan(**AT, request="r", session="session-1", role="investigator"),
            "an investigator began to read at a console, session session-1",
        ),
        (
            events.SessionEnded(**REQUEST, session="session-1", role="officer", why="log-out\nFINE"),
            "the session session-1 of watch-1 ended: log-out\\nFINE",
        ),
        (
            events.SessionEnded(**AT, request="r", session="session-1", role="board", why="ended"),
            "the session session-1 of a board ended: ended",
        ),
        (
            events.SessionEnded(**AT, request="r", session="session-1", role="investigator", why="expired"),
            "the session session-1 of an investigator ended: expired",
        ),
        (events.ListenersMissing(**AT), "no screen of a console has its sound on"),
        (events.ListenersBack(**AT), "a screen of a console has its sound on, or none is expected to"),
        (
            start_events.LinkConfirmed(
                **AT, officer="watch-1", digest="ab" * 32, compared_at="2022-11-29T08:00:00.000Z", first_word=3
            ),
            "watch-1 compared the link file abababababababab with the other side's at 29 Nov 2022, 08:00:00 UTC: equal",
        ),
        (
            start_events.JournalRestored(**AT, restored_at="2022-11-29T08:00:00.000Z", records=12, head="ab" * 32),
            "journal restored at 29 Nov 2022, 08:00:00 UTC from a copy of 12 records",
        ),
        (start_events.WordsChosen(**AT), "words of this side's line tests: those of the policy"),
        (start_events.WordsChosen(**AT, test_text="A", answer_text="B"), "words of this side's line tests: A / B"),
        (Checkpoint(**AT, rules="1", core="Link", state=raw_state()), "checkpoint"),
        (Closed(**AT), "journal closed"),
    ],
)
def test_what_a_record_is_worth(entry: Entry, line: str) -> None:
    assert told(entry) == [f"eucom: {line}"]


def test_what_effects_are_worth() -> None:
    entry = events.OfficerCancelled(**REQUEST, of=Reference("eucom", 1, 7))
    refused = f"{T.term('step', 'refused')}: {T.term('reason', 'unsupported')}"
    assert told(
        entry,
        HoldDraft(draft=2),
        ExpireDraft(draft=2),
        Queue(message=message(ALERT)),
        Apply(sender="ndmc", message=message({"type": "song"}), refused="unsupported"),
        Settle(upto=4, head=ORIGIN),
        RejectFrame(reason="bad_signature", detail="no good one"),
        RaiseAlarm(alarm=ALARM),
        ClearAlarm(code=AlarmCode.FORK, subject="ndmc"),
        ClearAlarm(code=AlarmCode.BROKER_UNREACHABLE, subject="publish/message"),
    ) == [
        "eucom: draft/2 waits for a second officer",
        "eucom: draft/2 expired; nothing was sent",
        f"eucom: eucom/1/7 (watch-1): {wording(ALERT, T)}",
        f'ndmc: OLD, sent 29 Nov 2022, 08:00:00 UTC: ndmc/1/7: {{"type":"song"}} ({refused})',
        "eucom: received the receipt for messages up to eucom/1/4",
        "eucom: a frame was refused: bad_signature no good one",
        f"eucom: {T.term('alarm', 'fork')} (ndmc): why",
        f"eucom: cleared: {T.term('alarm', 'fork')} (ndmc)",
        f"eucom: cleared: {T.term('alarm', 'publish_refused')} (publish/message)",
    ]
    seen = events.AlarmAcknowledged(**REQUEST, code="fork", subject="ndmc")
    assert told(seen) == [f"eucom: watch-1 acknowledged the alarm: {T.term('alarm', 'fork')} (ndmc)"]


def test_a_story_names_the_epoch_the_author_and_the_officers() -> None:
    teller = Storyteller(T)
    opened = start_events.EpochOpened(**AT, terms=structs.replace(EPOCH_1, epoch=2))
    placed = events.LineTestRequested(**AT, request="r", nonce="0", officer="watch-2")
    raised = events.OfficerRaisedAlert(
        **REQUEST, category="air_pursuit", precedence="flash", event_at=WHEN, expires_at=WHEN, text={"en": "x"}
    )
    entries: list[tuple[Entry, tuple[AnyEffect, ...]]] = [
        (opened, ()),
        (placed, (Queue(message=message(HEARTBEAT)),)),
        (raised, (HoldDraft(draft=2),)),
        (events.BatchClosed(**AT), (Apply(sender="ndmc", message=message(ALERT | {"released_by": ["a", "b"]})),)),
    ]
    lines = [
        line.what
        for entry, effects in entries
        for line in teller.tell(Record(1, "eucom-ndmc", "eucom", 1, entry, effects, ORIGIN, ORIGIN))
    ]
    assert lines[0].startswith("epoch 2: ")
    assert lines[1].startswith("eucom/2/7 (watch-2): line test")
    assert lines[2] == "draft/2 waits for a second officer (written by: watch-1)"
    assert "ndmc/2/7 (a, b): alert" in lines[3]


@pytest.mark.parametrize(
    ("at", "expires", "begins"),
    [
        (NOON - 1, NOON + 1, "ndmc/1/7 (watch-1): alert"),
        (NOON - 1, NOON - 86_400_000, "EXPIRED BEFORE IT ARRIVED, 24 hours ago: ndmc/1/7 (watch-1): alert"),
        (NOON - 7 * 86_400_000, NOON + 1, "OLD, sent 22 Nov 2022, 10:00:00 UTC: ndmc/1/7 (watch-1): alert"),
        (NOON + 7_200_000, NOON + 1, "DATED AHEAD, 29 Nov 2022, 12:00:00 UTC: ndmc/1/7 (watch-1): alert"),
    ],
)
def test_a_story_says_first_what_was_no_news_when_it_arrived(at: int, expires: int, begins: str) -> None:
    """SPEC M8.4"""
    arrived = Message(7, ORIGIN, written(at), ALERT | {"expires_at": written(expires)})
    assert told(events.BatchClosed(**AT), Apply(sender="ndmc", message=arrived))[0].startswith(f"ndmc: {begins}")


def test_the_alarm_about_an_old_message_says_so_first() -> None:
    """SPEC M8.4, W4"""
    about = structs.replace(ALARM, stale=Staleness(old_since="2022-11-22T08:00:00.000Z"))
    (line,) = told(events.BatchClosed(**AT), RaiseAlarm(alarm=about))
    assert line.startswith("eucom: OLD, sent 22 Nov 2022, 08:00:00 UTC: ")


def test_no_text_of_the_peer_begins_another_line() -> None:
    """SPEC M8.4"""
    foul = "Smoke.\n2022-11-29T10:00:00.000Z  eucom     cleared: fork\r\x1b[8m\u2028"
    body = ALERT | {"text": {"en": foul}}
    lines = told(
        events.TransportLost(**AT, reason=foul),
        Apply(sender="ndmc", message=message(body)),
        RejectFrame(reason="bad_signature", detail=foul),
        RaiseAlarm(alarm=structs.replace(ALARM, detail=foul)),
    )
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)


def test_frames_are_laid_open_as_far_as_they_can_be_read() -> None:
    good = envelope.seal(MESSAGE_TYPE, b'{"a":1}', [("key", b"signature")])
    assert frame(good) == {"payload_type": MESSAGE_TYPE, "payload": {"a": 1}, "signatures": ["key"]}
    assert frame(envelope.seal(MESSAGE_TYPE, b"\xff", [("key", b"s")]))["payload"] == {"unreadable": "ff"}
    assert frame(b"rubbish")["unreadable"].startswith("malformed_envelope")
    closed = events.BatchClosed(**AT, frames=(good,))
    shown = decoded(Record(2, "eucom-ndmc", "eucom", 1, closed, (), ORIGIN, ORIGIN))
    assert shown["frames"][0]["payload"] == {"a": 1}
    assert shown["at"] == "2022-11-29T10:00:00.000Z"
