"""The forging tool gives an unedited journal back to the byte, so a forgery differs in its edit alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from endpoints.journal.segments import segments
from endpoints.keys.signer import Signer
from protocol.core.core import Core
from tests.attacks.forge import bytes_of, forge, line_of, records, signer_of, write
from tests.golden import cases
from tests.support.recorded import record
from tests.support.small_day import a_day

CASES = [archive for archive in cases.archives() if cases.rules_of(archive) == Core.RULES]


@pytest.mark.parametrize("archive", CASES, ids=lambda path: path.name.removesuffix(cases.SUFFIX))
def test_a_golden_journal_is_given_back(archive: Path, tmp_path: Path) -> None:
    cases.unpack(archive, tmp_path)
    for journal in sorted((tmp_path / "journal").iterdir()):
        keys = tmp_path / "keys" / journal.name
        original = records(journal)
        again = forge(original, Signer.load(keys) if keys.is_dir() else None)
        assert [line_of(each) for each in again] == [line_of(each) for each in original], journal.name


def test_a_fresh_journal_is_given_back_with_its_segments(tmp_path: Path) -> None:
    a_day(tmp_path / "day", segment_bytes=4_000)
    record(tmp_path / "hours", hours=2)
    for journal in [*(tmp_path / "day").iterdir(), *(tmp_path / "hours").iterdir()]:
        again = write(forge(records(journal), signer_of(journal.name)), journal.parent / f"{journal.name}-again")
        assert bytes_of(again) == bytes_of(journal)
        assert [path.name for path in segments(again)] == [path.name for path in segments(journal)]
