"""The readings of a running link: each of them follows what the process does and takes."""

from __future__ import annotations

from pathlib import Path

from endpoints.runtime.endpoint_link import Token
from endpoints.runtime.work_items import EventItem
from protocol.core.events import TransportLost
from tests.support.hand_turned import LINK, Machine
from tests.vectors.terms import receipt_frame


async def test_the_gauges_of_a_link_from_its_start_to_its_failure(tmp_path: Path) -> None:
    eucom = Machine(tmp_path, "eucom")
    started = eucom.runner.gauges()
    assert (started.link, started.side, started.failure, started.heard_s) == (LINK, "eucom", None, {})
    assert started.flushed_at == eucom.clock.at
    assert started.free_bytes is not None
    assert started.free_bytes > 0

    eucom.asks()
    eucom.turn()
    assert eucom.runner.gauges().flushed_at == eucom.clock.at
    assert eucom.runner.gauges().broker_has == frozenset()
    eucom.runner.accepted(Token(LINK, "message", 1, 1))
    assert eucom.runner.gauges().broker_has == {1}
    eucom.arrives(receipt_frame("ndmc", 1, eucom.ours.head))
    eucom.turn()
    assert eucom.runner.gauges().broker_has == frozenset()

    eucom.runner.presence["ndmc"].hear(12.5)
    assert eucom.runner.gauges().heard_s == {"ndmc": 12.5}
    lost = EventItem([eucom.runner], lambda now: TransportLost(at=now.at, mono=now.mono, reason="timed out"))
    eucom.loop.queue.put(lost)
    eucom.turn()
    assert eucom.core.snapshot().connection_trouble == "timed out"
    assert eucom.runner.gauges().heard_s == {}

    flushed_at = eucom.runner.gauges().flushed_at
    eucom.breaks()
    eucom.asks("request-2")
    eucom.turn()
    failed = eucom.runner.gauges()
    assert failed.failure is not None
    assert failed.failure.code == "journal_failure"
    assert failed.flushed_at == flushed_at
    eucom.dies()
