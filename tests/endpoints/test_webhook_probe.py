from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from broker.pki import Authority
from endpoints.clocks.clock import SystemClock
from endpoints.doctor.webhook_probe import unanswered

SHORT_S = 0.5


class Unhelpful(BaseHTTPRequestHandler):
    """Knows no method at all, and so answers 501."""

    requests: list[str] = []  # noqa: RUF012 - shared with the test

    def log_message(self, *_: object) -> None:
        self.requests.append(self.requestline)


@pytest.fixture
def web() -> Iterator[HTTPServer]:
    Unhelpful.requests.clear()
    with HTTPServer(("127.0.0.1", 0), Unhelpful) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def listening(serve: Callable[[socket.socket], None]) -> tuple[socket.socket, str]:
    """Return a listener whose first connection is given to `serve`, and its URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        try:
            connection, _ = listener.accept()
            with connection:
                serve(connection)
        except OSError:
            pass

    threading.Thread(target=accept, daemon=True).start()
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}/secret"


def test_any_answer_will_do_and_the_resource_is_not_named(web: HTTPServer) -> None:
    assert unanswered(f"http://127.0.0.1:{web.server_port}/secret") == ""
    assert any("OPTIONS * " in line for line in Unhelpful.requests)
    assert not any("secret" in line for line in Unhelpful.requests)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert unanswered(f"http://127.0.0.1:{port}/") == "it cannot be reached: Connection refused"
    assert unanswered("http://no-such-host.invalid/").startswith("it cannot be reached: ")
    assert unanswered("http://broker..example.org/").startswith("it cannot be reached: ")


def silent(connection: socket.socket) -> None:
    while connection.recv(4_096):
        pass


def dripping(connection: socket.socket) -> None:
    """Send a byte now and then, so that no single wait takes long."""
    released = threading.Event()
    while not released.wait(SHORT_S / 10):
        connection.sendall(b"H")


def flooding(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"H" * 65_536)


def greeting(connection: socket.socket) -> None:
    connection.sendall(b"220 mail.example ESMTP\r\n")
    silent(connection)


@pytest.mark.parametrize(
    ("serve", "why"),
    [
        (silent, "no answer within"),
        (dripping, "no answer within"),
        (flooding, "what answers there is not a web server"),
        (greeting, "what answers there is not a web server"),
        (socket.socket.close, "it closes the connection without an answer"),
    ],
)
def test_what_is_no_answer_takes_no_longer_than_the_limit(serve: Callable[[socket.socket], None], why: str) -> None:
    listener, url = listening(serve)
    with listener:
        said = unanswered(url, within_s=SHORT_S)

    assert said.startswith((why, "it cannot be reached: Connection reset"))
    assert "secret" not in said


def test_a_certificate_is_verified(tmp_path: Path) -> None:
    at = SystemClock().now()[0]
    authority = Authority.make(tmp_path / "authority", at)
    authority.issue_server(tmp_path, at)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")

    def serve(connection: socket.socket) -> None:
        with server.wrap_socket(connection, server_side=True) as secured:
            secured.recv(4_096)
            secured.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    for context, expected in ((None, "its certificate is not trusted: "), (trusting, "")):
        listener, url = listening(serve)
        with listener:
            said = unanswered(url.replace("http://", "https://"), context)
        assert said.startswith(expected)
        assert bool(said) is bool(expected)
