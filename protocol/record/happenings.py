"""Lists what a journal records, one entry for each step of a message and each fact about the line.

The ledger makes the list while it folds the journal. A timeline merges the lists of several journals.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

from msgspec import UNSET, Struct, structs

from protocol.core import events, start_events
from protocol.core.alarms import Alarm
from protocol.core.effects import (
    AnyEffect,
    ClearAlarm,
    ExpireDraft,
    HoldDraft,
    Notify,
    RaiseAlarm,
    RejectFrame,
)
from protocol.phrases import Said
from protocol.record.journal import OWN_ENTRIES, Record
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import Identifier, Reference, Utc
from protocol.wire.policy import EnrolledKey

DIGITS = 16
"""How many digits of a link file's digest name it."""

MessageStep = Literal["queued", "sent", "received", "refused", "receipt_sent", "receipted"]
"""`refused`: by the receiver's service, on arrival. `receipt_sent`: by the receiver."""
What = Literal[
    "queued",
    "sent",
    "received",
    "refused",
    "receipt_sent",
    "receipted",
    "draft_held",
    "draft_released",
    "draft_discarded",
    "draft_expired",
    "notified",
    "notice_delivered",
    "notice_failed",
    "alarm_raised",
    "alarm_acknowledged",
    "alarm_cleared",
    "started",
    "stopped",
    "blind",
    "clock_set",
    "connected",
    "disconnected",
    "presence",
    "epoch_opened",
    "keys_enrolled",
    "keys_changed",
    "officers_enrolled",
    "words_chosen",
    "link_confirmed",
    "journal_restored",
    "watch_taken",
    "watch_left",
    "session_began",
    "session_ended",
    "frame_refused",
    "publish_refused",
    "identity_taken_over",
    "credentials_refused",
    "certificate_seen",
    "sink_failed",
    "sink_reached",
    "listeners_missing",
    "listeners_back",
    "space_low",
    "space_ok",
]
BlindCause = Literal["not_running", "suspended", "clock_set", "restored"]
_LAST_MS: Millis = 253_402_300_799_999
"""The last instant that can be written."""
MESSAGE_STEPS = frozenset(get_args(MessageStep))


class Happening(Struct, frozen=True, kw_only=True):
    """One step of a message, or one fact about the line, as one journal records it."""

    what: What
    # when the journal recorded it, by its own clock; the number of its record
    at: Utc
    record: int
    # the message, draft, alarm (`code/subject`), party, epoch, slot or sink that it is about
    subject: str = ""
    # the officer who acted, `service` if it was the service; empty where nobody acts
    officer: str = ""
    # of `blind`, its beginning; of `alarm_raised`, the deadline that was missed; of `clock_set`, the time before it
    since: Utc | None = None
    # what else the record says, such as a reason
    detail: str = ""
    # what `detail` was made from, for views in other languages
    said: Said | None = None


