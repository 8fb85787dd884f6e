"""The skeleton: the floor's client with what no implementation of the link's promises can leave out, and nothing else.

The messages of one turn share a signature and a flush. The receiver verifies them, flushes them, and sends one signed
receipt for all so far. The sender verifies and flushes the last receipt that has come.
"""

from __future__ import annotations

import asyncio
import os
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from load.driver import ClockNs, Driver, Load, Told
from load.yardsticks.client import RECEIVER, SENDER, Connect, Place, YardstickClient

FRAME_MAX_BYTES = 60_000
"""Below the largest packet that the broker accepts."""
LOG_BYTES = 8 << 20
_SIGNATURE_BYTES = 64
_NUMBER_BYTES = 8


def _key(name: str) -> Ed25519PrivateKey:
    """Return the key of a side: both processes make the same ones. They protect nothing."""
    return Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest())


class Log:
    """A file whose zeros are on disk already: a write and a flush change no size. It begins again at its end."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.pwrite(self._file, bytes(LOG_BYTES), 0)
        os.fsync(self._file)
        self._at = 0

    def append(self, data: bytes) -> None:
        """Write and flush."""
        if self._at + len(data) > LOG_BYTES:
            self._at = 0
        self._at += os.pwrite(self._file, data, self._at)
        os.fdatasync(self._file)


class Signed:
    """Signs frames, and opens those of the other side. A frame is a signature, whether it is flushed, and the data."""

    def __init__(self, own: str, other: str) -> None:
        self._own = _key(own)
        self._other: Ed25519PublicKey = _key(other).public_key()

    def seal(self, content: bytes) -> bytes:
        """Return a signed frame."""
        return self._own.sign(content) + content

    def open(self, frame: bytes) -> bytes:
        """Return the content of a verified frame, empty for any other."""
        content = frame[_SIGNATURE_BYTES:]
        try:
            self._other.verify(frame[:_SIGNATURE_BYTES], content)
        except InvalidSignature:
            return b""
        return content


class SkeletonSender:
    """Sends batches of numbered messages, and takes cumulative receipts."""

    def __init__(self, clock_ns: ClockNs, folder: Path) -> None:
        self.driver: Driver | None = None
        self._clock_ns = clock_ns
        self._signed = Signed(SENDER, RECEIVER)
        self._log = Log(folder / "sender.log")
        self._client: YardstickClient | None = None
        self._size_bytes = 0
        self._padding = b""
        self._flush = True
        self._settling = False
        self._waiting: list[bytes] = []
        self._done = 0

    async def open(self, connect: Connect, place: Place) -> None:
        """Connect."""
        self._client = await connect(place, RECEIVER, self._settle)

    def prepare(self, load: Load, size_bytes: int, told: Told, *, flush: bool) -> Driver:
        """Return the driver of a slice; it may run at once."""
        self._size_bytes, self._flush, self._done = size_bytes, flush, 0
        self._padding = bytes(size_bytes - _NUMBER_BYTES)
        self.driver = Driver(load, self._begin, self._clock_ns, told)
        return self.driver

    def _begin(self, number: int) -> None:
        if not self._waiting and not self._settling:
            # the messages that are due together share a frame
            asyncio.get_running_loop().call_soon(self._send)
        self._waiting.append(number.to_bytes(_NUMBER_BYTES, "big") + self._padding)

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        head = bytes((self._flush,)) + self._size_bytes.to_bytes(2, "big")
        at_once = max(1, FRAME_MAX_BYTES // self._size_bytes)
        frames = [
            self._signed.seal(head + b"".join(waiting[place : place + at_once]))
            for place in range(0, len(waiting), at_once)
        ]
        if self._flush:
            self._log.append(b"".join(frames))
        assert self._client is not None, "opened before"
        for frame in frames:
            self._client.publish(frame)

    def _settle(self, receipts: list[bytes]) -> None:
        # each is for all messages so far, so the last one is enough
        content = self._signed.open(receipts[-1])
        if self.driver is None or not content:
            return
        upto = int.from_bytes(content[1:], "big")
        if self._flush:
            self._log.append(receipts[-1])
        now_ns = self._clock_ns()
        begin, self._done = self._done, max(self._done, min(upto, self.driver.begun))
        self._settling = True
        for number in range(begin, self._done):
            self.driver.finished(number, now_ns)
        self._settling = False
        self._send()


class SkeletonReceiver:
    """Takes batches, and sends one receipt for all that came together."""

    def __init__(self, folder: Path) -> None:
        self._signed = Signed(RECEIVER, SENDER)
        self._log = Log(folder / "receiver.log")
        self._client: YardstickClient | None = None

    async def open(self, connect: Connect, place: Place) -> None:
        """Connect."""
        self._client = await connect(place, SENDER, self._heard)

    def _heard(self, frames: list[bytes]) -> None:
        contents = [content for frame in frames if (content := self._signed.open(frame))]
        if not contents:
            return
        flush, size_bytes = contents[-1][0], int.from_bytes(contents[-1][1:3], "big")
        last = int.from_bytes(contents[-1][-size_bytes:][:_NUMBER_BYTES], "big")
        if flush:
            self._log.append(b"".join(frames))
        assert self._client is not None, "the other side connects later"
        self._client.publish(self._signed.seal(bytes((flush,)) + (last + 1).to_bytes(_NUMBER_BYTES, "big")))
