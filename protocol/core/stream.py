"""The two directions of a link: the outbox of our own stream, the inbox of the peer's (SPEC M1 to M5, R1 to R3).

A stream is a hash chain of messages, numbered without gaps. Frames carry runs of messages; their boundaries have no
meaning, and every check applies to single messages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from protocol.core.deadlines import SECOND, Turn
from protocol.errors import LocalProtocolError
from protocol.phrases import Phrase, phrase, worded
from protocol.wire import canonical
from protocol.wire.canonical import CanonicalError
from protocol.wire.digests import admitted_digest
from protocol.wire.instants import Millis, written
from protocol.wire.messages import INTEGER_MAX, MESSAGE_MAX_BYTES, Claim, Digest, Message, Utc
from protocol.wire.refusals import OUTDATED, REPEATED, FrameRefusal

SEALED_MAX = 8
"""The limit of unreceipted frames, which keeps small what a reconnect sends again (SPEC M4.2)."""
OUTBOX_MAX_MESSAGES = 10_000
OUTBOX_MAX_BYTES = 64 * 2**20
"""Beyond either limit new alerts and line tests are refused: use another channel to the peer (SPEC M4.5)."""
OUTBOX_RESERVE_MESSAGES = 1_000
"""The reserve beyond the limit for acknowledgements, answers and refusals."""
AHEAD_MAX = 256
"""How many messages beyond a gap are buffered (SPEC M3.2)."""
HASHES_KEPT = 1_024
"""How many applied messages are remembered, to recognise a second version as equivocation (SPEC M5.3), and how many of
our receipted ones, to recognise a false receipt as a fork (SPEC R3.1)."""
RESEND_MIN_MS: Millis = 1 * SECOND
RESEND_MAX_MS: Millis = 60 * SECOND
RESEND_ABSENT_MAX_MS: Millis = 900 * SECOND
"""The limit while the broker reports the peer as absent, so that duplicates do not fill its queue. Presence is only a
hint, so resending never stops."""


class SealedRun(Struct):
    """A signed frame of the messages `first` to `last`, kept until the peer has receipted them."""

    first: int
    last: int
    frame: bytes
    sealed_at: Utc
    tries: int
    due_age: Millis


class OutboxState(Struct):
    """State of an outbox in a checkpoint."""

    head: Digest
    receipted_head: Digest
    last: int = 0
    receipted: int = 0
    waiting: list[Message] = []
    unreceipted_bytes: int = 0
    sealed: list[SealedRun] = []
    # hash of each unreceipted message, and of the last receipted ones
    hashes: dict[int, Digest] = {}
    # size of each unreceipted message
    sizes: dict[int, int] = {}
    # the alarm code for which this direction stopped until a new epoch, or empty
    stopped: str = ""
    # the frames in `sealed` were signed with a key that is no longer accepted
    sign_again: bool = False


class Outbox:
    """Our own stream. A message waits, is sealed into a frame, and is kept until the peer's receipt covers it."""

    def __init__(self, state: OutboxState) -> None:
        self.state = state

    @property
    def sent(self) -> int:
        """The last seq that was sealed into a frame. The peer cannot know a later one."""
        return self.state.sealed[-1].last if self.state.sealed else self.state.last - len(self.state.waiting)

    def check_room(self, *, reserve: bool) -> None:
        """Raise LocalProtocolError if the outbox is full or stopped; answers may use the `reserve` (SPEC M4.5)."""
        state = self.state
        if state.stopped:
            raise LocalProtocolError(
                "direction_stopped",
                phrase("this direction has stopped ({why}): open a new epoch to send again", why=state.stopped),
            )
        limit = OUTBOX_MAX_MESSAGES + (OUTBOX_RESERVE_MESSAGES if reserve else 0)
        over = not reserve and state.unreceipted_bytes >= OUTBOX_MAX_BYTES
        if state.last - state.receipted >= limit or over:
            raise LocalProtocolError(
                "outbox_full",
                phrase(
                    "{count} messages wait for the peer's receipt: reach the other side by another channel",
                    count=state.last - state.receipted,
                ),
            )

    def check_size(self, body: dict[str, object], beside_bytes: int) -> None:
        """Raise LocalProtocolError if `body` is too long with `beside_bytes` to spare, or not canonical (SPEC F6.2)."""
        _encode(Message(seq=INTEGER_MAX, prev=self.state.head, at=written(0), body=body), beside_bytes)

    def queue(self, at: Utc, body: dict[str, object]) -> Message:
        """Append `body` to the stream, permanently (SPEC M2.1, M2.2). The caller has checked that there is room.

        Raises LocalProtocolError if it is too long or not canonical; then nothing has changed.
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
        """Return the waiting messages, in as few runs as fit into frames (SPEC M1.3, M4.2)."""
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
        """Store the signed frame of the first waiting messages."""
        del self.state.waiting[: len(run)]
        self.state.sealed.append(
            SealedRun(run[0].seq, run[-1].seq, frame, turn.utc, 0, turn.age + _backoff(frame, 0, RESEND_MAX_MS))
        )

    def sign_again(self) -> None:
        """Have every unreceipted frame signed again: our key is no longer accepted (SPEC F5.6)."""
        self.state.sign_again = bool(self.state.sealed)

    def to_sign_again(self) -> list[SealedRun]:
        """Return the frames that have to be signed again."""
        return self.state.sealed if self.state.sign_again and not self.state.stopped else []

    def signed_again(self, first: int, frame: bytes) -> None:
        """Store the frame that begins with message `first`, signed anew."""
        run = next(run for run in self.state.sealed if run.first == first)
        run.frame = frame
        self.state.sign_again = run is not self.state.sealed[-1]

    def frame(self, first: int) -> bytes | None:
        """Return the unreceipted frame that begins with message `first`, None if there is none (SPEC M4.1)."""
        return next((run.frame for run in self.state.sealed if run.first == first), None)

    def due_age(self) -> Millis | None:
        """Return the age at which the oldest frame is sent again, None if there is none."""
        return self.state.sealed[0].due_age if self.state.sealed and not self.state.stopped else None

    def resend_oldest(self, turn: Turn, *, peer_absent: bool) -> int:
        """Back off the oldest frame, which is sent again now, and return its first seq (SPEC M4.4)."""
        run = self.state.sealed[0]
        run.tries += 1
        limit = RESEND_ABSENT_MAX_MS if peer_absent else RESEND_MAX_MS
        run.due_age = turn.age + _backoff(run.frame, run.tries, limit)
        return run.first

    def resend_all(self, turn: Turn) -> list[int]:
        """Restart the back-off of all frames, which are sent again now; return their first seqs (SPEC M4.3)."""
        if self.state.stopped:
            return []
        for run in self.state.sealed:
            run.tries = 0
            run.due_age = turn.age + _backoff(run.frame, 0, RESEND_MAX_MS)
        return [run.first for run in self.state.sealed]

    def judge(self, claim: Claim) -> Literal["news", "stale", "fork"]:
        """Compare the peer's claim with our own chain (SPEC R1.2, R3.1, R3.2, R3.4)."""
        state = self.state
        if claim.upto > self.sent:
            return "fork"
        # SPEC R3.1
        known = state.receipted_head if claim.upto == state.receipted else state.hashes.get(claim.upto, claim.head)
        if known != claim.head:
            return "fork"
        return "news" if claim.upto > state.receipted else "stale"

    def settle(self, claim: Claim) -> range:
        """Discard the messages that a claim judged as news covers, and return their seqs."""
        state = self.state
        covered = range(state.receipted + 1, claim.upto + 1)
        for seq in covered:
            state.hashes.pop(seq - HASHES_KEPT, None)
            state.unreceipted_bytes -= state.sizes.pop(seq)
        state.receipted, state.receipted_head = claim.upto, claim.head
        state.sealed = [run for run in state.sealed if run.last > claim.upto]
        state.sign_again = state.sign_again and bool(state.sealed)
        return covered


