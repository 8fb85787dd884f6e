"""Certificates that are checked and installed: hostile files, authorities of look-alike names, two commands at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from broker import atomic_files, pairs
from broker.pki import Authority
from endpoints.config import certificate_change, tls_files
from endpoints.config.certificate_survey import survey
from endpoints.config.tls_files import TlsFiles
from endpoints.errors import UserError
from tests.support import foreign_pki
from tests.support.broker_site import now
from tests.support.foreign_pki import name


def files_of(folder: Path, identity: str, stem: str = "client") -> TlsFiles:
    """The files of `identity`, which trusts the authority in `folder/authority` and has a certificate of it."""
    tls = folder / identity
    tls.mkdir()
    authority = Authority.make(folder / "authority", now())
    if stem == "client":
        authority.issue_client(identity, tls, now())
    else:
        authority.issue_server(tls, now(), ("mq.example.org", "192.0.2.7"))
    return TlsFiles(
        place=folder,
        identity=identity,
        authority=tls / "ca.crt",
        certificate=tls / f"{stem}.crt",
        key=tls / f"{stem}.key",
    )


def test_pem_blocks_that_do_not_begin_a_line_are_counted(tmp_path: Path) -> None:
    tls = files_of(tmp_path, "eucom")
    ours = certificate_change.prepare_request(tls, (), now())
    signed = Authority.load(tmp_path / "authority").sign(ours, now()).public_bytes(Encoding.PEM)
    other = (tmp_path / "authority" / "ca.crt").read_bytes()
    private = tls.key.read_bytes()
    path = tmp_path / "new.crt"
    for before in (b" ", b"\t", b"x", b"\x0b", b"\xef\xbb\xbf"):
        for data, complaint in (
            (before + other + signed, "2 PEM blocks; one certificate was expected"),
            (signed + before + other, "2 PEM blocks; one certificate was expected"),
            (before + private + signed, "has a private key in it"),
        ):
            path.write_bytes(data)
            with pytest.raises(UserError, match=complaint):
                certificate_change.renewal(tls, path, None, now())
            with pytest.raises(UserError, match=complaint):
                certificate_change.addition(tls, path, now())
        path.write_bytes(before + foreign_pki.request(foreign_pki.key(), name("eucom")) + tls.request.read_bytes())
        with pytest.raises(UserError, match="2 PEM blocks; one certificate request was expected"):
            certificate_change.load_request(path)


@pytest.mark.parametrize("spelt", [str.upper, lambda text: text.replace(" ", "  "), lambda text: f" {text} "])
def test_an_authority_whose_name_a_broker_takes_for_another_s_is_refused(
    tmp_path: Path, spelt: Callable[[str], str]
) -> None:
    """OpenSSL looks for an authority by its name, without regard to case and spaces."""
    tls = files_of(tmp_path, "broker", "server")
    Authority.make(tmp_path / "eucom", now(), "eucom")
    first = certificate_change.addition(tls, tmp_path / "eucom" / "ca.crt", now(), identity="eucom")
    certificate_change.install(first)
    assert first.added is not None
    subject = name(spelt(first.added.subject.rfc4514_string().removeprefix("CN=")))
    path = tmp_path / "ndmc-ca.crt"
    path.write_bytes(foreign_pki.restricted_authority("ndmc", subject).public_bytes(Encoding.PEM))
    with pytest.raises(UserError, match="another authority of the same name is trusted already"):
        certificate_change.addition(tls, path, now(), identity="ndmc")


def test_a_certificate_whose_key_was_replaced_since_it_was_checked_is_not_installed(tmp_path: Path) -> None:
    tls = files_of(tmp_path, "eucom")
    ours = certificate_change.prepare_request(tls, (), now())
    path = tmp_path / "new.crt"
    path.write_bytes(Authority.load(tmp_path / "authority").sign(ours, now()).public_bytes(Encoding.PEM))
    change = certificate_change.renewal(tls, path, None, now())
    before = tls.certificate.read_bytes()
    certificate_change.prepare_request(tls, (), now())
    with pytest.raises(UserError, match=r"client\.key\.next: was changed meanwhile; repeat the command"):
        certificate_change.install(change)
    assert tls.certificate.read_bytes() == before
    assert pairs.key_for(before, tls.key) == tls.key


def test_a_certificate_that_is_not_valid_yet_is_a_warning(tmp_path: Path) -> None:
    tls = files_of(tmp_path, "eucom")
    begins = datetime.fromtimestamp(now() / 1_000, UTC) - timedelta(days=1)
    warnings = [str(each) for each in survey(tls, now() - 400 * 86_400_000).warnings]
    assert [each for each in warnings if f"client.crt: not valid before {begins:%Y-%m-%d}" in each]
    assert [each for each in warnings if f"ca.crt: not valid before {begins:%Y-%m-%d}" in each]
    assert survey(tls, now()).warnings == ()


def test_host_names_that_a_new_certificate_of_the_broker_lacks_are_found(tmp_path: Path) -> None:
    tls = files_of(tmp_path, "broker", "server")
    asked = certificate_change.prepare_request(tls, ("MQ.example.org", "mq2.example.org"), now())
    path = tmp_path / "new.crt"
    path.write_bytes(Authority.load(tmp_path / "authority").sign(asked, now()).public_bytes(Encoding.PEM))
    assert certificate_change.renewal(tls, path, None, now()).names_lost == ("192.0.2.7",)


def test_an_error_names_the_file_that_cannot_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "client.crt"
    (path / "sub").mkdir(parents=True)
    with pytest.raises(OSError, match="directory") as raised:
        atomic_files.replace(path, b"x", 0o644)
    assert raised.value.filename == str(path)
    assert [each.name for each in tmp_path.iterdir()] == ["client.crt"]


def test_a_folder_that_this_user_may_not_read_is_named(tmp_path: Path) -> None:
    """Permissions do not bind root, but the length of a name does."""
    place = tmp_path / ("x" * 300)
    with pytest.raises(UserError, match="File name too long"):
        next(tls_files.within(place))
    with pytest.raises(UserError, match="File name too long"):
        tls_files.of(place)


def test_what_a_killed_command_has_left_is_removed(tmp_path: Path) -> None:
    tls = files_of(tmp_path, "eucom")
    left = tls.key.parent / ".client.key.next.4711.new"
    left.write_bytes(b"a private key")
    (tls.key.parent / ".acl.new").write_bytes(b"")
    certificate_change.prepare_request(tls, (), now())
    assert not left.exists()
    assert (tls.key.parent / ".acl.new").exists()