class Happenings:
    """The list of one journal, in the order of its records.

    Attributes:
        listed: the entries so far.
    """

    def __init__(self) -> None:
        self.listed: list[Happening] = []
        # when the service was last at work
        self._worked_at: Millis | None = None
        # the start that is being recorded goes on from a copy, which lacks what the service did afterwards
        self._restored = False
        # the reference or alarm that each notification is about, until it is done
        self._notices: dict[str, str] = {}

    def step(self, record: Record, step: MessageStep, reference: Reference, detail: str = "") -> None:
        """Add a step of a message."""
        officer = _author(record) if step == "queued" else ""
        self.listed.append(_happening(record, step, reference, officer=officer, detail=detail))

    def take(self, record: Record) -> None:
        """Add what the event of a record says, apart from steps of messages. Its effects follow."""
        self.listed += [*self._service(record), *self._surroundings(record), *_officers(record)]
        if at_work(record):
            self._worked_at = record.entry.at

    def effect(self, record: Record, effect: AnyEffect) -> None:
        """Add what an effect of a record says, apart from steps of messages."""
        self.listed += self._effect(record, effect)

    def _service(self, record: Record) -> Iterator[Happening]:
        """Yield what befell the service, its settings and its clock."""
        match record.entry:
            case start_events.EpochOpened(terms=terms):
                yield _happening(record, "epoch_opened", terms.epoch, detail=f"{terms.caller} -> {terms.answering}")
            case start_events.KeysEnrolled(keys=keys):
                yield _happening(record, "keys_enrolled", detail=_key_ids(keys))
            case start_events.KeysChanged(keys=keys):
                yield _happening(record, "keys_changed", detail=_key_ids(keys))
            case start_events.OfficersEnrolled(officers=officers):
                yield _happening(record, "officers_enrolled", detail=", ".join(sorted(officers)))
            case start_events.WordsChosen(test_text=test_text, answer_text=answer_text):
                words = " / ".join(each for each in (test_text, answer_text) if each)
                yield _happening(record, "words_chosen", detail=words)
            case start_events.LinkConfirmed(officer=officer, digest=digest, compared_at=compared_at):
                yield _happening(record, "link_confirmed", digest[:DIGITS], officer=officer, detail=compared_at)
            case start_events.JournalRestored(restored_at=restored_at, records=records):
                self._restored = True
                yield _happening(record, "journal_restored", records, detail=restored_at)
            case events.Started(software=software, tzdata=tzdata):
                yield from _blind(record, self._worked_at, "restored" if self._restored else "not_running")
                self._restored = False
                yield _happening(record, "started", detail=f"{software}, tzdata {tzdata}")
            case events.Stopped():
                yield _happening(record, "stopped")
            case events.Resumed(since=since):
                yield from _blind(record, parsed(since), "suspended")
            case events.ClockStepped(at=at, step_ms=step):
                yield _happening(record, "clock_set", since=_at(at - step), detail=f"{step / 1_000:+.3f} s")
                if step > 0:
                    yield from _blind(record, at - step, "clock_set")
            case _:
                return

    def _surroundings(self, record: Record) -> Iterator[Happening]:
        """Yield what the service met: the broker, the peer's presence, its disk, and those it reports to."""
        match record.entry:
            case events.TransportConnected():
                yield _happening(record, "connected")
            case events.TransportLost(reason=reason, said=said):
                yield structs.replace(_happening(record, "disconnected", detail=reason), said=said or None)
            case events.PeerPresenceChanged(party=party, present=present):
                yield _happening(record, "presence", party, detail="present" if present else "gone")
            case events.NotificationDone(id=notice, delivered=delivered):
                about = self._notices.pop(notice, notice)
                yield _happening(record, "notice_delivered" if delivered else "notice_failed", about)
            case events.FramesSuppressed(reason=reason, count=count):
                yield _happening(record, "frame_refused", count, detail=reason)
            case events.PublishRefused(channel=channel, reason=reason):
                yield _happening(record, "publish_refused", channel, detail=reason)
            case events.IdentityTakenOver(times=times):
                yield _happening(record, "identity_taken_over", times)
            case events.CertificateSeen(whose=whose, ends_at=ends):
                yield _happening(record, "certificate_seen", whose, detail=ends)
            case events.SinkFailed(sink=sink, why=why, said=said):
                yield structs.replace(_happening(record, "sink_failed", sink, detail=why), said=said or None)
            case events.SinkReached(sink=sink):
                yield _happening(record, "sink_reached", sink)
            case events.ListenersMissing():
                yield _happening(record, "listeners_missing")
            case events.ListenersBack():
                yield _happening(record, "listeners_back")
            case events.SpaceLow(free_bytes=free):
                yield _happening(record, "space_low", detail=free)
            case events.SpaceOk(free_bytes=free):
                yield _happening(record, "space_ok", detail=free)
            case _:
                return

    def _effect(self, record: Record, effect: AnyEffect) -> Iterator[Happening]:
        match effect:
            case HoldDraft(draft=draft):
                # held again after its expiry, if the clock was set back: nobody acts
                officer = _author(record) if isinstance(record.entry, events.OfficerRaisedAlert) else ""
                yield _happening(record, "draft_held", f"draft/{draft}", officer=officer)
            case ExpireDraft(draft=draft):
                yield _happening(record, "draft_expired", f"draft/{draft}")
            case RejectFrame(reason=reason, detail=detail):
                yield _happening(record, "frame_refused", 1, detail=f"{reason}: {detail}" if detail else reason)
            case RaiseAlarm(alarm=alarm):
                yield _raised(record, alarm)
            case ClearAlarm(code=code, subject=subject):
                yield _happening(record, "alarm_cleared", f"{code}/{subject}")
            case Notify():
                about = self._notices[effect.id] = _about(effect)
                yield _happening(record, "notified", about, detail=_notice_detail(effect))
            case _:
                return


