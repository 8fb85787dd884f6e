"""Says in words why there is no connection to the broker, for both transports."""

from __future__ import annotations

import errno
import logging
import ssl
from collections.abc import Callable
from functools import cache

from endpoints.errors import UserError
from endpoints.network_faults import fault, tls_fault
from endpoints.texts.printable import one_line
from protocol.core.environment import NOT_AUTHORISED
from protocol.phrases import phrase

CONNECT_WITHIN_S = 5.0
"""For the TCP connection, and again for the TLS handshake."""
CONNECT_ERRORS = (OSError, ValueError, UserError)
"""What name look-up, TCP, TLS and the reading of our files raise; for odd names, look-up and TLS raise ValueError."""
REASONS_MAX = 16
"""How many different reasons of one loss are reported."""

KEEP_ALIVE = 0x8D
_CODES = {
    0x81: phrase("it could not read our packet"),
    0x82: phrase("it says that we violate the protocol"),
    0x83: phrase("it has an error of its own"),
    0x84: phrase("it does not speak MQTT 5"),
    0x85: phrase("it does not accept our client id"),
    0x86: phrase("it does not know our user name or password"),
    NOT_AUTHORISED: phrase("we are not authorised: its access list lacks us"),
    0x88: phrase("it is not available"),
    0x89: phrase("it is busy"),
    0x8A: phrase("we are banned"),
    0x8B: phrase("it shuts down"),
    KEEP_ALIVE: phrase("no sign of life arrived in time"),
    0x8E: phrase("another client has connected with our certificate"),
    0x90: phrase("it does not accept the topic"),
    0x93: phrase("we sent more at once than it takes"),
    0x95: phrase("our packet is larger than it takes"),
    0x96: phrase("we send too often"),
    0x97: phrase("a quota is used up"),
    0x98: phrase("its operator ended the connection"),
    0x9B: phrase("it does not offer the quality of service that we need"),
    0x9C: phrase("it asks us to use another broker"),
    0x9D: phrase("it has moved to another address"),
    0x9F: phrase("we connect too often"),
    0xA0: phrase("the longest time of a connection is over"),
}
"""Reason codes of MQTT 5."""


SILENT_ENDS = {fault(each) for each in (ssl.SSLEOFError(), ConnectionResetError(errno.ECONNRESET, ""))}
"""Ends of a connection for which the other end gave no reason."""


@cache  # of one byte; asked for each publish
def meaning(code: int) -> str:
    """Return what a reason code of the broker means."""
    return _CODES.get(code) or phrase("its reason code is {code}", code=code)


def reason_of(error: BaseException) -> str:
    """Return the reason for a failed attempt in one line."""
    if isinstance(error, UserError):
        # the phrase, which str(error) would lose
        reason: str = error.args[0]
        return reason
    if isinstance(error, TimeoutError) and error.errno is None:
        return phrase("no answer within {seconds} s", seconds=round(CONNECT_WITHIN_S))
    return fault(error)


def refused_connection(code: int) -> str:
    """Return the reason for a refusing CONNACK."""
    return phrase("the broker refused the connection: {why}", why=meaning(code))


def refused_subscription(topic: str, code: int) -> str:
    """Return the reason for a refusing SUBACK, or for one that grants less than was asked for."""
    return phrase("the broker refused the subscription to {topic}: {why}", topic=topic, why=meaning(code))


def ended_by_broker(code: int, said: str = "") -> str:
    """Return the reason for a DISCONNECT of the broker, which may have `said` something."""
    if said:
        return phrase("the broker ended the connection: {why} ({said})", why=meaning(code), said=one_line(said)[:80])
    return phrase("the broker ended the connection: {why}", why=meaning(code))


def lost(why: str) -> str:
    """Return the reason for a connection that was lost."""
    return phrase("the connection was lost: {why}", why=why)


def lost_early(why: str) -> str:
    """Return the reason for a connection that was lost before the broker had accepted it."""
    if why in SILENT_ENDS:
        # in TLS 1.3 the broker refuses our certificate after the handshake, and its alert may be lost with the rest
        return phrase("the connection was lost at once: {why}; the broker may refuse our certificate", why=why)
    return lost(why)


class ErrorLog(logging.Logger):
    """Receives paho's log of errors, the only place where paho gives the reason for a lost connection."""

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__("paho", logging.ERROR)
        self._note = note

    def handle(self, record: logging.LogRecord) -> None:
        """Note the reason."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        error = next((each for each in arguments if isinstance(each, OSError | ssl.SSLError)), None)
        text = record.getMessage()
        self._note(fault(error) if error is not None else tls_fault(text) or one_line(text)[:120])


class LossReport:
    """Decides which failed attempts are reported: each reason once, until there was a connection again."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def due(self, reason: str, *, was_up: bool) -> bool:
        """Return whether to report `reason`; `was_up` if a connection was open before."""
        if was_up:
            self._told.clear()
        if reason in self._told or len(self._told) >= REASONS_MAX:
            return False
        self._told.add(reason)
        return True
