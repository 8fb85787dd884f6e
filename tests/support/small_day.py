"""Writes the journals of a small day: a line test, two alerts, and a clean stop."""

from __future__ import annotations

from pathlib import Path

from endpoints.config.link_file import LinkFile
from endpoints.keys.signer import Signer
from protocol.wire.instants import parsed
from tests.support.exchange import SEGMENT_BYTES, TEXT, WATCH, Exchange
from tests.support.world import MINUTE, SECOND

SLOT = "2022-11-29T08:00:00.000Z"
"""The slot of the day's line test."""


def begun(
    folder: Path,
    *,
    segment_bytes: int = SEGMENT_BYTES,
    file: LinkFile | None = None,
    theirs: LinkFile | None = None,
    watch: Signer | None = None,
) -> Exchange:
    """Return an exchange that has just started, on empty journals, a minute before a slot; `watch` signs its heads."""
    exchange = Exchange(
        folder,
        file,
        theirs=theirs,
        signers={WATCH: watch} if watch else None,
        at=parsed(SLOT) - MINUTE,
        latency=20,
        segment_bytes=segment_bytes,
    )
    for end in exchange.ends.values():
        # notifications stay undelivered
        end.notifies = False
    exchange.open()
    exchange.start()
    return exchange


def a_day(
    folder: Path,
    *,
    segment_bytes: int = SEGMENT_BYTES,
    file: LinkFile | None = None,
    watch: Signer | None = None,
) -> Exchange:
    """Write the journals of a line test, an alert acknowledged, one in the other direction, and a clean stop."""
    exchange = begun(folder, segment_bytes=segment_bytes, file=file, watch=watch)
    # a timer is never exact
    exchange.world.at = parsed(SLOT) + 5
    exchange.eucom.wake()
    exchange.settle()
    exchange.world.at += MINUTE
    exchange.answer_tests()
    exchange.settle()
    exchange.world.at += SECOND
    reference = exchange.delivered("eucom")
    exchange.world.at += MINUTE
    exchange.acknowledge(reference)
    exchange.settle()
    exchange.delivered("ndmc", text=TEXT | {"ru": "Ракета над морем"})
    exchange.world.at += SECOND
    exchange.stop()
    return exchange