def _follows(seq: int, prev: Digest, other: Digest) -> Phrase:
    return phrase("message {seq} follows {prev}, not {other}", seq=seq, prev=prev[:16], other=other[:16])


def _encode(message: Message, beside_bytes: int = 0) -> bytes:
    try:
        data = canonical.encode(message)
    except CanonicalError as error:
        raise LocalProtocolError("not_writable", worded(error)) from error
    # SPEC F6.2
    if len(data) + beside_bytes > MESSAGE_MAX_BYTES:
        size = len(data) + beside_bytes
        raise LocalProtocolError(
            "too_long", phrase("the message has {size} bytes; {limit} is the limit", size=size, limit=MESSAGE_MAX_BYTES)
        )
    return data


def _backoff(frame: bytes, tries: int, limit: Millis) -> Millis:
    """Return a delay that doubles from 1 s up to `limit`, times 0.75 to 1.25; the jitter derives from the frame."""
    jitter = 750 + 500 * hashlib.sha256(frame).digest()[tries % 32] // 255
    return min(limit, RESEND_MIN_MS << min(tries, 16)) * jitter // 1_000


class InboxState(Struct):
    """State of an inbox in a checkpoint."""

    head: Digest
    upto: int = 0
    # runs beyond a gap, by their first seq
    ahead: dict[int, tuple[Message, ...]] = {}
    # of the last applied messages and of those beyond a gap
    hashes: dict[int, Digest] = {}
    stopped: str = ""


