"""What is computed once and kept gives the same text, to the letter, as Babel's own functions do."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

import pytest
from babel import Locale
from babel.dates import format_datetime, format_time
from hypothesis import given
from hypothesis import strategies as st

from endpoints.clocks import slots
from endpoints.config import default_terms
from endpoints.texts.i18n import Translator, translator
from endpoints.texts.notices import NoticeWords, notice
from endpoints.texts.printable import printable
from protocol.core.alarms import SEVERITY, Alarm, AlarmCode
from protocol.core.effects import Notify
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import Reference

LOCALES = {"en": Locale.parse("en_GB"), "ru": Locale.parse("ru")}
ZONES = ("UTC", "Europe/Kyiv", "Europe/Berlin", "Europe/Moscow", "Asia/Kathmandu", "Pacific/Apia", "America/St_Johns")
FIRST, LAST = parsed("0001-01-01T00:00:00.000Z"), parsed("9999-12-31T23:59:59.999Z")
NOW = parsed("2022-11-29T12:00:00.000Z")


class Uncached(Translator):
    """Asks Babel for every instant."""

    def instant(self, at: Millis, zone: str) -> str:
        return format_datetime(slots.local(at, zone), "medium", locale=LOCALES[self.language])

    def time(self, at: Millis, zone: str) -> str:
        return format_time(slots.local(at, zone), "HH:mm:ss", locale=LOCALES[self.language])


@pytest.mark.parametrize("language", ["en", "ru"])
@given(at=st.integers(FIRST, LAST) | st.integers(NOW, NOW + 40 * 86_400_000), zone=st.sampled_from(ZONES))
def test_an_instant(language: str, at: Millis, zone: str) -> None:
    t, asked = translator(language), Uncached(language)
    assert t.instant(at, zone) == asked.instant(at, zone)
    assert t.time(at, zone) == asked.time(at, zone)


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_first_and_the_last_instants_of_the_calendar(language: str) -> None:
    t, asked = translator(language), Uncached(language)
    for zone in ZONES:
        for at in (FIRST, FIRST + 999, LAST - 999, LAST):
            assert (t.instant(at, zone), t.time(at, zone)) == (asked.instant(at, zone), asked.time(at, zone))


@pytest.mark.parametrize("language", ["en", "ru"])
def test_many_notices(language: str) -> None:
    chance = Random(12)
    zones = {f"link-{number}": zone for number, zone in enumerate(ZONES)}
    channels = dict.fromkeys(zones, default_terms.terms().policy.channels)
    for number in range(300):
        now = NOW + chance.randint(-90, 90) * 86_400_000 + chance.randint(0, 86_400_000)
        effect = _effect(chance, number, now)
        link = chance.choice([*zones])
        told, asked = (
            notice(link, "eucom", effect, NoticeWords(t, partial(int, now), zones, channels, {}))
            for t in (translator(language), Uncached(language))
        )
        assert told == asked


def _effect(chance: Random, number: int, now: Millis) -> Notify:
    def around(days: float) -> str:
        return written(now + int(chance.uniform(-days, days) * 86_400_000))

    kind = chance.choice(["alarm", "slot", "alert", "heartbeat", "unknown"])
    if kind == "alarm":
        code = chance.choice([*AlarmCode])
        severity, raised_at = SEVERITY[code], around(2)
        alarm = Alarm(code=code, severity=severity, subject="x", raised_at=raised_at, detected_at=around(2))
        alarm = alarm if chance.random() < 0.5 else alarm.clear(around(2))
        return Notify(id=f"alarm/{number}", kind="alarm", alarm=alarm, repeat=chance.randint(0, 2))
    if kind == "slot":
        return Notify(id=f"slot/{number}", kind="slot", slot=around(1), until=around(1), repeat=chance.randint(0, 2))
    words = ["alpha", "bravo", "charlie"]
    bodies: dict[str, dict[str, Any]] = {
        "alert": {
            "type": "alert",
            "status": "exercise",
            "category": "air_pursuit",
            "precedence": "flash",
            "event_at": around(3),
            "expires_at": around(3),
            "area": {"name": "Каховка", "latitude_udeg": 46_775_800, "longitude_udeg": -33_370_000, "radius_m": 500},
            "text": {"en": "Two fighters.\nFINE", "ru": "Два истребителя."},
            "released_by": ["duty-1", "duty-2"],
        },
        "heartbeat": {
            "type": "heartbeat",
            "status": "exercise",
            "language": "ru",
            "slot": around(3),
            "text": "Как слышите?",
            "challenge": words,
        },
        "unknown": {"type": "of-another-version", "text": "Ы"},
    }
    return Notify(
        id=f"message/ndmc/1/{number}",
        kind="message",
        reference=Reference("ndmc", 1, number + 1),
        body=bodies[kind],
        sent_at=around(2),
        received_at=around(2),
    )


@given(st.text(st.characters(exclude_categories=("Mn", "Me", "Cs")), max_size=60))
def test_a_text_without_combining_marks_is_shown_character_by_character(text: str) -> None:
    assert printable(text) == "".join(map(printable, text))
