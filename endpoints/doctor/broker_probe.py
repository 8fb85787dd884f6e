"""Tries the broker: the TLS handshake beside a running service, a whole MQTT session while none runs.

The client id is the certificate's name, so a session would displace the running service. The session of the probe
changes nothing that lasts: it acknowledges no delivery, leaves the kept session as it was, and ends one that it began.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence

from msgspec import Struct

from endpoints.config.broker_settings import Address, BrokerSettings
from endpoints.doctor.time_limit import within
from endpoints.errors import UserError
from endpoints.mqtt.connection import Connection
from endpoints.mqtt.failover import Destination
from endpoints.mqtt.failures import CONNECT_ERRORS, CONNECT_WITHIN_S, reason_of
from endpoints.mqtt.intervals import Intervals
from endpoints.mqtt.places import look_up
from endpoints.mqtt.session import ConnectionClosed, Opened
from endpoints.mqtt.takeovers import TAKEN_OVER
from endpoints.mqtt.tls import client_context
from endpoints.mqtt.topics import GONE
from protocol.phrases import phrase

_REFUSAL_WITHIN_S = 1.0
"""In TLS 1.3 the server refuses our certificate, if at all, only after the handshake."""
_WATCHED_S = 4.0
"""A service whose connection the probe has taken over comes back within its shortest pause and one connect."""
_SESSION_WITHIN_S = 15.0 + _WATCHED_S
_USED_ELSEWHERE = phrase("another process uses this certificate: it took over the connection of this check")
_FAILURE = 0x80
"""From here on, MQTT 5 reason codes are failures."""


class Reached(Struct, frozen=True):
    """What a probe of the broker has found.

    Attributes:
        problem: why there is no connection, or what the broker refuses; empty if all is well.
        remedy: what would be right.
        certificate: the broker's (DER), None if the handshake failed.
        session_kept_s: how long the broker keeps a session without its client, None if there was no session.
    """

    problem: str = ""
    remedy: str = ""
    certificate: bytes | None = None
    session_kept_s: int | None = None


def handshake(broker: BrokerSettings, address: Address) -> Reached:
    """Try a TLS connection to a node, without MQTT. Raises UserError if a certificate or key cannot be used."""
    context = client_context(broker)
    found: list[bytes | None] = []

    def probe() -> str:
        return _shake(address, context, found)

    late = phrase("no answer within {seconds} s", seconds=f"{2 * CONNECT_WITHIN_S:.0f}")
    problem = within(2 * CONNECT_WITHIN_S + _REFUSAL_WITHIN_S, probe, late)
    remedy = phrase("check the broker's address, the network, and the broker's log") if problem else ""
    return Reached(problem, remedy, found[0] if found else None)


def _shake(address: Address, context: ssl.SSLContext, found: list[bytes | None]) -> str:
    """Return why no TLS connection is possible; put the broker's certificate into `found`."""
    try:
        with (
            socket.create_connection((address.host, address.port), timeout=CONNECT_WITHIN_S) as plain,
            context.wrap_socket(plain, server_hostname=address.host) as secured,
        ):
            found.append(secured.getpeercert(binary_form=True))
            secured.settimeout(_REFUSAL_WITHIN_S)
            try:
                if not secured.recv(1):
                    return phrase("the broker closes the connection at once")
            except TimeoutError:
                return ""
            return phrase("not an MQTT broker: the server sends data first")
    except ssl.SSLCertVerificationError as error:
        return phrase("the broker's certificate is not trusted: {why}", why=reason_of(error))
    except ssl.SSLError as error:
        return phrase("no TLS 1.3 connection with our certificate: {why}", why=reason_of(error))
    except CONNECT_ERRORS as error:
        return phrase("the broker cannot be reached: {why}", why=reason_of(error))


def session(
    broker: BrokerSettings,
    address: Address,
    reads: Sequence[tuple[str, int]],
    presence: Sequence[str],
    *,
    watched: bool = True,
) -> Reached:
    """Try what the service does: connect to a node under its identity, subscribe to `reads`, publish to `presence`.

    Only while it does not run. `gone` is published, which is true, and which the others know already. With `watched`,
    the connection is then kept for some seconds: a second copy of the service, elsewhere, takes it over.
    """
    met = _Met()
    watched_s = _WATCHED_S if watched else 0.0

    def probe() -> str:
        return asyncio.run(_session(broker, address, reads, presence, watched_s, met))

    late = phrase("no MQTT session within {seconds} s", seconds=f"{_SESSION_WITHIN_S:.0f}")
    problem = within(_SESSION_WITHIN_S, probe, late)
    if problem == _USED_ELSEWHERE:
        remedy = phrase("find the second copy of this installation and stop it; only one may ever run")
    elif met.silent:
        remedy = phrase("read the log of this node; one that has lost its cluster does not answer")
    else:
        remedy = phrase("correct the broker's access list (deconflict init writes one), then restart the broker")
    kept_s = None if met.opened is None else met.opened.session_kept_s
    return Reached(problem, remedy if problem else "", session_kept_s=kept_s)


class _Met(Struct):
    """What a session has met with.

    Attributes:
        opened: what the broker granted, None if it granted no session.
        silent: whether it has answered nothing at all.
    """

    opened: Opened | None = None
    silent: bool = False


async def _session(
    broker: BrokerSettings,
    address: Address,
    reads: Sequence[tuple[str, int]],
    presence: Sequence[str],
    watched_s: float,
    met: _Met,
) -> str:
    """Return what the broker refuses, empty if nothing; note in `met` how far it came."""
    try:
        place = Destination(address, (await look_up(address))[0])
    except CONNECT_ERRORS as error:
        return phrase("the broker cannot be reached: {why}", why=reason_of(error))
    done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    waiting = set(presence)
    kept = True

    def opened(opened: Opened) -> None:
        nonlocal kept
        kept = opened.session_present
        met.opened = opened
        for topic in presence:
            connection.publish(topic, GONE, topic)
        if not presence:
            done.set_result("")

    def published(token: object, code: int, reason: str) -> None:
        waiting.discard(str(token))
        if done.done():
            return
        if code >= _FAILURE:
            refused = phrase("the broker refuses to publish to {topic}: {reason}", topic=str(token), reason=reason)
            done.set_result(refused)
        elif not waiting:
            done.set_result("")

    connection = Connection(
        broker,
        place,
        subscriptions=reads,
        will=None,
        keepalive_s=Intervals().keepalive_s,
        on_open=opened,
        on_message=lambda _message: None,
        on_published=published,
    )
    running = asyncio.create_task(connection.run())
    running.add_done_callback(lambda _task: done.done() or done.cancel())
    try:
        return await done or await _displaced(running, watched_s)
    except asyncio.CancelledError:
        closed = running.result()
        met.silent = met.opened is None and closed.code is None and not (closed.closed or closed.orderly)
        return _closed(closed)
    except UserError as error:
        return str(error)
    finally:
        running.cancel()
        connection.close(end_session=not kept)
        await asyncio.gather(running, return_exceptions=True)


async def _displaced(running: asyncio.Task[ConnectionClosed], watched_s: float) -> str:
    """Return that somebody takes the open connection over, or empty if nobody does for some seconds."""
    await asyncio.wait({running}, timeout=watched_s)
    if not running.done():
        return ""
    closed = running.result()
    return _USED_ELSEWHERE if closed.orderly or closed.code == TAKEN_OVER else _closed(closed)


def _closed(closed: ConnectionClosed) -> str:
    return phrase("no MQTT session: {why}", why=closed.reason)
