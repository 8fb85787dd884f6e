"""`deconflict key add`, `key retire`, `key revoke`: change the signing keys of a link under one epoch (SPEC F5.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.consent import EXIT_DECLINED, Yes, consented
from endpoints.cli.output import print_json, print_lines
from endpoints.errors import UserError
from protocol.phrases import phrase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from endpoints.cli.key_links import KeyedLink
    from endpoints.cli.reloading import NotKnown
    from endpoints.config.link_file import LinkFile
    from endpoints.config.owned_keys import Owned
    from endpoints.config.settings import ProcessSettings
    from endpoints.texts.i18n import Translator
    from protocol.wire.policy import EnrolledKey

Algorithm = Annotated[
    Literal["ed25519", "ml-dsa-65"] | None,
    Parameter(help="The algorithm of the new key; by default one key of each algorithm that the links require."),
]
KeyName = Annotated[
    str, Parameter(help="KEY_ID, PARTY/KEY_ID, or the 16 digits of the key, as `key show` prints them.", negative="")
]
OneLink = Annotated[
    str | None, Parameter(name="--link", help="Change this link alone; by default every link of the configuration.")
]


def key_add(
    config: options.Config,
    /,
    *,
    algorithm: Algorithm = None,
    link: OneLink = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Make a new signing key, and name it in the link file beside those that sign now."""
    from endpoints.cli.key_consequences import next_steps, retire_step
    from endpoints.cli.key_links import changed, keyed_links, require_no_next, signing
    from endpoints.config import settings
    from endpoints.config.owned_keys import owner_of, require_places
    from endpoints.keys import signer
    from endpoints.texts.i18n import translator

    t, found = translator(lang), settings.load(config)
    links, own, folder = keyed_links(found, link), owner_of(found), keys_folder(found)
    wanted = [algorithm] if algorithm else [*dict.fromkeys(name for each in links for name in each.suite)]
    for each in links:
        require_no_next(each)
        require_places(each.content, own, len(wanted))
    old = {
        (own, key) for each in links for name, keys in signing(found, each).items() if name in wanted for key in keys
    }
    made: list[EnrolledKey] = []
    try:
        for name in wanted:
            made.append(signer.make(folder, name))  # noqa: PERF401 - what was made counts if the next one fails
        contents = {each.file: changed(each.content, own, add=made) for each in links}
        open_end = _take_over(found, links, contents, t)
    except Exception:
        _discard(folder, made)
        raise
    if as_json:
        print_json({"added": [_row(own, key) for key in made], "links": [each.id for each in links]})
    else:
        print_lines(_made(made, folder, t))
    steps = [*next_steps(found, links, contents, t), *retire_step(found, sorted_keys(old), link, t)]
    print_lines(steps, stderr=True)
    if open_end is not None:
        raise open_end


