"""The two read models agree on `seen`: what an officer reads in the record is what the core compares (SPEC P2.1)."""

from __future__ import annotations

from pathlib import Path

from endpoints.journal.reader import JournalReader
from protocol.core.events import OfficerAcknowledged, OfficerCancelled
from protocol.record.ledger import Ledger, ledger_of
from protocol.wire.messages import Reference
from tests.support.exchange import Exchange
from tests.support.recorded import one_hour, started
from tests.support.world import HOUR, MINUTE

HOURS = 4


def ledger(exchange: Exchange, side: str) -> Ledger:
    return ledger_of(JournalReader(str(exchange.ends[side].folder)).whole_records())


def test_the_record_and_the_core_give_an_item_the_same_digest(tmp_path: Path) -> None:
    """With repeated acknowledgements, changes, refusals, discarded, released and expired drafts, and restarts."""
    exchange = started(tmp_path, 48_000)
    for hour in range(HOURS):
        one_hour(exchange, hour)
        reference = exchange.delivered("eucom", category="airspace_transit")
        of = Reference.parse(reference)
        for _ in range(10 * (hour % 2) + 1):
            exchange.ask("ndmc", OfficerAcknowledged, of=of, decision="will_reply")
        exchange.settle()
        changed = exchange.delivered(
            "eucom", category="airspace_transit", changes=of, change_kind="correction" if hour % 2 else "update"
        )
        if hour % 2:
            exchange.ask("eucom", OfficerCancelled, of=Reference.parse(changed))
        exchange.settle()
    waiting = exchange.alert("eucom", "flash", category="airspace_transit")
    exchange.run(MINUTE)
    exchange.alert("eucom", "flash", category="airspace_transit")
    exchange.run(2 * HOUR - MINUTE // 2)
    for side in exchange.sides:
        snapshot, recorded = exchange.ends[side].core.snapshot(), ledger(exchange, side)
        items = [
            *(entry.item for entry in recorded.entries.values()),
            *(each.item for each in recorded.drafts.values()),
        ]
        compared = 0
        for item in items:
            now = snapshot.item(item.reference)
            if now is not None:
                compared += 1
                assert now == item or now.seen == item.seen, item.reference
        assert compared == len(snapshot.alerts) + len(snapshot.tests) + len(snapshot.drafts)
        ends = {each.item.reference: each.end for each in recorded.drafts.values() if each.end is not None}
        assert ends == snapshot.drafts_ended
    assert [draft.draft for draft in exchange.eucom.core.snapshot().drafts] == ["draft/2"]
    assert exchange.eucom.core.snapshot().drafts_ended[waiting].act == "expired"
    exchange.stop()
