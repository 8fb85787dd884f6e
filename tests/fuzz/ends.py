"""Restores one side of a link from a saved state for each fuzz input, and checks invariants afterwards."""

from functools import cache
from pathlib import Path
from typing import Any, Self

import msgspec

from endpoints.texts.i18n import translator
from endpoints.texts.notices import NoticeWords, notice
from endpoints.texts.wording import wording
from protocol.core.effects import AnyEffect, Apply, Notify, Seal
from protocol.core.events import AnyEvent, BatchClosed, DeadlineReached, FrameReceived, Request
from protocol.core.link import Link
from protocol.record.journal import ORIGIN, decode, encode
from protocol.wire import envelope, payloads
from protocol.wire.envelope import PAYLOAD_TYPES
from protocol.wire.messages import FRAME_MAX_BYTES
from protocol.wire.refusals import VERIFIED

SIDE = "eucom"
PEER = "ndmc"
FIRST = 20
"""The number of the first record in the corpus of last segments."""
STATE = Path(__file__).parent / "state.json"
"""A checkpoint in which both sides have sent alerts and line tests, some are open, and a draft is held."""
SIGNATURES = [("eucom-1", bytes(64))]


@cache
def _state() -> bytes:
    return STATE.read_bytes()


class End:
    """A restored core, with the events it has handled since and their effects."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.at = link.last_at + 1_000
        self.mono = link.state.deadlines.mono + 1_000
        self._taken: list[tuple[AnyEvent, tuple[AnyEffect, ...]]] = []

    @classmethod
    def resumed(cls) -> Self:
        """Return an end restored from the saved state."""
        return cls(Link.restore(_state()))

    def receive(self, channel: Any, frame: bytes) -> None:
        """Give the core a frame of the peer with the verdict `verified`."""
        self._take(
            FrameReceived(at=self.at, mono=self.mono, channel=channel, sender=PEER, frame=frame, verdict=VERIFIED)
        )
        self._close()

    def request(self, event: Request) -> None:
        """Give the core a request. If it raises LocalProtocolError, check that the state is unchanged."""
        before = self.link.checkpoint()
        try:
            self._take(event)  # type: ignore[arg-type] # a request of the closed list
        except Exception:
            assert self.link.checkpoint() == before
            raise
        assert self.link.reference_of(event.request) is not None
        self._close()

    def pass_until_due(self) -> None:
        """Let time pass until the next deadline."""
        deadline = self.link.next_deadline()
        if deadline is None:
            return
        self.at = max(self.at, deadline.at or 0)
        self.mono = max(self.mono, deadline.mono or 0)
        self._take(DeadlineReached(at=self.at, mono=self.mono, nonce="0123456789abcdef"))
        self._close()

    def check(self) -> None:
        """Fail unless each event and effect can be journaled, decoded and displayed, and the state restored."""
        prev = ORIGIN
        t = translator("en")
        for n, (event, effects) in enumerate(self._taken, 1):
            line, prev = encode(n, "eucom-ndmc", SIDE, n, event, effects, prev)
            # raises JournalError unless it encodes to the same line
            decode(line)
            for effect in effects:
                if isinstance(effect, Apply):
                    wording(effect.message.body, t).encode()
                elif isinstance(effect, Notify):
                    msgspec.json.encode(notice("eucom-ndmc", SIDE, effect, NoticeWords(t, lambda: self.at, {})))
        state = self.link.checkpoint()
        assert Link.restore(state).checkpoint() == state
        msgspec.json.encode(self.link.snapshot())

    def _take(self, event: AnyEvent) -> None:
        effects: Any = self.link.handle(event)
        self._taken.append((event, effects))

    def _close(self) -> None:
        frames = []
        for unsealed in self.link.unsealed(self.at):
            read = payloads.read_message_payload if unsealed.channel == "message" else payloads.read_receipt_payload
            read(unsealed.payload)
            frame = envelope.seal(PAYLOAD_TYPES[unsealed.channel], unsealed.payload, SIGNATURES)
            assert len(frame) <= FRAME_MAX_BYTES
            frames.append(frame)
        self._take(BatchClosed(at=self.at, mono=self.mono, frames=tuple(frames)))
        sealed = [effect for effect in self._taken[-1][1] if isinstance(effect, Seal)]
        assert [effect.index for effect in sealed] == list(range(len(frames)))
