"""What arrives in the inbox: each knows how to become an event of its room, and whom to answer afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from endpoints.failpoints import failpoint
from endpoints.mqtt.topics import Topic
from endpoints.runtime.link_runner import LinkRunner, Now
from protocol.core.events import AnyEvent, Request
from protocol.errors import LocalProtocolError

AnyLink = LinkRunner[Any]
Making = Callable[[Now], AnyEvent]
"""Makes the event when its turn comes, with the turn's time."""


class FrameItem:
    """A frame that arrived; the broker is told when its record is on disk (SPEC Q1.2)."""

    def __init__(
        self,
        runner: AnyLink,
        topic: Topic,
        frame: bytes,
        acknowledge: Callable[[], None],
    ) -> None:
        self._runner = runner
        self._topic = topic
        self._frame = frame
        self._acknowledge = acknowledge

    def take(self, now: Now) -> None:
        """Hand the frame to the room; one that has stopped takes nothing, and its peer's outbox keeps the frame."""
        if self._runner.failure is None:
            self._runner.receive(self._topic, self._frame, now)

    def settle(self) -> None:
        """Acknowledge to the broker, unless the room has stopped: then the transport has left the link (SPEC Q3)."""
        if self._runner.failure is None:
            failpoint("before_puback")
            self._acknowledge()
            failpoint("after_puback")


class EventItem:
    """Something that happened to one room or to several: the connection, a notification's end."""

    def __init__(self, runners: Iterable[AnyLink], make: Making) -> None:
        self._runners = tuple(runners)
        self._make = make

    def take(self, now: Now) -> None:
        """Hand the event to every room that has not stopped."""
        for runner in self._runners:
            if runner.failure is None:
                runner.take(self._make(now))

    def settle(self) -> None:
        """Nobody waits for it."""


class RequestItem:
    """A request over the control socket; whoever sent it awaits `answer`: the reference, once it is on disk."""

    def __init__(self, runner: AnyLink, make: Callable[[Now], Request]) -> None:
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._runner = runner
        self._make = make
        self._reference = ""
        self._error: LocalProtocolError | None = None

    def take(self, now: Now) -> None:
        """Hand the request to the room, unless it has been handled before; a mistake changes nothing."""
        if self._runner.failure is not None:
            return
        try:
            self._reference = self._runner.request(self._make(now))
        except LocalProtocolError as error:
            self._error = error
        failpoint("after_request")

    def settle(self) -> None:
        """Answer."""
        failpoint("before_answer")
        if self.answer.done():
            # the client has gone; it repeats its request, under the same id, if it cares
            return
        if self._runner.failure is not None:
            # of what was on its way to the disk nobody knows whether it has arrived
            doubt = "; this may have been recorded all the same: look when the link is back" if self._reference else ""
            self.answer.set_exception(
                LocalProtocolError("link_stopped", f"this link has stopped: {self._runner.failure.detail}{doubt}")
            )
        elif self._error is not None:
            self.answer.set_exception(self._error)
        else:
            self.answer.set_result(self._reference)
        failpoint("after_answer")
