"""A real process killed at any failpoint and restarted loses and doubles no message, and officers are notified."""

import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from endpoints.config import default_terms
from endpoints.control.client import RequestRefused, Unreachable
from endpoints.failpoints import EXIT_CODE, PLACES, VARIABLE
from tests.support.journal_verdict import Verdict
from tests.support.quick_officers import quicken
from tests.support.station import SIDES, Running, Station

pytestmark = pytest.mark.integration

CALLER, ANSWERING = SIDES
PEER = {CALLER: ANSWERING, ANSWERING: CALLER}
ENDS_WITHIN_S = 40
LANGUAGES = ("en", "ru", "de", "fr")
LARGE = dict.fromkeys(LANGUAGES, "Щ" * 3_900)
"""A text near the maximum length and number of languages: 140 such alerts fill a segment of either journal."""
ASKED_AGAIN = 10
"""How many of each side's last requests are repeated after the crash, whether they were answered or not."""


class Business:
    """The requests of both sides' officers, each with one request id and repeated until it is answered."""

    def __init__(self, station: Station, tag: str, *, large: bool = False) -> None:
        self.station = station
        self.tag = tag
        self.asked = dict.fromkeys(SIDES, 0)
        self.references: dict[str, str] = {}
        """The reference of each answered request, by request id."""
        self._text = LARGE if large else dict.fromkeys(LANGUAGES, "")
        self._acknowledged: set[str] = set()

    def request(self, side: str, number: int) -> str:
        return f"{self.tag}.{side}.{number}"

    def go_on(self, side: str) -> bool:
        """Raise another alert, or repeat the last one if it was not answered; return whether it was answered."""
        if self.request(side, self.asked[side]) in self.references or not self.asked[side]:
            self.asked[side] += 1
        return self.alert(side, self.asked[side])

    def alert(self, side: str, number: int) -> bool:
        request = self.request(side, number)
        try:
            reference = self.station.alert(side, request=request, text=self.texts(request))
        except Unreachable:
            return False
        assert self.references.setdefault(request, reference) == reference, "one request, two alerts"
        return True

    def texts(self, request: str) -> dict[str, str]:
        return {language: request + text for language, text in self._text.items()}

    def acknowledge(self) -> bool:
        """Acknowledge each alert as an officer of the other side; return whether all are acknowledged."""
        for request, reference in self.references.items():
            side = PEER[reference.split("/")[0]]
            officer = default_terms.officers(side)[0]
            ask = {"of": reference, "decision": "understood", "request": f"{request}.ack"}
            if request not in self._acknowledged:
                try:
                    self.station.act(side, officer, "acknowledge", **ask)
                except (Unreachable, RequestRefused):
                    return False
                self._acknowledged.add(request)
        return True

    def finish(self) -> None:
        """Repeat the last requests, answered or not, and wait until every alert is acknowledged."""
        for side in SIDES:
            for number in range(max(1, self.asked[side] - ASKED_AGAIN), self.asked[side] + 1):
                assert self.alert(side, number)
        self.station.until(self.acknowledge)
        self.station.settled(within_s=40)


# --- situations ---------------------------------------------------------------------------------------------------


def in_traffic(station: Station, side: str, process: Running, business: Business) -> None:
    """Raise and acknowledge alerts on both sides until the process with the failpoint ends."""
    del station
    while process.alive and business.asked[side] < 1_000:
        if business.go_on(side):
            business.go_on(PEER[side])
            business.acknowledge()
        else:
            time.sleep(0.02)


def one_way(station: Station, side: str, process: Running, business: Business) -> None:
    """Raise alerts only at the process with the failpoint, until it ends."""
    del station
    while process.alive and business.asked[side] < 1_000:
        if not business.go_on(side):
            time.sleep(0.02)


def at_start(station: Station, side: str, process: Running, business: Business) -> None:
    """Raise an alert on the other side while the process ends at its start."""
    del station, process
    business.go_on(PEER[side])


def at_stop(station: Station, side: str, process: Running, business: Business) -> None:
    """Stop the process with SIGTERM right after an alert."""
    station.connected(side)
    business.go_on(PEER[side])
    assert business.go_on(side)
    process.popen.send_signal(signal.SIGTERM)


def without_broker(station: Station, side: str, process: Running, business: Business) -> None:
    """Kill the broker while the process is connected."""
    station.connected(side)
    assert business.go_on(side)
    station.broker.kill()
    process.popen.wait(ENDS_WITHIN_S)
    station.broker.start()


