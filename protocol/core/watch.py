"""The watch: slots and line tests -> alarms (SPEC W1, W2, W5).

A **slot** is an instant at which the calling side tests the line. It is *met* if the test is there by slot + grace,
else *missed*; one that still comes makes it *late*. What fell due while the watch was blind is *unknown*.

A **test** is one heartbeat, seen from its call to its answer. The calling side waits for the receipt, then for the
answer; the answering side waits, from the reception on, for its own duty officer.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import UNSET, Struct

from protocol.core.alarm_book import AlarmBook
from protocol.core.alarms import AlarmCode
from protocol.core.deadlines import SECOND, Deadlines, Turn
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import Heartbeat, HeartbeatAnswer, Reference, Utc
from protocol.wire.policy import Policy

SETTLE_MS: Millis = 60 * SECOND
"""After an absence, what waits at the broker gets this long to arrive before a deadline that fell into it is judged."""
FINISHED_KEPT = 64
"""Finished slots and tests kept for `status`, for late tests and late answers: a month of two slots a day."""
RUNNING_MAX = 64
"""Tests whose receipt or answer is awaited: a peer, or an officer, can place more, but only the newest ones matter."""


class SlotState(StrEnum):
    """What is known of a slot."""

    AWAITED = "awaited"
    MET = "met"
    MISSED = "missed"
    LATE = "late"
    UNKNOWN = "unknown"


SLOT: dict[tuple[SlotState, str], SlotState] = {
    (SlotState.AWAITED, "called"): SlotState.MET,
    (SlotState.AWAITED, "grace_over"): SlotState.MISSED,
    (SlotState.AWAITED, "blind"): SlotState.UNKNOWN,
    (SlotState.MET, "rewound"): SlotState.AWAITED,
    (SlotState.MISSED, "called"): SlotState.LATE,
    (SlotState.MISSED, "rewound"): SlotState.AWAITED,
    (SlotState.LATE, "rewound"): SlotState.AWAITED,
    (SlotState.UNKNOWN, "called"): SlotState.LATE,
    (SlotState.UNKNOWN, "rewound"): SlotState.AWAITED,
}
"""A slot's life (SPEC W1.1, W1.2). What is not in the table changes nothing."""


class TestState(StrEnum):
    """What is known of a line test."""

    __test__ = False  # not a test of ours

    PLACED = "placed"
    UNRECEIPTED = "unreceipted"
    RECEIVED = "received"
    UNANSWERED = "unanswered"
    ANSWERED = "answered"
    ANSWERED_LATE = "answered_late"
    SUPERSEDED = "superseded"


TEST: dict[tuple[TestState, str], TestState] = {
    (TestState.PLACED, "receipted"): TestState.RECEIVED,
    (TestState.PLACED, "overdue"): TestState.UNRECEIPTED,
    (TestState.PLACED, "answered"): TestState.ANSWERED,
    (TestState.PLACED, "epoch_over"): TestState.SUPERSEDED,
    (TestState.UNRECEIPTED, "receipted"): TestState.RECEIVED,
    (TestState.UNRECEIPTED, "answered"): TestState.ANSWERED,
    (TestState.RECEIVED, "answered"): TestState.ANSWERED,
    (TestState.RECEIVED, "overdue"): TestState.UNANSWERED,
    (TestState.RECEIVED, "superseded"): TestState.SUPERSEDED,
    (TestState.RECEIVED, "epoch_over"): TestState.SUPERSEDED,
    (TestState.SUPERSEDED, "answered"): TestState.ANSWERED,
    (TestState.UNANSWERED, "answered"): TestState.ANSWERED_LATE,
}
"""A line test's life (SPEC W2.1, W2.2)."""

_RUNNING = {TestState.PLACED, TestState.RECEIVED}
"""Its receipt, or its answer, has a deadline."""


class Slot(Struct):
    """One slot."""

    # when its call is missed: slot + grace, or later where the watch was blind
    due_at: Millis
    state: SlotState = SlotState.AWAITED
    # the test that named it last, until one satisfied it; when that came, by the clock as it is set now; and whether it
    # came too early by the clock as it was then
    test: str = ""
    test_at: Millis = 0
    early: bool = False
    # it has begun, and where tests are placed, its own was tried or can no longer be
    begun: bool = False


class Test(Struct):
    """One line test."""

    __test__ = False

    heartbeat: Heartbeat
    at: Utc
    state: TestState
    answer: HeartbeatAnswer | None = None
    answered_at: Utc | None = None


