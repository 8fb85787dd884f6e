"""Records journals of a link with the real cores, signatures and stores; the same bytes every time.

They hold line tests, alerts of one and of two officers, cancellations, a refusal, forged frames, a clock step, a broker
outage, alarms, clean and unclean restarts, checkpoints and signed heads.
"""

from pathlib import Path
from typing import Any

from endpoints.config import default_terms
from protocol.core.events import TransportConnected, TransportLost
from protocol.wire.instants import parsed
from protocol.wire.messages import Area
from tests.support.exchange import Exchange, link_file
from tests.support.world import HOUR, MINUTE, SECOND

SIDES = ("eucom", "ndmc")
BEGINS = parsed("2022-11-29T07:30:00.000Z")
TEXT = {"ru": "Ракета пересекает воздушное пространство.\nПодтвердите.", "en": "A missile @ 51° N.\nConfirm."}
AREA = Area(name="Запорожская АЭС", latitude_udeg=47_507_000, longitude_udeg=34_585_000, radius_m=30_000)


def started(folder: Path, segment_bytes: int) -> Exchange:
    """Return an exchange with the default terms that has just started, on new journals in `folder`/SIDE."""
    exchange = Exchange(folder, link_file(default_terms.terms()), at=BEGINS, segment_bytes=segment_bytes, watch=False)
    exchange.open()
    exchange.start()
    return exchange


def record(folder: Path, *, hours: int = 8, segment_bytes: int = 60_000) -> None:
    """Record both sides' journals in `folder`/SIDE: an exchange every hour, with restarts and broker outages."""
    exchange = started(folder, segment_bytes)
    for hour in range(hours):
        one_hour(exchange, hour)
    exchange.stop()


def one_hour(exchange: Exchange, hour: int) -> None:
    """Let an hour pass, with an exchange of each kind."""
    began = exchange.world.at
    fields: dict[str, Any] = {"area": AREA} if hour % 2 else {}
    reference = exchange.alert("eucom", category="airspace_transit", text=TEXT, **fields)
    exchange.run(5 * MINUTE)
    if hour % 3 == 1:
        exchange.refuse(reference, officer="duty-2", referral="ministers")
    else:
        exchange.acknowledge(reference, text=TEXT)
    draft = exchange.alert("ndmc", "flash", category="airspace_transit", text=TEXT)
    exchange.run(MINUTE)
    (exchange.release if hour % 2 else exchange.discard)("ndmc", draft)
    exchange.run(20 * MINUTE)
    exchange.answer_tests()
    exchange.forge("eucom", b"{not a frame \xff %d}" % hour)
    exchange.run(10 * MINUTE)
    if hour % 2:
        for side in SIDES:
            exchange.ends[side].happens(TransportLost, reason="обрыв @ broker")
        exchange.alert("eucom", "priority", category="airspace_transit", text=TEXT)
        exchange.run(2 * MINUTE, lost_from=SIDES)
        for side in SIDES:
            exchange.ends[side].happens(TransportConnected)
        exchange.run(2 * MINUTE)
    if hour == 2:
        exchange.step_clock(-3 * SECOND)
    if hour % 3 == 2:
        exchange.ndmc.stop()
        exchange.ndmc.restart()
    if hour % 4 == 1:
        exchange.eucom.crash()
        exchange.eucom.restart()
    for side in SIDES:
        exchange.acknowledge_alarms(side)
    exchange.run(max(30 * SECOND, HOUR - (exchange.world.at - began)))
