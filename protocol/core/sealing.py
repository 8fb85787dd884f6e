"""The frames that leave at the end of a batch: runs of messages, and a receipt (SPEC M1.3, R1.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import UNSET, Struct

from protocol.core.deadlines import Turn
from protocol.core.effects import Seal
from protocol.core.epoch import Epoch
from protocol.core.link_state import LinkState
from protocol.core.references import References
from protocol.core.stream import Inbox, Outbox
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.phrases import phrase
from protocol.wire import canonical, envelope
from protocol.wire.instants import Millis
from protocol.wire.messages import Claim, Message, MessagePayload, ReceiptPayload, Reference


class Unsealed(Struct, frozen=True):
    """A payload that the shell has to sign; the channel gives its type."""

    channel: Literal["message", "receipt"]
    payload: bytes


class Departure(Struct, frozen=True):
    """A planned frame: its payload, the effect that publishes it, and the messages that it carries."""

    unsealed: Unsealed
    seal: Seal
    run: tuple[Message, ...] = ()
    # the first message of a frame that was signed before, with a key that is no longer accepted
    again: int = 0


class Sealing:
    """Plans the frames of one batch, and takes them back signed."""

    def __init__(self, state: LinkState, epoch: Epoch, outbox: Outbox, inbox: Inbox, references: References) -> None:
        self._state = state
        self._epoch = epoch
        self._peer = epoch.other(state.side)
        self._outbox = outbox
        self._inbox = inbox
        self._references = references
        self._plan: tuple[Millis, list[Departure]] | None = None

    @property
    def signs(self) -> bool:
        """Whether our side's accepted keys can sign what the policy requires (SPEC F5.6)."""
        return self._state.keys.satisfy(self._state.side, self._epoch.terms.policy.suite)

    def planned(self, at: Millis) -> list[Departure]:
        """Return the frames that leave if the batch ends at `at`. `forget` it when anything else happens first."""
        if self._plan is None or self._plan[0] != at:
            leaving = []
            if self._state.connected and self.signs:
                claim = self._inbox.claim(at) if self._state.receipt_owed else None
                again = self._signed_again()
                leaving = again + self._departures(self._outbox.next_runs(), claim, len(again))
            self._plan = (at, leaving)
        return self._plan[1]

    def forget(self) -> None:
        """Forget the plan: the batch goes on."""
        self._plan = None

    def check(self, at: Millis, frames: Sequence[bytes]) -> None:
        """Raise LocalProtocolError(wrong_frames) unless `frames` seal exactly the planned payloads."""
        asked = [departure.unsealed.payload for departure in self.planned(at)]
        if asked != [_payload(frame) for frame in frames]:
            raise LocalProtocolError(
                "wrong_frames", phrase("the frames do not seal exactly the payloads of this batch")
            )

    def close(self, turn: Turn, frames: Sequence[bytes]) -> None:
        """Take the signed frames, which `check` has passed, and publish them."""
        leaving = self.planned(turn.at)
        self._plan = None
        for departure, frame in zip(leaving, frames, strict=True):
            if departure.again:
                self._outbox.signed_again(departure.again, frame)
            elif departure.run:
                self._outbox.sealed(turn, departure.run, frame)
                self._references.known_upto(self._state.side, departure.run[-1].seq)
                for message in departure.run:
                    reference = Reference(self._state.side, self._epoch.terms.epoch, message.seq)
                    self._epoch.clocks.remember(reference, turn.at)
            if departure.seal.upto is not UNSET:
                self._epoch.clocks.sent(departure.seal.upto, turn.at)
            turn.emit(departure.seal)
        # every connect makes one owed again
        self._state.receipt_owed = False

    def receipt(self, claim: Claim) -> ReceiptPayload:
        """Return the payload of a frame that carries a receipt alone."""
        return ReceiptPayload(
            link=self._epoch.terms.link,
            epoch=self._epoch.terms.epoch,
            sender=self._state.side,
            recipient=self._peer,
            policy=self._epoch.policy_digest,
            upto=claim.upto,
            head=claim.head,
            at=claim.at,
        )

    def _signed_again(self) -> list[Departure]:
        """Return the unreceipted frames that were signed with a key that is no longer accepted, with their payloads."""
        return [
            Departure(
                Unsealed("message", envelope.parse(sealed.frame).payload),
                Seal(index=index, channel="message", first=sealed.first, last=sealed.last),
                again=sealed.first,
            )
            for index, sealed in enumerate(self._outbox.to_sign_again())
        ]

    def _departures(self, runs: Sequence[tuple[Message, ...]], claim: Claim | None, after: int) -> list[Departure]:
        """Return the frames of `runs`, behind `after` others. The claim goes with the first, or alone without any."""
        terms, policy, sender = self._epoch.terms, self._epoch.policy_digest, self._state.side
        if claim is not None and not runs:
            receipt = self.receipt(claim)
            seal = Seal(index=after, channel="receipt", upto=claim.upto)
            return [Departure(Unsealed("receipt", canonical.encode(receipt)), seal)]
        leaving = []
        for index, run in enumerate(runs):
            riding = claim if index == 0 else None
            message = MessagePayload(
                link=terms.link,
                epoch=terms.epoch,
                sender=sender,
                recipient=self._peer,
                policy=policy,
                floor=self._outbox.state.receipted,
                messages=run,
                receipt=riding or UNSET,
            )
            seal = Seal(
                index=after + index,
                channel="message",
                first=run[0].seq,
                last=run[-1].seq,
                upto=riding.upto if riding else UNSET,
            )
            leaving.append(Departure(Unsealed("message", canonical.encode_again(message)), seal, run))
        return leaving


def _payload(frame: bytes) -> bytes | None:
    """Return a frame's payload, None if it is malformed."""
    try:
        return envelope.parse(frame).payload
    except RemoteProtocolError:
        return None
