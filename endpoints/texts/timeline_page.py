"""Writes an account as one self-contained HTML page: no script, nothing loaded from elsewhere, made to be printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from endpoints.texts import timeline_words
from endpoints.texts.i18n import Translator
from endpoints.texts.printable import printable
from endpoints.texts.timeline_words import RowWriter
from endpoints.texts.wording import utc
from protocol.record.timeline import Account


def timeline_page(
    account: Account, journals: Sequence[Sequence[str]], problems: Sequence[str], t: Translator
) -> Iterator[str]:
    """Yield the parts of the page.

    Args:
        account: what is written down.
        journals: the lines about each journal.
        problems: what is wrong with the journals, or with what they say together; the page begins with it.
        t: the language.
    """
    writer = RowWriter(account, t)
    yield from _template().generate(
        account=account,
        journals=journals,
        problems=problems,
        t=t,
        words=timeline_words,
        utc=utc,
        days=timeline_words.by_day(writer.rows),
        what=writer.what,
        fields=writer.fields,
        proof=partial(timeline_words.proof_words, t=t),
    )


@cache
def _template() -> Template:
    # every value is escaped for HTML, and what would be invisible or turn the text around is spelt out
    environment = Environment(
        loader=PackageLoader("endpoints.texts", "pages"),
        autoescape=True,
        finalize=_harmless,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("timeline.html")


def _harmless(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
