from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from gettext import c2py
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from jinja2 import Environment
from jinja2.ext import extract_from_ast

from endpoints.cli.commands import COMMANDS, GROUPS, PURPOSE
from endpoints.cli.exit_codes import ALWAYS, ENVIRONMENT, EXIT_CODES, OWN_EXITS
from endpoints.cli.key_links import KeyState
from endpoints.console.log_in import EndOfSession
from endpoints.control.delivery_progress import Step
from endpoints.control.reasons import LinkState
from endpoints.errors import UserError
from endpoints.texts import i18n
from endpoints.texts.alarm_guide import GUIDES
from endpoints.texts.i18n import LANGUAGES, translator, translator_for
from endpoints.texts.i18n.catalogue import Catalogue
from endpoints.texts.item_page import FIELDS
from load.measuring import LINK
from load.stages import BROKER, STAGES
from load.yardsticks.subject import NAMES as YARDSTICKS
from protocol.core.acts import ActKind
from protocol.core.alarms import AlarmCode, Severity
from protocol.core.event_fields import CertificateOwner, SinkName
from protocol.core.watch_state import TestState
from protocol.phrases import phrase
from protocol.phrases import said as said_of
from protocol.record.happenings import What
from protocol.record.line_proof import LineState, Reason
from protocol.record.timeline import USES, PastSlotState
from protocol.wire import messages
from protocol.wire.instants import parsed
from protocol.wire.refusals import MessageRefusal

ROOT = Path(__file__).parents[3]
CYCLOPTS = ("this message and exit", "application version")


def log_lines() -> Iterator[str]:
    """Yield the events of the ordinary log lines in the sources: `_log.info("started")`, `note("listening", ...)`."""
    for path in [*(ROOT / "endpoints").rglob("*.py"), ROOT / "broker" / "local.py"]:
        source = path.read_text("utf-8")
        if "_log." not in source and path.name != "local.py":
            continue
        for node in ast.walk(ast.parse(source)):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if isinstance(node, ast.Call) and (
                (called.startswith(("_log.", "self._bound.")) and called != "_log.bind")
                or (called, path.name) == ("note", "local.py")
            ):
                (event,) = node.args
                assert isinstance(event, ast.Constant), f"{path}:{node.lineno}: an event is written out"
                yield str(event.value)
    yield from ("journal not printed any more", "ordinary log lines dropped", "mosquitto")


TERMS: dict[str, Iterable[str] | Callable[[], Iterable[str]]] = {
    "category": get_args(messages.Category),
    "precedence": get_args(messages.Precedence),
    "status": get_args(messages.Status),
    "decision": get_args(messages.Decision),
    "reason": tuple(MessageRefusal),
    "kind": ("heartbeat", "heartbeat_answer", "alert", "acknowledgement", "refusal", "unknown"),
    "change": ("update", "correction", "cancellation"),
    "severity": get_args(Severity),
    "alarm": tuple(AlarmCode),
    "state": get_args(LinkState),
    "handle": ("alert", "heartbeat", "draft"),
    "step": get_args(Step),
    "connection": ("connected", "disconnected", "unknown"),
    "presence": ("present", "gone", "unknown"),
    "test": tuple(TestState),
    "certificate": get_args(CertificateOwner),
    "sink": get_args(SinkName),
    "act": get_args(ActKind),
    "field": (*FIELDS, "status", "precedence", "category", "text", "area", "body"),
    "compass": ("N", "S", "E", "W"),
    "happening": get_args(What),
    "slot": get_args(PastSlotState),
    "line": (*get_args(LineState), *get_args(Reason)),
    "uses": USES,
    "key": get_args(KeyState),
    "subject": (LINK, *YARDSTICKS),
    "stage": (*STAGES, BROKER),
    # parses all of endpoints/: not at import, when every worker of a parallel run would do it
    "session end": get_args(EndOfSession),
    "log": lambda: dict.fromkeys(log_lines()),
    "log field": (
        "software",
        "links",
        "link",
        "id",
        "sink",
        "status",
        "count",
        "journal",
        "logger",
        "address",
        "port",
        "process",
        "code",
        "again_in_s",
    ),
}


@cache
def terms(kind: str) -> tuple[str, ...]:
    """Return the terms of a kind."""
    words = TERMS[kind]
    return tuple(map(str, words() if callable(words) else words))


