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
from protocol.core.events import OfficerCancelled
from protocol.record.journal import Record
from protocol.wire.messages import Reference
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
    begin = (
        "29 Nov 2022, 09:00:00 Europe/Berlin  eucom/1/1  acknowledged, duty-1  "
        "line test (29 Nov 2022, 09:00:00 Europe/Berlin): Проверка линии."
    )
    assert lines[0].startswith(begin)
    code, out, _ = run(capsys, "messages", config, "--json")
    document = json.loads(out)
    assert (document["link"], document["side"]) == ("eucom-ndmc", "eucom")
    first = document["messages"][0]
    assert (first["reference"], first["kind"], first["state"]) == ("eucom/1/1", "heartbeat", "acknowledged")
    assert first["body"]["challenge"]


def test_what_cancelled_or_changed_an_alert_is_shown_on_both_sides(
    try_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SPEC B3.3"""
    exchange = begun(tmp_path / "exchange")
    first, second = (exchange.delivered("eucom") for _ in range(2))
    exchange.acknowledge(first)
    exchange.settle()
    exchange.delivered("eucom", changes=Reference.parse(first), change_kind="correction")
    exchange.ask("eucom", OfficerCancelled, of=Reference.parse(second))
    exchange.settle()
    exchange.stop()
    for side in ("eucom", "ndmc"):
        config = try_folder / side / "endpoint.toml"
        shutil.copytree(tmp_path / "exchange" / side, try_folder / side / "journal" / "eucom-ndmc", dirs_exist_ok=True)
        for lang, changed, cancelled in (
            ("en", "changed by eucom/1/3", "cancelled by eucom/1/4"),
            ("ru", "изменено сообщением eucom/1/3", "отменено сообщением eucom/1/4"),
        ):
            lines = run(capsys, "messages", config, "--lang", lang)[1].splitlines()
            found = {line.split("  ")[1]: line for line in lines}
            assert found[first].split("  ")[2] == changed
            assert found[second].split("  ")[2] == cancelled
            assert "EXPIRED" not in found[second]
        rows = {row["reference"]: row for row in json.loads(run(capsys, "messages", config, "--json")[1])["messages"]}
        assert (rows[first]["state"], rows[first]["change"], rows[first]["changed_by"], rows[first]["stale"]) == (
            *("changed", "correction", "eucom/1/3"),
            None,
        )
        assert (rows[second]["state"], rows[second]["changed_by"]) == ("cancelled", "eucom/1/4")
        assert rows["eucom/1/4"]["changed_by"] is None
    journals = [tmp_path / "exchange" / side for side in ("eucom", "ndmc")]
    code, out, _ = run(capsys, "reconcile", *journals, "--lang", "en")
    assert code == 0
    assert "alert: changed by eucom/1/3" in out
    assert "alert: cancelled by eucom/1/4" in out
    paths = json.loads(run(capsys, "reconcile", *journals, "--json")[1])["messages"]
    assert [path["changed_by"] for path in paths if path["change"]] == ["eucom/1/3", "eucom/1/4"]


def test_no_text_of_the_peer_begins_another_row(
    try_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SPEC M8.4"""
    exchange = begun(tmp_path / "exchange")
    foul = "Smoke.\n29 Nov 2022, 08:59:00  ndmc/1/9  alert, FLASH: all is well\u2028\u202e"
    exchange.delivered("ndmc", text={"en": foul, "ru": foul})
    exchange.stop()
    config = try_folder / "eucom" / "endpoint.toml"
    shutil.copytree(tmp_path / "exchange" / "eucom", config.parent / "journal" / "eucom-ndmc", dirs_exist_ok=True)
    lines = run(capsys, "messages", config, "--lang", "en")[1].splitlines()
    assert len(lines) == 1
    assert r"Smoke.\n29 Nov" in lines[0]
    for words in (("log", "show"), ("replay", "--speed", "max")):
        shown = run(capsys, *words, tmp_path / "exchange" / "eucom", "--lang", "en")[1]
        assert not [line for line in shown.splitlines() if line.startswith("29 Nov")]


def test_messages_are_selected_by_when_they_were_recorded_and_by_number(
    try_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exchange = begun(tmp_path / "exchange")
    first, second = (exchange.delivered("eucom") for _ in range(2))
    exchange.stop()
    journal = try_folder / "eucom" / "journal" / "eucom-ndmc"
    journal.rmdir()
    journal.symlink_to(tmp_path / "exchange" / "eucom")
    config = str(try_folder / "eucom" / "endpoint.toml")
    rows = json.loads(run(capsys, "messages", config, "--json")[1])["messages"]

    def selected(*options: str) -> list[str]:
        code, out, err = run(capsys, "messages", config, "--json", *options)
        assert (code, err) == (0, "")
        return [row["reference"] for row in json.loads(out)["messages"]]

    assert selected("--limit", "1") == [second]
    assert selected("--limit", "9") == [first, second]
    assert selected("--since", rows[0]["at"]) == [first, second]
    assert selected("--since", "now") == selected("--since", "-1m") == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--limit", "0"), "--limit: expected a number from 1, found 0"),
        (("--open", "--follow"), "--open lists all that waits now"),
        (("--since", "yesterday"), "--since: 'yesterday' is not accepted"),
    ],
)
def test_a_selection_that_makes_no_sense_is_refused(
    try_folder: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], told: str
) -> None:
    code, out, err = run(capsys, "messages", str(try_folder / "eucom" / "endpoint.toml"), *options)

    assert (code, out) == (2, "")
    assert err.startswith(f"deconflict: {told}")


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
