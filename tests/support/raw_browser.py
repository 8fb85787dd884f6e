"""Asks a console as a program other than a browser would: any header, any body, many streams at once."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx

from tests.support.console_station import ConsoleStation

WITHIN_S = 20.0


def session_cookie(station: ConsoleStation, side: str = "eucom", role: str = "investigator") -> str:
    """Return the header `Cookie` of a new session."""
    answer = httpx.get(station.board_link(side, role))
    assert answer.status_code == httpx.codes.SEE_OTHER, answer.text
    return answer.headers["set-cookie"].partition(";")[0]


def client(station: ConsoleStation, side: str = "eucom", cookie: str = "") -> httpx.Client:
    """Return a client of a side's console."""
    headers = {b"cookie": cookie.encode()} if cookie else {}
    return httpx.Client(base_url=station.origin(side), headers=headers, timeout=WITHIN_S)


def one_sentence(answer: httpx.Response) -> str:
    """Return the English line of an error that is plain text: one line for each language, and nothing else."""
    lines = answer.text.splitlines()
    assert 1 <= len(lines) <= 2, answer.text
    assert all(re.search(r"[\w.)]$", line) and "<" not in line and "Traceback" not in line for line in lines)
    assert "set-cookie" not in answer.headers
    return lines[0]


def ask(port: int, request: bytes, *more: bytes) -> bytes:
    """Send bytes to a console and return all that it answers until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), WITHIN_S) as connection:
        try:
            for part in (request, *more):
                connection.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            # it has heard enough
            pass
        answer = b""
        try:
            while part := connection.recv(65_536):
                answer += part
        except ConnectionResetError:
            pass
        return answer


@contextmanager
def streams(station: ConsoleStation, side: str, cookie: str, count: int) -> Iterator[list[socket.socket]]:
    """Yield connections that have each asked for the stream of news and never read."""
    request = f"GET /stream HTTP/1.1\r\nHost: localhost:{station.ports[side]}\r\nCookie: {cookie}\r\n\r\n".encode()
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", station.ports[side]), WITHIN_S))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            connection.sendall(request)
            opened.append(connection)
        yield opened
