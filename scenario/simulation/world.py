"""Runs a simulated world: two endpoints, the watch, a broker, officers, and the faults that one seed draws.

`Invariants` check safety at every step. At the end every fault is healed, and everything must settle within a bound
(`convergence`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial

from msgspec import UNSET, Struct, structs

from endpoints.clocks import slots
from endpoints.config.link_file import LinkFile, Party, WatchEntry
from endpoints.config.settings_tables import WATCH_IDENTITY
from protocol.core.effects import Notify
from protocol.core.snapshot import Snapshot
from protocol.wire.instants import Millis, parsed, written
from scenario.files import load, packaged
from scenario.simulation import convergence, oracle
from scenario.simulation.agenda import Agenda
from scenario.simulation.chance import drawn, part
from scenario.simulation.fault_injector import FaultInjector
from scenario.simulation.faults import CALM, HOUR, MINUTE, SECOND, Plan
from scenario.simulation.invariants import Invariants, Violation
from scenario.simulation.network import Broker
from scenario.simulation.officers import Habits, Officers
from scenario.simulation.signatures import Signatures, enrolled
from scenario.simulation.simulated_process import SimulatedProcess
from scenario.steps import Scenario

SETTLED_WITHIN: Millis = HOUR
"""The bound within which every queued message is delivered and receipted, once everything is healed. A peer that was
absent for long is retried every quarter of an hour."""
_FIRST_DAYS = tuple(parsed(f"{day}T00:00:00.000Z") for day in ("2022-03-20", "2022-10-20", "2022-11-01", "2023-02-20"))
"""From two of them the month crosses a change of summer time."""
_REPLAYED_EVERY = 20
"""Every recovery compares one segment with its fold; one world of this many replays its whole journals at the end."""
_ENDED_BY_AN_EPOCH = {"equivocation", "fork", "journal_behind"}


class Totals(Struct):
    """Counts over one world or several."""

    seeds: int = 0
    simulated_ms: Millis = 0
    events: int = 0
    records: int = 0
    frames: int = 0
    messages: int = 0
    alarms: int = 0
    starts: int = 0
    faults: dict[str, int] = {}

    def add(self, other: Totals) -> None:
        """Add the counts of another world."""
        for name in ("seeds", "simulated_ms", "events", "records", "frames", "messages", "alarms", "starts"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.faults = dict(Counter(self.faults) + Counter(other.faults))


class World:
    """One world: `processes` by name, `officers` by side, the `broker`, and the `invariants` that check them."""

    def __init__(
        self, plan: Plan, scenario: Scenario, starts: Millis, habits: Mapping[str, Habits] | None = None
    ) -> None:
        chance = drawn(plan.seed)
        self.plan = plan
        self._chance = part(chance)
        self.starts = starts
        self.ends = starts + plan.ends
        # from here on everything must have settled
        self.calm_from = self.ends - CALM + SETTLED_WITHIN
        self.file = _link_file(scenario)
        policy = self.file.terms.policy
        # a slot of the first hour may be over before the first process is up
        self.slots = tuple(map(parsed, slots.plan(policy.slots, policy.zone, starts + HOUR, self.ends)))
        self.agenda = Agenda(starts)
        parties = (self.file.terms.caller, self.file.terms.answering)
        self.signatures = Signatures(parties, real=plan.real_keys)
        self.invariants = Invariants(self.agenda, self.signatures)
        self.broker = Broker(self.agenda, part(chance))
        # further links of the same processes, by id
        self.further = {
            each.id: (_link_file(scenario, each.id), Invariants(self.agenda, self.signatures))
            for each in scenario.further_links
        }
        self.processes = {
            name: SimulatedProcess(
                name,
                self.file,
                self.agenda,
                self.broker,
                self.signatures,
                self.invariants,
                part(chance),
                roster(scenario, name) if name in parties else (),
                self.further,
            )
            for name in (*parties, WATCH_IDENTITY)
        }
        self.officers = {}
        for side in parties:
            own = part(chance)
            self.officers[side] = Officers(
                self.processes[side], self.agenda, own, (habits or {}).get(side) or Habits(own)
            )
        # the officers of further links, by link and side
        self.officers_of = {
            (link, side): Officers(
                self.processes[side], self.agenda, part(chance), (habits or {}).get(side) or Habits(part(chance)), link
            )
            for link in self.further
            for side in parties
        }
        self._agreeing = False
        for process in self.processes.values():
            process.notify(self._notified)
        self.fault_injector = FaultInjector(
            self.agenda,
            self.broker,
            self.processes,
            self.signatures,
            self.invariants,
            part(chance),
        )

    def start(self) -> None:
        """Start every process for the first time."""
        for process in self.processes.values():
            process.start()

    def run(self) -> Totals:
        """Run the world to its end. Raises Violation on the first broken promise."""
        try:
            self._run()
        except Violation as violation:
            instant = written(self.agenda.now)
            raise Violation(f"{instant}: {violation}") from violation
        return self.totals()

    def _run(self) -> None:
        self.start()
        for fault in self.plan.faults:
            self.agenda.at(self.starts + fault.at, partial(self.fault_injector.inject, fault))
        for act in self.plan.acts:
            self.agenda.at(self.starts + act.at, partial(self.officers[act.side].act, act))
        self.agenda.run_until(self.ends - CALM)
        self.fault_injector.heal()
        if self._agreeing:
            self._next_epoch()
        self.agenda.run_until(self.calm_from)
        convergence.settled(self._views(), self.invariants, self.agenda.now)
        self.agenda.run_until(self.ends)
        convergence.settled(self._views(), self.invariants, self.agenda.now)
        convergence.repeated(self.processes, self.invariants)
        convergence.slots(self.invariants, self.file.terms, self.slots, self.calm_from, self.ends)
        if self.plan.seed % _REPLAYED_EVERY == 0:
            convergence.replayed(self.processes)
        oracle.deadlines(self.invariants, self.file.terms.policy, self.ends)

    def _views(self) -> dict[str, Snapshot | None]:
        """Return what each process shows, None for one that is down."""
        runners = {name: process.runner for name, process in self.processes.items()}
        return {name: None if runner is None else runner.core.snapshot() for name, runner in runners.items()}

    def _notified(self, notice: Notify) -> None:
        """Schedule a new epoch, on which officers agree within hours, once a stream has two versions (SPEC E2)."""
        alarm = None if notice.alarm is UNSET else notice.alarm
        if alarm is not None and alarm.active and alarm.code in _ENDED_BY_AN_EPOCH and not self._agreeing:
            self._agreeing = True
            self.agenda.after(self._chance.randint(10 * MINUTE, 4 * HOUR), self._next_epoch)

    def _next_epoch(self) -> None:
        """Stop every process, and start it with the new link file."""
        if not self._agreeing:
            return
        self._agreeing = False
        self.file = structs.replace(self.file, terms=structs.replace(self.file.terms, epoch=self.file.terms.epoch + 1))
        for process in self.processes.values():
            process.adopt(self.file)
            process.stop_cleanly(10 * SECOND)

    def totals(self) -> Totals:
        """Return the counts so far."""
        observations = self.invariants.observations.values()
        return Totals(
            seeds=1,
            simulated_ms=self.agenda.now - self.starts,
            events=self.agenda.events,
            records=self.invariants.records,
            frames=self.broker.counts["delivered"],
            messages=sum(len(observed.queued) for observed in observations),
            alarms=sum(observed.raised.total() for observed in observations),
            starts=sum(observed.starts for observed in observations),
            faults=dict(self.fault_injector.counts),
        )


def world(plan: Plan) -> World:
    """Return the world of a plan, with the real line's schedule and policy, in a month that the seed picks."""
    return World(plan, load(packaged("november-2022")), _FIRST_DAYS[plan.seed % len(_FIRST_DAYS)])


def roster(scenario: Scenario, side: str) -> tuple[str, ...]:
    """Return the officers of a side: the scenario's, and those of `Habits`."""
    return tuple(dict.fromkeys([*scenario.officers(side), *Habits.officers]))


def _link_file(scenario: Scenario, link: str = "") -> LinkFile:
    keys = enrolled((scenario.link.caller.id, scenario.link.answering.id, WATCH_IDENTITY))
    return LinkFile(
        terms=scenario.terms(link_id=link),
        parties={
            party.id: Party(name=party.name, site=party.site, zone=party.zone, keys=keys[party.id])
            for party in scenario.parties
        },
        watch=WatchEntry(keys=keys[WATCH_IDENTITY]),
    )
