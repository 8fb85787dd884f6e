from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from endpoints.cli import main as cli
from endpoints.cli.application import build
from endpoints.cli.command import Command
from endpoints.cli.commands import COMMANDS, GROUPS
from endpoints.cli.credential import obtain
from endpoints.cli.first_page import first_page
from endpoints.errors import UserError
from endpoints.texts.i18n import LANGUAGES, Translator, translator

ROOT = Path(__file__).parents[3]


def deconflict(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "endpoints.cli.main", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "120"} | environment,
        timeout=60,
        check=False,
    )


def run_here(*arguments: str, application: cli.Application | None = None) -> int:
    with pytest.raises(SystemExit) as exited:
        cli.main(arguments, application or cli.run)
    assert isinstance(exited.value.code, int)
    return exited.value.code


def test_the_first_help_names_every_command_with_an_example_and_imports_none_of_them() -> None:
    listed = deconflict("--help")

    assert listed.returncode == 0
    assert listed.stderr == ""
    assert "Example: deconflict demo" in listed.stdout
    for commands in COMMANDS.values():
        for command in commands:
            assert re.search(rf"\b{command.words.split()[0]}\b", listed.stdout)
    dear = "('cryptography', 'paho', 'starlette', 'endpoints.config.settings')"
    help_alone = "import sys; from endpoints.cli.application import build; build()(['--help'])"
    script = f"{help_alone}; sys.exit(any(name in sys.modules for name in {dear}))"
    imported = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert imported.returncode == 0


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("columns", [56, 80, 120])
def test_the_first_page_is_the_one_that_cyclopts_would_print(
    language: str, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    t = translator(language)
    build(t)(["--help"])
    wanted = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert list(first_page(t, columns)) == wanted
    for words in (["--help"], ["-h"], []):
        assert run_here(*words, "--lang", language) == 0
        assert capsys.readouterr().out.splitlines() == wanted


@pytest.mark.parametrize("words", [["--help", "--lang", "fr"], ["status", "--help"], ["--version"], ["--lang"]])
def test_nothing_else_asks_for_the_first_page(words: list[str]) -> None:
    assert not cli.asks_for_first_page(words)


def test_the_first_page_has_colours_only_where_they_are_wanted() -> None:
    t = translator("en")
    plain, bold = list(first_page(t, 80)), list(first_page(t, 80, bold=True))
    assert [line.replace("\x1b[1m", "").replace("\x1b[0m", "") for line in bold] == plain
    assert "\x1b[36malert" in "".join(first_page(t, 80, bold=True, colours=True))


@pytest.mark.parametrize("group", list(GROUPS))
def test_help_of_a_group_shows_an_example(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(group, "--help") == 0
    assert f"Example: deconflict {group} " in capsys.readouterr().out


@pytest.mark.parametrize("command", [each for commands in COMMANDS.values() for each in commands], ids=str)
def test_every_command_is_there_and_its_help_shows_an_example(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module, _, _ = command.target.partition(":")
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not written yet")
    monkeypatch.setenv("COLUMNS", "400")

    assert run_here(*command.words.split(), "--help") == 0

    out, err = capsys.readouterr()
    assert err == ""
    assert f"Example: deconflict {command.example}" in out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["fly"], "no command 'fly'; see: deconflict --help"),
        (["alrt"], "no command 'alrt'; did you mean: deconflict alert"),
        (["link", "shwo"], "link: no command 'shwo'; did you mean: deconflict link show"),
        (["--frobnicate"], "no command '--frobnicate'; options follow the command; see: deconflict --help"),
        (
            ["alarms", "try/eucom/endpoint.toml"],
            "alarms: no command 'try/eucom/endpoint.toml'; give one of: list, ackn",
        ),
        (
            ["log", "--json"],
            "log: no command '--json'; give one of: verify, show, archive, export, restore; see: deconflict log --help",
        ),
        (["messages", "a.toml", "b.toml", "c"], "unexpected argument: b.toml c; see: deconflict messages --help"),
        (["\x1b[31m"], "no command '\\x1b[31m'"),
        (["a\nb"], "no command 'a\\nb'"),
    ],
)
def test_a_wrong_word_is_answered_in_one_line(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(*words) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("deconflict: ")
    assert complaint in err
    assert err.count("\n") == 1


def test_an_interrupt_is_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_words: list[str], _t: Translator) -> None:
        signal.raise_signal(signal.SIGINT)

    assert run_here(application=interrupted) == 130
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_goes_away_is_no_mistake() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "endpoints.cli.main", "--help"],
            cwd=ROOT,
            stdout=write,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(write)

    assert ended.returncode == 141
    assert ended.stderr == b""


@pytest.mark.parametrize("words", [("--help",), ("link", "show", "link.toml"), ("link", "fingerprint", "link.toml")])
def test_output_to_a_full_disk_is_reported_in_one_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert run_here("init", str(tmp_path / "try")) == 0

    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        ended = subprocess.run(
            [sys.executable, "-m", "endpoints.cli.main", *words],
            cwd=tmp_path / "try",
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )

    assert ended.returncode == 1
    assert ended.stderr == b"deconflict: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (None, 0), (4, 4), (11, 11)])
def test_a_command_s_number_is_the_exit_code(code: int | None, expected: int) -> None:
    assert run_here(application=lambda _words, _t: code) == expected


def test_a_mistake_that_a_command_finds_is_one_line_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    def wrong(_words: list[str], _t: Translator) -> None:
        raise UserError("link.toml: epoch: missing\nreally", exit_code=4)

    assert run_here(application=wrong) == 4
    assert capsys.readouterr().err == "deconflict: link.toml: epoch: missing really\n"


def test_the_credential_comes_from_a_file_or_a_terminal_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "watch-1.credential"
    path.write_text("correct-horse\n", encoding="utf-8")
    path.chmod(0o600)
    assert obtain("watch-1", path) == "correct-horse"

    with open(os.devnull, encoding="utf-8") as nothing:  # noqa: PTH123 - standard input's stand-in
        monkeypatch.setattr(sys, "stdin", nothing)
        with pytest.raises(UserError, match="officer watch-1: there is no terminal to ask for the credential"):
            obtain("watch-1", None)
