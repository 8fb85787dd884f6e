"""Puts what a journal records into words, in one line for each happening: for timelines and consoles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from endpoints.texts.i18n import Translator
from endpoints.texts.printable import one_line
from endpoints.texts.wording import age_warning, session_began, session_ended, utc
from protocol.core.alarms import AlarmCode
from protocol.core.staleness import expiry, staleness
from protocol.record.happenings import MESSAGE_STEPS, Happening
from protocol.record.ledger_entries import SERVICE
from protocol.wire.instants import parsed
from protocol.wire.messages import Reference, Utc

_ALARMS = frozenset(code.value for code in AlarmCode)


class RecordedMessage(Protocol):
    """What is needed of a message: of a ledger's entry, or of its path through several journals."""

    @property
    def kind(self) -> str:
        """`alert`, `heartbeat`, ..."""

    @property
    def body(self) -> dict[str, Any]:
        """The body, as its sender wrote it."""

    @property
    def at(self) -> Utc:
        """When it was sent, by its sender's clock."""


class HappeningWords:
    """Words for the happenings of one link, whose messages are known."""

    def __init__(self, messages: Mapping[Reference, RecordedMessage], t: Translator) -> None:
        self._messages = messages
        self._t = t

    def what(self, happening: Happening) -> str:
        """Return what a happening says, in one line."""
        if happening.what in MESSAGE_STEPS:
            return one_line(self._step(happening))
        return one_line(self._fact(happening))

    def _step(self, row: Happening) -> str:
        t = self._t
        path = self._messages.get(Reference.parse(row.subject))
        kind = t.term("kind", path.kind if path else "unknown")
        step = t.term("happening", row.what)
        who = f", {self._officer(row.officer)}" if row.officer else ""
        why = f": {t.term('reason', row.detail)}" if row.detail else ""
        old = self._old(path, row) if path and row.what == "received" else ""
        return f"{old}{kind} {row.subject}: {step}{who}{why}"

    def _old(self, path: RecordedMessage, row: Happening) -> str:
        """Return what made a message old news when it arrived (SPEC M8.4)."""
        arrived = parsed(row.at)
        return age_warning(staleness(expiry(path.body), path.at, arrived, arrived), self._t, arrived)

    def _fact(self, row: Happening) -> str:
        t = self._t
        subject, draft = row.subject, row.subject.removeprefix("draft/")
        detail = t.say(row.detail, row.said)
        match row.what:
            case "draft_held":
                said = t("draft/{draft} waits for a second officer", draft=draft)
                return f"{said} ({t('written by')} {row.officer})" if row.officer else said
            case "draft_released":
                return t("{officer} released draft/{draft}", officer=row.officer, draft=draft)
            case "draft_discarded":
                return t("{officer} discarded draft/{draft}", officer=row.officer, draft=draft)
            case "draft_expired":
                return t("draft/{draft} expired; nothing was sent", draft=draft)
            case "notified":
                said = t("notified the officers: {about}", about=self._about(subject))
                if detail:
                    said += f" ({t('over') if detail == 'over' else t('repeat {count}', count=detail)})"
                return said
            case "notice_delivered":
                return t("the notification has arrived: {about}", about=self._about(subject))
            case "notice_failed":
                return t("the notification reached nobody: {about}", about=self._about(subject))
            case "alarm_raised":
                return f"{t('ALARM')}: {self._about(subject)}{': ' if detail else ''}{detail}"
            case "alarm_acknowledged":
                return t("{officer} acknowledged the alarm: {alarm}", officer=row.officer, alarm=self._about(subject))
            case "alarm_cleared":
                return t("cleared: {alarm}", alarm=self._about(subject))
            case "blind":
                since = utc(row.since or row.at)
                return t("nobody watched from {when} until now: {why}", when=since, why=t.term("line", detail))
            case "presence":
                return f"{subject}: {t.term('presence', detail)}"
            case "epoch_opened":
                return f"{t('epoch {epoch}', epoch=subject)}: {detail}"
            case "link_confirmed":
                return t(
                    "{officer} compared the link file {digits} with the other side's at {when}: equal",
                    officer=row.officer,
                    digits=subject,
                    when=detail,
                )
            case "journal_restored":
                return t("journal restored at {when} from a copy of {count} records", when=detail, count=subject)
            case "watch_taken" if detail:
                return t("{officer} took the watch from {other}", officer=row.officer, other=detail)
            case "watch_taken":
                return t("{officer} took the watch", officer=row.officer)
            case "watch_left":
                return t("{officer} left the watch: {why}", officer=row.officer, why=detail)
            case "session_began":
                return session_began(t, subject, detail, row.officer)
            case "session_ended":
                role, _, why = detail.partition(": ")
                return session_ended(t, subject, role, row.officer, why)
            case "listeners_missing":
                return t("no screen of a console has its sound on")
            case "listeners_back":
                return t("a screen of a console has its sound on, or none is expected to")
            case "frame_refused" | "credentials_refused" | "identity_taken_over":
                said = t.term("happening", row.what)
                return f"{said} ({subject}){': ' if detail else ''}{detail}"
            case "certificate_seen":
                return f"{t.term('certificate', subject)}: {t('valid until {when}', when=detail)}"
            case "sink_failed":
                return t("{sink} fails: {why}", sink=t.term("sink", subject), why=detail)
            case "sink_reached":
                return t("{sink} works again", sink=t.term("sink", subject))
            case _:
                said = t.term("happening", row.what)
                return f"{said}{': ' if detail else ''}{detail}"

    def _officer(self, officer: str) -> str:
        return self._t("the service") if officer == SERVICE else officer

    def _about(self, subject: str) -> str:
        """Return what a notification is about: an alarm in words, a message, or the time of a slot."""
        t = self._t
        code, _, rest = subject.partition("/")
        return f"{t.alarm(code, rest)} ({rest})" if code in _ALARMS else subject
