"""Compares a link file's fingerprint with the words that the other side reads aloud."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from endpoints.cli.output import console, input_line, print_json, say
from endpoints.cli.spoken_words import first_word
from endpoints.errors import UserError

if TYPE_CHECKING:
    from endpoints.config.link_file import LinkFile
    from endpoints.texts.i18n import Translator

EXIT_DIFFERENT = 6
_LINES_MAX = 256
"""More lines than sixteen words and some mistakes need."""


class Compared(NamedTuple):
    """A comparison: with which word the other side began, and the places of the words that differ."""

    start: int
    differing: tuple[int, ...]


def compare(content: LinkFile, lang: str | None, *, as_json: bool) -> int:
    """Compare and print the result (`link fingerprint --compare`); return 0 if the files are equal, else 6.

    Raises UserError as `typed` does.
    """
    from endpoints.texts.i18n import translator

    t, terms = translator(lang), content.terms
    start, differing = typed(content, t)
    if as_json:
        print_json(
            {
                "link": terms.link,
                "epoch": terms.epoch,
                "start": start,
                "equal": not differing,
                "differing": differing,
            }
        )
    else:
        show(differing, t)
    return EXIT_DIFFERENT if differing else 0


def typed(content: LinkFile, t: Translator) -> Compared:
    """Ask for all words from a random one on, and compare them with those of `content`.

    Nothing of the fingerprint is shown before all words were typed. What is asked goes to standard error.

    Raises UserError for a word that no list has, and unless there are exactly sixteen.
    """
    from protocol.wire.words import FINGERPRINT_WORDS, differing_words

    terms, count = content.terms, FINGERPRINT_WORDS
    start = first_word()
    say(
        t(
            "link {link}, epoch {epoch}: have the other side read aloud all {count} words of its fingerprint",
            link=terms.link,
            epoch=terms.epoch,
            count=count,
        )
    )
    say(t("It begins with word {start}; word 1 follows word {count}. Type what you hear:", start=start, count=count))
    return Compared(start, differing_words(content.digest, start, _read(count, t)))


def show(differing: tuple[int, ...], t: Translator, *, steps_follow: bool = False) -> None:
    """Print the result of a comparison for people, and what is to be done next, unless the steps follow."""
    from rich.text import Text

    out = console()
    if differing:
        positions = ", ".join(map(str, differing))
        text = t("DIFFERENT: the other side does not have this link file (words {positions})", positions=positions)
        out.print(Text(text, style="bold red"))
        out.print(Text(t("Do not use the file. Call back and compare again; if it stays so, one file was changed.")))
    else:
        out.print(Text(t("EQUAL: the other side has this link file"), style="green"))
        if not steps_follow:
            out.print(Text(t("Now read your words to the other side, from the one that it names.")))


def _read(wanted: int, t: Translator) -> tuple[str, ...]:
    """Return the words on standard input; a person may type a wrong line again. Raises UserError."""
    from protocol.wire.words import is_listed, typed_words

    person = sys.stdin.isatty()
    words: list[str] = []
    for _ in range(_LINES_MAX):
        # a pipe is read to its end, so that no further word goes unnoticed
        if (person and len(words) == wanted) or not (line := input_line()):
            break
        typed = typed_words(line)
        unknown = next((word for word in typed if not is_listed(word)), None)
        if unknown is not None:
            wrong = t("no word of a fingerprint: {word}", word=repr(unknown[:40]))
        elif len(words) + len(typed) > wanted:
            wrong = t("more than {count} words", count=wanted)
        else:
            words += typed
            if person:
                say(f"{len(words)}/{wanted}")
            continue
        if not person:
            raise UserError(wrong)
        say(t("{wrong}; type this line again:", wrong=wrong))
    if len(words) != wanted:
        raise UserError(t("{found} words were given; all {count} are compared", found=len(words), count=wanted))
    return tuple(words)
