from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from broker import requests
from broker.errors import BrokerError
from broker.pki import LEAF_DAYS, Authority
from tests.support import foreign_pki
from tests.support.foreign_pki import CLIENT, SERVER, dns, name

AT = 1_669_708_800_000
DAY_MS = 86_400_000


def test_a_request_of_our_own_says_all_that_it_needs() -> None:
    key = foreign_pki.key()
    found = requests.read(requests.make(key, "eucom", (), AT), at="eucom.csr")

    assert (found.identity, found.purpose, found.names, found.made_at) == ("eucom", "client", ("eucom",), AT)
    assert found.key == key.public_key()
    names = ("mq.example.org", "192.0.2.7", "2001:db8::7")
    server = requests.read(requests.make(key, "broker", names, AT), at="server.csr")
    assert (server.purpose, server.names) == ("server", names)


def test_a_request_of_openssl_needs_only_the_common_name() -> None:
    found = requests.read(foreign_pki.request(foreign_pki.key(), name("ndmc"), attribute=b"Acme"), at="ndmc.csr")

    assert (found.identity, found.purpose, found.names, found.made_at) == ("ndmc", "client", ("ndmc",), None)
    found.check_age(AT, at="ndmc.csr")


def test_a_request_may_be_thirty_days_old() -> None:
    found = requests.read(requests.make(foreign_pki.key(), "eucom", (), AT), at="eucom.csr")

    found.check_age(AT + 30 * DAY_MS, at="eucom.csr")
    found.check_age(AT - DAY_MS, at="eucom.csr")
    with pytest.raises(BrokerError, match=r"expired: made on 2022-11-29T08:00:00\.000Z, more than 30 days ago"):
        found.check_age(AT + 30 * DAY_MS + 1, at="eucom.csr")
    with pytest.raises(BrokerError, match="which is in the future; check the clocks"):
        found.check_age(AT - DAY_MS - 1, at="eucom.csr")


def other_kinds() -> dict[str, Callable[[], bytes]]:
    key = foreign_pki.key
    ours = name("eucom")
    ask = foreign_pki.request
    return {
        "not a certificate request in PEM form": lambda: b"hello\n",
        "not a certificate request in PEM form, or cut off": lambda: ask(key(), ours)[:-80],
        "in DER form; convert it: openssl req -inform DER": lambda: x509.load_pem_x509_csr(
            ask(key(), ours)
        ).public_bytes(Encoding.DER),
        "2 PEM blocks; one certificate request was expected": lambda: ask(key(), ours) * 2,
        "its key is RSA with 2048 bits": lambda: ask(rsa.generate_private_key(65_537, 2_048), ours),
        "its key is the elliptic curve secp256k1": lambda: ask(ec.generate_private_key(ec.SECP256K1()), ours),
        "its key is another kind of key": lambda: ask(ed25519.Ed25519PrivateKey.generate(), ours),
        r"its subject is 'CN=ndmc,CN=eucom'; expected one common name": lambda: ask(key(), name("eucom", "ndmc")),
        "its subject is ''; expected one common name": lambda: ask(key(), x509.Name([])),
        r"'EUCOM': not an identity": lambda: ask(key(), name("EUCOM")),
        r"'eu\\x1b\[31mcom': not an identity": lambda: ask(key(), name("eu\x1b[31mcom")),
        r"'\\u202ecmdn': not an identity": lambda: ask(key(), name("\u202ecmdn")),
        r"'eucom\\nuser ndmc': not an identity": lambda: ask(key(), name("eucom\nuser ndmc")),
        r"asks for the names 'eucom, ndmc'; a certificate of eucom": lambda: ask(
            key(), ours, names=dns("eucom", "ndmc")
        ),
        r"asks for the names 'ndmc'": lambda: ask(key(), ours, names=dns("ndmc")),
        "asks for a certificate of eucom for a server; eucom may have one for a client alone": lambda: ask(
            key(), ours, purposes=[SERVER]
        ),
        "asks for a certificate of eucom for a server;": lambda: ask(key(), ours, purposes=[CLIENT, SERVER]),
        "asks for a certificate of broker for another purpose": lambda: ask(
            key(), name("broker"), names=dns("mq"), purposes=[CLIENT]
        ),
        "asks for 0 host names": lambda: ask(key(), name("broker"), purposes=[SERVER]),
        r"asks for the name '\*.example.org'": lambda: ask(
            key(), name("broker"), names=dns("*.example.org"), purposes=[SERVER]
        ),
        r"asks for the name 'a b'": lambda: ask(key(), name("broker"), names=dns("a b"), purposes=[SERVER]),
        "asks to become an authority": lambda: ask(key(), ours, authority=True),
        "has a private key in it, which must never be handed over": lambda: (
            ask(key(), ours) + b"-----BEGIN PRIVATE KEY-----\n"
        ),
    }


@pytest.mark.parametrize("complaint", other_kinds())
def test_what_is_no_sound_request_is_refused(complaint: str) -> None:
    with pytest.raises(BrokerError, match=complaint) as refused:
        requests.read(other_kinds()[complaint](), at="x.csr")
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("x.csr: ")


def test_a_changed_request_is_refused() -> None:
    made = x509.load_pem_x509_csr(requests.make(foreign_pki.key(), "eucom", (), AT)).public_bytes(Encoding.DER)
    changed = x509.load_der_x509_csr(made.replace(b"eucom", b"ndmc5"))

    with pytest.raises(BrokerError, match="its signature is wrong"):
        requests.read(changed.public_bytes(Encoding.PEM), at="x.csr")


def asked(identity: str = "eucom") -> requests.CertificateRequest:
    names = ("mq.example.org",) if identity == "broker" else ()
    return requests.read(requests.make(foreign_pki.key(), identity, names, AT), at="x.csr")


def test_a_certificate_has_what_was_asked_for_and_ends_with_its_authority(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path / "authority", AT)
    made = authority.sign(asked(), AT, 100)
    assert made.not_valid_after_utc == datetime(2022, 11, 29, 8, tzinfo=UTC) + timedelta(days=100)
    assert made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.DNSName
    ) == ["eucom"]

    late = AT + 3_600 * DAY_MS
    assert authority.last_day(late) == 49
    assert authority.sign(asked(), late).not_valid_after_utc == authority.certificate.not_valid_after_utc
    with pytest.raises(BrokerError, match="expired on 2032-11-25"):
        authority.sign(asked(), AT + 3_650 * DAY_MS)
    assert authority.sign(asked(), AT).not_valid_after_utc == made.not_valid_after_utc + timedelta(
        days=LEAF_DAYS - 1 - 100
    )


def test_an_authority_of_a_side_signs_for_nobody_else(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path / "authority", AT, "eucom")

    assert authority.sign(asked(), AT)
    for other in ("ndmc", "watch", "broker"):
        with pytest.raises(BrokerError, match=f"issues certificates for eucom alone, not for {other}"):
            authority.sign(asked(other), AT)
    # nor does it become an authority that its clients trust
    (tmp_path / "tls").mkdir()
    authority.issue_client("eucom", tmp_path / "tls", AT)
    assert sorted(path.name for path in (tmp_path / "tls").iterdir()) == ["client.crt", "client.key"]


def test_a_weak_hash_is_refused() -> None:
    with pytest.raises(BrokerError, match="signed with a weak hash"):
        requests.read(foreign_pki.request(foreign_pki.key(), name("eucom"), digest=hashes.SHA224()), at="x.csr")
