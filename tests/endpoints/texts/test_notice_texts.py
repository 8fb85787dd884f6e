"""What notifications say about slots that wait for an officer, repeats, places and other channels."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from endpoints.config import default_terms
from endpoints.texts.i18n import translator
from endpoints.texts.notices import NoticeWords, notice
from protocol.core.alarms import Alarm, AlarmCode
from protocol.core.effects import Notify
from protocol.wire.instants import parsed
from protocol.wire.messages import Reference

CHANNELS = default_terms.terms().policy.channels
SLOT = "2022-11-29T16:00:00.000Z"
DUE = "the line test of 29 Nov 2022, 16:00:00 UTC (17:00:00 Europe/Berlin) is due: an officer has to place it"
PLACE = Notify(id=f"slot/{SLOT}", kind="slot", slot=SLOT, until="2022-11-29T16:15:00.000Z")
ALARM = Alarm(
    code=AlarmCode.BROKER_UNREACHABLE,
    severity="critical",
    subject="broker",
    raised_at=SLOT,
    detected_at="2022-11-29T16:00:30.000Z",
)
LOST = Notify(id="alarm/1", kind="alarm", alarm=ALARM)
REFUSAL: dict[str, Any] = {
    "type": "refusal",
    "of": {"sender": "eucom", "epoch": 1, "seq": 7},
    "by": "officer",
    "officer": "duty-1",
    "reason": "out_of_scope",
}
REFUSED = Notify(id="message/ndmc/1/7", kind="message", reference=Reference("ndmc", 1, 7), body=REFUSAL)
ALERT: dict[str, Any] = {
    "type": "alert",
    "status": "exercise",
    "category": "critical_infrastructure",
    "precedence": "flash",
    "event_at": SLOT,
    "expires_at": "2022-11-29T22:00:00.000Z",
    "area": {"name": "Dam\nFINE", "latitude_udeg": 46_775_800, "longitude_udeg": -33_370_000, "radius_m": 500},
    "references": [{"sender": "ndmc", "epoch": 1, "seq": 3}],
    "text": {"en": "Dam."},
    "released_by": ["watch-1", "watch-2"],
}


def told(effect: Notify, now: str, lang: str = "en") -> dict[str, Any]:
    words = NoticeWords(
        translator(lang), lambda: parsed(now), {"eucom-ndmc": "Europe/Berlin"}, {"eucom-ndmc": CHANNELS}
    )
    return notice("eucom-ndmc", "eucom", effect, words)


@pytest.mark.parametrize(
    ("repeat", "now", "text"),
    [
        (
            0,
            "2022-11-29T16:00:00.000Z",
            f"{DUE} until 17:15:00 Europe/Berlin, 15 minutes from now",
        ),
        (
            1,
            "2022-11-29T16:07:30.000Z",
            f"REMINDER 1: {DUE} until 17:15:00 Europe/Berlin, 8 minutes from now",
        ),
        (
            1,
            "2022-11-29T16:15:00.000Z",
            "the line test of 29 Nov 2022, 16:00:00 UTC (17:00:00 Europe/Berlin) is no longer due: its time is over",
        ),
    ],
)
def test_a_slot_that_waits_for_an_officer_is_notified_with_its_end(repeat: int, now: str, text: str) -> None:
    """SPEC W1.3"""
    assert told(structs.replace(PLACE, repeat=repeat), now) == {
        "text": text,
        "id": PLACE.id,
        "link": "eucom-ndmc",
        "side": "eucom",
        "kind": "slot",
        "slot": SLOT,
        "until": "2022-11-29T16:15:00.000Z",
        "repeat": repeat,
    }
    assert SLOT[:4] in told(structs.replace(PLACE, repeat=repeat), now, "ru")["text"]


def test_a_critical_alarm_names_the_other_channels_while_it_lasts() -> None:
    now = "2022-11-29T16:00:31.000Z"
    found = told(LOST, now)
    assert found["text"].endswith(
        "(broker); other channels: ministers (Secretary of Defense - Minister of Defence); chiefs (Chairman of the "
        "Joint Chiefs - Chief of the General Staff); advisers (National security adviser and intelligence director "
        "channels)"
    )
    assert [channel["id"] for channel in found["channels"]] == ["ministers", "chiefs", "advisers"]
    assert "Министр обороны" in told(LOST, now, "ru")["text"]
    minor = structs.replace(LOST, alarm=structs.replace(ALARM, severity="major"))
    over = structs.replace(LOST, alarm=structs.replace(ALARM, cleared_at=now))
    for effect in (minor, over):
        assert "channels" not in told(effect, now)
        assert "ministers" not in told(effect, now)["text"]


def test_a_refusal_as_out_of_scope_names_the_other_channels() -> None:
    assert "; other channels: ministers (" in told(REFUSED, SLOT)["text"]
    other = structs.replace(REFUSED, body=REFUSAL | {"reason": "unintelligible"})
    assert "other channels" not in told(other, SLOT)["text"]


def test_repeats_of_an_alarm_are_told_apart() -> None:
    texts = [told(structs.replace(LOST, repeat=repeat), "2022-11-29T16:00:31.000Z")["text"] for repeat in (0, 1, 2)]
    assert len(set(texts)) == 3
    assert texts[2].startswith("REPEATED (2): ")


def test_a_broker_that_refuses_what_is_published_is_not_called_unreachable() -> None:
    refused = structs.replace(ALARM, code=AlarmCode.BROKER_UNREACHABLE, subject="publish/message")
    for lang, name in (("en", "broker refuses what is published"), ("ru", "брокер отклоняет отправленное")):
        assert told(structs.replace(LOST, alarm=refused), SLOT, lang)["text"].startswith(f"{name} (publish/message)")


def test_a_repeat_is_no_old_news_since_the_alarm_is_still_open() -> None:
    later = "2022-11-29T18:00:31.000Z"
    assert "OLD" in told(LOST, later)["text"]
    assert "OLD" not in told(structs.replace(LOST, repeat=4), later)["text"]
    assert "СТАРОЕ" not in told(structs.replace(LOST, repeat=4), later, "ru")["text"]
    over = structs.replace(LOST, repeat=4, alarm=structs.replace(ALARM, cleared_at="2022-11-29T16:40:00.000Z"))
    assert told(over, later)["text"].startswith("OVER: OLD, of 29 Nov 2022, 16:40:00 UTC: ")


def test_an_alerts_notice_has_every_fact_before_the_senders_own_words() -> None:
    effect = Notify(id="m", kind="message", reference=Reference("ndmc", 1, 7), body=ALERT, received_at=SLOT)
    assert told(effect, SLOT)["text"] == (
        "ndmc/1/7: alert, FLASH, EXERCISE: critical infrastructure; event 29 Nov 2022, 16:00:00 UTC (17:00:00 "
        "Europe/Berlin); expires 29 Nov 2022, 22:00:00 UTC (23:00:00 Europe/Berlin); released by watch-1, watch-2; "
        "refers to ndmc/1/3; 46.7758 N, 33.37 W, radius 500 m: Dam\\nFINE: Dam."
    )


def test_an_alert_that_had_expired_before_it_arrived_says_so_first() -> None:
    """SPEC M8.4"""
    effect = Notify(
        id="m",
        kind="message",
        reference=Reference("ndmc", 1, 7),
        body=ALERT,
        sent_at="2022-11-29T21:59:59.000Z",
        received_at="2022-11-29T22:00:00.000Z",
    )
    assert told(effect, "2022-11-29T22:59:00.000Z")["text"].startswith("EXPIRED BEFORE IT ARRIVED, 59 minutes ago: ")
    in_time = structs.replace(effect, received_at="2022-11-29T21:59:59.999Z")
    assert told(in_time, "2022-11-29T22:59:00.000Z")["text"].startswith("EXPIRED 59 minutes ago: ")
