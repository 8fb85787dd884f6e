"""`deconflict link add` and `deconflict link remove`: a further link of an endpoint or of the watch."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.consent import EXIT_DECLINED, Yes, consented
from endpoints.cli.link_status import roles
from endpoints.cli.output import print_json, print_lines
from endpoints.cli.values import shown
from endpoints.errors import UserError
from protocol.phrases import phrase

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

    from endpoints.config.link_file import LinkFile
    from endpoints.config.settings import LinkSettings, ProcessSettings
    from endpoints.texts.i18n import Translator
    from protocol.wire.policy import Terms

NewFile = Annotated[Path, Parameter(help="The link file of the further link; it stays where it is.", negative="")]
JournalFolder = Annotated[
    Path | None,
    Parameter(help="The folder of its journal; by default `journal/LINK` beside the configuration.", negative=""),
]
Removed = Annotated[str, Parameter(help="The id of the link.", negative="")]


def link_add(
    config: options.Config,
    file: NewFile,
    /,
    *,
    journal: JournalFolder = None,
    yes: Yes = False,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Add a further link to an endpoint or to the watch: an entry of the configuration, and a folder for its journal.

    A running process takes it over. The broker's files are made anew from all link files.
    """
    from endpoints.cli.link import print_fingerprint
    from endpoints.config import link_change, link_file, settings
    from endpoints.texts.i18n import translator

    t, found = translator(lang), settings.load(config)
    content = link_change.load(file)
    link_file.check_keys(content)
    _check_new(found, content, file)
    own = found.path.absolute().parent
    usual = own / "journal" / content.terms.link
    folder = usual if journal is None else journal.absolute()
    _check_journal(found, content, file, folder)
    _require_usual(found, content, usual, folder)
    print_lines([f"{config}: {roles(content.terms, t)}"], stderr=True)
    if other := _other_status(found, content):
        print_lines([t("!!! its status differs from that of {links} !!!", links=other)], stderr=True)
    if not consented(t("add this link?"), t, yes=yes):
        return EXIT_DECLINED
    _add(found, content, file, folder, t)
    _broker(t)
    if as_json:
        print_json({"link": content.terms.link, "file": str(file), "journal": str(folder), "digest": content.digest})
    else:
        print_fingerprint(content, t, as_json=False)
    return 0


