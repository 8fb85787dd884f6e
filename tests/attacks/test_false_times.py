"""False times and heads that a party signs: each raises an alarm at its peer and at the watch, and no honest one does.

A party has its keys here, and may date anything as it likes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from protocol.core.events import ClockStepped, FrameReceived, TransportConnected, TransportLost
from protocol.core.observer import Observer
from protocol.core.peer_clocks import TIMES_KEPT
from protocol.core.start_events import EpochOpened
from protocol.core.stream import HASHES_KEPT, SEALED_MAX
from protocol.wire.digests import genesis
from protocol.wire.instants import Millis, written
from protocol.wire.messages import Message
from tests.support.cast import (
    Peer,
    a_refusal,
    acknowledge,
    alert,
    an_acknowledgement,
    an_alert,
    an_answer,
    arrives,
    ref,
    test_line,
)
from tests.support.playbook import batch
from tests.support.world import HOUR, MINUTE, SECOND, START, TERMS, End, Frame, Line, terms

OTHER = "0" * 64
LIMIT: Millis = TERMS.policy.skew_limit_s * SECOND
AHEAD, BEHIND, BACK, FORK = "clock_skew/ndmc/ahead", "clock_skew/ndmc/behind", "clock_skew/ndmc/back", "fork/ndmc"


class Scene:
    """Two readers of what `ndmc` signs: its peer `eucom` and the watch, each alone with it."""

    def __init__(self) -> None:
        self.eucom = End.started(quiet=True)
        self.watch = End(Observer.new(TERMS.link), self.eucom.world, quiet=True)
        self.watch.start(opened=TERMS)
        self.ndmc = Peer()
        self.heads = [genesis(TERMS, "eucom")]

    @property
    def at(self) -> Millis:
        return self.eucom.at

    def alarms(self) -> list[set[str]]:
        """Return the active alarms of both readers that concern times and heads."""
        return [
            {each for each in end.alarms if each.startswith(("clock_skew", "fork"))} for end in (self.eucom, self.watch)
        ]

    def hear(self, frame: Frame) -> None:
        """Let a frame of `ndmc` arrive at both, and what `eucom` sends then at the watch."""
        for end in (self.eucom, self.watch):
            end.happens(*arrives(frame).happenings)
        self.overhear()

    def overhear(self) -> None:
        for frame in self.eucom.outgoing:
            self.watch.receive(frame)
        self.eucom.outgoing.clear()

    def says(self, body: dict[str, Any] | None = None, at: Millis | None = None, **fields: Any) -> None:
        """Let `ndmc` say something in a frame of its own."""
        self.hear(self.ndmc.sends(self.ndmc.says(body or an_alert(), at=self.at if at is None else at), **fields))

    def receipts(self, upto: int, at: Millis, head: str = "") -> None:
        self.hear(self.ndmc.receipts(upto, head or self.heads[upto], at=at))

    def alert(self, count: int = 1) -> None:
        """Let `eucom` raise alerts, which the watch sees."""
        for _ in range(count):
            self.eucom.happens(*alert().happenings)
            self.heads.append(self.eucom.outbox.head)
        self.overhear()

    def claim(self, upto: int, at: Millis) -> dict[str, Any]:
        return {"upto": upto, "head": self.heads[upto], "at": written(at)}


BOTH = 2
"""Both readers."""


# --- receipts -----------------------------------------------------------------------------------------------------


def test_a_receipt_dated_ahead_of_its_arrival() -> None:
    """SPEC M8.5: three hours, in a frame of its own."""
    scene = Scene()
    scene.alert()
    scene.receipts(1, scene.at + 3 * HOUR)
    assert scene.alarms() == [{AHEAD}] * BOTH


def test_a_receipt_beside_messages_dated_ahead_of_its_arrival() -> None:
    """SPEC M8.5"""
    scene = Scene()
    scene.alert()
    scene.says(receipt=scene.claim(1, scene.at + LIMIT + 1))
    assert scene.alarms() == [{AHEAD}] * BOTH


@pytest.mark.parametrize("upto", [0, 1])
def test_a_receipt_dated_ahead_that_settles_nothing(upto: int) -> None:
    """SPEC M8.5, R3.2"""
    scene = Scene()
    scene.alert()
    scene.receipts(1, scene.at)
    scene.receipts(upto, scene.at + LIMIT)
    assert scene.alarms() == [set()] * BOTH
    scene.receipts(upto, scene.at + LIMIT + 1)
    assert scene.alarms() == [{AHEAD}] * BOTH


@pytest.mark.parametrize("stale", [False, True])
def test_a_receipt_dated_before_its_message_was_sent(*, stale: bool) -> None:
    """SPEC M8.3: also one that settles nothing; at the watch, before the message's own time."""
    scene = Scene()
    scene.alert()
    if stale:
        scene.receipts(1, scene.at)
    scene.receipts(1, scene.at - LIMIT)
    assert scene.alarms() == [set()] * BOTH
    scene.alert()
    scene.receipts(1 if stale else 2, scene.at - LIMIT - 1)
    assert scene.alarms() == [{BEHIND}] * BOTH


