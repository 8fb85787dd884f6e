"""Collected logs in which a side, or the keeper of the logs, has changed a record and made it look like an accident.

Three verdicts are kept apart: intact (0), incomplete or cut in transport (3), changed by someone (4). A changed record
is never in the verdict "intact". What a log system does to honest lines is never "changed".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from protocol.core.events import OfficerRaisedAlert
from protocol.record.journal import decode
from tests.attacks.forge import line_of, records
from tests.attacks.scene import Scene, moved
from tests.golden.continuing import deconflict, printed, rich
from tests.support.log_systems import LogSystem, cri, docker_json_file, journald, prefixed

Lines = list[bytes]
SERVICE = b"Attaching to eucom-1\n"
ORDINARY = b'{"at":"2022-11-29T08:00:00.000Z","level":"info","side":"eucom","event":"listening"}\n'


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene.of_a_day(tmp_path_factory.mktemp("day"))


@pytest.fixture
def scene(honest: Scene, tmp_path: Path) -> Scene:
    """The journals of the day, beside which each test writes its logs."""
    (tmp_path / "journal").symlink_to(honest.folder / "journal")
    return Scene(tmp_path)


def lines(scene: Scene, side: str = "eucom") -> Lines:
    return [line_of(record) + b"\n" for record in scene.records(side)]


def kept(scene: Scene, log: Sequence[bytes], name: str = "eucom.log") -> str:
    """Write a log into a file and return its name."""
    (scene.folder / name).write_bytes(b"".join(log))
    return name


def verdict(scene: Scene, log: Sequence[bytes], *words: str) -> tuple[int, str, list[dict[str, int]]]:
    """Return what `log verify` says about a log in a file."""
    run = scene.verify(kept(scene, log), *words)
    assert run.document["intact"] == (run.document["verdict"] == "intact")
    return run.exit, run.document["verdict"], run.document["missing"]


def alert(log: Lines) -> int:
    """Return the index of the record of the alert that is to be denied."""
    return next(index for index, line in enumerate(log) if b"OfficerRaisedAlert" in line)


def reworded(line: bytes) -> bytes:
    """Return a line with another text of the alert, as a person edits it: well-formed, with the old hash."""
    changed = line.replace(b'"en":"', b'"en":"Not ')
    assert changed != line
    return changed


def escaped(line: bytes) -> bytes:
    """Return a line as a system writes it that has read it as JSON: other characters than ASCII are escaped."""
    return json.dumps(json.loads(line), separators=(",", ":")).replace("/", "\\/").encode()


# --- no false accusation ------------------------------------------------------------------------------------------

SYSTEMS: dict[str, LogSystem] = {
    "service lines": lambda log: [SERVICE, *(each for line in log for each in (ORDINARY, line)), b"\n"],
    "escape codes": prefixed(b"\x1b[2K\x1b[36meucom-1  |\x1b[0m "),
    "json-file": docker_json_file(300),
    "cri": cri(300),
    "journald": journald(300),
    "syslog": prefixed(b"Nov 29 08:00:0%d host eucom[123]: ", 700),
    "backwards": lambda log: [*reversed(log)],
    "written anew as JSON": lambda log: [escaped(line) + b"\n" for line in log],
    "written anew within an object": lambda log: [b'{"date":1.5,"parsed":%b}\n' % escaped(line) for line in log],
    "an array of objects": lambda log: [json.dumps([{"message": line.decode()} for line in log]).encode()],
    "twice": lambda log: [*log, *log[5:]],
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_log_systems_do_is_no_change(scene: Scene, name: str) -> None:
    for side in ("eucom", "ndmc"):
        log = kept(scene, SYSTEMS[name](lines(scene, side)), f"{side}.log")
        run = scene.verify(log)
        assert (run.exit, run.document["verdict"], run.document["problems"]) == (0, "intact", [])
        assert deconflict(scene.folder, ["replay", log, "--json"]).exit == 0
        assert rich(scene.folder, ["log", "show", log, "--lang", "en"])
    assert scene.reconcile("eucom.log", "ndmc.log").exit == 0
    assert scene.reconcile("eucom.log", "journal/ndmc").exit == 0
    assert scene.reconcile("journal/eucom", "ndmc.log").exit == 0


@pytest.mark.parametrize("cut", [1, 9, 60, 200, -100, -3])
def test_a_cut_line_is_incomplete_and_named(scene: Scene, cut: int) -> None:
    log = lines(scene)
    at = alert(log)
    log[at] = log[at][:cut] + b"\n"
    assert verdict(scene, log) == (3, "incomplete", [{"first": at + 1, "last": at + 1}])
    assert "INCOMPLETE" in printed(scene.folder, ["log", "verify", "eucom.log", "--lang", "en"])
    assert "НЕПОЛОН" in printed(scene.folder, ["log", "verify", "eucom.log", "--lang", "ru"])


# --- a record that was changed ------------------------------------------------------------------------------------


def test_a_reworded_record_is_a_change(scene: Scene) -> None:
    log = lines(scene)
    at = alert(log)
    log[at] = reworded(log[at])
    for name in ("service lines", "escape codes", "backwards"):
        assert verdict(scene, SYSTEMS[name](log)) == (4, "changed", [])
    for system in (docker_json_file(), cri(), journald()):
        assert verdict(scene, system(log)) == (4, "changed", [])
    # an honest copy beside it does not excuse it
    assert verdict(scene, [*lines(scene), log[at]])[:2] == (4, "changed")


DISGUISES: dict[str, Callable[[bytes], bytes]] = {
    "its end cut": lambda line: line[:-40] + b"\n",
    "its beginning cut": lambda line: line[30:],
    "in two pieces": lambda line: line[:300] + b"\n" + line[300:],
    "in pieces of Docker": lambda line: b"".join(docker_json_file(300)([line])),
    "in pieces of CRI": lambda line: b"".join(cri(300)([line])),
    "with a character replaced": lambda line: line.replace(b'"Not ', '"Not \N{REPLACEMENT CHARACTER}'.encode()),
    "with NUL bytes": lambda line: line.replace(b'"Not ', b'"\0\0\0\0'),
    "with a timestamp within": lambda line: line.replace(b'"Not ', b'"Not 2022-11-29T08:00:00.123456789Z '),
    "with two characters replaced": lambda line: line.replace(
        b'"Not ', ('"Not ' + "\N{REPLACEMENT CHARACTER}" * 2).encode()
    ),
    "left out": lambda _: b"",
    "written anew as JSON": lambda line: escaped(line) + b"\n",
    "as a service line": lambda _: ORDINARY,
}


@pytest.mark.parametrize("name", DISGUISES)
def test_a_reworded_record_that_looks_cut_is_missing_and_never_shown(scene: Scene, name: str) -> None:
    log = lines(scene)
    at = alert(log)
    log[at] = DISGUISES[name](reworded(log[at]))
    code, said, missing = verdict(scene, log)
    assert (code, said) in {(3, "incomplete"), (4, "changed")}
    if said == "incomplete":
        assert missing == [{"first": at + 1, "last": at + 1}]
    assert "Not " not in printed(scene.folder, ["log", "show", "eucom.log", "--json"])
    assert deconflict(scene.folder, ["replay", "eucom.log", "--json"]).exit in {3, 4}
    assert scene.reconcile("eucom.log", "journal/ndmc").exit in {3, 4}


def test_a_reworded_record_with_a_hash_of_its_own_is_a_change(scene: Scene) -> None:
    log = lines(scene)
    at = alert(log)
    body = reworded(log[at])[: -len(',"hash":"') - 64 - len('"}\n')]
    log[at] = b'%b,"hash":"%b"}\n' % (body, sha256(body).hexdigest().encode())
    assert decode(log[at].rstrip(b"\n")).n == at + 1
    assert verdict(scene, log)[:2] == (4, "changed")
    # also without the record that contradicts it: the next one does not follow
    assert verdict(scene, [*log[: at + 1], *log[at + 2 :]])[:2] in {(3, "incomplete"), (4, "changed")}


def test_a_log_that_was_run_again_is_contradicted_by_the_other_side(scene: Scene) -> None:
    """Its own keys sign it anew: no log of one side can show that; the other side's can."""
    forged = scene.forged("eucom", moved(60_000, lambda record: isinstance(record.entry, OfficerRaisedAlert)))
    log = [line_of(record) + b"\n" for record in records(scene.folder / forged)]
    assert verdict(scene, log)[0] == 0
    kept(scene, SYSTEMS["json-file"](lines(scene, "ndmc")), "ndmc.log")
    assert scene.reconcile("eucom.log", "ndmc.log").exit == 6


def test_no_flipped_bit_of_a_record_is_accepted(scene: Scene) -> None:
    log = lines(scene)
    at = alert(log)
    for place in range(0, len(log[at]) - 1, 23):
        changed = bytearray(log[at])
        changed[place] ^= 1
        code, said, _ = verdict(scene, [*log[:at], bytes(changed), *log[at + 1 :]])
        assert (code, said) in {(3, "incomplete"), (4, "changed")}, place


# --- which records are there --------------------------------------------------------------------------------------


def test_every_record_that_is_left_out_is_named(scene: Scene) -> None:
    log = lines(scene)
    for at in range(len(log) - 1):
        missing = [{"first": at + 1, "last": at + 1}]
        assert verdict(scene, [*log[:at], *log[at + 1 :]]) == (3, "incomplete", missing)


def test_a_truncated_log_is_found_by_a_head_from_elsewhere(scene: Scene) -> None:
    log = lines(scene)
    head = decode(log[-1].rstrip(b"\n")).hash
    assert verdict(scene, log, "--expect-head", head)[0] == 0
    assert verdict(scene, log[:-1], "--expect-head", head)[:2] == (3, "incomplete")
