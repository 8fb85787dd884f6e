"""Harness for journals of several ends: the product's own link runners over real journals, without a broker.

See `world` for processes, networks and time. An `Exchange` adds what officers do, and what goes wrong around them.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from msgspec import structs

from endpoints.config import default_terms
from endpoints.config.link_file import LinkFile
from endpoints.config.officers import Officer
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import JournalWriter
from endpoints.keys.signer import Signer
from endpoints.mqtt.topics import Topic
from endpoints.runtime.endpoint_link import EndpointLink
from endpoints.runtime.link_runner import LinkRunner
from endpoints.runtime.observing import SendsNothing
from endpoints.runtime.ports import Now
from endpoints.runtime.reopening import recovered_core
from protocol.core.duty import Confirmation
from protocol.core.effects import Notify
from protocol.core.events import (
    AlarmAcknowledged,
    AnyEvent,
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
from protocol.core.observer import Observer
from protocol.core.watch_state import TestState
from protocol.wire.instants import Millis, written
from protocol.wire.messages import Reference
from protocol.wire.policy import Terms
from protocol.wire.words import fingerprint_words
from tests.support.world import MINUTE, SECOND, Frame, Network, Process, World
from tests.vectors.terms import EPOCH_1, KEYS, party_keys

WATCH = "watch"
STEP: Millis = 30 * SECOND
"""How often the loop of a service takes a turn in an exchange, though nothing happens."""
SEGMENT_BYTES = 1 << 20
COMPARED_AT = "2022-11-29T07:00:00.000Z"
TEXT = {"ru": "Обстрел станции", "en": "Shelling of the plant"}


def link_file(terms: Terms = EPOCH_1) -> LinkFile:
    """Return a link file of these terms with the keys of the test vectors."""
    keys = party_keys("ed25519")
    return LinkFile(
        terms=terms, parties={side: structs.replace(default_terms.party(side), keys=keys[side]) for side in keys}
    )


def roster(side: str) -> dict[str, str]:
    """Return the officers whom a side's settings name by default, as its service enrols them."""
    return {name: Officer(credential=f"of {name}").digest for name in default_terms.officers(side)}


def comparison(side: str, file: LinkFile) -> Confirmation:
    """Return that a side's first officer has compared a link file, as a service demands it of an actual link."""
    return Confirmation(default_terms.officers(side)[0], COMPARED_AT, file.digest, 7)


def words_asked(file: LinkFile, words_from: int, language: str = "en") -> tuple[str, str, str]:
    """Return the three words of a link file's fingerprint that an alarm asks for."""
    first, second, third = fingerprint_words(file.digest, language)[words_from - 1 : words_from + 2]
    return first, second, third


