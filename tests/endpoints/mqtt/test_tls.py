"""The TLS context of one connection (SPEC Q3.1)."""

import socket
import ssl

import pytest

from endpoints.mqtt.tls import ClientContext


def test_a_socket_that_cannot_be_wrapped_is_closed() -> None:
    """A broker that breaks the connection off before the handshake leaves no open socket behind."""
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with pytest.raises(NotImplementedError):
        context.wrap_socket(plain, server_hostname="localhost")
    assert plain.fileno() == -1
