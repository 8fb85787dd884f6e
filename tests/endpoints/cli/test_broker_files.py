"""`broker --configure`: the broker's files made anew from link files."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest
from msgspec import structs

from broker import files
from broker.access import grants
from broker.pki import Authority
from endpoints.config import link_file
from endpoints.config.link_file import LinkFile
from tests.support.broker_site import now
from tests.support.two_sides import TwoSides, run

AIR = "eucom-ndmc-air"


@pytest.fixture
def sides(tmp_path: Path) -> TwoSides:
    return TwoSides(tmp_path / "s")


def further(sides: TwoSides, link: str = AIR, **parties: str) -> LinkFile:
    content = sides.content("eucom")
    renamed = {side: parties.get(side, side) for side in content.parties}
    terms = structs.replace(content.terms, link=link, caller=renamed["eucom"], answering=renamed["ndmc"])
    return structs.replace(
        content, terms=terms, parties={renamed[side]: each for side, each in content.parties.items()}
    )


def test_links_are_added_and_removed_and_the_rest_stays(sides: TwoSides, capsys: pytest.CaptureFixture[str]) -> None:
    first, air = sides.file("eucom"), sides.hand_over(further(sides), "air.toml")
    own = sides.folder / "broker"
    configuration = own / "mosquitto.conf"
    configuration.write_text(configuration.read_text().replace("listener 8883 127.0.0.1", "listener 18883 0.0.0.0"))

    assert run("broker", sides.folder, "--configure", first, air, "--yes", "--json") == 0

    out, err = capsys.readouterr()
    document = json.loads(out)
    assert (document["address"], document["port"], document["restart"]) == ("0.0.0.0", 18883, True)
    assert f"  + link {AIR}, EXERCISE: added, for eucom, ndmc, watch\n" in err
    assert "    link eucom-ndmc, EXERCISE: as before, for eucom, ndmc, watch\n" in err
    assert grants((own / "acl").read_text(), "eucom", "write", f"deconfliction/v1/{AIR}/eucom/message")
    assert stat.S_IMODE((own / "acl").stat().st_mode) == 0o600

    assert run("broker", sides.folder, "--configure", first, "--yes") == 0
    assert f"  - link {AIR}: removed; " in capsys.readouterr().err
    assert not grants((own / "acl").read_text(), "eucom", "write", f"deconfliction/v1/{AIR}/eucom/message")
    assert "listener 18883 0.0.0.0" in configuration.read_text()
    assert run("broker", sides.folder, "--configure", first, "--yes") == 0
    assert "nothing changes" in capsys.readouterr().err
    assert sorted(path.name for path in own.iterdir()) == ["acl", "data", "health", "mosquitto.conf", "tls"]


def test_another_party_and_a_rule_of_ours_that_is_none(sides: TwoSides, capsys: pytest.CaptureFixture[str]) -> None:
    acl = sides.folder / "broker" / "acl"
    acl.write_text(f"{acl.read_text()}\nuser spy\ntopic read #\n")
    other = sides.hand_over(further(sides, "eucom-ndmc", eucom="centcom"))

    assert run("broker", sides.folder, "--configure", other, "--yes", "--json") == 0

    out, err = capsys.readouterr()
    assert json.loads(out)["dropped"] == ["user spy: topic read #"]
    assert "  - a rule that is of no link goes: user spy: topic read #\n" in err
    assert "  * link eucom-ndmc, EXERCISE: for centcom, ndmc, watch in place of " in err


def test_what_contradicts_itself_is_refused_and_nothing_is_written(
    sides: TwoSides, capsys: pytest.CaptureFixture[str]
) -> None:
    first, own = sides.file("eucom"), sides.folder / "broker"
    before = {path: path.read_bytes() for path in own.iterdir() if path.is_file()}
    for content, more, complaint in (
        (further(sides, "eucom-ndmc", eucom="centcom"), (), "link eucom-ndmc is between centcom, ndmc, and in"),
        (further(sides, eucom="broker"), (), "broker: this name is reserved"),
        (further(sides, eucom="watch"), (), f"{AIR}: give its two endpoints and the watch three different names"),
        (further(sides), ("--listen", "a b"), "--listen: expected a host name"),
        (further(sides), ("--port", "0"), "--port: expected a port"),
    ):
        file = sides.hand_over(content)
        assert run("broker", sides.folder, "--configure", first, file, *more, "--yes") == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert complaint in err
        assert {path: path.read_bytes() for path in own.iterdir() if path.is_file()} == before
    assert run("broker", sides.folder / "eucom", "--configure", first, "--yes") == 2
    assert "no such folder" in capsys.readouterr().err
    assert run("broker", sides.folder, "--yes") == 2


def test_the_files_are_printed_and_not_written(sides: TwoSides, capsys: pytest.CaptureFixture[str]) -> None:
    acl = sides.folder / "broker" / "acl"
    assert run("broker", sides.folder, "--print", "acl") == 0
    assert capsys.readouterr().out == acl.read_text()
    air = sides.hand_over(further(sides))
    before = acl.read_bytes()
    for what in ("acl", "conf", "rabbitmq"):
        assert run("broker", sides.folder, "--configure", air, "--print", what) == 0
    assert acl.read_bytes() == before
    assert json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))["vhosts"] == [{"name": "/"}]
    assert run("broker", sides.folder, "--print", "rabbitmq") == 2
    link_file.load(air)


def test_the_configuration_of_a_rabbitmq_cluster_is_printed_and_nothing_is_written(
    sides: TwoSides, capsys: pytest.CaptureFixture[str]
) -> None:
    own = sides.folder / "broker"
    before = {path: path.stat().st_mtime_ns for path in own.rglob("*")}
    named = ("--node", "mq-1", "--node", "mq-2", "--node", "mq-3")
    assert run("broker", sides.folder, "--print", "rabbitmq.conf", *named, "--port", "18883", "--listen", "::") == 0

    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert [line for line in lines if "nodes" in line and line[0] != "#"] == [
        f"cluster_formation.classic_config.nodes.{number} = rabbit@mq-{number}" for number in (1, 2, 3)
    ]
    assert "mqtt.listeners.ssl.1 = :::18883" in lines
    # as a file for RabbitMQ: each line is a comment, empty, or one setting
    assert all(not line or line[0] == "#" or re.fullmatch(r"[a-z0-9_.]+ = \S+", line) for line in lines)

    # without a folder of ours, as on a node's machine
    assert run("broker", sides.folder / "elsewhere", "--print", "rabbitmq.conf") == 0
    assert "cluster_formation.classic_config.nodes.3 = rabbit@r3" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in own.rglob("*")} == before


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--print", "rabbitmq.conf", "--node", "a", "--node", "b"], "a, b: give an odd number of different nodes"),
        (["--print", "rabbitmq.conf", "--node", "R 1"], "'R 1': not a short host name, which has 1 to 32 lower-case"),
        (["--print", "rabbitmq.conf", "--node", "r1.example.org"], "'r1.example.org': not a short host name"),
        (["--print", "rabbitmq.conf", "--port", "0"], "--port: expected a port from 1 to 65535, found 0"),
        (["--print", "rabbitmq.conf", "--listen", "two words"], "--listen: expected a host name such as"),
        (["--print", "rabbitmq.conf", "--json"], "--json: not with --print rabbitmq.conf"),
        (["--node", "r1"], "--node: only with --print rabbitmq.conf"),
        (["--print", "rabbitmq", "--node", "r1"], "--node: only with --print rabbitmq.conf"),
        (["--print", "rabbitmq"], "--print rabbitmq: needs the link files: --configure LINK_FILE..."),
    ],
)
def test_what_cannot_be_printed_for_rabbitmq_is_one_line(
    sides: TwoSides, words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("broker", sides.folder, *words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"deconflict: {complaint}")
    assert err.count("\n") == 1


def test_a_folder_that_trusts_the_authority_of_a_side_gets_no_rabbitmq(
    sides: TwoSides, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """RabbitMQ would accept any certificate of that authority (tests/cluster)."""
    own = Authority.make(tmp_path / "own", now(), "eucom")
    trusted = sides.folder / "broker" / "tls" / "ca.crt"
    trusted.write_bytes(trusted.read_bytes() + files.pem(own.certificate))

    assert run("broker", sides.folder, "--print", "rabbitmq.conf") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"deconflict: {trusted}: trusts the own authority of eucom; RabbitMQ would accept ")
    assert err.count("\n") == 1
