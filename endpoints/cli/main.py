"""The entry point of `deconflict`: runs the command line, reports errors, and chooses the exit code."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from endpoints.cli.empty_variables import drop_empty
from endpoints.errors import os_reason
from endpoints.texts.i18n import LANGUAGES, Translator, translator_for
from protocol.phrases import phrase, worded

EXIT_FAILED = 1
EXIT_CHANGED = 4
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
_FIRST_PAGE: tuple[list[str], ...] = ([], ["--help"], ["-h"])
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""Errors of an output: a full disk, a terminal that has gone, a closed stream."""

Application = Callable[[list[str], Translator], Any]
"""Runs the command that the words name; returns its exit code, or None for 0."""


def run(words: list[str], t: Translator) -> Any:
    """Run the command line in the language of `t`; return the exit code, or None for 0. Raises UserError."""
    # each import is needed by some commands only; cyclopts takes longer than many of them
    if asks_for_first_page(words):
        from endpoints.cli.first_page import print_first_page

        print_first_page(t)
        return None
    from endpoints.cli import application

    return application.run(words, t)


def asks_for_first_page(words: Sequence[str]) -> bool:
    """Return whether a command line asks for the first page; its language stands last."""
    if words[-2:-1] == ["--lang"] and words[-1] in LANGUAGES:
        words = words[:-2]
    elif words and words[-1] in {f"--lang={language}" for language in LANGUAGES}:
        words = words[:-1]
    return list(words) in _FIRST_PAGE


def main(arguments: Sequence[str] | None = None, application: Application = run) -> None:
    """Run the command line and exit with the command's code.

    A user's mistake or an output that cannot be written prints one line on standard error, in the language of
    `--lang`. An interrupt or a closed pipe prints nothing. Only a bug prints a traceback.
    """
    from endpoints.cli.output import reopen_closed_streams
    from protocol.errors import JournalError, LinkError

    reopen_closed_streams()
    drop_empty()
    words = _language_last(sys.argv[1:] if arguments is None else arguments)
    t = translator_for(words)
    try:
        code = application(words, t)
        sys.stdout.flush()
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


def _folded(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    main()
