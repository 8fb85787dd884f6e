"""`deconflict channels`: prints the card of the other channels, for the day on which the line fails."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from endpoints.cli import options
from endpoints.cli.output import print_json, print_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from endpoints.config.link_file import LinkFile
    from endpoints.texts.i18n import Translator

COLUMNS = 80
"""The width of the card, which fits on a sheet of A4 in a typewriter's font."""
_INDENT = 4


def channels(
    config: options.Config,
    /,
    *,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Print the card of a link's other channels, in the reader's language first. No process needs to run."""
    from msgspec import to_builtins

    from endpoints.config import settings
    from endpoints.texts.i18n import LANGUAGES, translator

    content = settings.load(config).link(link).content
    terms = content.terms
    if as_json:
        print_json({"link": terms.link, "epoch": terms.epoch, "channels": to_builtins(terms.policy.channels)})
        return
    reader = translator(lang)
    others = [translator(language) for language in LANGUAGES if language != reader.language]
    print_lines(card(content, [reader, *others]))


def card(content: LinkFile, languages: Sequence[Translator]) -> list[str]:
    """Return the lines of a link's card, each label in every one of `languages`."""
    terms = content.terms
    lines = ["=" * COLUMNS]
    for t in languages:
        lines += _folded(t("OTHER CHANNELS of the line {link}, epoch {epoch}", link=terms.link, epoch=terms.epoch))
    for party in (terms.caller, terms.answering):
        lines += _folded(f"{party}: {' / '.join(dict.fromkeys(content.parties[party].name.values()))}")
    lines += ["-" * COLUMNS]
    for t in languages:
        lines += _folded(t("Use them when this line fails, and for matters outside its scope:"))
    lines.append("")
    if not terms.policy.channels:
        for t in languages:
            lines += _folded(t("The policy of this line names no other channel."), _INDENT)
    for channel in terms.policy.channels:
        lines.append(channel.id)
        known = [t.language for t in languages if t.language in channel.name]
        for language in (*known, *(each for each in channel.name if each not in known)):
            lines += _folded(channel.name[language], _INDENT)
    lines += ["", "-" * COLUMNS]
    for t in languages:
        scope = ", ".join(t.term("category", each) for each in terms.policy.categories)
        lines += _folded(t("Scope of this line: {categories}", categories=scope))
    return [*lines, "=" * COLUMNS]


def _folded(text: str, indent: int = 0) -> list[str]:
    from endpoints.texts.printable import one_line

    return wrap(one_line(text), COLUMNS, initial_indent=" " * indent, subsequent_indent=" " * indent)
