"""What receivers of notifications get is valid by its contract, for the notifications of the golden journals."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from endpoints.config import default_terms
from endpoints.texts.i18n import translator
from endpoints.texts.notices import NoticeWords, notice
from protocol.core.effects import Notify
from tests.contracts.golden_records import records_of
from tests.contracts.validators import faults, validator
from tests.golden import cases

LINK = default_terms.LINK
STRICT = validator("notification.schema.json", strict=True)
ARCHIVES = [each for each in cases.archives() if cases.rules_of(each) in {"2", "6"}]


def notifications() -> list[tuple[str, int, Notify]]:
    """Return the notifications of journals, with their side and instant."""
    return [
        (record.side, record.entry.at, effect)
        for archive in ARCHIVES
        for _, record in records_of(archive)
        for effect in record.effects
        if isinstance(effect, Notify)
    ]


def shape(effect: Notify) -> tuple[Any, ...]:
    body = effect.body or {}
    alarm = effect.alarm or None
    return (
        effect.kind,
        body.get("type"),
        bool(effect.sent_at),
        bool(effect.repeat),
        alarm and (alarm.code, bool(alarm.cleared_at), bool(alarm.stale)),
    )


@pytest.mark.parametrize("language", ["en", "ru"])
def test_each_notification_of_real_journals_is_valid(language: str) -> None:
    kinds: dict[tuple[Any, ...], list[Any]] = {}
    for side, at, effect in notifications():
        kinds.setdefault(shape(effect), []).append((side, at, effect))
    assert {kind for kind, *_ in kinds} == {"alarm", "message", "slot"}
    assert len(kinds) > 30
    for some in kinds.values():
        for side, at, effect in some[:3]:
            # the second one is read a day later: old news is marked
            for later in (0, 86_400_000):
                words = NoticeWords(
                    translator(language),
                    lambda now=at + later: now,  # type: ignore[misc]
                    {LINK: "Europe/Berlin"},
                    {LINK: default_terms.terms().policy.channels},
                    {LINK: "exercise"},
                )
                made = json.loads(msgspec.json.encode(notice(LINK, side, effect, words)))
                assert not faults(STRICT, made), made


def test_what_is_none_is_not_valid() -> None:
    known = validator("notification.schema.json")
    test = {"text": "TEST", "id": "test/1", "link": LINK, "side": "eucom", "kind": "test"}
    assert not faults(known, test)
    for change in ({"kind": "invented"}, {"kind": "slot"}, {"side": "EU COM"}, {"status": "test"}, {"text": None}):
        assert faults(known, test | change)
    # a later version may add fields
    assert not faults(known, test | {"more": 1})
