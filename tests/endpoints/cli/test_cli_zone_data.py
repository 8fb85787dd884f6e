"""`reconcile` reports journals whose slots were planned with different time zone data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from endpoints.cli import main as cli
from protocol.core.events import SlotsPlanned, Started
from protocol.record.journal import Entry, Record
from tests.attacks.scene import Scene


def other_data(record: Record, core: Any) -> Iterator[Entry]:
    del core
    entry = record.entry
    if isinstance(entry, Started | SlotsPlanned):
        yield structs.replace(entry, tzdata="2020a\neucom/1/1 forged")
    else:
        yield entry


def test_the_versions_are_named_in_both_languages_and_in_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = Scene.of_a_day(tmp_path)
    own = scene.folder / "journal" / "eucom"
    forged = scene.folder / scene.forged("ndmc", other_data)

    run = scene.reconcile("journal/eucom", "forged/ndmc")
    assert run.document["agree"]
    (difference,) = run.document["zone_data"]
    assert difference["until"] is None
    assert difference["versions"]["ndmc"].startswith("2020a")

    for language, words in (
        ("en", "with different time zone data: eucom 20"),
        ("ru", "по разным данным о часовых поясах"),
    ):
        with pytest.raises(SystemExit) as exited:
            cli.main(["reconcile", str(own), str(forged), "--lang", language])
        assert exited.value.code == 0
        (line,) = [each for each in capsys.readouterr().out.splitlines() if words in each]
        # what a journal says does not begin another row
        assert "ndmc 2020a\\neucom/1/1 forged" in line