def link_remove(
    config: options.Config,
    link: Removed,
    /,
    *,
    yes: Yes = False,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Remove a link from an endpoint or from the watch, after showing what is open. Its files and its journal stay."""
    from msgspec import to_builtins

    from endpoints.cli.epoch_costs import epoch_costs, show_removal
    from endpoints.cli.present_state import present_state
    from endpoints.clocks.clock import clock
    from endpoints.config import settings
    from endpoints.texts.i18n import translator

    t, found = translator(lang), settings.load(config)
    chosen = found.link(link)
    if len(found.links) == 1:
        raise UserError(phrase("{path}: {link} is its only link; a process has at least one", path=config, link=link))
    state = present_state(found, chosen)
    now, _ = clock(found.exercise_clock).now()
    status = t.term("status", chosen.content.terms.policy.status)
    line = t("{config}: link {link}, status {status}, is to go", config=config, link=link, status=status)
    print_lines([line], stderr=True)
    costs = None if state is None else epoch_costs(state, now)
    if state is not None and costs is not None:
        show_removal(costs, state, t, chosen.content.zone_of(found.side), now)
    if not consented(t("remove this link?"), t, yes=yes):
        return EXIT_DECLINED
    _remove(found, chosen, t)
    kept = t("kept: {file}, {journal}", file=shown(chosen.file), journal=shown(chosen.journal))
    print_lines([kept], stderr=True)
    _broker(t)
    if as_json:
        document = {"link": link, "file": str(shown(chosen.file)), "journal": str(shown(chosen.journal))}
        print_json({**document, **to_builtins(costs or {})})
    return 0


def _check_new(found: ProcessSettings, content: LinkFile, file: Path) -> None:
    """Raise UserError unless the process can run this link beside its others."""
    from endpoints.config import link_change
    from endpoints.config.settings import EndpointSettings
    from endpoints.keys.signer import Signer

    link = content.terms.link
    for each in found.links:
        if each.id == link:
            raise UserError(
                phrase(
                    "{path}: link {link} is there already, with {file}; to take over a changed file: {command}",
                    path=found.path,
                    link=link,
                    file=shown(each.file),
                    command=shlex.join(["deconflict", "link", "accept", str(found.path), str(file)]),
                )
            )
    if not isinstance(found, EndpointSettings):
        if found.side in content.parties:
            wrong = phrase(
                "{name} is a party of link {id}; the watch needs an identity of its own", name=found.side, id=link
            )
            raise UserError(phrase("{path}: {error}", path=file, error=wrong))
        return
    try:
        content.peer_of(found.side)
    except UserError as error:
        raise UserError(phrase("{path}: {error}", path=file, error=error)) from None
    held = {key.public for key in Signer.load(found.keys, content.terms.policy.suite).enrolled}
    if not any(key.public in held for key in content.keys[found.side]):
        raise UserError(
            phrase(
                "{path}: it enrols none of the keys in {keys} for {side}, so this side could not sign; enrol one of "
                "them there",
                path=file,
                keys=found.keys,
                side=found.side,
            )
        )
    link_change.require_comparison(found, content, file, "--file", str(file))


def _check_journal(found: ProcessSettings, content: LinkFile, file: Path, folder: Path) -> None:
    """Raise UserError unless a journal can begin or go on in `folder`, and `file` isn't another link's next epoch.

    A link that was removed goes on with its journal: in a new one under the same epoch, its numbers would begin anew.
    """
    from endpoints.config import link_file
    from endpoints.journal.segments import segments
    from endpoints.keys.private_files import exists
    from endpoints.runtime.start_checks import check_terms

    if shown(file.absolute()) in {shown(link_file.next_path(each.file)) for each in found.links}:
        raise UserError(
            phrase("{file}: has the name of a file for the next epoch of another link; rename it", file=file)
        )
    if exists(folder) and (not folder.is_dir() or segments(folder)):
        known = _terms_of(found, content, folder)
        if known is None:
            raise UserError(
                phrase("{folder}: holds another journal already; name another folder with --journal", folder=folder)
            )
        check_terms(content.terms, known)


def _require_usual(found: ProcessSettings, content: LinkFile, usual: Path, folder: Path) -> None:
    """Raise UserError if the journal of an earlier time of this link, in the usual folder, would be left aside."""
    known = None if folder == usual else _terms_of(found, content, usual)
    if known is not None and content.terms.epoch <= known.epoch:
        raise UserError(
            phrase(
                "{folder}: link {link} was here before, and goes on with this journal; leave --journal out",
                folder=usual,
                link=content.terms.link,
            )
        )


def _terms_of(found: ProcessSettings, content: LinkFile, folder: Path) -> Terms | None:
    """Return the terms of the last epoch in this link's journal in `folder`, None if there is none of it."""
    from endpoints.journal.last_segment import last_segment
    from protocol.errors import LinkError
    from protocol.record.replay import at_end

    try:
        records = last_segment(folder, content.terms.link, found.side)
        core = at_end(records) if records else None
    except (LinkError, OSError):
        return None
    return None if core is None else core.terms


def _other_status(found: ProcessSettings, content: LinkFile) -> str:
    """Return the links here whose status differs from that of `content`."""
    status = content.terms.policy.status
    return ", ".join(each.id for each in found.links if each.content.terms.policy.status != status)


def _add(found: ProcessSettings, content: LinkFile, file: Path, folder: Path, t: Translator) -> None:
    """Add the entry and have a running process take it over. Raises UserError; then nothing has changed."""
    from endpoints.cli.reloading import NotKnown
    from endpoints.cli.settings_change import change_settings
    from endpoints.config import default_terms
    from endpoints.config.new_folder import as_user_errors
    from endpoints.config.settings import EndpointSettings
    from endpoints.keys.private_files import FOLDER_MODE, give_to_owners, make_folders

    own = found.path.absolute().parent
    entry: dict[str, Any] = {"file": _relative(file.absolute(), own), "journal": _relative(folder, own)}
    if isinstance(found, EndpointSettings):
        languages = (content.terms.policy.test_language,)
        entry |= default_terms.words(content.parties[found.side].site, languages)
    made = []
    try:
        with as_user_errors(folder):
            made = make_folders(folder, FOLDER_MODE)
            give_to_owners(made)
        change_settings(found.path, lambda document: document["links"].append(entry), t)
    except NotKnown:
        # the entry stays, and names the folder
        raise
    except BaseException:
        for each in made:
            with suppress(OSError):
                each.rmdir()
        raise


def _remove(found: ProcessSettings, chosen: LinkSettings, t: Translator) -> None:
    """Remove the entry and have a running process take it over. Raises UserError; then nothing has changed."""
    from endpoints.cli.settings_change import change_settings

    index = [each.id for each in found.links].index(chosen.id)

    def remove(document: TOMLDocument) -> None:
        del document["links"][index]

    change_settings(found.path, remove, t)


def _relative(path: Path, own: Path) -> str:
    """Return a path as the configuration in the folder `own` names it: relative where both lie together."""
    return os.path.relpath(path, own) if path.is_relative_to(own.parent) else str(path)


def _broker(t: Translator) -> None:
    line = t(
        "on the broker's machine, make its files anew from the link files of all its links: {command}",
        command="deconflict broker DIR --configure LINK_FILE...",
    )
    print_lines([line], stderr=True)
