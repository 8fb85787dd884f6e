"""What commands print with `--json` is valid by its contract, to the last field."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import structlog

from endpoints.cli.commands import COMMANDS
from endpoints.cli.json_outputs import OUTPUTS
from endpoints.cli.main import main
from tests.contracts.validators import fast, faults, validator
from tests.golden import cases
from tests.support.station import ALL, Station

NOT_YET = {
    *("link make", "link accept", "link amend", "link add", "link remove", "link confirm", "epoch", "broker", "load"),
    # the record's own contract, with its frames decoded
    "log show",
}
"""Commands that change something, once, in front of a person: what they print has no contract yet."""
CASES = ("rules-6/one-day", "rules-6/world-42", "rules-1/segments", "rules-6/killed")

Run = Callable[..., list[Any]]


def names(*words: object) -> str:
    """Return the contract of a command."""
    given = [str(word) for word in words]
    command = next(each for each in (" ".join(given[:2]), given[0]) if any(each in of for _, of in OUTPUTS.values()))
    return {"alarms list": "alarms", "alarms acknowledge": "alarm-done"}.get(command) or next(
        name for name, (_, of) in OUTPUTS.items() if command in of
    )


def valid(name: str, document: Any) -> Any:
    found = faults(validator(f"output/{name}.schema.json", strict=True), document)
    assert not found, (name, found)
    return document


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Return what runs a command in this process, and returns the JSON lines that it prints."""

    def run(*words: object) -> list[Any]:
        with pytest.raises(SystemExit):
            main([*map(str, words), "--json"])
        said = capsys.readouterr()
        assert said.out, said.err
        return [json.loads(line) for line in said.out.splitlines()]

    yield run
    structlog.reset_defaults()


def test_every_command_with_json_has_a_contract_or_is_known_to_have_none() -> None:
    with_json = {
        command.words
        for group in COMMANDS.values()
        for command in group
        if "as_json"
        in inspect.signature(
            getattr(import_module(command.target.partition(":")[0]), command.target.partition(":")[2])
        ).parameters
    }
    covered = {command for _, of in OUTPUTS.values() for command in of}
    assert with_json - NOT_YET == covered
    assert not covered & NOT_YET


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = next(each for each in cases.archives() if str(each).endswith(f"{request.param}{cases.SUFFIX}"))
    folder = tmp_path_factory.mktemp("case")
    cases.unpack(archive, folder)
    return folder


def test_what_is_said_of_journals_is_valid(run: Run, case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case)
    for (command, *arguments), stdin in cases.commands(case):
        words = (command, *arguments)
        if stdin or words[:2] == ("log", "show"):
            continue
        (document,) = run(*[word for word in words if word != "--json"])
        name = names(*words)
        for each in document if isinstance(document, list) else [document]:
            valid(name, each)
        if command == "reconcile":
            (account,) = run("timeline", *[word for word in arguments if word != "--json"])
            valid("timeline", account)


def test_what_a_scenario_says_is_valid(run: Run, tmp_path: Path) -> None:
    valid("demo", run("demo", "spring", "--speed", "max")[0])
    valid("demo-check", run("demo", "--check", "spring")[0])
    path = tmp_path / "x.json"
    path.write_text('{"steps": [{"do": "alert"}]}')
    assert valid("demo-check", run("demo", "--check", path)[0])["faults"]
    valid("demo-check", run("demo", "--check", tmp_path)[0])


def test_what_is_none_is_not_valid(run: Run) -> None:
    (told,) = run("demo", "--check", "one-day")
    known = validator("output/demo-check.schema.json")
    assert known.is_valid(told | {"more_of_a_later_version": 1})
    changes: list[dict[str, Any]] = [{"ok": 1}, {"steps": "8"}, {"faults": {}}, {"scenario": "One Day"}]
    assert not [change for change in changes if known.is_valid(told | change)]
    assert not known.is_valid({name: value for name, value in told.items() if name != "ok"})


