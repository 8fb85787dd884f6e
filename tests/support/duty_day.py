"""Fills both journals with a duty day: line tests, alerts in every state, an alarm, a draft, officers on watch."""

from __future__ import annotations

from typing import Any

from protocol.wire.instants import parsed
from tests.support.station import Station

STARTS = parsed("2022-11-29T07:58:00.000Z")
SLOT = "2022-11-29T08:00:00.000Z"
NEXT_SLOT = "2022-11-29T16:00:00.000Z"
FAST = 600
DAM: dict[str, Any] = {
    "category": "critical_infrastructure",
    "precedence": "immediate",
    "text": {
        "en": "Concerned that the Nova Kakhovka dam may be destroyed. Please confirm understanding and intentions.",
        "ru": "Опасаемся разрушения плотины Новокаховской ГЭС. Просим подтвердить понимание и намерения.",
    },
    "area": {
        "name": "Nova Kakhovka dam",
        "latitude_udeg": 46_775_800,
        "longitude_udeg": 33_370_600,
        "radius_m": 10_000,
    },
    "expires_in_s": 86_400,
}
PURSUIT: dict[str, Any] = {
    "category": "air_pursuit",
    "precedence": "flash",
    "text": {
        "en": "A fighter is pursuing an aircraft towards Polish airspace.",
        "ru": "Истребитель преследует самолёт в направлении воздушного пространства Польши.",
    },
    "expires_in_s": 86_400,
}


def play(station: Station) -> dict[str, str]:
    """Play the day up to its second line test, which nobody answers; return the references of its messages."""
    station.act("eucom", "watch-1", "take-watch")
    station.act("ndmc", "duty-1", "take-watch")
    station.forward_to(SLOT, rate=60)
    test = _received_test(station)
    _answer(station, test)
    found = {"test": test, "dam": _released(station, DAM)}
    _arrived(station, found["dam"])
    station.act(
        "ndmc",
        "duty-1",
        "acknowledge",
        of=found["dam"],
        decision="will_reply",
        text={"ru": "Принято. Ответ будет дан.", "en": "Received. A reply will follow."},
    )
    found["refused"] = station.alert("eucom", category="evacuation_of_nationals", precedence="priority")
    _arrived(station, found["refused"])
    station.act("ndmc", "duty-2", "refuse", of=found["refused"], reason="out_of_scope", referral="ministers")
    found["cancelled"] = station.alert("ndmc", precedence="priority")
    station.act("ndmc", "duty-1", "cancel", of=found["cancelled"])
    found["open"] = station.alert("ndmc", category="stray_munition", expires_in_s=86_400)
    _arrived(station, found["open"], "eucom")
    station.forward_to("2022-11-29T08:20:00.000Z", rate=FAST)
    station.settled()
    station.forward_to("2022-11-29T15:59:00.000Z", rate=FAST)
    station.settled()
    found["draft"] = station.alert("eucom", **PURSUIT)
    station.forward_to("2022-11-29T16:11:00.000Z", rate=100)
    station.settled()
    return found


def _received_test(station: Station) -> str:
    """Return the reference of the last line test, once the answering side has it."""
    station.until(lambda: bool(station.snapshot("ndmc")["tests"]))
    reference: str = station.snapshot("ndmc")["tests"][-1]["reference"]
    return reference


def _answer(station: Station, reference: str) -> None:
    words = station.snapshot("ndmc")["tests"][-1]["heartbeat"]["challenge"]
    station.act("ndmc", "duty-1", "answer", of=reference, words=words)


def _released(station: Station, alert: dict[str, Any]) -> str:
    """Raise an alert at eucom that needs a second officer, who releases it; return its reference."""
    draft = station.alert("eucom", **alert)
    return station.act("eucom", "watch-2", "release", draft=int(draft.removeprefix("draft/")))


def _arrived(station: Station, reference: str, side: str = "ndmc") -> None:
    station.until(lambda: station.alert_state(side, reference) == "received")
