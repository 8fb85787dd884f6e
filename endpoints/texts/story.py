"""Describes journal records for people, in a line for each event and effect that matters to an officer.

A story is told as of its records: an alert is expired if it had expired when it arrived.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from endpoints.texts.i18n import Translator
from endpoints.texts.printable import one_line
from endpoints.texts.wording import age_warning, session_began, session_ended, wording
from protocol.core import events, start_events
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
from protocol.core.staleness import Staleness, expiry, staleness
from protocol.record.happenings import DIGITS
from protocol.record.journal import Checkpoint, Closed, Record
from protocol.record.terms_history import TermsHistory
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import Message, Precedence

Tone = Literal["plain", "said", "heard", "quiet", "bad", "good"]


class Told(NamedTuple):
    """One line of a story: when, who, what. `tone` selects its colour; `kind` says what it is about, for limits."""

    at: Millis
    who: str
    what: str
    tone: Tone
    kind: str


_KINDS = frozenset((*get_args(Precedence), "heartbeat", "heartbeat_answer", "acknowledgement", "refusal"))
"""What messages are told apart by."""


class Storyteller:
    """Describes the records of one journal, in order: it knows the epoch, which most records do not name."""

    def __init__(self, t: Translator, epoch: int = 0) -> None:
        """Begin a story.

        Args:
            t: the language.
            epoch: the epoch of the records before the first one that is described; 0 if it is not known.
        """
        self._t = t
        self._terms = TermsHistory()
        self._epoch = epoch

    def tell(self, record: Record) -> list[Told]:
        """Return the lines that describe `record`, in order; none for most ends of batches and deadlines."""
        if isinstance(record.entry, start_events.EpochOpened | Checkpoint) and self._terms.take(record):
            self._epoch = self._terms.terms.epoch if self._terms.terms else self._epoch
        t, told = self._t, []
        for what, tone in _event(record, t):
            told.append((record.side, what, tone, type(record.entry).__name__))
        for effect in record.effects:
            line = _effect(record, effect, t, self._epoch)
            if line is not None:
                told.append((*line, _kind(effect)))
        return [Told(record.entry.at, one_line(who), one_line(what), tone, kind) for who, what, tone, kind in told]


def _kind(effect: AnyEffect) -> str:
    """Return what a line about an effect is about: alarms by their code, messages by their precedence."""
    detail: object = ""
    match effect:
        case RaiseAlarm(alarm=alarm):
            detail = alarm.code
        case ClearAlarm(code=code):
            detail = code
        case Queue(message=message) | Apply(message=message):
            # only words that we know: the peer cannot invent kinds
            known = (message.body.get(name) for name in ("precedence", "type"))
            detail = next((each for each in known if isinstance(each, str) and each in _KINDS), "")
    return f"{type(effect).__name__} {detail}"


def _reference(sender: str, epoch: int, message: Message) -> str:
    """Return a message's reference; where the records do not say the epoch, with a question mark for it."""
    return f"{sender}/{epoch or '?'}/{message.seq}"


