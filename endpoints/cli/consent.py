"""Asks for consent to an act whose consequences were shown."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from endpoints.cli.officer_session import agreed
from endpoints.cli.output import say
from endpoints.errors import UserError
from protocol.phrases import phrase

if TYPE_CHECKING:
    from endpoints.texts.i18n import Translator

EXIT_DECLINED = 1

Yes = Annotated[bool, Parameter(negative="", help="Do not ask; needed where there is no terminal.")]


def consented(question: str, t: Translator, *, yes: bool) -> bool:
    """Return whether to go on: ask at a terminal, unless `yes`; what is declined is said on standard error.

    Raises UserError without a terminal and `yes`.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UserError(phrase("nothing was done: there is no terminal to ask; what is shown is done with --yes"))
    if agreed(question, t):
        return True
    say(t("nothing was done"))
    return False
