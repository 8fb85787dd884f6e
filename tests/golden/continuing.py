"""Runs the product on golden journals: the command line on them, and the running links that continue them.

This is the only module that names the product's parts for the tests of golden journals; `make.py` builds on it.

A case is a folder: `link.toml`, `keys/SIDE/`, `journal/NAME/`, and `output/NAME.jsonl` where output was collected.
"""

from __future__ import annotations

import io
import json
from collections import deque
from collections.abc import Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import msgspec
from msgspec import Struct

from endpoints.cli.main import main
from endpoints.config import link_file
from endpoints.config.link_file import LinkFile
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import JournalWriter
from endpoints.keys.signer import Signer
from endpoints.mqtt.topics import Topic
from endpoints.runtime.endpoint_link import EndpointLink
from endpoints.runtime.link_runner import LinkRunner
from endpoints.runtime.ports import Now
from endpoints.runtime.reopening import recovered_core
from protocol.core.core import Core
from protocol.core.effects import Notify
from protocol.core.events import (
    AlarmAcknowledged,
    ClockStepped,
    LineTestRequested,
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
from protocol.core.snapshot import TestView
from protocol.core.watch import TestState
from protocol.wire.instants import written
from protocol.wire.messages import Reference
from tests.golden.cases import Run

RULES = Core.RULES
"""The version of the rules that this code runs."""
WATCH = "watch"
_OFFICER = "officer-1"
_OTHER_OFFICER = "officer-2"
_STEP_MS = 30_000
_SMALL_BYTES = 6_000
"""A segment of a continued journal is followed by the next after some ten records."""
_TEXT = "Обстрел площадки. Подтвердите.\nShelling of the site @ 47° N. Confirm."


def deconflict(case: Path, arguments: Sequence[str], stdin: str = "") -> Run:
    """Run a command of the command line in the folder `case`, with the file `stdin` on standard input."""
    code, printed = _printed(case, arguments, stdin)
    return Run(tuple(arguments), stdin, code, json.loads(printed) if printed else None)


def rich(case: Path, arguments: Sequence[str]) -> str:
    """Return what a command prints for people, with single spaces."""
    code, printed = _printed(case, arguments, "")
    assert code == 0, printed
    return " ".join(printed.split())


def _printed(case: Path, arguments: Sequence[str], stdin: str) -> tuple[int, str]:
    out = io.StringIO()
    with (
        chdir(case),
        Path(stdin or "/dev/null").open(encoding="utf-8") as given,
        patch("sys.stdin", given),
        redirect_stdout(out),
        redirect_stderr(io.StringIO()),
    ):
        try:
            main([*arguments])
        except SystemExit as end:
            code = end.code
    assert isinstance(code, int)
    return code, out.getvalue()


class Continued(Struct, frozen=True):
    """One journal that was opened and gone on with: its last record before and after, and the state it led to."""

    records_before: int
    head_before: str
    state_before: dict[str, Any]
    records_after: int
    head_after: str


def go_on(case: Path) -> dict[str, Continued]:
    """Continue every journal of `case` in one exchange that ends with a clean stop; return what became of each.

    Each journal gets a start, what officers still had to do, an alert and an acknowledgement of either side, and
    checkpoints.
    """
    exchange = Exchange(case)
    for end in exchange.ends.values():
        end.open(_SMALL_BYTES)
    exchange.resume_clock()
    before = {
        name: (
            end.journal.n,
            end.journal.head,
            json.loads(msgspec.json.encode(end.runner.core.snapshot(), enc_hook=str)),
        )
        for name, end in exchange.ends.items()
    }
    exchange.start()
    exchange.run(60)
    exchange.finish_what_waits()
    for side in exchange.sides:
        reference = exchange.alert(side)
        exchange.run(30)
        exchange.acknowledge(reference)
        exchange.run(30)
    exchange.stop()
    return {name: Continued(*before[name], end.journal.n, end.journal.head) for name, end in exchange.ends.items()}


class _Notices:
    """Everybody is told at once; the core learns of it in the next batch."""

    def __init__(self) -> None:
        self.ids: deque[str] = deque()  # bounded: by the notices of one batch

    def submit(self, link: str, side: str, effect: Notify) -> None:
        del link, side
        self.ids.append(effect.id)


class End:
    """One process's end of the link, without a broker: what it publishes waits in `out`."""

    def __init__(self, case: Path, name: str, file: LinkFile) -> None:
        self.name = name
        self.folder = case / "journal" / name
        self.file = file
        self.out: list[tuple[Topic, bytes]] = []
        self.tells = True
        self.last = (0, 0)
        """`at` and `mono` of the last record when the journal was opened."""
        self.journal: JournalWriter
        self.runner: LinkRunner[Any]
        self._keys = case / "keys" / name
        self._notices = _Notices()
        self._nonces = 0

    def open(self, segment_bytes: int) -> None:
        """Open the journal and fold it, as a start of the service does."""
        link = self.file.terms.link
        self.journal = JournalWriter.open(FolderStore(self.folder), link, self.name, segment_bytes=segment_bytes)
        if self.journal.recovered:
            entry = self.journal.recovered[-1].entry
            self.last = (entry.at, entry.mono)
        if self.name == WATCH:
            watch = recovered_core(self.journal, Observer.new(link, self.name))
            self.runner = LinkRunner(watch, self.journal, self.file, self._notices, draw_nonce=self._nonce)
        else:
            core = recovered_core(self.journal, Link.new(link, self.name))
            signer = Signer.load(self._keys)
            self.runner = EndpointLink(
                core, self.journal, self.file, self._notices, signer=signer, outlet=self, draw_nonce=self._nonce
            )

    def start(self, now: Now) -> None:
        self.runner.start(now)
        self.runner.take(TransportConnected(at=now.at, mono=now.mono))
        self.turn(now)

    def turn(self, now: Now) -> None:
        while self.tells and self._notices.ids:
            notice = self._notices.ids.popleft()
            self.runner.take(NotificationDone(at=now.at, mono=now.mono, id=notice, delivered=True))
        self.runner.tick(now)
        self.runner.commit(now)
        self.runner.perform(now)
        assert self.runner.failure is None, self.runner.failure

    def stop(self, now: Now) -> None:
        self.runner.stop(now)
        self.turn(now)
        self.runner.close(now)

    def kill(self) -> None:
        """End the process without a word in the journal."""
        self.journal.let_go()
        self.out.clear()
        self._notices.ids.clear()

    def publish(self, topic: Topic, payload: bytes, token: object) -> bool:
        del token
        self.out.append((topic, payload))
        return True

    def leave(self, link: str) -> None:
        raise AssertionError(f"{self.name}: link {link} has stopped: {self.runner.failure}")

    def _nonce(self) -> str:
        self._nonces += 1
        return f"{self._nonces:016x}"


class Exchange:
    """All ends of one link, the wire between them, their common clock, and their officers."""

    def __init__(self, case: Path, at: int = 0, mono: int = 60_000, tag: str = "continued") -> None:
        self.file = link_file.load(case / "link.toml")
        terms = self.file.terms
        self.sides = (terms.caller, terms.answering)
        self.ends = {name: End(case, name, self.file) for name in (*self.sides, WATCH)}
        self.at, self.mono = at, mono
        self._tag = tag
        self._requests = 0

    @property
    def now(self) -> Now:
        return Now(self.at, self.mono, self.mono // 1_000)

    def other(self, side: str) -> str:
        return self.sides[1] if side == self.sides[0] else self.sides[0]

    def open(self, segment_bytes: int) -> None:
        for end in self.ends.values():
            end.open(segment_bytes)

    def resume_clock(self) -> None:
        """Let the clock stand a minute after the last record of any journal."""
        self.at = max(end.last[0] for end in self.ends.values()) + 60_000
        self.mono = max(end.last[1] for end in self.ends.values()) + 60_000

    def start(self) -> None:
        for end in self.ends.values():
            end.start(self.now)

    def run(self, seconds: int, *, lost_from: Sequence[str] = ()) -> None:
        """Let time pass; carry what is published, but lose what the sides in `lost_from` publish."""
        until = self.at + seconds * 1_000
        while self.at < until:
            step = min(until - self.at, _STEP_MS)
            self.at += step
            self.mono += step
            self.settle(lost_from)

    def settle(self, lost_from: Sequence[str] = ()) -> None:
        moved = True
        while moved:
            moved = False
            for name, end in self.ends.items():
                end.turn(self.now)
                published, end.out = end.out, []
                for topic, frame in published:
                    if name in lost_from:
                        continue
                    moved = True
                    for each in self.ends.values():
                        if each is not end:
                            each.runner.receive(topic, frame, self.now)

    def stop(self) -> None:
        """Stop every end in order."""
        for end in self.ends.values():
            end.stop(self.now)

    # --- what happens around it -----------------------------------------------------------------------------------

    def reconnect(self, name: str, *, lost_for_s: int) -> None:
        """Take the broker away from one end for a while."""
        runner = self.ends[name].runner
        runner.take(TransportLost(at=self.at, mono=self.mono, reason="обрыв @ broker"))
        self.run(lost_for_s, lost_from=[name])
        runner.take(TransportConnected(at=self.at, mono=self.mono))
        self.settle()

    def step_clock(self, step_ms: int) -> None:
        self.at += step_ms
        for end in self.ends.values():
            end.runner.take(ClockStepped(at=self.at, mono=self.mono, step_ms=step_ms))

    def forge(self, to: str) -> None:
        """Let something arrive that the other side has never sent."""
        topic = Topic(self.file.terms.link, self.other(to), "message")
        self.ends[to].runner.receive(topic, b"{not a frame \xff}", self.now)

    # --- officers -------------------------------------------------------------------------------------------------

    def alert(self, side: str, precedence: Literal["flash", "routine"] = "routine", text: str = _TEXT) -> str:
        """Let an officer of `side` raise an alert; return its reference, or its draft's."""
        policy = self.file.terms.policy
        return self._ask(
            side,
            OfficerRaisedAlert,
            status=policy.status,
            category=policy.categories[0],
            precedence=precedence,
            event_at=written(self.at - 60_000),
            expires_at=written(self.at + 7_200_000),
            text=dict.fromkeys(policy.languages, text),
        )

    def release(self, side: str, draft: str) -> str:
        return self._ask(side, OfficerReleased, officer=_OTHER_OFFICER, draft=int(draft.removeprefix("draft/")))

    def discard(self, side: str, draft: str) -> str:
        return self._ask(side, OfficerCancelled, draft=int(draft.removeprefix("draft/")))

    def acknowledge(self, reference: str) -> str:
        of = Reference.parse(reference)
        return self._ask(self.other(of.sender), OfficerAcknowledged, of=of, decision="understood")

    def refuse(self, reference: str) -> str:
        of = Reference.parse(reference)
        return self._ask(self.other(of.sender), OfficerRefused, of=of, reason="out_of_scope", referral="ministers")

    def line_test(self) -> str:
        """Let the caller's officer place a line test beside the schedule."""
        return self._ask(self.sides[0], LineTestRequested, nonce="0123456789abcdef")

    def answer_tests(self) -> None:
        """Let the answering side's officer answer every line test that waits."""
        side = self.sides[1]
        for test in self.ends[side].runner.core.snapshot().tests:
            if test.answer is None:
                self._answer(test)

    def _answer(self, test: TestView) -> None:
        of = Reference.parse(test.reference)
        self._ask(self.sides[1], OfficerAnswered, of=of, read_back=test.heartbeat.challenge)

    def finish_what_waits(self) -> None:
        """Let officers do all that an earlier life has left to them: drafts, line tests, alarms."""
        for side in self.sides:
            snapshot = self.ends[side].runner.core.snapshot()
            for draft in snapshot.drafts:
                self.release(side, draft.draft)
            self.acknowledge_alarms(side)
            for test in snapshot.tests:
                if side == self.sides[1] and test.state is TestState.RECEIVED:
                    self._answer(test)
        self.settle()

    def acknowledge_alarms(self, side: str) -> None:
        for alarm in self.ends[side].runner.core.snapshot().alarms:
            if not alarm.acknowledged_at:
                self._ask(side, AlarmAcknowledged, code=str(alarm.code), subject=alarm.subject)

    def _ask(self, side: str, kind: type[Any], officer: str = _OFFICER, **fields: Any) -> str:
        runner = self.ends[side].runner
        assert isinstance(runner, EndpointLink)
        self._requests += 1
        request = f"{self._tag}-{self._requests}"
        return runner.request(kind(at=self.at, mono=self.mono, request=request, officer=officer, **fields))
