"""Checks what the types of a scenario cannot express: its time, its links, what it expects."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches

from msgspec import UNSET, to_builtins

from endpoints.clocks import slots
from endpoints.config.durations import parse_s
from endpoints.config.link_file import require_canonical
from endpoints.config.settings_tables import WATCH_IDENTITY
from endpoints.errors import UserError
from protocol.core.alarms import AlarmCode
from protocol.phrases import phrase, worded
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import Utc
from scenario.shape import PlacedFault
from scenario.step_rules import step_faults
from scenario.steps import AlertStep, Expect, FurtherLink, LeaveUnanswered, LinkPlan, Scenario

DAYS_MAX = 400
"""How long a scenario may be, in days."""
SLOTS_MAX = 10_000
"""How many slots the links of a scenario may have."""
DURATION_MAX_S = 31 * 86_400
"""How long a duration may be: an alert may be valid for so long, and a policy may wait for so long."""
_DAY: Millis = 86_400_000

Path = tuple[str | int, ...]


def check(scenario: Scenario, unread: Collection[int] = ()) -> list[PlacedFault]:
    """Return what is wrong in a scenario whose types are right.

    Args:
        scenario: the content of the file.
        unread: steps that stand for others, which could not be read: nothing is said of them.
    """
    found = [*_texts(scenario), *_instants(scenario), *_links(scenario), *_durations(scenario), *_expected(scenario)]
    if found:
        # slots and order rest on these
        return [*found, *step_faults(scenario, unread, ordered=False)]
    planned = _planned(scenario)
    if isinstance(planned, PlacedFault):
        return [planned, *step_faults(scenario, unread, ordered=True)]
    return [*step_faults(scenario, unread, ordered=True), *_slots_named(scenario, planned)]


# --- the whole ----------------------------------------------------------------------------------------------------


def _texts(scenario: Scenario) -> Iterator[PlacedFault]:
    """Yield texts that no frame and no link file can hold (SPEC F4.4)."""
    for key in ("link", "further_links", "line_test"):
        try:
            require_canonical(to_builtins(getattr(scenario, key)), key)
        except UserError as error:
            yield PlacedFault((), worded(error))


def _instants(scenario: Scenario) -> Iterator[PlacedFault]:
    places: list[tuple[Path, Utc]] = [(("starts",), scenario.starts), (("ends",), scenario.ends)]
    for index, step in enumerate(scenario.steps):
        places.append((("steps", index, "at"), step.at))
        if isinstance(step, LeaveUnanswered):
            places.append((("steps", index, "slot"), step.slot))
    for path, expect in _expects(scenario):
        places += [((*path, "late", place), at) for place, at in enumerate(expect.late)]
        places += [((*path, "unanswered", place), at) for place, at in enumerate(expect.unanswered)]
        places += [
            ((*path, "alerts_between", place, which), at)
            for place, (start, end, _) in enumerate(expect.alerts_between)
            for which, at in enumerate((start, end))
        ]
    wrong = list(_not_in_the_calendar(places))
    yield from wrong
    if wrong:
        return
    if scenario.starts >= scenario.ends:
        yield PlacedFault(
            ("ends",), phrase("{ends} is not after starts, {starts}", ends=scenario.ends, starts=scenario.starts)
        )
    elif parsed(scenario.ends) - parsed(scenario.starts) > DAYS_MAX * _DAY:
        yield PlacedFault(("ends",), phrase("more than {days} days after starts", days=DAYS_MAX))


def _not_in_the_calendar(places: Iterable[tuple[Path, Utc]]) -> Iterator[PlacedFault]:
    for path, text in places:
        try:
            parsed(text)
        except ValueError as error:
            yield PlacedFault(path, phrase('"{text}" is not an instant: {error}', text=text, error=worded(error)))


def _expects(scenario: Scenario) -> list[tuple[Path, Expect]]:
    further = [(("further_links", place, "expect"), each.expect) for place, each in enumerate(scenario.further_links)]
    return [(("expect",), scenario.expect), *further]


def _plans(scenario: Scenario) -> list[tuple[Path, LinkPlan | FurtherLink]]:
    further = [(("further_links", place), each) for place, each in enumerate(scenario.further_links)]
    return [(("link",), scenario.link), *further]


def _links(scenario: Scenario) -> Iterator[PlacedFault]:
    link, test = scenario.link, scenario.line_test
    if link.caller.id == link.answering.id:
        yield PlacedFault(("link", "answering", "id"), phrase('"{id}" is also the id of the caller', id=link.caller.id))
    for role, party in (("caller", link.caller), ("answering", link.answering)):
        if party.id in {Scenario.BROKER, Scenario.WORLD, WATCH_IDENTITY}:
            yield PlacedFault(("link", role, "id"), phrase('"{id}" is reserved; choose another id', id=party.id))
        yield from _zone(("link", role, "zone"), party.zone)
    for name, texts in (("text", test.text), ("answer", test.answer)):
        if link.test_language not in texts:
            yield PlacedFault(
                ("line_test", name),
                phrase('no text in the test_language of the link, "{code}"', code=link.test_language),
            )
    seen: set[str] = set()
    for path, plan in _plans(scenario):
        if plan.id in seen:
            yield PlacedFault((*path, "id"), phrase('"{id}" occurs twice', id=plan.id))
        seen.add(plan.id)
        yield from _zone((*path, "slots", "zone"), plan.slots.zone)
        try:
            slots.check(plan.slots.cron)
        except ValueError as error:
            yield PlacedFault((*path, "slots", "cron"), worded(error))
        channels = [channel.id for channel in plan.channels]
        for twice in sorted({each for each in channels if channels.count(each) > 1}):
            yield PlacedFault((*path, "channels"), phrase('"{id}" occurs twice', id=twice))


def _zone(path: Path, name: str) -> Iterator[PlacedFault]:
    try:
        slots.zone(name)
    except ValueError as error:
        yield PlacedFault(path, worded(error))


def _durations(scenario: Scenario) -> Iterator[PlacedFault]:
    test = scenario.line_test
    places: list[tuple[Path, str]] = [
        (("line_test", "answer_after"), test.answer_after),
        (("line_test", "placed_after"), test.placed_after),
    ]
    for path, plan in _plans(scenario):
        places += [
            ((*path, "slots", "grace"), plan.slots.grace),
            ((*path, "slots", "answer_within"), plan.slots.answer_within),
        ]
    for index, step in enumerate(scenario.steps):
        if isinstance(step, AlertStep):
            places.append((("steps", index, "expires_after"), step.expires_after))
        if step.repeat is not UNSET:
            places.append((("steps", index, "repeat", "every"), step.repeat.every))
    for path, text in places:
        if parse_s(text) > DURATION_MAX_S:
            yield PlacedFault(path, phrase('"{text}" is longer than 31 days', text=text))


def _expected(scenario: Scenario) -> Iterator[PlacedFault]:
    sides = [party.id for party in scenario.parties]
    for path, expect in _expects(scenario):
        for key, side in [
            *(("alerts_from", each) for each in expect.alerts_from),
            *(("messages_from", each) for each in expect.messages_from),
        ]:
            if side not in sides:
                yield PlacedFault(
                    (*path, key),
                    phrase('"{side}" is not a party; use {sides}', side=side, sides=" or ".join(sides)),
                )
        for place, code in enumerate(expect.alarms_at_least):
            if code not in list(AlarmCode):
                meant = get_close_matches(code, list(AlarmCode), 1)
                what = (
                    phrase('no alarm is called "{code}"; did you mean "{meant}"?', code=code[:40], meant=str(meant[0]))
                    if meant
                    else phrase('no alarm is called "{code}"; SPEC W3 lists them', code=code[:40])
                )
                yield PlacedFault((*path, "alarms_at_least", place), what)


def _planned(scenario: Scenario) -> dict[str, set[str]] | PlacedFault:
    """Return the slots of each link, or why there are too many."""
    starts, ends = parsed(scenario.starts), parsed(scenario.ends)
    found: dict[str, set[str]] = {}
    for path, plan in _plans(scenario):
        # a year of slots every minute would take a while: the first days show it
        days = (ends - starts) // _DAY + 1
        first = slots.plan([plan.slots.cron], plan.slots.zone, starts, min(ends, starts + 2 * _DAY))
        if len(first) * days / 2 > SLOTS_MAX:
            return PlacedFault((*path, "slots", "cron"), phrase("more than {count} slots until ends", count=SLOTS_MAX))
        found[plan.id] = set(slots.plan([plan.slots.cron], plan.slots.zone, starts, ends))
    return found


def _slots_named(scenario: Scenario, planned: dict[str, set[str]]) -> Iterator[PlacedFault]:
    named: list[tuple[Path, str, str]] = []
    for (path, plan), (_, expect) in zip(_plans(scenario), _expects(scenario), strict=True):
        base = ("expect",) if path == ("link",) else (*path, "expect")
        for key in ("late", "unanswered"):
            named += [((*base, key, place), plan.id, slot) for place, slot in enumerate(getattr(expect, key))]
    named += [
        (("steps", index, "slot"), scenario.link_of(step), step.slot)
        for index, step in enumerate(scenario.steps)
        if isinstance(step, LeaveUnanswered)
    ]
    for path, link, slot in named:
        if slot not in planned.get(link, {slot}):
            later = sorted(each for each in planned[link] if each > slot) or sorted(planned[link])[-1:]
            what = (
                phrase("{slot} is not a slot of the link; the next one is {next}", slot=slot, next=later[0])
                if later
                else (phrase("{slot} is not a slot of the link, which has none in this time", slot=slot))
            )
            yield PlacedFault(path, what)