def test_what_is_said_of_files_is_valid(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "try"
    valid("init", run("init", folder)[0])
    link_file = folder / "link.toml"
    shown = valid("link-show", run("link", "show", link_file)[0])
    assert valid("link-fingerprint", run("link", "fingerprint", link_file)[0])["digest"] == shown["digest"]
    for config in (folder / "eucom" / "endpoint.toml", folder / "watch" / "watch.toml"):
        valid("key-show", run("key", "show", config)[0])
        assert valid("officer-list", run("officer", "list", config)[0])["officers"]
        valid("cert-show", run("cert", "show", config.parent)[0])
        valid("officer-credential", run("officer", "add", config, "kim", "--name", "Kim")[0])
        valid(
            "officer-credential", run("officer", "reset", config, "kim", "--credential-file", tmp_path / config.stem)[0]
        )
    for side, name in (("eucom", "enrol"), ("watch", "enrol-watch")):
        words = () if side == "watch" else ("--name", "en=US", "--site", "Wiesbaden", "--zone", "Europe/Berlin")
        valid(name, run("enrol", tmp_path / "own", "--side", side, *words, "--officer", "kim")[0])


def test_what_is_said_of_changed_keys_and_certificates_is_valid(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "try"
    run("init", folder)
    config = folder / "eucom" / "endpoint.toml"
    before = run("key", "show", config)[0]["keys"]
    (added,) = valid("key-added", run("key", "add", config)[0])["added"]
    old = next(each["id"] for each in before if each["party"] == "eucom")
    valid("key-retired", run("key", "retire", config, old, "--yes")[0])
    valid("key-revoked", run("key", "revoke", config, added["id"], "--yes")[0])
    made = valid("cert-authority", run("cert", "authority", tmp_path / "next")[0])
    request = valid("cert-request", run("cert", "request", config, "--yes")[0])
    signed = tmp_path / "eucom.crt"
    to = ("--identity", "eucom", "--yes", "--out", signed)
    valid("cert-signed", run("cert", "sign", tmp_path / "next", request["request"], *to)[0])
    renewed = run("cert", "renew", config, signed, "--authority", made["authority"], "--yes")[0]
    assert valid("cert-changed", renewed)["added"] == made["fingerprint"]
    broker = ("enrol", tmp_path / "broker", "--side", "broker", "--broker-host", "broker.example")
    valid("enrol-broker", run(*broker)[0])


def test_what_is_said_of_copies_and_exports_is_valid(run: Run, tmp_path: Path) -> None:
    archive = next(each for each in cases.archives() if str(each).endswith(f"rules-6/segments{cases.SUFFIX}"))
    cases.unpack(archive, tmp_path / "case")
    journal = min((tmp_path / "case" / "journal").iterdir())
    assert valid("log-archive", run("log", "archive", journal, "--to", tmp_path / "archive")[0])["archived"]
    valid("log-restore", run("log", "restore", journal, tmp_path / "journal" / "eucom-ndmc")[0])
    jsonl, cap = tmp_path / "x.jsonl", tmp_path / "cap"
    for given in (("--jsonl", jsonl), ("--csv", tmp_path / "x.csv"), ("--cap", cap)):
        valid("log-export", run("log", "export", journal, *given)[0])
    first, *records, last = map(json.loads, jsonl.read_text().splitlines())
    valid("export-first", first)
    valid("export-last", last)
    assert not [each["n"] for each in records if not fast("record.schema.json").is_valid(each)]
    assert valid("export-cap", json.loads((cap / "export.json").read_text()))["files"]


# --- a running link -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        station.start(*ALL)
        yield station


def officer(station: Station, side: str, name: str) -> tuple[str, ...]:
    return "--officer", name, "--credential-file", str(station.credential_file(side, name))


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_what_is_said_of_a_running_link_is_valid(station: Station, run: Run) -> None:
    eucom, ndmc, watch = (station.config(name) for name in ALL)
    text = ("--category", "stray_munition", "--text", "en=Drone.", "--text", "ru=Дрон.")
    alert = ("alert", eucom, *text, *officer(station, "eucom", "watch-1"))

    held = valid("act", run(*alert, "--precedence", "flash")[0])
    assert held["sent"] is False
    valid("drafts", run("drafts", eucom)[0])
    assert valid("open", run("messages", eucom, "--open")[0])["open"]
    valid("show-draft", run("show", eucom, held["reference"])[0])
    seen = valid("drafts", run("drafts", eucom)[0])["drafts"][0]["seen"]
    second = (*officer(station, "eucom", "watch-2"), "--seen", seen, "--yes")
    for line in run("release", eucom, held["reference"], *second, "--wait", "received"):
        valid("delivery" if "steps" in line else "act", line)
    sent = valid("act", run(*alert, "--precedence", "routine")[0])["reference"]
    station.until(lambda: station.alert_state("ndmc", sent) is not None)
    assert valid("open", run("messages", ndmc, "--open")[0])["open"]
    seen = run("show", ndmc, sent)[0]["seen"]
    reply = ("--decision", "understood", *officer(station, "ndmc", "duty-1"), "--seen", seen)
    valid("act", run("acknowledge", ndmc, sent, *reply)[0])
    station.until(lambda: station.alert_state("eucom", sent) == "understood")

    for config in (eucom, ndmc, watch):
        valid("status", run("status", config)[0])
        valid("channels", run("channels", config)[0])
        valid("schedule", run("schedule", config)[0])
        valid("alarms", run("alarms", "list", config)[0])
        valid("notify-test", run("notify", "test", config)[0])
        valid("doctor", run("doctor", config)[0])
    for config in (eucom, ndmc):
        for row in valid("messages", run("messages", config)[0])["messages"]:
            valid("message", row)
        valid("show", run("show", config, sent)[0])
    valid("reload", run("reload", eucom)[0])
    valid("act", run("duty", "take", eucom, *officer(station, "eucom", "watch-1"))[0])
    valid("act", run("duty", "leave", eucom, *officer(station, "eucom", "watch-1"))[0])
    journals = [station.journal(name) for name in ALL]
    valid("log-verify", run("log", "verify", journals[0])[0])
    valid("show-draft", run("show", eucom, held["reference"])[0])

    station.stop("ndmc")
    assert valid("status", run("status", ndmc)[0])["state"] == "unknown"
    alarm = station.alarm("eucom", "peer_disconnected")
    assert valid("alarms", run("alarms", "list", eucom)[0])["alarms"]
    named = f"{alarm['code']}/{alarm['subject']}"
    valid("alarm-done", run("alarms", "acknowledge", eucom, named, *officer(station, "eucom", "watch-1"))[0])
    valid("status", run("status", eucom)[0])
