"""`broker --configure --serve`: the files of a broker that is bridged to those of the other sides."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tests.support.two_sides import TwoSides, run


@pytest.fixture
def sides(tmp_path: Path) -> TwoSides:
    return TwoSides(tmp_path / "s")


def test_a_bridge_is_made_signed_kept_and_ended(sides: TwoSides, capsys: pytest.CaptureFixture[str]) -> None:
    link, own = sides.file("eucom"), sides.folder / "broker"
    place = own / "bridge" / "ndmc"
    serve = ("--serve", "eucom", "--bridge-to", "ndmc=broker.ndmc.example")

    assert run("broker", sides.folder, "--configure", link, *serve, "--yes", "--json") == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert (document["serves"], document["bridges"]) == ("eucom", {"ndmc": "broker.ndmc.example:8883"})
    assert "  * ndmc: over a bridge to its broker at broker.ndmc.example:8883, as bridge-eucom\n" in err
    assert "deconflict cert sign authority bridge-eucom.csr --identity bridge-eucom" in err
    assert stat.S_IMODE((place / "client.key").stat().st_mode) == 0o600

    # the other broker's operator signs; here, it is the same authority
    request = sides.folder / "bridge-eucom.csr"
    request.write_bytes((place / "client.csr").read_bytes())
    assert run("cert", "sign", sides.folder / "authority", request, "--identity", "bridge-eucom", "--yes") == 0
    authority = sides.folder / "authority" / "ca.crt"
    assert run("cert", "renew", place, request.with_suffix(".crt"), "--authority", authority, "--yes") == 0
    assert "`deconflict broker` starts Mosquitto again for it" in capsys.readouterr().err
    assert stat.S_IMODE((place / "client.key").stat().st_mode) == 0o600
    assert run("cert", "show", sides.folder) == 0
    assert "bridge/ndmc: bridge-eucom" in capsys.readouterr().out

    before = (own / "mosquitto.conf").read_text()
    assert run("broker", sides.folder, "--configure", link, "--yes") == 0
    assert "    ndmc: over a bridge to its broker" in capsys.readouterr().err
    assert (own / "mosquitto.conf").read_text() == before
    assert run("broker", sides.folder, "--configure", link, "--no-bridges", "--yes") == 0
    assert "  * no bridges any more: it serves all sides\n" in capsys.readouterr().err
    assert "connection" not in (own / "mosquitto.conf").read_text().replace("connection_messages", "").split()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--serve", "eucom", "--no-bridges"), "--no-bridges: not with --serve or --bridge-to"),
        (("--bridge-to", "ndmc=b"), "--bridge-to: needs the side that this broker serves"),
        (("--serve", "eucom", "--bridge-to", "b:8883"), "--bridge-to: expected SIDE=HOST:PORT"),
        (("--serve", "eucom", "--bridge-to", "ndmc=b:0"), "--bridge-to"),
        (("--serve", "eucom", "--bridge-to", "ndmc=b", "--bridge-to", "ndmc=c"), "ndmc twice"),
        (("--serve", "centcom"), "serves the links of centcom alone"),
        (("--serve", "eucom", "--bridge-to", "centcom=b"), "centcom: no link has it as its other side"),
        (("--serve", "eucom", "--print", "rabbitmq"), "RabbitMQ is not bridged here"),
    ],
)
def test_what_contradicts_itself_is_refused(
    sides: TwoSides, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], why: str
) -> None:
    before = (sides.folder / "broker" / "mosquitto.conf").read_text()
    assert run("broker", sides.folder, "--configure", sides.file("eucom"), *words, "--yes") == 2
    assert why in capsys.readouterr().err
    assert (sides.folder / "broker" / "mosquitto.conf").read_text() == before


def test_both_sides_of_a_link_are_named_in_russian(sides: TwoSides, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--configure", sides.file("eucom"), "--serve", "centcom", "--yes", "--lang", "ru")
    assert run("broker", sides.folder, *words) == 2
    assert "соединяет стороны eucom и ndmc;" in capsys.readouterr().err


def test_rabbitmq_is_printed_from_a_bridged_folder_without_bridges(
    sides: TwoSides, capsys: pytest.CaptureFixture[str]
) -> None:
    configured = ("broker", sides.folder, "--configure", sides.file("eucom"))
    assert run(*configured, "--serve", "eucom", "--yes") == 0
    assert run(*configured, "--print", "rabbitmq") == 2
    assert "RabbitMQ is not bridged here; give --no-bridges instead of --serve" in capsys.readouterr().err
    assert run(*configured, "--print", "rabbitmq", "--no-bridges") == 0
    assert json.loads(capsys.readouterr().out)["users"]


def test_an_address_is_shown_as_it_is_given(sides: TwoSides, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--serve", "eucom", "--bridge-to", "ndmc=[2001:db8::1]:8884", "--yes", "--json")
    assert run("broker", sides.folder, "--configure", sides.file("eucom"), *words) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["bridges"] == {"ndmc": "[2001:db8::1]:8884"}
    assert "its broker at [2001:db8::1]:8884, as" in err
    # Mosquitto takes what is behind the last colon for the port
    assert "address 2001:db8::1:8884\n" in (sides.folder / "broker" / "mosquitto.conf").read_text()


@pytest.mark.parametrize("option", ["--serve", "--watch"])
def test_what_is_written_into_the_files_needs_link_files(
    option: str, sides: TwoSides, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("broker", sides.folder, option, "eucom") == 2
    assert f"{option}: only with --configure LINK_FILE..." in capsys.readouterr().err


def test_no_link_files_remove_no_link(sides: TwoSides, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("broker", sides.folder, "--configure", sides.file("eucom"), "--yes") == 0
    before = (sides.folder / "broker" / "acl").read_bytes()
    capsys.readouterr()
    assert run("broker", sides.folder, "--yes", "--configure") == 2
    assert "--configure: name the link files of all links of this broker" in capsys.readouterr().err
    assert (sides.folder / "broker" / "acl").read_bytes() == before


def test_two_brokers_for_a_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("init", tmp_path / "t", "--bridged", "--port", "18900") == 0
    said = capsys.readouterr().err
    assert f"deconflict broker {tmp_path}/t/brokers/eucom" in said
    eucom, ndmc = (
        (tmp_path / "t" / "brokers" / side / "broker" / "mosquitto.conf").read_text() for side in ("eucom", "ndmc")
    )
    assert "listener 18900 127.0.0.1" in eucom
    assert "address 127.0.0.1:18901" in eucom
    assert "listener 18901 127.0.0.1" in ndmc
    assert "port = 18901" in (tmp_path / "t" / "ndmc" / "endpoint.toml").read_text()
    assert run("init", tmp_path / "u", "--bridged", "--broker-host", "b") == 2
    assert "--bridged: give two hosts" in capsys.readouterr().err
    assert run("init", tmp_path / "u", "--bridged", "--port", "65535") == 2
    assert "--port: expected a port from 1 to 65534, found 65535" in capsys.readouterr().err
