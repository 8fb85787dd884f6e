"""The entry point of `deconflict`: builds the application, reports errors, and chooses the exit code."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from cyclopts import App, CycloptsError, UnknownCommandError

from endpoints.cli.commands import COMMANDS, GROUPS, PURPOSE
from endpoints.cli.exit_codes import closing, exits_of
from endpoints.cli.help_pages import HelpPages
from endpoints.cli.left_out import called, drop_empty
from endpoints.cli.usage_errors import unknown_command, usage_error
from endpoints.errors import os_reason
from endpoints.texts.i18n import LANGUAGES, Translator, translator, translator_for
from protocol.phrases import phrase, worded

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_CHANGED = 4
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""Errors of an output: a full disk, a terminal that has gone, a closed stream."""

Application = Callable[[list[str]], Any]
"""Runs the command that the words name; returns its exit code, or None for 0."""


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


def main(arguments: Sequence[str] | None = None, application: Callable[[Translator], Application] = build) -> None:
    """Run the command line and exit with the command's code.

    A user's mistake or an output that cannot be written prints one line on standard error, in the language of
    `--lang`. An interrupt or a closed pipe prints nothing. Only a bug prints a traceback.
    """
    from endpoints.cli.output import reopen_closed_streams
    from protocol.errors import JournalError, LinkError

    reopen_closed_streams()
    drop_empty()
    known = [command.words for commands in COMMANDS.values() for command in commands]
    words = _language_last(sys.argv[1:] if arguments is None else arguments)
    t = translator_for(words)
    try:
        code = called(application(t), words)
        sys.stdout.flush()
    except UnknownCommandError:
        code = _complain(t, unknown_command(words, known, list(GROUPS)), EXIT_USAGE)
    except CycloptsError as error:
        code = _complain(t, usage_error(error, words, [*known, *GROUPS], t), EXIT_USAGE)
    except JournalError as error:
        code = _complain(t, worded(error), EXIT_CHANGED)
    except LinkError as error:
        code = _complain(t, worded(error), getattr(error, "exit_code", EXIT_FAILED))
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        from endpoints.cli.output import silence_stdout

        silence_stdout()
        code = EXIT_BROKEN_PIPE
    except SystemExit as ended:
        # rich ends the program when the reader has gone
        code = EXIT_BROKEN_PIPE if isinstance(ended.__context__, BrokenPipeError) else ended.code
    except OSError as error:
        if error.errno not in _UNWRITABLE or error.filename is not None:
            raise
        from endpoints.cli.output import silence_stdout

        silence_stdout()
        code = _complain(t, phrase("the output cannot be written: {reason}", reason=os_reason(error)), EXIT_FAILED)
    sys.exit(code if isinstance(code, int) else 0)


def _function(target: str) -> Callable[..., Any]:
    """Return the function that `module:function` names."""
    from importlib import import_module

    module, _, name = target.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function


def _version() -> str:
    from importlib.metadata import version

    return version("deconfliction-link")


def _language_last(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with a leading `--lang`, which belongs to whatever command follows, moved to their end."""
    if arguments[:1] == ["--lang"] and len(arguments) > 1:
        leading = 2
    elif arguments[:1] and arguments[0].startswith("--lang="):
        leading = 1
    else:
        return list(arguments)
    return [*arguments[leading:], *arguments[:leading]]


def _complain(t: Translator, what: str, code: int) -> int:
    from endpoints.cli.output import print_lines

    with suppress(OSError):
        print_lines([f"deconflict: {_folded(t.say(what))}"], stderr=True)
    return code


def _help(t: Translator, purpose: str, example: str, details: str = "", exits: str = "") -> str:
    shown = t("Example: {command}", command=f"deconflict {example}")
    return "\n\n".join(each for each in (t.fixed(purpose), t.fixed(details), exits, shown) if each)


def _folded(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    main()
