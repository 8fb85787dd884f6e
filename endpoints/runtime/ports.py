"""Ports of the running links: the small interfaces through which a loop and its runners reach everything outside.

The service gives real implementations to the constructors; the simulation and the tests give their own.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Protocol

from msgspec import Raw, Struct

from endpoints.clocks.clock import Irregularity
from endpoints.journal.writer import Sign
from endpoints.mqtt.topics import Topic
from protocol.core.alarms import AlarmCode
from protocol.core.deadlines import Deadline
from protocol.core.effects import AnyEffect, Effect, Notify
from protocol.core.events import AnyEvent, FrameReceived
from protocol.core.link_keys import LinkKeys
from protocol.core.snapshot import Snapshot
from protocol.wire.instants import Millis
from protocol.wire.keyring import Keyring
from protocol.wire.messages import Digest, Identifier
from protocol.wire.policy import EnrolledKey, Terms

NonceSource = Callable[[], str]
"""Returns eight random bytes in hexadecimal, from which the core makes the words of a line test."""


def random_nonce() -> str:
    """Return a nonce from the operating system's secure source."""
    return secrets.token_hex(8)


class Now(Struct, frozen=True):
    """The loop's reading of the clocks for one turn: `at` and `mono` in ms, `real_s` in seconds of real time."""

    at: Millis
    mono: Millis
    real_s: int

    def reached(self, deadline: Deadline) -> bool:
        """Return whether `deadline` is reached, by either clock."""
        by_wall = deadline.at is not None and self.at >= deadline.at
        return by_wall or (deadline.mono is not None and self.mono >= deadline.mono)


class ClockReader(Protocol):
    """Reads the clocks. `endpoints.clocks.clock.Clock` is one."""

    def now(self) -> tuple[Millis, Millis]:
        """Return `(at, mono)`."""
        ...

    def real_ms(self) -> Millis:
        """Return the machine's own monotonic time, which an exercise does not change."""
        ...


class ClockMonitor(Protocol):
    """Compares each reading of the clocks with the one before. `endpoints.clocks.clock.ClockWatch` is one."""

    def observe(self, at: Millis, mono: Millis, real_ms: Millis) -> Irregularity | None:
        """Take a reading; return the step, sleep or stall since the last one, None if there was none."""
        ...


class Timer(Protocol):
    """Wakes the loop at a deadline."""

    def arm(self, deadline: Deadline) -> None:
        """Replace the deadline by `deadline`. The timer may also wake the loop sooner."""
        ...

    def cancel(self) -> None:
        """Stop waking the loop."""
        ...


class FrameJudge(Protocol):
    """Verifies the signatures of frames. `protocol.wire.keyring.Keyring` is one."""

    def judge(self, channel: str, sender: str, frame: bytes) -> str:
        """Return `VERIFIED`, or the reason why the frame is refused."""
        ...


JudgeOfKeys = Callable[[Mapping[Identifier, tuple[EnrolledKey, ...]], str], FrameJudge]
"""Makes the judge of frames from the accepted keys, by party, and the suite. A party may lack a key of the suite."""


def judge_of_keys(keys: Mapping[Identifier, tuple[EnrolledKey, ...]], suite: str) -> FrameJudge:
    """Return what verifies frames with these keys."""
    return Keyring(keys, suite, complete=False)


class FrameSigner(Protocol):
    """Signs payloads with a side's keys. `endpoints.keys.signer.Signer` is one."""

    @property
    def enrolled(self) -> tuple[EnrolledKey, ...]:
        """The public keys of those that it has."""
        ...

    def seal(self, payload_type: str, payload: bytes, accepted: Sequence[EnrolledKey] | None = None) -> bytes:
        """Return the frame of `payload`, signed with each of its keys that is `accepted`; with all of them if None."""
        ...


class FrameOutlet(Protocol):
    """Publishes frames to the broker. The endpoint's transport is one."""

    def publish(self, topic: Topic, payload: bytes, token: object) -> bool:
        """Publish a frame; return whether it is on its way. The core resends what is lost."""
        ...

    def leave(self, link: str) -> None:
        """Unsubscribe from `link` and publish nothing more for it."""
        ...


class NotificationOutlet(Protocol):
    """Delivers notifications in the background. `endpoints.notify.Notifier` is one."""

    def submit(self, link: str, side: str, effect: Notify) -> None:
        """Start to deliver `effect`; a `NotificationDone` reports the end."""
        ...


class LinkTransport(Protocol):
    """The connection to the broker that all links of a process share."""

    async def run(self) -> None:
        """Keep connected until cancelled."""
        ...

    def flush(self, *, again: bool = False) -> None:
        """Send at once what was published and acknowledged in a turn of the loop, which has ended.

        If another turn follows at once, and this is called `again`, acknowledgements alone may wait for it.
        """
        ...

    def rejoin(self, link: str) -> None:
        """Take part in a link again, and report `Joined` once the broker has accepted that."""
        ...


class Outbound(Protocol):
    """The sending half of a running link. An endpoint signs and publishes; the watch signs heads at most."""

    @property
    def keys(self) -> tuple[EnrolledKey, ...]:
        """The public keys of those that it can sign with."""
        ...

    @property
    def sign(self) -> Sign | None:
        """What signs a journal head, None without a key."""
        ...

    def seal(self, at: Millis) -> tuple[bytes, ...]:
        """Return the signed frames that the `BatchClosed` at `at` must carry."""
        ...

    def perform(self, event: AnyEvent, effect: AnyEffect) -> None:
        """Carry out one effect of `event`, whose record is on disk."""
        ...

    def leave(self) -> None:
        """Send nothing more: the link has stopped."""
        ...


class RunnableCore(Protocol):
    """What a runner needs of a core. `Link` and `Observer` have it."""

    RULES: ClassVar[str]

    @property
    def terms(self) -> Terms | None:
        """The terms of the present epoch, None before the first."""
        ...

    @property
    def keys(self) -> LinkKeys:
        """The public keys of the link: those that verify, and those that wait for an officer."""
        ...

    @property
    def officers(self) -> Mapping[Identifier, Digest] | None:
        """The officers who may act, each with the digest of their entry; None if none were ever enrolled."""
        ...

    @property
    def last_at(self) -> Millis:
        """The instant of the last event, 0 before the first `Started`."""
        ...

    @property
    def slots_until(self) -> Millis:
        """The instant up to which slots are planned."""
        ...

    def handle(self, event: AnyEvent) -> tuple[Effect, ...]:
        """Take an event; return its effects. Raises LocalProtocolError."""
        ...

    def redundant(self, event: FrameReceived) -> str:
        """Return why a verified frame would change nothing in the streams, an empty string if it would."""
        ...

    def next_deadline(self) -> Deadline | None:
        """Return when the core needs `DeadlineReached`, None if nothing is due."""
        ...

    def reference_of(self, request: str) -> str | None:
        """Return the reference that a request led to, None if it was not handled yet."""
        ...

    def active_alarm(self, code: AlarmCode, subject: str) -> bool:
        """Return whether an alarm is raised and not cleared, as the snapshot has it."""
        ...

    def snapshot(self) -> Snapshot:
        """Return the present state. Raises LocalProtocolError without an epoch."""
        ...

    def checkpoint(self) -> Raw:
        """Return the whole state, in JSON."""
        ...
