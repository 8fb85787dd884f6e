"""Links of both statuses in one process: every view says which is which, and which one decided."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec import structs

from endpoints.config import link_file
from endpoints.config.default_terms import LINK
from tests.support.two_sides import TwoSides, run, with_policy

AIR = "eucom-ndmc-air"


@pytest.fixture
def sides(tmp_path: Path) -> TwoSides:
    """Return an exercise link and an actual one, of which no process runs."""
    sides = TwoSides(tmp_path / "s", LINK, AIR)
    for place in ("eucom", "ndmc", "watch"):
        file = sides.file(place, f"{AIR}.toml")
        link_file.save(with_policy(link_file.load(file), status="actual"), file)
    return sides


def test_status_says_which_link_decided_the_exit_code(sides: TwoSides, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status", sides.config("eucom"), sides.config("watch")) == 12

    lines = [line for line in capsys.readouterr().out.splitlines() if line and not line.startswith(" ")]
    assert lines == [
        f"{LINK} (EXERCISE), eucom: UNKNOWN",
        f"{AIR} (ACTUAL), eucom: UNKNOWN",
        f"{LINK} (EXERCISE), watch: UNKNOWN",
        f"{AIR} (ACTUAL), watch: UNKNOWN",
        f"exit code 12: {AIR} (ACTUAL), eucom: UNKNOWN",
    ]

    assert run("status", sides.config("eucom"), sides.config("watch"), "--json") == 12
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["link"], each["status"], each["decides"]) for each in documents] == [
        (LINK, "exercise", False),
        (AIR, "actual", True),
        (LINK, "exercise", False),
        (AIR, "actual", False),
    ]


def test_a_link_alone_needs_no_line_about_the_exit_code(sides: TwoSides, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status", sides.config("eucom"), "--link", LINK) == 12
    assert "exit code" not in capsys.readouterr().out


def test_a_notification_begins_with_the_status_if_its_receivers_get_both(
    sides: TwoSides, capsys: pytest.CaptureFixture[str]
) -> None:
    run("notify", "test", sides.config("eucom"), "--json")
    assert f"(EXERCISE, {LINK}; ACTUAL, {AIR})" in json.loads(capsys.readouterr().out)["text"]


def test_a_list_of_one_link_among_several_says_which_it_is(sides: TwoSides, capsys: pytest.CaptureFixture[str]) -> None:
    run("messages", sides.config("eucom"), "--open", "--link", AIR)
    assert f"link {AIR} (ACTUAL):" in capsys.readouterr().err


def test_a_link_of_another_status_is_added_with_a_word_about_it(
    sides: TwoSides, capsys: pytest.CaptureFixture[str]
) -> None:
    content = link_file.load(sides.file("eucom", f"{LINK}.toml"))
    third = structs.replace(content, terms=structs.replace(content.terms, link="third"))
    link_file.save(third, sides.file("eucom", "third.toml"))
    assert run("link", "add", sides.config("eucom"), sides.file("eucom", "third.toml"), "--yes") == 0
    assert f"!!! its status differs from that of {AIR} !!!" in capsys.readouterr().err
