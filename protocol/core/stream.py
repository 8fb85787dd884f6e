"""One direction each: the outbox of our own stream, the inbox of the peer's (SPEC M1 to M5, R1 to R3).

A stream is a hash chain of messages, numbered without gaps. Frames only carry runs of it: everything is compared for
each message, and frame boundaries mean nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from protocol.core.deadlines import SECOND, Turn
from protocol.errors import LocalProtocolError
from protocol.wire import canonical
from protocol.wire.canonical import CanonicalError
from protocol.wire.digests import message_digest
from protocol.wire.instants import Millis, written
from protocol.wire.messages import INTEGER_MAX, Claim, Digest, Message, Utc

SEALED_MAX = 8
"""Frames that may be unreceipted at once: what a reconnect resends stays small (SPEC M4.2)."""
OUTBOX_MAX_MESSAGES = 10_000
OUTBOX_MAX_BYTES = 64 * 2**20
"""Beyond either, new alerts and tests are refused: a peer away for that long must be reached otherwise (SPEC M4.5)."""
OUTBOX_RESERVE_MESSAGES = 1_000
"""What is left beyond the limit for acknowledgements, answers and refusals: the peer's questions come first."""
MESSAGE_MAX_BYTES = 44_000
"""A message's limit, so that it can be sealed alone with a receipt beside it (SPEC F6.2): in base64, signed by
either suite, that stays below a frame's 65,536 bytes."""
AHEAD_MAX = 256
"""How far ahead of a gap runs are buffered (SPEC M3.2)."""
HASHES_KEPT = 1_024
"""For how many applied messages a second version is recognised as equivocation (SPEC M5.3)."""
RESEND_MIN_MS: Millis = 1 * SECOND
RESEND_MAX_MS: Millis = 60 * SECOND
RESEND_ABSENT_MAX_MS: Millis = 900 * SECOND
"""While the peer's presence says that it is gone, so that duplicates do not fill the broker's queue; it is a hint
only, so resending never stops."""


class SealedRun(Struct):
    """Messages `first` to `last` under one signature, until the peer has receipted them."""

    first: int
    last: int
    frame: bytes
    sealed_at: Utc
    tries: int
    due_age: Millis


class OutboxState(Struct):
    """What a checkpoint keeps of an outbox."""

    head: Digest
    receipted_head: Digest
    last: int = 0
    receipted: int = 0
    waiting: list[Message] = []
    unreceipted_bytes: int = 0
    sealed: list[SealedRun] = []
    # hash and size of each message that is not receipted
    hashes: dict[int, Digest] = {}
    sizes: dict[int, int] = {}
    # why this direction stopped until a new epoch, or nothing
    stopped: str = ""


