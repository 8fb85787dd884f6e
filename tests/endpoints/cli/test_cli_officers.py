"""`deconflict officer` in both languages: what it prints, what it refuses, what it leaves."""

from __future__ import annotations

import io
import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from endpoints.cli import main as cli
from endpoints.config import confirmations, default_terms, settings
from endpoints.config.confirmations import ComparisonNote
from endpoints.keys import credentials
from protocol.core.events import WatchTaken
from protocol.wire.instants import parsed
from tests.support.exchange import Exchange, link_file
from tests.support.installation import installed
from tests.support.terminal import Terminal

AT = parsed("2022-11-29T12:00:00.000Z")
CHOSEN = "тихий вечер на реке"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("o") / "site", at=AT)


@pytest.fixture
def config(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "site")
    return tmp_path / "site" / "eucom" / "endpoint.toml"


@pytest.fixture
def watch(config: Path) -> Path:
    return config.parents[1] / "watch" / "watch.toml"


def run(capsys: pytest.CaptureFixture[str], *words: object, lang: str = "en") -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exited:
        cli.main([str(word) for word in words] + ["--lang", lang])
    assert isinstance(exited.value.code, int)
    out, err = capsys.readouterr()
    return exited.value.code, out, err


def accepts(config: Path, officer: str, credential: str) -> bool:
    return credentials.verify(credential, settings.load(config, {}).officers[officer].credential)


def nothing_runs(config: Path) -> str:
    return f"{config}: no process runs; the files take effect at its next start\n"


def left(config: Path, officer: str) -> Path:
    return config.parent / "keys" / "officers" / f"{officer}.credential"


# --- add ------------------------------------------------------------------------------------------------------------


def test_the_credential_of_an_added_officer_is_printed_once_and_nowhere_else(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "officer", "add", config, "watch-3", "--name", "Major Weber")

    assert code == 0
    assert out.count("\n") == 1
    credential = out.strip()
    assert accepts(config, "watch-3", credential)
    assert settings.load(config, {}).officers["watch-3"].name == "Major Weber"
    assert err == (
        f"{nothing_runs(config)}{config}: officer watch-3 was added\ncredential of watch-3, shown this once:\n"
    )
    assert credential not in err
    assert not any(credential.encode() in path.read_bytes() for path in config.parent.rglob("*") if path.is_file())


def test_json_and_a_file_take_the_credential(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "officer", "add", config, "watch-3", "--json")
    assert code == 0
    assert accepts(config, "watch-3", json.loads(out)["credential"])

    file = tmp_path / "watch-4"
    code, out, err = run(capsys, "officer", "add", config, "watch-4", "--credential-file", file)
    assert (code, out) == (0, "")
    assert f"credential of watch-4: {file}\n" in err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert accepts(config, "watch-4", credentials.read_credential(file))

    before = config.read_bytes()
    code, out, err = run(capsys, "officer", "add", config, "watch-5", "--credential-file", file)
    assert (code, out) == (2, "")
    assert err == f"deconflict: {file}: already exists; remove it first if it is no longer used\n"
    assert config.read_bytes() == before


