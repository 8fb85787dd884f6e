"""Compares two link files of a link, and checks what a side may take over: `link accept`, `link amend`, `epoch`.

Under one epoch, a side takes the other side's keys and keeps its own. Changed terms need a new epoch, whose file has
exactly the keys that this side has now.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, Struct, structs

from endpoints.config import confirmations, link_file, toml_reader
from endpoints.config.link_file import LinkFile
from endpoints.config.own_words import own_words
from endpoints.config.settings import EndpointSettings, LinkSettings, ProcessSettings, WatchSettings
from endpoints.errors import UserError
from protocol.phrases import phrase
from protocol.wire.digests import policy_digest
from protocol.wire.policy import EnrolledKey, Policy

_KEYS = ".keys"


class Difference(Struct, frozen=True, kw_only=True):
    """One value in which two link files differ.

    Attributes:
        field: its place in the file, such as `policy.grace`, `parties.ndmc.site`, `parties.ndmc.keys`.
        before: the value as the file has it, with durations as text; None if the file has none.
        after: the same of the other file.
    """

    field: str
    before: Any
    after: Any


def differences(before: LinkFile, after: LinkFile) -> tuple[Difference, ...]:
    """Return every value in which `after` differs, in the order of the file; a list of keys or slots is one value."""
    old, new = _flat(before), _flat(after)
    return tuple(
        Difference(field=field, before=old.get(field), after=new.get(field))
        for field in dict.fromkeys((*old, *new))
        if old.get(field) != new.get(field)
    )


def load(path: Path) -> LinkFile:
    """Return the link file `path` of another side, with keys that may be enrolled. Raises UserError."""
    content = link_file.load(path)
    try:
        # SPEC F5.4: a side that has revoked its only key has none for a while
        link_file.check_keys(content, complete=False)
    except UserError as error:
        raise UserError(phrase("{path}: {error}", path=path, error=error)) from None
    return content


def check_link(settings: ProcessSettings, present: LinkFile, theirs: LinkFile, path: Path) -> None:
    """Raise UserError unless the file `path` is of the link of `present`, between the same two parties."""
    terms, other = present.terms, theirs.terms
    if other.link != terms.link:
        raise UserError(
            phrase(
                "{path}: link {found}; a file of link {link} was expected", path=path, found=other.link, link=terms.link
            )
        )
    if isinstance(settings, WatchSettings) and settings.side in theirs.parties:
        wrong = phrase(
            "{name} is a party of link {id}; the watch needs an identity of its own", name=settings.side, id=other.link
        )
        raise UserError(phrase("{path}: {error}", path=path, error=wrong))
    if set(theirs.parties) != set(present.parties):
        raise UserError(
            phrase(
                "{path}: its parties are {found}, and those of link {link} here are {parties}; another party needs a "
                "link of its own",
                path=path,
                found=", ".join(theirs.parties),
                link=terms.link,
                parties=", ".join(present.parties),
            )
        )


def same_terms(one: LinkFile, other: LinkFile) -> bool:
    """Return whether two link files have the same terms: link, epoch, roles and policy."""
    return policy_digest(one.terms) == policy_digest(other.terms)


def with_their_keys(settings: ProcessSettings, present: LinkFile, theirs: LinkFile) -> LinkFile:
    """Return `present` with what the file of another side says of everybody else: keys, names, sites, and the watch.

    What stands there of this side is kept: two sides that rotate a key at once so arrive at one file. Raises UserError
    if the keys do not go together, such as one key at two parties.
    """
    parties, watch = dict(present.parties), theirs.watch
    for party in parties:
        if party != settings.side:
            parties[party] = theirs.parties[party]
    if isinstance(settings, WatchSettings):
        watch = present.watch or theirs.watch
    merged = structs.replace(present, parties=parties, watch=watch)
    link_file.check(merged)
    link_file.check_keys(merged, complete=False)
    return merged


def own_keys(settings: ProcessSettings, content: LinkFile) -> tuple[EnrolledKey, ...]:
    """Return the keys that a link file enrols for this side; for the watch, those that sign its heads."""
    return content.watch_keys if isinstance(settings, WatchSettings) else content.keys[settings.side]


def check_next(settings: ProcessSettings, link: LinkSettings, proposed: LinkFile, path: Path) -> None:
    """Raise UserError unless this side can open an epoch with the file `path`: its own keys and words fit it.

    The keys that a link file with a new epoch enrols count at once (SPEC F5.4), so they must be those of now.
    """
    present = link.content
    if proposed.terms.epoch <= present.terms.epoch:
        raise UserError(
            phrase(
                "{path}: epoch {epoch}, and {file} has epoch {present} already; a changed policy needs a higher one",
                path=path,
                epoch=proposed.terms.epoch,
                file=os.path.normpath(link.file),
                present=present.terms.epoch,
            )
        )
    try:
        link_file.check_keys(proposed)
    except UserError as error:
        raise UserError(phrase("{path}: {error}", path=path, error=error)) from None
    missing, foreign = key_changes(own_keys(settings, present), own_keys(settings, proposed))
    if missing or foreign:
        raise UserError(
            phrase(
                "{path}: it has not the keys of {side} that {file} has (missing: {missing}; foreign: {foreign}); "
                "have it made anew from this side's present link file",
                path=path,
                side=settings.side,
                file=os.path.normpath(link.file),
                missing=", ".join(key.id for key in missing) or phrase("none"),
                foreign=", ".join(key.id for key in foreign) or phrase("none"),
            )
        )
    _check_words(settings, link, proposed)


def key_changes(
    before: Sequence[EnrolledKey], after: Sequence[EnrolledKey]
) -> tuple[tuple[EnrolledKey, ...], tuple[EnrolledKey, ...]]:
    """Return the keys that are missing from `after`, and those that it adds."""
    return tuple(key for key in before if key not in after), tuple(key for key in after if key not in before)


def amended(content: LinkFile, values: Sequence[tuple[str, str, Any]]) -> LinkFile:
    """Return `content` with changed fields of its policy, and the next epoch.

    Args:
        content: the present link file.
        values: each option that changes a field, for errors; the field as link files name it, such as `grace` or
            `handling.flash`; its value as in TOML.

    Raises UserError, which names the option.
    """
    policy = content.terms.policy
    for option, field, value in values:
        table = toml_reader.plain(policy)
        *above, name = field.split(".")
        at = table
        for each in above:
            at = at.get(each)
            if not isinstance(at, dict):
                raise UserError(phrase("{option}: policy.{field}: unknown key", option=option, field=repr(field[:60])))
        at[name] = value
        policy = toml_reader.convert(table, Policy, path=Path(option), at="policy")
    terms = structs.replace(content.terms, policy=policy, epoch=content.terms.epoch + 1)
    made = structs.replace(content, terms=terms)
    link_file.check(made)
    link_file.check_keys(made)
    return made


def edited(present: LinkFile, copy: LinkFile, path: Path) -> LinkFile:
    """Return the edited copy of a link file with the next epoch. Raises UserError if it changes keys or the epoch."""
    epoch = present.terms.epoch
    if copy.terms.epoch not in {epoch, epoch + 1}:
        raise UserError(
            phrase(
                "{path}: epoch {found}; edit a copy of the present link file, which has epoch {epoch}",
                path=path,
                found=copy.terms.epoch,
                epoch=epoch,
            )
        )
    if copy.keys != present.keys or copy.watch_keys != present.watch_keys:
        raise UserError(
            phrase("{path}: it changes keys; link amend changes all but keys: see deconflict key --help", path=path)
        )
    return structs.replace(copy, terms=structs.replace(copy.terms, epoch=epoch + 1))


def require_comparison(settings: ProcessSettings, content: LinkFile, file: Path, *options: str) -> None:
    """Raise UserError if the link is actual and no officer here has compared this very file (SPEC E1.8).

    `options` of `link confirm` name the file. The watch compares nothing.
    """
    if content.terms.policy.status != "actual" or not isinstance(settings, EndpointSettings):
        return
    if confirmations.noted(settings, content) is None:
        raise confirmations.unconfirmed(settings, content, file, *options)


def _check_words(settings: ProcessSettings, link: LinkSettings, proposed: LinkFile) -> None:
    """Raise UserError if this side's own words for line tests are not in the test language of `proposed`."""
    table = toml_reader.read(settings.path, what=toml_reader.PROCESS)
    for index, each in enumerate(table["links"]):
        if settings.path.absolute().parent / each["file"] == link.file:
            at = f"{settings.path}: links[{index}]"
            own_words(each.get("test_text", UNSET), each.get("answer_text", UNSET), proposed.terms, at=at)


def _flat(content: LinkFile) -> dict[str, Any]:
    """Return each value of a link file under its full name; lists, texts by language and keys are one value each."""
    terms = content.terms
    flat: dict[str, Any] = {"epoch": terms.epoch, "caller": terms.caller, "answering": terms.answering}
    for field, value in toml_reader.plain(terms.policy).items():
        parts = {f".{key}": each for key, each in value.items()} if isinstance(value, Mapping) else {"": value}
        flat |= {f"policy.{field}{part}": each for part, each in parts.items()}
    for name, party in sorted(content.parties.items()):
        flat |= {f"parties.{name}.{field}": value for field, value in msgspec.to_builtins(party).items()}
    return flat | {f"watch{_KEYS}": msgspec.to_builtins(content.watch_keys)}
