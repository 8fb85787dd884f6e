"""The board: the whole link at one glance, for the duty officer and for a wall display. The worst speaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import UNSET, Struct
from msgspec.structs import replace

from endpoints.clocks import slots
from endpoints.console.facts import Facts
from endpoints.console.frame import LEVELS, SEVERITY_LEVELS, Level, duration_words, until_words
from endpoints.console.screen import EVERYBODY, Screen
from endpoints.console.screens.drafts import flash_waits
from endpoints.console.screens.message_card import BARS
from endpoints.console.screens.slot_marks import TEST_LEVELS, SlotMark, slot_marks
from endpoints.control.open_items import OpenItem, WaitingDraft, slot_to_place
from endpoints.texts.i18n import Translator
from protocol.core.alarms import Alarm
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import Utc

ROWS_MAX = 5


class Line(Struct, frozen=True, kw_only=True):
    """One line of a card: how urgent it is, in words; when it ends or began, if it has a clock that runs."""

    level: Level
    text: str
    until: Utc | None = None
    since: Utc | None = None
    clock: str = ""


class BoardAlarm(Struct, frozen=True, kw_only=True):
    """One alarm."""

    id: str
    level: Level
    name: str
    subject: str
    # new: nobody has acknowledged it; over: what it is about has ended
    new: bool
    over: bool
    since: Utc
    clock: str
    who: str


class OpenRow(Struct, frozen=True, kw_only=True):
    """One alert, line test or draft that waits for an officer."""

    id: str
    # the screen that shows it
    screen: str
    reference: str
    name: str
    bars: int
    category: str
    # whether an officer here has to act
    here: bool
    direction: str
    due: str
    due_at: Utc | None
    left: str
    overdue: bool


class BoardView(Struct, frozen=True, kw_only=True):
    """What the board shows.

    Attributes:
        reasons: why the link is not fine, alarms apart.
        outgoing, incoming: the two directions, each for itself.
        peer: the other party's id.
        next_at: the local times of the next line test at each site, UTC first; empty without one.
        test_lines: the countdown and the last test.
        alarms, alarms_new, alarms_more: the first rows, how many are new, how many are left out; so for `open`.
        drafts_count: how many of what is open are drafts.
        watch: what the independent watch says; empty without one.
        slots: the last slots, the oldest first.
        legend: what each of their marks means.
    """

    reasons: tuple[Line, ...]
    outgoing: tuple[Line, ...]
    incoming: tuple[Line, ...]
    peer: str
    next_at: tuple[tuple[str, str], ...]
    test_lines: tuple[Line, ...]
    alarms: tuple[BoardAlarm, ...]
    alarms_count: int
    alarms_new: int
    open: tuple[OpenRow, ...]
    open_count: int
    drafts_count: int
    watch: tuple[Line, ...]
    slots: tuple[SlotMark, ...]
    legend: tuple[tuple[Level, str], ...]


def view(facts: Facts, query: Mapping[str, str], t: Translator) -> BoardView:
    """Return the board."""
    del query
    status = facts.status
    alarms = () if status is None else status.alarms
    waiting = [] if status is None else [*_open_rows(facts, t)]
    return BoardView(
        reasons=(*_nobody(facts, t), *reasons_of(facts, t)),
        outgoing=_proven(_outgoing(facts, t), facts),
        incoming=_proven(_incoming(facts, t), facts),
        peer=_peer(facts),
        next_at=tuple(_next_at(facts, t)),
        test_lines=_proven(_test_lines(facts, t), facts),
        alarms=tuple(_alarm_row(each, facts.now, t) for each in sorted(alarms, key=_urgency)[:ROWS_MAX]),
        alarms_count=len(alarms),
        alarms_new=sum(each.acknowledged_by is UNSET for each in alarms),
        open=tuple(waiting[:ROWS_MAX]),
        open_count=len(waiting),
        drafts_count=0 if status is None else len(status.drafts),
        watch=tuple(_watch(facts, t)),
        slots=tuple(slot_marks(facts, t)),
        legend=(
            ("normal", t("met, and answered in time")),
            ("standby", t("still waiting")),
            ("serious", t("the test or its answer was late")),
            ("critical", t("not met, or not answered in time")),
            ("unknown", t("unknown: nobody watched, or replaced")),
        ),
    )


def _proven(lines: Iterator[Line], facts: Facts) -> tuple[Line, ...]:
    """Return the lines. While the endpoint does not answer, none of them is shown as proven now."""
    unknown = not facts.condition.current
    return tuple(replace(line, level="unknown") if unknown and line.level == "normal" else line for line in lines)


def _peer(facts: Facts) -> str:
    parties = (facts.link.terms.caller, facts.link.terms.answering)
    return next((party for party in parties if party != facts.side), parties[-1])


def _nobody(facts: Facts, t: Translator) -> Iterator[Line]:
    """Yield that nobody has the watch: then nobody answers for what the link reports."""
    if facts.has_officers and facts.snapshot is not None and facts.snapshot.on_watch is None:
        yield Line(level="serious", text=t("nobody has the watch: no officer answers for what this link reports"))


def reasons_of(facts: Facts, t: Translator) -> Iterator[Line]:
    """Yield why the link is not fine, and what waits for too long; what cards and banners say already is left out."""
    for each in () if facts.status is None else facts.status.reasons:
        if each.code not in {"alarm", "warning", "not_connected"}:
            yield Line(level=LEVELS[each.state], text=t.say(each.text, each.said or None))
    for draft in () if facts.status is None else facts.status.drafts:
        if flash_waits(draft.precedence, draft.at, facts.now):
            text = t("{draft}: a flash alert waits for its release by a second officer", draft=draft.draft)
            yield _since("serious", text, draft.at, facts.now)


def _outgoing(facts: Facts, t: Translator) -> Iterator[Line]:
    status, snapshot = facts.status, facts.snapshot
    if status is None:
        yield Line(level="unknown", text=t("not known"))
        return
    broker = facts.broker
    up = broker == "connected"
    levels: dict[str, Level] = {"connected": "normal", "disconnected": "critical"}
    text = t("broker: {state}", state=t.term("connection", broker))
    if facts.condition.state == "replayed" and not up:
        text = t("{what}; last recorded: {state}", what=text, state=t.term("connection", status.broker))
    yield Line(level=levels.get(broker, "unknown"), text=text)
    ours = None if snapshot is None else snapshot.ours
    if ours is not None and ours.stopped:
        yield Line(level="critical", text=t("stopped: {why}", why=ours.stopped))
    elif ours is not None and not ours.waiting and not ours.in_flight:
        text = t("all {count} receipted", count=ours.last) if ours.last else t("nothing sent yet")
        yield Line(level="normal" if ours.last else "unknown", text=text)
    elif ours is not None:
        count = ours.waiting + ours.in_flight
        text = t("{count} of {all} not receipted", count=count, all=ours.last)
        yield _since("standby" if up else "serious", text, ours.oldest_at, facts.now)
    party = facts.presence.get(_peer(facts))
    state = "unknown" if party is None or not facts.condition.current else party.state
    level: Level = {"present": "normal", "gone": "serious"}.get(state, "unknown")  # type: ignore[assignment]
    yield Line(level=level, text=t("peer: {state} (a hint)", state=t.term("presence", state)))


def _present(facts: Facts) -> bool:
    party = facts.presence.get(_peer(facts))
    return facts.condition.state == "live" and party is not None and party.state == "present"


def _incoming(facts: Facts, t: Translator) -> Iterator[Line]:
    status, snapshot = facts.status, facts.snapshot
    if status is None:
        yield Line(level="unknown", text=t("not known"))
        return
    if status.last_signed_at is None:
        yield Line(level="unknown", text=t("nothing signed by the other side yet"))
    else:
        yield _since(
            "normal" if _present(facts) else "unknown",
            t("last signed word {time} UTC", time=_day_time(status.last_signed_at, facts.now, t)),
            status.last_signed_at,
            facts.now,
        )
    theirs = None if snapshot is None else snapshot.theirs.get(_peer(facts))
    if theirs is None:
        return
    if theirs.stopped:
        yield Line(level="critical", text=t("stopped: {why}", why=theirs.stopped))
    elif theirs.in_flight:
        yield Line(level="serious", text=t("{count} wait behind a gap", count=theirs.in_flight))
    else:
        text = t("our receipt up to {count}", count=theirs.receipted) if theirs.receipted else t("nothing received yet")
        yield Line(level="normal" if theirs.receipted else "unknown", text=text)


def _next_at(facts: Facts, t: Translator) -> Iterator[tuple[str, str]]:
    slot = None if facts.status is None else facts.status.next_slot
    if slot is None:
        return
    for place, zone in (("UTC", "UTC"), *facts.sites):
        yield place, t.time(parsed(slot), zone)[:5]


def _test_lines(facts: Facts, t: Translator) -> Iterator[Line]:
    status = facts.status
    if status is None:
        return
    policy, snapshot = facts.link.terms.policy, facts.snapshot
    slot = None if snapshot is None else slot_to_place(snapshot, policy, facts.now)
    if slot is not None:
        ends = written(parsed(slot) + policy.grace_s * 1_000)
        text = t("the line test of {time} UTC waits for an officer here; left", time=t.time(parsed(slot), "UTC")[:5])
        yield Line(level="serious", text=text, until=ends, clock=until_words(ends, facts.now))
    if status.next_slot is not None:
        over = parsed(status.next_slot) + policy.grace_s * 1_000
        text = t("grace until {time} UTC; begins in", time=t.time(over, "UTC")[:5])
        clock = until_words(status.next_slot, facts.now)
        yield Line(level="standby", text=text, until=status.next_slot, clock=clock)
    test = status.last_test
    if test is None:
        yield Line(level="unknown", text=t("no line test yet"))
    else:
        answered = f" {t.time(parsed(test.answered_at), 'UTC')}" if test.answered_at else ""
        words = f"{_day_time(test.at, facts.now, t)} {t.term('test', test.state)}{answered}"
        yield Line(level=TEST_LEVELS[test.state], text=t("last: {what}", what=words))


def _urgency(alarm: Alarm) -> tuple[bool, bool, int, str]:
    order = ("critical", "major", "warning")
    over, seen = alarm.cleared_at is not UNSET, alarm.acknowledged_by is not UNSET
    return over, seen, order.index(alarm.severity), alarm.raised_at


def _alarm_row(alarm: Alarm, now: Millis, t: Translator) -> BoardAlarm:
    who = alarm.acknowledged_by
    return BoardAlarm(
        id=f"alarm-{alarm.code}-{alarm.subject}",
        level=SEVERITY_LEVELS[alarm.severity],
        name=t.alarm(alarm.code, alarm.subject),
        subject="" if alarm.subject in {"broker", ""} else alarm.subject,
        new=who is UNSET,
        over=alarm.cleared_at is not UNSET,
        since=alarm.raised_at,
        clock=duration_words(now - parsed(alarm.raised_at)),
        who=who or "",
    )


def _open_rows(facts: Facts, t: Translator) -> Iterator[OpenRow]:
    status = facts.status
    assert status is not None, "only a status has open items"
    rows = [_open_row(item, facts.now, t, here=True) for item in status.open]
    rows += [_draft_row(draft, facts.now, t) for draft in status.drafts]
    # as for the officers here: flash first, then by deadline
    yield from sorted(rows, key=lambda row: (row.bars != BARS["flash"], row.due_at or "9"))
    for item in status.awaited:
        yield _open_row(item, facts.now, t, here=False)


def _draft_row(draft: WaitingDraft, now: Millis, t: Translator) -> OpenRow:
    return OpenRow(
        id=f"open-{draft.draft}",
        screen="drafts",
        reference=draft.draft,
        name=t.term("precedence", draft.precedence),
        bars=BARS[draft.precedence],
        category=t.term("category", draft.category),
        here=True,
        direction=t("draft, waits for its release"),
        due=t("expires in"),
        due_at=draft.expires_at,
        left=until_words(draft.expires_at, now),
        overdue=parsed(draft.expires_at) < now,
    )


def _open_row(item: OpenItem, now: Millis, t: Translator, *, here: bool) -> OpenRow:
    return OpenRow(
        id=f"open-{item.reference}",
        screen="messages",
        reference=item.reference,
        name=t.term("precedence", item.precedence) if item.precedence else t.term("kind", item.kind),
        bars=BARS[item.precedence] if item.precedence else 0,
        category=t.term("category", item.category) if item.category else "",
        here=here,
        direction=t("in") if here else t("out, waits for {party}", party=item.waits_for),
        due=t("due in"),
        due_at=item.due_at,
        left="" if item.due_at is None else until_words(item.due_at, now),
        overdue=item.due_at is not None and parsed(item.due_at) < now,
    )


def _watch(facts: Facts, t: Translator) -> Iterator[Line]:
    watch = facts.watch
    if facts.condition.state in _PAST:
        yield Line(level="unknown", text=t("not known: the watch keeps a journal of its own"))
        return
    if watch is None:
        return
    if watch.status is None or not watch.condition.current:
        yield Line(level="unknown", text=t("it does not answer"))
        return
    state = watch.status.state
    yield Line(level=LEVELS[state], text=t("it says: {state}", state=t.term("state", state)))
    ours = "unknown" if facts.status is None or not facts.condition.current else facts.status.state
    if ours == "unknown":
        yield Line(level="unknown", text=t("this side's own word is not known"))
    elif (state == "fine") == (ours == "fine"):
        yield Line(level="normal" if ours == "fine" else "caution", text=t("it agrees with this side"))
    else:
        yield Line(level="serious", text=t("it disagrees: this side says {state}", state=t.term("state", ours)))
    if watch.status.broker != "connected":
        yield Line(level="serious", text=t("broker: {state}", state=t.term("connection", watch.status.broker)))


_PAST = {"replayed", "absent"}


def _since(level: Level, text: str, at: Utc | None, now: Millis) -> Line:
    return Line(level=level, text=text, since=at, clock="" if at is None else duration_words(now - parsed(at)))


def _day_time(at: Utc, now: Millis, t: Translator) -> str:
    """Return the time of day of `at`, with its date unless that is today's, in UTC."""
    same = slots.local(parsed(at), "UTC").date().isoformat() == written(now)[:10]
    return t.time(parsed(at), "UTC") if same else t.instant(parsed(at), "UTC")


SCREEN = Screen(name="board", title="Board", key="b", view=view, roles=EVERYBODY, reads_history=False)
