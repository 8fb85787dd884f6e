"""`notify test` sends a message that says TEST through every sink, and reports what became of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from endpoints.cli import main as cli
from tests.endpoints.test_notify import Hook


def run(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as exited:
        cli.main([str(word) for word in words])
    assert isinstance(exited.value.code, int)
    return exited.value.code


@pytest.fixture
def config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Path]:
    assert run("init", tmp_path / "try") == 0
    capsys.readouterr()
    yield tmp_path / "try" / "eucom" / "endpoint.toml"
    structlog.reset_defaults()


def write(config: Path, table: str) -> None:
    config.write_text(config.read_text().replace("[notifications]\nlog = true\n", f"[notifications]\n{table}"))


def test_every_receiver_gets_it(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hook = Hook([])
    write(config, f'log = true\ncommand = ["/bin/sh", "-c", "cat > {tmp_path}/got"]\nwebhook = "{hook.url}"\n')
    try:
        assert run("notify", "test", config, "--lang", "en") == 0
    finally:
        hook.close()
    out, err = capsys.readouterr()
    assert [line.rpartition(": ")[2] for line in out.splitlines()] == ["delivered"] * 3
    got = json.loads((tmp_path / "got").read_text())
    assert got["text"].startswith("TEST of notifications, eucom (EXERCISE, eucom-ndmc), ")
    assert (got["kind"], got["side"], got["link"]) == ("test", "eucom", "eucom-ndmc")
    assert [body for _, body in hook.got] == [got]
    assert got["text"] in err


def test_it_says_who_did_not_get_it_and_why(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(config, 'log = false\ncommand = ["/bin/false"]\nwebhook = "http://127.0.0.1:1/hook?token=secret"\n')
    assert run("notify", "test", config, "--json") == 1
    out, err = capsys.readouterr()
    assert {each["sink"]: each["why"] for each in json.loads(out)["sinks"]} == {
        "command": "its exit status is 1",
        "webhook": "connection refused: nothing listens there",
    }
    assert "secret" not in out + err


def test_the_message_is_in_the_language_of_the_settings(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text('language = "ru"\n' + config.read_text())
    assert run("notify", "test", config, "--json") == 0
    assert json.loads(capsys.readouterr().out)["text"].startswith("ПРОВЕРКА уведомлений")


def test_without_a_receiver_nothing_is_tested(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(config, "log = false\n")
    assert run("notify", "test", config, "--lang", "en") == 1
    assert "no receiver of notifications" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("table", "wrong"),
    [
        ('webhook = "https://a.example/"\nauthority = "none.pem"\n', "notifications.authority: no such file: "),
        ('webhook = "http://a.example/"\nauthority = "tls/ca.crt"\n', "authority: only an https URL has a certificate"),
        ('authority = "tls/ca.crt"\n', "authority: only an https URL has a certificate"),
    ],
)
def test_a_wrong_authority_is_refused(config: Path, table: str, wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    write(config, table)
    assert run("notify", "test", config) == 2
    assert wrong in capsys.readouterr().err
