"""`deconflict run` and `deconflict watch`: run an endpoint or the independent watch in the foreground."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from endpoints.cli import options
from endpoints.cli.output import print_lines

if TYPE_CHECKING:
    from pathlib import Path

    from endpoints.config.settings import ProcessSettings
    from endpoints.journal.stdout_feed import StdoutFeed
    from endpoints.process import Process
    from endpoints.texts.i18n import Translator

SettingsT = TypeVar("SettingsT", bound="ProcessSettings")


def run(config: options.EndpointConfig, /, *, log: options.LogFormat = None, lang: options.Lang = None) -> None:
    """Run one side's endpoint until SIGTERM or Ctrl-C. What happens is printed on standard output."""
    from endpoints.config.settings import load_endpoint
    from endpoints.service import endpoint

    _run(load_endpoint(config), endpoint, log, lang)


def watch(config: options.WatchConfig, /, *, log: options.LogFormat = None, lang: options.Lang = None) -> None:
    """Run the independent watch until SIGTERM or Ctrl-C. What happens is printed on standard output."""
    from endpoints.config.settings import load_watch
    from endpoints.watchdog import watch as watch_process

    _run(load_watch(config), watch_process, log, lang)


def for_people(log: str | None) -> bool:
    """Return whether lines for people are printed: as `--log` says, by default if standard output is a terminal."""
    return sys.stdout.isatty() if log is None else log == "text"


def _run(
    settings: SettingsT,
    build: Callable[[SettingsT, StdoutFeed], Process[Any, Any]],
    log: str | None,
    lang: str | None,
) -> None:
    import asyncio

    from endpoints import failpoints
    from endpoints.journal.stdout_feed import StdoutFeed
    from endpoints.texts.i18n import translator

    _protect(settings)
    failpoints.arm(os.environ.get(failpoints.VARIABLE, ""))
    if not for_people(log):
        asyncio.run(build(settings, StdoutFeed()).run())
        return
    from endpoints.cli.terminal_log import TerminalLog

    t = translator(lang)
    epochs = {link.id: link.content.terms.epoch for link in settings.links}
    statuses = {link.id: link.content.terms.policy.status for link in settings.links}
    process = build(settings, StdoutFeed(wording=TerminalLog(t, settings.side, epochs, statuses)))
    asyncio.run(process.run(opened=lambda: print_lines(_opening(settings, t))))
    print_lines([t("{side} has stopped in order", side=settings.side)])


def _opening(settings: ProcessSettings, t: Translator) -> list[str]:
    """Return what stands above the lines for people: that they are not the journal, and where it is."""
    journals: list[tuple[str, Path]] = [(link.id, link.journal) for link in settings.links]
    return [
        t("{side}: what happens, for people to read; Ctrl-C stops it in order", side=settings.side),
        *(t("  journal of {link}: {folder}", link=link, folder=folder) for link, folder in journals),
        t("  this is not the journal; --log json prints it"),
    ]


def _protect(settings: ProcessSettings) -> None:
    """Protect this process's memory before it holds a private key, unless an exercise allows to look into it."""
    from endpoints.keys.process_memory import protect

    if not settings.allow_ptrace:
        protect()
