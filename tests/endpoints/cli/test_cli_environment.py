"""What the environment gives to a command, and what `--help` says of it and of exit codes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from endpoints.cli.commands import COMMANDS
from endpoints.cli.exit_codes import ENVIRONMENT, EXIT_CODES, OWN_EXITS
from endpoints.cli.main import main
from endpoints.config import default_terms
from protocol.wire.instants import parsed
from tests.support.installation import provisioned
from tests.support.small_day import a_day

ROOT = Path(__file__).parents[3]
WORDS = [command.words for commands in COMMANDS.values() for command in commands]
SIDES = ("eucom", "ndmc")
OFFICERS = (
    *("test", "alert", "release", "discard", "answer", "acknowledge", "refuse", "cancel", "duty take", "duty leave"),
    "alarms acknowledge",
)
"""The commands that an officer gives."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment") / "my files"
    provisioned(
        folder,
        [default_terms.terms()],
        {side: default_terms.party(side) for side in SIDES},
        at=parsed("2022-11-29T12:00:00.000Z"),
        officers={side: default_terms.officers(side) for side in SIDES},
    )
    a_day(folder / "day")
    shutil.copytree(folder / "day" / "eucom", folder / "eucom" / "journal" / "eucom-ndmc", dirs_exist_ok=True)
    return folder


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as raised:
        main(words)
    said = capsys.readouterr()
    assert isinstance(raised.value.code, int)
    return raised.value.code, said.out, said.err


@pytest.mark.parametrize(
    "words", [["messages"], ["show", "eucom/1/1"], ["schedule", "-n", "1"], ["show", "--json", "eucom/1/1"]]
)
def test_config_may_be_left_out(
    folder: Path, words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = str(folder / "eucom" / "endpoint.toml")
    said = run(capsys, words[0], config, *words[1:])
    assert said[0] == 0
    monkeypatch.setenv("DECONFLICT_CONFIG", config)
    assert run(capsys, *words) == said


def test_a_given_config_comes_first(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DECONFLICT_CONFIG", "/nowhere")
    assert run(capsys, "show", str(folder / "eucom" / "endpoint.toml"), "eucom/1/1")[0] == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["show"], "REF"),
        (["show", "eucom/1/1"], "/nowhere"),
        (["acknowledge", "eucom/1/1"], "--officer"),
        (["alarms", "acknowledge", "fork/ndmc", "--officer", "duty-1"], "/nowhere"),
        (["replay"], "JOURNAL"),
        (["link", "show"], "FILE"),
    ],
)
def test_what_is_missing_besides_config_is_named(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DECONFLICT_CONFIG", "/nowhere")
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert complaint in err
    assert err.count("\n") == 1


def test_an_empty_variable_counts_as_unset(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DECONFLICT_CONFIG", "DECONFLICT_OFFICER", "DECONFLICT_CREDENTIAL_FILE", "DECONFLICT_LANG"):
        monkeypatch.setenv(name, "")
    assert run(capsys, "show", str(folder / "eucom" / "endpoint.toml"), "eucom/1/1")[0] == 0
    assert "CONFIG" in run(capsys, "messages")[2]
    _, _, err = run(capsys, "acknowledge", str(folder / "eucom" / "endpoint.toml"), "ndmc/1/1")
    assert "--officer" in err


def test_the_officer_may_be_left_out(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DECONFLICT_OFFICER", "watch-1")
    config = str(folder / "eucom" / "endpoint.toml")
    _, _, err = run(capsys, "acknowledge", config, "ndmc/1/1", "--decision", "understood")
    assert "officer watch-1: there is no terminal" in err


def test_the_first_help_lists_exit_codes_and_variables(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = run(capsys, "--help")[1].splitlines()
    assert max(map(len, lines)) <= 80
    for begin in (*map(str, EXIT_CODES), *ENVIRONMENT):
        assert any(re.match(rf"  {begin} ", line) for line in lines), begin


@pytest.mark.parametrize("command", WORDS)
def test_the_help_of_a_command_lists_its_own_exit_codes_alone(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    out = run(capsys, *command.split(), "--help")[1]
    (line,) = (line for line in out.splitlines() if line.startswith("Exit codes:"))
    codes = {int(code) for code in re.findall(r"(?:: |; )(\d+) ", line)}
    assert codes == {0, 2, *OWN_EXITS.get(command, {})}
    assert codes <= set(EXIT_CODES)
    assert "Environment:" not in out


def test_commands_that_wait_name_the_codes_of_waiting(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    for command in WORDS:
        waits = "--wait" in run(capsys, *command.split(), "--help")[1].partition("Example:")[2]
        assert ({10, 11} <= set(OWN_EXITS.get(command, {}))) is (waits or command == "status"), command


def test_exit_codes_belong_to_commands_that_exist() -> None:
    assert set(OWN_EXITS) <= set(WORDS)


def test_every_variable_that_the_sources_name_is_in_the_help() -> None:
    named = set()
    for path in (ROOT / "endpoints").rglob("*.py"):
        named |= set(re.findall(r"\bDECONFLICT_[A-Z_]+[A-Z]\b", path.read_text("utf-8")))
    listed = set(re.findall(r"DECONFLICT_[A-Z_]+", f"{list(ENVIRONMENT)} {list(ENVIRONMENT.values())}"))
    # which only tests set
    assert named - listed == {"DECONFLICT_FAILPOINT"}


@pytest.mark.parametrize("command", [words for words in WORDS if words in OFFICERS])
def test_every_command_of_an_officer_takes_them_from_the_environment(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert "[env var: DECONFLICT_OFFICER]" in run(capsys, *command.split(), "--help")[1]
