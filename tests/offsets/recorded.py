"""Records both sides' journals of one link with the real cores, signatures and stores; the same bytes every time.

They hold line tests, alerts of one and of two officers, cancellations, a refusal, forged frames, a clock step, a broker
outage, alarms, clean and unclean restarts, checkpoints and signed heads.
"""

from collections import deque
from pathlib import Path
from typing import Any, Literal

from msgspec import structs

from endpoints.config import default_terms
from endpoints.config.link_file import LinkFile
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import JournalWriter
from endpoints.keys.signer import Signer
from endpoints.mqtt.topics import Topic
from endpoints.runtime.endpoint_link import EndpointLink
from endpoints.runtime.ports import Now
from endpoints.runtime.reopening import recovered_core
from protocol.core.effects import Notify
from protocol.core.events import (
    AlarmAcknowledged,
    ClockStepped,
    NotificationDone,
    OfficerAcknowledged,
    OfficerAnswered,
    OfficerCancelled,
    OfficerRaisedAlert,
    OfficerRefused,
    OfficerReleased,
    TransportConnected,
    TransportLost,
)
from protocol.core.link import Link
from protocol.wire.instants import parsed, written
from protocol.wire.messages import Area, Reference
from tests.vectors.terms import KEYS, party_keys

LINK = default_terms.LINK
SIDES = ("eucom", "ndmc")
BEGINS = parsed("2022-11-29T07:30:00.000Z")
OFFICERS = default_terms.OFFICERS
TEXT = {"ru": "Ракета пересекает воздушное пространство.\nПодтвердите.", "en": "A missile @ 51° N.\nConfirm."}


def link_file() -> LinkFile:
    """Return the link's file, with the test vectors' keys."""
    keys = party_keys("ed25519")
    parties = {side: structs.replace(default_terms.party(side), keys=keys[side]) for side in SIDES}
    return LinkFile(terms=default_terms.terms(), parties=parties)


AREA = Area(name="Запорожская АЭС", latitude_udeg=47_507_000, longitude_udeg=34_585_000, radius_m=30_000)


class _Told:
    """Delivers every notification at once; the core is told in the next batch."""

    def __init__(self) -> None:
        self.ids: deque[str] = deque()

    def submit(self, link: str, side: str, effect: Notify) -> None:
        del link, side
        self.ids.append(effect.id)


class _End:
    """One side, without a broker: what it publishes waits in `out`."""

    def __init__(self, side: Literal["eucom", "ndmc"], folder: Path, file: LinkFile, segment_bytes: int) -> None:
        self.side = side
        self.folder = folder
        self.out: deque[tuple[Topic, bytes]] = deque()
        self._file = file
        self._segment_bytes = segment_bytes
        self._told = _Told()
        self._nonces = 0
        _, key, key_id = KEYS[side]
        self._signer = Signer({key_id: key})
        self.journal: JournalWriter
        self.runner: EndpointLink

    def start(self, now: Now) -> None:
        self.journal = JournalWriter.open(FolderStore(self.folder), LINK, self.side, segment_bytes=self._segment_bytes)
        core = recovered_core(self.journal, Link.new(LINK, self.side))
        self.runner = EndpointLink(
            core, self.journal, self._file, self._told, signer=self._signer, outlet=self, draw_nonce=self._nonce
        )
        self.runner.start(now)
        self.runner.take(TransportConnected(at=now.at, mono=now.mono))
        self.turn(now)

    def turn(self, now: Now) -> None:
        while self._told.ids:
            done = NotificationDone(at=now.at, mono=now.mono, id=self._told.ids.popleft(), delivered=True)
            self.runner.take(done)
        self.runner.tick(now)
        self.runner.commit(now)
        self.runner.perform(now)

    def stop(self, now: Now) -> None:
        self.runner.stop(now)
        self.turn(now)
        self.runner.close(now)

    def kill(self) -> None:
        """End the process as a crash does: nothing more is written."""
        self.journal.let_go()
        self.out.clear()

    def publish(self, topic: Topic, payload: bytes, token: object) -> bool:
        del token
        self.out.append((topic, payload))
        return True

    def leave(self, link: str) -> None:
        del link

    def _nonce(self) -> str:
        self._nonces += 1
        return f"{self._nonces:016x}"


