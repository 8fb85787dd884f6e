from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from endpoints.config import default_terms
from endpoints.journal.restored import Restored, RestoredMark, interrupted, staging
from protocol.core.start_events import JournalRestored
from protocol.wire.policy import Terms

MARK = Restored(restored_at="2022-11-29T08:00:00.000Z", source="backup", records=3, head="ab" * 32, epoch=2)


def terms(epoch: int) -> Terms:
    return structs.replace(default_terms.terms(), epoch=epoch)


def test_the_restoration_is_recorded_once(tmp_path: Path) -> None:
    """SPEC E2.3"""
    mark = RestoredMark(tmp_path)
    assert mark.read() is None
    assert mark.event(terms(1), 5, 6) is None
    mark.write(MARK)
    assert mark.read() == MARK
    with pytest.raises(FileExistsError):
        mark.write(MARK)

    expected = JournalRestored(at=5, mono=6, restored_at=MARK.restored_at, records=3, head=MARK.head)
    assert mark.event(terms(1), 5, 6) == mark.event(terms(2), 5, 6) == expected
    # a crash after the record and before the mark was removed: the later epoch has begun with the record
    assert mark.event(terms(3), 5, 6) is None

    mark.settle()
    assert not (tmp_path / "restored.json").exists()
    # another one appears while the service runs: it is for the next start
    RestoredMark(tmp_path).write(MARK)
    mark.settle()
    assert RestoredMark(tmp_path).read() == MARK


def test_without_a_folder_there_is_no_mark() -> None:
    assert RestoredMark().event(terms(1), 5, 6) is None
    RestoredMark().settle()


def test_a_restore_is_interrupted_until_the_copy_is_in_its_place(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    assert not interrupted(journal)
    staging(journal).mkdir()
    assert interrupted(journal)
    journal.mkdir()
    assert interrupted(journal)
    # a later journal needs nothing of what was left
    (journal / "0000000000000001.jsonl").write_bytes(b"")
    assert not interrupted(journal)
