"""Shows how two link files differ, a row for each value: what it was, and what it becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import convert, to_builtins

from endpoints.cli.output import print_lines
from endpoints.config.link_change import Difference, key_changes
from endpoints.texts.printable import one_line
from protocol.phrases import phrase
from protocol.wire.policy import Channel, EnrolledKey

if TYPE_CHECKING:
    from endpoints.texts.i18n import Translator

_STATUS = "policy.status"
_LABELS = {
    "epoch": phrase("epoch"),
    "caller": phrase("calls"),
    "answering": phrase("answers"),
    "policy.status": phrase("status"),
    "policy.slots": phrase("line tests"),
    "policy.zone": phrase("time zone of the line tests"),
    "policy.grace": phrase("grace"),
    "policy.answer_within": phrase("answer within"),
    "policy.placed_by": phrase("line tests are placed by"),
    "policy.answered_by": phrase("line tests are answered by"),
    "policy.handling.flash": phrase("acknowledge a flash alert within"),
    "policy.handling.immediate": phrase("acknowledge an immediate alert within"),
    "policy.handling.priority": phrase("acknowledge a priority alert within"),
    "policy.handling.routine": phrase("acknowledge a routine alert within"),
    "policy.categories": phrase("scope"),
    "policy.languages": phrase("languages"),
    "policy.test_language": phrase("language of the line tests"),
    "policy.test_text": phrase("text of a line test"),
    "policy.answer_text": phrase("text of an answer"),
    "policy.four_eyes": phrase("four eyes"),
    "policy.channels": phrase("other channels"),
    "policy.skew_limit": phrase("clocks may differ by"),
    "policy.suite": phrase("signature suite"),
    "watch.keys": phrase("keys of the watch"),
}
_TEXTS = {"policy.slots", "policy.test_text", "policy.answer_text"}
"""Fields of free text, which stand in quotation marks."""
_TERMS = {"policy.status": "status", "policy.categories": "category", "policy.four_eyes": "precedence"}


def show_differences(found: Sequence[Difference], t: Translator) -> None:
    """Print every difference on standard error, a changed status first and aloud."""
    for each in found:
        if each.field == _STATUS:
            change = _arrow(t.term("status", each.before), t.term("status", each.after))
            print_lines([t("!!! THE STATUS OF THE LINK CHANGES: {change} !!!", change=change)], stderr=True)
    rows = [difference_words(each, t) for each in found if each.field != _STATUS]
    print_lines([f"  {row}" for row in rows], stderr=True)


def rows_of(found: Sequence[Difference]) -> list[dict[str, Any]]:
    """Return differences for JSON."""
    return [to_builtins(each) for each in found]


def difference_words(difference: Difference, t: Translator) -> str:
    """Return one difference in one line; foreign text stands in quotation marks and cannot begin another line."""
    field, before, after = difference.field, difference.before, difference.after
    if field.endswith("keys"):
        return f"{_label(field, t)}: {_keys(before, after, t)}"
    show = _shown(field, t)
    return f"{_label(field, t)}: {_arrow(show(before), show(after))}"


def _label(field: str, t: Translator) -> str:
    if field in _LABELS:
        return t.say(_LABELS[field])
    _, side, name = field.split(".")
    match name:
        case "name":
            return t("name of {side}", side=side)
        case "site":
            return t("site of {side}", side=side)
        case "zone":
            return t("time zone of {side}", side=side)
        case _:
            return t("keys of {side}", side=side)


def _shown(field: str, t: Translator) -> Callable[[Any], str]:
    kind = _TERMS.get(field)

    def show(value: Any) -> str:
        if value is None:
            return "-"
        if isinstance(value, list):
            return "; ".join(show(each) for each in value) or t("none")
        if field == "policy.channels":
            channel = convert(value, Channel)
            return f"{channel.id} ({_texts(channel.name)})"
        if isinstance(value, dict):
            return _texts(value)
        if kind is not None:
            return t.term(kind, value)
        free = field in _TEXTS or field.startswith("parties.")
        return _quoted(value) if free else one_line(str(value))

    return show


def _texts(texts: Mapping[str, str]) -> str:
    return ", ".join(f"{language}={_quoted(text)}" for language, text in sorted(texts.items()))


def _quoted(text: str) -> str:
    escaped = one_line(text).replace('"', '\\"')
    return f'"{escaped}"'


def _keys(before: list[Any] | None, after: list[Any] | None, t: Translator) -> str:
    old, new = (convert(each or [], tuple[EnrolledKey, ...]) for each in (before, after))
    removed, added = key_changes(old, new)
    if not removed and not added:
        return t("in another order")
    return t("added {added}; removed {removed}", added=key_names(added, t), removed=key_names(removed, t))


def key_names(keys: Sequence[EnrolledKey], t: Translator) -> str:
    """Return the ids of keys, each with the beginning of the public key, in one line."""
    return ", ".join(f"{_quoted(key.id)} ({key.public[:12]}...)" for key in keys) or t("none")


def _arrow(before: str, after: str) -> str:
    return f"{before} -> {after}"
