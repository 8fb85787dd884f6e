"""Turns what the transport and the notifier report into work items for the loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from msgspec import UNSET

from endpoints.failpoints import failpoint
from endpoints.mqtt.events import (
    Accepted,
    Arrived,
    Connected,
    Delivery,
    Displaced,
    Joined,
    Lost,
    PresenceChanged,
    PresenceHeard,
    PublishDenied,
    SignOfLife,
    StillLost,
    TakenOver,
    TransportEvent,
)
from endpoints.mqtt.session import SESSION_AT_LEAST_S
from endpoints.runtime.endpoint_link import EndpointLink, Token
from endpoints.runtime.link_runner import AnyRunner
from endpoints.runtime.work_items import EventItem, FrameItem
from endpoints.runtime.work_queue import WorkQueue
from endpoints.structured_log import get_logger
from protocol.core.events import (
    IdentityTakenOver,
    NotificationDone,
    PublishRefused,
    TransportConnected,
    TransportLost,
)
from protocol.phrases import said

_REASON_MAX = 200

_log = get_logger()


class Intake:
    """Queues what happens to the links of one process. The transport calls it synchronously, from the event loop."""

    def __init__(
        self,
        runners: Mapping[str, AnyRunner],
        queue: WorkQueue,
        acknowledge: Callable[[Delivery], None] | None = None,
        connected: Callable[[bytes | None], None] | None = None,
    ) -> None:
        """Prepare it.

        Args:
            runners: the process's runners by link.
            queue: the loop's.
            acknowledge: acknowledges a delivery to the broker; called when its record is on disk (SPEC Q1.2). None
                if the transport acknowledges by itself.
            connected: takes the broker's certificate (DER) of a new connection.
        """
        self._runners = runners
        self._queue = queue
        self._acknowledge = acknowledge
        self._connected = connected

    def happened(self, event: TransportEvent) -> None:
        """Take an event of the transport."""
        queue, runners = self._queue, self._runners
        match event:
            case Arrived(topic=topic, payload=payload, delivery=delivery):
                # a frame that finds the queue full stays unacknowledged; the watch misses it
                queue.put(FrameItem(runners[topic.link], topic, payload, partial(self._settled, delivery)))
            case PresenceChanged(link=link, party=party, present=present):
                runners[link].presence[party].see(present=present)
                self._look_at(link, party)
            case PresenceHeard(link=link, party=party, real_s=real_s):
                runners[link].presence[party].hear(real_s)
                self._look_at(link, party)
            case SignOfLife(topic=topic, payload=payload, real_s=real_s):
                runner = runners[topic.link]
                if runner.failure is None and runner.sign_of_life(topic, payload, real_s):
                    queue.wake([topic.link])
            case Connected(broker_certificate=certificate, node=node, session_kept_s=kept_s):
                failpoint("after_connected")
                _log.info("connected to the broker", node=node)
                if kept_s is not None and kept_s < SESSION_AT_LEAST_S:
                    _log.warning("the broker keeps sessions for less than a week", node=node, seconds=kept_s)
                queue.push(EventItem(runners.values(), lambda now: TransportConnected(at=now.at, mono=now.mono)))
                if self._connected is not None:
                    self._connected(certificate)
            case Joined(link=link):
                queue.push(EventItem([runners[link]], lambda now: TransportConnected(at=now.at, mono=now.mono)))
            case Lost(reason=reason):
                failpoint("after_lost")
                _log.warning("no connection to the broker", why=str(reason))
                lost, made_from = str(reason)[:_REASON_MAX], said(reason) or UNSET
                queue.push(
                    EventItem(
                        runners.values(),
                        lambda now: TransportLost(at=now.at, mono=now.mono, reason=lost, said=made_from),
                    )
                )
                self._note_trouble(reason)
            case StillLost(reason=reason):
                self._note_trouble(reason)
            case Displaced():
                _log.warning(
                    "another process has taken over this side's connection to the broker: a second copy of this "
                    "installation may run, such as one that was moved and not stopped; stop one of them"
                )
            case TakenOver(times=times):
                queue.push(
                    EventItem(runners.values(), lambda now: IdentityTakenOver(at=now.at, mono=now.mono, times=times))
                )
            case _:
                pass

    def _look_at(self, link: str, party: str) -> None:
        """Have the loop visit a link if the presence of a party is to be journaled: a beat rarely is."""
        if self._runners[link].presence[party].changed:
            self._queue.wake([link])

    def _note_trouble(self, reason: str) -> None:
        for runner in self._runners.values():
            runner.connection_lost(reason)

    def _settled(self, delivery: Delivery | None) -> None:
        """Acknowledge a delivery that the transport has not acknowledged itself."""
        if delivery is not None and self._acknowledge is not None:
            self._acknowledge(delivery)

    def notified(self, link: str, notice_id: str, delivered: bool) -> None:
        """Take the end of a notification, for the record of the next turn: it needs no flush of its own."""
        self._queue.defer(
            EventItem(
                [self._runners[link]],
                lambda now: NotificationDone(at=now.at, mono=now.mono, id=notice_id, delivered=delivered),
            )
        )


class EndpointIntake(Intake):
    """Takes also the broker's answers to what an endpoint's links publish."""

    def __init__(
        self,
        runners: Mapping[str, EndpointLink],
        queue: WorkQueue,
        acknowledge: Callable[[Delivery], None],
        connected: Callable[[bytes | None], None] | None = None,
    ) -> None:
        super().__init__(runners, queue, acknowledge, connected)
        self._endpoint_links = runners

    def happened(self, event: TransportEvent) -> None:
        """Take an event of the transport."""
        match event:
            case Accepted(token=Token() as token):
                self._endpoint_links[token.link].accepted(token)
                failpoint("after_accepted")
            case PublishDenied(token=Token() as token, code=code, reason=reason):
                channel, why = token.channel, str(reason)[:_REASON_MAX]
                self._queue.push(
                    EventItem(
                        [self._endpoint_links[token.link]],
                        lambda now: PublishRefused(at=now.at, mono=now.mono, channel=channel, code=code, reason=why),
                    )
                )
            case _:
                super().happened(event)
