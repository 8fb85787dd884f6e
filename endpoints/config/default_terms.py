"""Default terms, parties and officers of `init` and `enrol`: the line of March 2022 between Wiesbaden and Moscow.

The parties, the two tests a day, their language and the other channels are public; hours and wording are ours.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Literal

from endpoints.config.link_file import Party
from endpoints.config.settings_tables import WATCH_IDENTITY
from protocol.wire.messages import Texts
from protocol.wire.policy import Channel, Policy, Terms

LINK, CALLER, ANSWERING = "eucom-ndmc", "eucom", "ndmc"

OFFICERS: dict[str, tuple[str, ...]] = {
    CALLER: ("watch-1", "watch-2"),
    ANSWERING: ("duty-1", "duty-2"),
    WATCH_IDENTITY: ("observer-1",),
}
"""The officers of both parties and of the independent watch."""
OTHER_OFFICERS = ("officer-1", "officer-2")
"""The officers of any other party: the four-eyes rule needs two."""

_PARTIES = {
    CALLER: Party(
        name={"en": "US European Command", "ru": "Европейское командование США"},
        site="Wiesbaden",
        zone="Europe/Berlin",
    ),
    ANSWERING: Party(
        name={"en": "National Defence Management Centre", "ru": "Национальный центр управления обороной"},
        site="Moscow",
        zone="Europe/Moscow",
    ),
}


_SITES_IN_RUSSIAN = {"Wiesbaden": "Висбаден", "Moscow": "Москва"}
_KEYS = ("test_text", "answer_text")
_WORDS = {
    "en": {
        "test_text": "This is {site}. Line test. How do you read?",
        "answer_text": "{site} here. Loud and clear.",
    },
    "ru": {
        "test_text": "Говорит {site}. Проверка линии. Как слышите?",
        "answer_text": "{site} на связи. Слышу хорошо.",
    },
}


def party(name: str) -> Party:
    """Return the party `name` without keys. A party without defaults is named after its id and uses UTC."""
    return _PARTIES.get(name) or Party(name={"en": name}, site=name, zone="UTC")


def officers(name: str) -> tuple[str, ...]:
    """Return the ids of the officers of the party `name`, or of the watch."""
    return OFFICERS.get(name, OTHER_OFFICERS)


def words(site: str, languages: Container[str]) -> dict[str, Texts]:
    """Return what a side at `site` says in line tests: `test_text` and `answer_text`, in those of `languages` known."""
    here = {"en": site, "ru": _SITES_IN_RUSSIAN.get(site, site)}
    said = [(language, here[language]) for language in here if language in languages]
    if not said:
        return {}
    return {key: {language: _WORDS[language][key].format(site=place) for language, place in said} for key in _KEYS}


def terms(
    link: str = LINK,
    caller: str = CALLER,
    answering: str = ANSWERING,
    status: Literal["actual", "exercise"] = "exercise",
) -> Terms:
    """Return the terms of a link's first epoch, with this status."""
    return Terms(
        link=link,
        epoch=1,
        caller=caller,
        answering=answering,
        policy=Policy(
            status=status,
            slots=("0 9,17 * * *",),
            zone=party(caller).zone,
            grace_s=900,
            answer_within_s=600,
            categories=(
                "critical_infrastructure",
                "stray_munition",
                "airspace_transit",
                "air_pursuit",
                "evacuation_of_nationals",
                "unintended_clash",
            ),
            languages=("en", "ru"),
            test_language="ru",
            test_text=f"Говорит {'Висбаден' if caller == CALLER else caller}. Проверка линии. Как слышите?",
            answer_text=f"{'Москва' if answering == ANSWERING else answering} на связи. Слышу хорошо.",
            channels=(
                Channel(
                    id="ministers",
                    name={
                        "en": "Secretary of Defense - Minister of Defence",
                        "ru": "Министр обороны США — министр обороны России",
                    },
                ),
                Channel(
                    id="chiefs",
                    name={
                        "en": "Chairman of the Joint Chiefs - Chief of the General Staff",
                        "ru": "Председатель ОКНШ — начальник Генерального штаба",
                    },
                ),
                Channel(
                    id="advisers",
                    name={
                        "en": "National security adviser and intelligence director channels",
                        "ru": "Каналы помощника по национальной безопасности и директора разведки",
                    },
                ),
            ),
        ),
    )
