"""The counters of a link follow the batches of its journal, and stay bounded whatever a peer sends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from endpoints.journal.store import FolderStore
from endpoints.journal.writer import Batch, JournalWriter
from endpoints.metrics.counters import Durations, LinkCounters
from endpoints.metrics.families import MESSAGES, OTHER
from endpoints.metrics.observed_store import ObservedStore
from protocol.core.effects import AnyEffect, Apply, Queue, RejectFrame, Settle
from protocol.core.events import AnyEvent, BatchClosed, CredentialsRefused, FramesSuppressed, NotificationDone
from protocol.core.start_events import EpochOpened
from protocol.wire.instants import written
from protocol.wire.messages import Message
from tests.support.world import START, TERMS

OF = {"eucom": "sent", "ndmc": "received"}
HEAD = "0" * 64


@pytest.fixture
def counters() -> LinkCounters:
    return LinkCounters(OF)


def message(seq: int, at: int = START, **body: Any) -> Message:
    return Message(seq, HEAD, written(at), body)


def batch(*effects: AnyEffect, at: int = START, mono: int = 0) -> Batch:
    return [(BatchClosed(at=at, mono=mono), effects)]


def event(entry: AnyEvent) -> Batch:
    return [(entry, ())]


def test_messages_are_counted_by_direction_kind_and_precedence(counters: LinkCounters) -> None:
    counters.take(batch(Queue(message=message(1, type="alert", precedence="flash"))))
    counters.take(batch(Apply(sender="ndmc", message=message(1, type="heartbeat"))))
    counters.take(batch(Apply(sender="nobody", message=message(1, type="heartbeat"))))
    assert counters.messages == {("sent", "alert", "flash"): 1, ("received", "heartbeat", ""): 1}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": "x" * 9_000},
        {"type": ["alert"]},
        {"type": "alert", "precedence": "now"},
        {"type": "alert", "precedence": {"flash": 1}},
    ],
)
def test_what_a_peer_invents_is_one_kind(counters: LinkCounters, body: dict[str, Any]) -> None:
    counters.take(batch(Apply(sender="ndmc", message=message(1, **body))))
    assert counters.messages == {("received", OTHER, ""): 1}
    assert (OTHER, "") in MESSAGES


def test_refused_frames_are_counted_with_those_that_were_only_counted(counters: LinkCounters) -> None:
    counters.take(batch(RejectFrame(reason="bad_signature"), RejectFrame(reason="bad_signature")))
    counters.take(event(FramesSuppressed(at=START, mono=0, reason="bad_signature", count=90)))
    counters.take(event(FramesSuppressed(at=START, mono=0, reason="repeated", count=3)))
    counters.take(batch(RejectFrame(reason="of a later version")))
    assert counters.refused == {"bad_signature": 92, "repeated": 3, OTHER: 1}


def test_notifications_and_credentials(counters: LinkCounters) -> None:
    for delivered in (True, True, False):
        counters.take(event(NotificationDone(at=START, mono=0, id="alarm/x", delivered=delivered)))
    counters.take(event(CredentialsRefused(at=START, mono=0, count=7, source="uid-1000")))
    assert counters.notifications == {True: 2, False: 1}
    assert counters.credentials_refused == 7


def test_a_receipt_settles_all_that_it_covers_and_nothing_that_was_sent_before_the_start(
    counters: LinkCounters,
) -> None:
    counters.take(
        batch(Queue(message=message(5, type="heartbeat")), Queue(message=message(6, type="heartbeat")), mono=1_000)
    )
    counters.take(batch(Queue(message=message(7, type="heartbeat")), mono=1_500))
    counters.take(batch(Settle(upto=6, head=HEAD), mono=3_000))
    assert counters.receipts.read().sum_s == 4.0
    assert sum(counters.receipts.read().counts) == 2
    counters.take(event(EpochOpened(at=START, mono=3_100, terms=TERMS)))
    counters.take(batch(Settle(upto=7, head=HEAD), mono=9_000))
    assert sum(counters.receipts.read().counts) == 2


def test_the_skew_is_that_of_the_newest_message(counters: LinkCounters) -> None:
    counters.take(batch(Apply(sender="ndmc", message=message(1, START + 4_000, type="heartbeat"))))
    assert counters.skew_s == {"received": 4.0}
    counters.take(batch(Apply(sender="ndmc", message=message(2, START - 250, type="heartbeat"))))
    assert counters.skew_s == {"received": -0.25}


def test_a_duration_on_a_bound_belongs_to_its_bucket() -> None:
    durations = Durations((0.1, 1.0))
    for seconds in (0.0, 0.1, 0.5, 1.0, 7.0):
        durations.observe(seconds)
    assert durations.read().counts == (2, 2, 1)
    assert durations.read().sum_s == pytest.approx(8.6)


def test_a_timed_store_knows_the_size_of_all_segments_after_a_restart_too(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    ticks = iter(range(0, 1_000_000_000, 1_000_000))

    def opened(counters: LinkCounters) -> JournalWriter:
        store = ObservedStore(FolderStore(folder), folder, counters, lambda: next(ticks))
        return JournalWriter.open(store, "eucom-ndmc", "eucom", on_disk=counters.take)

    def size() -> int:
        return sum(len(path.read_bytes().rstrip(b"\0")) for path in folder.glob("*.jsonl"))

    first = LinkCounters(OF)
    journal = opened(first)
    journal.append(batch())
    journal.rotate(Raw(b"{}"), "5", "Link", START, 0, None)
    journal.append(batch())
    assert first.journal_bytes == size()
    assert sum(first.flushes.read().counts) == 3
    assert first.flushes.read().sum_s == pytest.approx(0.003)

    journal.let_go()
    second = LinkCounters(OF)
    journal = opened(second)
    assert second.journal_bytes == size()
    journal.append(batch())
    assert second.journal_bytes == size()
    journal.let_go()