def test_a_credential_may_be_piped(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{CHOSEN}\n"))
    code, out, err = run(capsys, "officer", "add", config, "watch-3", "--choose")

    assert (code, out) == (0, "")
    assert CHOSEN not in err
    assert accepts(config, "watch-3", CHOSEN)


@pytest.mark.parametrize("typed", ["", "short", "watch-3 watch-3 watch-3", "qwertyuiopasdfghjkl"])
def test_a_bad_choice_is_one_line_that_does_not_repeat_it(
    config: Path, typed: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = config.read_bytes()
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{typed}\n"))

    code, out, err = run(capsys, "officer", "add", config, "watch-3", "--choose")

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert not typed or typed not in err
    assert config.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("watch-1",), "officer watch-1 is enrolled already; choose another id"),
        (("Watch-3",), "'Watch-3': not an officer's id, which has at most 32"),
        (("../watch-3",), "'../watch-3': not an officer's id"),
        (("watch\n3",), r"'watch\n3': not an officer's id"),
        (("w" * 33,), "not an officer's id"),
        (("service",), "service: this name is reserved; choose another id"),
        (("",), "not an officer's id"),
        (("watch-3", "--name", ""), "--name: expected 1 to 80 visible characters"),
        (("watch-3", "--name", "Weber\nwatch-9  Major Kim"), "--name: expected 1 to 80 visible"),
        (("watch-3", "--name", "Weber\u202e"), "--name: expected 1 to 80 visible"),
        (("watch-3", "--name", "W" * 81), "--name: expected 1 to 80 visible"),
    ],
)
def test_a_wrong_argument_changes_nothing(
    config: Path, words: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = config.read_bytes()

    code, out, err = run(capsys, "officer", "add", config, *words)

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert complaint in err
    assert config.read_bytes() == before


def test_a_credential_that_cannot_be_printed_is_replaced_by_another(config: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "endpoints.cli.main", "officer", "add", str(config), "watch-3", "--lang", "en"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert ended.returncode == 2
    assert ended.stderr.endswith(
        "deconflict: the credential of watch-3 could not be printed (No space left on device) and is lost; give them "
        "another: deconflict officer reset CONFIG ID\n"
    )


# --- reset ----------------------------------------------------------------------------------------------------------


def test_a_reset_makes_the_old_credential_worthless_and_deletes_its_file(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = credentials.read_credential(left(config, "watch-1"))

    code, out, _ = run(capsys, "officer", "reset", config, "watch-1")

    assert code == 0
    assert accepts(config, "watch-1", out.strip())
    assert not accepts(config, "watch-1", old)
    assert not left(config, "watch-1").exists()


def test_a_reset_may_write_to_the_file_of_the_old_credential(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = left(config, "watch-1")
    old = credentials.read_credential(file)

    assert run(capsys, "officer", "reset", config, "watch-1", "--credential-file", file)[:2] == (0, "")

    assert credentials.read_credential(file) != old
    assert accepts(config, "watch-1", credentials.read_credential(file))


def test_an_unknown_officer_is_one_line(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("reset", "remove"):
        assert run(capsys, "officer", verb, config, "mickey") == (
            2,
            "",
            f"deconflict: {config}: no officer 'mickey' is enrolled here; enrolled: watch-1, watch-2\n",
        )


# --- remove ---------------------------------------------------------------------------------------------------------


def test_what_follows_a_removal_is_shown_before_it(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(config)
    file, before = left(config, "watch-2"), config.read_bytes()
    shown = (
        "watch-2\n"
        "  can do nothing here any more; what they did stays in the journal\n"
        f"  their credential is deleted: {file}\n"
        "  eucom-ndmc (EXERCISE): one officer is left, and nobody can release an alert of precedence FLASH, IMMEDIATE, "
        "which needs two\n"
        "  eucom-ndmc (EXERCISE): has the watch, which nobody has then\n"
        "  eucom-ndmc (EXERCISE): wrote draft/1, which nobody can release any more: it has to be discarded\n"
    )

    assert run(capsys, "officer", "remove", config, "watch-2") == (
        2,
        "",
        f"{shown}deconflict: nothing was done: there is no terminal to ask; what is shown is done with --yes\n",
    )
    assert config.read_bytes() == before
    assert file.exists()

    assert run(capsys, "officer", "remove", config, "watch-2", "--yes") == (
        0,
        "",
        f"{shown}{nothing_runs(config)}{config}: officer watch-2 was removed\n",
    )
    assert list(settings.load(config, {}).officers) == ["watch-1"]
    assert not file.exists()


def test_a_comparison_that_counts_no_more_is_named(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    note = ComparisonNote(
        link="eucom-ndmc", digest="0" * 64, officer="watch-2", compared_at="2022-11-29T12:00:00.000Z", first_word=3
    )
    confirmations.save(config.parent, note)

    lost = "compared the link file by voice, which no start has recorded: another officer compares it again"
    assert lost in run(capsys, "officer", "remove", config, "watch-2")[2]
    assert lost not in run(capsys, "officer", "remove", config, "watch-1")[2]


def test_the_last_officer_of_an_endpoint_is_not_removed(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "officer", "remove", config, "watch-1", "--yes")[0] == 0

    code, _, err = run(capsys, "officer", "remove", config, "watch-2", "--yes")

    assert code == 2
    assert err == (
        f"deconflict: {config}: watch-2 is the last officer here, and nobody could answer the other side; first add "
        "another: deconflict officer add\n"
    )


def test_the_last_officer_of_the_watch_is_removed_with_a_warning(
    watch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "officer", "remove", watch, "observer-1", "--yes")

    assert code == 0
    assert "is the last officer: nobody can acknowledge an alarm of the watch any more" in err
    assert run(capsys, "officer", "list", watch)[1] == "no officer is enrolled here\n"


def test_what_cannot_be_known_is_said_and_the_officer_removed(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(config)
    (segment,) = (config.parent / "journal" / "eucom-ndmc").glob("*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b"watch-2", b"watch-1"))
    code, _, err = run(capsys, "officer", "remove", config, "watch-2", "--yes")
    assert code == 0
    assert "eucom-ndmc (EXERCISE): what it has of theirs is not known: " in err
    assert "eucom-ndmc: its journal says nothing: " in run(capsys, "officer", "list", config)[2]

    (config.parents[1] / "link.toml").unlink()
    assert run(capsys, "officer", "add", config, "watch-3")[0] == 0
    code, _, err = run(capsys, "officer", "remove", config, "watch-3", "--yes")
    assert code == 0
    assert "  what else follows is not known: " in err


# --- list -----------------------------------------------------------------------------------------------------------


def test_officers_are_listed_with_what_the_journal_says(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(config)
    assert run(capsys, "officer", "add", config, "watch-3", "--name", "Major Weber")[0] == 0

    assert run(capsys, "officer", "list", config)[1] == (
        "watch-1  enrolled since 29 Nov 2022, 12:00:00 UTC\n"
        "watch-2  enrolled since 29 Nov 2022, 12:00:00 UTC; has the watch: eucom-ndmc\n"
        "watch-3  Major Weber; not in the journal yet\n"
    )
    known = {"since": "2022-11-29T12:00:00.000Z", "in_journal": True}
    assert json.loads(run(capsys, "officer", "list", config, "--json")[1]) == {
        "side": "eucom",
        "officers": [
            {"officer": "watch-1", "name": "watch-1", **known, "on_watch": []},
            {"officer": "watch-2", "name": "watch-2", **known, "on_watch": ["eucom-ndmc"]},
            {"officer": "watch-3", "name": "Major Weber", "since": None, "in_journal": False, "on_watch": []},
        ],
    }
    assert run(capsys, "officer", "list", config, lang="ru")[1].replace("\u202f", " ") == (
        "watch-1  внесён с 29 нояб. 2022 г., 12:00:00 UTC\n"
        "watch-2  внесён с 29 нояб. 2022 г., 12:00:00 UTC; на дежурстве: eucom-ndmc\n"
        "watch-3  Major Weber; в журнале ещё нет\n"
    )


def test_a_name_in_the_settings_cannot_pass_for_another_row(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = config.read_text("utf-8")
    config.write_text(text.replace('name = "watch-1"', 'name = "x\\nwatch-9  \\u001b[8m"'), "utf-8")

    _, out, _ = run(capsys, "officer", "list", config)

    assert out.count("\n") == 2
    assert "\x1b" not in out


# --- at a terminal --------------------------------------------------------------------------------------------------


def test_at_a_terminal_a_credential_is_typed_twice_and_a_removal_confirmed(config: Path) -> None:
    terminal = Terminal("officer", "reset", config, "watch-1", "--choose", "--lang", "ru")
    terminal.until("Новые учётные данные watch-1: ")
    terminal.type(f"{CHOSEN}\n")
    terminal.until("Ещё раз: ")
    terminal.type(f"{CHOSEN}!\n")
    assert terminal.end() == 2
    assert terminal.lines[-1].endswith("офицер watch-1: набрано по-разному; ничего не изменено")
    assert left(config, "watch-1").exists()

    terminal = Terminal("officer", "reset", config, "watch-1", "--choose", "--lang", "ru")
    terminal.until("Новые учётные данные watch-1: ")
    terminal.type(f"{CHOSEN}\n")
    terminal.until("Ещё раз: ")
    terminal.type(f"{CHOSEN}\n")
    assert terminal.end() == 0
    assert accepts(config, "watch-1", CHOSEN)
    assert CHOSEN not in terminal.text

    terminal = Terminal("officer", "remove", config, "watch-2", "--lang", "ru")
    terminal.until("удалить офицера watch-2? [д/Н]")
    terminal.type("n\n")
    assert terminal.end() == 1
    assert "ничего не сделано" in terminal.text
    assert max(map(len, terminal.lines)) <= 80
    assert "watch-2" in settings.load(config, {}).officers


def record(config: Path) -> None:
    """Leave a journal, begun at noon: watch-2 has the watch and wrote a draft."""
    exchange = Exchange(config.parents[1] / "recorded", link_file(default_terms.terms()), at=AT, watch=False)
    exchange.open()
    exchange.start()
    eucom = exchange.ends["eucom"]
    eucom.happens(WatchTaken, request="taken", officer="watch-2")
    assert exchange.alert("eucom", "flash", officer="watch-2") == "draft/1"
    exchange.stop()
    (config.parent / "journal" / "eucom-ndmc").rmdir()
    eucom.folder.rename(config.parent / "journal" / "eucom-ndmc")
