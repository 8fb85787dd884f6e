"""A journal of an earlier layout moves into its own volume once, and none is removed for another."""

import shutil
from pathlib import Path
from types import ModuleType

import pytest

SEGMENT = f"{1:016d}.jsonl"


@pytest.fixture
def provision(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the script, with its volumes in a folder of the test: an earlier journal, and the volume for it."""
    monkeypatch.setattr(script, "EARLIER", tmp_path / "earlier")
    Path("eucom/journal").mkdir(parents=True)
    Path("earlier/eucom/journal/eucom-ndmc").mkdir(parents=True)
    Path("earlier/eucom/journal/eucom-ndmc", SEGMENT).write_text("first\n")
    return script


def test_it_moves_once(provision: ModuleType) -> None:
    provision.move_journals("eucom")
    provision.move_journals("eucom")
    assert Path("eucom/journal/eucom-ndmc", SEGMENT).read_text() == "first\n"
    assert not Path("earlier/eucom/journal/eucom-ndmc").exists()


def test_what_was_copied_and_not_yet_removed_is_removed(provision: ModuleType) -> None:
    shutil.copytree("earlier/eucom/journal/eucom-ndmc", "eucom/journal/eucom-ndmc")
    provision.move_journals("eucom")
    assert Path("eucom/journal/eucom-ndmc", SEGMENT).read_text() == "first\n"
    assert not Path("earlier/eucom/journal/eucom-ndmc").exists()


@pytest.mark.parametrize("name", [SEGMENT, f"{9:016d}.jsonl"])
def test_a_journal_that_an_earlier_version_began_since_stays(
    provision: ModuleType, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    shutil.copytree("earlier/eucom/journal/eucom-ndmc", "eucom/journal/eucom-ndmc")
    Path("earlier/eucom/journal/eucom-ndmc", name).write_text("another\n")
    with pytest.raises(SystemExit) as ended:
        provision.move_journals("eucom")
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "there are two journals eucom-ndmc" in said
    assert Path("earlier/eucom/journal/eucom-ndmc", name).read_text() == "another\n"
