"""Every certificate is renewed under a running line, from the same authority and from new ones; no message is lost."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from broker import pairs
from broker.pki import Authority
from tests.support.station import ALL
from tests.support.supervised_station import SupervisedStation

pytestmark = pytest.mark.integration


class Line(SupervisedStation):
    """A station whose certificates are requested, signed and installed by commands."""

    def cert(self, *words: str | Path, code: int = 0) -> str:
        done = self.deconflict("cert", *map(str, words))
        assert done.returncode == code, done.stderr
        return done.stdout

    def tls(self, name: str) -> Path:
        return self.folder / "d" / name / "tls"

    def renew(self, name: str, authority: Path, *more: str | Path) -> None:
        """Request, sign and install a new certificate of a process or of the broker."""
        place, stem = (self.folder / "d", "server") if name == "broker" else (self.config(name), "client")
        signed = self.folder / f"{name}.crt"
        signed.unlink(missing_ok=True)
        self.cert("request", place, "--json")
        self.cert("sign", authority, self.tls(name) / f"{stem}.csr", "--identity", name, "--yes", "--out", signed)
        self.cert("renew", place, signed, "--yes", *more)


@pytest.fixture
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with Line.of(tmp_path_factory) as line:
        line.begin()
        yield line


def serial(path: Path) -> int:
    return x509.load_pem_x509_certificates(path.read_bytes())[0].serial_number


def test_every_certificate_is_renewed_under_a_running_line(line: Line) -> None:
    home = line.folder / "d"
    line.exchanged()

    # --- the same authority: a client's is used at its next connection, the broker's at once for new connections
    for name in ALL:
        line.renew(name, home / "authority")
    before = serial(line.tls("broker") / "server.crt")
    line.renew("broker", home / "authority")
    assert serial(line.tls("broker") / "server.crt") != before
    line.said("listening", 2)
    line.connected(*ALL)
    line.exchanged()
    shown = json.loads(line.cert("show", home, "--json"))
    assert shown["ok"] is True
    assert len(shown["places"]) == 5

    # --- a new authority: first everybody trusts it, then everybody uses it, then nobody trusts the old one
    line.cert("authority", line.folder / "next", "--json")
    fresh = line.folder / "next"
    for name in ALL:
        line.cert("trust", line.config(name), fresh / "ca.crt", "--yes")
    line.cert("trust", home, fresh / "ca.crt", "--yes")
    line.said("listening", 3)
    line.connected(*ALL)
    line.exchanged()
    for name in ALL:
        line.renew(name, fresh)
    line.renew("broker", fresh)
    line.said("listening", 4)
    line.connected(*ALL)
    line.exchanged()
    old = next(
        each["fingerprint"]
        for each in json.loads(line.cert("show", line.config("eucom"), "--json"))["places"][0]["certificates"]
        if each["whose"] == "trusted"
        and each["issued_to"] != Authority.load(fresh).certificate.subject.rfc4514_string()[3:]
    )
    line.cert("trust", home, "--drop", old, "--yes")
    for name in ALL:
        line.cert("trust", line.config(name), "--drop", old[:16], "--yes")
    line.said("listening", 5)
    line.connected(*ALL)
    line.exchanged()
    # the former authority's certificates are of no use any more: everybody is connected with their new ones
    for name in ALL:
        assert Authority.load(fresh).certificate == x509.load_pem_x509_certificate(
            (line.tls(name) / "ca.crt").read_bytes()
        )
    line.settled()
    link = ("--link-file", str(line.link_file()))
    assert line.deconflict("reconcile", *(str(line.journal(side)) for side in ("eucom", "ndmc")), *link).returncode == 0
    assert line.applied("ndmc") == [("eucom", seq) for seq in range(1, 1 + len(line.applied("ndmc")))]


def test_a_crash_between_certificate_and_key_leaves_a_pair_that_connects(line: Line) -> None:
    home, tls = line.folder / "d", line.tls("eucom")
    line.cert("request", line.config("eucom"), "--json")
    signed = line.folder / "eucom.crt"
    line.cert("sign", home / "authority", tls / "client.csr", "--identity", "eucom", "--yes", "--out", signed)
    # what `cert renew` does before it is killed
    shutil.copy(signed, tls / "installing")
    os.replace(tls / "installing", tls / "client.crt")  # noqa: PTH105 - as a crash leaves it
    assert pairs.key_for(signed.read_bytes(), tls / "client.key") == tls / "client.key.next"

    line.stop("eucom")
    line.launch("eucom")
    line.connected("eucom")
    line.exchanged()
    # and a repeated command finishes
    line.cert("renew", line.config("eucom"), signed, "--yes")
    assert sorted(path.name for path in tls.iterdir()) == ["ca.crt", "client.crt", "client.key"]
    assert pairs.key_for(signed.read_bytes(), tls / "client.key") == tls / "client.key"


def test_sides_with_authorities_of_their_own_share_a_broker(line: Line) -> None:
    home = line.folder / "d"
    for side in ("eucom", "ndmc"):
        own = home / side / "authority"
        line.cert("authority", own, "--identity", side, "--json")
        shutil.copy(own / "ca.crt", line.folder / f"{side}-ca.crt")
        line.cert("trust", home, line.folder / f"{side}-ca.crt", "--identity", side, "--yes")
    line.said("listening", 2)
    for side in ("eucom", "ndmc"):
        line.renew(side, home / side / "authority")
        line.stop(side)
        line.launch(side)
    line.connected(*ALL)
    line.exchanged()
    for side in ("eucom", "ndmc"):
        done = line.deconflict("doctor", str(line.config(side)))
        assert (done.returncode, done.stdout) == (0, "")