def without_peer(station: Station, side: str, process: Running, business: Business) -> None:
    """Stop the peer with SIGSTOP, so that it sends no receipt and messages have to be resent."""
    peer = station.processes[PEER[side]].popen
    peer.send_signal(signal.SIGSTOP)
    while process.alive and not business.go_on(side):
        time.sleep(0.02)
    process.popen.wait(ENDS_WITHIN_S)
    peer.send_signal(signal.SIGCONT)


class Case(Struct, frozen=True):
    side: str
    count: int = 1
    situation: Callable[[Station, str, Running, Business], None] = in_traffic
    large: bool = False


CASES: dict[str, Case] = {
    "after_lock": Case(ANSWERING, 1, at_start),
    "before_started": Case(CALLER, 1, at_start),
    "after_started": Case(ANSWERING, 1, at_start),
    "before_stopped": Case(CALLER, 1, at_stop),
    "after_stopped": Case(ANSWERING, 1, at_stop),
    "after_closed": Case(CALLER, 1, at_stop),
    "after_drain": Case(CALLER, 6),
    "after_frame": Case(ANSWERING, 3),
    "after_request": Case(CALLER, 2),
    "after_deadline": Case(CALLER, 1, without_peer),
    "before_unsealed": Case(ANSWERING, 6),
    "after_sign": Case(CALLER, 6),
    "before_append": Case(ANSWERING, 6),
    "before_flush": Case(CALLER, 6),
    "after_append": Case(CALLER, 6),
    "before_publish": Case(ANSWERING, 3),
    "after_publish": Case(CALLER, 3),
    "before_resend": Case(CALLER, 1, without_peer),
    "after_resend": Case(CALLER, 1, without_peer),
    "after_perform": Case(ANSWERING, 6),
    "before_puback": Case(ANSWERING, 3),
    "after_puback": Case(ANSWERING, 3),
    "before_answer": Case(CALLER, 2),
    "after_answer": Case(CALLER, 2),
    "before_notify": Case(ANSWERING, 2),
    "after_notify": Case(ANSWERING, 2),
    "after_connected": Case(CALLER, 1, at_start),
    "after_lost": Case(ANSWERING, 1, without_broker),
    "after_accepted": Case(CALLER, 3),
    # a process killed before the new segment has its name rotates again at once
    "before_rotate, before_named, after_named": Case(CALLER, 1, one_way, large=True),
    "after_rotate": Case(ANSWERING, 1, one_way, large=True),
}


# --- the tests ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory, languages=LANGUAGES) as station:
        for side in SIDES:
            configuration = station.config(side)
            # write each notification as one line
            command = f'command = ["/bin/sh", "-c", "cat >> {told_to(station, side)}"]'
            text = configuration.read_text().replace("[notifications]", f"[notifications]\n{command}")
            configuration.write_text(text)
            quicken(configuration)
        station.start(*SIDES)
        yield station


def told_to(station: Station, side: str) -> Path:
    return station.folder / f"told-{side}"


def was_told(station: Station, side: str, notice: str) -> bool:
    """Return whether the notification with this id was delivered."""
    path = told_to(station, side)
    return path.exists() and msgspec.json.encode(notice) in path.read_bytes()


def test_every_failpoint_has_a_case() -> None:
    assert sorted(", ".join(CASES).split(", ")) == sorted(PLACES)


@pytest.mark.parametrize("places", CASES)
def test_a_process_killed_at_a_failpoint_loses_and_doubles_nothing(station: Station, places: str) -> None:
    case = CASES[places]
    first, *others = places.split(", ")
    business = Business(station, first, large=case.large)
    station.kill(case.side)

    process = station.launch(case.side, **{VARIABLE: f"{first}:{case.count}"})
    case.situation(station, case.side, process, business)
    assert process.wait(ENDS_WITHIN_S) == EXIT_CODE
    for place in others:
        assert station.launch(case.side, **{VARIABLE: place}).wait(ENDS_WITHIN_S) == EXIT_CODE
    for side in SIDES:
        if not (side in station.processes and station.processes[side].alive):
            station.launch(side)
    station.connected(*SIDES)
    for side in SIDES:
        assert business.go_on(side)
    business.finish()

    states = {side: {each["reference"]: each["state"] for each in station.snapshot(side)["alerts"]} for side in SIDES}
    for side in SIDES:
        ours = [reference for reference in business.references.values() if reference.startswith(f"{side}/")]
        assert {states[side][reference] for reference in ours} == {"understood"}
        station.each([f"message/{reference}" for reference in ours], partial(was_told, station, PEER[side]))
    verdict = Verdict.of(*(station.journal(side) for side in SIDES))
    broken = [*verdict.broken]
    for request, reference in business.references.items():
        broken += verdict.kept(reference, business.texts(request)["en"])
    assert not broken
