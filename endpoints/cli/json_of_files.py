"""Types of the documents about the files of an installation: see `json_outputs`."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from endpoints.cli.key_show import KeyRow, SpareKey
from endpoints.config.link_file import Party, WatchEntry
from protocol.wire.messages import Digest, Identifier, Seq, Texts, Utc
from protocol.wire.policy import EnrolledKey, Policy


class InitOutput(TypedDict):
    """`init --json`."""

    link: Identifier
    # the link file
    file: str
    # its fingerprint
    digest: Digest
    sides: list[Identifier]


class SideOutput(TypedDict):
    """`enrol --side ID --json` of a party: what the other side needs for the link file."""

    side: Identifier
    name: Texts
    site: str
    zone: str
    keys: list[EnrolledKey]


class WatchOutput(TypedDict):
    """`enrol --side watch --json`."""

    watch: WatchEntry


class LinkShowOutput(TypedDict):
    """`link show --json`: the content of a link file. Durations are in seconds."""

    link: Identifier
    epoch: Seq
    caller: Identifier
    answering: Identifier
    policy: Policy
    parties: dict[Identifier, Party]
    watch: WatchEntry | None
    # its fingerprint
    digest: Digest


class FingerprintOutput(TypedDict):
    """`link fingerprint --json`."""

    link: Identifier
    epoch: Seq
    digest: Digest
    # sixteen in each language
    words: dict[str, list[str]]


class KeyShowOutput(TypedDict):
    """`key show --json`."""

    keys: list[KeyRow]
    in_no_link_file: list[SpareKey]


class OfficerListRow(TypedDict):
    """An officer in the settings."""

    officer: Identifier
    name: str
    # since when they are enrolled, by the journals; null if none says it
    since: Utc | None
    in_journal: bool
    # the links at which they have the watch
    on_watch: list[Identifier]


class OfficerListOutput(TypedDict):
    """`officer list --json`."""

    side: Identifier
    officers: list[OfficerListRow]


class OfficerCredential(TypedDict):
    """`officer add --json` and `officer reset --json`."""

    officer: Identifier
    # shown this once; absent if it was written to a file
    credential: NotRequired[str]


class ShownCertificate(TypedDict):
    """One certificate."""

    whose: str
    file: str
    issued_to: str
    issued_by: str
    # an authority: the identities for which it may issue; null for every one
    issues_for: list[str] | None
    names: list[str]
    begins_at: Utc
    ends_at: Utc
    # whole days until it ends
    days: int
    # SHA-256
    fingerprint: str


class ShownRequest(TypedDict):
    """A request for a certificate that waits for its answer."""

    file: str
    identity: str
    purpose: str
    names: list[str]
    made_at: Utc | None
    key_fingerprint: str
    # sixteen in each language
    words: dict[str, list[str]]


class CertificatePlace(TypedDict):
    """The certificates of one folder."""

    place: str
    identity: str
    certificates: list[ShownCertificate]
    request: ShownRequest | None
    warnings: list[str]


class CertShowOutput(TypedDict):
    """`cert show --json`."""

    # there is no warning
    ok: bool
    places: list[CertificatePlace]
