"""Work items: make events of what arrives, and acknowledge or answer it when the records are on disk."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from endpoints.failpoints import failpoint
from endpoints.mqtt.topics import Topic
from endpoints.runtime.link_runner import AnyRunner
from endpoints.runtime.ports import Now, RunnableCore
from protocol.core.events import AnyEvent, Request
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase, rephrased
from protocol.wire.messages import Identifier

Check = Callable[[RunnableCore, Now], None]
"""Compares a request with the present state; raises LocalProtocolError if it is not what its officer means."""
MakeEvent = Callable[[Now], AnyEvent]
"""Makes the event in the loop's turn, with the turn's time."""


class FrameItem:
    """A frame that arrived; the broker gets its acknowledgement when the record is on disk (SPEC Q1.2)."""

    def __init__(
        self,
        runner: AnyRunner,
        topic: Topic,
        frame: bytes,
        acknowledge: Callable[[], None],
    ) -> None:
        self._runner = runner
        self._topic = topic
        self._frame = frame
        self._acknowledge = acknowledge

    @property
    def links(self) -> Collection[Identifier]:
        """The frame's link."""
        return (self._runner.link,)

    def take(self, now: Now) -> None:
        """Hand the frame to its link. A stopped link takes nothing, and the peer's outbox keeps the frame."""
        if self._runner.failure is None:
            self._runner.receive(self._topic, self._frame, now)

    def settle(self) -> None:
        """Acknowledge to the broker, unless the link has stopped: the transport has then left it (SPEC Q3)."""
        if self._runner.failure is None:
            failpoint("before_puback")
            self._acknowledge()
            failpoint("after_puback")


class EventItem:
    """An event of one link or of several: of the connection, or the end of a notification."""

    def __init__(self, runners: Iterable[AnyRunner], make: MakeEvent) -> None:
        self._runners = tuple(runners)
        self._make = make

    @property
    def links(self) -> Collection[Identifier]:
        """The links of the event."""
        return [runner.link for runner in self._runners]

    def take(self, now: Now) -> None:
        """Hand the event to every link that has not stopped."""
        for runner in self._runners:
            if runner.failure is None:
                runner.take(self._make(now))

    def settle(self) -> None:
        """Do nothing: no caller waits for it."""


class WrongCredentialItem:
    """A wrong credential, tried for an act at one link."""

    def __init__(self, runner: AnyRunner, source: str) -> None:
        self._runner = runner
        self._source = source

    @property
    def links(self) -> Collection[Identifier]:
        """The link at which it was tried."""
        return (self._runner.link,)

    def take(self, now: Now) -> None:
        """Report it to the link, unless the link has stopped."""
        if self._runner.failure is None:
            self._runner.credential_refused(self._source, now)

    def settle(self) -> None:
        """Do nothing: the caller has its answer."""


class Reply(Protocol):
    """Carries the answer to a request back to its caller. `asyncio.Future` is one."""

    def done(self) -> bool:
        """Return whether the caller no longer waits."""
        ...

    def set_result(self, result: str, /) -> None:
        """Answer with the reference."""
        ...

    def set_exception(self, exception: LocalProtocolError, /) -> None:
        """Answer with an error."""
        ...


class RequestItem:
    """An officer's request. Its caller gets the reference through `reply`, once the record is on disk."""

    def __init__(
        self,
        runner: AnyRunner,
        make: Callable[[Now], Request],
        reply: Reply,
        check: Check = lambda _core, _now: None,
    ) -> None:
        """Make it.

        Args:
            runner: of the link.
            make: makes the event.
            reply: takes the answer.
            check: is called for a new request, before its event is taken.
        """
        self._runner = runner
        self._make = make
        self._reply = reply
        self._check = check
        self._reference = ""
        self._error: LocalProtocolError | None = None

    @property
    def links(self) -> Collection[Identifier]:
        """The link of the request."""
        return (self._runner.link,)

    def take(self, now: Now) -> None:
        """Hand the request to its link, unless it was handled before; a refused request changes nothing."""
        if self._runner.failure is not None:
            return
        try:
            request = self._make(now)
            if self._runner.core.reference_of(request.request) is None:
                self._check(self._runner.core, now)
            self._reference = self._runner.request(request)
        except LocalProtocolError as error:
            self._error = error
        failpoint("after_request")

    def settle(self) -> None:
        """Answer the caller."""
        failpoint("before_answer")
        if self._reply.done():
            # the client has disconnected; it may repeat the request under the same id
            return
        if self._runner.failure is not None:
            # the write failed: only the journal, opened anew, shows whether the request is in it
            why = rephrased(self._runner.failure.detail, self._runner.failure.said)
            stopped = phrase("this link has stopped: {detail}", detail=why)
            if self._reference:
                stopped = phrase(
                    "{stopped}; this may have been recorded all the same: look when the link is back", stopped=stopped
                )
            self._reply.set_exception(LocalProtocolError("link_stopped", stopped))
        elif self._error is not None:
            self._reply.set_exception(self._error)
        else:
            self._reply.set_result(self._reference)
        failpoint("after_answer")
