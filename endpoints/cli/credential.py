"""Reads an officer's credential from a file or a prompt, never from an argument that `ps` would show."""

from __future__ import annotations

import sys
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from endpoints.cli.output import say
from endpoints.errors import UserError
from endpoints.keys.credentials import read_credential
from endpoints.keys.process_memory import protect
from protocol.phrases import phrase

if TYPE_CHECKING:
    from endpoints.texts.i18n import Translator


def obtain(officer: str, file: Path | None, t: Translator | None = None) -> str:
    """Return the credential of `officer` from `file`, or else from a prompt at the terminal, in the language of `t`.

    Raises UserError. Protects this process's memory first.
    """
    protect()
    if file is not None:
        return read_credential(file)
    if not sys.stdin.isatty():
        raise UserError(
            phrase(
                "officer {officer}: there is no terminal to ask for the credential; name a file with "
                "--credential-file or DECONFLICT_CREDENTIAL_FILE",
                officer=officer,
            )
        )
    if t is None:
        from endpoints.texts.i18n import translator

        t = translator()
    return typed(t("Credential of {officer}: ", officer=officer), officer)


def typed(question: str, officer: str) -> str:
    """Return the credential that `officer` types at the terminal, without an echo. Raises UserError if it is empty."""
    try:
        credential = getpass(question)
    except EOFError:
        say("")
        credential = ""
    except UnicodeDecodeError as error:
        raise UserError(
            phrase(
                "what was typed is not in {encoding}, the encoding of this terminal or pipe", encoding=error.encoding
            )
        ) from None
    if not credential:
        raise UserError(phrase("officer {officer}: the credential that was entered is empty", officer=officer))
    return credential
