"""Requests, checks and installs certificates, each step as a whole or not at all.

All checks come before the first write. A new authority is trusted before the certificate is replaced; the certificate
decides which private key is used (`broker.pairs`), so a crash between any two steps leaves a pair that works.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from msgspec import Struct

from broker import atomic_files, constraints, files, pairs, requests
from broker.errors import BrokerError
from broker.identities import alternative_names, check_key, identity_of
from broker.pki import private_pem
from broker.requests import CertificateRequest
from endpoints.config.new_folder import as_user_errors
from endpoints.config.tls_files import TlsFiles
from endpoints.errors import UserError
from endpoints.keys.private_files import exists, read_bytes
from protocol.phrases import phrase
from protocol.wire.instants import Millis

_CERTIFICATE = phrase("certificate")


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate, in hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def load_one(path: Path) -> x509.Certificate:
    """Return the one certificate in the PEM file `path`. Raises UserError, naming the file."""
    data = read_bytes(path, what=_CERTIFICATE, max_bytes=files.PEM_MAX_BYTES)
    with as_user_errors(path):
        return files.certificate_in(data, at=path)


def load_all(path: Path) -> list[x509.Certificate]:
    """Return the certificates in the PEM file `path`, at least one. Raises UserError, naming the file."""
    data = read_bytes(path, what=_CERTIFICATE, max_bytes=files.PEM_MAX_BYTES)
    with as_user_errors(path):
        return files.certificates_in(data, at=path)


def trusted(tls: TlsFiles) -> list[x509.Certificate]:
    """Return the authorities that this end trusts, none if there is no file. Raises UserError."""
    return load_all(tls.authority) if exists(tls.authority) else []


def load_request(path: Path) -> CertificateRequest:
    """Return the certificate request in the file `path`. Raises UserError, naming the file."""
    data = read_bytes(path, what=phrase("certificate request"), max_bytes=files.PEM_MAX_BYTES)
    with as_user_errors(path):
        return requests.read(data, at=path)


# --- requests -----------------------------------------------------------------------------------------------------


def prepare_request(tls: TlsFiles, names: Sequence[str], at: Millis) -> CertificateRequest:
    """Make a private key and a request; the present pair stays in use until the certificate is installed.

    Returns the request. Raises UserError.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    data = requests.make(key, tls.identity, names, at)
    with as_user_errors(tls.key.parent):
        made = requests.read(data, at=tls.request)
        for path in (tls.request, tls.next_key):
            _check_target(path)
        with atomic_files.locked(tls.key.parent):
            pairs.settle(tls.certificate, tls.key)
            # the request last: if it is there, its key is
            tls.request.unlink(missing_ok=True)
            path = tls.next_key if exists(tls.key) else tls.key
            atomic_files.replace(path, private_pem(key), atomic_files.PRIVATE_MODE)
            atomic_files.replace(tls.request, data, atomic_files.PUBLIC_MODE)
    return made


# --- certificates -------------------------------------------------------------------------------------------------


class CertificateChange(Struct, frozen=True, kw_only=True):
    """What is to be installed, checked.

    Attributes:
        tls: where.
        certificate: the new certificate, None if only the trust changes.
        issuer: the authority that issued it.
        authorities: all authorities to trust from then on.
        added: the authority among them that is new.
        dropped: authorities that are no longer trusted.
        before: the authorities that were trusted when this was checked.
        names_lost: host names of the broker's present certificate that the new one lacks.
    """

    tls: TlsFiles
    certificate: x509.Certificate | None = None
    issuer: x509.Certificate | None = None
    authorities: tuple[x509.Certificate, ...]
    added: x509.Certificate | None = None
    dropped: tuple[x509.Certificate, ...] = ()
    before: tuple[x509.Certificate, ...]
    names_lost: tuple[str, ...] = ()