class WatchState(Struct):
    """What a checkpoint keeps of the watch."""

    slots: dict[Utc, Slot] = {}
    slots_until: Millis = 0
    tzdata: str = ""
    # by reference, oldest first
    tests: dict[str, Test] = {}


class Watch:
    """Slots and tests of one link, as one observer of it sees them."""

    def __init__(self, state: WatchState, policy: Policy, timeline: Deadlines, alarms: AlarmBook) -> None:
        self.state = state
        self._policy = policy
        self._timeline = timeline
        self._alarms = alarms
        # the slots that are awaited and when they begin, as long as that is known
        self._open: list[tuple[Millis, Utc, Slot]] | None = None

    # --- slots ----------------------------------------------------------------------------------------------------

    def plan(self, turn: Turn, slots: tuple[Utc, ...], until: Utc, tzdata: str, *, after: Millis) -> None:
        """Take newly computed slots. What was planned after `after` and is not among them was never due.

        What lies beyond them is planned when its time comes; but the clock may have been set back wrongly, so the
        tests that are known of it are kept.
        """
        known, end, due = self.state.slots, parsed(until), set(slots)
        for begins, instant, slot in self._awaited():
            if begins > after and instant not in due and not (slot.test and begins > end):
                del known[instant]
        for instant in slots:
            known.setdefault(instant, Slot(parsed(instant) + self._grace_ms))
        self.state.slots = dict(sorted(known.items()))
        self.state.slots_until = end
        self.state.tzdata = tzdata
        self._open = None
        self._forget_finished(turn)

    def clock_moved(self, turn: Turn, step_ms: Millis) -> None:
        """The wall clock was set, so it may have been wrong when a slot was judged (SPEC W5.1).

        Set back: what it had passed lies ahead again, even if it was met: its test came too early after all. Set
        forward: a test may have been in time after all. But what is over stays as it was judged, or unknown, whatever
        this clock says now: nobody can test it any more.
        """
        for instant, slot in self.state.slots.items():
            begins = parsed(instant)
            over = turn.at >= begins + self._grace_ms
            slot.test_at += step_ms
            if slot.state in {SlotState.MET, SlotState.LATE}:
                ahead = slot.test_at < begins - self._skew_ms and not over
            elif slot.state is SlotState.UNKNOWN:
                # a clock that was wrong had passed over it; now its grace runs, and somebody watches
                ahead = step_ms < 0 and not over
            else:
                ahead = step_ms < 0 and begins > turn.at
            if ahead and (self._step(slot, "rewound") or slot.state is SlotState.AWAITED):
                slot.due_at, slot.begun = begins + self._grace_ms, False
                self._alarms.clear(turn, AlarmCode.HEARTBEAT_MISSED, instant)
            elif slot.state is SlotState.AWAITED and self._may_be_in_time(slot, over=over):
                self._judge_test(turn, instant, slot)
        if step_ms < 0:
            self.state.slots_until = min(self.state.slots_until, turn.at)

    @staticmethod
    def _may_be_in_time(slot: Slot, *, over: bool) -> bool:
        return bool(slot.test) and slot.test_at < slot.due_at and not (slot.early and over)

    def blind(self, turn: Turn, since: Millis) -> list[str]:
        """Judge the slots that fell due while nobody watched, from `since` until now: unknown. Return them (SPEC W5.2).

        A slot that began in the dark and is still in its grace gets time for what waits at the broker, but only once:
        a process that dies again and again is no reason for silence.
        """
        unknown = []
        for begins, instant, slot in self._awaited():
            if begins > turn.at:
                break
            if slot.due_at <= since:
                continue
            if slot.due_at <= turn.at:
                self._step(slot, "blind")
                unknown.append(instant)
            elif slot.due_at == begins + self._grace_ms:
                slot.due_at = max(slot.due_at, turn.at + SETTLE_MS)
        if unknown:
            self._forget_finished(turn)
        return unknown

    def judge_slots(self, turn: Turn) -> None:
        """Raise the alarm of every slot whose grace is over (SPEC W1.2)."""
        missed = False
        for begins, instant, slot in self._awaited():
            if begins > turn.at:
                break
            if slot.due_at <= turn.at:
                missed = self._step(slot, "grace_over")
                deadline = written(begins + self._grace_ms)
                self._alarms.raise_alarm(
                    turn, AlarmCode.HEARTBEAT_MISSED, instant, deadline, f"no line test for the slot of {instant}"
                )
        if missed:
            self._forget_finished(turn)

    def open_slot(self, at: Millis) -> Utc | None:
        """Return the slot whose test may be placed at `at`: between slot and slot + grace, later never (SPEC W1.3).

        The first one for which that was not tried yet, else the first one.
        """
        opened = []
        for begins, instant, slot in self._awaited():
            if begins > at:
                break
            if at < begins + self._grace_ms:
                opened.append((slot.begun, instant))
        return min(opened, default=(True, None))[1]

    def begun(self, at: Millis, *, placing: bool, tried: Utc | None = None) -> None:
        """Note which slots have begun by `at`: their beginning needs no deadline any more.

        Where tests are placed, only that of `tried`, or one whose grace is over: others wait for their turn.
        """
        for begins, instant, slot in self._awaited():
            if begins > at:
                break
            slot.begun = slot.begun or not placing or instant == tried or begins + self._grace_ms <= at

    def next_slot(self) -> Utc | None:
        """Return the first slot that is awaited."""
        return next((instant for _, instant, _ in self._awaited()), None)

    def next_instant(self) -> Millis | None:
        """Return when the wall clock next matters: the beginning of a slot, or the end of a grace."""
        soonest: Millis | None = None
        for begins, _, slot in self._awaited():
            if soonest is not None and begins >= soonest:
                break
            instant = slot.due_at if slot.begun else begins
            soonest = instant if soonest is None else min(soonest, instant)
        return soonest

    def _awaited(self) -> list[tuple[Millis, Utc, Slot]]:
        """Return the slots that are awaited, the first one first, with the instants at which they begin."""
        if self._open is None:
            slots = self.state.slots.items()
            self._open = [(parsed(at), at, slot) for at, slot in slots if slot.state is SlotState.AWAITED]
        return self._open

    # --- tests ----------------------------------------------------------------------------------------------------

    def called(self, turn: Turn, reference: Reference, heartbeat: Heartbeat, *, received: bool) -> None:
        """A test was placed (by us, or seen placed), or with `received` has arrived where it is to be answered."""
        ref = str(reference)
        self.state.tests[ref] = Test(heartbeat, turn.utc, TestState.PLACED)
        receipt_after = self._grace_ms
        if heartbeat.slot is not UNSET:
            self._meet(turn, ref, heartbeat.slot)
            left = parsed(heartbeat.slot) + self._grace_ms - turn.at
            # no test is of a slot that is further ahead than the skew limit (SPEC W1.1); the independent watch may see
            # one that comes late, just before its receipt
            latest = self._grace_ms + self._skew_ms
            receipt_after = min(left, latest) if left > 0 else SETTLE_MS
        if received:
            self.receipted(turn, reference)
        else:
            self._timeline.arm(turn, f"receipt/{ref}", receipt_after)
        self._forget_finished(turn)

    def _meet(self, turn: Turn, ref: str, instant: Utc) -> None:
        slot = self.state.slots.get(instant)
        if slot is None:
            if parsed(instant) <= self.state.slots_until and parsed(instant) > self._first_slot():
                self._alarms.raise_alarm(
                    turn,
                    AlarmCode.SCHEDULE_DISAGREEMENT,
                    ref.partition("/")[0],
                    detail=f"test {ref} names the slot of {instant}: none here (time zone data {self.state.tzdata})",
                )
            return
        self._alarms.clear(turn, AlarmCode.SCHEDULE_DISAGREEMENT, ref.partition("/")[0])
        if slot.state not in {SlotState.MET, SlotState.LATE}:
            slot.test, slot.test_at = ref, turn.at
            slot.early = turn.at < parsed(instant) - self._skew_ms
            self._judge_test(turn, instant, slot)

    def _judge_test(self, turn: Turn, instant: Utc, slot: Slot) -> None:
        """Let a slot's test satisfy it, unless it came too early (SPEC W1.1)."""
        if slot.test_at < parsed(instant) - self._skew_ms or not self._step(slot, "called"):
            return
        # the line is proven again: what was missed before this slot is over
        for earlier, other in self.state.slots.items():
            if earlier > instant:
                break
            if other.state in {SlotState.MISSED, SlotState.LATE}:
                self._alarms.clear(turn, AlarmCode.HEARTBEAT_MISSED, earlier)

    def _first_slot(self) -> Millis:
        return min((parsed(slot) for slot in self.state.slots), default=self.state.slots_until)

    def receipted(self, turn: Turn, reference: Reference) -> None:
        """The answering side has the test: only the newest needs an answer from now on (SPEC W1.4, W2.2)."""
        ref = str(reference)
        test = self.state.tests.get(ref)
        if test is None or not self._step_test(test, "receipted"):
            return
        self._timeline.disarm(f"receipt/{ref}")
        self._alarms.clear(turn, AlarmCode.HEARTBEAT_UNRECEIPTED, ref)
        for other in self._of_same_caller(ref)[:-1]:
            if self._step_test(self.state.tests[other], "superseded"):
                self._timeline.disarm(f"answer/{other}")
        self._timeline.arm(turn, f"answer/{ref}", self._policy.answer_within_s * SECOND)

    def answered(self, turn: Turn, answer: HeartbeatAnswer) -> None:
        """A test is answered. With the wrong words it stays unanswered (SPEC B2.3)."""
        ref = str(answer.of)
        test = self.state.tests.get(ref)
        if test is None or answer.read_back != test.heartbeat.challenge or not self._step_test(test, "answered"):
            return
        test.answer, test.answered_at = answer, turn.utc
        for key in (f"receipt/{ref}", f"answer/{ref}"):
            self._timeline.disarm(key)
        self._alarms.clear(turn, AlarmCode.HEARTBEAT_UNRECEIPTED, ref)
        # the line is proven again: what stood open before the newest answered test is over
        for other in self._of_same_caller(ref):
            if self.state.tests[other].state in {TestState.UNANSWERED, TestState.ANSWERED_LATE}:
                self._alarms.clear(turn, AlarmCode.HEARTBEAT_UNANSWERED, other)

    def epoch_over(self, turn: Turn) -> None:
        """Tests of the old epoch are over: nobody will receipt or answer them any more (SPEC E2.1)."""
        for ref, test in self.state.tests.items():
            self._step_test(test, "epoch_over")
            self._timeline.disarm(f"receipt/{ref}")
            self._timeline.disarm(f"answer/{ref}")
        self._alarms.clear_all(turn, AlarmCode.HEARTBEAT_UNRECEIPTED, AlarmCode.HEARTBEAT_UNANSWERED)

    def overdue(self, turn: Turn, kind: str, ref: str, raised_at: Utc) -> None:
        """The deadline of a test's receipt or answer has passed (SPEC W2.1)."""
        self._step_test(self.state.tests[ref], "overdue")
        if kind == "receipt":
            code, detail = AlarmCode.HEARTBEAT_UNRECEIPTED, f"no receipt for line test {ref}"
        else:
            code, detail = AlarmCode.HEARTBEAT_UNANSWERED, f"nobody answered line test {ref}"
        self._alarms.raise_alarm(turn, code, ref, raised_at, detail)

    # --- the tables -----------------------------------------------------------------------------------------------

    def _step(self, slot: Slot, happening: str) -> bool:
        state = SLOT.get((slot.state, happening))
        slot.state = state or slot.state
        self._open = None
        return state is not None

    def _step_test(self, test: Test, happening: str) -> bool:
        state = TEST.get((test.state, happening))
        test.state = state or test.state
        return state is not None

    def _of_same_caller(self, ref: str) -> list[str]:
        """Return the tests of the same caller up to `ref`, oldest first."""
        refs = list(self.state.tests)
        caller = f"{ref.partition('/')[0]}/"
        return [other for other in refs[: refs.index(ref) + 1] if other.startswith(caller)]

    def _forget_finished(self, turn: Turn) -> None:
        """Let go of what is too old to be made good: its alarm is over too, or it would stand for ever."""
        slots, tests = self.state.slots, self.state.tests
        for instant in [at for at, slot in slots.items() if slot.state is not SlotState.AWAITED][:-FINISHED_KEPT]:
            self._alarms.clear(turn, AlarmCode.HEARTBEAT_MISSED, instant)
            del slots[instant]
        running = [ref for ref, test in tests.items() if test.state in _RUNNING]
        finished = [ref for ref, test in tests.items() if test.state not in _RUNNING]
        for ref in [*finished[:-FINISHED_KEPT], *running[:-RUNNING_MAX]]:
            for kind, code in (
                ("receipt", AlarmCode.HEARTBEAT_UNRECEIPTED),
                ("answer", AlarmCode.HEARTBEAT_UNANSWERED),
            ):
                self._timeline.disarm(f"{kind}/{ref}")
                self._alarms.clear(turn, code, ref)
            del tests[ref]

    @property
    def _grace_ms(self) -> Millis:
        return self._policy.grace_s * SECOND

    @property
    def _skew_ms(self) -> Millis:
        return self._policy.skew_limit_s * SECOND