class Outbox:
    """Our own stream: messages wait, are sealed into frames, and leave only when the peer's receipt covers them."""

    def __init__(self, state: OutboxState) -> None:
        self.state = state

    @property
    def sent(self) -> int:
        """The last seq that has left in a frame: the peer cannot know a later one."""
        return self.state.sealed[-1].last if self.state.sealed else self.state.last - len(self.state.waiting)

    def check_room(self, *, reserve: bool) -> None:
        """Raise LocalProtocolError if nothing can be queued; `reserve` is for what answers the peer (SPEC M4.5)."""
        state = self.state
        if state.stopped:
            raise LocalProtocolError(
                "direction_stopped", f"nothing can be sent in this epoch any more ({state.stopped}): open a new epoch"
            )
        limit = OUTBOX_MAX_MESSAGES + (OUTBOX_RESERVE_MESSAGES if reserve else 0)
        over = not reserve and state.unreceipted_bytes >= OUTBOX_MAX_BYTES
        if state.last - state.receipted >= limit or over:
            raise LocalProtocolError(
                "outbox_full",
                f"{state.last - state.receipted} messages wait for the peer's receipt: "
                "reach the other side by another channel",
            )

    def check_size(self, body: dict[str, object], beside_bytes: int) -> None:
        """Raise LocalProtocolError if `body` cannot be written, or not with `beside_bytes` to spare (SPEC F6.2)."""
        _encode(Message(seq=INTEGER_MAX, prev=self.state.head, at=written(0), body=body), beside_bytes)

    def queue(self, at: Utc, body: dict[str, object]) -> Message:
        """Give `body` its place in the stream, for ever (SPEC M2.1, M2.2). The caller has checked that there is room.

        Raises LocalProtocolError if it cannot be written or is too long; then nothing has changed.
        """
        state = self.state
        message = Message(seq=state.last + 1, prev=state.head, at=at, body=body)
        data = _encode(message)
        state.last += 1
        state.head = hashlib.sha256(data).hexdigest()
        state.hashes[state.last] = state.head
        state.sizes[state.last] = len(data)
        state.unreceipted_bytes += len(data)
        state.waiting.append(message)
        return message

    def next_runs(self) -> list[tuple[Message, ...]]:
        """Return the runs to seal now: whatever waits goes into as few frames as it fits (SPEC M1.3, M4.2)."""
        state = self.state
        if state.stopped:
            return []
        runs: list[tuple[Message, ...]] = []
        start, size = 0, 0
        for place, message in enumerate(state.waiting):
            if len(state.sealed) + len(runs) >= SEALED_MAX:
                return runs
            needed = state.sizes[message.seq] + 1
            if place > start and size + needed > MESSAGE_MAX_BYTES:
                runs.append(tuple(state.waiting[start:place]))
                start, size = place, 0
            size += needed
        if start < len(state.waiting) and len(state.sealed) + len(runs) < SEALED_MAX:
            runs.append(tuple(state.waiting[start:]))
        return runs

    def sealed(self, turn: Turn, run: Sequence[Message], frame: bytes) -> None:
        """Take the sealed frame of the run that waits first."""
        del self.state.waiting[: len(run)]
        self.state.sealed.append(
            SealedRun(run[0].seq, run[-1].seq, frame, turn.utc, 0, turn.age + _backoff(frame, 0, RESEND_MAX_MS))
        )

    def frame(self, first: int) -> bytes | None:
        """Return the frame that begins with `first`, while it is not receipted: the identical bytes (SPEC M4.1)."""
        return next((run.frame for run in self.state.sealed if run.first == first), None)

    def due_age(self) -> Millis | None:
        """Return the age at which the oldest frame is to be sent again."""
        return self.state.sealed[0].due_age if self.state.sealed and not self.state.stopped else None

    def resend_oldest(self, turn: Turn, *, peer_absent: bool) -> int:
        """Note that the oldest frame goes out again, and back off (SPEC M4.4). Return its first seq."""
        run = self.state.sealed[0]
        run.tries += 1
        limit = RESEND_ABSENT_MAX_MS if peer_absent else RESEND_MAX_MS
        run.due_age = turn.age + _backoff(run.frame, run.tries, limit)
        return run.first

    def resend_all(self, turn: Turn) -> list[int]:
        """Note that all unreceipted frames go out again, backing off anew (SPEC M4.3). Return their first seqs."""
        if self.state.stopped:
            return []
        for run in self.state.sealed:
            run.tries = 0
            run.due_age = turn.age + _backoff(run.frame, 0, RESEND_MAX_MS)
        return [run.first for run in self.state.sealed]

    def judge(self, claim: Claim) -> Literal["news", "stale", "fork"]:
        """Lay the peer's claim beside our own chain (SPEC R1.2, R3.1, R3.2)."""
        state = self.state
        if claim.upto > self.sent:
            return "fork"
        if claim.upto > state.receipted:
            return "news" if state.hashes[claim.upto] == claim.head else "fork"
        if claim.upto == state.receipted and claim.head != state.receipted_head:
            return "fork"
        return "stale"

    def sealed_at(self, seq: int) -> Utc:
        """Return when the message `seq`, which is not receipted, first left."""
        return next(run.sealed_at for run in self.state.sealed if run.first <= seq <= run.last)

    def settle(self, claim: Claim) -> range:
        """Let go of what a claim that is news covers. Return the seqs that it covers anew."""
        state = self.state
        covered = range(state.receipted + 1, claim.upto + 1)
        for seq in covered:
            del state.hashes[seq]
            state.unreceipted_bytes -= state.sizes.pop(seq)
        state.receipted, state.receipted_head = claim.upto, claim.head
        state.sealed = [run for run in state.sealed if run.last > claim.upto]
        return covered


