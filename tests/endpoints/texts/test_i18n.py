from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from endpoints.control.delivery_progress import Step
from endpoints.errors import UserError
from endpoints.texts.i18n import LANGUAGES, translator
from endpoints.texts.item_page import FIELDS
from protocol.core.acts import ActKind
from protocol.core.alarms import AlarmCode, Severity
from protocol.core.event_fields import CertificateOwner, SinkName
from protocol.core.watch_state import TestState
from protocol.wire import messages
from protocol.wire.instants import parsed
from protocol.wire.refusals import MessageRefusal

ROOT = Path(__file__).parents[3]
TERMS = {
    "category": get_args(messages.Category),
    "precedence": get_args(messages.Precedence),
    "status": get_args(messages.Status),
    "decision": get_args(messages.Decision),
    "reason": tuple(MessageRefusal),
    "kind": ("heartbeat", "heartbeat_answer", "alert", "acknowledgement", "refusal", "unknown"),
    "change": ("update", "correction", "cancellation"),
    "severity": get_args(Severity),
    "alarm": tuple(AlarmCode),
    "state": ("fine", "late", "alarm", "unknown"),
    "step": get_args(Step),
    "connection": ("connected", "disconnected"),
    "presence": ("present", "gone", "unknown"),
    "test": tuple(TestState),
    "certificate": get_args(CertificateOwner),
    "sink": get_args(SinkName),
    "act": get_args(ActKind),
    "field": (*FIELDS, "status", "precedence", "category", "text", "area", "body"),
    "compass": ("N", "S", "E", "W"),
}


def catalogue(language: str) -> Catalog:
    with (ROOT / "endpoints" / "texts" / "i18n" / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", list(TERMS))
def test_every_term_of_the_protocol_is_in_every_catalogue(language: str, kind: str) -> None:
    listed = catalogue(language)

    for word in TERMS[kind]:
        entry = listed.get(str(word), context=kind)
        assert entry is not None, f"{language}.po lacks {kind}: {word}"
        assert entry.string


def test_no_two_terms_of_one_kind_have_the_same_translation() -> None:
    for language in LANGUAGES:
        t = translator(language)
        for kind, words in TERMS.items():
            assert len({t.term(kind, word) for word in words}) == len(words)


def said(path: Path) -> Iterator[str | tuple[str, ...]]:
    """Yield the phrases of a source: of `t("...")` and `t.plural("...", "...", n)`, in f-strings too."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if not isinstance(node, ast.Call):
            continue
        name = node.func
        if isinstance(name, ast.Name) and name.id == "t":
            phrases = node.args[:1]
        elif isinstance(name, ast.Attribute) and name.attr == "plural":
            phrases = node.args[:2]
        else:
            continue
        texts = [each.value for each in phrases if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        assert len(texts) == len(phrases), f"{path}:{node.lineno}: a phrase is written out where it is said"
        yield texts[0] if len(texts) == 1 else tuple(texts)


def test_every_phrase_of_the_sources_is_in_the_russian_catalogue_and_no_other() -> None:
    listed = catalogue("ru")
    found = set()
    for package in ("endpoints", "scenario"):
        for path in (ROOT / package).rglob("*.py"):
            for phrase in said(path):
                entry = listed.get(phrase)
                assert entry is not None, f"ru.po lacks {phrase!r} of {path}"
                assert entry.string
                found.add(phrase)

    stale = {entry.id for entry in listed if entry.id and entry.context is None} - found
    assert not stale, f"in ru.po, and no source uses it: {stale}"


def test_the_braces_of_a_phrase_are_those_of_its_translation() -> None:
    for entry in catalogue("ru"):
        if entry.id and entry.context is None:
            phrases = entry.id if isinstance(entry.id, list | tuple) else [entry.id]
            strings = entry.string if isinstance(entry.string, list | tuple) else [entry.string]
            braces = [set(re.findall(r"{\w*}", text)) for text in (*phrases, *strings)]
            assert all(each == braces[0] for each in braces), entry.id


def test_russian_has_three_plurals() -> None:
    t = translator("ru")

    assert [t.plural("{count} finding", "{count} findings", n) for n in (1, 2, 5, 11, 21)] == [
        "1 замечание",
        "2 замечания",
        "5 замечаний",
        "11 замечаний",
        "21 замечание",
    ]
    assert translator("en").plural("{count} finding", "{count} findings", 2) == "2 findings"


def test_instants_and_durations_are_formatted_for_people() -> None:
    at = parsed("2022-11-29T16:00:00.000Z")

    assert translator("en").instant(at, "Europe/Berlin") == "29 Nov 2022, 17:00:00"
    assert translator("ru").instant(at, "Europe/Moscow").startswith("29 нояб. 2022")
    assert translator("ru").time(at, "Europe/Moscow") == "19:00:00"
    assert translator("en").duration(900) == "15 minutes"
    assert translator("ru").duration(300) == "5 минут"


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "ru_RU.UTF-8"}, "ru"),
        ({"LANG": "ru_RU.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "ru_RU.UTF-8", "DECONFLICT_LANG": "en"}, "en"),
        ({"DECONFLICT_LANG": "ru"}, "ru"),
    ],
)
def test_the_language_is_the_locales_unless_an_option_or_variable_names_another(
    environment: dict[str, str], language: str
) -> None:
    assert translator(None, environment).language == language
    assert translator("ru", environment).language == "ru"


def test_a_language_without_a_catalogue_is_refused_and_an_unknown_term_is_kept() -> None:
    with pytest.raises(UserError, match="language 'fr' is not supported; supported: en, ru"):
        translator("fr")
    assert translator("ru").term("category", "space_debris") == "space_debris"


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_unknown_term_of_the_peer_cannot_begin_another_line(language: str) -> None:
    shown = translator(language).term("kind", "alert\nTHE JOURNALS AGREE: 9 messages")
    assert shown == "alert\\nTHE JOURNALS AGREE: 9 messages"
