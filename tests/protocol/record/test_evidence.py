"""Evidence of journals that no link has written: only the audit may judge them, and nothing may end in a traceback."""

from __future__ import annotations

import pytest
from msgspec import structs

from protocol.core.core import Core
from protocol.core.events import BatchClosed, FrameReceived, TransportConnected
from protocol.core.observer import Observer
from protocol.core.start_events import EpochOpened
from protocol.errors import JournalError
from protocol.record.beginning import Beginning
from protocol.record.evidence import Evidence
from protocol.record.journal import ORIGIN, Checkpoint, Entry, Record, decode, encode
from protocol.record.ledger import Ledger
from protocol.wire.messages import Reference
from tests.support.journal_samples import LINK, NOON, SIDE, raw_state
from tests.support.world import TERMS


def record(entry: Entry, n: int = 1) -> Record:
    line, _ = encode(n, LINK, SIDE, n, entry, (), ORIGIN)
    return decode(line)


def test_frames_that_are_none_are_left_to_the_audit() -> None:
    evidence = Evidence()
    evidence.take(record(EpochOpened(at=NOON, mono=1, terms=TERMS)))
    frame = FrameReceived(at=NOON, mono=1, channel="message", sender="ndmc", frame=b"{}", verdict="verified")
    evidence.take(record(frame, 2))
    evidence.take(record(BatchClosed(at=NOON, mono=1, frames=(b"{}",)), 3))
    assert (evidence.held, evidence.sealed) == ([], {})


def test_terms_that_have_no_digest_are_named_with_their_record() -> None:
    policy = structs.replace(TERMS.policy, answer_text="\x00")
    opened = EpochOpened(at=NOON, mono=1, terms=structs.replace(TERMS, policy=policy))
    for reader in (Evidence(), Ledger()):  # an audit, and a command that reads a journal alone
        with pytest.raises(JournalError, match="record 1: no link writes such terms or effects: not admitted"):
            reader.take(record(opened))


def test_a_clock_that_goes_back_is_explained_within_its_batch_or_named() -> None:
    evidence = Evidence()
    for n, at in enumerate((NOON, NOON - 5_000, NOON - 5_000, NOON - 5_500), 1):
        entry = TransportConnected(at=at, mono=n) if n % 2 else BatchClosed(at=at, mono=n)
        evidence.take(record(entry, n))
    assert [(one.record, other.record) for one, other in evidence.falls] == [(1, 2)]
    assert evidence.stepped_back(0, 4) == 0


@pytest.mark.parametrize("core", ["Observer", "Link", "Oracle"])
def test_a_state_without_an_epoch_covers_no_message(core: str) -> None:
    state = Observer.new(LINK, "watch").checkpoint() if core == "Observer" else raw_state(link=LINK, side=SIDE)
    entry = Checkpoint(at=NOON, mono=1, rules=Core.RULES, core=core, state=state)
    beginning = Beginning.of(record(entry, 9), entry)
    assert (beginning.record, beginning.epoch, beginning.streams) == (9, 0, {})
    assert not beginning.covers(Reference("eucom", 1, 1))