def _event(record: Record, t: Translator) -> list[tuple[str, Tone]]:
    match record.entry:
        case start_events.EpochOpened(terms=terms):
            return [(f"{t('epoch {epoch}', epoch=terms.epoch)}: {terms.caller} -> {terms.answering}", "quiet")]
        case events.Started(software=software):
            return [(t("started: {software}", software=software), "quiet")]
        case events.Stopped():
            return [(t("stopped"), "quiet")]
        case events.Resumed(since=since):
            return [(t("suspended since {when}", when=f"{t.time(parsed(since), 'UTC')} UTC"), "bad")]
        case events.TransportConnected():
            return [(t("connected to the broker"), "quiet")]
        case events.TransportLost(reason=reason):
            return [(t("lost the connection to the broker: {reason}", reason=reason), "bad")]
        case events.PeerPresenceChanged(party=party, present=present):
            if present:
                return [(t("{party} is present at the broker", party=party), "quiet")]
            return [(t("{party} is no longer present at the broker", party=party), "bad")]
        case events.FramesSuppressed(reason=reason, count=count):
            return [(t("further frames refused ({reason}): {count}", count=count, reason=reason), "bad")]
        case events.CredentialsRefused(source=source, count=count):
            return [(t("wrong credentials of officers, from {source}: {count}", source=source, count=count), "bad")]
        case events.SinkFailed(sink=sink, why=why):
            return [(t("{sink} fails: {why}", sink=t.term("sink", sink), why=why), "bad")]
        case events.SinkReached(sink=sink):
            return [(t("{sink} works again", sink=t.term("sink", sink)), "quiet")]
        case events.ListenersMissing():
            return [(t("no screen of a console has its sound on"), "bad")]
        case events.ListenersBack():
            return [(t("a screen of a console has its sound on, or none is expected to"), "quiet")]
        case events.CertificateSeen(whose=whose, ends_at=ends):
            when = f"{t.instant(parsed(ends), 'UTC')} UTC"
            return [(f"{t.term('certificate', whose)}: {t('valid until {when}', when=when)}", "quiet")]
        case events.PublishRefused(reason=reason):
            return [(t("the broker refused a frame: {reason}", reason=reason), "bad")]
        case events.OfficerReleased(officer=officer, draft=draft):
            return [(t("{officer} released draft/{draft}", officer=officer, draft=draft), "plain")]
        case events.OfficerCancelled(officer=officer, draft=draft) if draft:
            return [(t("{officer} discarded draft/{draft}", officer=officer, draft=draft), "plain")]
        case events.WatchTaken(officer=officer, relieves=relieves):
            if relieves:
                return [(t("{officer} took the watch from {other}", officer=officer, other=relieves), "plain")]
            return [(t("{officer} took the watch", officer=officer), "plain")]
        case events.WatchLeft(officer=officer, why=why):
            return [(t("{officer} left the watch: {why}", officer=officer, why=why), "plain")]
        case events.SessionBegan(session=session, role=role, officer=officer):
            return [(session_began(t, session, role, officer or ""), "plain")]
        case events.SessionEnded(session=session, role=role, officer=officer, why=why):
            return [(session_ended(t, session, role, officer or "", why), "plain")]
        case start_events.WordsChosen(test_text=test_text, answer_text=answer_text):
            words = " / ".join(text for text in (test_text, answer_text) if text) or t("those of the policy")
            return [(t("words of this side's line tests: {words}", words=words), "quiet")]
        case start_events.LinkConfirmed(officer=officer, compared_at=compared_at, digest=digest):
            when = f"{t.instant(parsed(compared_at), 'UTC')} UTC"
            said = t(
                "{officer} compared the link file {digits} with the other side's at {when}: equal",
                officer=officer,
                digits=digest[:DIGITS],
                when=when,
            )
            return [(said, "plain")]
        case start_events.JournalRestored(restored_at=restored_at, records=count):
            when = f"{t.instant(parsed(restored_at), 'UTC')} UTC"
            return [(t("journal restored at {when} from a copy of {count} records", when=when, count=count), "bad")]
        case events.AlarmAcknowledged(officer=officer, code=code, subject=subject):
            alarm = f"{t.alarm(code, subject)} ({subject})"
            return [(t("{officer} acknowledged the alarm: {alarm}", officer=officer, alarm=alarm), "plain")]
        case Checkpoint():
            return [(t("checkpoint"), "quiet")]
        case Closed():
            return [(t("journal closed"), "quiet")]
    return []


def _effect(record: Record, effect: AnyEffect, t: Translator, epoch: int) -> tuple[str, str, Tone] | None:
    side = record.side
    match effect:
        case Queue(message=message):
            reference = f"{_reference(side, epoch, message)}{_authors(record, message)}"
            return side, f"{reference}: {wording(message.body, t)}", "said"
        case Apply(sender=sender, message=message, refused=refused):
            at = record.entry.at
            stale = staleness(expiry(message.body), message.at, at, at)
            reference = f"{_reference(sender, epoch, message)}{_authors(record, message)}"
            what = f"{age_warning(stale, t, at, arrived=at)}{reference}: {wording(message.body, t)}"
            if refused:
                return sender, f"{what} ({t.term('step', 'refused')}: {t.term('reason', refused)})", "bad"
            return sender, what, "heard"
        case HoldDraft(draft=draft):
            waits = t("draft/{draft} waits for a second officer", draft=draft)
            if isinstance(record.entry, events.OfficerRaisedAlert):
                waits = f"{waits} ({t('written by')}: {record.entry.officer})"
            return side, waits, "plain"
        case ExpireDraft(draft=draft):
            return side, t("draft/{draft} expired; nothing was sent", draft=draft), "bad"
        case Settle(upto=upto):
            reference = f"{side}/{epoch or '?'}/{upto}"
            return side, t("received the receipt for messages up to {reference}", reference=reference), "quiet"
        case RejectFrame(reason=reason, detail=detail):
            return side, t("a frame was refused: {reason}", reason=f"{reason} {detail}".strip()), "bad"
        case RaiseAlarm(alarm=alarm):
            detail = f": {t.say(alarm.detail, alarm.said or None)}" if alarm.detail else ""
            warning = age_warning(alarm.stale or Staleness(), t, record.entry.at)
            return side, f"{warning}{t.alarm(alarm.code, alarm.subject)} ({alarm.subject}){detail}", "bad"
        case ClearAlarm(code=code, subject=subject):
            return side, t("cleared: {alarm}", alarm=f"{t.alarm(code, subject)} ({subject})"), "good"
    return None


def _authors(record: Record, message: Message) -> str:
    """Return, in brackets, the officers who sent an alert, or who placed a line test; other messages name theirs."""
    named = message.body.get("released_by")
    if isinstance(record.entry, events.LineTestRequested):
        named = [record.entry.officer] if record.entry.officer else None
    return f" ({', '.join(map(str, named))})" if isinstance(named, list | tuple) else ""
