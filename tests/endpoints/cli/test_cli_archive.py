"""`log archive`: what it prints, what it refuses, and what other commands make of its archives."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from endpoints.journal.segments import segments
from tests.support.small_day import a_day

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of both sides' journals, of several segments each."""
    folder = tmp_path_factory.mktemp("day")
    a_day(folder, segment_bytes=6_000)
    return folder


@pytest.fixture
def day(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "day"))


READ = [
    ("log", "verify", "{0}", "--json"),
    ("log", "show", "{0}", "--json"),
    ("log", "show", "{0}"),
    ("replay", "{0}", "--json"),
    ("reconcile", "{0}", "{1}", "--json"),
    ("timeline", "{0}", "{1}", "--json"),
]


@pytest.mark.parametrize("command", READ, ids=lambda words: " ".join(words[:2]))
def test_every_command_reads_an_archived_journal_as_before(day: Path, run: Run, command: tuple[str, ...]) -> None:
    def words() -> list[str]:
        return [word.format(day / "eucom", day / "ndmc") for word in command]

    before = run(*words())
    for side in ("eucom", "ndmc"):
        code, out, err = run("log", "archive", day / side)
        assert (code, err) == (0, "")
        assert f"{day / side}: {len(segments(day / side)) - 1} segments archived, " in out

    assert run(*words()) == before
    assert before[0] in {0, 6}


def test_it_says_what_it_has_done(day: Path, run: Run, tmp_path: Path) -> None:
    count = len(segments(day / "eucom"))
    code, out, err = run("log", "archive", day / "eucom", "--to", tmp_path / "kept")
    assert (code, err) == (0, "")
    head = json.loads(run("log", "verify", day / "eucom", "--json")[1])
    assert out.splitlines()[1:] == [
        f"  {tmp_path / 'kept'}: has the journal up to record {head['records']}",
        f"  head: {head['head']}",
    ]
    done = json.loads(run("log", "archive", day / "eucom", "--to", tmp_path / "kept", "--json")[1])
    assert done == {
        "journal": str(day / "eucom"),
        "link": "eucom-ndmc",
        "side": "eucom",
        "to": str(tmp_path / "kept"),
        "records": head["records"],
        "head": head["head"],
        "archived": [],
        "unchanged": count,
        "removed": [],
        "bytes": 0,
        "archive_bytes": 0,
    }
    out = run("log", "archive", day / "eucom", "--to", tmp_path / "kept", "--remove-older-than", "0s")[1]
    assert f"{count - 1} segments removed from {day / 'eucom'}, which the archive has" in out
    out = run("log", "archive", day / "eucom", "--lang", "ru")[1]
    assert "архивировать нечего" in out
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "kept").iterdir()} == {0o600}
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700


def test_a_journal_says_where_its_oldest_records_are(day: Path, run: Run, tmp_path: Path) -> None:
    run("log", "archive", day / "eucom", "--to", tmp_path / "kept", "--remove-older-than", "0s")
    begins = int(segments(day / "eucom")[0].name[:16])

    code, out, _ = run("log", "verify", day / "eucom")
    assert code == 0
    assert f"INTACT FROM RECORD {begins} ON" in out
    assert f"records 1 to {begins - 1} were archived at " in out
    assert f" in {tmp_path / 'kept'}\n" in out
    found = json.loads(run("log", "verify", day / "eucom", "--json")[1])
    assert found["archived"]["records"] == begins - 1
    assert run("log", "verify", tmp_path / "kept")[0] == 0
    # and restoring it names the archive as the source
    code, _, err = run("log", "restore", day / "eucom", tmp_path / "new" / "eucom-ndmc")
    assert code == 3
    assert f"begins at record {begins}" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("damage", ["flipped", "cut", "later", "bomb"])
def test_a_bad_archive_is_one_line_and_an_exit_code(day: Path, run: Run, damage: str) -> None:
    run("log", "archive", day / "eucom")
    path = segments(day / "eucom")[0]
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 1
    elif damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "later":
        data[16] = 9
    else:
        import gzip

        data = bytearray(gzip.compress(bytes(1 << 24)))
    path.write_bytes(data)
    wanted = {"flipped": 4, "cut": 3, "later": 2, "bomb": 4}[damage]

    code, out, err = run("log", "verify", day / "eucom")
    assert code == wanted
    assert (out + err).count(str(path)) == 1
    for command in (("replay", day / "eucom"), ("reconcile", day / "eucom", day / "ndmc")):
        code, out, err = run(*command)
        assert code == wanted
        assert err.count("\n") == 1
        assert str(path) in err
    code, out, err = run("log", "restore", day / "eucom", day / "new" / "eucom-ndmc")
    assert (code, out) == (wanted, "")
    assert err.count("\n") == 1
    assert not (day / "new").exists()


def test_what_it_refuses_is_said_in_one_line(day: Path, run: Run, tmp_path: Path) -> None:
    for words, said in (
        ([tmp_path / "none"], "no journal: a folder with files like 0000000000000001.jsonl was expected"),
        ([tmp_path], "no journal: a folder"),
        ([day / "eucom", "--remove-older-than", "400d"], "--remove-older-than: give --to as well"),
        ([day / "eucom", "--to", tmp_path / "a", "--remove-older-than", "soon"], "not a duration such as"),
        ([day / "eucom", "--to", day / "eucom"], "this is the journal itself"),
        ([day / "eucom", "--to", segments(day / "eucom")[0]], "Not a directory"),
    ):
        code, out, err = run("log", "archive", *words)
        assert (code, out) == (2, ""), words
        assert err.count("\n") == 1
        assert said in err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_archives_belongs_to_the_user_of_the_installation(day: Path, run: Run) -> None:
    for path in (day / "eucom", *(day / "eucom").iterdir()):
        os.chown(path, 12_345, 12_345)

    assert run("log", "archive", day / "eucom")[0] == 0
    assert {path.stat().st_uid for path in (day / "eucom").iterdir()} == {12_345}