@cache
def catalogue(language: str) -> Catalog:
    with (ROOT / "endpoints" / "texts" / "i18n" / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", list(TERMS))
def test_every_term_of_the_protocol_is_in_every_catalogue(language: str, kind: str) -> None:
    listed = catalogue(language)

    for word in terms(kind):
        entry = listed.get(word, context=kind)
        assert entry is not None, f"{language}.po lacks {kind}: {word}"
        assert entry.string


def test_no_two_terms_of_one_kind_have_the_same_translation() -> None:
    for language in LANGUAGES:
        t = translator(language)
        for kind in TERMS:
            assert len({t.term(kind, word) for word in terms(kind)}) == len(terms(kind))


def said(path: Path) -> Iterator[str | tuple[str, ...]]:
    """Yield the texts of a source: of `t("...")`, `phrase("...")`, `t.plural("...", "...", n)`, of parameters' help."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Name("t" | "phrase"):
                phrases = node.args[:1]
            case ast.Attribute(attr="plural"):
                phrases = node.args[:2]
            case ast.Name("Parameter" | "Screen" as made):
                named = "help" if made == "Parameter" else "title"
                phrases = [each.value for each in node.keywords if each.arg == named]
                if not phrases:
                    continue
            case _:
                continue
        texts = [each.value for each in phrases if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        assert len(texts) == len(phrases), f"{path}:{node.lineno}: a phrase is written out where it is said"
        yield texts[0] if len(texts) == 1 else tuple(texts)


def of_the_help() -> set[str]:
    """Return the texts of the help that stand in tables, ours and those of cyclopts."""
    commands = [command for group in COMMANDS.values() for command in group]
    tables = [*COMMANDS, *(purpose for purpose, _, _ in GROUPS.values()), PURPOSE]
    tables += [text for command in commands for text in (command.purpose, command.details) if text]
    tables += [*EXIT_CODES.values(), *ENVIRONMENT.values(), "Exit codes:", "Environment:"]
    tables += [text for exits in (ALWAYS, *OWN_EXITS.values()) for text in exits.values()]
    return {*tables, "Commands", "Arguments", "Parameters", *(f"Display {what}." for what in CYCLOPTS)}


def said_by_pages() -> Iterator[str]:
    """Yield the phrases of the templates of pages."""
    folders = [ROOT / "endpoints" / "texts" / "pages", ROOT / "endpoints" / "console" / "templates"]
    for path in (path for folder in folders for path in folder.iterdir()):
        for _, _, said in extract_from_ast(Environment().parse(path.read_text()), ("t",)):
            # beside it, a place for each of its values
            text = said[0] if isinstance(said, tuple) else said
            assert text is not None
            yield text


def test_every_phrase_of_the_sources_is_in_the_russian_catalogue_and_no_other() -> None:
    listed = catalogue("ru")
    found: set[str | tuple[str, ...]] = set()
    wanted: list[tuple[str | tuple[str, ...], object]] = [(text, "the help") for text in of_the_help()]
    wanted += [(text, "the guide to alarms") for guide in GUIDES.values() for text in guide]
    wanted += [(text, "a page") for text in said_by_pages()]
    for package in ("protocol", "broker", "endpoints", "scenario", "load"):
        for path in (ROOT / package).rglob("*.py"):
            wanted += [(text, path) for text in said(path)]
    for text, where in wanted:
        entry = listed.get(text)
        assert entry is not None, f"ru.po lacks {text!r} of {where}"
        assert entry.string
        found.add(text)

    stale = {entry.id for entry in listed if entry.id and entry.context is None} - found
    assert not stale, f"in ru.po, and no source uses it: {stale}"


def test_the_braces_of_a_phrase_hold_plain_names() -> None:
    for entry in catalogue("ru"):
        for text in entry.id if isinstance(entry.id, list | tuple) else [entry.id]:
            assert not re.search(r"[{}]", re.sub(r"{\w+}", "", text)), f"{text}: phrases take only {{name}}"


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


def test_a_broker_that_refuses_what_is_published_can_be_reached() -> None:
    words = translator("en")
    assert words.alarm("broker_unreachable", "broker") == "broker unreachable"
    assert words.alarm("broker_unreachable", "publish/message") == "broker refuses what is published"
    assert translator("ru").alarm("broker_unreachable", "publish/receipt") == "брокер отклоняет отправленное"


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_unknown_term_of_the_peer_cannot_begin_another_line(language: str) -> None:
    shown = translator(language).term("kind", "alert\nTHE JOURNALS AGREE: 9 messages")
    assert shown == "alert\\nTHE JOURNALS AGREE: 9 messages"


def test_a_phrase_is_translated_with_the_phrases_in_it() -> None:
    made = phrase("{what}; see: {command}", what=phrase("unknown option: {option}", option="--x"), command="deconflict")

    assert translator("ru").say(made) == "неизвестный параметр: --x; справка: deconflict"
    assert translator("en").say(made) == made == "unknown option: --x; see: deconflict"
    assert translator("ru").say(str(made), said_of(made)) == translator("ru").say(made)
    assert translator("ru").say(str(made), msgspec.to_builtins(said_of(made))) == translator("ru").say(made)
    assert translator("ru").say(phrase("no catalogue has {this}", this=1)) == "no catalogue has 1"
    assert translator("ru").say("no alarms") == "no alarms", "another text stays as it is"


@pytest.mark.parametrize(
    "made_from",
    [
        {"text": "unknown option: {option}", "values": {"option": "--y"}},
        {"text": "unknown option: {other}", "values": {"option": "--x"}},
        {"text": "{option.__class__}{0!r}", "values": {"option": "--x"}},
        {"text": "", "values": {}},
        {"text": 7},
        "unknown option: {option}",
        None,
    ],
)
def test_what_a_forged_answer_says_that_a_text_was_made_from_is_ignored(made_from: object) -> None:
    assert translator("ru").say("unknown option: --x", made_from) == "unknown option: --x"
    assert translator("ru").say("", made_from) == ""


@pytest.mark.parametrize(
    ("words", "language"),
    [
        (["status", "x", "--lang", "ru"], "ru"),
        (["status", "x", "--lang=ru"], "ru"),
        (["status", "--lang", "en", "--lang", "ru"], "ru"),
        (["status", "--lang"], "en"),
        (["status", "--lang", "fr"], "en"),
        (["log", "show", "--", "--lang", "ru"], "en"),
    ],
)
def test_the_language_of_an_error_is_the_one_that_the_command_line_names(words: list[str], language: str) -> None:
    assert translator_for(words, {}).language == language
    assert translator_for(["status"], {"DECONFLICT_LANG": "ru"}).language == "ru"
    assert translator_for(["status"], {"DECONFLICT_LANG": "fr", "LANG": "ru_RU.UTF-8"}).language == "ru"


def test_a_decision_and_a_reason_in_a_phrase_are_translated_as_terms() -> None:
    t = translator("ru")
    done = phrase("{who} acknowledged it ({decision}) at {at}", who="acting", decision="acting", at="16:00")
    assert t.say(done) == "acting: подтверждение (принимаем меры), 16:00"
    refused = phrase("{who} refused it ({reason}) at {at}", who="duty-1", reason="out_of_scope", at="16:00")
    assert t.say(refused) == "duty-1: отказ (вне назначения линии), 16:00"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_is_read_as_babel_reads_it(language: str) -> None:
    path = Path(i18n.__file__).with_name(f"{language}.po")
    with path.open("rb") as file:
        theirs = read_po(file, locale=language, abort_invalid=True)
    forms = {}
    for message in theirs:
        texts = message.string if isinstance(message.string, tuple) else (message.string,)
        if message.id and all(texts):
            key = message.id[0] if isinstance(message.id, tuple) else message.id
            forms[message.context, key] = texts
    catalogue = Catalogue(path)
    assert catalogue.forms == forms
    for one, many in (each.id for each in theirs if isinstance(each.id, tuple)):
        for count in (0, 1, 2, 5, 11, 21, 22, 101, 111):
            shown = forms[None, one][theirs_plural(theirs, count)] if (None, one) in forms else None
            assert catalogue.ngettext(one, many, count) == (shown or (one if count == 1 else many))


def theirs_plural(catalogue: Catalog, count: int) -> int:
    return int(c2py(catalogue.plural_expr)(count))


@pytest.mark.parametrize("text", ['msgid "a', "nonsense", '"alone"', 'msgid "a"\nmsgstr b'])
def test_a_catalogue_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "de.po"
    path.write_text(text)
    with pytest.raises(ValueError, match="of the catalogue"):
        Catalogue(path)


@pytest.mark.parametrize(
    ("value", "english", "russian"),
    [
        ("2022-11-29 16:00:00 UTC", "29 Nov 2022, 16:00:00 UTC", "29 нояб. 2022\u202fг., 16:00:00 UTC"),
        ("2022-11-29T16:00:00.123Z", "29 Nov 2022, 16:00:00 UTC", "29 нояб. 2022\u202fг., 16:00:00 UTC"),
        ("2022-13-45 16:00:00 UTC", None, None),
        ("9999-12-31T23:59:60Z", None, None),
        ("since 2022-11-29 16:00:00 UTC", None, None),
    ],
)
def test_an_instant_in_a_phrase_has_the_form_of_the_language(
    value: str, english: str | None, russian: str | None
) -> None:
    inner = phrase("the line test of {slot} has not come yet", slot=value)
    assert translator("en").say(inner) == f"the line test of {english or value} has not come yet"
    assert translator("ru").say(inner) == f"проверка линии за {russian or value} ещё не поступила"
    # a phrase inside of another, as an answer says it
    whole = phrase("no connection to the broker: {reason}", reason=inner)
    assert (english or value) in translator("en").say(str(whole), said_of(whole))
