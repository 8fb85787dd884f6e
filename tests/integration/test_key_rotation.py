"""A side's signing key is rotated under load: nothing is lost, doubled or refused (SPEC F5.4 to F5.6)."""

from __future__ import annotations

import signal
import threading
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from endpoints.cli.log import log_verify
from endpoints.cli.reconcile import reconcile
from endpoints.cli.replay import replay
from endpoints.config import default_terms, link_file
from endpoints.config.link_file import WatchEntry
from endpoints.config.toml_edit import editing
from endpoints.control import client
from endpoints.keys.signer import generate
from protocol.wire.policy import EnrolledKey
from tests.attacks.scene import with_keys
from tests.support.exchange import words_asked
from tests.support.station import ALL, LINK, SIDES, Station

pytestmark = pytest.mark.integration

HYBRID = "ed25519+ml-dsa-65"


def reload(station: Station, name: str) -> dict[str, Any]:
    return client.reload(station.config(name).parent / "control.sock")


class Rotation:
    """The keys of `side` in a running station, and the link files that were in force."""

    def __init__(self, station: Station, side: str) -> None:
        self.station = station
        self.side = side
        self.folder = station.config(side).parent / "keys"
        self.file = link_file.load(station.link_file())
        self.old = self.file.keys[side]
        self.new = generate(self.folder, self.file.terms.policy.suite)
        self.kept = [self._keep()]

    def _keep(self) -> Path:
        path = self.station.folder / f"link-{len(list(self.station.folder.glob('link-*.toml')))}.toml"
        link_file.save(self.file, path)
        return path

    def install(self, *keys: EnrolledKey) -> None:
        """Enrol these keys for the side, in the link file that all processes read at their next reload."""
        self.file = with_keys(self.file, **{self.side: keys})
        link_file.save(self.file, self.station.link_file())
        self.kept.append(self._keep())

    def accept(self, *names: str) -> None:
        """Have each process take the link file over, and its officer accept the keys."""
        for name in names:
            assert reload(self.station, name)["restarted"] == [LINK]
            self.agree(name)

    def agree(self, name: str) -> None:
        alarm = self.station.alarm(name, f"keys_changed/{self.file.digest[:16]}")
        words = words_asked(self.file, alarm["words_from"])
        officer, subject = default_terms.officers(name)[0], alarm["subject"]
        self.station.act(name, officer, "acknowledge-alarm", code="keys_changed", subject=subject, words=words)

    def signed_with(self) -> set[str]:
        """Return the ids of the keys that have signed the last frame of the side."""
        frames = [
            frame for record in self.station.records(self.side, "BatchClosed") for frame in record.get("frames", [])
        ]
        envelope = msgspec.json.decode(b64decode(frames[-1]))
        return {each["keyid"] for each in envelope["signatures"]}


def ids(keys: Sequence[EnrolledKey]) -> set[str]:
    return {key.id for key in keys}


@contextmanager
def load(station: Station) -> Iterator[dict[str, list[str]]]:
    """Raise alerts at both sides without a pause; yield the references of each side."""
    done, answered = threading.Event(), {side: list[str]() for side in SIDES}

    def write(side: str) -> None:
        while not done.is_set():
            answered[side].append(station.alert(side))

    writers = [threading.Thread(target=write, args=(side,)) for side in SIDES]
    for writer in writers:
        writer.start()
    try:
        yield answered
    finally:
        done.set()
        for writer in writers:
            writer.join()


def agreed(station: Station, files: Sequence[Path], answered: dict[str, list[str]]) -> None:
    """Check that each message arrived once, that no frame was refused, and that every signature verifies."""
    station.settled()
    for side, peer in (SIDES, SIDES[::-1]):
        arrived = [f"{side}/1/{seq}" for sender, seq in station.applied(peer) if sender == side]
        assert len(set(arrived)) == len(arrived)
        assert set(answered[side]) <= set(arrived)
    given = tuple(files)
    for name in ALL:
        assert station.effects(name, "RejectFrame") == []
        assert log_verify(str(station.journal(name)), link_file=given) == 0
        assert replay(str(station.journal(name))) == 0
    eucom, ndmc, watch = (str(station.journal(name)) for name in ALL)
    assert reconcile(eucom, ndmc, watch=watch, link_file=given) == 0


