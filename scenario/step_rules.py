"""Checks what the types of steps cannot express: time, sides, references, texts, what is up and down."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from msgspec import UNSET, to_builtins

from endpoints.config.durations import parse_s
from endpoints.config.link_file import require_canonical
from endpoints.errors import UserError
from protocol.phrases import phrase, worded
from protocol.wire.instants import parsed, written
from scenario.shape import PlacedFault
from scenario.steps import (
    PLAYED_MAX,
    Acknowledge,
    AlertStep,
    Crash,
    Cut,
    LeaveUnanswered,
    Mend,
    Nothing,
    Refuse,
    Restart,
    Scenario,
    Start,
    Step,
    Stop,
    occurrences,
    times,
    unrolled,
)


def step_faults(scenario: Scenario, unread: Collection[int], *, ordered: bool) -> Iterator[PlacedFault]:
    """Yield what is wrong with the steps.

    Args:
        scenario: the content of the file.
        unread: steps that stand for others, which could not be read: nothing is said of them.
        ordered: whether their instants can be compared.
    """
    for index, step in enumerate(scenario.steps):
        if index not in unread:
            for key, what in (*_side(scenario, step), *_arguments(scenario, index, step, unread, ordered=ordered)):
                yield PlacedFault(("steps", index, key), what)
    if not ordered:
        return
    found = list(_times(scenario, unread))
    yield from found
    if not found and not unread:
        yield from _up_and_down(scenario)


def _times(scenario: Scenario, unread: Collection[int]) -> Iterator[PlacedFault]:
    starts, ends = parsed(scenario.starts), parsed(scenario.ends)
    previous = starts
    for index, step in enumerate(scenario.steps):
        if index in unread:
            continue
        if not starts <= step.instant < ends:
            what = phrase(
                "{at} is not between starts, {starts}, and ends, {ends}",
                at=step.at,
                starts=scenario.starts,
                ends=scenario.ends,
            )
            yield PlacedFault(("steps", index, "at"), what)
            continue
        if step.instant < previous:
            what = phrase(
                "{at} is before the step above it, {previous}; steps follow in time",
                at=step.at,
                previous=written(previous),
            )
            yield PlacedFault(("steps", index, "at"), what)
        previous = max(previous, step.instant)
        if step.repeat is not UNSET:
            last = step.instant + (step.repeat.times - 1) * parse_s(step.repeat.every) * 1_000
            if last >= ends:
                yield PlacedFault(
                    ("steps", index, "repeat"), phrase("the last time is not before ends, {ends}", ends=scenario.ends)
                )
    played = sum(len(times(step)) for step in scenario.steps)
    if played > PLAYED_MAX:
        yield PlacedFault(
            ("steps",), phrase("{count} with their repetitions; the most is {limit}", count=played, limit=PLAYED_MAX)
        )


def _side(scenario: Scenario, step: Step) -> Iterator[tuple[str, str]]:
    """Yield the key and the fault of a step that does not fit its side or its link."""
    match step:
        case Nothing():
            allowed = [Scenario.WORLD]
        case Stop() | Start() | Cut() | Mend():
            allowed = [Scenario.BROKER]
        case LeaveUnanswered():
            allowed = [scenario.link.answering.id]
        case _:
            allowed = [party.id for party in scenario.parties]
    if step.side not in allowed:
        yield "side", phrase('"{side}" cannot do this; {who} can', side=step.side, who=" or ".join(allowed))
    links = [each.id for each in scenario.links]
    if scenario.link_of(step) not in links:
        yield (
            "link",
            phrase(
                '"{link}" is not a link of the scenario; its links: {links}', link=step.link, links=", ".join(links)
            ),
        )
    elif step.link is not UNSET and isinstance(step, Crash | Restart | Stop | Start | Nothing):
        yield "link", phrase("this concerns every link; leave the key out")


def _arguments(
    scenario: Scenario, index: int, step: Step, unread: Collection[int], *, ordered: bool
) -> Iterator[tuple[str, str]]:
    link = scenario.link_of(step)
    if link not in {each.id for each in scenario.links}:
        return
    policy = scenario.terms(link_id=link).policy if _readable(scenario) else None
    match step:
        case AlertStep():
            needed = 2 if policy is None or step.precedence in policy.four_eyes else 1
            if policy is not None and step.category not in policy.categories:
                known = ", ".join(policy.categories)
                yield (
                    "category",
                    phrase('"{category}" is not agreed on the link: {known}', category=step.category, known=known),
                )
            if policy is not None and len(set(step.officers)) != needed:
                yield (
                    "officers",
                    phrase(
                        "precedence {precedence} needs {needed} different officers, not {officers}",
                        precedence=step.precedence,
                        needed=needed,
                        officers=", ".join(step.officers),
                    ),
                )
        case Acknowledge() | Refuse():
            yield from _reference(scenario, index, step, unread, ordered=ordered)
            channels = [] if policy is None else [channel.id for channel in policy.channels]
            if isinstance(step, Refuse) and step.referral is not UNSET and step.referral not in channels:
                known = ", ".join(channels) or phrase("none")
                yield (
                    "referral",
                    phrase(
                        '"{channel}" is not a channel of the link; its channels: {known}',
                        channel=step.referral,
                        known=known,
                    ),
                )
        case LeaveUnanswered() if step.repeat is not UNSET:
            yield "repeat", phrase("this names one slot; write a step for each")
        case _:
            pass
    text = getattr(step, "text", UNSET)
    if isinstance(text, dict):
        for code in text:
            if policy is not None and code not in policy.languages:
                known = ", ".join(policy.languages)
                yield "text", phrase('language "{code}" is not one of the link: {known}', code=code, known=known)
    for key in ("text", "area"):
        try:
            require_canonical(to_builtins(getattr(step, key, None) or {}), key)
        except UserError as error:
            # it names the key itself
            yield "", worded(error)


def _readable(scenario: Scenario) -> bool:
    """Return whether terms can be made: the wording of line tests is there."""
    code, test = scenario.link.test_language, scenario.line_test
    return code in test.text and code in test.answer


def _reference(
    scenario: Scenario, index: int, step: Acknowledge | Refuse, unread: Collection[int], *, ordered: bool
) -> Iterator[tuple[str, str]]:
    of = scenario.alert_of(step)
    if of >= len(scenario.steps):
        last = len(scenario.steps) - 1
        yield "of", phrase("{of} does not exist; the last one is step {last}", of=step.of, last=last)
        return
    if of == index:
        yield "of", phrase("{of} is this step itself; name the alert", of=step.of)
        return
    if of > index:
        yield "of", phrase("{of} comes after this step; name an earlier alert", of=step.of)
        return
    alert = scenario.steps[of]
    if of in unread:
        return
    if not isinstance(alert, AlertStep) or alert.side == step.side:
        alerts = [
            f"step {number}"
            for number, each in enumerate(scenario.steps[:index])
            if isinstance(each, AlertStep) and each.side != step.side
        ]
        known = ", ".join(alerts[-8:]) or phrase("none so far")
        yield "of", phrase("{of} is not an alert of the other side; its alerts: {known}", of=step.of, known=known)
    elif scenario.link_of(alert) != scenario.link_of(step):
        yield (
            "of",
            phrase("{of} is of the link {link}; name the same link here", of=step.of, link=scenario.link_of(alert)),
        )
    elif len(times(alert)) > 1 and len(times(alert)) != len(times(step)):
        yield (
            "of",
            phrase("{of} is repeated {count} times; repeat this step as often", of=step.of, count=len(times(alert))),
        )
    elif ordered and step.instant < alert.instant:
        yield "of", phrase("{of} comes after this step; name an earlier alert", of=step.of)


def _up_and_down(scenario: Scenario) -> Iterator[PlacedFault]:
    """Yield what happens to a process that is down, to a broker that has stopped, to a link that is cut."""
    down: dict[str, int] = {}
    for step, (_, index, _time) in zip(unrolled(scenario).steps, occurrences(scenario), strict=True):
        match step:
            case Crash() | Stop() | Cut():
                what = f"{step.side}/{scenario.link_of(step)}" if isinstance(step, Cut) else step.side
                if what in down:
                    yield PlacedFault(
                        ("steps", index, "do"), phrase("{what} is already down at {at}", what=_named(what), at=step.at)
                    )
                down[what] = index
            case Restart() | Start() | Mend():
                what = f"{step.side}/{scenario.link_of(step)}" if isinstance(step, Mend) else step.side
                if down.pop(what, None) is None:
                    yield PlacedFault(
                        ("steps", index, "do"), phrase("{what} is already up at {at}", what=_named(what), at=step.at)
                    )
            case AlertStep() | Acknowledge() | Refuse() if step.side in down:
                yield PlacedFault(
                    ("steps", index, "side"), phrase("{what} is down at {at}", what=step.side, at=step.at)
                )
            case _:
                pass
    for what, index in down.items():
        yield PlacedFault(
            ("steps", index, "do"),
            phrase("{what} is not started again before ends; the journals could not agree", what=_named(what)),
        )


def _named(what: str) -> str:
    """Return the name of what is down: a party, the broker, or a link."""
    return what.rpartition("/")[2]
