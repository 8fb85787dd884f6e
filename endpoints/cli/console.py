"""`deconflict console`: serves the duty officer's screens, and makes and ends the sessions of those who read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.output import print_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from endpoints.config.console_settings import ConsoleSettings
    from endpoints.texts.i18n import Translator

Watch = Annotated[
    Path | None, Parameter(help="The watch.toml of the independent watch, whose verdict is shown beside.", negative="")
]
Reader = Annotated[
    Literal["board", "investigator"],
    Parameter(name="--role", help="`board`: the board alone, for a wall display. `investigator`: reads everything."),
]
WithTexts = Annotated[bool, Parameter(name="--texts", negative="", help="Show the texts of messages on the board.")]


def console(
    config: options.Config,
    watch: Watch = None,
    /,
    *,
    log: options.LogFormat = None,
    lang: options.Lang = None,
) -> None:
    """Serve the console of an endpoint or of the watch until SIGTERM or Ctrl-C."""
    import asyncio

    from endpoints.cli.run import for_people
    from endpoints.config.console_settings import load_console
    from endpoints.console.process import run_console, watch_of
    from endpoints.journal.stdout_feed import StdoutFeed
    from endpoints.texts.i18n import translator

    t = translator(lang)
    settings = load_console(config)
    watched = None if watch is None else watch_of(settings, load_console(watch))
    if not for_people(log):
        asyncio.run(run_console(settings, watched, StdoutFeed()))
        return
    from endpoints.cli.terminal_log import TerminalLog

    def opened() -> None:
        print_lines([*_opening(settings, t)])

    output = StdoutFeed(wording=TerminalLog(t, settings.side, {}))
    asyncio.run(run_console(settings, watched, output, opened))
    print_lines([t("the console has stopped in order")])


def board_link(
    config: options.Config, /, *, role: Reader = "board", texts: WithTexts = False, lang: options.Lang = None
) -> None:
    """Print a link that opens a read-only session in one browser, once, within ten minutes."""
    from endpoints.config.console_settings import load_console
    from endpoints.console.process import sessions
    from endpoints.texts.i18n import translator

    t = translator(lang)
    settings = load_console(config)
    kept = sessions(settings)
    token = kept.offer(role, texts=texts or settings.board_texts or role == "investigator")
    kept.close()
    print_lines([f"{settings.origin}/board-link/{token}"])
    print_lines([t("it opens once, within 10 minutes; the session is read-only")], stderr=True)


def end_sessions(config: options.Config, /, *, lang: options.Lang = None) -> None:
    """End the sessions of every browser, wall displays included."""
    import asyncio

    from endpoints.config.console_settings import load_console
    from endpoints.console import process
    from endpoints.texts.i18n import translator

    count = asyncio.run(process.end_sessions(load_console(config)))
    print_lines([translator(lang).plural("{count} session ended", "{count} sessions ended", count)])


def _opening(settings: ConsoleSettings, t: Translator) -> Iterator[str]:
    """Yield where the console is, what its links are for, and how to get in."""
    from shlex import join

    from endpoints.console.frame import WORDS

    yield t("{side}: the console is at {origin}; Ctrl-C stops it", side=settings.side, origin=settings.origin)
    yield f"  {WORDS[settings.links[0].content.terms.policy.status]}: {', '.join(link.id for link in settings.links)}"
    command = join(["deconflict", "console", "board-link", str(settings.path)])
    yield t("  officers log in there; for a wall display: {command}", command=command)
