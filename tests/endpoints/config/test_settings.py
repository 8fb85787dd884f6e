from __future__ import annotations

import os
import re
import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from endpoints.config import link_file, settings, side_file
from endpoints.config.broker_settings import Address
from endpoints.config.link_file import LinkFile, Party
from endpoints.errors import UserError
from endpoints.keys.credentials import hash_credential
from protocol.wire.policy import Channel, EnrolledKey, Policy, Terms

HASHED = hash_credential("correct-horse-battery")


def a_link(link: str = "eucom-ndmc", status: str = "exercise") -> LinkFile:
    policy = Policy(
        status=status,  # type: ignore[arg-type]
        slots=("0 9,17 * * *",),
        zone="Europe/Berlin",
        categories=("critical_infrastructure", "air_pursuit"),
        languages=("ru", "en"),
        test_language="ru",
        test_text='Говорит Висбаден. "Проверка" линии.\n\\Как слышите?',
        answer_text="Москва на связи.",
        channels=(Channel(id="ministers", name={"en": "Ministers", "ru": "Министры"}),),
    )
    parties = {
        "eucom": Party(
            name={"en": "US European Command"},
            site="Wiesbaden",
            zone="Europe/Berlin",
            keys=(EnrolledKey("eucom-1", "ed25519", "AA=="),),
        ),
        "ndmc": Party(name={"ru": "НЦУО"}, site="Moscow", zone="Europe/Moscow"),
    }
    return LinkFile(terms=Terms(link=link, epoch=1, caller="eucom", answering="ndmc", policy=policy), parties=parties)


