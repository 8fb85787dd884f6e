"""Reads and writes the link file: the public terms and keys that both sides hold alike (SPEC E1.1, E1.3).

```toml
link = "eucom-ndmc"
epoch = 1
caller = "eucom"
answering = "ndmc"

[policy]
slots = ["0 9,17 * * *"]
zone = "Europe/Berlin"
grace = "15m"
...

[parties.eucom]
site = "Wiesbaden"
zone = "Europe/Berlin"
name = { en = "US European Command", ru = "..." }
keys = [{ id = "eucom-2022", algorithm = "ed25519", public = "..." }]

[watch]                             # optional: signs the heads of the watch's journals, and nothing else
keys = [{ id = "watch-2022", algorithm = "ed25519", public = "..." }]
```
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
import tomli_w
from msgspec import UNSET, Meta, Struct, UnsetType

from broker.atomic_files import PUBLIC_MODE, replace
from endpoints.clocks import slots
from endpoints.config import toml_reader
from endpoints.errors import UserError, os_reason
from protocol.errors import EnrolmentError
from protocol.phrases import phrase
from protocol.wire import canonical
from protocol.wire.canonical import CanonicalError
from protocol.wire.keyring import KEYS_MAX, Keyring
from protocol.wire.messages import Identifier, Seq, Texts
from protocol.wire.policy import EnrolledKey, Policy, Terms

_HEADER = """\
# The link file: parties, keys, schedule, policy. It is public, and both sides hold the same file.
# Compare it by voice: deconflict link fingerprint FILE
# A change of the policy takes effect with the next epoch: deconflict link amend CONFIG
"""


class Party(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the two headquarters: its names by language, its site and time zone, its enrolled public keys."""

    # by language
    name: Texts
    # where it is
    site: Annotated[str, Meta(min_length=1, max_length=80)]
    # IANA time zone of its wall clocks
    zone: Annotated[str, Meta(min_length=1, max_length=64)]
    # its public keys
    keys: Annotated[tuple[EnrolledKey, ...], Meta(max_length=16)] = ()


class WatchEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The independent watch: the public keys that verify the signed heads of its journals (SPEC E1.9)."""

    # its public keys
    keys: Annotated[tuple[EnrolledKey, ...], Meta(min_length=1, max_length=KEYS_MAX)]


class _Document(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The structure of the file."""

    # the id of the link
    link: Identifier
    # the terms take effect with this epoch
    epoch: Seq
    # the side that places the line tests of the schedule
    caller: Identifier
    # the other side
    answering: Identifier
    # what both sides have agreed
    policy: Policy
    # exactly the two parties, by id
    parties: dict[Identifier, Party]
    # the independent watch, if it signs
    watch: WatchEntry | UnsetType = UNSET


class LinkFile(Struct, frozen=True, kw_only=True):
    """The content of a link file.

    Attributes:
        terms: the link, its epoch, the calling and the answering party, the policy; policy digests on the wire cover
            them.
        parties: exactly the two parties of `terms`.
        watch: the watch's entry, None if the file has none.
    """

    terms: Terms
    parties: dict[str, Party]
    watch: WatchEntry | None = None

    @property
    def keys(self) -> dict[str, tuple[EnrolledKey, ...]]:
        """The enrolled keys by party. The watch is not a party: its keys verify no frame."""
        return {party: each.keys for party, each in self.parties.items()}

    @property
    def watch_keys(self) -> tuple[EnrolledKey, ...]:
        """The keys that verify the watch's signed heads; none without an entry for it."""
        return self.watch.keys if self.watch else ()

    def peer_of(self, side: str) -> str:
        """Return the other party. Raises UserError if `side` is not a party of the link."""
        terms = self.terms
        if side not in self.parties:
            raise UserError(
                phrase(
                    "{side} is not a party of link {link}; its parties are {caller} and {answering}",
                    side=side,
                    link=terms.link,
                    caller=terms.caller,
                    answering=terms.answering,
                )
            )
        return terms.answering if side == terms.caller else terms.caller

    def zone_of(self, side: str) -> str:
        """Return the time zone of the wall clocks of `side`; UTC for the watch, which is not a party."""
        return self.parties[side].zone if side in self.parties else "UTC"

    def zones_from(self, side: str) -> tuple[str, ...]:
        """Return the time zone of `side`, then those of the other sites."""
        return (self.zone_of(side), *(party.zone for name, party in self.parties.items() if name != side))

    @property
    def digest(self) -> str:
        """SHA-256 of the content in hexadecimal; spaces and comments of the file do not change it (SPEC E1.7)."""
        ordered = msgspec.json.encode(_document(self), order="deterministic")
        return hashlib.sha256(ordered).hexdigest()


def load(path: Path) -> LinkFile:
    """Return the content of the link file `path`. Raises UserError naming file and key."""
    document = toml_reader.convert(toml_reader.read(path, what=toml_reader.LINK_FILE), _Document, path=path)
    terms = Terms(
        link=document.link,
        epoch=document.epoch,
        caller=document.caller,
        answering=document.answering,
        policy=document.policy,
    )
    content = LinkFile(terms=terms, parties=document.parties, watch=document.watch or None)
    try:
        check(content)
    except UserError as error:
        raise UserError(phrase("{path}: {error}", path=path, error=error)) from None
    return content


