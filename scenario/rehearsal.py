"""Plays a scenario in the simulated world: the same events, in virtual time, within seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from endpoints.config.durations import parse_s
from endpoints.errors import UserError
from endpoints.journal.segments import segment_path
from endpoints.runtime.ports import Now
from protocol.core.effects import Effect
from protocol.core.events import OfficerAcknowledged, OfficerRaisedAlert, OfficerRefused, OfficerReleased, Request
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase
from protocol.record.journal import Entry, Record
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import Reference
from scenario.narrator import Narrator
from scenario.simulation.chance import drawn
from scenario.simulation.faults import DAY, Plan
from scenario.simulation.officers import Habits, Officers
from scenario.simulation.world import World
from scenario.steps import (
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
)

RELEASED_AFTER: Millis = 20_000
"""How long the second officer reads a draft before releasing it."""
REPLIED_AGAIN: Millis = 10_000
"""How long an officer waits for an alert that has not arrived before they look again."""
REPLIED_WITHIN: Millis = 1_800_000
"""How long they wait in all."""
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
        self.world.invariants.listen(partial(self._hear, scenario.link.id))
        for link, (_, invariants) in self.world.further.items():
            invariants.listen(partial(self._hear, link))
        # the link files, by link
        self.files = {scenario.link.id: self.world.file} | {
            link: file for link, (file, _) in self.world.further.items()
        }

    def run(self) -> None:
        """Play the scenario.

        Raises Violation if a promise of the link is broken, and UserError if an officer's step is refused.
        """
        agenda = self.world.agenda
        for index, step in enumerate(self._scenario.steps):
            agenda.at(step.instant, partial(self._step, index))
        self.world.start()
        agenda.run_until(parsed(self._scenario.ends))
        for process in self.world.processes.values():
            process.stop_for_good()

    def write(self, folder: Path, link: str) -> dict[str, Path]:
        """Write every journal of a link below `folder`, in the service's layout; return its folders by process."""
        folders = {}
        for name, process in self.world.processes.items():
            folders[name] = folder / "link" / name / "journal" / link
            folders[name].mkdir(parents=True)
            for first, data in process.links[link].disk.segments.items():
                segment_path(folders[name], first).write_bytes(data)
        return folders

    def _hear(self, link: str, at: Millis, process: str, entry: Entry, effects: Sequence[Effect]) -> None:
        del at
        record = Record(0, link, process, 0, entry, tuple(effects), "", "")  # type: ignore[arg-type]
        self._narrator.record(record)

    # --- steps ----------------------------------------------------------------------------------------------------

    def _step(self, index: int) -> None:
        step, world = self._scenario.steps[index], self.world
        match step:
            case AlertStep():
                self._alert(index, step)
            case Acknowledge() | Refuse():
                self._reply(index, step, step.instant + REPLIED_WITHIN)
            case Crash():
                world.processes[step.side].crash("idle", self._back_at(index) - step.instant, power_cut=False)
            case Stop():
                world.broker.stop()
            case Start():
                world.broker.start()
            case Cut():
                world.broker.cut_link(self._scenario.link_of(step))
            case Mend():
                world.broker.mend_link(self._scenario.link_of(step))
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
            released = partial(_released, step.officers[1], draft)
            release = partial(self._ask, index, step.officers[1], released, raised)
            self.world.agenda.after(RELEASED_AFTER, release)

        self._ask(index, step.officers[0], partial(_raised, step), raised)

    def _reply(self, index: int, step: Acknowledge | Refuse, until: Millis) -> None:
        """Acknowledge or refuse an alert as soon as it is there, at the latest at `until`."""
        agenda, of = self.world.agenda, self._references.get(self._scenario.alert_of(step))
        again = partial(self._reply, index, step, until)
        if of is None:
            if agenda.now > until:
                raise self._failed(index, step.officer, phrase("{of} is not sent yet", of=step.of))
            agenda.after(REPLIED_AGAIN, again)
            return

        def refused(error: LocalProtocolError) -> None:
            if error.code != "unknown_reference" or agenda.now > until:
                raise self._failed(index, step.officer, error.detail)
            # the alert may still be on its way
            agenda.after(REPLIED_AGAIN, again)

        make = partial(_acknowledged, step, of) if isinstance(step, Acknowledge) else partial(_refused, step, of)
        self._officers(step).ask(make, refused=refused)

    def _ask(self, index: int, officer: str, make: Callable[[Now, str], Request], done: Callable[[str], None]) -> None:
        def refused(error: LocalProtocolError) -> None:
            raise self._failed(index, officer, error.detail)

        self._officers(self._scenario.steps[index]).ask(make, done, refused)

    def _officers(self, step: Step) -> Officers:
        """Return the officers of a step's side at its link."""
        link = self._scenario.link_of(step)
        further = self.world.officers_of.get((link, step.side))
        return further or self.world.officers[step.side]

    def _failed(self, index: int, officer: str, why: str) -> UserError:
        """Return the error of a step that the service refuses."""
        step = self._scenario.steps[index]
        return UserError(
            phrase(
                '{at}, "{action}": {officer} of {side} cannot do this: {why}',
                at=step.at,
                action=step.__struct_config__.tag,
                officer=officer,
                side=step.side,
                why=why,
            ),
            exit_code=1,
        )


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