def _encode(message: Message, beside_bytes: int = 0) -> bytes:
    try:
        data = canonical.encode(message)
    except CanonicalError as error:
        raise LocalProtocolError("not_writable", str(error)) from error
    # SPEC F6.2
    if len(data) + beside_bytes > MESSAGE_MAX_BYTES:
        size = len(data) + beside_bytes
        raise LocalProtocolError("too_long", f"the message has {size} bytes; {MESSAGE_MAX_BYTES} is the limit")
    return data


def _backoff(frame: bytes, tries: int, limit: Millis) -> Millis:
    """Doubling from 1 s to the limit, times 0.75 to 1.25: the jitter is drawn from the frame, not from chance."""
    jitter = 750 + 500 * hashlib.sha256(frame).digest()[tries % 32] // 255
    return min(limit, RESEND_MIN_MS << min(tries, 16)) * jitter // 1_000


class InboxState(Struct):
    """What a checkpoint keeps of an inbox."""

    head: Digest
    upto: int = 0
    # runs beyond a gap, by their first seq
    ahead: dict[int, tuple[Message, ...]] = {}
    # of the last applied messages and of those ahead
    hashes: dict[int, Digest] = {}
    stopped: str = ""


class Equivocated(Exception):  # noqa: N818 - a finding about the peer, caught by the link; not an error of anybody here
    """The peer signed two different things for one place of its stream (SPEC M5.1)."""


class Inbox:
    """The peer's stream: applied exactly once and in order."""

    def __init__(self, state: InboxState) -> None:
        self.state = state

    def take(self, run: Sequence[Message]) -> Literal["taken", "too_far_ahead"]:
        """Take a verified run, to be drained by `next_message`. Frames may overlap and repeat (SPEC M3.1).

        Raises Equivocated if it contradicts itself or what the peer signed before; then nothing has changed.
        """
        state = self.state
        digests = self._compared(run)
        if run[-1].seq <= state.upto:
            return "taken"
        if run[0].seq > state.upto + 1 and run[-1].seq > state.upto + AHEAD_MAX:
            return "too_far_ahead"  # SPEC M3.2
        known = state.ahead.get(run[0].seq, ())
        if len(run) > len(known):
            state.ahead[run[0].seq] = tuple(run)
        for message, digest in zip(run, digests, strict=True):
            if message.seq > state.upto:
                state.hashes[message.seq] = digest
        return "taken"

    def _compared(self, run: Sequence[Message]) -> list[Digest]:
        """Return the run's digests. Raises Equivocated on a contradiction (SPEC M5.1)."""
        state = self.state
        digests = [message_digest(message) for message in run]
        for place, (message, digest) in enumerate(zip(run, digests, strict=True)):
            known = state.hashes.get(message.seq)
            if known is not None and known != digest:
                raise Equivocated(f"message {message.seq} came with hash {known[:16]} and with hash {digest[:16]}")
            before = digests[place - 1] if place else self._digest_of(message.seq - 1)
            if before is not None and message.prev != before:
                raise Equivocated(f"message {message.seq} follows {message.prev[:16]}, not {before[:16]}")
        follower = run[-1].seq + 1
        for first, ahead in state.ahead.items():
            if first == follower and ahead[0].prev != digests[-1]:
                raise Equivocated(f"message {follower} follows {ahead[0].prev[:16]}, not {digests[-1][:16]}")
        return digests

    def _digest_of(self, seq: int) -> Digest | None:
        return self.state.head if seq == self.state.upto else self.state.hashes.get(seq)

    def next_message(self) -> Message | None:
        """Take the next message in order: from now on it is applied."""
        state = self.state
        for first, run in state.ahead.items():
            if first <= state.upto + 1 <= run[-1].seq:
                message = run[state.upto + 1 - first]
                break
        else:
            return None
        if message is run[-1]:
            state.ahead = {first: run for first, run in state.ahead.items() if run[-1].seq > message.seq}
        state.upto = message.seq
        state.head = state.hashes[message.seq]
        state.hashes.pop(message.seq - HASHES_KEPT, None)
        return message

    def skip_to(self, run: Sequence[Message]) -> None:
        """Go on at a run beyond a gap that nobody will fill for the independent watch."""
        state = self.state
        state.upto, state.head = run[0].seq - 1, run[0].prev
        state.ahead.clear()
        state.hashes.clear()

    def claim(self, at: Millis) -> Claim:
        """Return what we can claim to have of the stream (SPEC R1.1)."""
        return Claim(upto=self.state.upto, head=self.state.head, at=written(at))
