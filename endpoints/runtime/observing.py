"""The sending half of a link that only observes."""

from __future__ import annotations

from endpoints.journal.writer import Sign
from endpoints.runtime.ports import FrameSigner
from protocol.core.effects import AnyEffect
from protocol.core.events import AnyEvent
from protocol.wire.instants import Millis


class SendsNothing:
    """The sending half of a link that only observes: the watch's. Its key, if it has one, signs journal heads alone."""

    def __init__(self, signer: FrameSigner | None = None) -> None:
        self.sign: Sign | None = signer.seal if signer else None
        self.keys = signer.enrolled if signer else ()

    def seal(self, at: Millis) -> tuple[bytes, ...]:
        """Return no frames."""
        del at
        return ()

    def perform(self, event: AnyEvent, effect: AnyEffect) -> None:
        """Do nothing: the watch's core asks for notifications only."""

    def leave(self) -> None:
        """Do nothing."""
