from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from broker.constraints import check_authority, check_restricted, for_identity, permitted
from broker.errors import BrokerError
from broker.pki import Authority
from tests.support import foreign_pki
from tests.support.foreign_pki import SERVER, dns, name

AT = 1_669_708_800_000
NOW = datetime(2022, 11, 29, 8, tzinfo=UTC)


def made(
    constraints: x509.NameConstraints | None,
    *,
    critical: bool = True,
    path_length: int | None = 0,
    purposes: Sequence[x509.ObjectIdentifier] = (),
) -> x509.Certificate:
    key = foreign_pki.key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name("some authority"))
        .issuer_name(name("some authority"))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    )
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=critical)
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return builder.sign(key, hashes.SHA256())


def test_an_authority_of_a_side_is_restricted_to_it(tmp_path: Path) -> None:
    own = Authority.make(tmp_path / "own", AT, "eucom").certificate
    assert permitted(own) == "eucom"
    check_authority(own, at="ca.crt", now=AT)
    check_restricted(own, "eucom", at="ca.crt")
    with pytest.raises(BrokerError, match="issues certificates for eucom, not for ndmc"):
        check_restricted(own, "ndmc", at="ca.crt")
    broad = Authority.make(tmp_path / "broad", AT).certificate
    assert permitted(broad) is None
    # a broker finds the authority of a certificate by its name
    assert own.subject != broad.subject
    with pytest.raises(BrokerError, match="could issue a certificate for the other side as well"):
        check_restricted(broad, "eucom", at="ca.crt")


DIRECTORY = x509.DirectoryName(name("eucom"))


@pytest.mark.parametrize(
    "certificate",
    [
        made(None),
        made(x509.NameConstraints(dns("eucom"), None)),
        made(x509.NameConstraints([DIRECTORY], None)),
        made(x509.NameConstraints([*dns("eucom", "ndmc"), DIRECTORY], None)),
        made(x509.NameConstraints([*dns("eucom"), DIRECTORY, x509.DirectoryName(name("ndmc"))], None)),
        made(x509.NameConstraints([*dns("eucom"), x509.DirectoryName(name("ndmc"))], None)),
        made(x509.NameConstraints([*dns("eucom"), x509.DirectoryName(name("eucom", "ndmc"))], None)),
        made(x509.NameConstraints([*dns(""), DIRECTORY], None)),
        made(x509.NameConstraints([*dns("eucom"), x509.DirectoryName(x509.Name([]))], None)),
        made(x509.NameConstraints(None, dns("ndmc"))),
        made(for_identity("eucom"), critical=False),
    ],
)
def test_other_constraints_do_not_count(certificate: x509.Certificate) -> None:
    with pytest.raises(BrokerError, match="could issue a certificate for the other side as well"):
        check_restricted(certificate, "eucom", at="ca.crt")


def test_an_authority_that_could_make_further_ones_is_refused() -> None:
    with pytest.raises(BrokerError, match="may make further authorities; expected a path length of 0"):
        check_restricted(made(for_identity("eucom"), path_length=None), "eucom", at="ca.crt")
    with pytest.raises(BrokerError, match="issues no certificates for clients"):
        check_restricted(made(for_identity("eucom"), purposes=[SERVER]), "eucom", at="ca.crt")


def test_what_is_no_authority_or_has_ended_is_refused(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path / "authority", AT)
    leaf = foreign_pki.certificate(authority, name("eucom"), foreign_pki.key().public_key())
    with pytest.raises(BrokerError, match=r"not the certificate of an authority; expected its ca\.crt"):
        check_authority(leaf, at="ca.crt", now=AT)
    with pytest.raises(BrokerError, match="expired on 2032-11-25"):
        check_authority(authority.certificate, at="ca.crt", now=AT + 3_650 * 86_400_000)
    with pytest.raises(BrokerError, match="not valid before 2022-11-28"):
        check_authority(authority.certificate, at="ca.crt", now=AT - 2 * 86_400_000)
