"""Simulates one process, an endpoint or the watch: the service's own loop and running links, in virtual time.

The core, the running link, the loop, its work items, the rate limits and the journal's writer are the service's own.
The clocks, the disk, the broker, the receivers of notifications and, in most worlds, the signatures are simulated.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from endpoints.config.link_file import LinkFile
from endpoints.config.officers import Officer
from endpoints.config.settings_tables import WATCH_IDENTITY
from endpoints.journal.writer import Batch
from endpoints.mqtt.events import Arrived, Connected, Delivery, Lost, PresenceChanged, PublishDenied, TakenOver
from endpoints.mqtt.topics import Topic
from endpoints.runtime.intake import EndpointIntake, Intake
from endpoints.runtime.link_runner import AnyRunner
from endpoints.runtime.loop import Loop
from endpoints.runtime.ports import Now
from endpoints.runtime.rate_limits import PRESENCE_PAUSE_S
from endpoints.runtime.reopening import LinkOpener
from endpoints.runtime.timed_events import SPACE_EVERY_S
from endpoints.runtime.work_items import Reply, RequestItem
from endpoints.runtime.work_queue import WorkQueue
from protocol.core.effects import Notify
from protocol.core.events import Request
from protocol.record.journal import Chain
from protocol.wire.instants import Millis
from scenario.simulation.agenda import Agenda
from scenario.simulation.disk import Crashed
from scenario.simulation.faults import CrashPoint
from scenario.simulation.invariants import Invariants
from scenario.simulation.network import Broker, QueuedFrame
from scenario.simulation.signatures import Signatures
from scenario.simulation.simulated_clock import AgendaTimer, SimulatedClock, SkippedTicks
from scenario.simulation.simulated_links import SimulatedLink

_RESTART_MS: tuple[Millis, Millis] = (60_000, 1_200_000)
"""How long operators take to restart a process after its disk has failed."""


class _Run(Struct, frozen=True):
    """The parts of the process that live from a start to the next stop or crash. `opener` is of its first link."""

    runners: dict[str, Any]
    opener: LinkOpener[Any]
    loop: Loop
    intake: Intake
    monitor: SkippedTicks
    timer: AgendaTimer

    @property
    def runner(self) -> AnyRunner:
        """The first link."""
        runner: AnyRunner = self.runners[self.opener.link]
        return runner

    @property
    def failed(self) -> bool:
        """Whether a link has stopped."""
        return any(runner.failure is not None for runner in self.runners.values())


class SimulatedProcess:
    """One process, with what outlives it: the clocks, the disk and the session at the broker."""

    def __init__(
        self,
        name: str,
        file: LinkFile,
        agenda: Agenda,
        broker: Broker,
        signatures: Signatures,
        invariants: Invariants,
        chance: random.Random,
        officers: Sequence[str] = (),
        further: Mapping[str, tuple[LinkFile, Invariants]] = {},
    ) -> None:
        """Make it.

        Args:
            name: the party, or the watch.
            file: the link file of its first link, in most worlds the only one.
            agenda: the world's.
            broker: the world's.
            signatures: signs and judges.
            invariants: check the journal of the first link.
            chance: draws what is left to chance.
            officers: those who may act.
            further: the link files of further links, and what checks their journals, by link.
        """
        self.name = name
        self.clock = SimulatedClock(agenda)
        first = SimulatedLink(name, file, invariants, chance)
        self.links = {first.id: first}
        self.links |= {link: SimulatedLink(name, each, checks, chance) for link, (each, checks) in further.items()}
        self.disk = first.disk
        self._first = first
        self._asleep = False
        self._crash_point: CrashPoint | None = None
        self._power_cut = False
        self._down_for: Millis = 0
        self._receivers: list[tuple[str, Callable[[Notify], None]]] = []
        self._came_up: list[Callable[[], None]] = []
        self._agenda = agenda
        self._broker = broker
        self._signatures = signatures
        self._chance = chance
        self._officers = {name: Officer(credential=f"of {name}").digest for name in officers}
        self._run: _Run | None = None
        senders = tuple(party for party in file.parties if party != name)
        broker.admit(name, senders, self)

    def notify(
        self, receiver: Callable[[Notify], None], came_up: Callable[[], None] | None = None, link: str = ""
    ) -> None:
        """Call `receiver` with each notification of a link, and `came_up` whenever the process answers again."""
        self._receivers.append((link or self._first.id, receiver))
        if came_up is not None:
            self._came_up.append(came_up)

    def adopt(self, file: LinkFile) -> None:
        """Install another link file, for the next start."""
        self.links[file.terms.link].adopt(file)

    # --- the process ------------------------------------------------------------------------------------------------

    @property
    def runner(self) -> AnyRunner | None:
        """The first running link, None while the process is down."""
        return None if self._run is None else self._run.runner

    def start(self) -> None:
        """Start the process: recover the journal, fold it, take `Started`; then connect."""
        if self._run is not None:
            return
        self.clock.finish_boot()
        self._cancel_crash()
        self._power_cut = False
        self._run = run = self._prepare()
        if self._drive(run.loop.start):
            if self._asleep:
                # the machine sleeps on: the turn after it wakes records the rest of the sleep
                run.monitor.look()
            self._broker.want(self.name)
            self._report_up()

    def _prepare(self) -> _Run:
        """Return the parts of a process that has not started yet, on what its disk holds."""
        queue = WorkQueue()
        watches = self.name == WATCH_IDENTITY
        openers = {
            link: each.opener(self, self._signatures, self._officers, self._draw_nonce, self._on_disk)
            for link, each in self.links.items()
        }
        runners: dict[str, Any] = {link: opener.open() for link, opener in openers.items()}
        intake = (Intake if watches else EndpointIntake)(runners, queue, self._acknowledge)
        monitor = SkippedTicks(self.clock)
        timer = AgendaTimer(self._agenda, self.clock, self._turn)
        loop = Loop(runners, queue, self.clock, monitor, timer, lambda: None)
        return _Run(runners, openers[self._first.id], loop, intake, monitor, timer)

    def _on_disk(self, _batch: Batch) -> None:
        if self._crash_point == "after_append":
            raise Crashed

    def _turn(self) -> None:
        """Let the loop take a turn."""
        if self._run is not None and not self._asleep:
            self._drive(self._run.loop.turn)

    def _drive(self, step: Callable[[], object]) -> bool:
        """Let the loop take a step. Return whether the process still runs: a crash or a stopped link ends it."""
        assert self._run is not None
        try:
            step()
        except Crashed:
            self._die()
            return False
        if self._run.failed:
            self._die()
            return False
        return True

    def turn_soon(self, delay: Millis = 0) -> None:
        """Let the loop take a turn in some milliseconds: items that arrive meanwhile share its batch."""
        instant = self._agenda.now + delay + 1 + self._chance.getrandbits(2)
        if self._run is not None:
            self._run.timer.wake_at(instant)

    def _die(self) -> None:
        """End the process now; its supervisor restarts it later."""
        if self._run is None:
            return
        down_for = self._down_for or self._chance.randint(*_RESTART_MS)
        self._down_for = 0
        if self._power_cut:
            self.clock.boot(down_for)
        self._end()
        self._agenda.after(down_for, self.start)

    def _end(self) -> None:
        """End the process, and its connection."""
        assert self._run is not None
        self._run.timer.cancel()
        self._run = None
        self._cancel_crash()
        self._broker.leave(self.name)

    def _report_up(self) -> None:
        for came_up in self._came_up:
            came_up()

    # --- faults -----------------------------------------------------------------------------------------------------

    def crash(self, point: CrashPoint, down_for: Millis, *, power_cut: bool) -> None:
        """End the process at `point` of its next batch, or at once if it is idle."""
        if self._run is None:
            return
        self._down_for, self._power_cut = down_for, power_cut
        if point == "idle":
            self._die()
        elif point in {"before_append", "torn"}:
            self.disk.crash_in_next_write(point, power_cut=power_cut)
        else:
            self._crash_point = point

    def stop_cleanly(self, down_for: Millis) -> None:
        """Stop the service as its supervisor does, and start it again later."""
        if self.stop_for_good():
            self._agenda.after(down_for, self.start)

    def stop_for_good(self) -> bool:
        """Stop the service as its supervisor does; return whether it stopped in order."""
        if self._run is None or self._asleep or not self._drive(self._run.loop.shut_down):
            return False
        self._end()
        return True

    def reload(self) -> None:
        """Stop the link in order and start it again over the same connection, as a reload of changed files does."""
        if (run := self._run) is not None and not self._asleep:
            self._drive(lambda: run.opener.exchange(run.runners, run.loop.queue, run.loop.settle()))
            self.turn_soon()

    def step_clock(self, step_ms: Millis) -> None:
        """Move the wall clock; the loop notices within a second, or when the machine wakes."""
        if self._run is not None and not self._asleep:
            self._run.monitor.look()
        self.clock.step(step_ms)
        if self._run is not None:
            self._run.timer.disarm()
        self.turn_soon(self._chance.randint(1, 1_000))

    def restore_journal(self, lacking: int, down_for: Millis) -> None:
        """Replace the machine by another one with an older copy of the journal, without its last batches."""
        if self._run is None or self._asleep:
            return
        self.crash("idle", down_for, power_cut=True)
        self.disk.restore(lacking)
        chain = Chain(self._first.id, self.name)
        self._first.invariants.restored(self.name, map(chain.take, self.disk.lines()))

    def show_space(self, free_bytes: int) -> None:
        """Change the disk's free space; the loop checks it every few seconds."""
        self.disk.show_free(free_bytes)
        self.turn_soon(SPACE_EVERY_S * 1_000)

    def sleep(self, lasts: Millis) -> None:
        """Let the machine sleep: nothing runs, and its connection is cut."""
        if self._run is None or self._asleep:
            return
        self._run.monitor.look()
        self._asleep = True
        self._broker.cut(self.name)
        self._agenda.after(lasts, self._wake_up)

    def _wake_up(self) -> None:
        self._asleep = False
        self._broker.mend(self.name)
        if self._run is not None:
            self._run.timer.disarm()
        self._turn()
        self._report_up()

    def heal(self) -> None:
        """End every fault of this machine, set its clock right, and start the process if it is down."""
        self.disk.fill(full=False)
        self.disk.break_flushes(broken=False)
        self._cancel_crash()
        if self.clock.skew:
            self.step_clock(-self.clock.skew)
        self.start()

    def _cancel_crash(self) -> None:
        """Cancel a crash that has not happened yet."""
        self.disk.cancel_crash()
        self._crash_point = None

    # --- the broker's session ---------------------------------------------------------------------------------------

    def connected(self) -> None:
        """Report that the broker has accepted the session."""
        self._happened(Connected())

    def lost(self, reason: str) -> None:
        """Report that the connection was lost."""
        self._happened(Lost(reason))

    def taken_over(self, times: int) -> None:
        """Report that another client uses this identity."""
        self._happened(TakenOver(times))

    def refused(self, token: object, code: int, reason: str) -> None:
        """Report that the broker refused a publish."""
        self._happened(PublishDenied(token, code, reason))

    def arrived(self, delivery: QueuedFrame) -> None:
        """Report a frame."""
        topic = Topic(delivery.link or self._first.id, delivery.sender, delivery.channel)
        self._happened(Arrived(topic, delivery.frame, Delivery(0, delivery.mid)))

    def presence(self, party: str, *, present: bool, link: str = "") -> None:
        """Report a party's presence on a link, or on each that the broker carries."""
        if self._run is not None:
            for each in (link,) if link else self.links:
                if each == link or each not in self._broker.cut_links:
                    self._happened(PresenceChanged(each, party, present))
            # a change above the rate limit is journaled later
            self._agenda.after((PRESENCE_PAUSE_S + 1) * 1_000, self.turn_soon)

    def _happened(self, event: Connected | Lost | TakenOver | PublishDenied | Arrived | PresenceChanged) -> None:
        if self._run is not None:
            self._run.intake.happened(event)
            self.turn_soon()

    def _acknowledge(self, delivery: Delivery) -> None:
        if self._crash_point == "before_acknowledge":
            raise Crashed
        self._broker.acknowledge(self.name, delivery.packet_id)

    # --- the ports of the running link --------------------------------------------------------------------------------

    def publish(self, topic: Topic, payload: bytes, token: object) -> bool:
        """Publish a frame."""
        if self._crash_point == "mid_perform" and self._chance.getrandbits(1):
            raise Crashed
        assert topic.channel != "presence"
        self.links[topic.link].invariants.published(self.name, payload)
        self._broker.publish(self.name, topic.channel, payload, token, link=topic.link)
        return True

    def leave(self, link: str) -> None:
        """Do nothing: the process ends after this turn."""

    def submit(self, link: str, side: str, effect: Notify) -> None:
        """Deliver a notification to the officers; report the delivery a moment later."""
        del side
        for of, receive in self._receivers:
            if of == link:
                receive(effect)
        self._agenda.after(self._chance.randint(20, 2_000), partial(self._notified, self._run, link, effect.id))

    def _notified(self, run: _Run | None, link: str, notice: str) -> None:
        if run is not None and self._run is run:
            run.intake.notified(link, notice, delivered=True)
            self.turn_soon()

    def _draw_nonce(self) -> str:
        return f"{self._chance.getrandbits(64):016x}"

    # --- officers ---------------------------------------------------------------------------------------------------

    def ask(self, make: Callable[[Now], Request], reply: Reply, link: str = "") -> None:
        """Take an officer's request on a link; while the service is down, nothing happens."""
        if self._run is not None and not self._asleep:
            self._run.loop.queue.put(RequestItem(self._run.runners[link or self._first.id], make, reply))
            self.turn_soon()
