"""Two cores over a wire that loses, doubles and reorders, through crashes and steps of clocks: then they agree.

While it lasts: every message applied exactly once and in order, and no receipt of more than was applied.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from protocol.digests import message_digest
from protocol.effects import Apply, Effect, Queue, Seal
from protocol.events import ClockStepped, TransportConnected, TransportLost
from protocol.instants import Millis
from protocol.messages import Reference
from tests.cast import acknowledge, alert, answer, cancel, refuse, release, test_line
from tests.playbook import Cue
from tests.world import HOUR, MINUTE, SECOND, End, Line, terms

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
                assert effect.refused is UNSET
                digest = message_digest(effect.message)
                assert digest == self.said[peer][len(self.applied[name])], "not the next message of the peer"
                self.applied[name].append(digest)
            elif isinstance(effect, Seal) and effect.upto is not UNSET:
                assert effect.upto <= len(self.applied[name]), "a receipt of what was not applied"


class Stormy:
    """A line in bad weather."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.line = Line(terms(four_eyes=("flash",)), shadowed=False)
        self.truth = Truth(self.line)
        for end in self.line.ends.values():
            self._overhear(end)

    def _overhear(self, end: End) -> None:
        take = end.take

        def overheard(*events: Any) -> list[Effect]:
            effects = take(*events)
            self.truth.note(end.name, effects)
            return effects

        end.take = overheard  # type: ignore[method-assign]

    def happen(self) -> None:
        draw = self.data.draw
        end = self.line.end(draw(st.sampled_from(["eucom", "ndmc"])))
        match draw(st.integers(0, 11)):
            case 0 | 1 | 2:
                self._officer(end)
            case 3 | 4 | 5:
                self._wire(end)
            case 6:
                self.line.world.wait(draw(st.sampled_from([1, SECOND, 40 * SECOND, 12 * MINUTE])))
            case 7:
                end.crash()
                self.line.world.wait(draw(st.sampled_from([0, SECOND, HOUR])))
                end.start(connected=draw(st.booleans()))
            case 8:
                end.happens((TransportLost, {"reason": "weather"}))
            case 9:
                end.happens((TransportConnected, {}))
            case 10:
                self._step(end, draw(st.sampled_from([-HOUR, -SECOND, SECOND, HOUR])))
            case _:
                self.line.settle()

    def _officer(self, end: End) -> None:
        draw = self.data.draw
        known = [*end.core.state.alerts, *end.core.state.watch.tests, "eucom/1/1"]
        of = draw(st.sampled_from(known))
        drafts = [*end.link.state.desk.drafts, 1]
        ours: dict[str, Any] = {"changes": Reference.parse(of), "change_kind": "update"}
        cues: list[Cue] = [
            alert(**LASTING),
            alert("flash", **LASTING),
            alert(**LASTING, **ours),
            release(draw(st.sampled_from(drafts))),
            *[test_line(), cancel(of), answer(of), refuse(of)],
            *[acknowledge(of, decision) for decision in ("understood", "will_reply")],
        ]
        end.happens(*draw(st.sampled_from(cues)).happenings)

    def _wire(self, end: End) -> None:
        """Deliver, lose, double or swap one frame of those that an end has on the wire."""
        if not end.outgoing:
            return
        draw = self.data.draw
        place = draw(st.integers(0, len(end.outgoing) - 1))
        match draw(st.integers(0, 3)):
            case 0:
                del end.outgoing[place]
            case 1:
                self.line.arrive(end.outgoing[place])
            case _:
                self.line.arrive(end.outgoing.pop(place))

    @staticmethod
    def _step(end: End, by: Millis) -> None:
        end.skew += by
        end.happens((ClockStepped, {"step_ms": by}))
        if end.core.slots_until < end.at + 7 * 24 * HOUR:
            end.plan()

    def heal(self) -> None:
        """Let the weather clear: both connected, nothing lost any more."""
        for end in self.line.ends.values():
            if end.skew:
                self._step(end, -end.skew)
            end.happens((TransportConnected, {}))
        for _ in range(5):
            self.line.settle()
            self.line.world.wait(2 * SECOND)
        self.line.settle()


def alert_states(end: End) -> dict[str, str]:
    return {view.reference: str(view.state) for view in end.core.snapshot().alerts}


def answered_tests(end: End) -> set[str]:
    return {view.reference for view in end.core.snapshot().tests if view.answer is not None}


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_two_ends_agree_when_the_weather_has_cleared(data: st.DataObject) -> None:
    """SPEC M3.1, M4.3, M4.4, R1.2, R2, W2.3"""
    storm = Stormy(data)
    for _ in range(data.draw(st.integers(5, 25))):
        storm.happen()
    storm.heal()
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
    answered = [
        {view.reference: view.answer is not None for view in end.core.snapshot().tests} for end in line.ends.values()
    ]
    assert answered[0] == answered[1]
    slots = [
        {view.slot for view in end.core.snapshot().slots if view.state in {"met", "late"}} for end in line.ends.values()
    ]
    assert slots[0] >= slots[1]
