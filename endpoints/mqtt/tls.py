"""TLS contexts for the broker connection: mutual TLS 1.3 under the broker's own authority (SPEC Q3.1)."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from broker import pairs
from endpoints.config.broker_settings import BrokerSettings
from endpoints.errors import UserError
from endpoints.keys.private_files import read_bytes, require_private
from protocol.phrases import phrase

_PEM_MAX_BYTES = 65_536
_ATTEMPTS = 3


class ClientContext(ssl.SSLContext):
    """A TLS context for one connection, whose socket distinguishes a proper close of TLS from a broken connection."""

    _socket: ssl.SSLSocket | None = None
    server_name: str | None = None
    """The name that the certificate must have, where the client library is given an IP address of it."""

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """Wrap a socket, and keep it for `abandon`. One that cannot be wrapped is closed: paho keeps no other."""
        plain: socket.socket = args[0] if args else kwargs["sock"]
        if self.server_name is not None:
            kwargs["server_hostname"] = self.server_name
        try:
            self._socket = super().wrap_socket(*args, **{**kwargs, "suppress_ragged_eofs": False})
        except BaseException:
            plain.close()
            raise
        return self._socket

    def peer_certificate(self) -> bytes | None:
        """Return the certificate (DER) that the broker has shown, None before the handshake."""
        return None if self._socket is None else self._socket.getpeercert(binary_form=True)

    def abandon(self) -> None:
        """Close the socket of a failed connection: paho leaves it open if the handshake fails."""
        if self._socket is not None:
            self._socket.close()

    def descriptor(self) -> int:
        """Return the descriptor of the socket, -1 if there is none or it is closed."""
        return -1 if self._socket is None else self._socket.fileno()


def client_context(settings: BrokerSettings, server_name: str | None = None) -> ClientContext:
    """Return a context for one connection: TLS 1.3 only, the broker's certificate and host name verified.

    With `server_name`, the certificate must have this name, whatever the client library connects to.

    The private key is the one that fits the certificate: `settings.key`, or the key of an open request beside it, as
    `broker.pairs` says.

    Raises UserError, naming the file, if one is missing or malformed, or if other users may read the key.
    """
    require_private(settings.key, what=phrase("private key"))
    authority = read_bytes(settings.authority, what=phrase("certificate"), max_bytes=_PEM_MAX_BYTES)
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    context.server_name = server_name
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Python 3.11.2 (Debian 12) sets this with OpenSSL 3: a connection that breaks off looks like an orderly end.
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    try:
        context.load_verify_locations(cadata=authority.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise UserError(phrase("{path}: not a certificate in PEM form", path=settings.authority)) from None
    for attempt in range(_ATTEMPTS):
        certificate = read_bytes(settings.certificate, what=phrase("certificate"), max_bytes=_PEM_MAX_BYTES)
        read_bytes(settings.key, what=phrase("private key"), max_bytes=_PEM_MAX_BYTES)
        key = pairs.key_for(certificate, settings.key) or settings.key
        try:
            require_private(key, what=phrase("private key"))
            # an encrypted key fails here instead of prompting on the terminal
            context.load_cert_chain(settings.certificate, key, password="")
            break
        except (ssl.SSLError, ValueError, OSError, UserError) as error:
            # a pair that is being installed fits at the second attempt
            if attempt + 1 == _ATTEMPTS:
                raise (error if isinstance(error, UserError) else _no_pair(settings)) from None
    return context


def _no_pair(settings: BrokerSettings) -> UserError:
    return UserError(
        phrase(
            "{certificate}, {key}: not a certificate and its unencrypted private key in PEM form",
            certificate=settings.certificate,
            key=settings.key,
        )
    )
