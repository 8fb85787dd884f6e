"""Describes journal records for people, in a line for each event and effect that matters to an officer.

A story is told as of its records: an alert is expired if it had expired when it arrived.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from endpoints.texts.i18n import Translator
from endpoints.texts.printable import one_line
from endpoints.texts.wording import age_warning, wording
from protocol.core import events
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
from protocol.record.journal import Checkpoint, Closed, Record
from protocol.wire.instants import Millis, parsed

Tone = Literal["plain", "said", "heard", "quiet", "bad", "good"]


class Told(NamedTuple):
    """One line of a story: when, who, what. `tone` selects its colour."""

    at: Millis
    who: str
    what: str
    tone: Tone


def story(record: Record, t: Translator) -> list[Told]:
    """Return the lines that describe `record`, in order; none for most ends of batches and deadlines."""
    told = [(record.side, what, tone) for what, tone in _event(record, t)]
    for effect in record.effects:
        line = _effect(record, effect, t)
        if line is not None:
            told.append(line)
    return [Told(record.entry.at, one_line(who), one_line(what), tone) for who, what, tone in told]


def _event(record: Record, t: Translator) -> list[tuple[str, Tone]]:
    match record.entry:
        case events.EpochOpened(terms=terms):
            return [(f"{t('epoch {epoch}', epoch=terms.epoch)}: {terms.caller} -> {terms.answering}", "quiet")]
        case events.Started(software=software):
            return [(t("started: {software}", software=software), "quiet")]
        case events.Stopped():
            return [(t("stopped"), "quiet")]
        case events.Resumed(since=since):
            return [(t("suspended since {when}", when=t.time(parsed(since), "UTC")), "bad")]
        case events.TransportConnected():
            return [(t("connected to the broker"), "quiet")]
        case events.TransportLost(reason=reason):
            return [(t("lost the connection to the broker: {reason}", reason=reason), "bad")]
        case events.PeerPresenceChanged(party=party, present=present):
            return [(f"{party}: {t.term('presence', 'present' if present else 'gone')}", "quiet")]
        case events.FramesSuppressed(reason=reason, count=count):
            return [(t("further frames refused ({reason}): {count}", count=count, reason=reason), "bad")]
        case events.CredentialsRefused(source=source, count=count):
            return [(t("wrong credentials of officers, from {source}: {count}", source=source, count=count), "bad")]
        case events.SinkFailed(sink=sink, why=why):
            return [(t("{sink} fails: {why}", sink=t.term("sink", sink), why=why), "bad")]
        case events.SinkReached(sink=sink):
            return [(t("{sink} works again", sink=t.term("sink", sink)), "quiet")]
        case events.CertificateSeen(whose=whose, ends_at=ends):
            return [(f"{t.term('certificate', whose)}: {t('valid until {when}', when=ends)}", "quiet")]
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
        case events.WordsChosen(test_text=test_text, answer_text=answer_text):
            words = " / ".join(text for text in (test_text, answer_text) if text) or t("those of the policy")
            return [(t("words of this side's line tests: {words}", words=words), "quiet")]
        case events.AlarmAcknowledged(officer=officer, code=code, subject=subject):
            alarm = f"{t.term('alarm', code)} ({subject})"
            return [(t("{officer} acknowledged the alarm: {alarm}", officer=officer, alarm=alarm), "plain")]
        case Checkpoint():
            return [(t("checkpoint"), "quiet")]
        case Closed():
            return [(t("journal closed"), "quiet")]
    return []


def _effect(record: Record, effect: AnyEffect, t: Translator) -> tuple[str, str, Tone] | None:
    side = record.side
    match effect:
        case Queue(message=message):
            return side, f"{message.seq}: {wording(message.body, t)}", "said"
        case Apply(sender=sender, message=message, refused=refused):
            at = record.entry.at
            stale = staleness(expiry(message.body), message.at, at, at)
            what = f"{age_warning(stale, t, at, arrived=at)}{message.seq}: {wording(message.body, t)}"
            if refused:
                return sender, f"{what} ({t.term('step', 'refused')}: {t.term('reason', refused)})", "bad"
            return sender, what, "heard"
        case HoldDraft(draft=draft):
            return side, t("draft/{draft} waits for a second officer", draft=draft), "plain"
        case ExpireDraft(draft=draft):
            return side, t("draft/{draft} expired; nothing was sent", draft=draft), "bad"
        case Settle(upto=upto):
            return side, t("received the receipt for messages up to {seq}", seq=upto), "quiet"
        case RejectFrame(reason=reason, detail=detail):
            return side, t("a frame was refused: {reason}", reason=f"{reason} {detail}".strip()), "bad"
        case RaiseAlarm(alarm=alarm):
            detail = f": {alarm.detail}" if alarm.detail else ""
            warning = age_warning(alarm.stale or Staleness(), t, record.entry.at)
            return side, f"{warning}{t.term('alarm', alarm.code)} ({alarm.subject}){detail}", "bad"
        case ClearAlarm(code=code, subject=subject):
            return side, t("cleared: {alarm}", alarm=f"{t.term('alarm', code)} ({subject})"), "good"
    return None
