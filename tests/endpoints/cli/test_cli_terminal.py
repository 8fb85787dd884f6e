"""Commands on a terminal of 80 columns: what is folded, and what must not be."""

from __future__ import annotations

import io
import itertools
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from endpoints.cli.alarms import print_alarms
from endpoints.cli.rendering import Harmless
from endpoints.config import default_terms
from endpoints.texts.i18n import translator
from protocol.wire.instants import parsed
from tests.support.installation import provisioned
from tests.support.small_day import a_day
from tests.support.terminal import COLUMNS, Terminal

_TIME = re.compile(r"\b\d\d:\d\d:\d\d\.\d\d\d\b")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation with the journals of a day."""
    folder = tmp_path_factory.mktemp("terminal") / "try"
    sides = ("eucom", "ndmc")
    provisioned(
        folder,
        [default_terms.terms()],
        {side: default_terms.party(side) for side in sides},
        at=parsed("2022-11-29T12:00:00.000Z"),
        officers={side: default_terms.officers(side) for side in sides},
    )
    a_day(folder / "day")
    for side in sides:
        shutil.copytree(folder / "day" / side, folder / side / "journal" / "eucom-ndmc", dirs_exist_ok=True)
    return folder


def shown(*words: object) -> list[str]:
    """Return the lines that a command prints on the terminal, without colours."""
    terminal = Terminal(*words)
    assert terminal.end() == 0
    return terminal.lines


@pytest.mark.parametrize("language", ["en", "ru"])
def test_reconcile_keeps_each_time_of_a_message_whole(folder: Path, language: str) -> None:
    lines = shown(
        "reconcile", *(folder / side / "journal" / "eucom-ndmc" for side in ("eucom", "ndmc")), "--lang", language
    )
    assert max(map(len, lines)) <= COLUMNS
    rows = [line for line in lines if re.match(r"(eucom|ndmc)/1/", line)]
    assert [len(_TIME.findall(row)) for row in rows] == [4, 4, 3, 3, 3]


@pytest.mark.parametrize("language", ["en", "ru"])
def test_schedule_shows_a_line_test_on_one_line(folder: Path, language: str) -> None:
    heading, zones, *rows = shown("schedule", folder / "eucom" / "endpoint.toml", "-n", "4", "--lang", language)
    assert heading.startswith("UTC")
    assert zones.split() == ["Europe/Berlin", "Europe/Moscow"]
    assert [len(re.findall(r"\b\d\d:00:00\b", row)) for row in rows] == [3] * 4
    assert max(map(len, rows)) <= COLUMNS


def test_messages_are_headed_by_their_state_and_indented(folder: Path) -> None:
    first, second, *_ = shown("messages", folder / "eucom" / "endpoint.toml", "--lang", "en")
    assert first == "29 Nov 2022, 09:00:00 Europe/Berlin  eucom/1/1  acknowledged, duty-1"
    assert second.startswith("    line test (29 Nov 2022, 09:00:00 Europe/Berlin): ")


def test_no_row_of_a_log_is_continued_where_another_one_begins(folder: Path) -> None:
    journal = folder / "eucom" / "journal" / "eucom-ndmc"
    rows = shown("log", "show", journal, "--lang", "en")
    assert any(line.startswith(" " * 19) for line in rows)
    assert all(re.match(r" +\d+  2022-11-29T| {9}", line) and len(line) <= COLUMNS for line in rows)
    replayed = shown("replay", journal, "--speed", "max", "--lang", "en")
    # the verdict begins with the journal's path
    told = list(itertools.takewhile(lambda line: not line.startswith("/"), replayed))
    assert any(line.startswith(" " * 36) for line in told)
    assert all(re.match(r"2022-11-29T| {36}", line) for line in told)


@pytest.mark.parametrize("terminal", [True, False])
def test_the_details_of_an_alarm_stay_indented_on_a_terminal_and_whole_in_a_pipe(*, terminal: bool) -> None:
    alarm = {
        "code": "broker_unreachable",
        "subject": "broker",
        "severity": "critical",
        "detail": "no connection to the broker",
        "raised_at": "2022-11-29T12:00:00.000Z",
        "stale": {"expired_at": "2022-11-27T12:00:00.000Z"},
        "cleared_at": "2022-11-29T12:05:00.000Z",
    }
    # `console` gives a pipe 4,096 columns
    out = Console(file=io.StringIO(), force_terminal=terminal, width=COLUMNS if terminal else 4_096, color_system=None)
    out.push_render_hook(Harmless())

    print_alarms(out, [alarm], translator("en"), "Europe/Berlin", parsed("2022-11-30T12:00:00.000Z"))

    assert isinstance(out.file, io.StringIO)
    lines = out.file.getvalue().splitlines()
    assert lines[0] == "  EXPIRED 3 days ago: broker_unreachable/broker  broker unreachable (critical)"
    assert len(lines) == (3 if terminal else 2)
    assert all(line.startswith("    ") for line in lines[1:])
    assert all(len(line.rstrip()) <= COLUMNS for line in lines) == terminal
