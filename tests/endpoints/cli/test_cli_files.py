from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import msgspec
import pytest
from cryptography import x509

from broker.identities import alternative_names
from endpoints.cli import main as cli
from endpoints.config import link_file, settings
from endpoints.config.broker_settings import Address
from endpoints.errors import UserError
from endpoints.inputs.texts import texts
from endpoints.keys import credentials
from endpoints.keys.signer import Signer

NO_HOST = "expected a host name such as broker.example.org or an IP address"
LONG = "/tmp/" + "x" * 300
"""A name that no file has: asking about it is an error, as it is in a folder that may not be searched."""


def run(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as exited:
        cli.main([str(word) for word in words])
    assert isinstance(exited.value.code, int)
    return exited.value.code


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert run("init", tmp_path / "try") == 0
    capsys.readouterr()
    return tmp_path / "try"


def test_init_says_what_to_do_next_on_stderr_and_nothing_on_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("init", tmp_path / "try") == 0

    out, err = capsys.readouterr()
    assert out == ""
    assert f"deconflict run {tmp_path}/try/eucom/endpoint.toml" in err
    assert f"deconflict watch {tmp_path}/try/watch/watch.toml" in err
    assert run("init", tmp_path / "my try") == 0
    steps = capsys.readouterr().err.splitlines()[-4:]
    named = [shlex.split(step)[-1] for step in steps]
    assert named[:2] == [f"{tmp_path}/my try", f"{tmp_path}/my try/eucom/endpoint.toml"]
    assert all(Path(each).exists() for each in named)


def test_init_a_second_time_is_refused_in_one_line(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("init", site) == 2
    assert capsys.readouterr().err == f"deconflict: {site}: not empty (it contains link.toml); name a new folder\n"


@pytest.mark.parametrize("left", [".making", ".making/ca.key"])
def test_a_folder_that_another_command_makes_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], left: str
) -> None:
    site = tmp_path / "try"
    (site / left).mkdir(parents=True)
    for command in (("init", site), ("cert", "authority", site)):
        assert run(*command, "--lang", "en") == 2
        assert capsys.readouterr().err == (
            f"deconflict: {site}: another command makes this folder, or was cut short; if none runs, repeat after: "
            f"rm -r {site}/.making\n"
        )


