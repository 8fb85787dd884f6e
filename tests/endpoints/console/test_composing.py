"""What is typed for an alert: the request that it becomes, and what is wrong with it, field by field."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from endpoints.console.composing import ComposedAlert, TypedAlert, compose, language_of
from endpoints.inputs.field_error import FieldError
from endpoints.texts.i18n import translator
from protocol.core.officer_requests import STANDING_CANCELLATION
from protocol.wire.instants import parsed
from tests.vectors.terms import EPOCH_1

EN, RU = translator("en"), translator("ru")
NOW = parsed("2022-11-29T11:00:00.000Z")
ACTUAL = structs.replace(EPOCH_1.policy, status="actual")
DAM: dict[str, Any] = {
    "request": "a-request",
    "category": "critical_infrastructure",
    "precedence": "immediate",
    "status": "exercise",
    "text": {"en": "The dam.", "ru": "Плотина."},
    "where": "place",
    "place": "Nova Kakhovka dam",
    "at": "46.7758, 33.3706",
    "radius": "10km",
    "event_at": "-10m",
    "expires": "2h",
    "cancellation": dict(STANDING_CANCELLATION),
}


def composed(**changes: Any) -> ComposedAlert:
    return compose(TypedAlert(**(DAM | changes)), EPOCH_1.policy, NOW, EN)


def problems(**changes: Any) -> dict[str, str]:
    return {each.field: str(each.why) for each in composed(**changes).problems}


def test_what_is_typed_becomes_the_request() -> None:
    assert composed(references="ndmc/1/4, eucom/1/2").request() == {
        "status": "exercise",
        "category": "critical_infrastructure",
        "precedence": "immediate",
        "text": {"en": "The dam.", "ru": "Плотина."},
        "area": {
            "name": "Nova Kakhovka dam",
            "latitude_udeg": 46_775_800,
            "longitude_udeg": 33_370_600,
            "radius_m": 10_000,
        },
        "event_at": "2022-11-29T10:50:00.000Z",
        "expires_at": "2022-11-29T13:00:00.000Z",
        "references": ["ndmc/1/4", "eucom/1/2"],
    }


def test_another_text_than_the_standing_one_is_prepared_for_the_cancellation() -> None:
    own = {"en": "Disregard the dam.", "ru": STANDING_CANCELLATION["ru"]}
    assert composed(cancellation=own).request()["cancellation"] == own
    assert "cancellation" not in composed(cancellation={"en": "  "}).request()


def test_a_change_names_the_alert_and_what_it_does() -> None:
    request = composed(changes="eucom/1/2", change_kind="correction").request()
    assert (request["changes"], request["change_kind"]) == ("eucom/1/2", "correction")


def test_times_without_an_offset_are_utc() -> None:
    request = composed(event_at="10:45", expires="2022-11-29 17:05").request()
    assert (request["event_at"], request["expires_at"]) == ("2022-11-29T10:45:00.000Z", "2022-11-29T17:05:00.000Z")


@pytest.mark.parametrize(
    ("typed", "field", "why"),
    [
        ({"category": ""}, "category", "choose what it is about"),
        ({"category": "none"}, "category", "nothing can be sent from here"),
        ({"category": "war"}, "category", "choose what it is about"),
        ({"precedence": ""}, "precedence", "choose how urgent it is"),
        ({"precedence": "x" * 1_000}, "precedence", "choose how urgent it is"),
        ({"status": "actual"}, "status", "choose one of the statuses"),
        ({"text": {}}, "text.en", "write what is to be said"),
        ({"text": {"en": " ", "ru": "\n"}}, "text.en", "write what is to be said"),
        ({"text": {"en": "x"}}, "untranslated", "no text in ru"),
        ({"text": {"en": "x" * 4_001, "ru": "x"}}, "text.en", "has 4001 characters, and the limit is 4000"),
        ({"text": {"en": "x", "ru": "а\tб"}}, "text.ru", "character 2 is a tab"),
        ({"text": {"en": "x", "ru": "а\x00б"}}, "text.ru", "control character U+0000"),
        ({"text": {"en": "x", "ru": "x", "de": "x"}}, "text", "no language de"),
        ({"where": ""}, "where", "say where it is"),
        ({"place": ""}, "place", "name the place"),
        ({"at": ""}, "at", "latitude and longitude"),
        ({"radius": " "}, "radius", "with its unit"),
        ({"at": "46,7758 33,3706"}, "at", "a comma could stand within a number or between two"),
        ({"at": "46,7758, 33,3706"}, "at", "a comma could stand within a number or between two"),
        ({"at": "33.3706"}, "at", "decimal degrees with a point"),
        ({"at": "146.1, 33.2"}, "at", "outside -90 to 90"),
        ({"radius": "2,5km"}, "radius", "decimal point, no comma"),
        ({"radius": "10"}, "radius", "its units are m, km and NM"),
        ({"event_at": "yesterday"}, "event_at", "is not accepted"),
        ({"expires": ""}, "expires", "say how long it is valid"),
        ({"expires": "-1h"}, "expires", "an alert ends later than now"),
        ({"expires": "10:59"}, "expires", "an alert ends later than now"),
        ({"expires": "32d"}, "expires", "at most 31d from now"),
        ({"cancellation": {"en": "x" * 4_001}}, "cancellation.en", "the limit is 4000"),
        ({"references": "the dam"}, "references", "expected a message such as eucom/1/42"),
        ({"references": "eucom/1/2 " * 17}, "references", "at most 16"),
        ({"changes": "eucom/1/2"}, "changes", "either updates or corrects"),
        ({"changes": "the dam", "change_kind": "update"}, "changes", "expected a message such as"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(typed: dict[str, Any], field: str, why: str) -> None:
    found = problems(**typed)
    assert why in found[field]
    with pytest.raises(FieldError):
        composed(**typed).request()


def test_all_that_is_missing_in_an_empty_form_is_said_at_once() -> None:
    found = compose(TypedAlert(request="a-request"), EPOCH_1.policy, NOW, EN)
    assert [each.field for each in found.problems] == ["category", "precedence", "text.en", "where", "expires"]
    assert found.body == {"status": "exercise", "event_at": "2022-11-29T11:00:00.000Z"}


def test_an_alert_in_one_language_is_sent_if_the_officer_says_so_and_is_warned_of() -> None:
    found = composed(text={"en": "The dam."}, untranslated="yes")
    assert found.request()["text"] == {"en": "The dam."}
    assert found.warnings == ("the alert has no text in ru: the other side may not understand it",)


def test_letters_of_any_script_markup_and_emoji_are_texts() -> None:
    text = "<b>x</b> {{ 7 * 7 }} العربية \u202e 👍🏽 e\u0301"
    assert composed(text={"en": text, "ru": "x"}).request()["text"]["en"] == text.replace("e\u0301", "é")


@pytest.mark.parametrize("where", ["text", "cancellation"])
def test_words_that_contradict_the_status_are_warned_of(where: str) -> None:
    texts = {"en": "This is not a drill.", "ru": "Это не учение."}
    (warning,) = composed(**{where: texts}).warnings
    assert "“not a drill”" in warning
    actual = compose(TypedAlert(**(DAM | {where: texts, "status": "actual"})), ACTUAL, NOW, EN)
    assert (actual.warnings, actual.problems) == ((), ())
    drill = compose(
        TypedAlert(**(DAM | {"text": {"ru": "Учебная тревога.", "en": "x"}, "status": ""})), ACTUAL, NOW, RU
    )
    assert "РЕАЛЬНО" in drill.warnings[0]


def test_each_side_reads_its_own_language_first() -> None:
    assert language_of("ndmc", EPOCH_1) == "ru"
    assert language_of("eucom", EPOCH_1) == "en"
