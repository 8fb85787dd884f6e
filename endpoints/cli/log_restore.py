"""`deconflict log restore`: puts a copy of a journal in its place, and marks it as restored."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.log import SideOption
from endpoints.cli.output import print_json, print_lines
from endpoints.errors import UserError
from protocol.phrases import phrase

if TYPE_CHECKING:
    from endpoints.journal.restoring import Restoration, Wanted
    from endpoints.texts.i18n import Translator

Source = Annotated[
    str,
    Parameter(
        help="The copy: a journal's folder, an archive of it (.tar, .tar.gz and others), or a collected log (- for one "
        "on standard input).",
        allow_leading_hyphen=True,
        negative="",
    ),
]
Target = Annotated[
    Path,
    Parameter(
        help="The endpoint's endpoint.toml, the watch's watch.toml, or the journal's folder.",
        env_var=options.CONFIG_VARIABLE,
        negative="",
    ),
]


def log_restore(
    source: Source,
    config: Target,
    /,
    *,
    link: options.LinkId = None,
    side: SideOption = None,
    replace: Annotated[
        bool, Parameter(help="Move the journal that is there aside. It is kept under another name.", negative="")
    ] = False,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Restore a journal from a copy; exit with 3 if the copy is incomplete, 4 if it was changed.

    Everything since the copy is missing in it, so `run` refuses it until both sides have opened a new epoch.
    """
    from msgspec import to_builtins

    from endpoints.clocks.clock import clock
    from endpoints.journal.restoring import restore
    from endpoints.texts.i18n import translator

    t = translator(lang)
    journal, wanted, epoch_words, exercise_clock = _target(config, link, side)
    done = restore(source, journal, clock(exercise_clock).now()[0], wanted, replace=replace)
    if as_json:
        print_json(
            {
                "journal": journal,
                "link": done.link,
                "side": done.side,
                "replaced": done.aside,
                "unfinished_batch_left_out": done.cut,
                **to_builtins(done.mark),
            }
        )
    else:
        print_lines(_lines(done, journal, epoch_words, t))


def _target(config: Path, link: str | None, side: str | None) -> tuple[Path, Wanted, list[str] | None, Path | None]:
    """Return the journal's folder, what a copy must be, the arguments of `deconflict epoch`, and an exercise's clock.

    The watch needs no epoch: None. Raises UserError.
    """
    from endpoints.config import settings
    from endpoints.journal.restoring import Wanted
    from endpoints.keys.private_files import exists

    if not (config.suffix == ".toml" or (exists(config) and config.is_file())):
        return config, Wanted(link=link, side=side), ["CONFIG"], None
    found = settings.load(config)
    if side is not None:
        raise UserError(phrase("--side: {config} says whose journal it is; leave it out", config=config))
    chosen = found.link(link)
    epoch = chosen.content.terms.epoch
    wanted = Wanted(link=chosen.id, side=found.side, epoch=epoch)
    watch = isinstance(found, settings.WatchSettings)
    words = None if watch else [str(config), *found.choosing(chosen.id)]
    return chosen.journal, wanted, words, found.exercise_clock


def _lines(done: Restoration, journal: Path, epoch_words: list[str] | None, t: Translator) -> list[str]:
    """Return what was done, and what has to follow."""
    mark = done.mark
    count = t.plural("{count} record", "{count} records", mark.records)
    values = {"side": done.side, "link": done.link, "journal": journal, "records": count}
    lines = [
        t("{journal}: restored the journal of {side} on {link}, {records}", **values),
        f"  {t('head')}: {mark.head}",
    ]
    if done.cut:
        lines.append(t("  the copy ended within a batch, which no start would have kept"))
    if done.aside is not None:
        lines.append(t("  the journal that was there: {aside}", aside=done.aside))
    if epoch_words is None:
        return [
            *lines,
            t("  what followed the copy is missing in it; the watch may start: it records its own blindness"),
        ]
    command = shlex.join(["deconflict", "epoch", *epoch_words])
    lines.append(
        t(
            "  what followed the copy is missing in it: before this side runs again, both sides open a new epoch, "
            "later than {epoch}: {command}",
            epoch=mark.epoch,
            command=command,
        )
    )
    return lines
