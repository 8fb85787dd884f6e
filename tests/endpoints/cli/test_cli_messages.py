from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from endpoints.cli.main import main
from endpoints.journal.follower import follow
from endpoints.journal.segments import segments
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import DamagedJournal, JournalWriter
from protocol.record.journal import Record
from tests.support.journal_samples import LINK, NOON, SIDE, batch, raw_state
from tests.support.small_day import a_day, begun


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as raised:
        main([str(word) for word in words])
    said = capsys.readouterr()
    assert isinstance(raised.value.code, int)
    return raised.value.code, said.out, said.err


@pytest.fixture
def try_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    folder = tmp_path / "try"
    assert run(capsys, "init", folder)[0] == 0
    return folder


def test_messages_are_read_from_the_journal(
    try_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = try_folder / "eucom" / "endpoint.toml"
    code, out, err = run(capsys, "messages", config)
    assert (code, out) == (2, "")
    assert "no journal in this folder" in err
    a_day(tmp_path / "day")
    shutil.copytree(tmp_path / "day" / "eucom", try_folder / "eucom" / "journal" / "eucom-ndmc", dirs_exist_ok=True)

    code, out, _ = run(capsys, "messages", config, "--lang", "en")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 5
    # on the wall clock of the side's own site
    assert lines[0].startswith("29 Nov 2022, 09:00:00  eucom/1/1  line test (29 Nov 2022, 09:00:00): Проверка линии.")
    assert lines[0].endswith("acknowledged, duty-1")
    code, out, _ = run(capsys, "messages", config, "--json")
    document = json.loads(out)
    assert (document["link"], document["side"]) == ("eucom-ndmc", "eucom")
    first = document["messages"][0]
    assert (first["reference"], first["kind"], first["state"]) == ("eucom/1/1", "heartbeat", "acknowledged")
    assert first["body"]["challenge"]


def test_messages_are_followed(try_folder: Path, tmp_path: Path) -> None:
    journal = try_folder / "eucom" / "journal" / "eucom-ndmc"
    journal.rmdir()
    journal.symlink_to(tmp_path / "exchange" / "eucom")
    exchange = begun(tmp_path / "exchange")
    exchange.delivered("eucom")
    script = "from endpoints.cli.main import main; main()"
    words = ["messages", str(try_folder / "eucom" / "endpoint.toml"), "--follow", "--json"]
    process = subprocess.Popen([sys.executable, "-c", script, *words], stdout=subprocess.PIPE)
    assert process.stdout is not None
    rows = map(json.loads, process.stdout)
    try:
        first = next(rows)
        assert (first["reference"], first["state"]) == ("eucom/1/1", "receipted")
        received = exchange.delivered("ndmc")
        row = next(rows)
        assert (row["reference"], row["state"]) == (received, "received")
        exchange.acknowledge(received)
        exchange.settle()
        row = next(row for row in rows if row["state"] == "acknowledged")
        assert (row["reference"], row["acknowledged_by"]) == (received, "watch-1")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        exchange.stop()


def until_quiet(records: Iterator[Record | None]) -> list[int]:
    """Return the numbers of the records up to where the follower would wait."""
    numbers = []
    for record in records:
        if record is None:
            break
        numbers.append(record.n)
    return numbers


def test_a_journal_is_followed_over_segments_batch_by_batch(tmp_path: Path) -> None:
    journal = JournalWriter.open(FolderStore(tmp_path), LINK, SIDE)
    records = follow(tmp_path)
    assert until_quiet(records) == []
    journal.append(batch(0))
    assert until_quiet(records) == [1, 2, 3]
    journal.append(batch(1))
    journal.rotate(raw_state(), "1", "Link", NOON, 1, None)
    journal.append(batch(2))
    assert until_quiet(records) == [4, 5, 6, 7, 8]
    (_, path) = segments(tmp_path)
    end = journal.flushed[1]
    with path.open("r+b") as file:
        file.seek(end)
        file.write(b'{"n":9,"half":"')
    assert until_quiet(records) == []
    with path.open("r+b") as file:
        file.seek(end)
        file.write(b"rubbish\n")
    with pytest.raises(DamagedJournal, match="record 9: it is cut"):
        until_quiet(records)
    journal.let_go()