@pytest.mark.parametrize("suite", ["ed25519", HYBRID])
def test_a_key_is_rotated_without_silence(tmp_path_factory: pytest.TempPathFactory, suite: str) -> None:
    with Station.of(tmp_path_factory, suite=suite) as station:
        station.start(*ALL)
        rotation = Rotation(station, "eucom")
        # prepared, and not enrolled yet: it signs nothing
        assert reload(station, "eucom")["restarted"] == []
        with load(station) as answered:
            rotation.install(*rotation.old, *rotation.new)
            rotation.accept("eucom")
            # the other side and the watch have not even the file yet
            station.alert()
            assert rotation.signed_with() == ids([*rotation.old, *rotation.new])
            rotation.accept("ndmc", "watch")

            rotation.install(*rotation.new)
            # the peer is first: of both signatures, the new one counts there
            rotation.accept("ndmc")
            before = len(answered["eucom"])
            station.until(lambda: len(answered["eucom"]) > before + 1)
            # what is unreceipted now has both signatures, and is signed again with the new key
            ndmc = station.processes["ndmc"].popen
            ndmc.send_signal(signal.SIGSTOP)
            try:
                waiting = [station.alert() for _ in range(3)]
                assert reload(station, "eucom")["restarted"] == [LINK]
                waiting.append(station.alert())
                assert rotation.signed_with() == ids(rotation.new)
                station.until(lambda: bool(station.status("eucom")["outbox"]["in_flight"] >= 3))
            finally:
                ndmc.send_signal(signal.SIGCONT)
            rotation.agree("eucom")
            rotation.accept("watch")
            for key in rotation.old:
                (rotation.folder / f"{key.id}.pem").unlink()
            assert reload(station, "eucom")["restarted"] == []
        answered["eucom"] += waiting
        for name in ALL:
            assert not [key for key in station.alarms(name) if key.startswith("bad_frames")]
        agreed(station, rotation.kept, answered)
        # the next start finds the new key alone
        assert station.stop("eucom") == 0
        station.start("eucom")


def test_a_key_is_replaced_at_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without overlap: the side is silent until its officer accepts, and what waited arrives afterwards, once."""
    with Station.of(tmp_path_factory) as station:
        station.start(*ALL)
        rotation = Rotation(station, "eucom")
        ndmc = station.processes["ndmc"].popen
        ndmc.send_signal(signal.SIGSTOP)
        try:
            answered = {"eucom": [station.alert() for _ in range(2)], "ndmc": []}
            assert rotation.signed_with() == ids(rotation.old)
            rotation.install(*rotation.new)
            assert reload(station, "eucom")["restarted"] == [LINK]
            answered["eucom"].append(station.alert())
            assert rotation.signed_with() == ids(rotation.old)
            station.until(lambda: bool(station.status("eucom")["outbox"] == {"waiting": 1, "in_flight": 2}))
            rotation.agree("eucom")
            station.until(lambda: rotation.signed_with() == ids(rotation.new))
        finally:
            ndmc.send_signal(signal.SIGCONT)
        rotation.accept("ndmc", "watch")
        station.settled()
        arrived = [f"{sender}/1/{seq}" for sender, seq in station.applied("ndmc") if sender == "eucom"]
        assert arrived == answered["eucom"]


def test_the_key_of_the_watch_is_rotated(tmp_path_factory: pytest.TempPathFactory) -> None:
    """SPEC E1.9: its heads verify under the link file before, between and after."""
    with Station.of(tmp_path_factory) as station:
        station.start("watch")
        file, folder = link_file.load(station.link_file()), station.config("watch").parent / "keys"
        old, new = file.watch_keys, generate(folder)
        kept = []
        for number, keys in enumerate([old, (*old, *new), new]):
            changed = structs.replace(file, watch=WatchEntry(keys=keys))
            link_file.save(changed, station.link_file())
            kept.append(station.folder / f"link-{number}.toml")
            link_file.save(changed, kept[-1])
            reload(station, "watch")
            # a reload that changes something ends a run with a signed head, by the keys of the file before
            with editing(station.config("watch")) as document:
                document["officers"][f"other-{number}"] = dict(document["officers"]["observer-1"])
            reload(station, "watch")
            assert head_signed_with(station) == ids(keys)
        for key in old:
            (folder / f"{key.id}.pem").unlink()
        assert station.stop("watch") == 0
        assert head_signed_with(station) == ids(new)
        assert log_verify(str(station.journal("watch")), link_file=tuple(kept)) == 0


def head_signed_with(station: Station) -> set[str]:
    """Return the ids of the keys that have signed the last head of the watch."""
    head = msgspec.json.decode(station.records("watch", "Closed")[-1]["signed_head"])
    return {each["keyid"] for each in head["signatures"]}
