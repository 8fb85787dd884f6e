"""Limits how often events that an outsider can repeat at will reach the journal (SPEC M6.2, W3).

They count seconds of real time; an exercise clock does not change them. A restart begins anew.
"""

from __future__ import annotations

import math
from collections import Counter
from hashlib import sha256

from protocol.core.events import FrameReceived
from protocol.wire import envelope
from protocol.wire.instants import Millis
from protocol.wire.refusals import ALTERED, OVERLOAD, VERIFIED

REFUSALS_PER_WINDOW = 10
"""Refusals, or frames without effect, of one reason that are journaled within one window: enough for a diagnosis."""
WINDOW_S = 60
IDLE_BURST_BYTES = 160 * 1_024
"""The bytes of such frames that are journaled at once, for each reason: two of the largest."""
IDLE_RATE_BYTES = 34
"""The bytes a second of such frames that are journaled after that, for each reason: 3 MB a day."""
NEWS_BURST_BYTES = 256 * 2**20
"""The bytes of frames with effect that are journaled at once: three full outboxes (SPEC M4.5)."""
NEWS_RATE_BYTES = 300_000
"""The bytes a second of frames with effect after that: 26 GB a day. A peer that sends more waits for our receipts."""
PAYLOADS_REMEMBERED = 1_024
SIGNED_SILENCE_S = 50
"""How long signs of life, which come every 30 s, may stay out (SPEC Q2.5). The alarm follows 5 s later: within a minute
of the cut, one lost sign is not enough."""
SIGN_PAUSE_S = 1
"""The least time between two signs of life of a party that are verified."""
PRESENCE_PAUSE_S = 5
"""The least time between two journaled changes of presence (SPEC Q2.4): a flapping peer costs 12 records a minute."""


class RefusalCap:
    """Limits what is refused, by reason, and counts what is above the limit."""

    def __init__(self) -> None:
        self._since_s: int | None = None
        self._seen: Counter[str] = Counter()
        self._suppressed: Counter[str] = Counter()

    def admits(self, reason: str, now_s: int) -> bool:
        """Return whether to journal a refusal for `reason` by itself; if not, count it."""
        self._seen[reason] += 1
        if self._seen[reason] <= REFUSALS_PER_WINDOW:
            self._begin(now_s)
            return True
        self.count(reason, now_s)
        return False

    def count(self, reason: str, now_s: int) -> None:
        """Count a refusal for `reason` that is not journaled by itself."""
        self._begin(now_s)
        self._suppressed[reason] += 1

    def due(self, now_s: int) -> dict[str, int]:
        """Return the suppressed refusals by reason if the window is over; the next refusal opens a new one."""
        if self.due_s is None or now_s < self.due_s:
            return {}
        return self.flush()

    @property
    def due_s(self) -> int | None:
        """When the window is over, None if none is open."""
        return None if self._since_s is None else self._since_s + WINDOW_S

    def flush(self) -> dict[str, int]:
        """Return the suppressed refusals by reason, and start a new window."""
        suppressed = dict(self._suppressed)
        self._since_s = None
        self._seen.clear()
        self._suppressed.clear()
        return suppressed

    def _begin(self, now_s: int) -> None:
        if self._since_s is None:
            self._since_s = now_s


class Allowance:
    """Bytes that may be used: `burst` at once, `per_s` a second in the long run."""

    def __init__(self, burst: int, per_s: int) -> None:
        self._burst = burst
        self._per_s = per_s
        self._left = burst
        self._since_s: int | None = None

    def take(self, size: int, now_s: int) -> bool:
        """Use `size` bytes; return False, and use none, if fewer are left."""
        if self._since_s is not None:
            self._left = min(self._burst, self._left + self._per_s * (now_s - self._since_s))
        self._since_s = now_s
        if size > self._left:
            return False
        self._left -= size
        return True


