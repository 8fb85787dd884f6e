"""`deconflict demo --check` says what is wrong with a scenario file, in lines or as JSON, and plays nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from scenario.files import PACKAGED, packaged

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    day = json.loads(packaged("one-day").read_bytes())
    day["steps"][0]["precedense"] = day["steps"][0].pop("precedence")
    day["steps"][1]["of"] = "step 5"
    path = tmp_path / "my day.json"
    path.write_text(json.dumps(day))
    return path


@pytest.mark.parametrize("name", PACKAGED)
def test_the_scenarios_of_the_project_have_no_fault(run: Run, name: str) -> None:
    code, out, err = run("demo", "--check", name, "--lang", "en")
    assert (code, err) == (0, "")
    assert out.startswith(str(packaged(name)))
    assert out.endswith(" steps, no fault\n")


def test_each_fault_is_a_line(run: Run, wrong: Path) -> None:
    code, out, err = run("demo", "--check", wrong, "--lang", "en")
    assert (code, err) == (2, "")
    assert out.splitlines() == [
        f'{wrong}: step 0, "alert": unknown key "precedense"; did you mean "precedence"?',
        f'{wrong}: step 0, "alert": key "precedence" is missing: expected one of flash, immediate, priority, routine',
        f'{wrong}: step 1, "acknowledge", "of": step 5 comes after this step; name an earlier alert',
    ]


def test_the_lines_are_russian_too(run: Run, wrong: Path) -> None:
    _, out, _ = run("demo", "--check", wrong, "--lang", "ru")
    first = out.splitlines()[0]
    assert first == f'{wrong}: шаг 0, "alert": неизвестный ключ "precedense"; возможно, имелось в виду "precedence"?'


def test_json_has_the_step_and_the_key_of_each_fault(run: Run, wrong: Path) -> None:
    code, out, _ = run("demo", "--check", "--scenario", wrong, "--json")
    told = json.loads(out)
    assert (code, told["ok"], told["more"]) == (2, False, 0)
    assert [(each["step"], each["action"], each["key"]) for each in told["faults"]] == [
        (0, "alert", ""),
        (0, "alert", ""),
        (1, "acknowledge", "of"),
    ]
    code, out, _ = run("demo", "--check", "syria-week", "--json")
    told = json.loads(out)
    assert (code, told["ok"], told["steps"], told["played"], told["faults"]) == (0, True, 42, 170, [])


def test_a_file_that_cannot_be_read_is_one_line(run: Run, tmp_path: Path) -> None:
    code, out, err = run("demo", "--check", tmp_path, "--lang", "en")
    assert (code, out) == (2, "")
    assert err == f"deconflict: {tmp_path}: cannot read the scenario: Is a directory\n"
    code, out, _ = run("demo", "--check", tmp_path, "--json")
    assert (code, json.loads(out)["ok"]) == (2, False)


def test_text_that_is_no_character_can_be_printed(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"a\\u001b[31mb\\ud800": 1}')
    for words in ([], ["--json"]):
        code, out, err = run("demo", "--check", path, "--lang", "en", *words)
        assert (code, err) == (2, "")
        assert "\x1b" not in out


@pytest.mark.parametrize("words", [["--speed", "max"], ["--console"], ["--keep", "x"]])
def test_what_plays_does_not_go_with_it(run: Run, words: list[str]) -> None:
    code, out, err = run("demo", "--check", *words, "--lang", "en")
    assert (code, out, err) == (2, "", f"deconflict: --check: not with {words[0]}\n")


def test_what_only_the_simulation_plays_is_not_begun(run: Run) -> None:
    code, out, err = run("demo", "syria-week", "--lang", "en")
    assert (code, out) == (2, "")
    assert err == "deconflict: syria-week: several links are played in simulation alone: add --speed max\n"
