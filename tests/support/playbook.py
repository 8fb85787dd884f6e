"""Transcripts: what happens to a core, `>> cue`, and what the core does, `<< effect`, compared as a diff.

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

An alarm's `Notify` is not written: it must follow each `RaiseAlarm` at once. `refused: CODE` stands for an error to the
caller.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import NamedTuple

from protocol.core.events import Event
from protocol.wire.instants import Millis
from tests.support.world import SECOND, End, Happening, Line

Stage = End | Line


class Cue(NamedTuple):
    """Something that a playbook lets happen; `happenings` if that is events and nothing else."""

    text: str
    act: Callable[[Stage], object]
    happenings: tuple[Happening, ...] = ()


class Playbook:
    """A transcript as it should be. As a truth value it plays: a difference is an AssertionError with the diff."""

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
        wanted = [f">> {line.text}" if isinstance(line, Cue) else f"<< {line}" for line in script]
        played = []
        for line in script:
            if isinstance(line, Cue):
                played.append(f">> {line.text}")
                self._stage.transcript.clear()
                line.act(self._stage)
                played += [f"<< {each}" for each in self._stage.transcript]
        if played != wanted:
            raise AssertionError("\n".join(["as written (-), as played (+)", *difflib.ndiff(wanted, played)]))
        return True


def event(kind: type[Event], **fields: object) -> Cue:
    """Let an event happen now."""
    return _events(kind.__name__, (kind, fields))


def batch(*cues: Cue) -> Cue:
    """Let the events of several cues happen in one batch."""
    return _events(", ".join(cue.text for cue in cues), *(each for cue in cues for each in cue.happenings))


def _events(text: str, *happenings: Happening) -> Cue:
    return Cue(text, lambda stage: stage.end().happens(*happenings), happenings)


def on(name: str, cue: Cue) -> Cue:
    """Let something happen at one end of a line."""
    return Cue(f"{name}: {cue.text}", lambda stage: cue.act(stage.end(name)), cue.happenings)


def wait(duration: Millis) -> Cue:
    """Let time pass."""
    return Cue(f"wait {duration / SECOND:g} s", lambda stage: stage.world.wait(duration))


def do(text: str, act: Callable[[], object]) -> Cue:
    """Let a test do what it likes."""
    return Cue(text, lambda _stage: act())


def crash() -> Cue:
    """Let an end's process die."""
    return Cue("crash", lambda stage: stage.end().crash())


def start(**options: object) -> Cue:
    """Let an end's service come up; see `End.start`."""
    return Cue("start", lambda stage: stage.end().start(**options))  # type: ignore[arg-type]


def deliver(sender: str, count: int | None = None) -> Cue:
    """Let the first `count` frames of `sender` arrive, or all that are on the wire."""

    def act(stage: Stage) -> None:
        assert isinstance(stage, Line)
        wire = stage.end(sender).outgoing
        frames = wire[:count]
        del wire[:count]
        for frame in frames:
            stage.arrive(frame)

    return Cue(f"deliver what {sender} sent", act)


def lose(sender: str, count: int | None = None) -> Cue:
    """Let the first `count` frames of `sender` be lost, or all that are on the wire."""

    def act(stage: Stage) -> None:
        del stage.end(sender).outgoing[:count]

    return Cue(f"lose what {sender} sent", act)


def repeat(sender: str) -> Cue:
    """Let everything that `sender` has on the wire be there twice."""

    def act(stage: Stage) -> None:
        wire = stage.end(sender).outgoing
        wire += wire[:]

    return Cue(f"repeat what {sender} sent", act)


def reverse(sender: str) -> Cue:
    """Let what `sender` has on the wire arrive in the wrong order."""
    return Cue(f"reverse what {sender} sent", lambda stage: stage.end(sender).outgoing.reverse())


def settle() -> Cue:
    """Let everything arrive, until nothing is on the wire."""

    def act(stage: Stage) -> None:
        assert isinstance(stage, Line)
        stage.settle()

    return Cue("settle", act)
