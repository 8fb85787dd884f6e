"""`deconflict link confirm`: compares the link file by voice, and notes who did so for the service to journal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.output import print_json, print_lines
from endpoints.cli.values import command_line, shown
from endpoints.errors import UserError
from protocol.phrases import phrase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from endpoints.config.link_file import LinkFile
    from endpoints.config.settings import EndpointSettings, LinkSettings
    from endpoints.texts.i18n import Translator


Further = Annotated[
    Path | None,
    Parameter(name="--file", help="The file of a link that is to be added, in place of one here.", negative=""),
]


def link_confirm(
    config: options.EndpointConfig,
    /,
    *,
    officer: options.OfficerId,
    credential_file: options.CredentialFile = None,
    file: Further = None,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Compare the link file with the words that the other side reads, and confirm that both files are equal.

    A file that is prepared for the next epoch is compared in place of the present one, unless an actual link has to
    open that one first. `file` is that of a link that is to be added.
    """
    from endpoints.cli.credential import obtain
    from endpoints.cli.fingerprint import EXIT_DIFFERENT, show, typed
    from endpoints.cli.officer_input import officer as enrolled
    from endpoints.cli.reloading import reload_running
    from endpoints.clocks.clock import clock
    from endpoints.config import confirmations, link_file, settings
    from endpoints.config.confirmations import ComparisonNote
    from endpoints.keys.credentials import verify
    from endpoints.keys.officer_credentials import WrongCredential
    from endpoints.keys.private_files import exists
    from endpoints.texts.i18n import translator
    from protocol.wire.instants import written

    t, found = translator(lang), settings.load(config)
    if not isinstance(found, settings.EndpointSettings):
        raise UserError(
            phrase(
                "{file}: the watch sends nothing and confirms nothing; compare its link file with: {command}",
                file=config,
                command=command_line("link", "fingerprint", "FILE", "--compare"),
            )
        )
    enrolled(officer, tuple(found.officers))
    further = file
    if further is not None:
        file, content = further, _further(found, further)
    else:
        chosen = found.link(link)
        file, content = chosen.file, chosen.content
        if exists(prepared := link_file.next_path(file)) and not _present_first(found, chosen):
            file, content = prepared, link_file.load(prepared)
            _require_next(chosen, content, prepared)
    # before two people spend minutes on the words
    if not verify(obtain(officer, credential_file, t), found.officers[officer].credential):
        raise UserError(WrongCredential(officer, "").args[0])
    compared = typed(content, t)
    if settings.load_endpoint(config).officers.get(officer) != found.officers[officer]:
        raise UserError(
            phrase(
                "officer {officer} was removed, or has another credential, since the comparison began: nothing was "
                "confirmed; compare again",
                officer=officer,
            )
        )
    at = written(clock(found.exercise_clock).now()[0])
    note = ComparisonNote(
        link=content.terms.link, digest=content.digest, officer=officer, compared_at=at, first_word=compared.start
    )
    if not compared.differing:
        confirmations.save(found.path.absolute().parent, note)
    elif confirmations.noted(found, content) is not None:
        # equal before and different now: nobody knows which of the two was misheard
        confirmations.remove(found.path.absolute().parent, content.terms.link)
    if as_json:
        print_json(
            {
                "link": content.terms.link,
                "epoch": content.terms.epoch,
                "file": str(shown(file)),
                "digest": content.digest,
                "officer": officer,
                "compared_at": at,
                "start": compared.start,
                "equal": not compared.differing,
                "differing": compared.differing,
            }
        )
    else:
        show(compared.differing, t, steps_follow=True)
    if compared.differing:
        return EXIT_DIFFERENT
    if further is not None:
        steps = [*_steps_of_both(file, t)]
        add = command_line("link", "add", found.path, further)
        steps.append(t("when both sides have confirmed it: {command}", command=add))
        print_lines(steps, stderr=True)
        return 0
    running = reload_running(found.path, t)
    print_lines(_next_steps(found, chosen, file, t, running=running), stderr=True)
    return 0


def _further(found: EndpointSettings, path: Path) -> LinkFile:
    """Return the file of a link that is to be added. Raises UserError if this side is no party, or a key is wrong."""
    from endpoints.config import link_change, link_file

    content = link_change.load(path)
    try:
        content.peer_of(found.side)
        link_file.check_keys(content)
    except UserError as error:
        raise UserError(phrase("{path}: {error}", path=path, error=error)) from None
    return content


def _present_first(found: EndpointSettings, chosen: LinkSettings) -> bool:
    """Return whether an actual link can't start before its present file is compared: its epoch was never open."""
    from endpoints.cli.present_state import present_state
    from endpoints.config import confirmations
    from protocol.errors import LinkError

    content = chosen.content
    if content.terms.policy.status != "actual" or confirmations.noted(found, content) is not None:
        return False
    try:
        state = present_state(found, chosen)
    except LinkError:
        # what can't be read says nothing of the epoch
        return False
    return state is None or state.epoch < content.terms.epoch


def _require_next(chosen: LinkSettings, proposed: LinkFile, path: Path) -> None:
    """Raise UserError unless a prepared file is one of this link, with a later epoch."""
    present = chosen.content.terms
    if proposed.terms.link != present.link or proposed.terms.epoch <= present.epoch:
        raise UserError(
            phrase(
                "{path}: link {link}, epoch {epoch}; for the next epoch of link {wanted}, a file with epoch {next} or "
                "later is expected: remove this one, or prepare it anew",
                path=shown(path),
                link=proposed.terms.link,
                epoch=proposed.terms.epoch,
                wanted=present.link,
                next=present.epoch + 1,
            )
        )


def _next_steps(
    found: EndpointSettings, chosen: LinkSettings, file: Path, t: Translator, *, running: bool
) -> Iterator[str]:
    """Yield what the other side does now, and what both do then."""
    link = found.choosing(chosen.id)
    yield from _steps_of_both(file, t)
    if file != chosen.file:
        yield t("when both sides have confirmed it: {command}", command=command_line("epoch", found.path, *link))
    elif not running:
        yield t("when both sides have confirmed it: {command}", command=command_line("run", found.path))


def _steps_of_both(file: Path, t: Translator) -> Iterator[str]:
    theirs = command_line("link", "confirm", "CONFIG", "--officer", "ID")
    yield t("now the other side compares in its turn: {command}", command=theirs)
    words = command_line("link", "fingerprint", shown(file))
    yield t("read it all 16 words from the one that it names: {command}", command=words)
