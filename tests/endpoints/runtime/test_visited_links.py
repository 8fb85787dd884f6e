"""A turn that visits only some links takes exactly what a turn that visits every link takes."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, Struct

from endpoints.config import default_terms
from endpoints.journal.space_watch import SPACE_LOW_BYTES
from endpoints.journal.writer import Batch, JournalWriter
from endpoints.keys.signer import Signer
from endpoints.mqtt.events import Arrived, Connected, Lost, PresenceChanged, PresenceHeard, TransportEvent
from endpoints.mqtt.topics import Topic
from endpoints.runtime.due_links import HEAP_SLACK, DueLinks, NextTick
from endpoints.runtime.endpoint_link import EndpointLink
from endpoints.runtime.intake import EndpointIntake
from endpoints.runtime.loop import DUE_MAX_LINKS
from endpoints.runtime.ports import Now
from endpoints.runtime.reopening import LinkOpener, Revival, recovered_core
from endpoints.runtime.work_items import RequestItem, WrongCredentialItem
from protocol.core.deadlines import Deadline
from protocol.core.events import LineTestRequested
from protocol.core.link import Link
from protocol.errors import LocalProtocolError
from protocol.wire.instants import Millis, parsed
from scenario.simulation.disk import PLENTY_BYTES, Disk
from tests.support.exchange import Notices, link_file
from tests.support.hand_turned import HandClock, hand_turned
from tests.vectors.terms import KEYS

SIDE, PEER = "eucom", "ndmc"
LINKS = ("first", "second", "third")
BEGIN = parsed("2022-11-29T15:59:00.000Z")
SIGNER = Signer({KEYS[SIDE][2]: KEYS[SIDE][1]})
SECOND: Millis = 1_000
HOUR: Millis = 3_600 * SECOND
DAY: Millis = 24 * HOUR


class Unanswered:
    """Takes the answer to a request, and drops it."""

    def done(self) -> bool:
        return False

    def set_result(self, result: str, /) -> None:
        del result

    def set_exception(self, exception: LocalProtocolError, /) -> None:
        del exception


class Endpoint:
    """An endpoint of several links on simulated disks. `taken` are the records of each."""

    def __init__(self, links: tuple[str, ...] = LINKS, *, visits_all: bool) -> None:
        self.clock = HandClock(BEGIN)
        self.taken: dict[str, list[object]] = {link: [] for link in links}
        self.disks = {link: Disk(link, random.Random(1)) for link in links}
        self.openers = {link: self._opener(link) for link in links}
        self.runners = {link: opener.open() for link, opener in self.openers.items()}
        self.loop = hand_turned(self.runners, self.clock)
        self.intake = EndpointIntake(self.runners, self.loop.queue, lambda _delivery: None)
        self._visits_all = visits_all
        self._requests = 0
        self.clock.passes(10)
        self.loop.start()

    def _opener(self, link: str) -> LinkOpener[EndpointLink]:
        def on_disk(batch: Batch) -> None:
            self.taken[link] += [entry for entry, _ in batch]

        return LinkOpener(JournalWriter(self.disks[link], link, SIDE, on_disk=on_disk), partial(self._build, link))

    def _build(self, link: str, journal: JournalWriter) -> EndpointLink:
        chance = random.Random(link)
        return EndpointLink(
            recovered_core(journal, Link.new(link, SIDE)),
            journal,
            link_file(default_terms.terms(link)),
            Notices(),
            signer=SIGNER,
            outlet=self,
            draw_nonce=lambda: f"{chance.getrandbits(64):016x}",
        )

    def publish(self, topic: Topic, payload: bytes, token: object) -> bool:
        del topic, payload, token
        return True

    def leave(self, link: str) -> None:
        del link

    def turn(self, passed: Millis = 0) -> None:
        # an exercise's time: hours pass, and the machine notices no pause
        self.clock.passes(passed, real=min(passed, 2 * SECOND))
        if self._visits_all:
            self.loop.queue.wake(self.runners)
        self.loop.turn()

    def happened(self, event: TransportEvent) -> None:
        self.intake.happened(event)

    def tests_line(self, link: str) -> None:
        self._requests += 1
        name = f"request-{self._requests}"

        def make(now: Now) -> LineTestRequested:
            return LineTestRequested(at=now.at, mono=now.mono, request=name, nonce="00" * 8, officer=UNSET)

        self.loop.queue.put(RequestItem(self.runners[link], make, Unanswered()))

    def refuses_frames(self, link: str) -> None:
        for _ in range(4):
            self.happened(Arrived(Topic(link, PEER, "message"), b"{}", None))

    def refuses_credentials(self, link: str) -> None:
        for _ in range(4):
            self.loop.queue.push(WrongCredentialItem(self.runners[link], "uid-1"))

    def comes_back(self, link: str) -> None:
        if self.runners[link].failure is not None:
            self.loop.queue.push(Revival(self.runners, self.openers[link].open(), lambda: None))

    def reloads(self, link: str) -> None:
        now = self.loop.settle()
        if self.runners[link].failure is None:
            self.openers[link].exchange(self.runners, self.loop.queue, now)


class Step(Struct, frozen=True):
    """What happens before a turn, and how much time passes."""

    name: str
    link: str
    passed: Millis


HAPPENS: dict[str, Callable[[Endpoint, str], None]] = {
    "nothing": lambda _end, _link: None,
    "connected": lambda end, _link: end.happened(Connected()),
    "lost": lambda end, _link: end.happened(Lost("pulled out")),
    "present": lambda end, link: end.happened(PresenceChanged(link, PEER, present=True)),
    "gone": lambda end, link: end.happened(PresenceChanged(link, PEER, present=False)),
    "heard": lambda end, link: end.happened(PresenceHeard(link, PEER, end.clock.real / 1_000)),
    "refused frames": Endpoint.refuses_frames,
    "wrong credentials": Endpoint.refuses_credentials,
    "line test": Endpoint.tests_line,
    "low space": lambda end, link: end.disks[link].show_free(SPACE_LOW_BYTES - 1),
    "space": lambda end, link: end.disks[link].show_free(PLENTY_BYTES),
    "broken disk": lambda end, link: end.disks[link].break_flushes(broken=True),
    "mended disk": lambda end, link: end.disks[link].break_flushes(broken=False),
    "back": Endpoint.comes_back,
    "reload": Endpoint.reloads,
    "clock set back": lambda end, _link: setattr(end.clock, "at", end.clock.at - 20 * SECOND),
    "clock set ahead": lambda end, _link: setattr(end.clock, "at", end.clock.at + 2 * HOUR),
}
PASSED = (0, 10, SECOND, 2 * SECOND, 6 * SECOND, 59 * SECOND, 20 * 60 * SECOND, HOUR, DAY, 8 * DAY)
STEPS = st.builds(Step, st.sampled_from([*HAPPENS]), st.sampled_from(LINKS), st.sampled_from(PASSED))


@settings(max_examples=60)
@given(st.lists(STEPS, min_size=1, max_size=40))
def test_the_links_that_are_visited_are_those_that_take_something(steps: list[Step]) -> None:
    """The model is a loop that visits every link in every turn."""
    ours, model = Endpoint(visits_all=False), Endpoint(visits_all=True)
    for step in steps:
        for each in (ours, model):
            HAPPENS[step.name](each, step.link)
            each.turn(step.passed)
        assert ours.taken == model.taken, step


def test_every_kind_of_timed_event_comes_at_a_link_to_which_nothing_else_happens() -> None:
    end = Endpoint(visits_all=False)
    for name in ("connected", "refused frames", "wrong credentials", "present"):
        for _ in range(4):
            HAPPENS[name](end, "first")
    end.turn()
    HAPPENS["gone"](end, "first")
    HAPPENS["low space"](end, "first")
    end.turn(10)
    for _ in range(40):
        end.turn(2 * SECOND)
    for _ in range(40):
        end.turn(6 * HOUR)

    names = {type(entry).__name__ for entry in end.taken["first"]}
    assert names >= {
        *("FramesSuppressed", "CredentialsRefused", "PeerPresenceChanged", "SpaceLow"),
        *("DeadlineReached", "SlotsPlanned", "HeadSigned"),
    }


def test_a_slot_of_many_links_is_taken_in_several_turns() -> None:
    """The loop is awake until the last of them, and takes what arrives meanwhile."""
    links = tuple(f"link-{number}" for number in range(2 * DUE_MAX_LINKS + 1))
    end = Endpoint(links, visits_all=False)
    end.happened(Connected())
    end.turn()
    before = {link: len(taken) for link, taken in end.taken.items()}

    due = []
    end.clock.passes(60 * SECOND, real=SECOND)
    for _ in range(3):
        end.loop.turn()
        due.append(sum(len(taken) > before[link] for link, taken in end.taken.items()))

    assert due == [DUE_MAX_LINKS, 2 * DUE_MAX_LINKS, len(links)]


# --- the schedule -------------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdefgh"),
            st.builds(
                NextTick,
                at=st.none() | st.integers(0, 50),
                mono=st.none() | st.integers(0, 50),
                real_s=st.none() | st.integers(0, 50),
            ),
        ),
        max_size=60,
    ),
    st.builds(Now, st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)),
)
def test_due_links_are_those_whose_last_schedule_is_reached(ticks: list[tuple[str, NextTick]], now: Now) -> None:
    due = DueLinks()
    for link, tick in ticks:
        due.schedule(link, tick)
    last = dict(ticks)
    ats = [tick.at for tick in last.values() if tick.at is not None]
    monos = [tick.mono for tick in last.values() if tick.mono is not None]
    reached = {
        link
        for link, tick in last.items()
        if (tick.at is not None and tick.at <= now.at)
        or (tick.mono is not None and tick.mono <= now.mono)
        or (tick.real_s is not None and tick.real_s <= now.real_s)
    }

    assert due.deadline == Deadline(min(ats, default=None), min(monos, default=None))
    assert due.any_due(now) == bool(reached)
    taken = due.take(now, len(last))
    assert (len(taken), set(taken)) == (len(reached), reached)


@pytest.mark.parametrize("limit", [1, 3])
def test_links_beyond_the_limit_stay_due(limit: int) -> None:
    due = DueLinks()
    for link in "abcde":
        due.schedule(link, NextTick(at=1))
    now = Now(1, 0, 0)
    taken: list[str] = []
    while due.any_due(now):
        found = due.take(now, limit)
        assert len(found) <= limit
        taken += found
    assert sorted(taken) == [*"abcde"]


def test_replaced_instants_do_not_pile_up() -> None:
    """A busy link replaces its deadline thousands of times before one of them is reached."""
    due = DueLinks()
    tracemalloc.start()
    for instant in range(200 * HEAP_SLACK):
        due.schedule("busy", NextTick(at=10**9 - instant))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert due.deadline.at == 10**9 - 200 * HEAP_SLACK + 1
    assert taken < 200 * HEAP_SLACK
