"""`deconflict reload`: has a running process read its settings, link files, keys and officers anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from endpoints.cli import options
from endpoints.cli.output import print_json, print_lines
from endpoints.errors import UserError
from protocol.phrases import phrase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from endpoints.texts.i18n import Translator


def reload(config: options.Config, /, *, lang: options.Lang = None, as_json: options.AsJson = False) -> None:
    """Have the running endpoint or watch read its settings, link files, keys and officers anew."""
    from endpoints.texts.i18n import translator

    answer = _asked(config)
    if as_json:
        print_json(answer)
    else:
        print_lines(_lines(answer, translator(lang)))


def reload_running(config: Path, t: Translator) -> bool:
    """Have the running process of the configuration `config` take over its changed files; return whether one runs.

    Prints what it took over on standard error, or that the files take effect at the next start. A command that has
    changed a file of an installation ends with it.

    Raises UserError if the files are refused: the process goes on with what it had.
    """
    from endpoints.control.client import NotRunning

    try:
        answer = _asked(config)
    except NotRunning:
        line = t("{config}: no process runs; the files take effect at its next start", config=config)
        print_lines([line], stderr=True)
        return False
    print_lines(_lines(answer, t), stderr=True)
    return True


class NotKnown(UserError):  # noqa: N818 - names a state
    """Files were changed, and the running process has not answered whether it has taken them over: the change stays."""


def reload_or_undo(config: Path, undo: Callable[[], None], t: Translator) -> bool:
    """Have the running process take over its changed files, as `reload_running`; `undo` the change if it refuses them.

    If it does not answer, the change stays: it may have been taken over, and the journal would refuse the files from
    before. Raises NotKnown then, and UserError after a refusal.
    """
    from endpoints.config import settings
    from endpoints.control.client import Unreachable

    try:
        settings.load(config)
        return reload_running(config, t)
    except Unreachable as error:
        raise NotKnown(
            phrase(
                "{config} was changed, but whether the running process has taken it over is not known: {error}; when "
                "it answers again: deconflict reload",
                config=config,
                error=error,
            ),
            exit_code=error.exit_code,
        ) from None
    except UserError:
        undo()
        raise


def _asked(config: Path) -> dict[str, Any]:
    """Return the answer of the running process. Raises NotRunning, and other UserErrors as `client.reload`."""
    from endpoints.config import settings
    from endpoints.control import client
    from endpoints.journal.segments import locked

    found = settings.load(config)
    try:
        return client.reload(found.control)
    except client.NotRunning:
        # the settings may name another socket than the one of the process
        if any(locked(link.journal) for link in found.links):
            raise client.Unreachable(
                phrase(
                    "{config}: its process runs, but not at the control socket {socket}: restart it to take the files "
                    "over",
                    config=config,
                    socket=found.control,
                )
            ) from None
        raise


def _lines(answer: dict[str, Any], t: Translator) -> Iterator[str]:
    """Yield what the running process has taken over, and what it takes over at its next start."""
    restarted, stopped = answer["restarted"], answer["stopped"]
    parts = [
        *([t("restarted {links}", links=", ".join(restarted))] if restarted else []),
        *([t("other officers")] if answer["officers"] else []),
    ]
    if parts:
        yield t("taken over by the running process: {what}", what="; ".join(parts))
    elif not stopped and not answer["next_start"]:
        yield t("the running process has these files already: nothing changed")
    if stopped:
        links = ", ".join(stopped)
        yield t("stopped because of the journal, and taken over when it can be written again: {links}", links=links)
    for each in answer["next_start"]:
        yield t("takes effect at the next start: {what}", what=t.say(each["text"], each.get("said")))
