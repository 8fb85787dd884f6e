"""`deconflict epoch`: opens the next epoch of a link at this side, its consequences shown first (SPEC E2)."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from endpoints.cli import options
from endpoints.cli.consent import EXIT_DECLINED, Yes, consented
from endpoints.cli.output import print_json, print_lines
from endpoints.cli.values import shown
from endpoints.errors import UserError
from protocol.phrases import phrase

if TYPE_CHECKING:
    from endpoints.config.link_file import LinkFile
    from endpoints.config.settings import LinkSettings, ProcessSettings
    from endpoints.texts.i18n import Translator
    from protocol.core.snapshot import Snapshot


def epoch(
    config: options.Config,
    /,
    *,
    yes: Yes = False,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Open the next epoch at this side: with the prepared link file, or with the present terms.

    A new epoch follows an amendment, a stopped direction, or a lost or restored journal. Both sides and the watch run
    this in one call.
    """
    from msgspec import to_builtins

    from endpoints.cli.epoch_costs import epoch_costs, show_costs
    from endpoints.cli.link import print_fingerprint
    from endpoints.cli.link_differences import rows_of, show_differences
    from endpoints.cli.present_state import present_state
    from endpoints.clocks.clock import clock
    from endpoints.config import link_change, settings
    from endpoints.journal.restored import RestoredMark
    from endpoints.texts.i18n import translator

    t, found = translator(lang), settings.load(config)
    chosen = found.link(link)
    state = _opened(found, chosen, present_state(found, chosen))
    target, source = _target(found, chosen, state)
    changes = link_change.differences(chosen.content, target)
    now, _ = clock(found.exercise_clock).now()
    costs = epoch_costs(state, now)
    named = {"link": chosen.id, "open": state.epoch, "next": target.terms.epoch}
    print_lines([t("link {link}: epoch {open} ends, and epoch {next} opens", **named)], stderr=True)
    if len(changes) == 1:
        print_lines([t("the terms stay as they are: no amended link file is prepared here")], stderr=True)
    show_differences(changes, t)
    restored = RestoredMark(chosen.journal).read() is not None
    show_costs(costs, t, chosen.content.zone_of(found.side), now, restored=restored)
    print_lines(
        [
            t(
                "Until the other side and the watch have opened epoch {epoch} as well, each side refuses the other's "
                "messages (alarm policy_mismatch). Do it in one call.",
                epoch=target.terms.epoch,
            )
        ],
        stderr=True,
    )
    _require_comparison(found, chosen, target, source)
    if not consented(t("open epoch {epoch} now?", epoch=target.terms.epoch), t, yes=yes):
        return EXIT_DECLINED
    taken_over = _open(found, chosen, target, source, t)
    if as_json:
        document = {"link": chosen.id, "epoch": target.terms.epoch, "before": state.epoch, "digest": target.digest}
        print_json({**document, "differences": rows_of(changes), **to_builtins(costs), "running": taken_over})
    else:
        print_fingerprint(target, t, as_json=False)
    return 0


def _opened(found: ProcessSettings, chosen: LinkSettings, state: Snapshot | None) -> Snapshot:
    """Return the state of the open epoch. Raises UserError without one, and for a link file of an epoch before."""
    if state is None:
        raise UserError(
            phrase(
                "link {link}: no epoch is open yet; the first one opens when the process starts: {command}",
                link=chosen.id,
                command=shlex.join(["deconflict", "run", str(found.path)]),
            )
        )
    if chosen.content.terms.epoch < state.epoch:
        raise UserError(
            phrase(
                "link {link}: the link file says epoch {epoch}, the journal is in epoch {known} already; "
                "get the newer link file",
                link=chosen.id,
                epoch=chosen.content.terms.epoch,
                known=state.epoch,
            )
        )
    return state


def _target(found: ProcessSettings, chosen: LinkSettings, state: Snapshot) -> tuple[LinkFile, Path | None]:
    """Return the link file of the next epoch, and where it is prepared; None if it is in its place already.

    Raises UserError if this side cannot open an epoch with it.
    """
    from msgspec import structs

    from endpoints.cli.present_state import over
    from endpoints.config import link_change, link_file
    from endpoints.keys.private_files import exists

    present, ready, known = chosen.content, link_file.next_path(chosen.file), over(found, chosen, state)
    if present.terms.epoch > known:
        # replaced already, by this command before a crash, or with a file that both sides share
        return present, None
    if exists(ready):
        target = link_file.load(ready)
        link_change.check_link(found, present, target, shown(ready))
    else:
        target = structs.replace(present, terms=structs.replace(present.terms, epoch=known + 1))
    if target.terms.epoch <= known:
        raise UserError(
            phrase(
                "{path}: epoch {epoch}, and the restored journal needs a later one than {known}: remove this file, or "
                "replace it by one of the other side with a later epoch",
                path=shown(ready),
                epoch=target.terms.epoch,
                known=known,
            )
        )
    link_change.check_next(found, chosen, target, shown(ready))
    return target, ready


def _require_comparison(found: ProcessSettings, chosen: LinkSettings, target: LinkFile, source: Path | None) -> None:
    """Raise UserError for an actual link whose file no officer of this side has compared with the other side's."""
    from endpoints.config import link_change, link_file
    from endpoints.keys.private_files import exists

    file = chosen.file if source is None else source
    try:
        link_change.require_comparison(found, target, shown(file), *found.choosing(chosen.id))
    except UserError:
        if not exists(file):
            # prepared, so that it can be compared
            link_file.save(target, file)
        raise


def _open(found: ProcessSettings, chosen: LinkSettings, target: LinkFile, source: Path | None, t: Translator) -> bool:
    """Put the link file in its place and have a running process take it over; return whether one runs.

    Raises UserError if it is refused: then the files are as before.
    """
    from broker.atomic_files import flush_folder
    from endpoints.cli.key_links import keyed_links
    from endpoints.cli.link_file_change import keep_agreed
    from endpoints.cli.reloading import reload_or_undo
    from endpoints.config import link_file
    from endpoints.keys.private_files import exists

    before = chosen.file.read_bytes()
    kept: Path | None = None
    prepared = source is not None and exists(source)

    def undo() -> None:
        if source is None:
            return
        if prepared:
            link_file.save(target, source)
        link_file.restore(before, chosen.file)
        if kept is not None:
            kept.unlink(missing_ok=True)

    if source is not None:
        link_file.save(target, source)
        kept = keep_agreed(keyed_links(found, chosen.id)[0])
        source.replace(chosen.file)
        # before the journal has the epoch: it would refuse the file from before
        flush_folder(chosen.file.parent)
    return reload_or_undo(found.path, undo, t)
