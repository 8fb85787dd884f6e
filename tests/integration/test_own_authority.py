"""A broker that trusts the authority of each side accepts from each only certificates of that side."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from broker import atomic_files, files
from broker.errors import BrokerError
from broker.local import find
from broker.pki import Authority
from tests.support import foreign_pki
from tests.support.broker_site import BrokerSite, now
from tests.support.foreign_pki import dns, name

pytestmark = pytest.mark.integration

CONNECT = b"\x10\x12\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x05eucom"
CONNACK_ACCEPTED = (0x20, 0)
R, A = x509.RelativeDistinguishedName, x509.NameAttribute
CN, O = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME  # noqa: E741 - the field's term


class Authorities:
    """A running broker that trusts its operator's authority and those of both sides."""

    def __init__(self, folder: Path) -> None:
        self.site = BrokerSite(folder)
        self.own = {side: Authority.make(folder / side, now(), side) for side in ("eucom", "ndmc")}
        trusted = (self.site.authority.certificate, *(each.certificate for each in self.own.values()))
        atomic_files.replace(folder / "broker" / "tls" / "ca.crt", files.pem(*trusted), atomic_files.PUBLIC_MODE)
        self.site.broker.start()

    def connect(self, *chain: x509.Certificate, key: foreign_pki.Key) -> str | None:
        """Return the user as whom Mosquitto accepts a client with these certificates; None if it refuses it."""
        folder = self.site.folder
        foreign_pki.write_pair(folder, chain[0], key, "stranger")
        (folder / "stranger.crt").write_bytes(files.pem(*chain))
        context = ssl.create_default_context(cafile=str(folder / "authority" / "ca.crt"))
        context.load_cert_chain(folder / "stranger.crt", folder / "stranger.key")
        before = len(self.site.log())
        try:
            with (
                socket.create_connection(("127.0.0.1", self.site.port), timeout=10) as plain,
                context.wrap_socket(plain, server_hostname="localhost") as tls,
            ):
                tls.sendall(CONNECT)
                answer = tls.recv(64)
        except OSError:
            return None
        if len(answer) < 4 or (answer[0], answer[3]) != CONNACK_ACCEPTED:
            return None
        # its line is logged before it answers
        return self.site.log()[before:].partition("New client connected from ")[2].partition(" as ")[2].split(" (")[0]


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authorities]:
    try:
        find()
    except BrokerError as error:
        pytest.skip(str(error))
    made = Authorities(tmp_path_factory.mktemp("own"))
    yield made
    made.site.close()


def issued(
    authority: Authority, subject: x509.Name, names: list[x509.GeneralName] | None
) -> tuple[x509.Certificate, foreign_pki.Key]:
    key = foreign_pki.key()
    return foreign_pki.certificate(authority, subject, key.public_key(), names=names), key


@pytest.mark.parametrize("side", ["eucom", "ndmc"])
def test_each_side_connects_with_a_certificate_of_its_own_authority(authorities: Authorities, side: str) -> None:
    """SPEC Q3.1"""
    made, key = issued(authorities.own[side], name(side), dns(side))
    assert authorities.connect(made, key=key) == side


@pytest.mark.parametrize(
    ("subject", "names"),
    [
        (name("ndmc"), dns("ndmc")),
        (name("ndmc"), dns("eucom")),
        (name("ndmc"), None),
        (name("eucom"), dns("ndmc")),
        (name("eucom"), dns("eucom", "ndmc")),
        (name("ndmc", "eucom"), dns("eucom")),
        (name("watch"), dns("eucom")),
        (name("eucomx"), dns("eucom")),
        (x509.Name([R([A(CN, "eucom"), A(CN, "ndmc")])]), dns("eucom")),
        (x509.Name([A(O, "eucom"), A(CN, "ndmc")]), dns("eucom")),
        (x509.Name([]), dns("ndmc")),
        (x509.Name([]), dns("eucom")),
        (name("eucom"), [x509.DirectoryName(name("ndmc"))]),
    ],
    ids=lambda each: each.rfc4514_string() if isinstance(each, x509.Name) else str([x.value for x in each or ()]),
)
def test_an_authority_of_a_side_cannot_make_a_certificate_of_the_other(
    authorities: Authorities, subject: x509.Name, names: list[x509.GeneralName] | None
) -> None:
    """SPEC Q3.1"""
    made, key = issued(authorities.own["eucom"], subject, names)
    assert authorities.connect(made, key=key) is None


@pytest.mark.parametrize("subject", [name("eucom", "ndmc"), name("EUCOM"), name(" eucom")])
def test_what_the_constraints_leave_open_is_never_the_other_side(authorities: Authorities, subject: x509.Name) -> None:
    """Mosquitto takes the first common name, and OpenSSL compares names without regard to case and spaces."""
    made, key = issued(authorities.own["eucom"], subject, dns("eucom"))
    user = authorities.connect(made, key=key)
    assert user is not None
    assert user.strip().lower() == "eucom"


@pytest.mark.parametrize("named", ["itself", "the side", "the other side's authority"])
def test_an_authority_of_a_side_cannot_make_a_further_one(authorities: Authorities, named: str) -> None:
    own = authorities.own["eucom"]
    subject = {
        "itself": own.certificate.subject,
        "the side": name("eucom"),
        "the other side's authority": authorities.own["ndmc"].certificate.subject,
    }[named]
    key = foreign_pki.key()
    further = Authority(foreign_pki.certificate(own, subject, key.public_key(), purposes=(), authority=True), key)
    for side in ("eucom", "ndmc"):
        made, leaf_key = issued(further, name(side), dns(side))
        assert authorities.connect(made, further.certificate, key=leaf_key) in {None, "eucom"}
        assert side == "eucom" or authorities.connect(made, further.certificate, key=leaf_key) is None


def test_a_client_that_trusts_a_side_s_authority_by_mistake_takes_no_server_of_it(tmp_path: Path) -> None:
    own = Authority.make(tmp_path / "eucom", now(), "eucom")
    key = foreign_pki.key()
    made = foreign_pki.certificate(
        own, name("eucom"), key.public_key(), names=dns("eucom"), purposes=[foreign_pki.SERVER]
    )
    foreign_pki.write_pair(tmp_path, made, key, "server")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    client = ssl.create_default_context(cafile=str(tmp_path / "eucom" / "ca.crt"))
    ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
    shaking = client.wrap_bio(ours, theirs, server_hostname="eucom")
    answering = server.wrap_bio(theirs, ours, server_side=True)
    with pytest.raises(ssl.SSLCertVerificationError, match="purpose"):
        shake(shaking, answering)


def shake(*ends: ssl.SSLObject) -> None:
    """Let both ends go on until one of them refuses."""
    for each in ends * 4:
        with contextlib.suppress(ssl.SSLWantReadError):
            each.do_handshake()
