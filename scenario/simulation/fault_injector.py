"""Injects the faults of a plan into a simulated world, and ends them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import partial

import msgspec

from protocol.wire import canonical, envelope
from protocol.wire.digests import message_digest
from protocol.wire.envelope import PAYLOAD_TYPES
from protocol.wire.instants import parsed, written
from protocol.wire.messages import FRAME_MAX_BYTES, MessagePayload
from scenario.simulation.agenda import Agenda
from scenario.simulation.disk import PLENTY_BYTES
from scenario.simulation.faults import HOUR, SECOND, Fault
from scenario.simulation.invariants import Invariants
from scenario.simulation.network import Broker, Channel, RouteFault
from scenario.simulation.signatures import Signatures
from scenario.simulation.simulated_process import SimulatedProcess

_LOW_BYTES = 1 << 20


class FaultInjector:
    """Injects faults, one method for each kind."""

    def __init__(
        self,
        agenda: Agenda,
        broker: Broker,
        processes: dict[str, SimulatedProcess],
        signatures: Signatures,
        invariants: Invariants,
        chance: random.Random,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._agenda = agenda
        self._broker = broker
        self._processes = processes
        self._signatures = signatures
        self._invariants = invariants
        self._chance = chance
        self._over: dict[int, Callable[[], None]] = {}
        self._numbers = 0

    def inject(self, fault: Fault) -> None:
        """Inject one fault now."""
        self.counts[fault.kind] += 1
        getattr(self, f"_{fault.kind}")(fault)

    def heal(self) -> None:
        """End every fault, set the clocks right, and start the processes that are down."""
        for number in list(self._over):
            self._finish(number)
        for process in self._processes.values():
            process.heal()

    def _until(self, fault: Fault, over: Callable[[], None]) -> None:
        self._numbers += 1
        self._over[self._numbers] = over
        self._agenda.after(fault.lasts, partial(self._finish, self._numbers))

    def _finish(self, number: int) -> None:
        over = self._over.pop(number, None)
        if over is not None:
            over()

    def _explain(self, *codes: str) -> None:
        self._invariants.explain(*codes)

    # --- the network ------------------------------------------------------------------------------------------------

    def _cut(self, fault: Fault) -> None:
        self._broker.cut(fault.where)
        self._until(fault, partial(self._broker.mend, fault.where))

    def _degrade(self, fault: Fault, kind: RouteFault, value: float) -> None:
        """Degrade a route for a while. Of two faults of one kind, the first to end ends both."""
        self._broker.degrade(fault.where, kind, value)
        self._until(fault, partial(self._broker.restore, fault.where, kind))

    def _mute(self, fault: Fault) -> None:
        self._degrade(fault, "lose_up", 1.0)

    def _deaf(self, fault: Fault) -> None:
        self._degrade(fault, "lose_down", 1.0)

    def _lossy(self, fault: Fault) -> None:
        kind: RouteFault = self._chance.choice(("lose_up", "lose_down"))
        self._degrade(fault, kind, fault.amount / 1_000)

    def _slow(self, fault: Fault) -> None:
        self._degrade(fault, "delay_max_ms", fault.amount)

    def _shuffled(self, fault: Fault) -> None:
        self._broker.shuffle(fault.where, 5 * SECOND)
        self._until(fault, partial(self._broker.restore, fault.where, "shuffle"))

    def _doubled(self, fault: Fault) -> None:
        self._degrade(fault, "double", fault.amount / 1_000)

    # --- the broker -------------------------------------------------------------------------------------------------

    def _broker_down(self, fault: Fault) -> None:
        if self._broker.running:
            self._broker.stop()
            self._until(fault, self._broker.start)

    def _broker_wiped(self, fault: Fault) -> None:
        self._broker.wipe()
        self._broker_down(fault)

    def _broker_forgets(self, fault: Fault) -> None:
        self._broker.forget_publishes(fault.amount / 1_000)
        self._until(fault, partial(self._broker.forget_publishes, 0.0))

    def _broker_withholds(self, fault: Fault) -> None:
        self._broker.withhold.add(fault.where)
        self._until(fault, partial(self._broker.release, fault.where))

    def _broker_replays(self, fault: Fault) -> None:
        for _ in range(fault.amount):
            delay = self._chance.randint(0, HOUR)
            self._agenda.after(delay, self._replay)

    def _replay(self) -> None:
        if self._broker.remembered:
            sender, channel, frame = self._chance.choice(self._broker.remembered)
            self._broker.distribute(sender, channel, frame)

    def _broker_refuses(self, fault: Fault) -> None:
        self._broker.refuse.add(fault.where)
        self._until(fault, partial(self._broker.refuse.discard, fault.where))

    def _taken_over(self, fault: Fault) -> None:
        self._explain("identity_in_use")
        self._broker.kick(fault.where)
        self._processes[fault.where].taken_over(2)

    # --- processes, machines, disks ---------------------------------------------------------------------------------

    def _crash(self, fault: Fault) -> None:
        self._processes[fault.where].crash(fault.point, fault.lasts, power_cut=False)

    def _power_cut(self, fault: Fault) -> None:
        self._processes[fault.where].crash(fault.point, fault.lasts, power_cut=True)

    def _clean_stop(self, fault: Fault) -> None:
        self._processes[fault.where].stop_cleanly(fault.lasts)

    def _sleep(self, fault: Fault) -> None:
        self._processes[fault.where].sleep(fault.lasts)

    def _clock_step(self, fault: Fault) -> None:
        self._explain("clock_step", "clock_skew")
        self._processes[fault.where].step_clock(fault.amount)

    def _space_low(self, fault: Fault) -> None:
        self._explain("space_low")
        process = self._processes[fault.where]
        process.show_space(_LOW_BYTES)
        self._until(fault, partial(process.show_space, PLENTY_BYTES))

    def _disk_full(self, fault: Fault) -> None:
        disk = self._processes[fault.where].disk
        disk.fill(full=True)
        self._until(fault, partial(disk.fill, full=False))

    def _flush_fails(self, fault: Fault) -> None:
        disk = self._processes[fault.where].disk
        disk.break_flushes(broken=True)
        self._until(fault, partial(disk.break_flushes, broken=False))

    def _journal_restored(self, fault: Fault) -> None:
        self._explain("equivocation", "fork", "journal_behind", "policy_mismatch", "undelivered")
        self._processes[fault.where].restore_journal(fault.amount, fault.lasts)

    # --- forgers ----------------------------------------------------------------------------------------------------

    def _forged(self, fault: Fault) -> None:
        self._explain("bad_frames")
        for _ in range(fault.amount):
            channel: Channel = self._chance.choice(("message", "receipt"))
            self._broker.distribute(fault.where, channel, self._forgery(fault.where, channel))
        self._look_later()

    def _flood(self, fault: Fault) -> None:
        self._explain("bad_frames")
        frame = self._forgery(fault.where, "message")
        for number in range(fault.amount):
            self._broker.distribute(fault.where, "message", frame + b"%d" % number)
        self._look_later()

    def _look_later(self) -> None:
        """Wake every process when the suppressed frames of this minute are due in the journal."""
        for process in self._processes.values():
            self._agenda.after(61 * SECOND, process.turn_soon)

    def _forgery(self, sender: str, channel: Channel) -> bytes:
        """Return a frame that the key of `sender` has not signed, or not for this channel."""
        chance = self._chance
        genuine = self._genuine(sender)
        kinds = ("noise", "truncated", "flipped", "reflected", "continued", "foreign", "huge", "deep")
        kind = chance.choice(kinds if genuine else ("noise", "huge", "deep"))
        if kind == "truncated":
            return genuine[: chance.randrange(len(genuine))]
        if kind == "flipped":
            place = chance.randrange(len(genuine))
            return genuine[:place] + bytes([genuine[place] ^ 1 << chance.randrange(8)]) + genuine[place + 1 :]
        if kind == "reflected":
            other = next(party for party in self._processes if party not in {sender, "watch"})
            return self._genuine(other) or b"{}"
        if kind == "continued":
            return self._continued(sender, genuine)
        if kind == "foreign":
            # of another link, whose keys are not enrolled here
            payload = self._signatures.made[genuine][2].replace(b'"link":"', b'"link":"x', 1)
            return envelope.seal(PAYLOAD_TYPES[channel], payload, [("nobody", chance.randbytes(64))])
        if kind == "huge":
            return b"x" * (FRAME_MAX_BYTES + chance.randint(1, 100))
        if kind == "deep":
            return b"[" * 5_000
        return chance.randbytes(chance.randint(0, 300))

    def _continued(self, sender: str, genuine: bytes) -> bytes:
        """Return what `sender` could send next, with an unknown signature or the peer's: everything else is valid."""
        _, payload_type, data = self._signatures.made[genuine]
        if payload_type == PAYLOAD_TYPES["message"]:
            payload = msgspec.json.decode(data, type=MessagePayload)
            last = payload.messages[-1]
            next_one = msgspec.structs.replace(last, seq=last.seq + 1, prev=message_digest(last))
            data = canonical.encode(msgspec.structs.replace(payload, messages=(next_one,)))
        if self._chance.getrandbits(1):
            return envelope.seal(payload_type, data, [("nobody", self._chance.randbytes(64))])
        other = next(party for party in self._invariants.parties if party != sender)
        return self._signatures.signer(other).seal(payload_type, data)

    def _genuine(self, sender: str) -> bytes:
        frames = [frame for name, _, frame in self._broker.remembered if name == sender]
        return self._chance.choice(frames) if frames else b""

    # --- equivocation -----------------------------------------------------------------------------------------------

    def _two_faced(self, fault: Fault) -> None:
        """Sign a second version of the newest message of a side, and deliver it to one client."""
        sender = fault.where
        frames = [
            frame
            for name, channel, frame in self._broker.remembered
            if name == sender and channel == "message" and frame in self._signatures.made
        ]
        if not frames:
            return
        payload = msgspec.json.decode(self._signatures.made[frames[-1]][2], type=MessagePayload)
        message = payload.messages[-1]
        false = msgspec.structs.replace(message, at=written(parsed(message.at) + 1))
        epoch = payload.epoch
        self._invariants.equivocated(sender, epoch, false)
        self._explain("equivocation", "fork", "undelivered", "journal_behind", "policy_mismatch")
        twin = canonical.encode(msgspec.structs.replace(payload, messages=(*payload.messages[:-1], false)))
        frame = self._signatures.signer(sender).seal(PAYLOAD_TYPES["message"], twin)
        names = [name for name in self._processes if name != sender]
        self._broker.hand(names[fault.amount % len(names)], sender, "message", frame)
