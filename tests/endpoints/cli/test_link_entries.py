"""`link add` and `link remove`: entries of the configuration, and the folder of the journal."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from msgspec import structs

from endpoints.config import link_file, settings
from endpoints.config.link_file import LinkFile
from endpoints.journal.segments import lock
from endpoints.keys.signer import Signer, read_key
from tests.support.comparison import Comparison
from tests.support.exchange import Service
from tests.support.two_sides import TwoSides, fresh_key, run, with_keys
from tests.support.world import World

AIR = "eucom-ndmc-air"
BEGINS = 1_669_708_800_000


@pytest.fixture
def sides(tmp_path: Path) -> TwoSides:
    return TwoSides(tmp_path / "s")


def further(sides: TwoSides, link: str = AIR, status: str = "exercise") -> LinkFile:
    content = sides.content("eucom")
    policy = structs.replace(content.terms.policy, status="actual" if status == "actual" else "exercise")
    return structs.replace(content, terms=structs.replace(content.terms, link=link, policy=policy))


@pytest.mark.parametrize("place", ["eucom", "watch"])
def test_a_further_link_stands_beside_the_first_and_goes_again(
    sides: TwoSides, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config, file = sides.config(place), sides.file(place, "air.toml")
    link_file.save(further(sides), file)
    config.write_text(f"# a comment that stays\n{config.read_text()}")
    before = config.read_bytes()

    assert run("link", "add", config, file, "--yes") == 0

    assert "deconflict broker DIR --configure LINK_FILE..." in capsys.readouterr().err
    found = settings.load(config)
    assert [each.id for each in found.links] == ["eucom-ndmc", AIR]
    added = found.link(AIR)
    assert added.file.samefile(file)
    assert added.journal == config.parent / "journal" / AIR
    assert stat.S_IMODE(added.journal.stat().st_mode) == 0o700
    assert added.words.test_text == found.links[0].words.test_text
    assert b"# a comment that stays" in config.read_bytes()

    assert run("link", "remove", config, AIR, "--yes") == 0

    assert config.read_bytes() == before
    assert file.exists()
    assert added.journal.is_dir()


def test_an_actual_link_is_added_once_it_is_confirmed(sides: TwoSides, capsys: pytest.CaptureFixture[str]) -> None:
    config, file, content = sides.config("eucom"), sides.file("eucom", "air.toml"), further(sides, status="actual")
    link_file.save(content, file)

    assert run("link", "add", config, file, "--yes") == 2
    assert f"deconflict link confirm {config} --file {file} --officer ID" in capsys.readouterr().err
    assert [each.id for each in settings.load(config).links] == ["eucom-ndmc"]

    code, _, said = Comparison(config, "--file", str(file)).hear(content)
    assert code == 0
    assert f"when both sides have confirmed it: deconflict link add {config} {file}" in said
    assert run("link", "add", config, file, "--yes") == 0
    assert "!!! its status differs from that of eucom-ndmc !!!" in capsys.readouterr().err


def test_what_cannot_be_added_is_refused_in_one_line_and_nothing_changes(
    sides: TwoSides, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, file = sides.config("eucom"), sides.file("eucom", "air.toml")
    content = further(sides)
    strange = structs.replace(
        content,
        terms=structs.replace(content.terms, caller="centcom"),
        parties={"centcom": content.parties["eucom"], "ndmc": content.parties["ndmc"]},
    )
    used = tmp_path / "used"
    used.mkdir()
    (used / "0000000000000001.jsonl").touch()
    next_file = sides.file("eucom", "link.next.toml")
    for wrong, path, more, complaint in (
        (sides.content("eucom"), file, (), "link eucom-ndmc is there already"),
        (strange, file, (), "eucom is not a party of link eucom-ndmc-air"),
        (with_keys(content, eucom=(fresh_key(tmp_path / "k", "other"),)), file, (), "it enrols none of the keys in"),
        (content, file, ("--journal", used), "holds another journal already"),
        (content, next_file, (), "has the name of a file for the next epoch of another link"),
    ):
        link_file.save(wrong, path)
        before = config.read_bytes()
        assert run("link", "add", config, path, *more, "--yes") == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert complaint in err
        assert config.read_bytes() == before
        assert not (config.parent / "journal" / AIR).exists()


def test_a_link_that_comes_back_goes_on_with_its_journal(
    sides: TwoSides, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a new journal under the same epoch, its numbers would begin anew, and the other side would take none."""
    config, file, content = sides.config("eucom"), sides.file("eucom", "air.toml"), further(sides)
    link_file.save(content, file)
    assert run("link", "add", config, file, "--yes") == 0
    journal = settings.load(config).link(AIR).journal
    key_id = content.keys["eucom"][0].id
    signer = Signer({key_id: read_key(config.parent / "keys" / f"{key_id}.pem")})
    service = Service("eucom", World(BEGINS), content, journal, signer=signer)
    service.open()
    service.start()
    service.turn()
    service.stop()
    assert run("link", "remove", config, AIR, "--yes") == 0
    capsys.readouterr()

    assert run("link", "add", config, file, "--journal", tmp_path / "new", "--yes", "--lang", "en") == 2
    assert f"{journal}: link {AIR} was here before, and goes on with this journal" in capsys.readouterr().err
    assert run("link", "add", config, file, "--yes") == 0

    assert settings.load(config).link(AIR).journal == journal


def test_the_only_link_stays(sides: TwoSides, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("link", "remove", sides.config("eucom"), "eucom-ndmc", "--yes") == 2
    assert "is its only link" in capsys.readouterr().err
    assert run("link", "remove", sides.config("eucom"), "no-such", "--yes") == 2


def test_a_process_that_does_not_answer_leaves_the_link_and_its_journals_folder(
    sides: TwoSides, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may have read the files: they name the folder."""
    config, file = sides.config("eucom"), sides.file("eucom", "air.toml")
    link_file.save(further(sides), file)
    running = lock(config.parent / "journal" / "eucom-ndmc")
    assert run("link", "add", config, file, "--yes", "--lang", "en") == 12
    os.close(running)
    assert "whether the running process has taken it over is not known" in capsys.readouterr().err
    assert [each.id for each in settings.load(config).links] == ["eucom-ndmc", AIR]
    assert (config.parent / "journal" / AIR).is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of another user")
def test_what_root_adds_belongs_to_the_user_of_the_process(sides: TwoSides) -> None:
    config, file = sides.config("eucom"), sides.file("eucom", "air.toml")
    link_file.save(further(sides, status="actual"), file)
    for path in (config.parent, *config.parent.rglob("*")):
        os.chown(path, 65_534, 65_534)
    content = link_file.load(file)
    assert Comparison(config, "--file", str(file)).hear(content)[0] == 0
    assert run("link", "add", config, file, "--yes") == 0
    assert {path.stat().st_uid for path in (config.parent, *config.parent.rglob("*"))} == {65_534}
