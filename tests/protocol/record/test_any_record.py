"""Readers of a journal take any record that verifies: a forger may have written it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from protocol.core.event import Event
from protocol.core.link import Link
from protocol.errors import JournalError
from protocol.record.audit import Audit
from protocol.record.evidence import Evidence
from protocol.record.fold import FoldError, fold
from protocol.record.journal import ORIGIN, Checkpoint, Entry, Record, decode, encode
from protocol.record.migration import migrated
from protocol.record.trusted_files import TrustedFile
from tests.support.arbitrary import events
from tests.support.world import START, TERMS, End
from tests.vectors.terms import party_keys

TRUSTED = TrustedFile("link.toml", TERMS, party_keys("ed25519"))
STATE = bytes(End.started("eucom").core.checkpoint())
STATES = st.sampled_from([b"{}", b"[]", b"0", b'{"alerts":[]}', STATE]).map(Raw)
FIELDS: dict[type[Event], dict[str, Any]] = {
    Checkpoint: {"state": STATES, "core": st.sampled_from(["Link", "Observer"]), "rules": st.sampled_from(["2", "3"])}
}


@pytest.mark.parametrize("kind", get_args(Entry))
@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_entry_is_written_and_read_and_no_reader_stumbles(kind: type[Event], data: st.DataObject) -> None:
    """SPEC E1.1"""
    times = {"at": st.just(START), "mono": st.integers(0, 9)}
    entry: Any = data.draw(events(kind, **times, **FIELDS.get(kind, {})))
    try:
        line, _ = encode(9, "eucom-ndmc", "eucom", 9, entry, (), ORIGIN)
    except JournalError:
        return
    record = decode(line)
    assert msgspec.json.encode(record.entry) == msgspec.json.encode(entry)
    for files in ([], [TRUSTED]):
        before = [opening(), record] if data.draw(st.booleans()) else [record]
        audit, evidence = Audit(files), Evidence()
        with suppress(JournalError):
            for each in before:
                audit.take(each)
                evidence.take(each)
        with suppress(FoldError):
            fold(before, Link.new("eucom-ndmc", "eucom"))


def opening() -> Record:
    """Return a checkpoint from which the core can continue."""
    entry = Checkpoint(at=START, mono=0, rules=Link.RULES, core="Link", state=Raw(STATE))
    return decode(encode(8, "eucom-ndmc", "eucom", 8, entry, (), ORIGIN)[0])


def test_a_state_of_rules_2_with_alerts_and_no_epoch_is_refused() -> None:
    """Nobody wrote it, and whose alerts they are cannot be known."""
    reply = {"type": "acknowledgement", "officer": "watch-1", "decision": "acting"}
    alert = {"state": "acting", "alert": {}, "reply": reply, "replied_at": "2022-11-29T08:00:00.000Z"}
    state: dict[str, Any] = {
        "epoch": None,
        "alerts": {"ndmc/1/1": alert},
        "watch": {"tests": {}},
        "references": {},
        "side": "eucom",
    }
    with pytest.raises(ValueError, match="not a state of Link, rules 2"):
        migrated(Raw(msgspec.json.encode(state)), "Link", "2")
