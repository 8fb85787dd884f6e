"""The TLS socket that reads ahead and sends together."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import pytest
import trustme

from endpoints.mqtt.buffered_socket import BufferedSocket

DEADLINE_S = 10.0
LARGE = bytes(range(256)) * 40_000


class Ends:
    """Both ends of a connection: ours is not blocking, the other one is."""

    def __init__(self) -> None:
        authority = trustme.CA()
        ours, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.configure_trust(ours)
        authority.issue_cert("localhost").configure_cert(theirs)
        ours.sslsocket_class = BufferedSocket
        left, right = socket.socketpair()
        right.settimeout(DEADLINE_S)
        wrapped = ours.wrap_socket(left, server_hostname="localhost", do_handshake_on_connect=False)
        assert isinstance(wrapped, BufferedSocket)
        self.ours = wrapped
        self.ours.setblocking(False)
        self.theirs = theirs.wrap_socket(right, server_side=True, do_handshake_on_connect=False)
        self.theirs.setblocking(False)
        waiting = [self.ours, self.theirs]
        while waiting:
            for each in list(waiting):
                try:
                    each.do_handshake()
                    waiting.remove(each)
                except ssl.SSLWantReadError:
                    pass
        self.theirs.settimeout(DEADLINE_S)

    def received(self, count: int) -> bytes:
        """Return the next bytes at the other end."""
        data = b""
        while len(data) < count:
            data += self.theirs.recv(count - len(data))
        return data


@pytest.fixture
def ends() -> Iterator[Ends]:
    both = Ends()
    yield both
    both.ours.close()
    both.theirs.close()


def test_nothing_leaves_before_the_flush_and_all_of_it_then_in_order(ends: Ends) -> None:
    assert [ends.ours.send(each) for each in (b"ab", bytearray(b"cde"), memoryview(b"f"))] == [2, 3, 1]
    ends.theirs.settimeout(0.0)
    with pytest.raises(ssl.SSLWantReadError):
        ends.theirs.recv(1)
    assert ends.ours.unsent
    ends.ours.flush()
    ends.theirs.settimeout(DEADLINE_S)
    assert (ends.received(6), ends.ours.unsent) == (b"abcdef", False)


def test_what_the_kernel_does_not_take_is_sent_by_later_flushes(ends: Ends) -> None:
    ends.ours.send(LARGE)
    ends.ours.flush()
    assert ends.ours.unsent, "more than the kernel's buffers hold"
    ends.ours.send(b"end")
    data = b""
    while len(data) < len(LARGE) + 3:
        data += ends.theirs.recv(1 << 16)
        ends.ours.flush()
    assert (data, ends.ours.unsent) == (LARGE + b"end", False)


def test_one_read_serves_many_and_says_what_the_selector_does_not_see(ends: Ends) -> None:
    ends.theirs.sendall(b"0123456789")
    assert [ends.ours.recv(4) for _ in range(3)] == [b"0123", b"4567", b"89"]
    with pytest.raises(ssl.SSLWantReadError):
        ends.ours.recv(4)
    ends.theirs.sendall(b"abc")
    assert (ends.ours.recv(1), ends.ours.pending()) == (b"a", 2)
    assert (ends.ours.recv(9), ends.ours.pending()) == (b"bc", 0)


def test_it_ends_as_the_stream_does(ends: Ends) -> None:
    ends.theirs.settimeout(0.0)
    with pytest.raises(ssl.SSLWantReadError):
        ends.theirs.unwrap()
    assert ends.ours.recv(1) == b""


def test_closing_sends_what_the_kernel_takes_at_once(ends: Ends) -> None:
    ends.ours.send(b"goodbye")
    ends.ours.close()
    assert ends.received(7) == b"goodbye"


def test_a_broken_connection_is_an_error_of_the_flush_and_closing_is_none(ends: Ends) -> None:
    ends.theirs.close()
    ends.ours.send(LARGE)
    with pytest.raises((BrokenPipeError, ssl.SSLEOFError)):
        ends.ours.flush()
    ends.ours.close()