def key_retire(
    config: options.Config,
    key: KeyName,
    /,
    *,
    link: OneLink = None,
    yes: Yes = False,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Take one of this side's keys out of the link file; another one must be accepted and sign already.

    Its private file is removed once an officer here has acknowledged the change: at that moment, or when this command
    runs again.
    """
    from endpoints.cli.key_consequences import next_steps, of_retirement
    from endpoints.cli.key_links import (
        changed,
        find,
        keyed_links,
        remove_retired,
        removed_lines,
        require_no_next,
        require_others,
    )
    from endpoints.config import settings
    from endpoints.config.owned_keys import owner_of
    from endpoints.keys import key_files
    from endpoints.texts.i18n import translator

    t, found = translator(lang), settings.load(config)
    links, own, folder = keyed_links(found, link), owner_of(found), keys_folder(found)
    chosen = find(links, key, own)
    if chosen is None:
        return _finish(found, key, folder, t, as_json=as_json)
    named = [each for each in links if chosen in each.named]
    for each in named:
        require_no_next(each)
        require_others(found, each, chosen)
    if not _agreed(of_retirement(found, named, chosen, t), t("retire this key?"), chosen, t, yes=yes):
        return EXIT_DECLINED
    contents = {each.file: changed(each.content, own, without=chosen) for each in named}
    elsewhere = any(chosen in each.named for each in keyed_links(found, None) if each.file not in contents)
    private = "" if elsewhere else _private(folder, chosen[1])
    try:
        if private:
            key_files.mark_retired(folder, private)
        open_end = _take_over(found, named, contents, t)
    except Exception:
        if private:
            key_files.unmark_retired(folder, private)
        raise
    removed = remove_retired(found)
    if as_json:
        row = {"retired": _row(*chosen), "links": [each.id for each in named], "private_removed": private in removed}
        print_json(row)
    else:
        print_lines([t("{key} ({digits}): no longer in the link file", **_named(*chosen))])
    print_lines([*next_steps(found, named, contents, t), *removed_lines(removed, found, t)], stderr=True)
    if open_end is not None:
        raise open_end
    return 0


def key_revoke(
    config: options.Config,
    key: KeyName,
    /,
    *,
    yes: Yes = False,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Stop trusting a stolen key at once: one of this side, of the other side, or of the watch.

    The consequences are shown first. A key of this side gets a replacement in the same act if nothing else is left.
    """
    from endpoints.cli.key_consequences import after_revocation, of_revocation
    from endpoints.cli.key_links import all_keys, changed, find, keyed_links, left_without, listed, removed_lines
    from endpoints.config import settings
    from endpoints.config.owned_keys import owner_of
    from endpoints.keys import key_files, signer
    from endpoints.texts.i18n import translator

    t, found = translator(lang), settings.load(config)
    links, own = keyed_links(found, None), owner_of(found)
    chosen = find(links, key)
    if chosen is None and found.keys is not None and (left := _stored(found, found.keys, key)) is not None:
        return _revoke_left(found, key, (own, left), found.keys, t, yes=yes, as_json=as_json)
    if chosen is None:
        raise UserError(
            phrase(
                "{key}: no such key in the link files; they have {keys}",
                key=repr(key[:80]),
                keys=listed(all_keys(links)),
            )
        )
    named = [each for each in links if chosen in each.named]
    folder = keys_folder(found) if chosen[0] == own else None
    lacking = [] if folder is None else left_without(found, named, chosen)
    if not _agreed(of_revocation(found, named, chosen, lacking, t), t("revoke this key now?"), chosen, t, yes=yes):
        return EXIT_DECLINED
    private = "" if folder is None else _private(folder, chosen[1])
    made: list[EnrolledKey] = []
    try:
        if folder is not None:
            for name in lacking:
                made.append(signer.make(folder, name))  # noqa: PERF401 - as above
        contents = {each.file: changed(each.content, own, add=made, without=chosen) for each in named}
        prepared = {each.next_file: each.prepared for each in named if each.prepared is not None}
        later = {path: changed(each, own, add=made, without=chosen) for path, each in prepared.items()}
        if folder is not None and private:
            # a crash may come before its file is removed
            key_files.mark_retired(folder, private)
        open_end = _take_over(found, named, {**contents, **later}, t)
    except Exception:
        _discard(folder, made)
        if folder is not None and private:
            key_files.unmark_retired(folder, private)
        raise
    if folder is not None and private:
        # nobody may sign with it again by putting an older link file back
        key_files.remove(folder, private)
    if as_json:
        rows = [_row(own, fresh) for fresh in made]
        print_json({"revoked": _row(*chosen), "replaced_by": rows, "links": [each.id for each in named]})
    else:
        print_lines([t("{key} ({digits}): no longer in the link file", **_named(*chosen))])
        print_lines(_made(made, folder, t))
    removed = [private] if private else []
    steps = after_revocation(found, named, chosen, contents, t)
    print_lines([*steps, *removed_lines(removed, found, t)], stderr=True)
    if open_end is not None:
        raise open_end
    return 0


def keys_folder(found: ProcessSettings) -> Path:
    """Return the folder of private keys. Raises UserError for a watch without one."""
    if found.keys is None:
        raise UserError(
            phrase(
                "{path}: keys: none, so this watch signs nothing; give it a key first: {command}",
                path=found.path,
                command="deconflict enrol DIR --side watch",
            )
        )
    return found.keys


def sorted_keys(keys: Iterable[Owned]) -> list[Owned]:
    """Return keys in the order of their owners and ids."""
    return sorted(keys, key=lambda each: (each[0], each[1].id, each[1].public))


def _finish(
    found: ProcessSettings, wanted: str, folder: Path, t: Translator, *, as_json: bool, at_once: bool = False
) -> int:
    """Remove the private file of a key that no link file names.

    Raises UserError while a link may still need it, unless `at_once`.
    """
    from endpoints.cli.key_links import all_keys, keyed_links, listed, removed_lines
    from endpoints.config.owned_keys import owner_of
    from endpoints.keys import key_files

    links, own = keyed_links(found, None), owner_of(found)
    key = _stored(found, folder, wanted)
    if key is None:
        keys = listed(all_keys(links, own))
        raise UserError(phrase("{key}: no key of this side; its keys are {keys}", key=repr(wanted[:80]), keys=keys))
    for link in links:
        if (own, key) in link.named:
            raise UserError(
                phrase(
                    "{key}: link {link} still has it; retire it there first: --link {link}", key=key.id, link=link.id
                )
            )
        if link.needs((own, key)) and not at_once:
            raise UserError(
                phrase(
                    "{key}: no officer has acknowledged yet that link {link} is without it, so its private file stays; "
                    "see: deconflict alarms list",
                    key=key.id,
                    link=link.id,
                )
            )
    key_files.remove(folder, key.id)
    if as_json:
        print_json({"retired": _row(own, key), "links": [], "private_removed": True})
    else:
        print_lines(removed_lines([key.id], found, t))
    return 0


def _revoke_left(
    found: ProcessSettings, wanted: str, key: Owned, folder: Path, t: Translator, *, yes: bool, as_json: bool
) -> int:
    """Revoke a key that no link file names: its retirement waits for an officer, or a revocation was interrupted."""
    from endpoints.cli.key_consequences import after_revocation, of_revocation
    from endpoints.cli.key_links import keyed_links

    waiting = [link for link in keyed_links(found, None) if link.needs(key)]
    if waiting:
        consequences = of_revocation(found, waiting, key, [], t)
        if not _agreed(consequences, t("revoke this key now?"), key, t, yes=yes):
            return EXIT_DECLINED
    _finish(found, wanted, folder, t, as_json=as_json, at_once=True)
    if waiting:
        present = {link.file: link.content for link in waiting}
        print_lines(after_revocation(found, waiting, key, present, t), stderr=True)
    return 0


def _stored(found: ProcessSettings, folder: Path, wanted: str) -> EnrolledKey | None:
    """Return the key of the keys folder that `wanted` names, None if there is none. Raises UserError."""
    from endpoints.config.owned_keys import owner_of, shown
    from endpoints.keys import key_files

    own, stored = owner_of(found), key_files.stored(folder).values()
    return next((each for each in stored if wanted in {each.id, f"{own}/{each.id}", shown(each)[1]}), None)


def _take_over(
    found: ProcessSettings, links: Sequence[KeyedLink], contents: Mapping[Path, LinkFile], t: Translator
) -> NotKnown | None:
    """Replace link files, and have the running process take them over; a refusal puts all back.

    Returns the error that remains to be raised if the process has not answered: the files stay. Raises UserError.
    """
    from endpoints.cli.link_file_change import LinkFileChange
    from endpoints.cli.reloading import NotKnown, reload_or_undo

    files = LinkFileChange()
    files.replace(links, contents)
    try:
        reload_or_undo(found.path, files.undo, t)
    except NotKnown as error:
        return error
    return None


def _agreed(consequences: Iterable[str], question: str, key: Owned, t: Translator, *, yes: bool) -> bool:
    """Show the consequences and ask, unless `yes`; return whether to go on. Raises UserError without a terminal."""
    from endpoints.cli.key_links import listed

    head = t("consequences for {key}:", key=listed({key}, digits=True))
    print_lines([head, *(f"  - {each}" for each in consequences)], stderr=True)
    return consented(question, t, yes=yes)


def _discard(folder: Path | None, made: Iterable[EnrolledKey]) -> None:
    """Remove private keys that no link file came to name."""
    from endpoints.keys import key_files

    if folder is not None:
        for key in made:
            key_files.remove(folder, key.id)


def _private(folder: Path, key: EnrolledKey) -> str:
    """Return the id under which the private file of `key` lies in `folder`, empty if it does not. Raises UserError."""
    from endpoints.keys import key_files

    return next((key_id for key_id, each in key_files.stored(folder).items() if each.public == key.public), "")


def _made(made: Sequence[EnrolledKey], folder: Path | None, t: Translator) -> list[str]:
    from endpoints.config.owned_keys import shown

    return [
        t("{key} ({digits}): made in {folder}", key=shown(key)[0], digits=shown(key)[1], folder=folder) for key in made
    ]


def _named(party: str, key: EnrolledKey) -> dict[str, str]:
    from endpoints.config.owned_keys import shown

    return {"key": f"{party}/{shown(key)[0]}", "digits": shown(key)[1]}


def _row(party: str, key: EnrolledKey) -> dict[str, Any]:
    from endpoints.config.owned_keys import shown

    return {"party": party, "id": key.id, "algorithm": key.algorithm, "digits": shown(key)[1], "public": key.public}