class Equivocated(Exception):  # noqa: N818 - a finding about the peer that the core catches, not an error
    """The peer signed two different messages for one place of its stream (SPEC M5.1)."""


class Inbox:
    """The peer's stream, applied exactly once and in order."""

    def __init__(self, state: InboxState) -> None:
        self.state = state

    def take(self, run: Sequence[Message]) -> Literal["taken", "too_far_ahead"]:
        """Buffer a verified run; `next_message` takes its messages out. Runs may overlap and repeat (SPEC M3.1).

        Raises Equivocated if the run contradicts itself or an earlier one; then nothing has changed.
        """
        state = self.state
        digests = self._compared(run)
        if self._knows(run):
            return "taken"
        if self._too_far_ahead(run):
            return "too_far_ahead"
        # longer than one that begins alike, since that one is known
        state.ahead[run[0].seq] = tuple(run)
        for message, digest in zip(run, digests, strict=True):
            if message.seq > state.upto:
                state.hashes[message.seq] = digest
        return "taken"

    def redundant(self, run: Sequence[Message], floor: int) -> str:
        """Return why `take` would change nothing for a run, an empty string if it would, or if it contradicts.

        `floor` is the highest that the sender has stated.
        """
        known = self._knows(run)
        if not known and not self._too_far_ahead(run):
            return ""
        try:
            self._compared(run)
        except Equivocated:
            return ""
        if not known:
            return FrameRefusal.TOO_FAR_AHEAD
        return OUTDATED if run[-1].seq <= floor else REPEATED

    def _knows(self, run: Sequence[Message]) -> bool:
        """Return whether every message of a run is applied or kept beyond a gap."""
        return all(message.seq <= self.state.upto or message.seq in self.state.hashes for message in run)

    def _too_far_ahead(self, run: Sequence[Message]) -> bool:
        """Return whether a run begins beyond a gap and ends too far ahead (SPEC M3.2)."""
        return run[0].seq > self.state.upto + 1 and run[-1].seq > self.state.upto + AHEAD_MAX

    def _compared(self, run: Sequence[Message]) -> list[Digest]:
        """Return the digests of a run. Raises Equivocated on a contradiction (SPEC M5.1)."""
        state = self.state
        digests = [admitted_digest(message) for message in run]
        for place, (message, digest) in enumerate(zip(run, digests, strict=True)):
            known = state.hashes.get(message.seq)
            if known is not None and known != digest:
                raise Equivocated(
                    phrase(
                        "message {seq} came with hash {known} and with hash {other}",
                        seq=message.seq,
                        known=known[:16],
                        other=digest[:16],
                    )
                )
            before = digests[place - 1] if place else self._digest_of(message.seq - 1)
            if before is not None and message.prev != before:
                raise Equivocated(_follows(message.seq, message.prev, before))
        follower = run[-1].seq + 1
        for first, ahead in state.ahead.items():
            if first == follower and ahead[0].prev != digests[-1]:
                raise Equivocated(_follows(follower, ahead[0].prev, digests[-1]))
        return digests

    def _digest_of(self, seq: int) -> Digest | None:
        return self.state.head if seq == self.state.upto else self.state.hashes.get(seq)

    def next_message(self) -> Message | None:
        """Return the next message in order, which counts as applied from now on; None if it is not here."""
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
        """Continue at a run beyond a gap. Only the watch does so, since it cannot ask for the missing messages."""
        state = self.state
        state.upto, state.head = run[0].seq - 1, run[0].prev
        state.ahead.clear()
        state.hashes.clear()

    def claim(self, at: Millis) -> Claim:
        """Return our claim: how much of the stream is here (SPEC R1.1)."""
        return Claim(upto=self.state.upto, head=self.state.head, at=written(at))
