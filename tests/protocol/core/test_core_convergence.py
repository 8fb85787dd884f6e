"""Two cores over a wire that loses, doubles and reorders, through crashes and steps of clocks: then they agree.

While it lasts: every message applied exactly once and in order, and no receipt of more than was applied. One seed
decides one storm.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from msgspec import UNSET

from protocol.core.effects import Apply, Effect, Queue, Seal
from protocol.core.event import Event
from protocol.core.events import ClockStepped, TransportConnected, TransportLost
from protocol.wire.digests import message_digest
from protocol.wire.instants import Millis
from protocol.wire.messages import Reference
from tests.support.cast import acknowledge, alert, answer, cancel, refuse, release, test_line
from tests.support.playbook import Cue
from tests.support.world import DAY, HOUR, MINUTE, SECOND, End, Line, terms

STORMS = 40
STEPS = 150
LASTING: dict[str, Any] = {"expires_at": "2030-01-01T00:00:00.000Z"}


class Truth:
    """What each end has said, and what of it the other has applied: hashes of messages."""

    def __init__(self, line: Line) -> None:
        self.said: dict[str, list[str]] = {name: [] for name in line.ends}
        self.applied: dict[str, list[str]] = {name: [] for name in line.ends}

    def note(self, name: str, effects: list[Effect]) -> None:
        """Take what an end did, and check the promises."""
        peer = "ndmc" if name == "eucom" else "eucom"
        for effect in effects:
            if isinstance(effect, Queue):
                self.said[name].append(message_digest(effect.message))
            elif isinstance(effect, Apply):
                assert effect.refused is UNSET, effect
                digest = message_digest(effect.message)
                assert digest == self.said[peer][len(self.applied[name])], "not the next message of the peer"
                self.applied[name].append(digest)
            elif isinstance(effect, Seal) and effect.upto is not UNSET:
                assert effect.upto <= len(self.applied[name]), "a receipt of what was not applied"


class Overheard(End):
    """An end that tells the truth about itself."""

    truth: Truth

    def take(self, *events: Event) -> list[Effect]:
        effects = super().take(*events)
        self.truth.note(self.name, effects)
        return effects


class Storm:
    """A line in bad weather."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.line = Line(terms(four_eyes=("flash",)), shadowed=False)
        self.truth = Truth(self.line)
        for end in self.line.ends.values():
            end.__class__ = Overheard
            end.truth = self.truth  # type: ignore[attr-defined]
        self.steps = [
            *[self._officer] * 8,
            *[self._wire] * 8,
            *[self._pass_time] * 3,
            *[self._restart, self._lose_broker, self._find_broker, self._step_clock, self._calm],
        ]

    def happen(self) -> None:
        """Let something happen at one end."""
        end = self.line.end(self.chance.choice(["eucom", "ndmc"]))
        self.chance.choice(self.steps)(end)

    def _officer(self, end: End) -> None:
        known = [*end.core.state.alerts, *end.core.state.watch.tests]
        own = self.chance.choice([of for of in known if of.startswith(end.name)][-4:] or ["eucom/1/1"])
        of = self.chance.choice([of for of in known if not of.startswith(end.name)][-4:] or ["eucom/1/1"])
        changed: dict[str, Any] = {"changes": Reference.parse(own), "change_kind": "update"}
        cues: list[Cue] = [
            *[alert(**LASTING), alert("flash", **LASTING), alert(**LASTING, **changed), cancel(own)],
            *[release(draft) for draft in end.link.state.officer_requests.drafts],
            *[test_line(), answer(of), refuse(of)],
            *[acknowledge(of, decision) for decision in ("understood", "acting", "will_reply")],
        ]
        end.happens(*self.chance.choice(cues).happenings)

    def _wire(self, end: End) -> None:
        """Deliver, lose or double one frame of those that an end has on the wire."""
        if not end.outgoing:
            return
        place = self.chance.randrange(len(end.outgoing))
        match self.chance.randrange(4):
            case 0:
                del end.outgoing[place]
            case 1:
                self.line.arrive(end.outgoing[place])
            case _:
                self.line.arrive(end.outgoing.pop(place))

    def _pass_time(self, _end: End) -> None:
        self.line.world.wait(self.chance.choice([1, SECOND, 10 * SECOND, MINUTE, 12 * MINUTE]))

    def _restart(self, end: End) -> None:
        end.crash()
        self.line.world.wait(self.chance.choice([0, SECOND, HOUR]))
        end.start(connected=self.chance.choice([True, False]))

    def _lose_broker(self, end: End) -> None:
        end.happens((TransportLost, {"reason": "weather"}))

    def _find_broker(self, end: End) -> None:
        end.happens((TransportConnected, {}))

    def _step_clock(self, end: End) -> None:
        self._step(end, self.chance.choice([-HOUR, -SECOND, SECOND, HOUR]))

    def _calm(self, _end: End) -> None:
        self.line.settle()

    @staticmethod
    def _step(end: End, by: Millis) -> None:
        end.skew += by
        end.happens((ClockStepped, {"step_ms": by}))
        if end.core.slots_until < end.at + 7 * DAY:
            end.plan()

    def heal(self) -> None:
        """Let the weather clear: clocks right, both connected, nothing lost any more."""
        for end in self.line.ends.values():
            if end.skew:
                self._step(end, -end.skew)
            end.happens((TransportConnected, {}))
        self.line.settle()
        self.line.world.wait(MINUTE)
        self.line.settle()


