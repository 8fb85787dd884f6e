"""Says what is wrong with a command line: unknown commands, and the errors of cyclopts, as translatable phrases."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Literal, get_args, get_origin

from cyclopts import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownOptionError,
    UnusedCliTokensError,
)
from cyclopts.argument import Argument
from cyclopts.token import Token

from endpoints.texts.i18n import Translator
from endpoints.texts.printable import one_line
from protocol.phrases import phrase

_SHOWN_MAX = 60


def usage_error(error: CycloptsError, words: Sequence[str], known: Sequence[str], t: Translator) -> str:
    """Return what is wrong with `words`, what would be right, and whose help to read.

    An error of a rare kind is in cyclopts' words.

    Args:
        error: what cyclopts reports.
        words: the command line.
        known: all commands and groups.
        t: the language of placeholders.
    """
    return _see(_wrong(error, t), words, known)


def unknown_command(words: Sequence[str], known: Sequence[str], groups: Sequence[str]) -> str:
    """Return that there is no such command, with the closest one of `known` or of `groups`.

    The error text of cyclopts would import every command, which takes a second.
    """
    path = _path(words, [*known, *groups])
    group = path.strip()
    typed = words[len(group.split())]
    here = [each.removeprefix(path) for each in known if each.startswith(path)] if group else [*known, *groups]
    wrong = phrase("no command {word}", word=repr(typed[:_SHOWN_MAX]))
    if group:
        wrong = phrase("{group}: {wrong}", group=group, wrong=wrong)
    if close := get_close_matches(typed, here, n=1):
        return phrase("{wrong}; did you mean: {command}", wrong=wrong, command=f"deconflict {path}{close[0]}")
    if group:
        wrong = phrase("{wrong}; give one of: {commands}", wrong=wrong, commands=", ".join(here))
    elif typed.startswith("-"):
        wrong = phrase("{wrong}; options follow the command", wrong=wrong)
    return _see(wrong, words, [*known, *groups])


def _see(what: str, words: Sequence[str], known: Sequence[str]) -> str:
    return phrase("{what}; see: {command}", what=what, command=f"deconflict {_path(words, known)}--help")


def _path(words: Sequence[str], known: Sequence[str]) -> str:
    """Return the command that `words` begin with, followed by a space; empty if there is none."""
    for length in (2, 1):
        if (path := " ".join(words[:length])) in known:
            return path + " "
    return ""


def _wrong(error: CycloptsError, t: Translator) -> str:
    match error:
        case UnusedCliTokensError():
            return phrase("unexpected argument: {words}", words=_shown(" ".join(error.unused_tokens or ())))
        case UnknownOptionError():
            return _unknown_option(error)
        case MissingArgumentError():
            return _missing(error, t)
        case RepeatArgumentError():
            return phrase("{option}: given twice; give it once", option=_shown(error.token.keyword or ""))
        case CoercionError(token=Token() as token, target_type=wanted) if wanted is not None and error.msg is None:
            return _wrong_value(token, error.argument, wanted, t)
        case _:
            return str(error).rstrip(".")


def _unknown_option(error: UnknownOptionError) -> str:
    given = error.token.keyword or error.token.value
    names = [name for argument in error.argument_collection if argument.parse for name in argument.names]
    if close := get_close_matches(given, names, n=1):
        return phrase("unknown option: {option}; did you mean {close}?", option=_shown(given), close=close[0])
    return phrase("unknown option: {option}", option=_shown(given))


def _missing(error: MissingArgumentError, t: Translator) -> str:
    assert error.argument is not None
    name = _name(error.argument)
    if not error.argument.field_info.is_keyword:
        return phrase("an argument is missing: {name}", name=t.term("placeholder", name))
    if error.keyword is not None or error.argument.tokens:
        return phrase("{option}: a value must follow", option=error.keyword or name)
    if mistyped := get_close_matches(name, [each for each in error.unused_tokens or () if each.startswith("-")], n=1):
        return phrase("unknown option: {option}; did you mean {close}?", option=_shown(mistyped[0]), close=name)
    return phrase("a required option is missing: {option}", option=name)


def _wrong_value(token: Token, argument: Argument | None, wanted: type, t: Translator) -> str:
    option = token.keyword or (t.term("placeholder", _name(argument)) if argument is not None else "")
    found = _shown(token.value)
    if get_origin(wanted) is Literal:
        choices = ", ".join(str(each) for each in get_args(wanted))
        return phrase(
            "{option}: expected one of: {choices}; found {found}", option=option, choices=choices, found=found
        )
    if wanted is int:
        return phrase("{option}: expected a whole number, found {found}", option=option, found=found)
    if wanted is bool:
        return phrase("{option}: takes no value, found {found}", option=option, found=found)
    return phrase("{option}: {found} is not a valid value", option=option, found=found)


def _name(argument: Argument) -> str:
    return argument.name if argument.name.startswith("-") else argument.name.upper()


def _shown(text: str) -> str:
    return one_line(text)[:_SHOWN_MAX]
