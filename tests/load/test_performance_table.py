"""The table of docs/performance.md, from the reports of `make load`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from endpoints.errors import UserError
from load.figures import BEGIN, END, NOTHING, ROWS, insert, read_reports, table
from tests.support.station import ROOT

ORIGIN = {
    "command": "deconflict load",
    "load_average": [0.25, 0.5, 0.75],
    "at": "2026-11-26T03:42:24.943Z",
    "commit": "",
    "machine": {"processor": "one", "cores": 2, "memory_mib": 1, "file_system": "ext4"},
    "versions": {"python": "3.11.7"},
}


def cells(lines: list[str], name: str) -> list[str]:
    (line,) = [line for line in lines if line.startswith(f"| {name} |")]
    return line.strip("| ").split(" | ")


def written(folder: Path, run: str, report: dict[str, Any]) -> None:
    (folder / run).mkdir(parents=True)
    (folder / run / "summary.json").write_text(json.dumps(report | {"provenance": ORIGIN}))


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    yardstick = {"median_ms": {"p50": 1.0, "p99": 2.0}, "median_rate_per_s": 9_000, "cpu_us": {}}
    exchanges = {
        "median_ms": {"p50": 2.0, "p99": 9.0},
        "median_rate_per_s": 450.0,
        "ratio": {"skeleton": {"p50": 2.0, "p99": 4.5, "rate": 0.4}},
        "yardsticks": {"floor": yardstick, "paho": yardstick, "aiomqtt": None, "skeleton": yardstick},
    }
    written(tmp_path, "one-at-a-time", exchanges)
    written(tmp_path, "startup", {"figures": {"status_s": 0.149, "messages": 100, "memory_after_messages_mib": 64}})
    (tmp_path / "simulate").mkdir()
    totals = "0.25 0.50 0.75 1/99 4\nmake simulate SEEDS=1-80\n80 seeds, 9 events, 7 frames in 0 s: no promise broken\n"
    (tmp_path / "simulate" / "totals.txt").write_text(totals)
    return tmp_path


def test_every_row_says_which_limit_it_reaches(reports: Path) -> None:
    lines = list(table(read_reports(reports)))

    p50 = cells(lines, "one at a time, p50")
    assert p50[2:4] == ["2 ms = 2x skeleton", "1 ms / 1 ms / - / 1 ms"]
    assert p50[-2:] == ["must", "one-at-a-time"]
    assert cells(lines, "one at a time, p99")[-2] == "no"
    assert cells(lines, "`status`")[-2] == "goal"
    assert cells(lines, "memory of an endpoint after many messages")[2] == "after 100 = 64 MiB"
    assert cells(lines, "simulated events, two processes")[2] == "9/s"
    assert cells(lines, "64 in flight, exchanges")[2] == NOTHING
    assert "| startup | `deconflict load` | 0.25 0.50 0.75 |" in lines
    assert len([line for line in lines if NOTHING in line]) == len(ROWS) - 5


def test_a_rate_stands_beside_what_bounds_it(tmp_path: Path) -> None:
    written(tmp_path, "replay", {"figures": {"command_records_per_s": 90_000, "core_records_per_s": 28_000.4}})
    written(tmp_path, "verify", {"figures": {"signatures_per_s": 9_000, "openssl_on_one_core_per_s": 8_000}})
    lines = list(table(read_reports(tmp_path)))

    assert cells(lines, "replay, records")[2:4] == ["90,000/s", "through the core alone, one core: 28,000/s"]
    assert cells(lines, "log verify, signatures")[2:4] == ["9,000/s", "OpenSSL, one core: 8,000/s"]


@pytest.mark.parametrize("wrong", [{"complete": False}, {"lost": 1}, {"unreceipted": 77}])
def test_a_run_that_failed_is_not_measured(reports: Path, wrong: dict[str, Any]) -> None:
    path = reports / "one-at-a-time" / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | wrong))
    assert cells(list(table(read_reports(reports))), "one at a time, p50")[2] == NOTHING


def test_what_is_no_report_is_said(reports: Path) -> None:
    (reports / "one-at-a-time" / "summary.json").write_text("{}")
    with pytest.raises(UserError, match=r"summary\.json"):
        read_reports(reports)


def test_the_table_is_put_between_the_markers_of_a_document(reports: Path) -> None:
    document = reports / "performance.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        insert(document, ["| new |"])

    assert document.read_text() == f"before\n{BEGIN}\n| new |\n{END}\nafter\n"
    document.write_text("no markers")
    with pytest.raises(UserError, match="expected the lines"):
        insert(document, [])


def test_a_folder_without_reports_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "load.figures", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr == f"{tmp_path}: no report there; make load writes them\n"


def test_the_document_of_the_repository_has_the_markers() -> None:
    text = (ROOT / "docs" / "performance.md").read_text()

    assert text.count(BEGIN) == text.count(END) == 1
