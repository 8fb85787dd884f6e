from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from broker.pki import Authority
from endpoints.bounded_http import trusted
from endpoints.clocks.clock import SystemClock
from endpoints.doctor.webhook_probe import unanswered


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
    assert unanswered(f"http://user:secret@127.0.0.1:{web.server_port}/secret", trusted(None)) == ""
    assert any("OPTIONS * " in line for line in Unhelpful.requests)
    assert not any("secret" in line for line in Unhelpful.requests)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert unanswered(f"http://127.0.0.1:{port}/", trusted(None)) == "connection refused: nothing listens there"
    for name in ("no-such-host.invalid", "broker..example.org"):
        assert "secret" not in unanswered(f"http://user:secret@{name}/secret", trusted(None))


def test_what_is_no_web_server_is_no_answer() -> None:
    """`tests/endpoints/test_sinks.py` has other bad answers, and their limits."""

    def greeting(connection: socket.socket) -> None:
        connection.sendall(b"220 mail.example ESMTP\r\n\r\n")
        while connection.recv(4_096):
            pass

    listener, url = listening(greeting)
    with listener:
        assert unanswered(url, trusted(None)) == "what answered does not speak HTTP"


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

    untrusted = "the server's certificate is from an unknown authority"
    for trust_file, expected in ((None, untrusted), (tmp_path / "ca.crt", "")):
        listener, url = listening(serve)
        with listener:
            said = unanswered(url.replace("http://", "https://"), trusted(trust_file))
        assert said == expected