def alert_states(end: End) -> dict[str, str]:
    return {view.reference: str(view.state) for view in end.core.snapshot().alerts}


def answered_tests(end: End) -> set[str]:
    return {view.reference for view in end.core.snapshot().tests if view.answer is not None}


def agree(storm: Storm) -> None:
    """Assert that both ends know the same."""
    line, truth = storm.line, storm.truth
    assert truth.applied["ndmc"] == truth.said["eucom"]
    assert truth.applied["eucom"] == truth.said["ndmc"]
    for end in line.ends.values():
        ours, theirs = end.core.snapshot().ours, end.core.snapshot().theirs[line.peer_of(end.name).name]
        assert ours is not None
        assert (ours.receipted, ours.waiting, ours.in_flight) == (ours.last, 0, 0)
        assert (ours.stopped, theirs.stopped, theirs.in_flight) == ("", "", 0)
        assert not [alarm for alarm in end.core.snapshot().alarms if alarm.code in {"fork", "equivocation"}]
    assert alert_states(line.eucom) == alert_states(line.ndmc)
    assert answered_tests(line.eucom) == answered_tests(line.ndmc)


def test_two_ends_agree_when_the_weather_has_cleared() -> None:
    """SPEC M3.1, M4.3, M4.4, R1.2, R2, W2.3"""
    seen: Counter[str] = Counter()
    for seed in range(STORMS):
        storm = Storm(seed)
        try:
            for _ in range(STEPS):
                storm.happen()
            storm.heal()
            agree(storm)
        except AssertionError as broken:
            raise AssertionError(f"storm {seed}: {broken}") from broken
        seen["messages"] += sum(map(len, storm.truth.said.values()))
        seen.update(alert_states(storm.line.eucom).values())
    # a calm proves nothing
    assert seen["messages"] > 20 * STORMS
    assert min(seen[state] for state in ("understood", "acting", "will_reply", "refused", "changed", "cancelled")) > 10


def test_a_broken_promise_is_noticed() -> None:
    storm = Storm(0)
    line = storm.line
    line.eucom.happens(*alert().happenings)
    line.settle()
    truth = storm.truth
    truth.said["eucom"][0] = "0" * 64
    with pytest.raises(AssertionError):
        agree(storm)
    truth.applied["ndmc"].clear()
    effects: list[Effect] = [Seal(index=0, channel="receipt", upto=1)]
    with pytest.raises(AssertionError, match="a receipt of what was not applied"):
        truth.note("ndmc", effects)
