"""The console's settings: where it listens, what browsers show, and that none of our private keys is opened."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from endpoints.config import default_terms, link_file
from endpoints.config.console_settings import ConsoleSettings, TcpListen, UnixListen, load_console
from endpoints.config.settings import load
from endpoints.errors import UserError
from tests.support.installation import installed

HERE, ELSEWHERE = "http://localhost:8440", "https://console.example.org"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("made"))


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """Return the folder of the calling side, with a certificate and a key for browsers."""
    shutil.copytree(made, tmp_path / "d", symlinks=True)
    side = tmp_path / "d" / default_terms.terms().caller
    for name in ("console.crt", "console.key"):
        (side / "tls" / name).touch(0o600)
    return side


def console(folder: Path, *lines: str, name: str = "endpoint.toml", **environment: str) -> ConsoleSettings:
    path = folder / name
    if lines:
        path.write_text(path.read_text("utf-8") + "\n[console]\n" + "\n".join(lines) + "\n", "utf-8")
    return load_console(path, environment)


TLS = ('certificate = "tls/console.crt"', 'key = "tls/console.key"')


def test_without_a_table_both_sides_and_the_watch_have_their_port_at_localhost(folder: Path) -> None:
    found = console(folder)
    assert (found.listen, found.origin) == (TcpListen("localhost", 8440), HERE)
    assert (found.session_s, found.board_texts, found.language) == (43_200, False, "en")
    assert (found.side, found.watch, found.status, found.configured) == ("eucom", False, "exercise", False)
    assert found.control == folder / "control.sock"
    assert [link.id for link in found.links] == [default_terms.LINK]
    assert console(folder.parent / "ndmc").origin == "http://localhost:8441"
    watch = console(folder.parent / "watch", name="watch.toml")
    assert (watch.origin, watch.watch, watch.side) == ("http://localhost:8442", True, "watch")


@pytest.mark.parametrize(
    ("lines", "listen", "origin"),
    [
        (('listen = "localhost"',), TcpListen("localhost", 8440), HERE),
        (('listen = "localhost:9000"',), TcpListen("localhost", 9000), "http://localhost:9000"),
        (('listen = "127.0.0.1:9000"',), TcpListen("127.0.0.1", 9000), "http://localhost:9000"),
        (('listen = "[::1]:9000"',), TcpListen("::1", 9000), "http://localhost:9000"),
        (('listen = "[::1]"',), TcpListen("::1", 8440), HERE),
        (('listen = "localhost:9000"', *TLS), TcpListen("localhost", 9000), "https://localhost:9000"),
        # a proxy on this machine has the certificate
        (('listen = "localhost:9000"', f'origin = "{ELSEWHERE}:443"'), TcpListen("localhost", 9000), ELSEWHERE),
        (('listen = "console.example.org:443"', *TLS), TcpListen("console.example.org", 443), ELSEWHERE),
        (('listen = "0.0.0.0:9000"', *TLS, f'origin = "{ELSEWHERE}"'), TcpListen("0.0.0.0", 9000), ELSEWHERE),
        (
            ('listen = "10.0.0.1:9000"', *TLS, 'origin = "https://[fd00::1]:9000"'),
            TcpListen("10.0.0.1", 9000),
            "https://[fd00::1]:9000",
        ),
        # published at the machine's loopback address, as a container is
        (('listen = "0.0.0.0:8440"', f'origin = "{HERE}"'), TcpListen("0.0.0.0", 8440), HERE),
    ],
)
def test_an_address_is_taken_with_what_browsers_show(
    folder: Path, lines: tuple[str, ...], listen: TcpListen, origin: str
) -> None:
    found = console(folder, *lines)
    assert (found.listen, found.origin) == (listen, origin)
    assert found.configured


def test_behind_a_proxy_it_listens_at_a_socket_of_the_folder(folder: Path) -> None:
    found = console(folder, 'listen = "unix:run/console.sock"', f'origin = "{ELSEWHERE}"')
    assert found.listen == UnixListen(folder / "run" / "console.sock")
    assert found.origin == ELSEWHERE


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        (('listen = "0.0.0.0:8440"',), "console.certificate: missing, and others can connect to 0.0.0.0"),
        (('listen = "eucom.example.org"',), "console.certificate: missing, and others can connect to eucom.example"),
        (('listen = "10.0.0.1:8440"', f'origin = "{ELSEWHERE}"'), "console.certificate: missing, and others can"),
        (('listen = "10.0.0.1:8440"', *TLS), "console.origin: missing; name the address that browsers show"),
        (('origin = "http://localhost"', *TLS), "console.origin: with a certificate, the origin begins with https://"),
        (TLS[:1], "console.key: missing; console.certificate is there"),
        (TLS[1:], "console.certificate: missing; console.key is there"),
        (('certificate = "x.crt"', 'key = "tls/console.key"'), "console.certificate: no such file: "),
        (('listen = "unix:console.sock"',), "console.origin: missing; name the address that browsers show, behind"),
        (
            ('listen = "unix:console.sock"', *TLS, f'origin = "{ELSEWHERE}"'),
            "console.certificate: of no use at a Unix socket",
        ),
        ((f'listen = "unix:{"x" * 108}"', f'origin = "{ELSEWHERE}"'), "console.listen: the path of this socket has"),
        (('listen = "localhost:x"',), "console.listen: not a port from 1 to 65535: 'x'"),
        (('listen = "a b"',), "console.listen: expected a host name"),
        (('origin = "http://console.example.org"',), "console.origin: without TLS, a console is only for browsers at"),
        (('origin = "http://127.0.0.1:8440"',), "console.origin: without TLS, a console is only for browsers at http"),
        (('origin = "https://console.example.org/x"',), "console.origin: expected an origin such as http://localhost"),
        (('origin = "https://user@console.example.org"',), "console.origin: expected an origin such as"),
        (('origin = "localhost:8440"',), "console.origin: expected an origin such as"),
        (('origin = "https://a:99999"',), "console.origin: expected an origin such as"),
        (('session = "5s"',), "console.session: expected a whole number >= 60"),
        (('session = "48h"',), "console.session: expected a whole number <= 86400"),
        (("session = 12",), "console.session: write the duration in quotes with its unit"),
        (('sessions = "12h"',), "console.sessions: unknown key; did you mean session?"),
        (('language = "de"',), "console.language: invalid enum value 'de'"),
    ],
)
def test_a_wrong_table_is_one_line_that_names_the_key(folder: Path, lines: tuple[str, ...], wrong: str) -> None:
    with pytest.raises(UserError) as error:
        console(folder, *lines)
    text = str(error.value)
    assert text.startswith(f"{folder / 'endpoint.toml'}: {wrong}")
    assert "\n" not in text


def test_the_environment_takes_precedence(folder: Path) -> None:
    found = console(
        folder,
        'listen = "localhost:9000"',
        DECONFLICT_CONSOLE_LISTEN="0.0.0.0:8440",
        DECONFLICT_CONSOLE_ORIGIN=HERE,
        DECONFLICT_LANG="ru",
    )
    assert (found.listen, found.origin, found.language) == (TcpListen("0.0.0.0", 8440), HERE, "ru")
    with pytest.raises(UserError, match=r"^DECONFLICT_CONSOLE_ORIGIN: without TLS"):
        console(folder, DECONFLICT_CONSOLE_ORIGIN="http://elsewhere")
    with pytest.raises(UserError, match=r"^DECONFLICT_CONSOLE_LISTEN: not a port"):
        console(folder, DECONFLICT_CONSOLE_LISTEN="localhost:x")


def test_a_console_has_a_language_of_its_own(folder: Path) -> None:
    assert console(folder, 'language = "ru"').language == "ru"


def test_links_of_two_statuses_are_refused(folder: Path) -> None:
    file = link_file.load(folder.parent / "link.toml")
    terms = file.terms
    policy = msgspec.structs.replace(terms.policy, status="actual")
    other = msgspec.structs.replace(terms, link="other", policy=policy)
    link_file.save(msgspec.structs.replace(file, terms=other), folder.parent / "other.toml")
    path = folder / "endpoint.toml"
    path.write_text(
        path.read_text("utf-8") + '\n[[links]]\nfile = "../other.toml"\njournal = "journal/other"\n', "utf-8"
    )
    with pytest.raises(UserError, match="link eucom-ndmc is exercise, link other is actual; a console shows links of"):
        console(folder)


@pytest.mark.parametrize("file", ["endpoint.toml", "tls/console.key"])
def test_what_others_can_read_or_change_is_refused(folder: Path, file: str) -> None:
    path = folder / "endpoint.toml"
    path.write_text(path.read_text("utf-8") + "\n[console]\n" + "\n".join(TLS) + f'\norigin = "{ELSEWHERE}"\n', "utf-8")
    assert console(folder).certificate
    (folder / file).chmod(0o666)
    with pytest.raises(UserError, match=r"make it private: chmod 600|others may change"):
        console(folder)


SCRIPT = """
import sys
opened = []
sys.addaudithook(lambda event, arguments: event == "open" and opened.append(str(arguments[0])))
from pathlib import Path
from endpoints.config.console_settings import load_console
load_console(Path(sys.argv[1]))
print([each for each in opened if str(Path(sys.argv[1]).parents[1]) in each])
"""


def test_no_key_of_the_endpoint_is_opened_and_none_need_be_there(folder: Path) -> None:
    config = folder / "endpoint.toml"
    command = [sys.executable, "-c", SCRIPT, str(config)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    opened = [config, folder.parent / "link.toml"]
    assert sorted(set(shown.strip("[]\n").replace("'", "").split(", "))) == sorted(map(str, opened))
    shutil.rmtree(folder / "keys")
    shutil.rmtree(folder / "tls")
    assert console(folder).origin == HERE
    with pytest.raises(UserError, match="no such file"):
        load(config)


def test_a_note_of_a_channel_is_this_sides_and_its_channel_is_one_of_the_policy(folder: Path) -> None:
    ids = [each.id for each in default_terms.terms().policy.channels]
    found = console(folder, "[console.channels]", f'{ids[0]} = "+49 611 0000"')
    assert found.channel_notes == {ids[0]: "+49 611 0000"}
    path = folder / "endpoint.toml"
    path.write_text(path.read_text("utf-8").replace(f"\n{ids[0]} = ", "\nnowhere = "), "utf-8")
    with pytest.raises(UserError, match=f"console.channels.nowhere: no link has this channel; there are: .*{ids[0]}"):
        load_console(path, {})
