"""One headquarters, or the watch, in the simulated world: the service's own loop and rooms, in virtual time.

What is real: the core, the room, the loop, the caps, the journal's format and recovery. What is simulated: the clock,
the disk, the broker, the notifications' receivers, and (mostly) the signatures.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

from endpoints.config.link_file import LinkFile
from endpoints.config.settings import WATCH_IDENTITY
from endpoints.journal.writer import Batch, JournalWriter
from endpoints.mqtt.topics import Topic
from endpoints.notify import Notifier
from endpoints.runtime.endpoint_link import EndpointLink
from endpoints.runtime.link_runner import SPACE_EVERY_S, LinkRunner, Now
from endpoints.runtime.rate_limits import PRESENCE_PAUSE_S
from endpoints.runtime.work_items import EventItem, FrameItem, Making
from protocol.core.effects import Notify
from protocol.core.events import (
    IdentityTakenOver,
    NotificationDone,
    PublishRefused,
    Request,
    TransportConnected,
    TransportLost,
)
from protocol.core.link import Link
from protocol.core.observer import Observer
from protocol.errors import LocalProtocolError
from protocol.record.fold import fold
from protocol.record.journal import Chain
from protocol.wire.instants import Millis
from scenario.simulation.agenda import Agenda
from scenario.simulation.disk import Crashed, Disk
from scenario.simulation.faults import CrashPoint
from scenario.simulation.invariants import Invariants
from scenario.simulation.network import Broker, Channel, QueuedFrame
from scenario.simulation.signatures import Signatures
from scenario.simulation.simulated_loop import BOOT_MS, Question, SimulatedClock, SimulatedLoop

SEGMENT_BYTES = 160_000
"""Small, so that a month has many checkpoints, and a restart reads little."""
_AGAIN_MS: tuple[Millis, Millis] = (60_000, 1_200_000)
"""After a failure of its disk a process is brought up again by people."""


class SimulatedNotifier(Notifier):
    """Tells the people of one site."""

    def __init__(self, process: SimulatedProcess) -> None:
        super().__init__((), lambda _link, _id, _delivered: None)
        self._process = process

    def submit(self, link: str, side: str, effect: Notify) -> None:
        """Tell them, and say a moment later that they know."""
        del link, side
        self._process.tell(effect)


class SimulatedProcess:
    """One process's world: its clock, its disk, its place at the broker. The process itself comes and goes."""

    def __init__(
        self,
        name: str,
        file: LinkFile,
        agenda: Agenda,
        broker: Broker,
        signatures: Signatures,
        invariants: Invariants,
        chance: random.Random,
    ) -> None:
        self.name = name
        self.file = file
        self.clock = SimulatedClock(agenda)
        self.disk = Disk(name, chance)
        self.runner: LinkRunner[Any] | None = None
        self.told: list[Callable[[Notify], None]] = []
        self.came_up: Callable[[], None] = lambda: None
        self.asleep = False
        self.doom: CrashPoint | None = None
        self._down_for: Millis = 0
        self._power_cut = False
        self._agenda = agenda
        self._broker = broker
        self._signatures = signatures
        self._invariants = invariants
        self._chance = chance
        self._loop: SimulatedLoop | None = None
        self._life = 0
        self._wake: Millis | None = None
        # the instants for which the agenda holds a wake-up of this life
        self._scheduled: set[Millis] = set()
        senders = tuple(party for party in file.parties if party != name)
        broker.admit(name, senders, self)

    # --- the process ------------------------------------------------------------------------------------------------

    @property
    def up(self) -> bool:
        """The process runs and its link has not stopped."""
        return self._loop is not None

    def start(self) -> None:
        """The process comes up: recover, fold, `Started`; then it connects."""
        if self._loop is not None:
            return
        # whoever heals everything does not wait for a machine that is still booting
        self.clock.boot = min(self.clock.boot, self._agenda.now - BOOT_MS)
        self._spare()
        self._power_cut = False
        journal = JournalWriter.open(
            self.disk, self.file.terms.link, self.name, segment_bytes=SEGMENT_BYTES, on_disk=self._on_disk
        )
        core = self._fold(journal)
        notifier = SimulatedNotifier(self)
        keyring = self._signatures.keyring()
        if isinstance(core, Link):
            self.runner = EndpointLink(
                core,
                journal,
                self.file,
                notifier,
                signer=self._signatures.signer(self.name),
                outlet=self,
            )
        else:
            self.runner = LinkRunner(core, journal, self.file, notifier)
        self.runner.keyring = keyring
        self.runner.draw_nonce = self._draw_nonce
        self._life += 1
        self._wake = None
        self._scheduled = set()
        self._loop = SimulatedLoop(self.clock, self.runner)
        self.runner.start(self._loop.now())
        self.turn()
        if self.up:
            self._broker.want(self.name)
            self.came_up()

    def _fold(self, journal: JournalWriter) -> Any:
        """Return the core that the journal leads to; the judge compares what it does again with what it did."""
        kind = Observer if self.name == WATCH_IDENTITY else Link
        core: Any = kind.new(journal.link, journal.side)
        records = journal.take_recovered()
        self._invariants.recovered(self.name, journal.n, records)
        return fold(records, core, partial(self._invariants.replayed, self.name))

    def _on_disk(self, batch: Batch) -> None:
        self._invariants.durable(self.name, batch)
        if self.doom == "after_append":
            raise Crashed

    def turn(self) -> None:
        """Let the loop take a turn."""
        loop, runner = self._loop, self.runner
        if loop is None or runner is None or self.asleep:
            return
        try:
            loop.turn()
        except Crashed:
            self.die()
            return
        if runner.failure is not None:
            # whoever supervises the process restarts it when there is a disk again
            self.die()
            return
        self._arm()

    def _arm(self) -> None:
        assert self._loop is not None
        wake = self._loop.next_wake()
        if wake is not None:
            self._wake_at(max(wake, self._agenda.now))

    def _wake_at(self, wake: Millis) -> None:
        """Let the loop take a turn at `wake`, unless it will do so sooner."""
        if self._wake is not None and wake >= self._wake:
            return
        self._wake = wake
        if wake not in self._scheduled:
            self._scheduled.add(wake)
            self._agenda.at(wake, partial(self._woken, self._life, wake))

    def _woken(self, life: int, wake: Millis) -> None:
        if self._life != life:
            return
        self._scheduled.discard(wake)
        if self._wake == wake:
            self._wake = None
            self.turn()

    def turn_soon(self, delay: Millis = 0) -> None:
        """Let the loop take a turn within milliseconds: what arrives meanwhile shares its batch."""
        wake = self._agenda.now + delay + 1 + self._chance.getrandbits(2)
        if self._loop is not None:
            self._wake_at(wake)

    def die(self) -> None:
        """The process ends here and now; its supervisor brings it up again after a while."""
        if self._loop is None:
            return
        down_for = self._down_for or self._chance.randint(*_AGAIN_MS)
        self._down_for = 0
        if self._power_cut:
            self.clock.boot = self._agenda.now + down_for - BOOT_MS
        self._end()
        self._agenda.after(down_for, self.start)

    def _end(self) -> None:
        """The process is gone."""
        self._loop, self.runner = None, None
        self._life += 1
        self._spare()
        self._broker.leave(self.name)

    # --- what befalls it --------------------------------------------------------------------------------------------

    def crash(self, point: CrashPoint, down_for: Millis, *, power_cut: bool) -> None:
        """End the process at `point` of its next batch, or at once if it is idle."""
        if self._loop is None:
            return
        self._down_for, self._power_cut = down_for, power_cut
        if point == "idle":
            self.die()
        elif point in {"before_append", "torn"}:
            self.disk.crash_in_next_write(point, power_cut=power_cut)
        else:
            self.doom = point

    def _spare(self) -> None:
        self.disk.spare()
        self.doom = None

    def heal(self) -> None:
        """End every fault of this machine, set its clock right, and start the process if it is down."""
        self.disk.fill(full=False)
        self.disk.break_flushes(broken=False)
        self._spare()
        if self.clock.skew:
            self.step_clock(-self.clock.skew)
        self.start()

    def stop_cleanly(self, down_for: Millis) -> None:
        """Stop the service as its supervisor does, and bring it up again later."""
        if self.stop_for_good():
            self._agenda.after(down_for, self.start)

    def stop_for_good(self) -> bool:
        """Stop the service as its supervisor does; return whether it went in order."""
        loop, runner = self._loop, self.runner
        if loop is None or runner is None or self.asleep:
            return False
        self.turn()
        if self._loop is not loop:
            return False
        try:
            now = loop.now()
            runner.stop(now)
            runner.commit(now)
            runner.perform(now)
            runner.close(now)
        except Crashed:
            self.die()
            return False
        self._end()
        return True

    def step_clock(self, step_ms: Millis) -> None:
        """Move the wall clock; the loop notices within a second."""
        if self._loop is not None:
            self._loop.look()
        self.clock.skew += step_ms
        # deadlines on the wall clock are due at other instants now
        self._wake = None
        self.turn_soon(self._chance.randint(1, 1_000))

    def restore_journal(self, lacking: int, down_for: Millis) -> None:
        """The machine is lost; another comes up with an older copy of the journal."""
        if self._loop is None or self.asleep:
            return
        self.crash("idle", down_for, power_cut=True)
        self.disk.restore(lacking)
        chain = Chain(self.file.terms.link, self.name)
        self._invariants.restored(self.name, map(chain.take, self.disk.lines()))

    def show_space(self, free_bytes: int) -> None:
        """Change how much room the disk has; the loop looks at it every few seconds."""
        self.disk.show_free(free_bytes)
        self.turn_soon(SPACE_EVERY_S * 1_000)

    def sleep(self, lasts: Millis) -> None:
        """The machine sleeps: nothing runs, and its connection dies."""
        if self._loop is None or self.asleep:
            return
        self._loop.look()
        self.asleep = True
        self._broker.cut(self.name)
        self._agenda.after(lasts, self._wake_up)

    def _wake_up(self) -> None:
        self.asleep = False
        self._broker.mend(self.name)
        self._wake = None
        self.turn()
        self.came_up()

    # --- the broker -------------------------------------------------------------------------------------------------

    def connected(self) -> None:
        """The broker has accepted the session."""
        self._put(lambda now: TransportConnected(at=now.at, mono=now.mono))

    def lost(self, reason: str) -> None:
        """The connection is gone."""
        self._put(lambda now: TransportLost(at=now.at, mono=now.mono, reason=reason))

    def taken_over(self, times: int) -> None:
        """Somebody else uses this identity."""
        self._put(lambda now: IdentityTakenOver(at=now.at, mono=now.mono, times=times))

    def refused(self, channel: Channel, code: int, reason: str) -> None:
        """The broker refused a publish."""
        self._put(lambda now: PublishRefused(at=now.at, mono=now.mono, channel=channel, code=code, reason=reason))

    def arrived(self, delivery: QueuedFrame) -> None:
        """A frame is here."""
        if self._loop is None or self.runner is None:
            return
        acknowledge = partial(self._acknowledge, delivery.mid)
        topic = Topic(self.runner.link, delivery.sender, delivery.channel)
        self._loop.queue.put(FrameItem(self.runner, topic, delivery.frame, acknowledge))
        self.turn_soon()

    def presence(self, party: str, *, present: bool) -> None:
        """The broker says whether a party is there."""
        if self.runner is not None and party in self.runner.presence:
            self.runner.presence[party].see(present=present)
            self.turn_soon()
            # presence is repeated all the time: the loop looks again when one more change may be told
            self._agenda.after((PRESENCE_PAUSE_S + 1) * 1_000, self.turn_soon)

    def _acknowledge(self, mid: int) -> None:
        if self.doom == "before_acknowledge":
            raise Crashed
        self._broker.acknowledge(self.name, mid)

    def publish(self, topic: Topic, payload: bytes, token: object) -> bool:
        """Publish a frame of the room's."""
        del token
        if self.doom == "mid_perform" and self._chance.getrandbits(1):
            raise Crashed
        assert topic.channel != "presence"
        self._invariants.published(self.name, payload)
        self._broker.publish(self.name, topic.channel, payload)
        return True

    def leave(self, link: str) -> None:
        """The link has stopped; the process ends after this turn."""

    # --- people -----------------------------------------------------------------------------------------------------

    def tell(self, effect: Notify) -> None:
        """Tell the people; a moment later the service knows that they know."""
        for listener in self.told:
            listener(effect)
        self._agenda.after(self._chance.randint(20, 2_000), partial(self._notified, self._life, effect.id))

    def _notified(self, life: int, notice: str) -> None:
        if self._life == life:
            self._put(lambda now: NotificationDone(at=now.at, mono=now.mono, id=notice, delivered=True))

    def ask(self, make: Callable[[Now], Request], answer: Callable[[str, LocalProtocolError | None], None]) -> bool:
        """Hand in an officer's request. Return whether the service was there to take it."""
        if self._loop is None or self.asleep or not isinstance(self.runner, EndpointLink):
            return False
        self._loop.queue.put(Question(self.runner, make, answer))
        self.turn_soon()
        return True

    def _put(self, make: Making) -> None:
        if self._loop is not None and self.runner is not None:
            self._loop.queue.put(EventItem([self.runner], make))
            self.turn_soon()

    def _draw_nonce(self) -> str:
        return f"{self._chance.getrandbits(64):016x}"