def dump(content: LinkFile) -> bytes:
    """Return a link file with this content; loading it returns `content` again."""
    table = toml_reader.plain(_document(content))
    return (_HEADER + "\n" + tomli_w.dumps(table, multiline_strings=False)).encode()


def save(content: LinkFile, path: Path) -> None:
    """Replace the link file `path` atomically. Raises UserError if it cannot be written."""
    restore(dump(content), path)


def restore(data: bytes, path: Path) -> None:
    """Replace the link file `path` atomically by these bytes. Raises UserError if it cannot be written."""
    try:
        replace(path, data, PUBLIC_MODE)
    except OSError as error:
        raise UserError(phrase("{path}: cannot be written: {reason}", path=path, reason=os_reason(error))) from None


def check(content: LinkFile) -> None:
    """Check what the types cannot express (SPEC E1.5). Raises UserError, which names the key."""
    terms, policy = content.terms, content.terms.policy
    if terms.caller == terms.answering:
        raise UserError(
            phrase("answering: the same party as caller ({caller}); name the other party", caller=terms.caller)
        )
    if set(content.parties) != {terms.caller, terms.answering}:
        raise UserError(
            phrase(
                "parties: found {value}; name exactly caller ({caller}) and answering ({answering})",
                value=", ".join(sorted(content.parties)) or "none",
                caller=terms.caller,
                answering=terms.answering,
            )
        )
    for name, party in content.parties.items():
        zone(party.zone, at=f"parties.{name}.zone")
        _distinct([key.id for key in party.keys], at=f"parties.{name}.keys", what=phrase("key id"))
    publics = [key.public for party in content.parties.values() for key in party.keys]
    _distinct(publics, at="parties", what=phrase("public key"))
    if content.watch:
        # SPEC F5.2: once in a link, for a party or for the watch
        _distinct([*publics, *(key.public for key in content.watch_keys)], at="watch.keys", what=phrase("public key"))
        try:
            Keyring({"watch": content.watch_keys}, policy.suite)
        except EnrolmentError as error:
            raise UserError(phrase("watch.keys: {error}", error=error)) from None
    require_canonical(msgspec.to_builtins(policy), "policy")
    zone(policy.zone, at="policy.zone")
    for index, expression in enumerate(policy.slots):
        try:
            slots.check(expression)
        except ValueError as error:
            raise UserError(phrase("policy.slots[{index}]: {error}", index=index, error=error)) from None
    _distinct(policy.categories, at="policy.categories", what=phrase("category"))
    _distinct(policy.languages, at="policy.languages", what=phrase("language"))
    _distinct([channel.id for channel in policy.channels], at="policy.channels", what=phrase("channel id"))
    if policy.test_language not in policy.languages:
        raise UserError(
            phrase(
                "policy.test_language: {test_language} is not in policy.languages ({languages})",
                test_language=policy.test_language,
                languages=", ".join(policy.languages),
            )
        )


def check_keys(content: LinkFile, *, complete: bool = True) -> None:
    """Raise UserError for a key that may not be enrolled (SPEC F5.1, F5.2).

    With `complete`, every party must have what the policy's suite requires (SPEC F5.3). `check` leaves all of this out:
    a file that is being made may lack keys.
    """
    try:
        Keyring(content.keys, content.terms.policy.suite, complete=complete)
    except EnrolmentError as error:
        raise UserError(phrase("parties: {error}", error=error)) from None


def next_path(path: Path) -> Path:
    """Return where the file of a link's next epoch is prepared: `link.next.toml` beside `link.toml`."""
    return path.with_name(f"{path.stem}.next{path.suffix}")


def require_canonical(value: Any, at: str) -> None:
    """Raise UserError for a text that has no canonical form, so that no frame and no digest can hold it (SPEC F4).

    `at` is the key of `value`; the error names the key of the text.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            require_canonical(item, toml_reader.join(at, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            require_canonical(item, f"{at}[{index}]")
    else:
        try:
            canonical.encode(value)
        except CanonicalError as error:
            raise UserError(phrase("{at}: {error}", at=at, error=error)) from None


def zone(name: str, *, at: str) -> ZoneInfo:
    """Return the time zone `name` of the tzdata package. Raises UserError, which names the key `at`."""
    try:
        return slots.zone(name)
    except ValueError as error:
        raise UserError(phrase("{at}: {error}", at=at, error=error)) from None


def _document(content: LinkFile) -> _Document:
    terms = content.terms
    return _Document(
        link=terms.link,
        epoch=terms.epoch,
        caller=terms.caller,
        answering=terms.answering,
        policy=terms.policy,
        parties=content.parties,
        watch=content.watch or UNSET,
    )


def _distinct(values: Any, *, at: str, what: str) -> None:
    seen = set()
    for value in values:
        if value in seen:
            raise UserError(phrase("{at}: the {what} {value} occurs twice", at=at, what=what, value=value))
        seen.add(value)
