"""Alarms: what each means and what to do, grouped by cause, in the four states of ISA-18.2."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from msgspec import UNSET, Struct

from endpoints.console.facts import Facts
from endpoints.console.frame import SEVERITY_LEVELS, Level
from endpoints.console.screen import Screen
from endpoints.console.screens.journal_notes import JournalNote, journal_notes
from endpoints.console.screens.moments import Moment, Moments
from endpoints.texts.alarm_guide import GUIDES, changed_keys, code_parts
from endpoints.texts.channels import channel_name
from endpoints.texts.i18n import Translator
from endpoints.texts.wording import age_warning
from protocol.core.alarms import Alarm, AlarmCode
from protocol.core.link_keys import WORDS_ASKED, KeyChange
from protocol.core.staleness import Staleness
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import Reference

GONE_MAX: Final = 10
"""How many alarms that are over and acknowledged are listed below: the history has all of them."""
_CAUSES: Final[Sequence[tuple[AlarmCode, frozenset[AlarmCode]]]] = (
    (AlarmCode.JOURNAL_FAILURE, frozenset(AlarmCode) - {AlarmCode.JOURNAL_FAILURE}),
    (
        AlarmCode.BROKER_UNREACHABLE,
        frozenset(
            {
                AlarmCode.HEARTBEAT_MISSED,
                AlarmCode.HEARTBEAT_UNRECEIPTED,
                AlarmCode.HEARTBEAT_UNANSWERED,
                AlarmCode.ALERT_UNACKNOWLEDGED,
                AlarmCode.PEER_DISCONNECTED,
                AlarmCode.BROKER_UNREACHABLE,
            }
        ),
    ),
    (
        AlarmCode.PEER_DISCONNECTED,
        frozenset({AlarmCode.HEARTBEAT_MISSED, AlarmCode.HEARTBEAT_UNRECEIPTED, AlarmCode.HEARTBEAT_UNANSWERED}),
    ),
)
"""What an alarm of a code brings about while it lasts."""
_NO_WORD: Final = re.compile(r"[^A-Za-z0-9_]")
AlarmState = Literal["new", "seen", "new_over"]


class AlarmRow(Struct, frozen=True, kw_only=True):
    """One alarm.

    Attributes:
        id: of its row: it has no letters that an address could not have.
        name: `code/subject`.
        state: new and active, acknowledged and active, or over and not acknowledged.
        word: the state in words.
        what, severity, meaning, detail: in words.
        todo: what to do: parts, each with whether it is a command.
        since, over, seen: when it was raised, ended, and acknowledged, by `seen_by`.
        warning: what makes the message that it is about old news.
        compare: of changed keys, the words that an officer compares; empty for others.
        words: of changed keys, the numbers of the words that an officer types; empty for others.
        open: whether an officer can acknowledge it here.
        message: the parts of the reference of the message that it is about; empty for none.
    """

    id: str
    name: str
    level: Level
    state: AlarmState
    word: str
    what: str
    severity: str
    meaning: tuple[tuple[str, bool], ...]
    todo: tuple[tuple[str, bool], ...]
    detail: str
    since: Moment
    over: Moment | None
    seen: Moment | None
    seen_by: str
    warning: str
    compare: str
    message: tuple[str, ...]
    words: tuple[int, ...] = ()
    open: bool = False


class AlarmGroup(Struct, frozen=True, kw_only=True):
    """An alarm, and those that it brings about, which `explains` counts in words."""

    cause: AlarmRow
    explains: str
    others: tuple[AlarmRow, ...]


class GoneAlarm(Struct, frozen=True, kw_only=True):
    """An alarm that is over and acknowledged."""

    name: str
    what: str
    since: Moment
    over: Moment | None
    seen_by: str


class AlarmsView(Struct, frozen=True, kw_only=True):
    """What the screen shows.

    Attributes:
        groups: the alarms of this side, the gravest first.
        new: how many nobody has acknowledged, in words.
        channels: the other channels, while a critical alarm lasts.
        watch: the alarms of the independent watch; None without one.
        gone: the last ones that are over and acknowledged, newest first.
        known: whether the endpoint has said what its alarms are.
        notes: what the journal lacks.
        next_due: the next line test, for a screen without alarms.
    """

    groups: tuple[AlarmGroup, ...]
    new: str
    channels: tuple[str, ...]
    watch: tuple[AlarmGroup, ...] | None
    gone: tuple[GoneAlarm, ...]
    known: bool
    notes: tuple[JournalNote, ...]
    next_due: Moment | None


def view(facts: Facts, query: Mapping[str, str], t: Translator) -> AlarmsView:
    """Return the alarms; from the journal while the endpoint has not said them."""
    del query
    moments = Moments(facts, t)
    ledger = None if facts.history is None else facts.history.ledger
    past = () if ledger is None else ledger.alarms
    alarms = [each for each in past if not each.finished] if facts.status is None else facts.status.alarms
    change = None if facts.status is None else facts.status.keys_changed or None
    watch = None if facts.watch is None or facts.watch.status is None else facts.watch.status.alarms
    critical = any(each.severity == "critical" and each.active for each in alarms)
    channels = facts.link.terms.policy.channels if critical else ()
    gone = [each for each in past if each.finished]
    new = sum(each.acknowledged_at is UNSET for each in alarms)
    return AlarmsView(
        groups=_groups(alarms, facts.now, t, moments, change),
        new=t.plural("{count} new alarm", "{count} new alarms", new),
        channels=tuple(channel_name(each, t) for each in channels),
        watch=None if watch is None else _groups(watch, facts.now, t, moments, None, "watch-"),
        gone=tuple(_gone(each, t, moments) for each in reversed(gone[-GONE_MAX:])),
        known=facts.status is not None,
        notes=journal_notes(facts, t),
        next_due=moments.maybe(None if facts.status is None else facts.status.next_slot),
    )


def _groups(
    alarms: Iterable[Alarm], now: Millis, t: Translator, moments: Moments, change: KeyChange | None, prefix: str = ""
) -> tuple[AlarmGroup, ...]:
    """Return alarms below their causes: new before acknowledged ones, the gravest first, then the newest."""
    ordered = sorted(alarms, key=lambda each: (_rank(each), -parsed(each.raised_at)))
    causes = {id(each): _cause_of(each, ordered) for each in ordered}
    rows = {id(each): _row(each, now, t, moments, change, prefix) for each in ordered}
    groups = []
    for each in ordered:
        if causes[id(each)] is None:
            others = tuple(rows[id(other)] for other in ordered if causes[id(other)] is each)
            explains = t.plural(
                "{count} alarm that this one explains", "{count} alarms that this one explains", len(others)
            )
            groups.append(AlarmGroup(cause=rows[id(each)], explains=explains, others=others))
    return tuple(groups)


def _rank(alarm: Alarm) -> tuple[bool, bool, int]:
    return (
        alarm.acknowledged_at is not UNSET,
        not alarm.active,
        ("critical", "major", "warning").index(alarm.severity),
    )


def _cause_of(alarm: Alarm, alarms: Iterable[Alarm]) -> Alarm | None:
    """Return the listed alarm that brings this one about; one that is itself brought about is no cause."""
    for code, effects in _CAUSES:
        if alarm.code not in effects:
            continue
        for each in alarms:
            if each is not alarm and each.code == code and each.code != alarm.code and _lasted(each, alarm):
                # the first cause of all
                return _cause_of(each, alarms) or each
    return None


def _lasted(cause: Alarm, alarm: Alarm) -> bool:
    """Return whether a cause lasted when an alarm was noticed."""
    begun = cause.raised_at <= alarm.detected_at
    return begun and (cause.cleared_at is UNSET or alarm.detected_at <= cause.cleared_at)


def _row(alarm: Alarm, now: Millis, t: Translator, moments: Moments, change: KeyChange | None, prefix: str) -> AlarmRow:
    guide = GUIDES.get(alarm.code)
    state: AlarmState = "new_over" if not alarm.active else "new" if alarm.acknowledged_at is UNSET else "seen"
    words = {
        "new": t("new: nobody has acknowledged it"),
        "seen": t("acknowledged; its cause lasts"),
        "new_over": t("over; nobody has acknowledged it"),
    }
    name, compare = f"{alarm.code}/{alarm.subject}", ""
    if change is not None and alarm.active and name == f"keys_changed/{change.subject}":
        compare = changed_keys(change.added, change.removed, change.fingerprint, t)
    return AlarmRow(
        id=prefix + _NO_WORD.sub("-", name),
        name=name,
        level=SEVERITY_LEVELS[alarm.severity],
        state=state,
        word=words[state],
        what=t.alarm(alarm.code, alarm.subject),
        severity=t.term("severity", alarm.severity),
        meaning=() if guide is None else tuple(code_parts(t.fixed(guide.meaning))),
        todo=() if guide is None else tuple(code_parts(t.fixed(guide.officer))),
        detail=t.say(alarm.detail, alarm.said or None),
        since=moments.of(alarm.raised_at),
        over=moments.maybe(alarm.cleared_at or None),
        seen=moments.maybe(alarm.acknowledged_at or None),
        seen_by=alarm.acknowledged_by or "",
        warning=age_warning(alarm.stale or Staleness(), t, now).removesuffix(": "),
        compare=compare,
        message=_message(alarm.subject),
        words=tuple(range(alarm.words_from, alarm.words_from + WORDS_ASKED)) if compare and alarm.words_from else (),
        open=not prefix and alarm.acknowledged_at is UNSET,
    )


def _message(subject: str) -> tuple[str, ...]:
    """Return the parts of the reference that a subject is, none for another subject."""
    try:
        reference = Reference.parse(subject)
    except ValueError:
        return ()
    return (reference.sender, str(reference.epoch), str(reference.seq))


def _gone(alarm: Alarm, t: Translator, moments: Moments) -> GoneAlarm:
    return GoneAlarm(
        name=f"{alarm.code}/{alarm.subject}",
        what=t.alarm(alarm.code, alarm.subject),
        since=moments.of(alarm.raised_at),
        over=moments.maybe(alarm.cleared_at or None),
        seen_by=alarm.acknowledged_by or "",
    )


SCREEN = Screen(name="alarms", title="Alarms", key="a", view=view)
