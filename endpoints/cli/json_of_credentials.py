"""Types of the documents about keys and certificates that are made or changed: see `json_outputs`."""

from __future__ import annotations

from typing import Literal, TypedDict

from protocol.wire.messages import Digest, Identifier, Utc


class NamedKey(TypedDict):
    """A public key, and whose it is."""

    party: Identifier
    id: str
    algorithm: Literal["ed25519", "ml-dsa-65"]
    # the first 16 digits of the SHA-256 of the public key, as an alarm names it
    digits: str
    public: str


class KeyAdded(TypedDict):
    """`key add --json`."""

    added: list[NamedKey]
    # the links whose prepared file has it
    links: list[Identifier]


class KeyRetired(TypedDict):
    """`key retire --json`."""

    retired: NamedKey
    links: list[Identifier]
    # its private file was removed already
    private_removed: bool


class KeyRevoked(TypedDict):
    """`key revoke --json`."""

    revoked: NamedKey
    # new ones, if this side has nothing else to sign with
    replaced_by: list[NamedKey]
    links: list[Identifier]


class AuthorityMade(TypedDict):
    """`cert authority --json`."""

    # its certificate
    authority: str
    # the only identity that it may issue for; null for every one
    identity: Identifier | None
    fingerprint: Digest
    # sixteen in each language
    words: dict[str, list[str]]


class BrokerEnrolled(TypedDict):
    """`enrol --side broker --json`."""

    side: Literal["broker"]
    names: list[str]
    authority: str
    fingerprint: Digest
    words: dict[str, list[str]]


class RequestMade(TypedDict):
    """`cert request --json`."""

    # its file
    request: str
    identity: str
    purpose: str
    names: list[str]
    made_at: Utc | None
    key_fingerprint: Digest
    words: dict[str, list[str]]


class SignedRequest(TypedDict):
    """What was asked for."""

    identity: str
    purpose: str
    names: list[str]
    made_at: Utc | None
    key_fingerprint: Digest
    words: dict[str, list[str]]


class CertificateSigned(TypedDict):
    """`cert sign --json`."""

    # its file
    certificate: str
    ends_at: Utc
    fingerprint: Digest
    request: SignedRequest


class CertificateChanged(TypedDict):
    """`cert renew --json` and `cert trust --json`."""

    place: str
    identity: str
    # null if only authorities changed
    certificate: str | None
    fingerprint: Digest | None
    ends_at: Utc | None
    # the authorities that are trusted now
    trusted: list[Digest]
    added: Digest | None
    dropped: list[Digest]
    # names that the certificate before had
    names_lost: list[str]