def test_repeated_receipts_prove_no_clock_right() -> None:
    """SPEC M8.9: the broker cannot end the alarm with an old frame."""
    scene = Scene()
    scene.alert(3)
    scene.receipts(1, scene.at)
    scene.receipts(2, scene.at + HOUR)
    for end in (scene.eucom, scene.watch):
        end.world.wait(10 * MINUTE)
    scene.receipts(1, scene.at - 10 * MINUTE)
    for end in (scene.eucom, scene.watch):
        end.world.wait(20 * MINUTE)
    assert scene.alarms() == [{AHEAD}] * BOTH
    scene.receipts(3, scene.at)
    scene.eucom.world.wait(10 * MINUTE)
    assert scene.alarms() == [set()] * BOTH


def test_alternating_lies_keep_one_alarm() -> None:
    """SPEC M8.9: one notification, however often true and false times follow each other."""
    scene = Scene()
    for turn in range(20):
        scene.says(at=scene.at + (turn % 2) * HOUR)
        scene.eucom.world.wait(MINUTE)
    assert all(AHEAD in found for found in scene.alarms())
    raised = [line for line in scene.eucom.transcript if line == f"RaiseAlarm {AHEAD}"]
    assert len(raised) == 1


# --- messages -----------------------------------------------------------------------------------------------------


def test_a_message_dated_before_its_predecessor() -> None:
    """SPEC M8.6"""
    scene = Scene()
    scene.says(at=scene.at)
    scene.says(at=scene.at - LIMIT)
    assert scene.alarms() == [set()] * BOTH
    scene.says(at=scene.at - LIMIT - 1)
    assert scene.alarms() == [{BACK}] * BOTH


def test_a_stream_that_goes_back_in_small_steps() -> None:
    """SPEC M8.6: each step is within the limit, all together are not."""
    scene = Scene()
    first = scene.at
    messages = [scene.ndmc.says(an_alert(), at=first - step * (LIMIT - SECOND)) for step in range(4)]
    scene.hear(scene.ndmc.sends(*messages))
    assert scene.alarms() == [{BACK}] * BOTH


def test_a_message_dated_before_one_of_an_earlier_epoch() -> None:
    """SPEC M8.6: a new epoch does not hide that the clock went back."""
    scene = Scene()
    scene.says(at=scene.at)
    for end in (scene.eucom, scene.watch):
        end.happens((EpochOpened, {"terms": terms(2)}))
    scene.ndmc = Peer(opened=terms(2))
    scene.says(at=scene.at - LIMIT)
    assert scene.alarms() == [set()] * BOTH
    scene.says(at=scene.at - LIMIT - 1)
    assert scene.alarms() == [{BACK}] * BOTH


def test_a_clock_that_was_set_right_is_not_accused_for_long() -> None:
    """SPEC M8.6, M8.9: an hour ahead, then corrected: both alarms end."""
    scene = Scene()
    scene.says(at=scene.at + HOUR)
    scene.says(at=scene.at)
    assert scene.alarms() == [{AHEAD, BACK}] * BOTH
    scene.says(at=scene.at)
    scene.eucom.world.wait(10 * MINUTE)
    assert scene.alarms() == [set()] * BOTH


