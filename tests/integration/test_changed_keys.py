"""Changed keys in the link file of a running station, as officers see and accept them at the command line."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import structs

from endpoints.config import link_file
from endpoints.keys.signer import Signer
from tests.attacks.scene import ROGUE, with_keys
from tests.support.exchange import words_asked
from tests.support.station import Station


def at_a_terminal(*words: str, typed: bytes) -> tuple[int, str]:
    """Run a command at a terminal and type when it asks for words; return its exit code and what it says."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "endpoints.cli.main", *words, "--lang", "en"], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 65_536):
            said += piece
            if said.endswith(b"reads them: "):
                os.write(ours, typed)
    except OSError:
        # the command has closed the terminal
        pass
    os.close(ours)
    code, text = process.wait(30), said.decode()
    assert "Traceback" not in text, text
    return code, text


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        station.start("eucom", "ndmc", "watch")
        yield station


@pytest.mark.parametrize(("name", "officer"), [("eucom", "watch-1"), ("watch", "observer-1")])
def test_an_officer_accepts_a_changed_key(station: Station, name: str, officer: str) -> None:
    before = link_file.load(station.link_file())
    rogue = structs.replace(ROGUE.enrolled[0], id=f"rogue-{name}")
    file = with_keys(before, ndmc=(*before.keys["ndmc"][:1], rogue))
    assert station.stop(name) == 0
    link_file.save(file, station.link_file())
    station.start(name)
    alarm = station.alarm(name, "keys_changed")
    key, first = f"keys_changed/{file.digest[:16]}", alarm["words_from"]
    config = str(station.config(name))

    said = station.deconflict("status", config, "--lang", "en")
    assert said.returncode == 11
    assert f"{key}  the link file has other keys under the same epoch (critical)" in said.stdout
    assert f"added ndmc/rogue-{name} (" in said.stdout
    assert f"compare the fingerprint by voice, then acknowledge with words {first} to {first + 2}" in said.stdout
    listed = station.deconflict("alarms", "list", config, "--lang", "ru").stdout
    assert f"добавлены: ndmc/rogue-{name} (" in listed
    assert f"сверьте отпечаток голосом и примите к сведению со словами с {first} по {first + 2}" in listed

    proof = ("--officer", officer, "--credential-file", str(station.credential_file(name, officer)))
    acknowledge = ("alarms", "acknowledge", config, key, *proof)
    right = words_asked(file, first)
    for words, wrong in (
        ((), f"--words: give words {first} to {first + 2} of the new link file's fingerprint"),
        (("--words", "acorn airport"), "--words: expected 3 words of the fingerprint, found 2"),
        (("--words", " ".join(reversed(right))), f"type words {first} to {first + 2} of the new link file's"),
    ):
        refused = station.deconflict(*acknowledge, *words)
        assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1), refused
        assert wrong in refused.stderr
    assert at_a_terminal(*acknowledge, typed=b"\x04")[0] == 2
    assert station.alarm(name, "keys_changed")["subject"] == file.digest[:16]

    done = station.deconflict(*acknowledge, "--words", " ".join(right).upper())
    assert (done.returncode, done.stdout.strip()) == (0, key), done
    station.until(lambda: key not in station.alarms(name))
    (act,) = station.records(name, "AlarmAcknowledged")
    assert (act["officer"], act["words"]) == (officer, list(right))
    again = station.deconflict(*acknowledge, "--words", " ".join(right))
    assert again.returncode == 2


def test_a_key_of_our_own_that_nobody_has_accepted_does_not_sign_beside_the_old_one(station: Station) -> None:
    """SPEC F5.6: the start says what to do instead."""
    before = link_file.load(station.link_file())
    assert station.stop("ndmc") == 0
    keys = station.config("ndmc").parent / "keys"
    old = next(keys.glob("*.pem"))
    kept = old.read_bytes()
    old.unlink()
    seed = keys / "ndmc-next.raw"
    seed.touch(0o600)
    seed.write_bytes(bytes([78]) * 32)
    fresh = Signer({"ndmc-next": Ed25519PrivateKey.from_private_bytes(bytes([78]) * 32)}).enrolled[0]
    link_file.save(with_keys(before, ndmc=(before.keys["ndmc"][0], fresh)), station.link_file())
    refused = station.deconflict("run", str(station.config("ndmc")))
    assert refused.returncode == 2
    assert "no officer has accepted key ndmc-next yet" in refused.stderr
    assert "keep signing with that one until the alarm keys_changed is acknowledged" in refused.stderr
    seed.unlink()
    old.touch(0o600)
    old.write_bytes(kept)
    station.start("ndmc")
