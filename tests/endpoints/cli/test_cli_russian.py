"""Help and errors in Russian, without leftovers of English."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

from endpoints.cli import main as cli
from endpoints.cli.command import Command
from endpoints.cli.commands import COMMANDS, GROUPS

ALL = [command for commands in COMMANDS.values() for command in commands]
PAGES = [(), *((group,) for group in GROUPS), *(tuple(command.words.split()) for command in ALL)]
LATIN = re.compile(r"[A-Za-z][A-Za-z-]+")
NAMES = {"RabbitMQ", "Ctrl-C", "deconflict", "JSON", "CSV", "HTML", "UTC", "IANA", "Mosquitto", "CAP"}
"""Names that have no Russian form."""
IDENTIFIERS = re.compile(
    # options and environment variables
    r"(?<!\w)--?[a-z][a-z-]*|\b[A-Z]+_[A-Z_]+\b"
    # file names, references, paths, durations and values such as en=...
    r"|[\w.-]*[./=][\w./=-]*|\b\d+[A-Za-z]+\b"
    # identifiers, and what stands in backquotes
    r"|\b[a-z]+_[a-z_]+\b|`[^`]+`|\[(варианты|по умолчанию|переменная среды):[^\]]*\]"
)


def run_here(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exited:
        cli.main(arguments)
    assert isinstance(exited.value.code, int)
    return exited.value.code


def leftovers(text: str, *known: str) -> set[str]:
    """Return the Latin words of a Russian text, without those that are names."""
    return set(LATIN.findall(IDENTIFIERS.sub(" ", text))) - NAMES - set(known)


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_the_help_is_in_russian(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    assert run_here(*words, "--lang", "ru", "--help") == 0

    out, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, out.splitlines())) <= 80
    # a box's lines are joined, so that what is broken over two of them is whole
    page = re.sub(r" *│\n│ {2,}", " ", re.sub(r"\n\nПример: .*?\n\n", "\n\n", out, flags=re.DOTALL))
    commands = {word for command in ALL for word in command.words.split()}
    assert leftovers(page, *commands) == set()


@pytest.mark.parametrize("command", ALL, ids=str)
def test_every_command_takes_lang(command: Command) -> None:
    module, _, name = command.target.partition(":")

    assert "lang" in inspect.signature(getattr(import_module(module), name)).parameters


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["fly"], "нет команды 'fly'; справка: deconflict --help"),
        (["alrt"], "нет команды 'alrt'; имелась в виду deconflict alert?"),
        (["log", "shwo"], "log: нет команды 'shwo'; имелась в виду deconflict log show?"),
        (["alarms", "raise"], "alarms: нет команды 'raise'; укажите одну из: list, acknowledge; справка:"),
        (["--frobnicate"], "нет команды '--frobnicate'; параметры указывают после команды; справка:"),
        (["status"], "не указан аргумент: НАСТРОЙКИ; справка: deconflict status --help"),
        (["messages", "x.toml", "y.toml"], "лишний аргумент: y.toml; справка: deconflict messages --help"),
        (["status", "x.toml", "--frobnicate"], "неизвестный параметр: --frobnicate; справка:"),
        (["status", "x.toml", "--folow"], "неизвестный параметр: --folow; имелся в виду --follow?; справка:"),
        (["alert", "x.toml", "--categry", "y"], "неизвестный параметр: --categry; имелся в виду --category?; справка:"),
        (["status", "x.toml", "--link"], "--link: после параметра нужно значение; справка:"),
        (["release", "x.toml", "draft/3"], "не указан обязательный параметр: --officer; справка:"),
        (["status", "x.toml", "--link", "a", "--link", "b"], "--link: указано дважды; укажите один раз; справка:"),
        (["init", "try", "--port", "many"], "--port: нужно целое число, указано many; справка:"),
        (["init", "try", "--status", "war"], "--status: допустимо одно из: exercise, actual; указано war; справка:"),
        (["status", "x.toml", "--json=3"], "--json: значение не нужно, указано 3; справка:"),
    ],
)
def test_a_mistake_is_answered_in_russian(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DECONFLICT_LANG", "ru")

    assert run_here(*words) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"deconflict: {complaint}")
    assert err.count("\n") == 1


def test_lang_may_stand_before_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("--lang", "ru", "--help") == 0
    assert "Вызов: deconflict КОМАНДА" in capsys.readouterr().out
    assert run_here("--lang=ru", "status") == 2
    assert "не указан аргумент" in capsys.readouterr().err


TYPICAL = [
    ["acknowledge", "no.toml", "eucom/1/1", "--officer", "a", "--decision", "understood"],
    ["alarms", "acknowledge", "no.toml", "fork", "--officer", "a"],
    ["alarms", "list", "no.toml"],
    ["alert", "no.toml", *("--category", "air_pursuit", "--precedence", "flash", "--text", "en=a", "--officer", "a")],
    ["answer", "no.toml", "eucom/1/1", "--officer", "a"],
    ["broker", "nowhere"],
    ["completion"],
    ["notify", "test", "nowhere"],
    ["cancel", "no.toml", "eucom/1/1", "--officer", "a"],
    ["demo", "no-such-scenario"],
    ["demo", "--speed", "0"],
    ["discard", "no.toml", "draft/1", "--officer", "a"],
    ["doctor", "no.toml"],
    ["drafts", "no.toml"],
    ["cert", "authority", "new", "--identity", "A B"],
    ["cert", "renew", "no.toml", "new.crt"],
    ["cert", "request", "no.toml"],
    ["cert", "show", "nowhere"],
    ["cert", "sign", "nowhere", "new.csr"],
    ["cert", "trust", "no.toml"],
    ["channels", "no.toml"],
    ["duty", "leave", "no.toml", "--officer", "a"],
    ["duty", "take", "no.toml", "--officer", "a"],
    ["enrol", "try", "--side", "A B"],
    ["epoch", "no.toml"],
    ["init", "try", "--link", "A B"],
    ["init", "try", "--broker-host", "a b"],
    ["init", "try", "--port", "0"],
    ["link", "accept", "no.toml", "other.toml"],
    ["link", "add", "no.toml", "other.toml"],
    ["link", "remove", "no.toml", "eucom-ndmc"],
    ["link", "amend", "no.toml", "--grace", "10m"],
    ["key", "add", "no.toml"],
    ["key", "retire", "no.toml", "ed25519-0"],
    ["key", "revoke", "no.toml", "ed25519-0"],
    ["key", "show", "no.toml"],
    ["link", "confirm", "no.toml", "--officer", "a"],
    ["link", "fingerprint", "no.toml"],
    ["link", "make", "new.toml", "one.toml", "two.toml"],
    ["link", "show", "other.toml"],
    ["load", "--duration", "10"],
    ["log", "archive", "nowhere"],
    ["log", "export", "nowhere"],
    ["log", "export", "nowhere", "--csv", "x.csv"],
    ["log", "restore", "nowhere", "folder"],
    ["log", "restore", "nowhere", "no.toml"],
    ["log", "show", "nowhere"],
    ["log", "verify", "nowhere"],
    ["log", "verify", "other.toml"],
    ["messages", "no.toml"],
    ["notify", "test", "no.toml"],
    ["officer", "add", "no.toml", "kim"],
    ["officer", "add", "no.toml", "KIM"],
    ["officer", "list", "no.toml"],
    ["officer", "remove", "no.toml", "kim"],
    ["officer", "reset", "no.toml", "kim"],
    ["reconcile", "nowhere", "elsewhere"],
    ["refuse", "no.toml", "eucom/1/1", "--officer", "a", "--reason", "out_of_scope"],
    ["release", "no.toml", "draft/1", "--officer", "a"],
    ["replay", "nowhere"],
    ["replay", "nowhere", "--until", "yesterday"],
    ["timeline", "nowhere", "elsewhere"],
    ["timeline", "nowhere", "--from", "2022-11-30T08:00", "--to", "2022-11-29T08:00"],
    ["timeline"],
    ["run", "no.toml"],
    ["run", "other.toml"],
    ["schedule", "no.toml"],
    ["schedule", "no.toml", "-n", "0"],
    ["show", "no.toml", "eucom/1/1"],
    ["reload", "no.toml"],
    ["console", "no.toml"],
    ["console", "board-link", "no.toml"],
    ["console", "end-sessions", "no.toml"],
    ["status", "no.toml"],
    ["test", "no.toml"],
    ["watch", "no.toml"],
]


@pytest.mark.parametrize("words", TYPICAL, ids=" ".join)
def test_a_typical_error_is_in_russian(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.toml").write_text('site = "Stuttgart"\n', encoding="utf-8")

    assert run_here(*words, "--lang", "ru") in {1, 2}

    shown = "".join(capsys.readouterr())
    for word in words:
        shown = shown.replace(word, "")
    assert re.search("[а-яё]", shown)
    commands = {word for command in ALL for word in command.words.split()}
    assert leftovers(shown, *commands, "max", "IP") == set()


def test_every_command_has_a_typical_error() -> None:
    named = {" ".join(words) for words in TYPICAL}
    missing = {each.words for each in ALL if not any(name.startswith(each.words) for name in named)}
    assert not missing
