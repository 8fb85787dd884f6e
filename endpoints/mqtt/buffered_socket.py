"""A TLS socket that reads ahead and sends together: paho reads byte by byte, and writes packet by packet."""

from __future__ import annotations

import ssl
from contextlib import suppress

_READ_BYTES = 1 << 16


class BufferedSocket(ssl.SSLSocket):
    """A non-blocking TLS socket whose `send` only keeps what `flush` sends, and whose `recv` reads more than asked for.

    ssl makes it, for a context whose `sslsocket_class` this is: so it has no constructor, and its fields begin here.
    """

    # decrypted bytes, and how many of them `recv` has returned
    _received = b""
    _taken = 0
    _unsent = b""

    @property
    def unsent(self) -> bool:
        """Whether bytes wait for `flush`, or for the kernel to take more."""
        return bool(self._unsent)

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Return up to `buflen` bytes, empty at the end of the stream. Raises SSLWantReadError, OSError."""
        if self._taken == len(self._received):
            self._received, self._taken = super().recv(_READ_BYTES, flags), 0
        data = self._received[self._taken : self._taken + buflen]
        self._taken += len(data)
        return data

    def pending(self) -> int:
        """Return how many bytes `recv` can return without the network: the selector does not see them."""
        return len(self._received) - self._taken + super().pending()

    def send(self, data: bytes | bytearray | memoryview, flags: int = 0) -> int:  # type: ignore[override]
        """Keep `data` for `flush`; return its length."""
        del flags
        self._unsent += data
        return len(data)

    def flush(self) -> None:
        """Send what was kept, as far as the kernel takes it now. Raises OSError if the connection is lost."""
        if not self._unsent:
            return
        view, sent = memoryview(self._unsent), 0
        try:
            while sent < len(view):
                sent += super().send(view[sent:])
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        self._unsent = bytes(view[sent:])

    def close(self) -> None:
        """Send what the kernel takes at once, and close the socket."""
        with suppress(OSError, ValueError):
            self.flush()
        super().close()