@pytest.mark.parametrize(
    "words",
    [["enrol", LONG, "--side", "eucom"], ["link", "make", LONG, "eucom.toml", "ndmc.toml"]],
    ids=["enrol", "link make"],
)
def test_a_place_that_cannot_be_looked_at_is_refused_in_one_line(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    assert re.fullmatch(f"deconflict: {LONG}.*: File name too long\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ["--link", "Eucom/Ndmc"],
            "--link: expected an id of at most 32 lower-case letters, digits and hyphens, found 'Eucom/Ndmc'",
        ),
        (["--caller", ""], "--caller: expected an id"),
        (["--answering", "eucom"], "eucom: the same party calls and answers; name two parties"),
        (["--port", "0"], "--port: expected a port from 1 to 65535, found 0"),
        (
            ["--broker-host", ""],
            f"--broker-host: {NO_HOST}, found ''",
        ),
        (
            ["--broker-host", "two words"],
            f"--broker-host: {NO_HOST}, found 'two words'",
        ),
        (
            ["--broker-host", "München.example"],
            "--broker-host: give a host name with other than ASCII letters in its encoded form (xn--...), found 'Mün",
        ),
        (["--broker-host", "broker..example.org"], "--broker-host: expected a host name such as"),
        (
            ["--broker-host", "10.0.0.999"],
            f"--broker-host: {NO_HOST}, found '10.0.0.999'",
        ),
        (["--port", "many"], "--port: expected a whole number, found many; see:"),
        (
            ["--listen", "not an address"],
            f"--listen: {NO_HOST}, found 'not an address'",
        ),
        (["--status", "war"], "--status: expected one of: exercise, actual; found war"),
    ],
)
def test_a_wrong_argument_of_init_is_one_line_and_nothing_is_made(
    tmp_path: Path, words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("init", tmp_path / "try", *words) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"deconflict: {complaint}")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--port", "99999"], "--port: expected a port from 1 to 65535, found 99999"),
        (
            ["--broker-host", ""],
            f"--broker-host: {NO_HOST}, found ''",
        ),
    ],
)
def test_a_wrong_broker_address_of_enrol_is_one_line_and_nothing_is_made(
    tmp_path: Path, words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("enrol", tmp_path / "hq", "--side", "eucom", *words) == 2

    assert capsys.readouterr() == ("", f"deconflict: {complaint}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["localhost", "broker_1", "mq-1.example.org", "192.0.2.7", "2001:db8::7"])
def test_the_broker_may_be_named_by_host_name_or_address(tmp_path: Path, host: str) -> None:
    assert run("init", tmp_path / "try", "--broker-host", host) == 0
    assert settings.load(tmp_path / "try" / "eucom" / "endpoint.toml").broker.addresses == (Address(host),)


def test_init_makes_clients_of_all_nodes_and_a_certificate_with_their_names(tmp_path: Path) -> None:
    hosts = ("--broker-host", "mq1", "--broker-host", "::1", "--broker-host", "mq1", "--port", "8884")
    site = tmp_path / "try"
    assert run("init", site, *hosts) == 0
    for config in ("eucom/endpoint.toml", "ndmc/endpoint.toml", "watch/watch.toml"):
        text = (site / config).read_text()
        assert '    "mq1:8884",\n    "[::1]:8884",\n]' in text
        assert "host = " not in text
    server = x509.load_pem_x509_certificate((site / "broker" / "tls" / "server.crt").read_bytes())
    assert alternative_names(server.extensions) == ("mq1", "::1")


@pytest.mark.parametrize("command", [["init"], ["enrol", "--side", "eucom"]])
def test_more_nodes_than_a_client_can_have_are_refused(
    tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    hosts = [word for number in range(17) for word in ("--broker-host", f"mq{number}")]
    assert run(command[0], tmp_path / "try", *command[1:], *hosts) == 2
    assert capsys.readouterr() == ("", "deconflict: --broker-host: 16 addresses at most\n")
    assert list(tmp_path.iterdir()) == []


def test_a_side_may_be_enrolled_with_several_nodes_of_the_broker(tmp_path: Path) -> None:
    hosts = ("--broker-host", "mq1", "--broker-host", "::1", "--port", "8884")
    assert run("enrol", tmp_path, "--side", "eucom", *hosts) == 0
    text = (tmp_path / "eucom" / "endpoint.toml").read_text()
    assert '"mq1:8884",' in text
    assert '"[::1]:8884",' in text


def test_a_broker_address_that_does_not_exist_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("init", tmp_path / "try", "--listen", "no-such-host.invalid") == 0
    capsys.readouterr()

    assert run("broker", tmp_path / "try") == 2
    err = capsys.readouterr().err
    assert err.startswith("deconflict: no-such-host.invalid:8883: this machine cannot listen there: ")
    assert err.count("\n") == 1


def test_init_in_json_names_the_link_and_its_digest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("init", tmp_path / "try", "--json", "--status", "actual") == 0
    told = json.loads(capsys.readouterr().out)

    assert run("link", "fingerprint", tmp_path / "try" / "link.toml", "--json") == 0
    assert json.loads(capsys.readouterr().out)["digest"] == told["digest"]


def test_the_schedule_shows_utc_and_both_sites(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("schedule", site / "eucom" / "endpoint.toml", "-n", "3", "--lang", "en") == 0
    lines = capsys.readouterr().out.splitlines()

    assert lines[0].split() == ["UTC", "eucom,", "Wiesbaden", "ndmc,", "Moscow"]
    assert lines[1].split() == ["Europe/Berlin", "Europe/Moscow"]
    assert len(lines) == 5

    assert run("schedule", site / "watch" / "watch.toml", "-n", "40", "--json") == 0
    slots = json.loads(capsys.readouterr().out)["slots"]
    assert len(slots) == 40
    assert all(slot["eucom"][11:16] in {"09:00", "17:00"} for slot in slots)
    assert all(slot["ndmc"].endswith("+03:00") for slot in slots)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["-n", "0"], "--count: expected 1 to 1000, found 0"),
        (["--link", "syria"], "no link 'syria' here; links: eucom-ndmc"),
        (["--lang", "fr"], "--lang: expected one of: en, ru; found fr"),
    ],
)
def test_a_wrong_argument_of_schedule_is_one_line(
    site: Path, words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("schedule", site / "eucom" / "endpoint.toml", *words) == 2
    err = capsys.readouterr().err
    assert complaint in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [["schedule"], ["doctor"], ["link", "show"], ["link", "fingerprint"], ["epoch"]])
def test_a_file_that_is_none_is_one_line(tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(bytes(range(256)))
    for path in (tmp_path, tmp_path / "none", binary, Path()):
        assert run(*words, path) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("deconflict: ")
        assert err.count("\n") == 1


def test_a_link_file_is_shown_in_both_languages(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for language, expected in (("en", "US European Command"), ("ru", "Национальный центр управления обороной")):
        assert run("link", "show", site / "link.toml", "--lang", language) == 0
        assert expected in capsys.readouterr().out
    assert run("link", "show", site / "link.toml", "--json") == 0
    assert json.loads(capsys.readouterr().out)["policy"]["grace_s"] == 900


def test_the_fingerprint_changes_with_the_epoch(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("link", "fingerprint", site / "link.toml") == 0
    before = capsys.readouterr().out

    content = link_file.load(site / "link.toml")
    terms = msgspec.structs.replace(content.terms, epoch=2)
    link_file.save(msgspec.structs.replace(content, terms=terms), site / "link.toml")
    assert run("link", "fingerprint", site / "link.toml") == 0
    after = capsys.readouterr().out

    assert before.startswith("link eucom-ndmc, epoch 1: ")
    assert after.startswith("link eucom-ndmc, epoch 2: ")
    assert not set(before.splitlines()) & set(after.splitlines())


def test_two_headquarters_enrol_apart_and_join_their_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = []
    for side in ("eucom", "ndmc"):
        assert run("enrol", tmp_path / side, "--side", side) == 0
        path = tmp_path / f"{side}.toml"
        path.write_text(capsys.readouterr().out, encoding="utf-8")
        files.append(path)

    assert run("link", "make", tmp_path / "link.toml", *files) == 0
    made = capsys.readouterr().out
    assert run("link", "fingerprint", tmp_path / "link.toml") == 0
    assert capsys.readouterr().out == made

    assert run("link", "make", tmp_path / "link.toml", *files) == 2
    assert "already exists" in capsys.readouterr().err
    assert run("link", "make", tmp_path / "other.toml", files[0], files[0]) == 2
    assert "the same side as" in capsys.readouterr().err


def test_the_watch_is_enrolled_alone_and_its_key_joins_the_link_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {}
    for side in ("eucom", "ndmc", "watch"):
        assert run("enrol", tmp_path / "hq", "--side", side) == 0
        files[side] = tmp_path / f"{side}.toml"
        files[side].write_text(capsys.readouterr().out, encoding="utf-8")
    parties = (files["eucom"], files["ndmc"])

    assert run("link", "make", tmp_path / "without.toml", *parties) == 0
    without = capsys.readouterr().out
    assert run("link", "make", tmp_path / "hq" / "link.toml", *parties, "--watch", files["watch"]) == 0
    assert capsys.readouterr().out != without
    content = link_file.load(tmp_path / "hq" / "link.toml")
    assert 'keys = "keys"' in (tmp_path / "hq" / "watch" / "watch.toml").read_text("utf-8")
    assert Signer.load(tmp_path / "hq" / "watch" / "keys").enrolled == content.watch_keys
    # or appended to an existing file
    path = tmp_path / "without.toml"
    path.write_bytes(path.read_bytes() + files["watch"].read_bytes())
    assert link_file.load(path) == content

    assert run("link", "show", path, "--lang", "en") == 0
    assert re.search(rf"watch +{content.watch_keys[0].id}", capsys.readouterr().out)
    assert run("link", "show", path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["watch"]["keys"][0]["id"] == content.watch_keys[0].id

    # the side's file and the watch's are not the same
    assert run("link", "make", tmp_path / "no.toml", *parties, "--watch", files["eucom"]) == 2
    assert "a side file (deconflict enrol); an entry of the watch" in capsys.readouterr().err
    assert run("link", "make", tmp_path / "no.toml", files["eucom"], files["watch"]) == 2
    assert "an entry of the watch (deconflict enrol --side watch); a side file" in capsys.readouterr().err


def test_a_watch_without_a_key_gets_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("init", tmp_path / "try") == 0
    path = tmp_path / "try" / "watch" / "watch.toml"
    path.write_text("# ours\n" + path.read_text("utf-8").replace('keys = "keys"\n', ""), "utf-8")
    assert run("enrol", tmp_path / "try", "--side", "watch") == 2
    assert "keys: already exists" in capsys.readouterr().err
    # its officers' credentials lie beside the key
    next((tmp_path / "try" / "watch" / "keys").glob("*.pem")).unlink()

    assert run("enrol", tmp_path / "try", "--side", "watch", "--json") == 0
    (key,) = json.loads(capsys.readouterr().out)["watch"]["keys"]
    found = settings.load_watch(path, {})
    assert found.keys is not None
    assert [each.id for each in Signer.load(found.keys).enrolled] == [key["id"]]
    assert "# ours" in path.read_text("utf-8")
    assert list(found.officers) == ["observer-1"]
    assert run("enrol", tmp_path / "try", "--side", "watch") == 2
    assert "the watch has a key" in capsys.readouterr().err


def test_a_watch_without_officers_gets_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("init", tmp_path / "my try") == 0
    own = tmp_path / "my try" / "watch"
    path = own / "watch.toml"
    # as earlier versions made it
    path.write_text(path.read_text("utf-8").partition("[officers")[0].replace('keys = "keys"\n', ""), "utf-8")
    shutil.rmtree(own / "keys")
    capsys.readouterr()
    assert settings.load_watch(path, {}).officers == {}
    assert run("alarms", "acknowledge", path, "late/x", "--officer", "mickey-mouse") == 2
    assert capsys.readouterr().err == (
        f"deconflict: {path}: no officer is enrolled here, so nobody can acknowledge an alarm; add one: "
        f"deconflict officer add '{path}' ID\n"
    )
    path.chmod(0o644)
    assert run("officer", "add", path, "kim") == 2
    assert "make it private: chmod 600 '" in capsys.readouterr().err
    path.chmod(0o600)

    assert run("officer", "add", path, "kim") == 0
    found = settings.load_watch(path, {})
    assert list(found.officers) == ["kim"]
    credential = capsys.readouterr().out.strip()
    assert credentials.verify(credential, found.officers["kim"].credential)
    assert run("enrol", tmp_path / "my try", "--side", "watch", "--officer", "lee") == 2
    assert capsys.readouterr().err == (
        f"deconflict: {path}: watch is enrolled already; to add an officer: deconflict officer add '{path}' lee\n"
    )
    # it has no key yet, and gets one beside its officer
    assert run("enrol", tmp_path / "my try", "--side", "watch") == 0
    assert list(settings.load_watch(path, {}).officers) == ["kim"]


@pytest.mark.parametrize("words", [["--site", "Ramstein"], ["--zone", "UTC"], ["--name", "en=W"]])
def test_the_watch_has_no_site(tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("enrol", tmp_path / "hq", "--side", "watch", *words) == 2
    assert capsys.readouterr().err == f"deconflict: {words[0]}: the watch has none; leave it out\n"
    assert list(tmp_path.iterdir()) == []


def test_enrol_takes_another_party_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--site",
        "Panmunjom",
        "--zone",
        "Asia/Seoul",
        "--name",
        "en=Joint Security Area",
        "--name",
        "ko=공동경비구역",
    ]
    assert run("enrol", tmp_path, "--side", "south", *words, "--officer", "kim", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["side"], told["zone"], told["name"]["ko"]) == ("south", "Asia/Seoul", "공동경비구역")

    config = tmp_path / "south" / "endpoint.toml"
    assert run("enrol", tmp_path, "--side", "south") == 2
    assert capsys.readouterr().err == (
        f"deconflict: {config}: south is enrolled already; to add an officer: deconflict officer add {config} ID\n"
    )
    # before there is a link file
    assert run("officer", "add", config, "lee") == 0
    assert run("officer", "remove", config, "kim", "--yes") == 0
    assert list(settings.read_form(config).officers) == ["lee"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--zone", "Seoul"], "--zone: not a time zone"),
        (["--name", "Joint Security Area"], "--name: expected a language and its text"),
        (["--officer", "kim", "--officer", "kim"], "--officer: the same officer twice"),
        (["--officer", "../kim"], "--officer: expected an id"),
    ],
)
def test_a_wrong_argument_of_enrol_is_one_line_and_nothing_is_made(
    tmp_path: Path, words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("enrol", tmp_path / "hq", "--side", "south", *words) == 2
    assert capsys.readouterr().err.startswith(f"deconflict: {complaint}")
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_s_exit_code_says_whether_it_found_something(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = site / "eucom" / "endpoint.toml"
    # port 1: nothing of ours listens there
    path.write_text(path.read_text("utf-8").replace("port = 8883", "port = 1"), "utf-8")

    assert run("doctor", path, "--lang", "ru") == 1
    out, err = capsys.readouterr()
    assert out == (
        "127.0.0.1:1: брокер недоступен: в соединении отказано: по этому адресу никто не отвечает; "
        "проверьте адрес брокера, сеть и журнал брокера\n"
    )
    assert "1 замечание" in err

    assert run("doctor", path, "--json") == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_texts_are_given_by_language_once_each() -> None:
    assert texts("text", ["ru=Внимание: a=b", "en=Attention"]) == {"ru": "Внимание: a=b", "en": "Attention"}
    for wrong in (["Attention"], ["en="], ["eng=x"], ["en=x", "en=y"], ["=x"], ["1a=x"]):
        with pytest.raises(UserError, match=r"^--text"):
            texts("text", wrong)
