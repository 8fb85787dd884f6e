"""Slots and line tests, and the alarms about them (SPEC W1, W2, W5); `watch_state` has their states."""

from __future__ import annotations

from msgspec import UNSET

from protocol.core.alarms import AlarmCode
from protocol.core.books import Books
from protocol.core.deadlines import SECOND, Turn
from protocol.core.staleness import staleness
from protocol.core.watch_state import SLOT, TEST, Slot, SlotState, Test, TestState, WatchState
from protocol.phrases import phrase
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import Heartbeat, HeartbeatAnswer, Identifier, Reference, Utc
from protocol.wire.policy import Policy

SETTLE_MS: Millis = 60 * SECOND
"""How long messages that wait at the broker may take to arrive after an absence, before its deadlines are judged."""
FINISHED_KEPT = 64
"""Finished slots and tests that are kept for `status`, late tests and late answers: a month of two slots a day."""
RUNNING_MAX = 64
"""The limit of tests that await a receipt or answer. A peer or officer can place more; the newest are kept."""
_RUNNING = {TestState.PLACED, TestState.RECEIVED}
"""States in which the deadline of a receipt or answer runs."""


class Watch:
    """The slots and line tests of one link, as one observer sees them. With `placing`, our officer places them."""

    def __init__(self, state: WatchState, policy: Policy, books: Books, *, placing: bool) -> None:
        self.state = state
        self._policy = policy
        self._deadlines = books.deadlines
        self._alarms = books.alarms
        self._notifications = books.notifications
        self._placing = placing
        # the awaited slots with the instants at which they begin; None until they are computed again
        self._open: list[tuple[Millis, Utc, Slot]] | None = None

    # --- slots ----------------------------------------------------------------------------------------------------

    def plan(self, turn: Turn, slots: tuple[Utc, ...], until: Utc, tzdata: str, *, after: Millis) -> None:
        """Take newly computed slots. Awaited slots after `after` that are not among them are removed.

        Slots beyond `until` are planned later. One that has a test is kept, since the clock may have been set back
        wrongly.
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
        """Judge slots again after the wall clock was set, since it may have been wrong before (SPEC W5.1).

        After a step back, slots lie ahead again, even met ones, whose test now proves too early. After a step forward,
        a test may prove to have been in time. A slot whose grace is over keeps its state, since nobody can test it
        any more.
        """
        for instant, slot in self.state.slots.items():
            begins = parsed(instant)
            over = turn.at >= begins + self._grace_ms
            slot.test_at += step_ms
            if slot.state in {SlotState.MET, SlotState.LATE}:
                ahead = slot.test_at < begins - self._skew_ms and not over
            elif slot.state is SlotState.UNKNOWN:
                # a wrong clock had passed over it; now its grace runs, and the watch is present
                ahead = step_ms < 0 and not over
            else:
                ahead = step_ms < 0 and begins > turn.at
            if ahead and (self._step(instant, slot, "rewound") or slot.state is SlotState.AWAITED):
                slot.due_at, slot.begun = begins + self._grace_ms, False
                # who was notified shortly before the clock was set back is reminded only
                half = self._grace_ms // 2
                slot.tell_at = begins + half if slot.told and begins - turn.at < half else 0
                self._alarms.clear(turn, AlarmCode.HEARTBEAT_MISSED, instant)
            elif slot.state is SlotState.AWAITED and self._may_be_in_time(slot, over=over):
                self._judge_test(turn, instant, slot)
        if step_ms < 0:
            self.state.slots_until = min(self.state.slots_until, turn.at)

    @staticmethod
    def _may_be_in_time(slot: Slot, *, over: bool) -> bool:
        return bool(slot.test) and slot.test_at < slot.due_at and not (slot.early and over)

    def blind(self, turn: Turn, since: Millis) -> list[str]:
        """Mark the slots that fell due from `since` until now as unknown, and return them (SPEC W5.2).

        A slot that is still in its grace is postponed, so that messages waiting at the broker can arrive. That happens
        once only: a process that crashes repeatedly must not suppress the alarm.
        """
        unknown = []
        for begins, instant, slot in self._awaited():
            if begins > turn.at:
                break
            if slot.due_at <= since:
                continue
            if slot.due_at <= turn.at:
                self._step(instant, slot, "blind")
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
                missed = self._step(instant, slot, "grace_over")
                deadline = written(begins + self._grace_ms)
                detail = phrase("no line test for the slot of {slot}", slot=instant)
                self._alarms.raise_alarm(turn, AlarmCode.HEARTBEAT_MISSED, instant, deadline, detail)
        if missed:
            self._forget_finished(turn)

    def notify_slots(self, turn: Turn) -> None:
        """Notify our officer of each open slot that waits for their test, and once more at half of its grace (W1.6)."""
        if not self._placing:
            return
        for begins, instant, slot in self._awaited():
            if begins > turn.at:
                break
            if slot.tell_at is None or turn.at < slot.tell_at:
                continue
            half, end = begins + self._grace_ms // 2, begins + self._grace_ms
            if turn.at < end:
                self._notifications.slot(turn, instant, written(end), slot.told)
                slot.told += 1
            slot.tell_at = half if turn.at < half else None

    def open_slot(self, at: Millis) -> Utc | None:
        """Return the slot whose test may be placed at `at`: only between slot and slot + grace (SPEC W1.3).

        The first one that was not tried yet, else the first one; None if there is none.
        """
        opened = []
        for begins, instant, slot in self._awaited():
            if begins > at:
                break
            if at < begins + self._grace_ms:
                opened.append((slot.begun, instant))
        return min(opened, default=(True, None))[1]

    def begun(self, at: Millis, *, placing: bool, tried: Utc | None = None) -> None:
        """Mark the slots that have begun by `at`: their beginning needs no deadline any more.

        With `placing` only the slot `tried`, and those whose grace is over: the others wait for their test.
        """
        for begins, instant, slot in self._awaited():
            if begins > at:
                break
            slot.begun = slot.begun or not placing or instant == tried or begins + self._grace_ms <= at

    def next_slot(self) -> Utc | None:
        """Return the first awaited slot, None if there is none."""
        return next((instant for _, instant, _ in self._awaited()), None)

    def next_instant(self) -> Millis | None:
        """Return the next instant at which a slot begins or its grace ends, None if no slot is awaited."""
        soonest: Millis | None = None
        for begins, _, slot in self._awaited():
            if soonest is not None and begins >= soonest:
                break
            instant = slot.due_at if slot.begun else begins
            if self._placing and slot.tell_at is not None:
                instant = min(instant, slot.tell_at or begins)
            soonest = instant if soonest is None else min(soonest, instant)
        return soonest

    def _awaited(self) -> list[tuple[Millis, Utc, Slot]]:
        """Return the awaited slots in order, with the instants at which they begin."""
        if self._open is None:
            slots = self.state.slots.items()
            self._open = [(parsed(at), at, slot) for at, slot in slots if slot.state is SlotState.AWAITED]
        return self._open

    # --- tests ----------------------------------------------------------------------------------------------------

    def called(self, turn: Turn, reference: Reference, heartbeat: Heartbeat, sent_at: Utc, *, received: bool) -> None:
        """Add a test that was placed, or with `received` has arrived at the side that has to answer it."""
        ref = str(reference)
        self.state.tests[ref] = Test(heartbeat, turn.utc, TestState.PLACED, sent_at=sent_at)
        receipt_after = self._grace_ms
        if heartbeat.slot is not UNSET:
            self._meet(turn, ref, heartbeat.slot)
            left = parsed(heartbeat.slot) + self._grace_ms - turn.at
            # a test names no slot further ahead than the skew limit (SPEC W1.1); the independent watch may see a late
            # one just before its receipt
            latest = self._grace_ms + self._skew_ms
            receipt_after = min(left, latest) if left > 0 else SETTLE_MS
        if received:
            self.receipted(turn, reference)
        else:
            self._deadlines.arm(turn, f"receipt/{ref}", receipt_after)
        self._forget_finished(turn)

    def placed(self, reference: Reference, officer: Identifier) -> None:
        """Note the officer who placed a test that was just called."""
        self.state.tests[str(reference)].placed_by = officer

    def _meet(self, turn: Turn, ref: str, instant: Utc) -> None:
        slot = self.state.slots.get(instant)
        if slot is None:
            if parsed(instant) <= self.state.slots_until and parsed(instant) > self._first_slot():
                self._alarms.raise_alarm(
                    turn,
                    AlarmCode.SCHEDULE_DISAGREEMENT,
                    ref.partition("/")[0],
                    detail=phrase(
                        "test {test} names the slot of {slot}: none here (time zone data {tzdata})",
                        test=ref,
                        slot=instant,
                        tzdata=self.state.tzdata,
                    ),
                )
            return
        self._alarms.clear(turn, AlarmCode.SCHEDULE_DISAGREEMENT, ref.partition("/")[0])
        if slot.state not in {SlotState.MET, SlotState.LATE}:
            slot.test, slot.test_at = ref, turn.at
            slot.early = turn.at < parsed(instant) - self._skew_ms
            self._judge_test(turn, instant, slot)

    def _judge_test(self, turn: Turn, instant: Utc, slot: Slot) -> None:
        """Let the test satisfy its slot, unless it came too early (SPEC W1.1)."""
        if slot.test_at < parsed(instant) - self._skew_ms or not self._step(instant, slot, "called"):
            return
        # the line works again, so the alarms of earlier slots are cleared
        for earlier, other in self.state.slots.items():
            if earlier <= instant and other.state in {SlotState.MISSED, SlotState.LATE}:
                self._alarms.clear(turn, AlarmCode.HEARTBEAT_MISSED, earlier)

    def _first_slot(self) -> Millis:
        return min((parsed(slot) for slot in self.state.slots), default=self.state.slots_until)

    def receipted(self, turn: Turn, reference: Reference) -> None:
        """Note the receipt of a test: only the newest one needs an answer from now on (SPEC W1.4, W2.2)."""
        ref = str(reference)
        test = self.state.tests.get(ref)
        if test is None or not self._step_test(test, "receipted"):
            return
        self._deadlines.disarm(f"receipt/{ref}")
        self._alarms.clear(turn, AlarmCode.HEARTBEAT_UNRECEIPTED, ref)
        for other in self._of_same_caller(ref)[:-1]:
            if self._step_test(self.state.tests[other], "superseded"):
                self._deadlines.disarm(f"answer/{other}")
        self._deadlines.arm(turn, f"answer/{ref}", self._policy.answer_within_s * SECOND)

    def answered(self, turn: Turn, answer: HeartbeatAnswer) -> None:
        """Take an answer to a test. With wrong words the test stays unanswered (SPEC B2.3)."""
        ref = str(answer.of)
        test = self.state.tests.get(ref)
        if test is None or answer.read_back != test.heartbeat.challenge or not self._step_test(test, "answered"):
            return
        test.answer, test.answered_at = answer, turn.utc
        for key in (f"receipt/{ref}", f"answer/{ref}"):
            self._deadlines.disarm(key)
        self._alarms.clear(turn, AlarmCode.HEARTBEAT_UNRECEIPTED, ref)
        # the line works again, so the alarms of earlier tests are cleared
        for other in self._of_same_caller(ref):
            if self.state.tests[other].state in {TestState.UNANSWERED, TestState.ANSWERED_LATE}:
                self._alarms.clear(turn, AlarmCode.HEARTBEAT_UNANSWERED, other)

    def epoch_over(self, turn: Turn) -> None:
        """End the tests of the previous epoch: nobody receipts or answers them any more (SPEC E2.1)."""
        for ref, test in self.state.tests.items():
            self._step_test(test, "epoch_over")
            self._deadlines.disarm(f"receipt/{ref}")
            self._deadlines.disarm(f"answer/{ref}")
        self._alarms.clear_all(turn, AlarmCode.HEARTBEAT_UNRECEIPTED, AlarmCode.HEARTBEAT_UNANSWERED)

    def overdue(self, turn: Turn, kind: str, ref: str, raised_at: Utc) -> None:
        """Raise the alarm of a test whose receipt or answer is overdue (SPEC W2.1)."""
        test = self.state.tests[ref]
        self._step_test(test, "overdue")
        stale = staleness(None, test.sent_at, parsed(test.at), turn.at)
        if kind == "receipt":
            code, detail = AlarmCode.HEARTBEAT_UNRECEIPTED, phrase("no receipt for line test {test}", test=ref)
        else:
            code, detail = AlarmCode.HEARTBEAT_UNANSWERED, phrase("nobody answered line test {test}", test=ref)
        self._alarms.raise_alarm(turn, code, ref, raised_at, detail, stale)

    # --- the tables -----------------------------------------------------------------------------------------------

    def _step(self, instant: Utc, slot: Slot, happening: str) -> bool:
        state = SLOT.get((slot.state, happening))
        if state is not None and slot.told:
            self._notifications.slot_over(instant, slot.told)
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
        """Remove the oldest finished slots and tests, and clear their alarms, which nothing else would clear."""
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
                self._deadlines.disarm(f"{kind}/{ref}")
                self._alarms.clear(turn, code, ref)
            del tests[ref]

    @property
    def _grace_ms(self) -> Millis:
        return self._policy.grace_s * SECOND

    @property
    def _skew_ms(self) -> Millis:
        return self._policy.skew_limit_s * SECOND
