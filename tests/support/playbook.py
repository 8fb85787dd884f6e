"""Runs transcripts: `>> cue` acts on a core, `<< effect` is what it must do; a difference is shown as a diff.

    assert (
        Playbook(Line())
        >> on("eucom", alert("routine"))
        << "eucom: Queue 1 alert"
        << "eucom: Seal message 1"
        >> deliver("eucom")
        << "ndmc: Apply 1 alert"
        << "ndmc: Notify message/eucom/1/1"
        << "ndmc: Seal receipt, receipt 1"
    )

The `Notify` of an alarm is left out where it follows a `RaiseAlarm` or a `ClearAlarm` immediately, whose line ends with
`, not notified` if it is missing. Repeats of alarms are left out as well. `refused: CODE` is a LocalProtocolError with
that code.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import NamedTuple

from protocol.core.event import Event
from protocol.wire.instants import Millis
from tests.support.world import SECOND, End, Happening, Line

Stage = End | Line


class Cue(NamedTuple):
    """An action of a playbook; `happenings` are its events, if it consists only of events."""

    text: str
    act: Callable[[Stage], object]
    happenings: tuple[Happening, ...] = ()


class Playbook:
    """An expected transcript. Its truth value runs it and raises AssertionError with a diff if it differs."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._script: list[Cue | str] = []

    def __rshift__(self, cue: Cue) -> Playbook:
        self._script.append(cue)
        return self

    def __lshift__(self, effect: str) -> Playbook:
        self._script.append(effect)
        return self

    def __bool__(self) -> bool:
        script, self._script = self._script, []
        expected = [f">> {line.text}" if isinstance(line, Cue) else f"<< {line}" for line in script]
        played = []
        for line in script:
            if isinstance(line, Cue):
                played.append(f">> {line.text}")
                self._stage.transcript.clear()
                line.act(self._stage)
                played += [f"<< {each}" for each in self._stage.transcript]
        if played != expected:
            raise AssertionError("\n".join(["expected (-), played (+)", *difflib.ndiff(expected, played)]))
        return True


def play(stage: Stage, cue: Cue, *effects: str) -> None:
    """Assert that a cue has these effects."""
    book = Playbook(stage) >> cue
    for effect in effects:
        book = book << effect
    assert book


def event(kind: type[Event], **fields: object) -> Cue:
    """Give the core an event now."""
    return _events(kind.__name__, (kind, fields))


def batch(*cues: Cue) -> Cue:
    """Give the core the events of several cues in one batch."""
    return _events(", ".join(cue.text for cue in cues), *(each for cue in cues for each in cue.happenings))


def _events(text: str, *happenings: Happening) -> Cue:
    return Cue(text, lambda stage: stage.end().happens(*happenings), happenings)


def on(name: str, cue: Cue) -> Cue:
    """Perform a cue at one end of a line."""
    return Cue(f"{name}: {cue.text}", lambda stage: cue.act(stage.end(name)), cue.happenings)


def wait(duration: Millis) -> Cue:
    """Let time pass."""
    return Cue(f"wait {duration / SECOND:g} s", lambda stage: stage.world.wait(duration))


def do(text: str, act: Callable[[], object]) -> Cue:
    """Call a function of the test."""
    return Cue(text, lambda _stage: act())


def crash() -> Cue:
    """Crash the process of an end."""
    return Cue("crash", lambda stage: stage.end().crash())


def start(**options: object) -> Cue:
    """Start the service of an end; see `End.start`."""
    return Cue("start", lambda stage: stage.end().start(**options))  # type: ignore[arg-type]


def deliver(sender: str, count: int | None = None) -> Cue:
    """Deliver the first `count` frames of `sender`, or all that are on the wire."""

    def act(stage: Stage) -> None:
        assert isinstance(stage, Line)
        wire = stage.end(sender).outgoing
        frames = wire[:count]
        del wire[:count]
        for frame in frames:
            stage.arrive(frame)

    return Cue(f"deliver what {sender} sent", act)


def lose(sender: str, count: int | None = None) -> Cue:
    """Lose the first `count` frames of `sender`, or all that are on the wire."""

    def act(stage: Stage) -> None:
        del stage.end(sender).outgoing[:count]

    return Cue(f"lose what {sender} sent", act)


def repeat(sender: str) -> Cue:
    """Duplicate all frames of `sender` that are on the wire."""

    def act(stage: Stage) -> None:
        wire = stage.end(sender).outgoing
        wire += wire[:]

    return Cue(f"repeat what {sender} sent", act)


def reverse(sender: str) -> Cue:
    """Reverse the order of the frames of `sender` that are on the wire."""
    return Cue(f"reverse what {sender} sent", lambda stage: stage.end(sender).outgoing.reverse())


def settle() -> Cue:
    """Deliver frames until nothing is on the wire."""

    def act(stage: Stage) -> None:
        assert isinstance(stage, Line)
        stage.settle()

    return Cue("settle", act)