class Notices:
    """Collects notifications, and the ids of those that are not delivered yet."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.submitted: list[Notify] = []

    def submit(self, link: str, side: str, effect: Notify) -> None:
        del link, side
        self.ids.append(effect.id)
        self.submitted.append(effect)


class Service(Process):
    """One side's process, or the watch's: its link runner with all that it needs.

    Args:
        name: the side.
        world: whose time it lives in.
        file: the link file.
        folder: of its journal.
        signer: what it signs with; by default the test vectors' key, and nothing for the watch.
        segment_bytes: the size at which the journal begins its next segment.
    """

    def __init__(
        self,
        name: str,
        world: World,
        file: LinkFile,
        folder: Path,
        *,
        signer: Signer | None = None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        super().__init__(name, world)
        self.file = file
        self.folder = folder
        self.segment_bytes = segment_bytes
        self.notifies = True
        """Whether notifications are delivered, which the core learns in the next batch."""
        self.last = (0, 0)
        """`at` and `mono` of the last record when the journal was opened."""
        self.journal: JournalWriter
        self.runner: LinkRunner[Any]
        self.running = False
        self._signer = signer
        self.notices = Notices()
        self._nonces = 0

    @property
    def now(self) -> Now:
        """The clocks, as the loop reads them for one turn."""
        return Now(self.at, self.mono, self.mono // SECOND)

    def open(self) -> None:
        """Open the journal and fold it."""
        link = self.file.terms.link
        self.journal = JournalWriter.open(FolderStore(self.folder), link, self.name, segment_bytes=self.segment_bytes)
        if self.journal.recovered:
            entry = self.journal.recovered[-1].entry
            self.last = (entry.at, entry.mono)
        if self.name == WATCH:
            watch = recovered_core(self.journal, Observer.new(link, self.name))
            self.runner = LinkRunner(
                watch,
                self.journal,
                self.file,
                self.notices,
                outbound=SendsNothing(self._signer),
                officers=roster(self.name),
                draw_nonce=self._nonce,
            )
        else:
            core = recovered_core(self.journal, Link.new(link, self.name))
            signer = self._signer or Signer({KEYS[self.name][2]: KEYS[self.name][1]})
            self.runner = EndpointLink(
                core,
                self.journal,
                self.file,
                self.notices,
                signer=signer,
                outlet=self,
                officers=roster(self.name),
                draw_nonce=self._nonce,
                comparison=comparison(self.name, self.file) if self.file.terms.policy.status == "actual" else None,
            )
        self.core = self.runner.core

    def start(self) -> None:
        """Start on the opened journal, and connect, in the next turn."""
        self.running = True
        self.runner.start(self.now)
        self.happens(TransportConnected)

    def happens(self, kind: type[AnyEvent], **fields: Any) -> None:
        """Take an event of now; its batch ends with the next turn."""
        self.runner.take(kind(at=self.at, mono=self.mono, **fields))

    def turn(self) -> None:
        """Write the batch to disk, and carry out its effects."""
        if not self.running:
            return
        while self.notifies and self.notices.ids:
            done = NotificationDone(at=self.at, mono=self.mono, id=self.notices.ids.pop(0), delivered=True)
            self.runner.take(done)
        self.runner.commit(self.now)
        self.runner.perform(self.now)
        assert self.runner.failure is None, self.runner.failure

    def wake(self) -> None:
        """Take what is due by now, and a turn."""
        if self.running:
            self.runner.tick(self.now)
        self.turn()

    def receive(self, frame: Frame) -> None:
        """Take a frame from the wire, if the process lives."""
        if self.running:
            self.runner.receive(Topic(self.file.terms.link, frame.sender, frame.channel), frame.frame, self.now)

    def stop(self) -> None:
        """Stop in order."""
        self.runner.stop(self.now)
        self.turn()
        self.runner.close(self.now)
        self.running = False

    def crash(self) -> None:
        """End the process as a crash does: nothing more is written."""
        self.journal.let_go()
        self.outgoing.clear()
        self.notices.ids.clear()
        self.running = False

    def restart(self) -> None:
        """Start again on what the journal holds."""
        self.open()
        self.start()

    # --- what the runner needs ------------------------------------------------------------------------------------

    def publish(self, topic: Topic, payload: bytes, token: object) -> bool:
        """Put a frame on the wire."""
        del token
        assert topic.channel != "presence"
        self.outgoing.append(Frame(self.name, topic.channel, payload))
        return True

    def leave(self, link: str) -> None:
        """Refuse: no link of these tests may stop."""
        raise AssertionError(f"{self.name}: link {link} has stopped: {self.runner.failure}")

    def _nonce(self) -> str:
        self._nonces += 1
        return f"{self._nonces:016x}"


class Exchange(Network[Service]):
    """All services of one link, their time, and their officers.

    Args:
        folder: where every end keeps its journal, in a folder of its name.
        file: the link file; by default with the terms and keys of the test vectors.
        theirs: the answering side's, if it differs.
        signers: what the ends sign with, if not with the test vectors' keys; without one, the watch signs nothing.
        at: when it begins.
        latency: how long each frame is on the wire.
        watch: whether the watch listens.
        segment_bytes: see `Service`.
        tag: what the identifiers of requests begin with.
    """

    def __init__(
        self,
        folder: Path,
        file: LinkFile | None = None,
        *,
        theirs: LinkFile | None = None,
        signers: dict[str, Signer] | None = None,
        at: Millis = 0,
        latency: Millis = 0,
        watch: bool = True,
        segment_bytes: int = SEGMENT_BYTES,
        tag: str = "request",
    ) -> None:
        self.file = file or link_file()
        self.sides = (self.file.terms.caller, self.file.terms.answering)
        world = World(at)
        super().__init__(
            world,
            [
                Service(
                    name,
                    world,
                    theirs if theirs is not None and name == self.sides[1] else self.file,
                    folder / name,
                    signer=(signers or {}).get(name),
                    segment_bytes=segment_bytes,
                )
                for name in (*self.sides, *([WATCH] if watch else []))
            ],
            latency,
        )
        self._tag = tag
        self._requests = 0

    def open(self) -> None:
        """Open every journal. The clocks resume a minute after the last record of any."""
        for end in self.ends.values():
            end.open()
        at, mono = (max(end.last[clock] for end in self.ends.values()) for clock in (0, 1))
        if at:
            self.world.at, mono = at + MINUTE, mono + MINUTE
            for end in self.ends.values():
                end.boot = self.world.at - mono

    def start(self) -> None:
        """Start every end."""
        for end in self.ends.values():
            end.start()
        self.settle()

    def settle(self, lost_from: Collection[str] = ()) -> None:
        """Let every end take a turn, and everything arrive, until nothing is on the wire."""
        for end in self.ends.values():
            end.turn()
        super().settle(lost_from)

    def run(self, duration: Millis, *, lost_from: Collection[str] = ()) -> None:
        """Let time pass; carry what is sent, or lose what the ends in `lost_from` send."""
        until = self.world.at + duration
        while self.world.at < until:
            self.world.wait(min(until - self.world.at, STEP), lambda: self.settle(lost_from))
            for end in self.ends.values():
                end.wake()
            self.settle(lost_from)

    def stop(self) -> None:
        """Stop every end in order."""
        for end in self.ends.values():
            if end.running:
                end.stop()

    # --- what goes wrong ------------------------------------------------------------------------------------------

    def outage(self, *names: str, duration: Millis) -> None:
        """Take the broker away from some ends for a while."""
        for name in names:
            self.ends[name].happens(TransportLost, reason="обрыв @ broker")
        self.run(duration, lost_from=names)
        for name in names:
            self.ends[name].happens(TransportConnected)
        self.settle()

    def step_clock(self, step_ms: Millis) -> None:
        """Set the wall clock of every end."""
        for end in self.ends.values():
            end.skew += step_ms
            end.happens(ClockStepped, step_ms=step_ms)

    def forge(self, to: str, frame: bytes = b"{not a frame \xff}") -> None:
        """Let something arrive that the other side has never sent."""
        self.ends[to].receive(Frame(self.peer_of(to).name, "message", frame))

    # --- officers -------------------------------------------------------------------------------------------------

    def ask(self, side: str, kind: type[Any], **fields: Any) -> str:
        """Let an officer of a side make a request, by default the first; return its reference, or its draft's."""
        end = self.ends[side]
        assert isinstance(end.runner, EndpointLink)
        self._requests += 1
        named = {"request": f"{self._tag}-{self._requests}", "officer": default_terms.officers(side)[0]}
        return end.runner.request(kind(at=end.at, mono=end.mono, **(named | fields)))

    def alert(self, side: str, precedence: str = "routine", **fields: Any) -> str:
        """Let an officer of `side` raise an alert."""
        policy, at = self.file.terms.policy, self.ends[side].at
        usual = {
            "status": policy.status,
            "category": policy.categories[0],
            "event_at": written(at - MINUTE),
            "expires_at": written(at + 120 * MINUTE),
            "text": {language: text for language, text in TEXT.items() if language in policy.languages},
        }
        return self.ask(side, OfficerRaisedAlert, precedence=precedence, **(usual | fields))

    def delivered(self, side: str, **fields: Any) -> str:
        """Let an officer of `side` raise an alert, and let it arrive."""
        reference = self.alert(side, **fields)
        self.settle()
        return reference

    def release(self, side: str, draft: str, officer: str = "") -> str:
        """Let the second officer release a draft."""
        second = officer or default_terms.officers(side)[1]
        return self.ask(side, OfficerReleased, officer=second, draft=int(draft.removeprefix("draft/")))

    def discard(self, side: str, draft: str) -> str:
        """Let an officer discard a draft."""
        return self.ask(side, OfficerCancelled, draft=int(draft.removeprefix("draft/")))

    def acknowledge(self, reference: str, **fields: Any) -> str:
        """Let an officer of the other side acknowledge an alert."""
        of = Reference.parse(reference)
        return self.ask(self.peer_of(of.sender).name, OfficerAcknowledged, of=of, decision="understood", **fields)

    def refuse(self, reference: str, **fields: Any) -> str:
        """Let an officer of the other side refuse an alert."""
        of = Reference.parse(reference)
        return self.ask(self.peer_of(of.sender).name, OfficerRefused, of=of, reason="out_of_scope", **fields)

    def answer_tests(self) -> None:
        """Let the answering side's officer answer every line test that awaits an answer."""
        side = self.sides[1]
        for test in self.ends[side].core.snapshot().tests:
            of = Reference.parse(test.reference)
            if of.sender != side and test.state in {TestState.RECEIVED, TestState.UNANSWERED}:
                self.ask(side, OfficerAnswered, of=of, read_back=test.heartbeat.challenge)

    def accept_keys(self, *names: str) -> None:
        """Let an officer of each end, by default of all, accept the changed keys of its link file."""
        for end in (self.ends[name] for name in names or self.ends):
            for alarm in end.core.snapshot().alarms:
                if alarm.words_from and alarm.active:
                    self._requests += 1
                    end.runner.request(
                        AlarmAcknowledged(
                            at=end.at,
                            mono=end.mono,
                            request=f"{self._tag}-{self._requests}",
                            officer=default_terms.officers(end.name)[0],
                            code=str(alarm.code),
                            subject=alarm.subject,
                            words=words_asked(end.file, alarm.words_from),
                        )
                    )
        self.settle()

    def acknowledge_alarms(self, side: str) -> None:
        """Let an officer acknowledge every alarm of a side."""
        for alarm in self.ends[side].core.snapshot().alarms:
            if not alarm.acknowledged_at:
                self.ask(side, AlarmAcknowledged, code=str(alarm.code), subject=alarm.subject)
