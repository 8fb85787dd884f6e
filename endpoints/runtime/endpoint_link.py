"""Runs one link of an endpoint: signs and publishes frames, and tracks which of them the broker has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import UNSET, Struct, structs

from endpoints.config.link_file import LinkFile
from endpoints.failpoints import failpoint
from endpoints.journal.restored import RestoredMark
from endpoints.journal.writer import JournalWriter, Sign
from endpoints.mqtt.topics import Topic
from endpoints.runtime import signs
from endpoints.runtime.gauges import Gauges
from endpoints.runtime.link_runner import LinkRunner
from endpoints.runtime.ports import (
    FrameOutlet,
    FrameSigner,
    JudgeOfKeys,
    NonceSource,
    NotificationOutlet,
    Now,
    judge_of_keys,
    random_nonce,
)
from endpoints.runtime.rate_limits import FrameLimits
from protocol.core.duty import Confirmation, OwnWords
from protocol.core.effects import AnyEffect, Resend, Seal, Settle
from protocol.core.events import AnyEvent, BatchClosed
from protocol.core.link import Link
from protocol.core.start_events import LinkConfirmed, WordsChosen
from protocol.wire.envelope import PAYLOAD_TYPES
from protocol.wire.instants import Millis
from protocol.wire.messages import Digest, Identifier, ReceiptPayload
from protocol.wire.policy import EnrolledKey


class Token(Struct, frozen=True):
    """Identifies a publish until the broker has accepted it: messages `first` to `last`, both 0 for a receipt."""

    link: str
    channel: Literal["message", "receipt"]
    first: int
    last: int


class FrameSender:
    """The sending half of one link of an endpoint."""

    def __init__(self, core: Link, link: str, side: str, signer: FrameSigner, outlet: FrameOutlet) -> None:
        self.broker_has: set[int] = set()
        """Own messages that the broker has and the peer has not receipted: bounded by the outbox."""
        self._core = core
        self._link = link
        self._side = side
        self._signer = signer
        self._outlet = outlet
        self._receipt: ReceiptPayload | None = None
        # the last message of each frame that is not receipted, by its first
        self._last_of: dict[int, int] = {}

    @property
    def keys(self) -> tuple[EnrolledKey, ...]:
        """The public keys of those that the signer has."""
        return self._signer.enrolled

    @property
    def sign(self) -> Sign | None:
        """What signs a journal head; None while our keys wait for an officer (SPEC F5.6)."""
        return self._signed if self._core.signs else None

    def _signed(self, payload_type: str, payload: bytes) -> bytes:
        """Return the frame of `payload`, signed with each of our keys that is accepted now (SPEC F5.6)."""
        return self._signer.seal(payload_type, payload, self._core.keys.accepted.get(self._side))

    def seal(self, at: Millis) -> tuple[bytes, ...]:
        """Return the signed frames of what the core has queued."""
        frames = tuple(
            self._signed(PAYLOAD_TYPES[unsealed.channel], unsealed.payload) for unsealed in self._core.unsealed(at)
        )
        failpoint("after_sign")
        return frames

    def perform(self, event: AnyEvent, effect: AnyEffect) -> None:
        """Publish the frames that `effect` names; forget those that the peer has receipted."""
        if isinstance(effect, Seal):
            assert isinstance(event, BatchClosed)
            first = 0 if effect.first is UNSET else effect.first
            last = 0 if effect.last is UNSET else effect.last
            if first:
                self._last_of[first] = last
            failpoint("before_publish")
            self._publish(event.frames[effect.index], Token(self._link, effect.channel, first, last))
            failpoint("after_publish")
        elif isinstance(effect, Resend):
            frame = self._core.frame(effect.first)
            if frame is not None:
                failpoint("before_resend")
                last = self._last_of.get(effect.first, effect.first)
                self._publish(frame, Token(self._link, "message", effect.first, last))
                failpoint("after_resend")
        elif isinstance(effect, Settle):
            self.broker_has = {seq for seq in self.broker_has if seq > effect.upto}
            self._last_of = {first: last for first, last in self._last_of.items() if last > effect.upto}

    def settled(self) -> None:
        """Note the receipt that stands, now that the journal has what it refers to (SPEC R2)."""
        self._receipt = self._core.standing_receipt()

    def sign_of_life(self, at: Millis) -> bytes | None:
        """Return a sign of life, None before the first batch and while our keys wait for an officer (SPEC Q2.5)."""
        if self._receipt is None or not self._core.signs:
            return None
        return self._signed(PAYLOAD_TYPES["receipt"], signs.payload(self._receipt, at))

    def accepted(self, token: Token) -> None:
        """Record that the broker has the messages of `token`."""
        self.broker_has.update(range(token.first, token.last + 1))

    def leave(self) -> None:
        """Send nothing more for this link."""
        self._outlet.leave(self._link)

    def _publish(self, frame: bytes, token: Token) -> None:
        self._outlet.publish(Topic(self._link, self._side, token.channel), frame, token)


class EndpointLink(LinkRunner[Link]):
    """One link of an endpoint."""

    def __init__(
        self,
        core: Link,
        journal: JournalWriter,
        file: LinkFile,
        notifications: NotificationOutlet,
        *,
        signer: FrameSigner,
        outlet: FrameOutlet,
        officers: Mapping[Identifier, Digest] | None = None,
        judges: JudgeOfKeys = judge_of_keys,
        draw_nonce: NonceSource = random_nonce,
        words: OwnWords | None = None,
        comparison: Confirmation | None = None,
        limits: FrameLimits | None = None,
        restored: RestoredMark | None = None,
    ) -> None:
        """Make a runner, which has not started yet.

        Args:
            core: the link's core, after all that the journal holds.
            journal: the journal, opened.
            file: the link file.
            notifications: delivers what the core asks to notify.
            signer: signs this side's frames and journal heads.
            outlet: publishes the frames.
            officers: the officers of the settings, each with the digest of their entry.
            judges: makes what verifies frames with the accepted keys.
            draw_nonce: draws the words of line tests; by default from the operating system.
            words: what this side says in line tests; by default the policy's words.
            comparison: the comparison of this link file with the other side's, None if there was none.
            limits: bounds what the journal takes of frames.
            restored: the mark of the journal's folder, removed once the journal says that it was restored.
        """
        self._words = words or OwnWords()
        self._comparison = comparison
        self._sender = FrameSender(core, journal.link, journal.side, signer, outlet)
        super().__init__(
            core,
            journal,
            file,
            notifications,
            outbound=self._sender,
            officers=officers,
            judges=judges,
            draw_nonce=draw_nonce,
            limits=limits,
            restored=restored,
        )

    def settle(self, now: Now) -> None:
        """Go on behind the batch that was flushed; a batch that could not be written stops the link."""
        super().settle(now)
        self._sender.settled()

    def own_sign_of_life(self, at: Millis) -> bytes | None:
        """Return a sign of life of this side, sealed at `at` (ms since 1970); None if there is nothing to sign."""
        return None if self.failure is not None else self._sender.sign_of_life(at)

    def gauges(self) -> Gauges:
        """Return what this process alone knows about the link."""
        broker_has = frozenset(self._sender.broker_has)
        return structs.replace(super().gauges(), broker_has=broker_has)

    def chosen(self, now: Now) -> tuple[AnyEvent, ...]:
        """Return `WordsChosen` and `LinkConfirmed` for what the journal does not know yet."""
        events: list[AnyEvent] = []
        words, compared = self._words, self._comparison
        if self.core.words != words:
            test_text, answer_text = words.test_text or UNSET, words.answer_text or UNSET
            events.append(WordsChosen(at=now.at, mono=now.mono, test_text=test_text, answer_text=answer_text))
        if compared is not None and self.core.confirmed != compared:
            events.append(
                LinkConfirmed(
                    at=now.at,
                    mono=now.mono,
                    officer=compared.officer,
                    digest=compared.digest,
                    compared_at=compared.at,
                    first_word=compared.first_word,
                )
            )
        return tuple(events)

    def accepted(self, token: Token) -> None:
        """Record that the broker has a frame. This is not journaled: it does not mean that the peer has it."""
        if token.channel == "message":
            self._sender.accepted(token)
            self.changed.send()