@pytest.mark.parametrize(
    "body",
    [an_acknowledgement, a_refusal, lambda of: an_alert(references=[of])],
    ids=["acknowledgement", "refusal", "reference"],
)
def test_a_message_dated_before_the_one_that_it_refers_to(body: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """SPEC M8.7"""
    scene = Scene()
    scene.eucom.world.wait(3 * HOUR)
    scene.alert(2)
    scene.says(body(ref(1)), at=scene.at - LIMIT)
    assert scene.alarms() == [set()] * BOTH
    scene.says(body(ref(2)), at=scene.at - LIMIT - 1)
    assert scene.alarms() == [{BEHIND}] * BOTH


def test_an_answer_dated_before_its_line_test() -> None:
    """SPEC M8.7: an officer who was never there."""
    scene = Scene()
    scene.eucom.happens(*test_line().happenings)
    scene.overhear()
    scene.says(an_answer(ref(1)), at=scene.at - HOUR)
    assert scene.alarms() == [{BEHIND}] * BOTH


def test_a_receipt_dated_before_ours_that_its_frame_answers() -> None:
    """SPEC M8.8: `floor` says that the frame was sealed after our receipt was there."""
    scene = Scene()
    scene.alert()
    # two hours on the way: nothing else shows when this was sealed
    scene.says(at=scene.at)
    scene.eucom.world.wait(2 * HOUR)
    scene.says(at=scene.at, floor=1, receipt=scene.claim(1, scene.at))
    assert scene.alarms() == [set()] * BOTH
    scene.says(at=scene.at, floor=2, receipt=scene.claim(1, scene.at - LIMIT - 1))
    # the watch may have missed an earlier receipt
    assert scene.alarms() == [{BEHIND}, set()]


def waited(scene: Scene, floors: tuple[int, ...], count: int = 1) -> None:
    """Let messages arrive, all of which are dated two hours before; `floors` are those of their frames."""
    early = scene.at - 2 * HOUR
    for floor in floors:
        scene.hear(scene.ndmc.sends(*(scene.ndmc.says(an_alert(), at=early) for _ in range(count)), floor=floor))


def test_a_message_dated_before_a_receipt_that_its_sender_has_answered() -> None:
    """SPEC M8.8: the frame with floor 1 left after our receipt; what a later frame brings was queued after that."""
    scene = Scene()
    waited(scene, (0, 1))
    assert scene.alarms() == [set()] * BOTH
    waited(scene, (2,))
    assert scene.alarms() == [{BEHIND}, set()]


def test_messages_that_waited_unsealed_accuse_nobody() -> None:
    """SPEC M4.2, M8.8: with eight messages under way, the next may have waited since before our receipt."""
    scene = Scene()
    waited(scene, (0,) * SEALED_MAX)
    waited(scene, (1,))
    waited(scene, (2, 3))
    assert scene.alarms() == [set()] * BOTH


def test_a_frame_out_of_order_accuses_nobody() -> None:
    """SPEC M8.8, M3.2"""
    scene = Scene()
    waited(scene, (0, 1))
    early = scene.at - 2 * HOUR
    frames = [scene.ndmc.sends(scene.ndmc.says(an_alert(), at=early), floor=floor) for floor in (1, 2)]
    # the second one waits for the first, and says nothing about it
    scene.eucom.happens(*arrives(frames[1]).happenings)
    scene.eucom.happens(*arrives(frames[0]).happenings)
    assert scene.alarms()[0] == set()


def test_an_honest_side_that_was_away_accuses_nobody() -> None:
    """SPEC M8.8: it queued a message while away, and seals it in the batch in which our receipt arrives."""
    line = Line(quiet=True)
    line.ndmc.happens(*alert().happenings)
    frame = line.ndmc.outgoing.pop()
    line.ndmc.happens((TransportLost, {"reason": "gone"}))
    line.world.wait(MINUTE)
    line.ndmc.happens(*alert().happenings)
    line.world.wait(3 * HOUR)
    # the first message reaches us only now, and our receipt the other side as it returns
    line.eucom.receive(frame)
    receipt = line.eucom.outgoing.pop()
    line.ndmc.happens((TransportConnected, {}), (FrameReceived, {**receipt._asdict(), "verdict": "verified"}))
    line.settle()
    for _ in range(3):
        line.world.wait(MINUTE)
        line.ndmc.happens(*alert().happenings)
        line.settle()
    assert line.eucom.inbox.upto == 5
    assert line.eucom.alarms == []


@pytest.mark.parametrize("step_ms", [-3 * HOUR, 3 * HOUR])
def test_our_own_clock_accuses_nobody_after_it_was_corrected(step_ms: Millis) -> None:
    """SPEC M8.9: what we sent and receipted under the wrong time moves with the clock."""
    line = Line(quiet=True)
    line.eucom.skew = -step_ms
    for end in line.ends.values():
        end.happens(*alert().happenings)
    # nothing has arrived, when the clock of one side is set right
    line.eucom.skew = 0
    line.eucom.happens((ClockStepped, {"step_ms": step_ms}))
    line.settle()
    for sender in ("eucom", "ndmc", "eucom"):
        line.end(sender).happens(*alert().happenings)
        line.settle()
    line.ndmc.happens(*acknowledge("eucom/1/1").happenings)
    line.settle()
    assert line.eucom.alarms == []


def test_the_receipts_that_are_kept_are_bounded() -> None:
    """SPEC M8.8: a peer whose floor never rises."""
    scene = Scene()
    for _ in range(TIMES_KEPT + 2):
        scene.eucom.happens(*arrives(scene.ndmc.sends(scene.ndmc.says(a_refusal(ref(1))))).happenings)
    assert [*scene.eucom.core.state.peer_clocks.receipted] == [*range(3, TIMES_KEPT + 3)]


# --- heads --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upto", [0, 1, 2])
def test_an_older_receipt_with_a_false_head_is_a_fork(upto: int) -> None:
    """SPEC R3.1"""
    scene = Scene()
    scene.alert(3)
    scene.receipts(3, scene.at)
    scene.receipts(upto, scene.at)
    assert scene.alarms() == [set()] * BOTH
    scene.receipts(upto, scene.at, OTHER)
    assert scene.alarms() == [{FORK}] * BOTH


def test_the_last_1024_receipted_heads_are_compared() -> None:
    """SPEC R3.1"""
    scene = Scene()
    while len(scene.heads) <= HASHES_KEPT + 2:
        scene.eucom.happens(*batch(*[test_line() for _ in range(18)]).happenings)
        sent = scene.eucom.outbox
        scene.heads += [sent.hashes[seq] for seq in range(len(scene.heads), sent.last + 1)]
        scene.overhear()
        scene.receipts(sent.last, scene.at)
    assert sent.last == HASHES_KEPT + 2
    scene.receipts(2, scene.at, OTHER)
    assert scene.alarms() == [set()] * BOTH
    scene.receipts(3, scene.at, OTHER)
    assert scene.alarms() == [{FORK}] * BOTH


def test_a_false_receipt_before_its_message_is_a_fork_at_the_watch() -> None:
    """SPEC R3.1, W6: topics keep no order between each other."""
    scene = Scene()
    scene.eucom.happens(*alert().happenings)
    scene.watch.receive(scene.ndmc.receipts(1, OTHER))
    assert scene.alarms()[1] == set()
    scene.overhear()
    assert scene.alarms()[1] == {FORK}


def test_a_true_receipt_before_its_message_accuses_nobody() -> None:
    """SPEC R3.1, W6"""
    scene = Scene()
    scene.eucom.happens(*alert().happenings)
    scene.watch.receive(scene.ndmc.receipts(1, scene.eucom.outbox.head))
    scene.overhear()
    assert scene.alarms()[1] == set()


def test_two_receipts_that_contradict_each_other_are_a_fork_at_the_watch() -> None:
    """SPEC R3.1, W6: whichever of them is true."""
    scene = Scene()
    scene.watch.receive(scene.ndmc.receipts(1, OTHER))
    scene.watch.receive(scene.ndmc.receipts(1, "1" * 64))
    assert scene.alarms()[1] == {FORK}


def test_a_false_receipt_of_messages_that_the_watch_missed_is_a_fork() -> None:
    """SPEC R3.1, W6: the next message names the hash of the last one missed."""
    scene = Scene()
    scene.alert()
    scene.eucom.happens(*alert().happenings)
    scene.eucom.outgoing.clear()
    for upto in range(3, 80):
        scene.watch.receive(scene.ndmc.receipts(upto, OTHER))
    scene.watch.receive(scene.ndmc.receipts(80, OTHER))
    assert scene.alarms()[1] == set()
    stranger = Peer("eucom")
    message = Message(seq=81, prev="2" * 64, at=written(START), body=an_alert())
    scene.watch.receive(stranger.sends(message))
    assert scene.alarms()[1] == {FORK}