def renewal(tls: TlsFiles, path: Path, authority: Path | None, now: Millis) -> CertificateChange:
    """Return the change that installs the certificate in the file `path`, and trusts `authority` too if it is given.

    Raises UserError, naming the file, if the certificate is not one for this place: another identity or purpose, no
    private key here, not valid now, or of an authority that is not known here.
    """
    certificate = load_one(path)
    trust = addition(tls, authority, now) if authority is not None else _trust(tls, now)
    _check_targets(tls)
    with as_user_errors(path):
        check_certificate(certificate, tls, at=path, now=now)
    if pairs.key_for(files.pem(certificate), tls.key) is None:
        raise UserError(
            phrase(
                "{path}: for another private key than {key} and {next}; install the certificate of the last request "
                "from here, or make a new one: deconflict cert request",
                path=path,
                key=tls.key.name,
                next=tls.next_key.name,
            )
        )
    known = [*trust.authorities, *(each for file in tls.issuers[1:] for each in load_all(file))]
    issuer = next((each for each in known if issued_by(certificate, each)), None)
    if issuer is None:
        raise UserError(
            phrase(
                "{path}: not issued by an authority that is known here ({files}); give the ca.crt that came with it: "
                "--authority FILE",
                path=path,
                files=", ".join(str(each) for each in tls.issuers),
            )
        )
    with as_user_errors(path):
        constraints.check_dates(issuer, at=path, now=now)
    names = {name.casefold() for name in alternative_names(certificate.extensions)}
    lost = tuple(name for name in _present_names(tls) if name.casefold() not in names)
    return CertificateChange(
        tls=tls,
        certificate=certificate,
        issuer=issuer,
        authorities=trust.authorities,
        added=trust.added,
        dropped=trust.dropped,
        before=trust.before,
        names_lost=lost,
    )


def _present_names(tls: TlsFiles) -> tuple[str, ...]:
    """Return the host names in the broker's present certificate, none for a client or if it cannot be read."""
    try:
        return alternative_names(load_all(tls.certificate)[0].extensions) if tls.purpose == "server" else ()
    except UserError:
        return ()


def check_certificate(certificate: x509.Certificate, tls: TlsFiles, *, at: Path, now: Millis) -> None:
    """Raise BrokerError, naming the file `at`, unless `certificate` is one for this place, valid at `now`."""
    if constraints.is_authority(certificate):
        raise BrokerError(
            phrase(
                "{path}: the certificate of an authority; expected that of {identity}", path=at, identity=tls.identity
            )
        )
    identity = identity_of(certificate.subject, at=at)
    if identity != tls.identity:
        raise BrokerError(
            phrase(
                "{path}: issued to {found}, not to {identity}, whose place this is",
                path=at,
                found=identity,
                identity=tls.identity,
            )
        )
    check_key(certificate.public_key(), at=at)
    try:
        purposes = list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        purposes = []
    if requests.PURPOSES[tls.purpose] not in purposes or len(purposes) > 1:
        server = ExtendedKeyUsageOID.SERVER_AUTH in purposes
        found = phrase("for a server") if server else phrase("for another purpose")
        wanted = phrase("for a server") if tls.purpose == "server" else phrase("for a client")
        raise BrokerError(
            phrase(
                "{path}: a certificate {found}; one {wanted} alone was expected", path=at, found=found, wanted=wanted
            )
        )
    names = alternative_names(certificate.extensions)
    if not names or (tls.purpose == "client" and names != (tls.identity,)):
        raise BrokerError(
            phrase(
                "{path}: its alternative names are {names}; expected {wanted}",
                path=at,
                names=repr(", ".join(names)[:80]),
                wanted=phrase("the broker's host names") if tls.purpose == "server" else phrase("the identity alone"),
            )
        )
    constraints.check_dates(certificate, at=at, now=now)


def issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Return whether `authority` has signed `certificate`."""
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:  # noqa: BLE001 - cryptography raises a different error for each cause
        return False
    return True


def addition(tls: TlsFiles, path: Path, now: Millis, *, identity: str | None = None) -> CertificateChange:
    """Return the change that trusts the authority in the file `path`, too.

    A client may trust only an authority of a broker, which is not restricted to an identity. The broker may trust the
    authority of a side if it is restricted to the side's `identity`, and another one of its own operators, whose
    private key lies beside the certificate.

    Raises UserError, naming the file.
    """
    authority = load_one(path)
    trust = _trust(tls, now)
    with as_user_errors(path):
        constraints.check_authority(authority, at=path, now=now)
        restricted = constraints.permitted(authority)
        if tls.purpose == "client":
            if restricted is not None:
                raise BrokerError(
                    phrase(
                        "{path}: the authority of {identity} for its own certificates; for the broker's certificate, "
                        "trust the ca.crt of the broker's operator",
                        path=path,
                        identity=restricted,
                    )
                )
        elif identity is not None:
            constraints.check_restricted(authority, identity, at=path)
        elif pairs.public_of(path.with_name("ca.key")) != pairs.spki(authority.public_key()):
            raise BrokerError(
                phrase(
                    "{path}: the private key of this authority is not beside it, so it is not the operator's own; "
                    "say whose it is: --identity ID",
                    path=path,
                )
            )
    for each in trust.authorities:
        if each == authority:
            return trust
        if constraints.same_name(each.subject, authority.subject):
            raise UserError(
                phrase(
                    "{path}: another authority of the same name is trusted already in {file}; drop that one first",
                    path=path,
                    file=tls.authority,
                )
            )
    _check_target(tls.authority)
    return CertificateChange(
        tls=tls,
        authorities=(*trust.authorities, authority),
        added=authority,
        dropped=trust.dropped,
        before=trust.before,
    )


def removal(tls: TlsFiles, wanted: str, now: Millis) -> CertificateChange:
    """Return the change that no longer trusts the authority whose SHA-256 begins with `wanted`. Raises UserError."""
    digits = wanted.replace(":", "").lower()
    authorities = trusted(tls)
    found = [each for each in authorities if len(digits) >= _PREFIX_MIN and fingerprint(each).startswith(digits)]
    if len(found) != 1:
        raise UserError(
            phrase(
                "--drop: {wanted} is not the beginning of the fingerprint of one authority in {file}; see: "
                "deconflict cert show",
                wanted=repr(wanted[:80]),
                file=tls.authority,
            )
        )
    left = [each for each in authorities if each not in found and not _ended(each, now)]
    if not left:
        raise UserError(
            phrase(
                "--drop: it is the only authority in {file} that is valid; trust another one first", file=tls.authority
            )
        )
    _check_target(tls.authority)
    ended = [each for each in authorities if each not in (*found, *left)]
    return CertificateChange(tls=tls, authorities=tuple(left), dropped=(*found, *ended), before=tuple(authorities))


_PREFIX_MIN = 8


def install(change: CertificateChange) -> None:
    """Put what was checked into place. Raises UserError, also if another command has changed trust or key meanwhile."""
    tls = change.tls
    with as_user_errors(tls.certificate), atomic_files.locked(tls.authority.parent):
        if trusted(tls) != [*change.before]:
            raise UserError(phrase("{path}: was changed meanwhile; repeat the command", path=tls.authority))
        # a new request has replaced the key of the one that was answered: the present pair must stay
        if change.certificate is not None and pairs.key_for(files.pem(change.certificate), tls.key) is None:
            raise UserError(phrase("{path}: was changed meanwhile; repeat the command", path=tls.next_key))
        # an authority more does no harm; a certificate without its authority would
        if change.added is not None or change.dropped:
            atomic_files.replace(tls.authority, files.pem(*change.authorities), atomic_files.PUBLIC_MODE)
        if change.certificate is not None:
            atomic_files.replace(tls.certificate, files.pem(change.certificate), atomic_files.PUBLIC_MODE)
            pairs.settle(tls.certificate, tls.key)


def _trust(tls: TlsFiles, now: Millis) -> CertificateChange:
    """Return the present trust, without the authorities that have ended if others are left."""
    before = tuple(trusted(tls))
    left = tuple(each for each in before if not _ended(each, now)) or before
    dropped = tuple(each for each in before if each not in left)
    return CertificateChange(tls=tls, authorities=left, dropped=dropped, before=before)


def _ended(certificate: x509.Certificate, now: Millis) -> bool:
    return certificate.not_valid_after_utc.timestamp() * 1_000 <= now


def _check_targets(tls: TlsFiles) -> None:
    for path in (tls.authority, tls.certificate, tls.key, tls.next_key):
        _check_target(path)


def _check_target(path: Path) -> None:
    """Raise UserError for a file that cannot be replaced by a rename as a whole."""
    try:
        linked = path.is_symlink()
    except OSError:
        linked = False
    if linked:
        raise UserError(
            phrase("{path}: a symbolic link; put the file itself here, since it is replaced by a rename", path=path)
        )
    if exists(path) and not path.is_file():
        raise UserError(phrase("{path}: not a regular file", path=path))
