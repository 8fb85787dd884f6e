"""Makes and reads certificate requests (PKCS #10): what a side hands to the operator of an authority.

A request is signed with the private key that it is for, which proves that its maker has it. Requests made here say when
they were made, in the attribute unstructuredName.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AttributeOID, ExtendedKeyUsageOID

from broker import files
from broker.constraints import common_name
from broker.errors import BrokerError
from broker.identities import alternative_names, check_key, check_server_name, general_name, identity_of
from broker.names import BROKER, Purpose
from broker.pairs import PublicKey, spki
from protocol.phrases import phrase
from protocol.wire.instants import parsed, written

REQUEST_DAYS = 30
"""How old a request may be: an older one is likely a forgotten file, whose private key nobody vouches for any more."""
_AHEAD_MS = 86_400_000
"""The clocks of two sites may differ by as much as certificates are backdated."""
_DAY_MS = 86_400_000
_MADE = b"made "
_NAMES_MAX = 32

PURPOSES = {"client": ExtendedKeyUsageOID.CLIENT_AUTH, "server": ExtendedKeyUsageOID.SERVER_AUTH}


@dataclass(frozen=True)
class CertificateRequest:
    """What a certificate request asks for.

    Attributes:
        identity: the common name.
        purpose: `server` for the broker, `client` for everybody else.
        names: the server's host names and addresses; of a client, its identity.
        key: the public key.
        made_at: when it was made (ms since 1970), None if it has no time.
    """

    identity: str
    purpose: Purpose
    names: tuple[str, ...]
    key: PublicKey
    made_at: int | None = None

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the public key (SubjectPublicKeyInfo), in hexadecimal."""
        return key_fingerprint(self.key)

    def check_age(self, now: int, *, at: Path | str) -> None:
        """Raise BrokerError, naming the file `at`, if it is too old at `now` (ms since 1970), or from the future."""
        if self.made_at is None:
            return
        if now - self.made_at > REQUEST_DAYS * _DAY_MS:
            raise BrokerError(
                phrase(
                    "{path}: expired: made on {when}, more than {days} days ago; make a new one: "
                    "deconflict cert request",
                    path=at,
                    when=written(self.made_at),
                    days=REQUEST_DAYS,
                )
            )
        if self.made_at - now > _AHEAD_MS:
            raise BrokerError(
                phrase(
                    "{path}: made on {when}, which is in the future; check the clocks of both machines",
                    path=at,
                    when=written(self.made_at),
                )
            )


def key_fingerprint(key: object) -> str:
    """Return the SHA-256 of a public key (SubjectPublicKeyInfo), in hexadecimal."""
    return sha256(spki(key)).hexdigest()


def purpose_of(identity: str) -> Purpose:
    """Return what the certificate of an identity is for."""
    return "server" if identity == BROKER else "client"


def make(key: ec.EllipticCurvePrivateKey, identity: str, names: Sequence[str], at: int) -> bytes:
    """Return a request (PEM) for `identity`, made at `at` (ms since 1970); `names` are those of a server."""
    purpose = purpose_of(identity)
    wanted = names if purpose == "server" else (identity,)
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(common_name(identity))
        .add_extension(x509.SubjectAlternativeName([general_name(name) for name in wanted]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([PURPOSES[purpose]]), critical=False)
        .add_attribute(AttributeOID.UNSTRUCTURED_NAME, _MADE + written(at).encode())
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


def read(data: bytes, *, at: Path | str) -> CertificateRequest:
    """Return the request in `data` (PEM), whose own signature is right. Raises BrokerError about the file `at`."""
    request = files.request_in(data, at=at)
    key = request.public_key()
    check_key(key, at=at)
    digest = request.signature_hash_algorithm
    if not isinstance(digest, hashes.SHA256 | hashes.SHA384 | hashes.SHA512):
        raise BrokerError(phrase("{path}: signed with a weak hash; expected SHA-256 or stronger", path=at))
    if not request.is_signature_valid:
        raise BrokerError(
            phrase("{path}: its signature is wrong, so it was changed or cut; ask for a new one", path=at)
        )
    identity = identity_of(request.subject, at=at)
    purpose = purpose_of(identity)
    _check_purpose(request.extensions, identity, purpose, at=at)
    names = alternative_names(request.extensions)
    if purpose == "client":
        if names not in ((), (identity,)):
            raise BrokerError(
                phrase(
                    "{path}: asks for the names {names}; a certificate of {identity} has its identity alone",
                    path=at,
                    names=repr(", ".join(names)[:80]),
                    identity=identity,
                )
            )
        names = (identity,)
    elif not names or len(names) > _NAMES_MAX:
        raise BrokerError(
            phrase("{path}: asks for {count} host names; expected 1 to {limit}", path=at, count=len(names), limit=32)
        )
    else:
        for name in names:
            check_server_name(name, at=at)
    assert isinstance(key, PublicKey)
    return CertificateRequest(identity, purpose, names, key, _made_at(request))


def _check_purpose(extensions: x509.Extensions, identity: str, purpose: Purpose, *, at: Path | str) -> None:
    try:
        if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            raise BrokerError(phrase("{path}: asks to become an authority, which nobody else needs to be", path=at))
    except x509.ExtensionNotFound:
        pass
    try:
        asked = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if list(asked) != [PURPOSES[purpose]]:
        other = phrase("for a server") if ExtendedKeyUsageOID.SERVER_AUTH in asked else phrase("for another purpose")
        right = phrase("for a server") if purpose == "server" else phrase("for a client")
        raise BrokerError(
            phrase(
                "{path}: asks for a certificate of {identity} {other}; {identity} may have one {right} alone",
                path=at,
                identity=identity,
                other=other,
                right=right,
            )
        )


def _made_at(request: x509.CertificateSigningRequest) -> int | None:
    try:
        value = request.attributes.get_attribute_for_oid(AttributeOID.UNSTRUCTURED_NAME).value
    except x509.AttributeNotFound:
        return None
    try:
        return parsed(value.removeprefix(_MADE).decode("ascii")) if value.startswith(_MADE) else None
    except ValueError:
        return None
