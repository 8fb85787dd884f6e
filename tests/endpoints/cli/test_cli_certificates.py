"""`deconflict cert`: what is refused, in one line, and that nothing has changed then."""

from __future__ import annotations

import json
import re
import shutil
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from broker import files, pairs, requests
from broker.pki import LEAF_DAYS, Authority
from endpoints.cli import main as cli
from endpoints.config import certificate_change, settings, tls_files
from endpoints.errors import UserError
from endpoints.mqtt.tls import client_context
from tests.support import foreign_pki
from tests.support.broker_site import now
from tests.support.foreign_pki import CLIENT, SERVER, dns, name

DAY_MS = 86_400_000


def run(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as exited:
        cli.main([*map(str, words), "--lang", "en"])
    assert isinstance(exited.value.code, int)
    return exited.value.code


class Site:
    """An installation of both sides, with a request of eucom that is open."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.home = folder / "try"
        self.folder = folder
        self.capsys = capsys
        assert run("init", self.home) == 0
        self.config = self.home / "eucom" / "endpoint.toml"
        self.tls = self.home / "eucom" / "tls"
        assert run("cert", "request", self.config) == 0
        capsys.readouterr()
        self.authority = Authority.load(self.home / "authority")

    @property
    def public(self) -> object:
        return files.request_in((self.tls / "client.csr").read_bytes(), at="").public_key()

    def state(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}

    def refused(self, *words: str | Path) -> str:
        """Run a command that fails; return its one line. Nothing may have changed."""
        before = self.state()
        assert run("cert", *words) == 2
        out, err = self.capsys.readouterr()
        *shown, line = err.splitlines()
        assert out == ""
        assert line.startswith("deconflict: ")
        assert "\x1b" not in err
        assert "\u202e" not in err
        assert self.state() == before
        del shown
        return line.removeprefix("deconflict: ")

    def file(self, data: bytes | x509.Certificate, stem: str = "new.crt") -> Path:
        path = self.folder / stem
        path.write_bytes(data if isinstance(data, bytes) else data.public_bytes(Encoding.PEM))
        return path

    def signed(self, identity: str = "eucom") -> Path:
        out = self.folder / f"{identity}.crt"
        assert run("cert", "sign", self.home / "authority", self.tls / "client.csr", "--identity", "eucom", "--yes",
                   "--out", out) == 0  # fmt: skip
        self.capsys.readouterr()
        return out


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Site:
    return Site(tmp_path, capsys)


def test_a_request_leaves_the_pair_in_use_and_is_replaced_only_when_asked(site: Site) -> None:
    broker = settings.load(site.config).broker
    client_context(broker)
    assert stat.S_IMODE((site.tls / "client.key.next").stat().st_mode) == 0o600
    line = site.refused("request", site.config)
    assert line == "nothing was done: there is no terminal to ask; what is shown is done with --yes"
    before = (site.tls / "client.csr").read_bytes()
    assert run("cert", "request", site.config, "--yes", "--json") == 0
    out, _ = site.capsys.readouterr()
    assert (site.tls / "client.csr").read_bytes() != before
    told = json.loads(out)
    assert (told["identity"], told["purpose"], told["names"]) == ("eucom", "client", ["eucom"])
    assert len(told["words"]["ru"]) == 16
    assert "--name: only the broker's certificate has host names" in site.refused(
        "request", site.config, "--name", "mq"
    )


def test_a_signed_certificate_is_installed_with_the_key_of_its_request(site: Site) -> None:
    signed = site.signed()
    assert run("cert", "renew", site.config, signed) == 0
    out, err = site.capsys.readouterr()
    assert "issued by     broker authority" in out
    assert "A running process uses it at its next connection to the broker, without a restart." in err
    assert sorted(path.name for path in site.tls.iterdir()) == ["ca.crt", "client.crt", "client.key"]
    client_context(settings.load(site.config).broker)
    # installing it again does nothing
    assert run("cert", "renew", site.config, signed) == 0


def test_the_broker_s_names_are_chosen_and_stay(site: Site) -> None:
    asked = ("--name", "mq.example.org", "--name", "192.0.2.7", "--name", "2001:db8::7")
    assert run("cert", "request", site.home, *asked) == 0
    out = site.folder / "server.crt"
    assert run("cert", "sign", site.home / "authority", site.home / "broker" / "tls" / "server.csr",
               "--identity", "broker", "--yes", "--out", out) == 0  # fmt: skip
    site.capsys.readouterr()
    assert "there is no terminal to ask" in site.refused("renew", site.home, out)
    assert run("cert", "renew", site.home, out, "--yes") == 0
    told, warned = site.capsys.readouterr()
    assert "names         mq.example.org, 192.0.2.7, 2001:db8::7" in told
    assert "the new certificate lacks host names of the present one: localhost, 127.0.0.1, ::1, broker" in warned
    assert run("cert", "request", site.home, "--json") == 0
    told = json.loads(site.capsys.readouterr().out.splitlines()[-1])
    assert told["names"] == ["mq.example.org", "192.0.2.7", "2001:db8::7"]


def installable(site: Site) -> dict[str, Callable[[], x509.Certificate | bytes]]:
    """Return files that `cert renew` refuses, by what it says."""
    ours, issue = name("eucom"), foreign_pki.certificate
    eucom = dns("eucom")
    authority = site.authority
    stranger = Authority.make(site.folder / "stranger", now())
    own = Authority.make(site.folder / "own", now(), "eucom")
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    return {
        "issued to ndmc, not to eucom, whose place this is": lambda: issue(
            authority, name("ndmc"), site.public, names=dns("ndmc")
        ),
        "for another private key than client.key and client.key.next": lambda: issue(
            authority, ours, foreign_pki.key().public_key(), names=eucom
        ),
        "a certificate for a server; one for a client alone was expected": lambda: issue(
            authority, ours, site.public, names=eucom, purposes=[SERVER]
        ),
        "a certificate for a server;": lambda: issue(
            authority, ours, site.public, names=eucom, purposes=[CLIENT, SERVER]
        ),
        "a certificate for another purpose": lambda: issue(authority, ours, site.public, names=eucom, purposes=[]),
        "its alternative names are ''; expected the identity alone": lambda: issue(authority, ours, site.public),
        "its alternative names are 'eucom, ndmc'": lambda: issue(
            authority, ours, site.public, names=dns("eucom", "ndmc")
        ),
        "expired on 1 Feb 2020": lambda: issue(
            authority, ours, site.public, names=eucom, begins=long_ago, ends=long_ago + timedelta(days=31)
        ),
        "not valid before 1 Jan 2090": lambda: issue(
            authority,
            ours,
            site.public,
            names=eucom,
            begins=datetime(2090, 1, 1, tzinfo=UTC),
            ends=datetime(2091, 1, 1, tzinfo=UTC),
        ),
        "not issued by an authority that is known here": lambda: issue(stranger, ours, site.public, names=eucom),
        "the certificate of an authority; expected that of eucom": lambda: authority.certificate,
        "its subject is 'CN=ndmc,CN=eucom'": lambda: issue(authority, name("eucom", "ndmc"), site.public, names=eucom),
        r"'\u202emocue': not an identity": lambda: issue(authority, name("\u202emocue"), site.public, names=eucom),
        "2 PEM blocks; one certificate was expected": lambda: (
            issue(own, ours, site.public, names=eucom).public_bytes(Encoding.PEM) * 2
        ),
        "in DER form; convert it: openssl x509": lambda: issue(authority, ours, site.public).public_bytes(Encoding.DER),
        "not a certificate in PEM form": (site.tls / "client.csr").read_bytes,
        "has a private key in it, which must never be handed over": lambda: (
            (site.tls / "client.crt").read_bytes() + (site.tls / "client.key").read_bytes()
        ),
        "not a certificate in PEM form, or cut off": lambda: issue(
            authority, ours, site.public, names=eucom
        ).public_bytes(Encoding.PEM)[:-70],
        "larger than 65536 bytes, so not a certificate": lambda: b"x" * 70_000,
        "not a certificate in PEM form, or cut": lambda: (
            b"-----BEGIN CERTIFICATE-----\n\x00\xff\n-----END CERTIFICATE-----\n"
        ),
    }


def test_what_is_not_this_place_s_certificate_is_refused(site: Site) -> None:
    for complaint, make in installable(site).items():
        path = site.file(make())
        line = site.refused("renew", site.config, path)
        assert complaint in line, complaint
        assert line.startswith(f"{path}: "), line


def test_files_that_are_no_files_are_refused(site: Site) -> None:
    signed = site.signed()
    assert "a folder; a certificate was expected" in site.refused("renew", site.config, site.folder)
    assert "no such file; a certificate was expected" in site.refused("renew", site.config, site.folder / "none")
    assert "a folder; a certificate request was expected" in site.refused("sign", site.home / "authority", site.folder)
    # a link to a certificate can be read, but what is replaced must be the file itself
    (site.folder / "link.crt").symlink_to(signed)
    kept = site.folder / "kept.crt"
    shutil.move(site.tls / "client.crt", kept)
    (site.tls / "client.crt").symlink_to(kept)
    assert "client.crt: a symbolic link; put the file itself here" in site.refused(
        "renew", site.config, site.folder / "link.crt"
    )
    (site.tls / "client.crt").unlink()
    shutil.move(kept, site.tls / "client.crt")
    assert run("cert", "renew", site.config, site.folder / "link.crt") == 0


def test_signing_shows_what_is_asked_for_and_never_goes_past_the_expected_identity(site: Site) -> None:
    request = site.tls / "client.csr"
    authority = site.home / "authority"
    assert "asks for eucom, not for ndmc" in site.refused("sign", authority, request, "--identity", "ndmc", "--yes")
    assert site.refused("sign", authority, request, "--yes") == (
        "--yes: give --identity as well, the identity that the request must be for"
    )
    assert "client.crt: already exists; name a new file: --out FILE" in site.refused(
        "sign", authority, request, "--identity", "eucom", "--yes"
    )
    assert "--days: expected 1 to 824, found 825" in site.refused("sign", authority, request, "--days", "825")
    old = site.file(requests.make(foreign_pki.key(), "eucom", (), now() - 31 * DAY_MS), "old.csr")
    assert "old.csr: expired: made on" in site.refused("sign", authority, old, "--identity", "eucom", "--yes")
    assert "the folder of an authority was expected here" in site.refused("sign", site.folder, request)
    (authority / "ca.key").chmod(0o640)
    assert "make it private: chmod 600" in site.refused("sign", authority, request)
    (authority / "ca.key").chmod(0o600)
    assert "there is no terminal to ask" in site.refused(
        "sign", authority, request, "--identity", "eucom", "--out", site.folder / "new.crt"
    )
    of_openssl = site.file(foreign_pki.request(foreign_pki.key(), name("ndmc")), "ndmc.csr")
    assert run("cert", "sign", authority, of_openssl, "--identity", "ndmc", "--days", "10", "--yes") == 0
    out, err = site.capsys.readouterr()
    assert out == f"{site.folder}/ndmc.crt\n"
    assert "made          the request does not say when it was made" in err
    assert "valid for     10 days" in err


def test_a_certificate_ends_with_its_authority(site: Site) -> None:
    ending = site.folder / "ending"
    Authority.make(ending, now() - 3_640 * DAY_MS)
    assert run("cert", "sign", ending, site.tls / "client.csr", "--identity", "eucom", "--yes",
               "--out", site.folder / "short.crt") == 0  # fmt: skip
    assert re.search("valid for     [89] days, because the authority ends then", site.capsys.readouterr().err)


def test_a_new_authority_is_trusted_beside_the_old_one_until_that_is_dropped(site: Site) -> None:
    assert run("cert", "authority", site.folder / "next", "--json") == 0
    told = json.loads(site.capsys.readouterr().out)
    fresh = site.folder / "next" / "ca.crt"
    assert "there is no terminal to ask" in site.refused("trust", site.config, fresh)
    signed = site.folder / "eucom.crt"
    assert run("cert", "sign", site.folder / "next", site.tls / "client.csr", "--identity", "eucom", "--yes",
               "--out", signed) == 0  # fmt: skip
    site.capsys.readouterr()
    assert "not issued by an authority that is known here" in site.refused("renew", site.config, signed)
    assert run("cert", "renew", site.config, signed, "--authority", fresh, "--yes", "--json") == 0
    changed = json.loads(site.capsys.readouterr().out)
    assert changed["added"] == told["fingerprint"]
    assert len(changed["trusted"]) == 2
    assert run("cert", "trust", site.config, fresh, "--yes") == 0
    assert "trusts this authority already" in site.capsys.readouterr().err
    client_context(settings.load(site.config).broker)
    old = changed["trusted"][0]
    assert "--drop: 'abcd' is not the beginning of the fingerprint" in site.refused(
        "trust", site.config, "--drop", "abcd"
    )
    assert "there is no terminal to ask" in site.refused("trust", site.config, "--drop", old)
    assert run("cert", "trust", site.config, "--drop", old[:16].upper(), "--yes") == 0
    assert "it is the only authority" in site.refused("trust", site.config, "--drop", told["fingerprint"])
    assert run("cert", "show", site.config) == 0


def test_a_trust_file_that_another_command_has_changed_meanwhile_is_not_replaced(site: Site) -> None:
    tls = tls_files.of(site.config)
    for each in ("one", "two"):
        Authority.make(site.folder / each, now())
    first = certificate_change.addition(tls, site.folder / "one" / "ca.crt", now())
    second = certificate_change.addition(tls, site.folder / "two" / "ca.crt", now())
    certificate_change.install(first)
    with pytest.raises(UserError, match=r"ca\.crt: was changed meanwhile; repeat the command"):
        certificate_change.install(second)
    assert certificate_change.trusted(tls) == [*first.authorities]


def test_show_names_a_request_that_is_too_old_and_a_key_that_is_missing(site: Site) -> None:
    (site.tls / "client.csr").write_bytes(requests.make(foreign_pki.key(), "eucom", (), now() - 31 * DAY_MS))
    for each in ("client.key", "client.key.next"):
        (site.tls / each).unlink()
    assert run("cert", "show", site.config) == 1
    out = site.capsys.readouterr().out
    assert "client.csr: expired: made on" in out
    assert "client.key: no such file; a private key was expected" in out


def test_a_broker_trusts_only_restricted_authorities_of_others(site: Site) -> None:
    own = Authority.make(site.folder / "own", now(), "eucom")
    broad = Authority.make(site.folder / "broad", now())
    for authority, identity, complaint in (
        (broad, "eucom", "this authority could issue a certificate for the other side as well"),
        (own, "ndmc", "this authority issues certificates for eucom, not for ndmc"),
    ):
        path = site.file(authority.certificate, "theirs.crt")
        assert complaint in site.refused("trust", site.home, path, "--identity", identity, "--yes")
        assert "is not beside it, so it is not the operator's own" in site.refused("trust", site.home, path, "--yes")
    assert "trust the ca.crt of the broker's operator" in site.refused(
        "trust", site.config, site.folder / "own" / "ca.crt", "--yes"
    )
    assert "not the certificate of an authority" in site.refused("trust", site.home, site.tls / "client.crt", "--yes")
    assert "--identity: only for an authority that the broker is to trust" in site.refused(
        "trust", site.config, site.folder / "own" / "ca.crt", "--identity", "eucom", "--yes"
    )
    assert "give the ca.crt of an authority to trust, or one to drop" in site.refused("trust", site.config)
    theirs = site.file(own.certificate, "theirs.crt")
    assert run("cert", "trust", site.home, theirs, "--identity", "eucom", "--yes") == 0
    # the same name under another key would hide the first from a broker that looks for it by name
    key = foreign_pki.key()
    twin = foreign_pki.certificate(
        Authority(own.certificate, key), own.certificate.subject, key.public_key(), purposes=(), authority=True
    )
    assert "trust" in site.refused("trust", site.home, site.file(twin, "twin.crt"), "--identity", "eucom", "--yes")


def test_show_counts_the_days_and_names_what_is_wrong(site: Site) -> None:
    assert run("cert", "show", site.home, "--json") == 0
    places = json.loads(site.capsys.readouterr().out)["places"]
    assert [each["identity"] for each in places] == ["eucom", "ndmc", "watch", "broker", "health"]
    assert places[0]["request"]["identity"] == "eucom"
    assert [each["days"] for each in places[0]["certificates"]] == [823, 3_648]

    site.authority.issue_client("ndmc", site.home / "ndmc" / "tls", now() - (LEAF_DAYS - 6) * DAY_MS)
    site.authority.issue_server(site.home / "broker" / "tls", now() - (LEAF_DAYS - 20) * DAY_MS)
    key = foreign_pki.key()
    old = foreign_pki.certificate(site.authority, name("watch"), key.public_key())
    foreign_pki.write_pair(site.home / "watch" / "tls", old, key)
    shutil.copy(site.home / "ndmc" / "tls" / "client.key", site.tls / "client.key")
    (site.tls / "ca.crt").write_bytes(
        (site.tls / "ca.crt").read_bytes() + files.pem(Authority.make(site.folder / "own", now(), "ndmc").certificate)
    )
    tls = site.home / "broker" / "tls"
    (tls / "ca.crt").write_bytes(
        (tls / "ca.crt").read_bytes() + files.pem(Authority.make(site.folder / "broad", now()).certificate)
    )
    assert run("cert", "show", site.home) == 1
    out = site.capsys.readouterr().out
    for each in (
        "ndmc/tls/client.crt: URGENT: ends on",
        "in 4 days; renew it",
        "broker/tls/server.crt: ends on",
        "in 18 days; renew it",
        "eucom/tls/client.key: not the private key of",
        "eucom/tls/ca.crt: trusts the authority of ndmc for the broker's certificate; drop it: deconflict cert trust",
        "watch/tls/client.crt: lacks the identity as DNS name",
        "broker/tls/ca.crt: trusts an authority that can issue certificates for every side",
    ):
        assert each in out, each
    # what a former version has issued goes on to work
    client_context(settings.load(site.home / "watch" / "watch.toml").broker)


@pytest.mark.parametrize("what", ["config", "folder"])
def test_a_place_without_certificates_is_refused(tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "none.toml" if what == "config" else tmp_path
    for words in (["show"], ["request"], ["renew", "new.crt"], ["trust", "ca.crt"]):
        assert run("cert", words[0], place, *words[1:]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_two_sides_and_a_broker_enrol_without_a_private_key_changing_hands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    e, b, n = (tmp_path / each for each in "ebn")
    assert run("enrol", e, "--side", "eucom", "--broker-host", "mq") == 0
    assert run("enrol", n, "--side", "ndmc", "--broker-host", "mq", "--own-authority") == 0
    told = capsys.readouterr().err
    assert "Hand it to the broker's operator as eucom.csr" in told
    assert "deconflict cert trust FOLDER ndmc-ca.crt --identity ndmc" in told
    assert run("enrol", b, "--side", "broker", "--broker-host", "mq", "--broker-host", "192.0.2.7") == 0
    assert sorted(str(path.relative_to(b)) for path in b.rglob("*") if path.is_file()) == [
        "authority/ca.crt",
        "authority/ca.key",
        "broker/health/ca.crt",
        "broker/health/client.crt",
        "broker/health/client.key",
        "broker/tls/ca.crt",
        "broker/tls/server.crt",
        "broker/tls/server.key",
    ]
    assert f"deconflict broker {b} --configure link.toml --listen 0.0.0.0\n" in capsys.readouterr().err
    shutil.copy(e / "eucom" / "tls" / "client.csr", b / "eucom.csr")
    assert run("cert", "sign", b / "authority", b / "eucom.csr", "--identity", "eucom", "--yes") == 0
    shutil.copy(b / "authority" / "ca.crt", e)
    assert (
        run("cert", "renew", e / "eucom" / "endpoint.toml", b / "eucom.crt", "--authority", e / "ca.crt", "--yes") == 0
    )
    shutil.copy(n / "ndmc" / "authority" / "ca.crt", b / "ndmc-ca.crt")
    assert run("cert", "trust", b, b / "ndmc-ca.crt", "--identity", "ndmc", "--yes") == 0
    assert run("cert", "trust", n / "ndmc" / "endpoint.toml", b / "authority" / "ca.crt", "--yes") == 0
    for place in (e, n, b):
        assert run("cert", "show", place) == 0
    key = e / "eucom" / "tls" / "client.key"
    assert pairs.key_for((e / "eucom" / "tls" / "client.crt").read_bytes(), key) == key


def test_the_broker_listens_where_its_clients_look_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--side", "broker", "--broker-host", "localhost", "--port", "18883")
    assert run("enrol", tmp_path / "b", *words) == 0
    assert f"deconflict broker {tmp_path / 'b'} --configure link.toml --port 18883\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "--broker-host: name the hosts under which the sides reach the broker"),
        (["--broker-host", "mq", "--officer", "a"], "--officer: the broker has none; leave it out"),
        (["--broker-host", "mq", "--own-authority"], "--own-authority: the broker has none; leave it out"),
        (["--broker-host", "mq", "--link", "a"], "--link: the broker has none; leave it out"),
    ],
)
def test_the_broker_has_no_officers_and_needs_a_name(
    tmp_path: Path, words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("enrol", tmp_path / "b", "--side", "broker", *words) == 2
    assert complaint in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
