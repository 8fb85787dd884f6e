"""`deconflict console`: serves the duty officer's screens, and makes and ends the sessions of those who read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.output import print_lines

if TYPE_CHECKING:
    from endpoints.config.console_settings import ConsoleSettings

Watch = Annotated[
    Path | None, Parameter(help="The watch.toml of the independent watch, whose verdict is shown beside.", negative="")
]
Reader = Annotated[
    Literal["board", "investigator"],
    Parameter(name="--role", help="`board`: the board alone, for a wall display. `investigator`: reads everything."),
]
WithTexts = Annotated[bool, Parameter(name="--texts", negative="", help="Show the texts of messages on the board.")]


def console(config: options.Config, watch: Watch = None, /, *, lang: options.Lang = None) -> None:
    """Serve the console of an endpoint or of the watch until SIGTERM or Ctrl-C."""
    import asyncio

    from endpoints.config.console_settings import load_console
    from endpoints.console.process import run_console
    from endpoints.texts.i18n import translator

    t = translator(lang)
    settings = load_console(config)
    watched = None if watch is None else load_console(watch)

    def opened() -> None:
        print_lines(
            [
                t("{side}: the console is at {origin}; Ctrl-C stops it", side=settings.side, origin=settings.origin),
                *_status_lines(settings),
            ]
        )

    asyncio.run(run_console(settings, watched, opened))
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


def _status_lines(settings: ConsoleSettings) -> list[str]:
    from endpoints.console.frame import WORDS

    return [f"  {WORDS[settings.status]}: {', '.join(link.id for link in settings.links)}"]
