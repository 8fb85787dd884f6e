"""Asks a web server whether it answers, without naming the resource that a notification would reach."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

from endpoints.doctor.time_limit import within
from endpoints.mqtt.failures import CONNECT_ERRORS, why_of
from protocol.phrases import phrase

WITHIN_S = 5.0
"""For each step; the whole probe may take twice as long."""
_LINE_MAX_BYTES = 4_096


def unanswered(url: str, context: ssl.SSLContext | None = None, within_s: float = WITHIN_S) -> str:
    """Return why the server of `url` cannot be reached; empty if it answers HTTP, whatever it says.

    The request is `OPTIONS *`: it concerns the server as a whole, so that neither a notification nor a sign of life is
    counted. `context` verifies the server's certificate; by default under the authorities of this machine.
    """
    late = phrase("no answer within {seconds} s", seconds=f"{2 * within_s:.0f}")
    return within(2 * within_s, lambda: _ask(url, context, within_s), late)


def _ask(url: str, context: ssl.SSLContext | None, within_s: float) -> str:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    assert parts.hostname is not None, "the settings check it"
    try:
        with socket.create_connection((parts.hostname, parts.port or (443 if secure else 80)), within_s) as plain:
            if not secure:
                return _answers(plain, parts.hostname)
            checked = context or ssl.create_default_context()
            with checked.wrap_socket(plain, server_hostname=parts.hostname) as secured:
                return _answers(secured, parts.hostname)
    except ssl.SSLCertVerificationError as error:
        return phrase("its certificate is not trusted: {why}", why=error.verify_message)
    except TimeoutError:
        return phrase("no answer within {seconds} s", seconds=f"{within_s:.0f}")
    except CONNECT_ERRORS as error:
        return phrase("it cannot be reached: {why}", why=why_of(error))


def _answers(server: socket.socket, host: str) -> str:
    """Return why the first line that the server sends is no answer; empty if it is one."""
    server.sendall(f"OPTIONS * HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    line = b""
    # the total time is bounded by the caller
    while b"\n" not in line and len(line) < _LINE_MAX_BYTES:
        more = server.recv(_LINE_MAX_BYTES)
        if not more:
            return phrase("it closes the connection without an answer")
        line += more
    return "" if line.startswith(b"HTTP/") else phrase("what answers there is not a web server")
