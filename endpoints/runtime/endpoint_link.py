"""One link of an endpoint: the room that signs, publishes, and knows what the broker has."""

from __future__ import annotations

from typing import Literal, Protocol

from msgspec import UNSET, Struct, structs

from endpoints.config.link_file import LinkFile
from endpoints.failpoints import failpoint
from endpoints.journal.writer import JournalWriter, Sign
from endpoints.keys.signer import Signer
from endpoints.mqtt.topics import Topic
from endpoints.notify import Notifier
from endpoints.runtime.gauges import Gauges
from endpoints.runtime.link_runner import LinkRunner, Now
from protocol.core.effects import AnyEffect, Resend, Seal, Settle
from protocol.core.events import AnyEvent, BatchClosed, OfficerReleased, Request
from protocol.core.link import Link
from protocol.errors import LinkError
from protocol.wire.envelope import PAYLOAD_TYPES
from protocol.wire.instants import Millis

RELEASES_REMEMBERED = 256
"""Released drafts whose reference is remembered, for whoever still waits on the draft."""


class Token(Struct, frozen=True):
    """What a publish is known by until the broker has accepted it: messages `first` to `last`, 0 for a receipt."""

    link: str
    channel: Literal["message", "receipt"]
    first: int
    last: int


class Outlet(Protocol):
    """What a room needs of the transport."""

    def publish(self, topic: Topic, payload: bytes, token: object) -> bool:
        """Publish a frame; the core resends what is lost."""
        ...

    def leave(self, link: str) -> None:
        """Have nothing more to do with `link`."""
        ...


class EndpointLink(LinkRunner[Link]):
    """One link of this endpoint."""

    def __init__(
        self,
        core: Link,
        journal: JournalWriter,
        file: LinkFile,
        notifier: Notifier,
        *,
        signer: Signer,
        outlet: Outlet,
    ) -> None:
        super().__init__(core, journal, file, notifier)
        # see Gauges; bounded by the outbox
        self._broker_has: set[int] = set()
        self._released: dict[int, str] = {}
        self._signer = signer
        self._outlet = outlet
        # the last message of each frame that is not receipted, by its first
        self._last_of: dict[int, int] = {}

    def request(self, request: Request) -> str:
        """Take an officer's request; remember what a draft became."""
        reference = super().request(request)
        if isinstance(request, OfficerReleased):
            self._released[request.draft] = reference
            if len(self._released) > RELEASES_REMEMBERED:
                del self._released[next(iter(self._released))]
        return reference

    def gauges(self) -> Gauges:
        """Return what this process alone knows about the link."""
        return structs.replace(super().gauges(), broker_has=frozenset(self._broker_has), released=dict(self._released))

    def accepted(self, token: Token) -> None:
        """Note that the broker has a frame. Not journaled: it says nothing about the peer."""
        if token.channel == "message":
            self._broker_has.update(range(token.first, token.last + 1))
            self.changed.beat()

    def _seal(self, at: Millis) -> tuple[bytes, ...]:
        frames = tuple(
            self._signer.seal(PAYLOAD_TYPES[unsealed.channel], unsealed.payload) for unsealed in self.core.unsealed(at)
        )
        failpoint("after_sign")
        return frames

    def _perform(self, event: AnyEvent, effect: AnyEffect) -> None:
        if isinstance(effect, Seal):
            assert isinstance(event, BatchClosed)
            first = 0 if effect.first is UNSET else effect.first
            last = 0 if effect.last is UNSET else effect.last
            if first:
                self._last_of[first] = last
            failpoint("before_publish")
            self._send(event.frames[effect.index], Token(self.link, effect.channel, first, last))
            failpoint("after_publish")
        elif isinstance(effect, Resend):
            frame = self.core.frame(effect.first)
            if frame is not None:
                failpoint("before_resend")
                last = self._last_of.get(effect.first, effect.first)
                self._send(frame, Token(self.link, "message", effect.first, last))
                failpoint("after_resend")
        elif isinstance(effect, Settle):
            self._broker_has = {seq for seq in self._broker_has if seq > effect.upto}
            self._last_of = {first: last for first, last in self._last_of.items() if last > effect.upto}

    def _send(self, frame: bytes, token: Token) -> None:
        self._outlet.publish(Topic(self.link, self.side, token.channel), frame, token)

    def fail(self, now: Now, error: LinkError) -> None:
        """Stop this room for good, and take no more part in the link."""
        super().fail(now, error)
        self._outlet.leave(self.link)

    def _sign(self) -> Sign:
        return self._signer.seal