ENDPOINT = f"""
side = "eucom"

[[links]]
file = "link.toml"
journal = "journal/eucom-ndmc"

[broker]
host = "localhost"
authority = "ca.pem"
certificate = "eucom.pem"
key = "eucom.key"

[officers.watch-1]
name = "Watch officer"
credential = "{HASHED}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    link_file.save(a_link(), tmp_path / "link.toml")
    for name in ("ca.pem", "eucom.pem", "eucom.key"):
        (tmp_path / name).touch(0o600)
    endpoint(tmp_path, ENDPOINT)
    return tmp_path


def endpoint(folder: Path, text: str) -> Path:
    path = folder / "endpoint.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


# --- the link file ------------------------------------------------------------------------------------------------


def test_a_link_file_is_written_and_read(tmp_path: Path) -> None:
    content = a_link()
    link_file.save(content, tmp_path / "link.toml")

    again = link_file.load(tmp_path / "link.toml")

    assert again == content
    assert again.digest == content.digest
    assert 'grace = "15m"' in (tmp_path / "link.toml").read_text(encoding="utf-8")


def test_a_full_disk_leaves_the_link_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "link.toml"
    link_file.save(a_link(), path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(UserError, match=r"link\.toml: cannot be written: File too large"):
            link_file.save(a_link("other"), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert list(tmp_path.iterdir()) == [path]
    assert link_file.load(path) == a_link()


def test_the_digest_covers_the_content_not_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "link.toml"
    text = link_file.dump(a_link()).decode()
    path.write_bytes(("# remark\r\n" + text.replace('grace = "15m"', 'grace  =  "900s"')).encode())

    assert link_file.load(path).digest == a_link().digest
    path.write_text(text.replace('site = "Moscow"', 'site = "Tver"'), encoding="utf-8")
    assert link_file.load(path).digest != a_link().digest


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('link = "eucom-ndmc"', 'link = "Eucom/Ndmc"', "link: expected text in quotes of at most 32 lower-case"),
        ("epoch = 1", "epoch = 0", "epoch: expected a whole number >= 1"),
        ("epoch = 1", 'epoch = "1"', "epoch: expected a whole number, got text in quotes"),
        ("epoch = 1", "", "epoch: missing"),
        ("epoch = 1", "epoch = 1\nepock = 2", "epock: unknown key; did you mean epoch?"),
        ('grace = "15m"', "grace = 900", "policy.grace: write the duration in quotes"),
        ('grace = "15m"', "grace_s = 900", "policy.grace_s: unknown key; write it without the unit: grace"),
        ('grace = "15m"', 'grace = "15 minutes"', "policy.grace: not a duration such as 30s, 10m, 2h"),
        ('grace = "15m"', 'grace = "0s"', "policy.grace: expected a whole number >= 1"),
        ('flash = "10m"', 'flash = "600"', "policy.handling.flash: not a duration"),
        ('placed_by = "service"', 'placed_by = "machine"', "policy.placed_by: invalid enum value 'machine'"),
        ("0 9,17 * * *", "0 0 9,17 * * *", "policy.slots[0]: not five fields"),
        ('zone = "Europe/Moscow"', 'zone = "Moscow"', "parties.ndmc.zone: not a time zone such as Europe/Berlin"),
        ('zone = "Europe/Moscow"', "", "parties.ndmc.zone: missing"),
        ('zone = "Europe/Moscow"', 'zone = "UTC"\ncolour = 1', "parties.ndmc.colour: unknown key; known keys: name"),
        ('answering = "ndmc"', 'answering = "eucom"', "answering: the same party as caller"),
        ('answering = "ndmc"', 'answering = "tass"', "parties: found eucom, ndmc; name exactly caller"),
        ('test_language = "ru"', 'test_language = "fr"', "policy.test_language: fr is not in policy.languages"),
        (
            '"air_pursuit"',
            '"critical_infrastructure"',
            "policy.categories: the category critical",
        ),
        ('"air_pursuit"', '"complaint"', "policy.categories[1]: invalid enum value 'complaint'"),
    ],
)
def test_a_wrong_key_of_a_link_file_is_named_with_the_right_form(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    path = tmp_path / "link.toml"
    text = link_file.dump(a_link()).decode()
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")

    with pytest.raises(UserError, match=re.escape(f"{path}: {complaint}")) as refused:
        link_file.load(path)

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "empty; a link file was expected"),
        (b"# nothing\n", "empty; a link file was expected"),
        (b"\x00\x01\x02\xff", "line 1: not UTF-8 text"),
        ("epoch = 1\nlink = 'линия'".encode("cp1251"), "line 2: not UTF-8 text"),
        ("link = 'x'".encode("utf-16"), "not UTF-8 text"),
        (b"\x00\x00", "not TOML"),
        (b"{}", "not TOML"),
        (b"a = " + b"[" * 100_000, "not a"),
        (b"a = 1\n" * 200_000, "larger than 1048576 bytes, so not a link file"),
    ],
)
def test_another_kind_of_file_is_refused_in_one_line(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "link.toml"
    path.write_bytes(content)

    with pytest.raises(UserError, match=re.escape(complaint)) as refused:
        link_file.load(path)

    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


def test_folders_missing_files_pipes_and_impossible_names_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, complaint in [
        (tmp_path, "a folder; a link file was expected"),
        (tmp_path / "none", "no such file; a link file was expected"),
        (tmp_path / "pipe", "not a regular file; a link file was expected"),
        (tmp_path / "pipe" / "x", "cannot be read: Not a directory"),
        # the wording depends on the Python version
        (Path("a\0b"), "cannot be read: "),
        (Path("x" * 5_000), "cannot be read: File name too long"),
    ]:
        with pytest.raises(UserError, match=re.escape(complaint)):
            link_file.load(path)


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "link.toml"
    path.touch(0o000)
    user = os.geteuid()
    if user == 0:
        # root can read everything
        os.seteuid(65_534)
    try:
        with pytest.raises(UserError, match="this user may not read it"):
            link_file.load(path)
    finally:
        os.seteuid(user)


# --- endpoint.toml ------------------------------------------------------------------------------------------------


def test_settings_are_frozen_and_their_paths_relative_to_the_file(folder: Path) -> None:
    found = settings.load_endpoint(folder / "endpoint.toml", {})

    assert found.side == "eucom"
    assert found.broker.identity == "eucom"
    assert found.broker.addresses == (Address("localhost", 8883),)
    assert found.control == folder / "control.sock"
    assert found.keys == folder / "keys"
    assert found.links[0].journal == folder / "journal" / "eucom-ndmc"
    assert found.link(None).content.peer_of("eucom") == "ndmc"
    assert found.exercise_clock is None
    assert found.officers["watch-1"].name == "Watch officer"
    with pytest.raises(AttributeError):
        found.side = "ndmc"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('side = "eucom"', 'side = "tass"', "side: tass is not a party of link eucom-ndmc"),
        ('side = "eucom"', "", "side: missing"),
        ('host = "localhost"', "", "broker.host: missing"),
        ('host = "localhost"', 'host = "localhost"\nport = 70000', "broker.port: expected a whole number <= 65535"),
        (
            'host = "localhost"',
            'host = "localhost"\naddresses = ["h1"]',
            "broker.addresses: broker.host is there, too",
        ),
        ('host = "localhost"', "addresses = []", "broker.addresses: "),
        ('host = "localhost"', 'addresses = ["h1:8883", "h1"]', "broker.addresses: h1:8883 twice; name each node once"),
        ('host = "localhost"', 'addresses = ["h1", "h2:x"]', "broker.addresses[1]: not a port from 1 to 65535: 'x'"),
        ('host = "localhost"', 'addresses = ["h1", "h2;8883"]', "broker.addresses[1]: expected a host name such as"),
        ('host = "localhost"', 'addresses = ["h1:"]', "broker.addresses: expected a host with its port, such as"),
        ('host = "localhost"', 'addresses = ["::1"]', "broker.addresses: expected a host with its port, such as"),
        ('host = "localhost"', 'hots = "localhost"', "broker.hots: unknown key; did you mean host?"),
        ('key = "eucom.key"', 'key = "none.key"', "broker.key: no such file:"),
        ('side = "eucom"', 'side = "eucom"\nlanguage = "fr"', "language: invalid enum value 'fr'"),
        (
            'side = "eucom"',
            f'side = "eucom"\ncontrol = "{"x" * 100}"',
            "control: the path of this socket has",
        ),
        pytest.param(
            HASHED, "correct-horse", "officers.watch-1.credential: not a hashed credential", id="credential not hashed"
        ),
        ("officers.watch-1", 'officers."Watch 1"', "officers: a key: expected text in quotes of at most 32"),
        ("[officers.watch-1]", "[officers]\n[notifications]", "notifications.name: unknown key"),
        (
            "[officers.watch-1]",
            '[notifications]\nwebhook = "example"\n[officers.watch-1]',
            "notifications.webhook: not",
        ),
        (
            "[[links]]",
            '[[links]]\nfile = "link.toml"\njournal = "a"\n[[links]]',
            "links[1].file: link eucom-ndmc",
        ),
    ],
)
def test_a_wrong_key_of_an_endpoint_s_settings_is_named(folder: Path, old: str, new: str, complaint: str) -> None:
    assert old in ENDPOINT
    path = endpoint(folder, ENDPOINT.replace(old, new, 1))

    with pytest.raises(UserError, match=re.escape(f"{path}: {complaint}")) as refused:
        settings.load_endpoint(path, {})

    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_looked_at_is_said_in_one_line(folder: Path) -> None:
    path = endpoint(folder, ENDPOINT.replace('key = "eucom.key"', f'key = "{"x" * 300}"', 1))

    with pytest.raises(UserError, match=r"/x{300}: File name too long$"):
        settings.load_endpoint(path, {})


def test_an_endpoint_without_officers_is_refused(folder: Path) -> None:
    path = endpoint(folder, ENDPOINT.split("[officers", maxsplit=1)[0] + "[officers]\n")

    with pytest.raises(UserError, match="officers: none, so nobody can answer"):
        settings.load_endpoint(path, {})


@pytest.mark.parametrize(("name", "what"), [("endpoint.toml", "endpoint configuration"), ("eucom.key", "private key")])
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_private_file_that_others_can_read_is_refused(folder: Path, name: str, what: str, mode: int) -> None:
    (folder / name).chmod(mode)

    with pytest.raises(UserError, match=re.escape(f"{name}: this {what} is open to others (mode {mode:04o})")):
        settings.load_endpoint(folder / "endpoint.toml", {})


@pytest.mark.parametrize(
    ("load", "name", "complaint"),
    [
        (settings.load_endpoint, "link.toml", "a link file; an endpoint configuration (endpoint.toml) was expected"),
        (settings.load_endpoint, "watch.toml", "a watch configuration (watch.toml); an endpoint configuration (endp"),
        (settings.load_endpoint, "side.toml", "a side file (deconflict enrol); an endpoint configuration (endpoint"),
        (settings.load_watch, "endpoint.toml", "an endpoint configuration (endpoint.toml); a watch configuration (w"),
        (settings.load, "link.toml", "a link file; a configuration (endpoint.toml or watch.toml) was expected"),
        (settings.load, "side.toml", "a side file (deconflict enrol); a configuration (endpoint.toml or watch.toml) w"),
        (link_file.load, "endpoint.toml", "an endpoint configuration (endpoint.toml); a link file was expected"),
        (link_file.load, "watch.toml", "a watch configuration (watch.toml); a link file was expected"),
        (side_file.load, "link.toml", "a link file; a side file (deconflict enrol) was expected"),
        (settings.load_endpoint, "none", "no such file; an endpoint configuration (endpoint.toml) was expected"),
    ],
)
def test_another_of_the_links_own_files_is_named(
    folder: Path, load: Callable[[Path], object], name: str, complaint: str
) -> None:
    watch = ENDPOINT.replace('side = "eucom"', 'identity = "watch"').split("[officers", maxsplit=1)[0]
    (folder / "watch.toml").write_text(watch, encoding="utf-8")
    (folder / "side.toml").write_bytes(side_file.dump("eucom", a_link().parties["eucom"]))

    with pytest.raises(UserError, match=re.escape(f"{folder / name}: {complaint}")):
        load(folder / name)


def test_the_command_that_runs_a_configuration_is_named(folder: Path) -> None:
    own = folder / "our link"
    own.mkdir()
    watch, endpoint = own / "watch.toml", own / "endpoint.toml"
    watch.write_text(ENDPOINT.replace('side = "eucom"', 'identity = "watch"'), "utf-8")
    endpoint.write_text(ENDPOINT, "utf-8")
    with pytest.raises(UserError, match=re.escape(f"was expected; to run it: deconflict watch '{watch}'")):
        settings.load_endpoint(watch)
    with pytest.raises(UserError, match=re.escape(f"was expected; to run it: deconflict run '{endpoint}'")):
        settings.load_watch(endpoint)


def test_an_error_in_a_link_file_names_the_link_file(folder: Path) -> None:
    (folder / "link.toml").write_bytes(b"")

    with pytest.raises(UserError, match=re.escape(f"{folder / 'link.toml'}: empty")):
        settings.load_endpoint(folder / "endpoint.toml", {})


def test_several_links_need_a_choice_and_separate_journals(folder: Path) -> None:
    link_file.save(a_link("syria"), folder / "syria.toml")
    second = '[[links]]\nfile = "syria.toml"\njournal = "journal/syria"\n'
    path = endpoint(folder, ENDPOINT + second)
    found = settings.load_endpoint(path, {})

    assert found.link("syria").id == "syria"
    with pytest.raises(UserError, match="choose one with --link: eucom-ndmc, syria"):
        found.link(None)
    with pytest.raises(UserError, match="no link 'korea' here; links: eucom-ndmc, syria"):
        found.link("korea")

    endpoint(folder, ENDPOINT + second.replace("journal/syria", "journal/../journal/eucom-ndmc"))
    with pytest.raises(UserError, match="already is the journal of eucom-ndmc"):
        settings.load_endpoint(path, {})


def test_the_exercise_clock_is_refused_on_an_actual_link(folder: Path) -> None:
    path = endpoint(folder, 'exercise_clock = "exercise.clock"\n' + ENDPOINT)
    assert settings.load_endpoint(path, {}).exercise_clock == folder / "exercise.clock"
    beside_us = settings.load_endpoint(path, {"DECONFLICT_EXERCISE_CLOCK": "other.clock"})
    assert beside_us.exercise_clock == Path("other.clock").absolute()

    link_file.save(a_link(status="actual"), folder / "link.toml")
    with pytest.raises(UserError, match="exercise_clock: the status of link eucom-ndmc is actual"):
        settings.load_endpoint(path, {})
    with pytest.raises(UserError, match="exercise_clock: the status of link"):
        settings.load_endpoint(endpoint(folder, ENDPOINT), {"DECONFLICT_EXERCISE_CLOCK": "x"})


def test_the_environment_takes_precedence_over_the_file(folder: Path) -> None:
    secret = folder / "webhook"
    secret.write_text("https://pager.example/secret\n", encoding="utf-8")

    found = settings.load_endpoint(
        folder / "endpoint.toml",
        {
            "DECONFLICT_BROKER_HOST": "broker",
            "DECONFLICT_BROKER_PORT": "1883",
            "DECONFLICT_WEBHOOK_FILE": str(secret),
        },
    )

    assert found.broker.addresses == (Address("broker", 1883),)
    assert found.notifications.webhook == "https://pager.example/secret"
    for wrong in ("0", "65536", "x", "-1", "٣"):
        with pytest.raises(UserError, match="DECONFLICT_BROKER_PORT: not a port"):
            settings.load_endpoint(folder / "endpoint.toml", {"DECONFLICT_BROKER_PORT": wrong})
    with pytest.raises(UserError, match=r"no such file; a secret \(DECONFLICT_WEBHOOK_FILE\) was expected"):
        settings.load_endpoint(folder / "endpoint.toml", {"DECONFLICT_WEBHOOK_FILE": "/none"})


def test_a_broker_may_have_several_addresses(folder: Path) -> None:
    path = endpoint(folder, ENDPOINT.replace('host = "localhost"', 'addresses = ["h1:8884", "h2", "[::1]:1", "[::1]"]'))

    found = settings.load_endpoint(path, {}).broker.addresses

    assert found == (Address("h1", 8884), Address("h2", 8883), Address("::1", 1), Address("::1", 8883))
    assert [str(each) for each in found] == ["h1:8884", "h2:8883", "[::1]:1", "[::1]:8883"]


def test_addresses_in_the_environment_take_precedence_and_one_word_alone_counts(folder: Path) -> None:
    listed = endpoint(folder, ENDPOINT.replace('host = "localhost"', 'addresses = ["h1", "h2"]'))

    def found(**environment: str) -> tuple[Address, ...]:
        named = {f"DECONFLICT_BROKER_{name}": value for name, value in environment.items()}
        return settings.load_endpoint(listed, named).broker.addresses

    assert found(ADDRESSES="b1:1, b2") == (Address("b1", 1), Address("b2"))
    assert found(HOST="b", PORT="1") == (Address("b", 1),)
    for wrong, complaint in (
        ({"ADDRESSES": "b1", "HOST": "b"}, "DECONFLICT_BROKER_ADDRESSES: DECONFLICT_BROKER_HOST is set, too"),
        ({"ADDRESSES": "b1", "PORT": "1"}, "DECONFLICT_BROKER_ADDRESSES: DECONFLICT_BROKER_PORT is set, too"),
        ({"PORT": "1"}, "DECONFLICT_BROKER_PORT: .* has broker.addresses"),
        ({"ADDRESSES": "b1,,b2"}, r"DECONFLICT_BROKER_ADDRESSES\[1\]: expected a host name"),
        ({"ADDRESSES": ",".join(f"b{number}" for number in range(17))}, "ADDRESSES: 16 addresses at most"),
    ):
        with pytest.raises(UserError, match=complaint):
            found(**wrong)


# --- watch.toml ---------------------------------------------------------------------------------------------------

WATCH = ENDPOINT.split("[officers", maxsplit=1)[0].replace('side = "eucom"', "")


def test_the_watch_may_have_officers_keys_and_a_dead_man_url(folder: Path) -> None:
    path = folder / "watch.toml"
    path.write_text(WATCH + '[dead_man]\nurl = "https://hc.example/1"\nevery = "30s"\n', encoding="utf-8")

    found = settings.load_watch(path, {})

    assert (found.side, found.dead_man.url, found.dead_man.every_s) == ("watch", "https://hc.example/1", 30)
    assert found.keys is None
    assert not found.officers
    assert not found.roster
    path.write_text('keys = "signing"\n' + path.read_text("utf-8"), "utf-8")
    assert settings.load_watch(path, {}).keys == folder / "signing"
    assert isinstance(settings.load(path, {}), settings.WatchSettings)
    officers = "[officers" + ENDPOINT.partition("[officers")[2]
    path.write_text(path.read_text("utf-8") + officers, "utf-8")
    with pytest.raises(UserError, match="this watch configuration is open to others"):
        settings.load_watch(path, {})
    path.chmod(0o600)
    found, endpoint = settings.load_watch(path, {}), settings.load_endpoint(folder / "endpoint.toml", {})
    assert found.officers == endpoint.officers
    assert found.roster == endpoint.roster
    path.write_text(path.read_text("utf-8").replace("scrypt$", "crypt$"), "utf-8")
    with pytest.raises(UserError, match=r"officers\.[a-z0-9-]+\.credential: not a hashed credential"):
        settings.load_watch(path, {})
    path.write_text(path.read_text("utf-8").replace("crypt$", "scrypt$"), "utf-8")
    assert isinstance(settings.load(folder / "endpoint.toml", {}), settings.EndpointSettings)
    assert settings.load_watch(path, {"DECONFLICT_PING": "https://hc.example/2"}).dead_man.url == "https://hc.example/2"


def test_the_watch_cannot_have_a_party_s_identity(folder: Path) -> None:
    path = folder / "watch.toml"
    path.write_text('identity = "ndmc"\n' + WATCH, encoding="utf-8")

    with pytest.raises(
        UserError, match="identity: ndmc is a party of link eucom-ndmc; the watch needs an identity of its own"
    ):
        settings.load_watch(path, {})


def test_any_single_changed_byte_loads_or_gives_a_one_line_error(folder: Path) -> None:
    whole = link_file.dump(a_link())
    path = folder / "link.toml"
    for position in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[position] ^= 1 << (position % 8)
        path.write_bytes(changed)
        complaint = ""
        with suppress(UserError):
            try:
                link_file.load(path)
            except UserError as error:
                complaint = str(error)
                raise
        assert not complaint or complaint.startswith(f"{path}: ")
        assert "\n" not in complaint


def test_settings_can_be_encoded_as_json(folder: Path) -> None:
    found = settings.load_endpoint(folder / "endpoint.toml", {})

    assert b"eucom" in msgspec.json.encode(found, enc_hook=str)