class FrameLimits:
    """Limits the frames that are journaled, by their reason, and counts those above the limit.

    The reason says why a frame has no effect: it is refused, or repeats what is known. A frame with effect has none.
    """

    def __init__(self, news: Allowance | None = None) -> None:
        """Begin with nothing seen; `news` limits the frames with effect, by default as `NEWS_BURST_BYTES` says."""
        self._cap = RefusalCap()
        self._idle: dict[str, Allowance] = {}
        self._news = news or Allowance(NEWS_BURST_BYTES, NEWS_RATE_BYTES)
        # of payloads in the journal: the digest of the last frame around them, the least recent first
        self._frames: dict[tuple[str, str, bytes], bytes] = {}

    def admits(self, event: FrameReceived, reason: str, now_s: int) -> bool:
        """Return whether to journal a frame that has no effect for `reason`, or has one; if not, count it."""
        size, payload = len(event.frame), _payload(event)
        if not reason:
            admitted = self._news.take(size, now_s)
            if not admitted:
                self._cap.count(OVERLOAD, now_s)
        else:
            # SPEC M4.1: a resend is the identical bytes
            known = None if payload is None else self._frames.get(payload)
            if known is not None and known != sha256(event.frame).digest():
                reason = ALTERED
            admitted = self._idle_admits(reason, size, now_s)
        if payload is not None and (admitted or payload in self._frames):
            # if a frame was signed again with another key, the new bytes are what is resent from now on
            self._frames.pop(payload, None)
            self._frames[payload] = sha256(event.frame).digest()
            if len(self._frames) > PAYLOADS_REMEMBERED:
                del self._frames[next(iter(self._frames))]
        return admitted

    def _idle_admits(self, reason: str, size: int, now_s: int) -> bool:
        """Return whether to journal a frame of `size` bytes without effect; if not, count it."""
        if not self._cap.admits(reason, now_s):
            return False
        idle = self._idle.setdefault(reason, Allowance(IDLE_BURST_BYTES, IDLE_RATE_BYTES))
        if idle.take(size, now_s):
            return True
        self._cap.count(reason, now_s)
        return False

    def due(self, now_s: int) -> dict[str, int]:
        """Return the suppressed frames by reason if the window is over; the next such frame opens a new one."""
        return self._cap.due(now_s)

    @property
    def due_s(self) -> int | None:
        """When the window is over, None if none is open."""
        return self._cap.due_s

    def flush(self) -> dict[str, int]:
        """Return the suppressed frames by reason, and start a new window."""
        return self._cap.flush()


def _payload(event: FrameReceived) -> tuple[str, str, bytes] | None:
    """Return what identifies the payload of a verified frame, None for any other frame."""
    if event.verdict != VERIFIED:
        return None
    return event.channel, event.sender, sha256(envelope.parse(event.frame).payload).digest()


class PresenceCap:
    """Decides whether a party is present, and limits how often that is journaled; remembers when it was last heard.

    What the broker says is a hint. A party that has sent signs of life, which are signed (SPEC Q2.5), is absent while
    these stay out, whatever the broker says.
    """

    def __init__(self) -> None:
        self.heard_s: float | None = None
        """When it last said over this connection that it is present, on the machine's monotonic clock."""
        self.silent = False
        """Whether signs of life stay out, although the broker says that it is present."""
        self._signs = False
        # when the newest sign of life was signed, by its author's clock (ms)
        self._signed_at = -1
        # since when over this connection nothing signed has come
        self._signed_s: float | None = None
        self._checked_s = -math.inf
        self._seen: bool | None = None
        self._journaled: bool | None = None
        self._journaled_s: int | None = None

    def see(self, *, present: bool) -> None:
        """Take the presence that the transport reports."""
        self._seen = present
        if not present:
            self.heard_s = None

    def hear(self, real_s: float) -> None:
        """Take the party's own word, at `real_s`, that it is present."""
        self._seen, self.heard_s = True, real_s
        if self._signed_s is None:
            self._signed_s = real_s

    def may_check(self, real_s: float) -> bool:
        """Return whether to verify a sign of life that arrives at `real_s`: a flood of them must cost little."""
        if real_s - self._checked_s < SIGN_PAUSE_S:
            return False
        self._checked_s = real_s
        return True

    def sign(self, at: Millis, real_s: float) -> None:
        """Take a sign of life, signed at `at` by its author's clock. One that is not newer proves nothing."""
        if at <= self._signed_at:
            return
        self._signs, self._signed_at = True, at
        self.word(real_s)

    def word(self, real_s: float) -> None:
        """Take a signed word that was not known before."""
        self._signed_s, self.silent = real_s, False

    def inherit(self, before: PresenceCap) -> None:
        """Take over what another one knows over the same connection; it is journaled once more."""
        self._seen, self.heard_s, self.silent = before._seen, before.heard_s, before.silent
        self._signs, self._signed_at, self._signed_s = before._signs, before._signed_at, before._signed_s

    def forget(self) -> None:
        """Forget the presence, since the connection is lost; the next one reports it again."""
        self._seen = self._journaled = self.heard_s = self._signed_s = None
        self.silent = False

    def due(self, now_s: int) -> bool | None:
        """Return the presence to journal now, None if it has not changed or the last change is too recent."""
        if self._silent_at_s is not None and now_s >= self._silent_at_s:
            self.silent = True
        if not self.changed or (self._journaled_s is not None and now_s < self._journaled_s + PRESENCE_PAUSE_S):
            return None
        self._journaled, self._journaled_s = self._present, now_s
        return self._journaled

    @property
    def due_s(self) -> int | None:
        """When a presence may have to be journaled, 0 if at once, None if there is none to journal."""
        if self.changed:
            return 0 if self._journaled_s is None else self._journaled_s + PRESENCE_PAUSE_S
        return self._silent_at_s

    @property
    def changed(self) -> bool:
        """Whether the presence differs from what is journaled."""
        return self._present is not None and self._present != self._journaled

    @property
    def _present(self) -> bool | None:
        return False if self.silent and self._seen else self._seen

    @property
    def _silent_at_s(self) -> int | None:
        """When signs of life have stayed out for too long, None if none are expected or that is known."""
        if not self._signs or not self._seen or self.silent or self._signed_s is None:
            return None
        return int(self._signed_s) + SIGNED_SILENCE_S
