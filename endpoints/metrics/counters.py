"""Counts what one link does while this process runs, from the batches of its journal that are on disk.

Nothing here decides anything, and a restart begins at 0: what the link *is* stands in `Snapshot`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping

from msgspec import Struct

from endpoints.journal.writer import Batch
from endpoints.metrics.families import FLUSH_BUCKETS_S, MESSAGES, OTHER, RECEIPT_BUCKETS_S, REFUSALS
from protocol.core.effects import AnyEffect, Apply, Queue, RejectFrame, Settle
from protocol.core.events import CredentialsRefused, FramesSuppressed, NotificationDone
from protocol.core.start_events import EpochOpened
from protocol.record.journal import Entry
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import Identifier, Message

_REFUSALS = frozenset(REFUSALS)
_KINDS = frozenset(MESSAGES)


class Distribution(Struct, frozen=True):
    """The content of a histogram: how many values fell into each bucket, the last one without bound, and their sum."""

    counts: tuple[int, ...]
    sum_s: float


class Durations:
    """A histogram of durations in seconds."""

    def __init__(self, buckets_s: tuple[float, ...]) -> None:
        self._buckets_s = buckets_s
        self._counts = [0] * (len(buckets_s) + 1)
        self._sum_s = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(self._buckets_s, seconds)] += 1
        self._sum_s += seconds

    def read(self) -> Distribution:
        """Return the present content."""
        return Distribution(tuple(self._counts), self._sum_s)


class LinkCounters:
    """What has happened on one link since the process started.

    Attributes:
        messages: by direction, kind and precedence; the precedence of anything but an alert is empty.
        refused: frames, by reason.
        notifications: by whether they have reached every receiver.
        credentials_refused: wrong credentials of officers.
        skew_s: by direction: the time in the newest message less our clock when it was applied.
        receipts: from accepting a message of ours to its receipt.
        flushes: writing and flushing a batch.
        journal_bytes: the size of the journal's records, without zeros written ahead.
    """

    def __init__(self, directions: Mapping[Identifier, str]) -> None:
        """Begin at 0; `directions` names the direction of each sender's messages."""
        self.messages: Counter[tuple[str, str, str]] = Counter()
        self.refused: Counter[str] = Counter()
        self.notifications: Counter[bool] = Counter()
        self.credentials_refused = 0
        self.skew_s: dict[str, float] = {}
        self.receipts = Durations(RECEIPT_BUCKETS_S)
        self.flushes = Durations(FLUSH_BUCKETS_S)
        self.journal_bytes = 0
        self._directions = directions
        # our messages that are not receipted, oldest first: bounded by the outbox
        self._queued: dict[int, Millis] = {}

    def journal_opened(self, size_bytes: int) -> None:
        """Take the size of the segments before the last one."""
        self.journal_bytes = size_bytes

    def journal_grew(self, by_bytes: int) -> None:
        """Take what was added to the journal, or found in its last segment."""
        self.journal_bytes += by_bytes

    def take(self, batch: Batch) -> None:
        """Count what a batch says, which is on disk."""
        for entry, effects in batch:
            self._take_entry(entry)
            for effect in effects:
                self._take_effect(entry, effect)

    def _take_entry(self, entry: Entry) -> None:
        match entry:
            case FramesSuppressed():
                self._refuse(entry.reason, entry.count)
            case NotificationDone():
                self.notifications[entry.delivered] += 1
            case CredentialsRefused():
                self.credentials_refused += entry.count
            case EpochOpened():
                # its streams begin anew
                self._queued.clear()
            case _:
                pass

    def _take_effect(self, entry: Entry, effect: AnyEffect) -> None:
        match effect:
            case Queue():
                self._count("sent", effect.message)
                self._queued[effect.message.seq] = entry.mono
            case Settle():
                self._settle(effect.upto, entry.mono)
            case Apply():
                direction = self._directions.get(effect.sender)
                if direction is not None:
                    self._count(direction, effect.message)
                    self.skew_s[direction] = (parsed(effect.message.at) - entry.at) / 1_000
            case RejectFrame():
                self._refuse(effect.reason, 1)
            case _:
                pass

    def _count(self, direction: str, message: Message) -> None:
        # the peer chooses both: what is not known counts as one kind
        kind, precedence = str(message.body.get("type")), str(message.body.get("precedence", ""))
        name = (kind, precedence if kind == "alert" else "")
        self.messages[(direction, *(name if name in _KINDS else (OTHER, "")))] += 1

    def _refuse(self, reason: str, count: int) -> None:
        self.refused[reason if reason in _REFUSALS else OTHER] += count

    def _settle(self, upto: int, mono: Millis) -> None:
        while self._queued:
            first = next(iter(self._queued))
            if first > upto:
                return
            self.receipts.observe(max(0, mono - self._queued.pop(first)) / 1_000)
