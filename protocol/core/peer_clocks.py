"""Compares the clocks of the parties by what they sign (SPEC M8).

Delay is not skew: only an order of events that no delay can cause proves that a clock is wrong. Times in our own clock
are moved with it when it is set, so that a corrected clock of ours accuses nobody.
"""

from __future__ import annotations

from msgspec import UNSET

from protocol.core.core_state import PeerClocksState
from protocol.core.deadlines import SECOND, Turn
from protocol.core.environment import Environment, Way
from protocol.core.stream import SEALED_MAX
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import AnyBody, Claim, Identifier, Message, MessagePayload, Reference, references_of
from protocol.wire.policy import Policy

TIMES_KEPT = 1_024
"""How many messages of each party, and how many receipts, are kept with their times. Older ones prove nothing."""


class PeerClocks:
    """The clocks of the parties that one core hears."""

    def __init__(self, state: PeerClocksState, policy: Policy, environment: Environment) -> None:
        self.state = state
        self._limit_ms = policy.skew_limit_s * SECOND
        self._environment = environment

    def epoch_over(self) -> None:
        """Forget what refers to the streams of the epoch that ends."""
        self.state.floors, self.state.receipted, self.state.answered = {}, {}, 0

    def own_clock_moved(self, side: Identifier, step_ms: Millis) -> None:
        """Move the times that `side` took from its own clock, which was set by `step_ms`."""
        state = self.state
        if side in state.said:
            state.said[side] = {reference: at + step_ms for reference, at in state.said[side].items()}
        state.receipted = {upto: at + step_ms for upto, at in state.receipted.items()}
        state.answered += step_ms if state.answered else 0

    # --- messages -------------------------------------------------------------------------------------------------

    def remember(self, reference: Reference, at: Millis) -> None:
        """Remember when a message that the other party answers was sent, at the latest.

        A side remembers its own messages, when they first left in a frame; the watch those of both parties.
        """
        said = self.state.said.setdefault(reference.sender, {})
        said[str(reference)] = at
        if len(said) > TIMES_KEPT:
            del said[next(iter(said))]

    def applied(self, turn: Turn, reference: Reference, message: Message) -> None:
        """Judge the `at` of a message that is applied: by our clock, its predecessors and the receipts answered."""
        state, sender, at = self.state, reference.sender, parsed(message.at)
        self._skew(turn, sender, "ahead", at - turn.at)  # SPEC M8.2
        # SPEC M8.6
        fall = state.latest.get(sender, at) - at
        self._skew(turn, sender, "back", fall)
        state.latest[sender] = at if fall > self._limit_ms else at + max(0, fall)
        # SPEC M8.8
        self._skew(turn, sender, "behind", state.answered - at if state.answered else 0, clears=False)

    def referred(self, turn: Turn, reference: Reference, message: Message, body: AnyBody) -> None:
        """Judge the `at` of a message by the other party's messages to which it refers: they came first (SPEC M8.7)."""
        for of in references_of(body):
            since = self._said(of)
            if of.sender != reference.sender and since is not None:
                self._skew(turn, reference.sender, "behind", since - parsed(message.at), clears=False)

    # --- receipts -------------------------------------------------------------------------------------------------

    def claimed(self, turn: Turn, sender: Identifier, claim: Claim, covered: Reference, *, news: bool) -> None:
        """Judge the `at` of a receipt by our clock and by the message `covered`, the last that it covers.

        Only `news` can prove a clock right: the broker can repeat older receipts.
        """
        at = parsed(claim.at)
        self._skew(turn, sender, "ahead", at - turn.at, clears=news)  # SPEC M8.5
        since = self._said(covered)
        if since is not None:
            self._skew(turn, sender, "behind", since - at, clears=news)  # SPEC M8.3

    def sent(self, upto: int, at: Millis) -> None:
        """Remember our first receipt up to a message of the peer."""
        receipted = self.state.receipted
        # a floor of 0 needs no receipt
        if upto and upto not in receipted:
            receipted[upto] = at
            if len(receipted) > TIMES_KEPT:
                del receipted[next(iter(receipted))]

    def floor(self, turn: Turn, payload: MessagePayload, upto: int) -> None:
        """Take the floor of a frame, which its sender sealed after it had our receipt up to there.

        Args:
            turn: the event's turn.
            payload: the frame's.
            upto: the last message of the sender's stream that was applied.
        """
        state, sender = self.state, payload.sender
        before = state.floors.get(sender, 0)
        receipted = state.receipted.get(payload.floor)
        # SPEC M8.8: the receipt beside the messages is dated when the frame was sealed
        if receipted is not None and payload.receipt is not UNSET:
            self._skew(turn, sender, "behind", receipted - parsed(payload.receipt.at), clears=False)
        if payload.floor <= before:
            return
        # An earlier frame had the floor `before`. With fewer than SEALED_MAX messages unreceipted, no message stayed
        # behind when that one was sealed, so those of this frame were queued later (SPEC M1.3, M4.2).
        first = payload.messages[0].seq
        if first <= upto + 1 and first - 1 - before < SEALED_MAX:
            state.answered = max(state.answered, state.receipted.get(before, 0))
        state.floors[sender] = payload.floor
        state.receipted = {seq: at for seq, at in state.receipted.items() if seq >= payload.floor}

    def _said(self, reference: Reference) -> Millis | None:
        return self.state.said.get(reference.sender, {}).get(str(reference))

    def _skew(self, turn: Turn, party: Identifier, way: Way, by_ms: Millis, *, clears: bool = True) -> None:
        self._environment.skew(turn, party, way, by_ms, self._limit_ms, clears=clears)
