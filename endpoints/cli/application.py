"""Builds the application of cyclopts that reads the command line, and runs the command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cyclopts import App, CycloptsError, UnknownCommandError

from endpoints.cli.commands import COMMANDS, GROUPS, PURPOSE
from endpoints.cli.exit_codes import closing, exits_of
from endpoints.cli.help_pages import HelpPages
from endpoints.cli.left_out import called
from endpoints.cli.usage_errors import unknown_command, usage_error
from endpoints.errors import UserError
from endpoints.texts.i18n import LANGUAGES, Translator, translator


def run(words: Sequence[str], t: Translator) -> Any:
    """Run the command that `words` name; return its exit code, or None for 0. Raises UserError for wrong usage."""
    known = [command.words for commands in COMMANDS.values() for command in commands]
    try:
        return called(build(t), list(words))
    except UnknownCommandError:
        raise UserError(unknown_command(words, known, list(GROUPS))) from None
    except CycloptsError as error:
        raise UserError(usage_error(error, words, [*known, *GROUPS], t)) from None


def build(t: Translator | None = None) -> App:
    """Return the command line's application, with its help in the language of `t`, by default in English."""
    t = t or translator(LANGUAGES[0])
    app = App(
        name="deconflict",
        help=_help(t, PURPOSE, "demo"),
        version=_version,
        help_epilogue=closing(t.fixed),
        help_format="plaintext",
        help_formatter=HelpPages(t),
        # main() prints errors and chooses the exit code
        print_error=False,
        exit_on_error=False,
        result_action="return_value",
    )
    for word, (purpose, example, group) in GROUPS.items():
        app.command(
            App(name=word, help=_help(t, purpose, example), help_epilogue="", help_format="plaintext", group=group)
        )
    for group, commands in COMMANDS.items():
        for command in commands:
            *above, word = command.words.split()
            if command.words in GROUPS:
                # a command that has subcommands as well
                app[word].default(_function(command.target))
                app[word].help_epilogue = exits_of(command.words, t.fixed)
                continue
            parent = app[above[0]] if above else app
            parent.command(
                command.target,
                name=word,
                help=_help(t, command.purpose, command.example, command.details, exits_of(command.words, t.fixed)),
                help_epilogue="",
                group=None if above else group,
            )
    return app


def _version() -> str:
    from importlib.metadata import version

    return version("deconfliction-link")


def _help(t: Translator, purpose: str, example: str, details: str = "", exits: str = "") -> str:
    shown = t("Example: {command}", command=f"deconflict {example}")
    return "\n\n".join(each for each in (t.fixed(purpose), t.fixed(details), exits, shown) if each)


def _function(target: str) -> Callable[..., Any]:
    """Return the function that `module:function` names."""
    from importlib import import_module

    module, _, name = target.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