def at_work(record: Record) -> bool:
    """Return whether a record shows that the service watched: not one that belongs to its start, or to the journal."""
    return type(record.entry) not in start_events.BEFORE_STARTED | OWN_ENTRIES


def _officers(record: Record) -> Iterator[Happening]:
    """Yield what officers did without a message."""
    match record.entry:
        case events.AlarmAcknowledged(officer=officer, code=code, subject=subject):
            yield _happening(record, "alarm_acknowledged", f"{code}/{subject}", officer=officer)
        case events.WatchTaken(officer=officer, relieves=relieves):
            yield _happening(record, "watch_taken", officer=officer, detail=relieves or "")
        case events.WatchLeft(officer=officer, why=why):
            yield _happening(record, "watch_left", officer=officer, detail=why)
        case events.SessionBegan(session=session, role=role, officer=officer):
            yield _happening(record, "session_began", session, officer=officer or "", detail=role)
        case events.SessionEnded(session=session, role=role, officer=officer, why=why):
            yield _happening(record, "session_ended", session, officer=officer or "", detail=f"{role}: {why}")
        case events.OfficerReleased(officer=officer, draft=draft):
            yield _happening(record, "draft_released", f"draft/{draft}", officer=officer)
        case events.OfficerCancelled(officer=officer, draft=draft) if draft is not UNSET:
            yield _happening(record, "draft_discarded", f"draft/{draft}", officer=officer)
        case events.CredentialsRefused(source=source, count=count):
            yield _happening(record, "credentials_refused", count, detail=source)
        case _:
            return


def _blind(record: Record, since: Millis | None, cause: BlindCause) -> Iterator[Happening]:
    """Yield the absence that a record ends, unless it is the journal's first start."""
    if since is not None and since < record.entry.at:
        yield _happening(record, "blind", since=_at(since), detail=cause)


def _at(instant: Millis) -> Utc:
    """Return an instant that a step of the clock implies. A forged step could lead out of the calendar."""
    return written(min(max(instant, 0), _LAST_MS))


def _happening(
    record: Record,
    what: What,
    subject: object = "",
    *,
    officer: str = "",
    since: Utc | None = None,
    detail: object = "",
) -> Happening:
    return Happening(
        what=what,
        at=written(record.entry.at),
        record=record.n,
        subject=str(subject),
        officer=officer,
        since=since,
        detail=str(detail),
    )


def _raised(record: Record, alarm: Alarm) -> Happening:
    return Happening(
        what="alarm_raised",
        at=written(record.entry.at),
        record=record.n,
        subject=f"{alarm.code}/{alarm.subject}",
        since=alarm.raised_at,
        detail=alarm.detail,
        said=alarm.said or None,
    )


def _about(notice: Notify) -> str:
    """Return what a notification is about: an alarm, a message or a slot."""
    if notice.alarm is not UNSET:
        return f"{notice.alarm.code}/{notice.alarm.subject}"
    return str(notice.slot or notice.reference or notice.id)


def _notice_detail(notice: Notify) -> str:
    """Return `over` for an alarm that is, how often the same was notified before, or nothing."""
    if notice.alarm is not UNSET and not notice.alarm.active:
        return "over"
    return str(notice.repeat) if notice.repeat else ""


def _author(record: Record) -> str:
    """Return the officer whose request a record is; `service` for any other record."""
    return getattr(record.entry, "officer", UNSET) or "service"


def _key_ids(keys: dict[Identifier, tuple[EnrolledKey, ...]]) -> str:
    return "; ".join(f"{party}: {', '.join(key.id for key in each)}" for party, each in sorted(keys.items()))
