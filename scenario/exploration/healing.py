"""Heals a state: nothing fails any more, and everything must settle. From every state of a search it does."""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from hashlib import blake2b

from protocol.core.snapshot import Snapshot
from protocol.wire.instants import Millis
from scenario.exploration.normalise import Key, Normaliser
from scenario.exploration.signing import WorldSignatures
from scenario.exploration.steps import Situation, Step, Steps
from scenario.simulation import convergence, oracle
from scenario.simulation.agenda import Agenda
from scenario.simulation.invariants import Invariants, Violation

SETTLES_WITHIN: Millis = 3_600_000
"""The bound within which everything settles, once nothing fails any more: as in `scenario.simulation`."""
_SLOT_MARGIN_MS: Millis = 60_000
"""Behind the end of a slot's grace, before the slot is judged."""
STEPS_MAX = 1_000
"""The steps of a healing, beyond which the cores are taken to answer each other without end."""


def digest(key: Key) -> bytes:
    """Return the digest of a key. Without references, equal keys have equal bytes."""
    return blake2b(marshal.dumps(key, 2), digest_size=16).digest()


class Healing:
    """Checks that states settle; each state on the way there is checked once."""

    def __init__(self, steps: Steps, normaliser: Normaliser, signatures: WorldSignatures, *, join: bool = True) -> None:
        self._steps = steps
        self._transitions = steps.transitions
        self._normaliser = normaliser
        self._signatures = signatures
        self._join = join
        self._settles: set[bytes] = set()

    def check(self, situation: Situation) -> None:
        """Check that a state settles once nothing fails any more. Raises Violation or BrokenStepError."""
        keys: list[bytes] = []
        ends = situation.now + SETTLES_WITHIN
        while True:
            key = digest(self._normaliser.key(situation, future=False))
            if self._join and key in self._settles:
                break
            keys.append(key)
            following = self.following(situation, ends)
            if following is None:
                break
            _, situation = following
            if len(keys) > STEPS_MAX:
                raise Violation("the processes answer each other without end")
        self._settles.update(keys)

    def following(self, situation: Situation, ends: Millis) -> tuple[Step, Situation] | None:
        """Return the next step of healing, and the state behind it; None if everything has settled.

        Raises Violation if that is not so at the instant `ends`; BrokenStepError for a step that breaks a promise.
        """
        steps, states = self._steps, [self._transitions.states[number] for number in situation.processes]
        newest = max(state.file for state in states)
        for place, state in enumerate(states):
            if state.opened:
                return steps.act(situation, Step("seal", place))
            if not state.up:
                return steps.act(situation, Step("restart", place))
            if state.file < newest:
                return steps.act(situation, Step("adopt", place))
            if not state.connected:
                return steps.act(situation, Step("connect", place))
            if state.skew:
                return steps.act(situation, Step("clock", place, -state.skew))
        if situation.network:
            return steps.arrive(situation, steps.next_arrival(situation))
        views = [self._transitions.view(number) for number in situation.processes]
        for place, view in enumerate(views):
            for party in self._transitions.world.parties:
                alarm = ("peer_disconnected", party) in states[place].observed.alarms
                if alarm or not view.present.get(party, True):
                    return steps.act(situation, Step("presence", place, (party, True)))
            if view.keys_changed is not None:
                return steps.act(situation, Step("accept", place))
        foreign_frames(steps, situation)
        stopped = any(map(_stopped, views)) or any(state.restored for state in states)
        if newest + 1 < len(self._transitions.files) and stopped:
            return steps.act(situation, Step("adopt", 0))
        for place, name in enumerate(self._transitions.world.parties):
            if any(("policy_mismatch", name) in state.observed.alarms for state in states):
                # a late frame of an earlier epoch has raised it; the next frame of the party ends it
                return steps.act(situation, Step("cut", place))
        over = self._slots_over()
        if situation.now < over:
            paused = steps.paused(situation, over - situation.now)
            assert paused is not None, "every batch is closed"
            return Step("pause", -1, over - situation.now), paused
        try:
            self._settled(situation, views)
        except Violation:
            woken = None if situation.now >= ends else steps.woken(situation)
            if woken is None:
                raise
            return woken
        return None

    def _settled(self, situation: Situation, views: list[Snapshot]) -> None:
        now: Millis = situation.now + convergence.UNDER_WAY_MS + 1
        invariants = Invariants(Agenda(now), self._signatures.made)
        for number in situation.processes:
            state = self._transitions.states[number]
            invariants.observations[state.side] = state.observed
        convergence.settled(dict(zip(self._steps.names, views, strict=True)), invariants, now)
        world = self._transitions.world
        policy = world.files[0].terms.policy
        convergence.slots(invariants, world.files[0].terms, world.slots, situation.now, now + 1)
        oracle.deadlines(invariants, policy, situation.now)
        _alike({name: view for name, view in zip(self._steps.names, views, strict=True) if name in world.parties})

    def _slots_over(self) -> Millis:
        """Return the instant from which on every slot must have been met, missed or recorded as blind."""
        world = self._transitions.world
        return max(world.slots, default=0) + world.files[0].terms.policy.grace_s * 1_000 + _SLOT_MARGIN_MS


def foreign_frames(steps: Steps, situation: Situation) -> None:
    """Check that each contradicting frame that was put on the wire has raised its alarm. Raises Violation."""
    transitions, world = steps.transitions, steps.world
    said = {
        state.side: sum(epoch == 1 for epoch, _, _ in state.said)
        for state in (transitions.states[number] for number in situation.processes)
    }
    for index, foreign in enumerate(world.foreign):
        if not foreign.raises or index in situation.left.foreign or said[foreign.sender] < foreign.beside:
            continue
        for number in situation.processes:
            state = transitions.states[number]
            raised = {code for code, subject in state.observed.raised if subject == foreign.sender}
            if state.side in foreign.recipients and not raised & {foreign.raises, "journal_behind"}:
                raise Violation(f"{state.side}: {foreign.name!r} has raised no {foreign.raises}")


def _alike(views: Mapping[str, Snapshot]) -> None:
    """Check that both parties show the same state of the alerts of the open epoch. Raises Violation."""
    shown: dict[str, tuple[str, str]] = {}
    for name, view in views.items():
        for alert in view.alerts:
            if alert.reference.split("/")[1] != str(view.epoch):
                continue
            other, state = shown.setdefault(alert.reference, (name, alert.state))
            if state != alert.state:
                raise Violation(f"alert {alert.reference} is {state} at {other}, and {alert.state} at {name}")


def _stopped(view: Snapshot) -> bool:
    """Return whether a direction has stopped at a process."""
    ours = "" if view.ours is None else view.ours.stopped
    return bool(ours) or any(stream.stopped for stream in view.theirs.values())
