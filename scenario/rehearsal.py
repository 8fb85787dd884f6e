"""Plays a scenario in the simulated world: the same events, in virtual time, within seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from endpoints.config.durations import parse_s
from endpoints.journal.segments import segment_path
from endpoints.runtime.ports import Now
from protocol.core.effects import Effect
from protocol.core.events import OfficerAcknowledged, OfficerRaisedAlert, OfficerRefused, OfficerReleased, Request
from protocol.record.journal import Entry, Record
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import Reference
from scenario.narrator import Narrator
from scenario.simulation.chance import drawn
from scenario.simulation.faults import DAY, Plan
from scenario.simulation.officers import Habits
from scenario.simulation.world import World
from scenario.steps import (
    Acknowledge,
    AlertStep,
    Crash,
    LeaveUnanswered,
    Nothing,
    Refuse,
    Restart,
    Scenario,
    Start,
    Stop,
)

RELEASED_AFTER: Millis = 20_000
"""How long the second officer reads a draft before releasing it."""
_SEED = 1


class Rehearsal:
    """One scenario in the simulated world."""

    def __init__(self, scenario: Scenario, narrator: Narrator) -> None:
        self._scenario = scenario
        self._narrator = narrator
        self._references: dict[int, Reference] = {}
        starts, ends = parsed(scenario.starts), parsed(scenario.ends)
        plan = Plan(seed=_SEED, days=(ends - starts) // DAY + 1, faults=(), acts=(), real_keys=True)
        habits = {party.id: ScenarioHabits(scenario, party.id) for party in scenario.parties}
        self.world = World(plan, scenario, starts, habits)
        self.world.invariants.listen(self._hear)
        self.file = self.world.file

    def run(self) -> None:
        """Play the scenario. Raises Violation if a promise of the link is broken."""
        agenda = self.world.agenda
        for index, step in enumerate(self._scenario.steps):
            agenda.at(step.instant, partial(self._step, index))
        self.world.start()
        agenda.run_until(parsed(self._scenario.ends))
        for process in self.world.processes.values():
            process.stop_for_good()

    def write(self, folder: Path) -> dict[str, Path]:
        """Write every journal below `folder`, in the service's layout; return its folders by process."""
        folders = {}
        for name, process in self.world.processes.items():
            folders[name] = folder / "link" / name / "journal" / self._scenario.link.id
            folders[name].mkdir(parents=True)
            for first, data in process.disk.segments.items():
                segment_path(folders[name], first).write_bytes(data)
        return folders

    def _hear(self, at: Millis, process: str, entry: Entry, effects: Sequence[Effect]) -> None:
        del at
        record = Record(0, self._scenario.link.id, process, 0, entry, tuple(effects), "", "")  # type: ignore[arg-type]
        self._narrator.record(record)

    # --- steps ----------------------------------------------------------------------------------------------------

    def _step(self, index: int) -> None:
        step, world = self._scenario.steps[index], self.world
        match step:
            case AlertStep():
                self._alert(index, step)
            case Acknowledge():
                of = self._references[self._scenario.alert_of(step)]
                self._ask(step.side, partial(_acknowledged, step, of))
            case Refuse():
                of = self._references[self._scenario.alert_of(step)]
                self._ask(step.side, partial(_refused, step, of))
            case Crash():
                world.processes[step.side].crash("idle", self._back_at(index) - step.instant, power_cut=False)
            case Stop():
                world.broker.stop()
            case Start():
                world.broker.start()
            case LeaveUnanswered() | Nothing() | Restart():
                # handled by the officer's habits; no action; scheduled by the crash
                pass
        self._narrator.step(step)

    def _back_at(self, index: int) -> Millis:
        """Return when the endpoint that crashes in step `index` is restarted."""
        side = self._scenario.steps[index].side
        later = self._scenario.steps[index + 1 :]
        return next(step.instant for step in later if isinstance(step, Restart) and step.side == side)

    def _alert(self, index: int, step: AlertStep) -> None:
        def raised(reference: str) -> None:
            if not reference.startswith("draft/"):
                self._references[index] = Reference.parse(reference)
                return
            draft = int(reference.removeprefix("draft/"))
            release = partial(self._ask, step.side, partial(_released, step.officers[1], draft), raised)
            self.world.agenda.after(RELEASED_AFTER, release)

        self._ask(step.side, partial(_raised, step), raised)

    def _ask(
        self, side: str, make: Callable[[Now, str], Request], done: Callable[[str], None] = lambda _reference: None
    ) -> None:
        self.world.officers[side].ask(make, done)


class ScenarioHabits(Habits):
    """Officers who do only what the scenario says."""

    def __init__(self, scenario: Scenario, side: str) -> None:
        super().__init__(drawn(_SEED))
        self._after = parse_s(scenario.line_test.answer_after) * 1_000
        self._placed_after = parse_s(scenario.line_test.placed_after) * 1_000
        self._left = scenario.left_unanswered()
        self._answers = side == scenario.link.answering.id
        self.officers = (scenario.duty_officer(side),) * 2

    def places_after(self) -> Millis:
        """Return how long after its notification the test of a slot is placed, in ms."""
        return self._placed_after

    def answers_after(self, slot: str) -> Millis | None:
        """Return how long after its reception the test of `slot` is answered, in ms; None for no answer."""
        return self._after if self._answers and slot not in self._left else None

    def misreads(self) -> bool:
        """Return False: the officer types the right words."""
        return False

    def replies_after(self) -> Millis | None:
        """Return None: steps acknowledge and refuse alerts."""
        return None

    def acknowledges_alarms_after(self) -> Millis | None:
        """Return None: alarms stay, for the reader of the journals."""
        return None


def _raised(step: AlertStep, now: Now, request: str) -> Request:
    return OfficerRaisedAlert(
        at=now.at,
        mono=now.mono,
        request=request,
        officer=step.officers[0],
        status="exercise",
        category=step.category,
        precedence=step.precedence,
        event_at=written(now.at),
        expires_at=written(now.at + parse_s(step.expires_after) * 1_000),
        text=step.text,
        area=step.area,
    )


def _released(officer: str, draft: int, now: Now, request: str) -> Request:
    return OfficerReleased(at=now.at, mono=now.mono, request=request, officer=officer, draft=draft)


def _acknowledged(step: Acknowledge, of: Reference, now: Now, request: str) -> Request:
    return OfficerAcknowledged(
        at=now.at,
        mono=now.mono,
        request=request,
        officer=step.officer,
        of=of,
        decision=step.decision,
        text=step.text,
    )


def _refused(step: Refuse, of: Reference, now: Now, request: str) -> Request:
    return OfficerRefused(
        at=now.at,
        mono=now.mono,
        request=request,
        officer=step.officer,
        of=of,
        reason=step.reason,
        referral=step.referral,
        text=step.text,
    )
