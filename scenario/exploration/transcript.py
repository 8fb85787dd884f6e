"""Words steps, follows worded steps again, prints what they do, and writes them as a test."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice

from protocol.core.events import BatchClosed
from scenario.exploration.healing import SETTLES_WITHIN
from scenario.exploration.search import Broken, Reductions, Search
from scenario.exploration.small_world import SmallWorld
from scenario.exploration.steps import RECIPIENTS, BrokenStepError, Situation, Step, Steps, worded
from scenario.simulation.record_lines import lines

HEALING_SHOWN = 12
"""The first steps of a healing that a transcript shows."""
_WITH_FRAME = ("deliver", "duplicate", "drop", "forge")


class StepNotPossibleError(LookupError):
    """A worded step is not possible where it stands: the world or the core has changed."""


def words(steps: Steps, situation: Situation, step: Step) -> str:
    """Return a step as people and tests name it, in the state in which it is taken."""
    where = steps.names[step.place] if step.place >= 0 else ""
    kind, *_ = step.kind.split()
    if kind in _WITH_FRAME:
        what = _frame(steps, situation, step.place, step.what)
    elif kind == "ask":
        script, place = step.what
        what = steps.world.scripts[script][place].name
    elif kind == "presence":
        party, present = step.what
        what = f"{party} is {'present' if present else 'gone'}"
    elif kind == "restore":
        what = f"lacking {step.what} batches"
    elif kind in {"pause", "clock"}:
        what = f"{step.what / 1_000:+.3f} s" if kind == "clock" else f"{step.what / 1_000:.3f} s"
    else:
        what = ""
    return " ".join(filter(None, (step.kind, where))) + (f": {what}" if what else "")


def _frame(steps: Steps, situation: Situation, place: int, frame: int) -> str:
    """Return a frame's label, with its place among those of the same label on the wire."""
    known = steps.transitions.wire.frames
    label = known[frame].label
    alike = {
        entry // RECIPIENTS
        for entry in situation.network
        if entry % RECIPIENTS == place and known[entry // RECIPIENTS].label == label
    }
    if alike <= {frame}:
        return label
    return f"{label} #{sorted(alike, key=lambda each: known[each].frame).index(frame) + 1}"


class Follower:
    """Follows the steps of one world again, from its beginning."""

    def __init__(self, world: SmallWorld) -> None:
        self._search = Search(world, Reductions(remember=False))
        self._steps = self._search.steps
        self._healing = self._search.healing
        self.situation = self._steps.first()

    def follow(self, worded_step: str) -> tuple[str, ...]:
        """Take a worded step; return the records that it has led to.

        Raises StepNotPossibleError if it is not possible here, BrokenStepError if it breaks a promise.
        """
        possible: list[str] = []
        latest = self._search.transitions.latest
        latest.clear()
        for step, after in self._steps.after(self.situation):
            text = words(self._steps, self.situation, step)
            if text == worded_step and isinstance(after, BrokenStepError):
                raise after
            if text == worded_step and not isinstance(after, BrokenStepError):
                self.situation = after
                return self.records()
            latest.clear()
            possible.append(text)
        raise StepNotPossibleError(f"{worded_step!r} is not possible here; possible: {', '.join(possible)}")

    def heal(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield the steps of a healing, worded, each with its records. Errors of steps pass through."""
        latest = self._search.transitions.latest
        ends = self.situation.now + SETTLES_WITHIN
        latest.clear()
        while (following := self._healing.following(self.situation, ends)) is not None:
            text = words(self._steps, self.situation, following[0])
            self.situation = following[1]
            yield text, self.records()
            latest.clear()

    def records(self) -> tuple[str, ...]:
        """Return the records of the last step."""
        return tuple(
            lines(at, side, entry, effects)
            for at, side, batch in self._search.transitions.latest
            for entry, effects in batch
            if effects or not isinstance(entry, BatchClosed)
        )

    def settle(self) -> None:
        """Check that everything settles from here. Raises Violation."""
        self._healing.check(self.situation)


def follow(world: SmallWorld, steps: Sequence[str]) -> str | None:
    """Follow worded steps; return which promise they break, None if they break none and everything settles behind them.

    Raises StepNotPossibleError.
    """
    try:
        follower = Follower(world)
        for step in steps:
            follower.follow(step)
        follower.settle()
    except BrokenStepError as error:
        return error.promise
    except StepNotPossibleError:
        raise
    except Exception as error:  # noqa: BLE001 - every exception is a finding
        return worded(error)
    return None


def worded_steps(search: Search, broken: Broken) -> list[str]:
    """Return the steps that lead to a promise that `search` has found broken, worded."""
    if not broken.steps and not broken.healed:
        return []
    steps, texts = search.steps, []
    situation = steps.first()
    for place, step in enumerate(broken.steps):
        texts.append(words(steps, situation, step))
        if broken.healed or place + 1 < len(broken.steps):
            situation = next(
                after
                for each, after in steps.after(situation)
                if each == step and not isinstance(after, BrokenStepError)
            )
    return texts


def transcript(world: SmallWorld, steps: Sequence[str], promise: str) -> list[str]:
    """Return the steps to a broken promise with the records that each has led to, line by line."""
    shown = [f"world {world.name}: {world.about}"]
    try:
        follower = Follower(world)
    except BrokenStepError:
        return [*shown, "while the processes start and connect:", f"<< {promise}"]
    try:
        for number, step in enumerate(steps, 1):
            shown.append(f"{number}. {step}")
            shown += _indented(follower.follow(step))
        shown.append("then nothing fails any more:")
        for text, records in islice(follower.heal(), HEALING_SHOWN):
            shown += [f"   {text}", *_indented(records)]
        shown.append("   ...")
    except StepNotPossibleError:
        raise
    except Exception:  # noqa: BLE001 - every exception is a finding
        shown += _indented(follower.records())
    return [*shown, f"<< {promise}"]


def _indented(records: Sequence[str]) -> list[str]:
    return [f"     {line}" for record in records for line in record.splitlines()]


def as_test(world: SmallWorld, steps: Sequence[str], promise: str) -> str:
    """Return a test module that follows the steps to a broken promise."""
    name = re.sub(r"[^a-z0-9]+", "_", promise.lower())[:60].strip("_")
    listed = "\n".join(f"    {json.dumps(step, ensure_ascii=False)}," for step in steps)
    return f'''"""Found by exploration: these steps once broke a promise."""

from scenario.exploration.catalogue import world
from scenario.exploration.transcript import follow

# {promise}
STEPS = (
{listed}
)


def test_{name}() -> None:
    assert follow(world("{world.name}"), STEPS) is None
'''
