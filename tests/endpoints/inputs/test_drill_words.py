"""Words of an alert that contradict its status: "this is (not) a drill"."""

from __future__ import annotations

import pytest

from endpoints.inputs.alerts import contradiction
from endpoints.texts.i18n import translator

EN, RU = translator("en"), translator("ru")
DRILL = (
    "This is a drill.",
    "THIS IS ONLY A DRILL",
    "Drill message: no action.",
    "This is an exercise.",
    "EXERCISE EXERCISE EXERCISE. Fighter in pursuit.",
    "Exercise: fighter in pursuit.",
    "This is only a test.",
    "Test message, disregard.",
    "Это учение.",
    "Учебная тревога! Всем постам.",
    "УЧЕБНО-ТРЕНИРОВОЧНОЕ сообщение",
    "Проводится тренировка.",
    "This is a\ndr\u00adill",
)
REAL = (
    "This is not a drill.",
    "THIS  IS NOT\nA DRILL",
    "No drill: a fighter is in pursuit.",
    "This isn't an exercise.",
    "This is not an exercise",
    "Not a training exercise.",
    "This is a real-world event.",
    "It is real.",
    "Это не учение!",
    "Это не учебная тревога.",
    "Не является учебным сообщением.",
    "Боевая тревога.",
    "Реальная угроза.",
    "This is not a d\u200brill",
)
NEITHER = (
    "Please exercise restraint.",
    "Concerned that the dam may be destroyed.",
    "The test of the line went well.",
    "Просим подтвердить понимание и намерения.",
    "Получение подтверждаем.",
    "Drilling rigs stand near the coast.",
    "Реально оцениваем обстановку.",
    "",
)


@pytest.mark.parametrize("text", DRILL)
def test_a_text_that_calls_an_actual_alert_a_drill_is_warned_of(text: str) -> None:
    assert "the status of the alert is ACTUAL" in contradiction({"en": text}, "actual", EN)
    assert not contradiction({"en": text}, "exercise", EN)
    assert not contradiction({"en": text}, "test", EN)


@pytest.mark.parametrize("text", REAL)
def test_a_text_that_calls_an_exercise_real_is_warned_of(text: str) -> None:
    assert "EXERCISE" in contradiction({"ru": "Внимание.", "en": text}, "exercise", EN)
    assert "ПРОВЕРКА" in contradiction({"ru": text}, "test", RU)
    assert not contradiction({"en": text}, "actual", EN)


@pytest.mark.parametrize("text", NEITHER)
@pytest.mark.parametrize("status", ["actual", "exercise", "test"])
def test_other_words_are_no_contradiction(text: str, status: str) -> None:
    assert not contradiction({"en": text}, status, EN)
