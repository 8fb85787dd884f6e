"""`log restore`: what it takes, what it refuses, and that nothing changes after an error."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from endpoints.config import link_file, settings
from endpoints.journal.restored import RestoredMark, staging
from endpoints.journal.segments import lock, segments
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import JournalWriter
from endpoints.runtime.start_checks import check_restored
from tests.support.installation import installed
from tests.support.small_day import a_day

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of journals of several segments each."""
    folder = tmp_path_factory.mktemp("day")
    a_day(folder, segment_bytes=6_000)
    assert len(segments(folder / "eucom")) > 2
    return folder


def started(config: Path) -> tuple[int, str]:
    """Run an endpoint that must not start; return its exit code and what it says."""
    words = [sys.executable, "-m", "endpoints.cli.main", "run", str(config)]
    run = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    return run.returncode, run.stderr


def content(folder: Path) -> bytes:
    return b"".join(path.read_bytes().rstrip(b"\0") for path in segments(folder))


def everything(folder: Path) -> dict[str, bytes | None]:
    """Return the files and folders below `folder` with their content."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def packed(day: Path, to: Path, *names: str) -> Path:
    with tarfile.open(to, "w:gz") as archive:
        for name in names:
            archive.add(day / name, name)
    return to


def collected(day: Path, to: Path) -> Path:
    to.write_bytes(b'{"event":"started"}\n' + content(day / "eucom").replace(b"\n{", b'\n{"event":"x"}\n{'))
    return to


@pytest.mark.parametrize("kind", ["folder", "archive", "collected", "archived", "archive of archived"])
def test_a_copy_has_the_same_records_and_is_marked(day: Path, tmp_path: Path, run: Run, kind: str) -> None:
    source = day / "eucom"
    if kind == "archive":
        source = packed(day, tmp_path / "eucom.tgz", "eucom")
    elif kind == "collected":
        source = collected(day, tmp_path / "eucom.log")
    elif "archived" in kind:
        source = tmp_path / "archived" / "eucom"
        assert run("log", "archive", day / "eucom", "--to", source)[0] == 0
        assert all(path.suffix == ".gz" for path in segments(source))
        if kind != "archived":
            source = packed(tmp_path / "archived", tmp_path / "eucom.tgz", "eucom")
    journal = tmp_path / "new" / "eucom-ndmc"

    code, out, err = run("log", "restore", source, journal, "--json")

    assert (code, err) == (0, "")
    done = json.loads(out)
    assert content(journal) == content(day / "eucom")
    assert [path.name for path in segments(journal)] == [path.name for path in segments(day / "eucom")]
    assert {path.stat().st_mode & 0o777 for path in journal.iterdir()} == {0o600}
    assert journal.stat().st_mode & 0o777 == 0o700
    mark = RestoredMark(journal).read()
    assert mark is not None
    assert (mark.records, mark.head, mark.epoch) == (done["records"], done["head"], 1)
    assert (done["link"], done["side"], done["replaced"]) == ("eucom-ndmc", "eucom", None)
    assert not staging(journal).exists()
    # the service could go on with it
    JournalWriter.open(FolderStore(journal), "eucom-ndmc", "eucom").let_go()
    code, out, _ = run("log", "verify", journal)
    assert code == 0
    assert f"restored at {mark.restored_at} from {source}: what followed record {mark.records} is missing" in out
    assert "restored at" in run("replay", journal)[1]
    assert json.loads(run("replay", journal, "--json")[1])["restored"]["records"] == mark.records
    for command in ("reconcile", "timeline"):
        assert "restored at" in run(command, journal, day / "ndmc")[1]


def test_a_journal_that_is_there_is_kept(day: Path, tmp_path: Path, run: Run) -> None:
    journal = tmp_path / "eucom-ndmc"
    shutil.copytree(day / "eucom", journal)
    before = everything(tmp_path)

    code, out, err = run("log", "restore", day / "eucom", journal)

    assert (code, out) == (2, "")
    assert err == f"deconflict: {journal}: a journal is there already; --replace moves it aside, and keeps it\n"
    assert everything(tmp_path) == before
    code, out, err = run("log", "restore", day / "eucom", journal, "--replace")
    assert (code, err) == (0, "")
    (aside,) = [path for path in tmp_path.iterdir() if path != journal]
    assert str(aside) in out
    assert content(aside) == content(journal)
    # and once more within the same second
    assert run("log", "restore", day / "eucom", journal, "--replace")[0] == 0
    assert len(list(tmp_path.iterdir())) == 3


def damaged(source: Path) -> tuple[int, str]:
    segment = segments(source)[1]
    segment.write_bytes(segment.read_bytes().replace(b'"officer":"', b'"officer":"x', 1).replace(b"mono", b"moni", 1))
    return 4, "see: deconflict log verify"


def without_a_segment(source: Path) -> tuple[int, str]:
    segments(source)[1].unlink()
    return 4, "missing"


def without_a_beginning(source: Path) -> tuple[int, str]:
    segments(source)[0].unlink()
    return 4, "are missing"


def empty(source: Path) -> tuple[int, str]:
    for segment in segments(source):
        segment.unlink()
    return 2, "no journal in this folder"


def forged(source: Path) -> tuple[int, str]:
    """Take out all records after the first segment, and put those of the other side there."""
    for segment in segments(source)[1:]:
        segment.unlink()
    (source / "0000000000000011.jsonl").write_bytes(b"not a record\n")
    return 4, "not a record"


@pytest.mark.parametrize("wrong", [damaged, without_a_segment, without_a_beginning, empty, forged])
def test_a_copy_that_is_not_whole_is_refused(
    day: Path, tmp_path: Path, run: Run, wrong: Callable[[Path], tuple[int, str]]
) -> None:
    source, journal = tmp_path / "copy", tmp_path / "journal"
    shutil.copytree(day / "eucom", source)
    (source / "lock").unlink()
    expected, why = wrong(source)
    shutil.copytree(day / "eucom", journal)
    before = everything(tmp_path)

    code, out, err = run("log", "restore", source, journal, "--replace")

    assert (code, out) == (expected, "")
    assert err.count("\n") == 1
    assert why in err
    assert everything(tmp_path) == before


def test_a_log_that_begins_late_or_was_cut(day: Path, tmp_path: Path, run: Run) -> None:
    source, journal = tmp_path / "late.log", tmp_path / "a" / "journal"
    lines = content(day / "eucom").splitlines(keepends=True)
    checkpoint = int(segments(day / "eucom")[1].stem)
    source.write_bytes(b"".join(lines[checkpoint - 1 :]))
    code, _, err = run("log", "restore", source, journal)
    assert (code, err) == (
        3,
        f"deconflict: {source}: begins at record {checkpoint}; a journal is restored from record 1 on\n",
    )
    source.write_bytes(b"".join([*lines[:5], *lines[7:]]))
    assert run("log", "restore", source, journal)[0] == 3
    # a crash may cut within a batch: the same start as of the journal itself
    source = tmp_path / "copy"
    shutil.copytree(day / "eucom", source)
    last = segments(source)[-1]
    last.write_bytes(last.read_bytes().rstrip(b"\0")[:-40])
    assert not (tmp_path / "a").exists()
    code, out, _ = run("log", "restore", source, journal)
    assert code == 0
    assert "the copy ended within a batch" in out


def test_an_archive_that_is_cut_or_holds_several_journals(day: Path, tmp_path: Path, run: Run) -> None:
    journal = tmp_path / "journal"
    both = packed(day, tmp_path / "both.tgz", "eucom", "ndmc")
    code, _, err = run("log", "restore", both, journal)
    assert code == 2
    assert "holds several journals; choose one" in err
    assert run("log", "restore", both, journal, "--link", "eucom-ndmc", "--side", "ndmc")[0] == 0
    assert content(journal) == content(day / "ndmc")
    cut = tmp_path / "cut.tgz"
    cut.write_bytes(both.read_bytes()[:3_000])
    code, _, err = run("log", "restore", cut, tmp_path / "other")
    assert code == 2
    assert "can't be unpacked" in err
    assert not (tmp_path / "other").exists()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return installed(tmp_path / "site")


def test_the_settings_say_which_journal_is_wanted(day: Path, site: Path, run: Run) -> None:
    config = site / "eucom" / "endpoint.toml"
    code, _, err = run("log", "restore", day / "ndmc", config)
    assert code == 2
    assert "the journal of ndmc on eucom-ndmc; wanted is that of eucom on eucom-ndmc" in err
    both = packed(day, site / "both.tgz", "ndmc", "watch")
    code, _, err = run("log", "restore", both, config)
    assert code == 2
    assert "holds no record of the journal of eucom on eucom-ndmc" in err
    assert run("log", "restore", day / "eucom", config, "--side", "ndmc")[0] == 2
    code, out, _ = run("log", "restore", both, site / "watch" / "watch.toml")
    assert code == 0
    assert out.endswith("the watch may start: it records its own blindness\n")
    # the epoch of the link file counts as well
    path = site / "link.toml"
    content = link_file.load(path)
    link_file.save(
        link_file.LinkFile(terms=default_terms_of(content, 7), parties=content.parties, watch=content.watch), path
    )
    code, out, _ = run("log", "restore", day / "eucom", config, "--json")
    assert (code, json.loads(out)["epoch"]) == (0, 7)
    assert started(config)[0] == 2
    code, out, _ = run("doctor", config)
    assert code == 1
    assert "first both sides open a new epoch, later than 7" in out
    # the command that all of them name leads out of it
    code, out, err = run("epoch", config, "--yes", "--json")
    assert (code, json.loads(out)["epoch"]) == (0, 8)
    assert "this journal was restored from a copy; what this side said afterwards is not listed here" in err
    assert "nothing of this side stays undelivered" not in err
    assert link_file.load(path).terms.epoch == 8


def test_a_journal_restored_in_an_earlier_epoch_leads_to_an_epoch_that_may_start(
    day: Path, site: Path, run: Run
) -> None:
    """The link file may be ahead of the copy, and a journal that was moved aside ahead of both (SPEC E2.3)."""
    config, path = site / "eucom" / "endpoint.toml", site / "link.toml"
    assert run("log", "restore", day / "eucom", config)[0] == 0
    assert run("epoch", config, "--yes")[0] == 0
    # the wrong copy, it turns out
    code, out, _ = run("log", "restore", day / "eucom", config, "--replace", "--json")
    assert (code, json.loads(out)["epoch"]) == (0, 2)
    present = link_file.load(path)
    link_file.save(present, link_file.next_path(path))
    code, _, err = run("epoch", config, "--yes")
    assert code == 2
    assert "link.next.toml: epoch 2, and the restored journal needs a later one than 2" in err
    link_file.next_path(path).unlink()

    assert run("epoch", config, "--yes")[0] == 0

    assert link_file.load(path).terms.epoch == 3
    found = settings.load(config)
    check_restored(found, found.links[0])
    # once more, after a crash before the process has opened it
    assert run("epoch", config, "--yes")[0] == 0
    assert link_file.load(path).terms.epoch == 3


def default_terms_of(content: link_file.LinkFile, epoch: int) -> Any:
    from msgspec import structs

    return structs.replace(content.terms, epoch=epoch)


def test_a_journal_that_a_service_writes_and_the_journal_itself(day: Path, tmp_path: Path, run: Run) -> None:
    journal = tmp_path / "journal"
    shutil.copytree(day / "eucom", journal)
    code, _, err = run("log", "restore", journal, journal, "--replace")
    assert code == 2
    assert "this is the journal itself" in err
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"from endpoints.journal.segments import *; lock(Path({str(journal)!r})); print(flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    code, _, err = run("log", "restore", day / "eucom", journal, "--replace")
    assert code == 2
    assert f"another service writes this journal (process {holder.pid}: " in err
    holder.communicate(b"\n")
    os.close(lock(journal))


def test_a_restore_that_was_interrupted(day: Path, site: Path, run: Run) -> None:
    journal = site / "eucom" / "journal" / "eucom-ndmc"
    left = staging(journal)
    left.mkdir(parents=True, mode=0o700)
    (left / "0000000000000001.jsonl").write_bytes(b"half")
    code, err = started(site / "eucom" / "endpoint.toml")
    assert code == 2
    assert f"its restore was interrupted, and {left} was left; repeat deconflict log restore" in err
    assert run("log", "restore", day / "eucom", site / "eucom" / "endpoint.toml")[0] == 0
    assert not left.exists()


@pytest.mark.parametrize("mark", [b"", b"{}", b"\xff", b"x" * 20_000, b'{"records":0}'])
def test_a_mark_that_can_not_be_read_prevents_a_start_and_no_reading(
    day: Path, site: Path, run: Run, mark: bytes
) -> None:
    journal = site / "eucom" / "journal" / "eucom-ndmc"
    shutil.copytree(day / "eucom", journal, dirs_exist_ok=True)
    (journal / "restored.json").write_bytes(mark)
    code, err = started(site / "eucom" / "endpoint.toml")
    assert (code, err.count("\n")) == (2, 1)
    assert "restored.json" in err
    assert run("log", "verify", journal)[0] == 0
    assert "restored.json" in json.loads(run("log", "verify", journal, "--json")[1])["restored"]["unreadable"]