class Exchange:
    """The two ends, their clock and the wire between them."""

    def __init__(self, folder: Path, segment_bytes: int) -> None:
        file = link_file()
        self.ends = {side: _End(side, folder / side, file, segment_bytes) for side in ("eucom", "ndmc")}
        self._at, self._mono = BEGINS, 60_000
        self._requests = 0
        for end in self.ends.values():
            end.start(self.now)

    @property
    def now(self) -> Now:
        return Now(self._at, self._mono, self._mono // 1_000)

    def run(self, seconds: int, *, lost: bool = False) -> None:
        """Let time pass in steps of at most 30 s; deliver what is published, or lose it."""
        ends = self._at + seconds * 1_000
        while self._at < ends:
            step = min(ends - self._at, 30_000)
            self._at += step
            self._mono += step
            self._settle(lost=lost)

    def _settle(self, *, lost: bool = False) -> None:
        moved = True
        while moved:
            moved = False
            for side, end in self.ends.items():
                end.turn(self.now)
                peer = self.ends["ndmc" if side == "eucom" else "eucom"]
                while end.out:
                    topic, frame = end.out.popleft()
                    if not lost:
                        peer.runner.receive(topic, frame, self.now)
                        moved = True

    def ask(self, side: str, kind: type[Any], **fields: Any) -> str:
        """Let an officer do something."""
        self._requests += 1
        event = kind(at=self._at, mono=self._mono, request=f"request-{self._requests}", **fields)
        return self.ends[side].runner.request(event)

    def alert(self, side: str, precedence: str = "routine", **fields: Any) -> str:
        return self.ask(
            side,
            OfficerRaisedAlert,
            officer=OFFICERS[side][0],
            status="exercise",
            category="airspace_transit",
            precedence=precedence,
            event_at=written(self._at - 60_000),
            expires_at=written(self._at + 7_200_000),
            text=TEXT,
            **fields,
        )

    def receive(self, side: str, frame: bytes) -> None:
        """Deliver a frame that the peer never sent."""
        sender = "ndmc" if side == "eucom" else "eucom"
        self.ends[side].runner.receive(Topic(LINK, sender, "message"), frame, self.now)

    def step_clock(self, step_ms: int) -> None:
        self._at += step_ms
        for end in self.ends.values():
            end.runner.take(ClockStepped(at=self._at, mono=self._mono, step_ms=step_ms))

    def answer_tests(self) -> None:
        """Let the answering side's officer answer every open line test."""
        for test in self.ends["ndmc"].runner.core.snapshot().tests:
            if test.answer is None:
                heartbeat = test.heartbeat
                of = Reference.parse(test.reference)
                self.ask("ndmc", OfficerAnswered, officer="duty-1", of=of, read_back=heartbeat.challenge)

    def acknowledge_alarms(self, side: str) -> None:
        for alarm in self.ends[side].runner.core.snapshot().alarms:
            if alarm.acknowledged_at:
                continue
            code, subject = str(alarm.code), alarm.subject
            self.ask(side, AlarmAcknowledged, officer=OFFICERS[side][0], code=code, subject=subject)


def record(folder: Path, *, hours: int = 8, segment_bytes: int = 48_000) -> None:
    """Record both sides' journals in `folder`/SIDE: an exchange every hour, with restarts and broker outages."""
    exchange = Exchange(folder, segment_bytes)
    for hour in range(hours):
        _one_hour(exchange, hour)
    for end in exchange.ends.values():
        end.stop(exchange.now)


def _one_hour(exchange: Exchange, hour: int) -> None:
    now, ends = exchange.now, exchange.ends
    reference = exchange.alert("eucom", area=AREA, references=()) if hour % 2 else exchange.alert("eucom")
    exchange.run(300)
    of = Reference.parse(reference)
    if hour % 3 == 1:
        exchange.ask("ndmc", OfficerRefused, officer="duty-2", of=of, reason="out_of_scope", referral="ministers")
    else:
        exchange.ask("ndmc", OfficerAcknowledged, officer="duty-1", of=of, decision="understood", text=TEXT)
    draft = exchange.alert("ndmc", "flash")
    exchange.run(60)
    if hour % 2:
        exchange.ask("ndmc", OfficerReleased, officer="duty-2", draft=int(draft.removeprefix("draft/")))
    else:
        exchange.ask("ndmc", OfficerCancelled, officer="duty-1", draft=int(draft.removeprefix("draft/")))
    exchange.run(1_200)
    exchange.answer_tests()
    exchange.receive("eucom", b"{not a frame \xff %d}" % hour)
    exchange.run(600)
    if hour % 2:
        for end in ends.values():
            end.runner.take(TransportLost(at=exchange.now.at, mono=exchange.now.mono, reason="обрыв @ broker"))
        exchange.alert("eucom", "priority")
        exchange.run(120, lost=True)
        for end in ends.values():
            end.runner.take(TransportConnected(at=exchange.now.at, mono=exchange.now.mono))
        exchange.run(120)
    if hour == 2:
        exchange.step_clock(-3_000)
    if hour % 3 == 2:
        ends["ndmc"].stop(exchange.now)
        ends["ndmc"].start(exchange.now)
    if hour % 4 == 1:
        ends["eucom"].kill()
        ends["eucom"].start(exchange.now)
    for side in SIDES:
        exchange.acknowledge_alarms(side)
    exchange.run(max(30, 3_600 - (exchange.now.at - now.at) // 1_000))
