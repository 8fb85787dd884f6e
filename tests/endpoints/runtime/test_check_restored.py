"""Which links start on a restored journal."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from endpoints.config import link_file, settings
from endpoints.journal.restored import Restored, RestoredMark
from endpoints.journal.writer import UnusableJournal
from endpoints.runtime.start_checks import check_restored
from tests.support.installation import installed


def test_an_endpoint_waits_for_a_later_epoch_and_the_watch_does_not(tmp_path: Path) -> None:
    """SPEC E2.3"""
    site = installed(tmp_path / "s")
    names = {"eucom": "endpoint.toml", "watch": "watch.toml"}

    def check(side: str) -> None:
        loaded = settings.load(site / side / names[side], {})
        check_restored(loaded, loaded.links[0])

    for side in names:
        check(side)
        journal = settings.load(site / side / names[side], {}).links[0].journal
        journal.mkdir(mode=0o700, exist_ok=True)
        source = "b\nackup\u202e"
        RestoredMark(journal).write(
            Restored(restored_at="2022-11-29T08:00:00.000Z", source=source, records=3, head="ab" * 32, epoch=2)
        )
    check("watch")
    for epoch in (1, 2):
        content = link_file.load(site / "link.toml")
        link_file.save(structs.replace(content, terms=structs.replace(content.terms, epoch=epoch)), site / "link.toml")
        with pytest.raises(UnusableJournal, match="first both sides open a new epoch, later than 2") as raised:
            check("eucom")
        assert raised.value.exit_code == 2
        assert raised.value.heals
        assert r"restored from b\nackup\u202e at" in str(raised.value)
    content = link_file.load(site / "link.toml")
    link_file.save(structs.replace(content, terms=structs.replace(content.terms, epoch=3)), site / "link.toml")
    check("eucom")
