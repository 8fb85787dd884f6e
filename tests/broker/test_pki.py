import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from broker.errors import BrokerError
from broker.pki import AUTHORITY_DAYS, LEAF_DAYS, SERVER_NAMES, Authority

AT = 1_669_708_800_000
NOW = datetime(2022, 11, 29, 8, tzinfo=UTC)


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path / "ca", AT)


def test_an_authority_is_private_and_made_once(tmp_path: Path, authority: Authority) -> None:
    folder = tmp_path / "ca"
    assert (mode(folder), mode(folder / "ca.key")) == (0o700, 0o600)
    again = Authority.load(folder)
    assert again.certificate == authority.certificate
    with pytest.raises(BrokerError, match="already exists; use its authority"):
        Authority.make(folder, AT)


def test_a_clients_certificate_names_it_and_verifies(tmp_path: Path, authority: Authority) -> None:
    authority.issue_client("eucom", tmp_path, AT)
    certificate = load(tmp_path / "client.crt")
    assert [name.value for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["eucom"]
    assert list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    # valid also for a peer whose clock is a little behind
    assert certificate.not_valid_before_utc == NOW - timedelta(days=1)
    assert certificate.not_valid_after_utc == NOW + timedelta(days=LEAF_DAYS - 1)
    assert mode(tmp_path / "client.key") == 0o600
    assert (tmp_path / "ca.crt").read_bytes() == (tmp_path / "ca" / "ca.crt").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca", "ca.crt", "client.crt", "client.key"]


def test_the_servers_certificate_verifies_strictly_under_each_of_its_names(
    tmp_path: Path, authority: Authority
) -> None:
    authority.issue_server(tmp_path, AT)
    builder = PolicyBuilder().store(Store([load(tmp_path / "ca.crt")])).time(NOW)
    for name in ("localhost", "broker"):
        builder.build_server_verifier(x509.DNSName(name)).verify(load(tmp_path / "server.crt"), [])
    names = load(tmp_path / "server.crt").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == list(SERVER_NAMES)


def test_issuing_again_replaces_certificate_and_key(tmp_path: Path, authority: Authority) -> None:
    authority.issue_client("eucom", tmp_path, AT)
    before = load(tmp_path / "client.crt")
    authority.issue_client("eucom", tmp_path, AT)
    assert load(tmp_path / "client.crt") != before
    ssl.create_default_context().load_cert_chain(tmp_path / "client.crt", tmp_path / "client.key")


@pytest.mark.parametrize("identity", ["", "EUCOM", "a/b", "a+b", "#", "a b", "a\nuser b", "-a", "é", "a" * 33])
def test_an_ambiguous_identity_is_refused(tmp_path: Path, authority: Authority, identity: str) -> None:
    with pytest.raises(BrokerError, match="lower-case letters, digits and hyphens"):
        authority.issue_client(identity, tmp_path, AT)


def test_loading_names_the_wrong_file(tmp_path: Path, authority: Authority) -> None:
    folder = tmp_path / "ca"
    with pytest.raises(BrokerError, match=r"ca\.crt: cannot be read: No such file or directory"):
        Authority.load(tmp_path / "elsewhere")
    other = Authority.make(tmp_path / "other", AT)
    assert other.certificate != authority.certificate
    (folder / "ca.key").write_bytes((tmp_path / "other" / "ca.key").read_bytes())
    with pytest.raises(BrokerError, match=r"ca\.key: not the private key of ca\.crt"):
        Authority.load(folder)
    (folder / "ca.key").write_bytes(b"\x00")
    with pytest.raises(BrokerError, match=r"ca\.key: not an unencrypted PEM file"):
        Authority.load(folder)


def test_no_certificate_outlasts_its_authority(tmp_path: Path) -> None:
    begun = AT - (AUTHORITY_DAYS - 10) * 86_400_000
    ending = Authority.make(tmp_path / "ending", begun)
    for issue, stem in ((ending.issue_server, "server"), (lambda *at: ending.issue_client("eucom", *at), "client")):
        issue(tmp_path, AT)
        assert load(tmp_path / f"{stem}.crt").not_valid_after_utc == ending.certificate.not_valid_after_utc
    Authority.make(tmp_path / "ended", AT - AUTHORITY_DAYS * 86_400_000)
    ended = Authority.load(tmp_path / "ended")
    before = load(tmp_path / "client.crt")
    with pytest.raises(BrokerError, match=r"ended/ca\.crt: expired on"):
        ended.issue_client("eucom", tmp_path, AT)
    assert load(tmp_path / "client.crt") == before


def test_an_authority_for_another_identity_is_named_with_its_folder(tmp_path: Path) -> None:
    Authority.make(tmp_path / "ndmc", AT, "ndmc")
    with pytest.raises(BrokerError, match=r"ndmc/ca\.crt: this authority issues certificates for ndmc alone"):
        Authority.load(tmp_path / "ndmc").issue_client("eucom", tmp_path, AT)
