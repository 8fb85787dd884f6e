"""Makes an officer's new credential: generates it, or reads the one that they choose. Never from an argument."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from endpoints.cli.credential import typed
from endpoints.cli.output import input_line
from endpoints.errors import UserError
from endpoints.keys.chosen_credential import check_chosen
from protocol.phrases import phrase

if TYPE_CHECKING:
    from endpoints.texts.i18n import Translator


def choose(officer: str, known: Iterable[str], t: Translator) -> str:
    """Return the credential that is chosen for `officer`: typed twice at a terminal, else a line of standard input.

    `known` are words of which it must not consist. Raises UserError.
    """
    if not sys.stdin.isatty():
        credential = input_line().rstrip("\r\n")
        check_chosen(credential, known)
        return credential
    credential = typed(t("New credential of {officer}: ", officer=officer), officer)
    check_chosen(credential, known)
    again = typed(t("Once more: "), officer)
    if again != credential:
        raise UserError(phrase("officer {officer}: the two entries differ; nothing was changed", officer=officer))
    return credential
