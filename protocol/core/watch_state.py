"""The states of slots and line tests, their transitions, and what a checkpoint keeps of them (SPEC W1, W2).

A **slot** is an instant at which the calling side tests the line. It is *met* if the test arrives by slot + grace, else
*missed*; a test that arrives after that makes it *late*. A slot that fell due while nobody watched is *unknown*.

A **test** is one heartbeat, followed from its call to its answer. The calling side waits for the receipt, then for the
answer; the answering side waits, from the reception on, for its own duty officer.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct, to_builtins

from protocol.core.acts import Act, Item, item_of
from protocol.wire.instants import Millis
from protocol.wire.messages import Heartbeat, HeartbeatAnswer, Identifier, Utc


class SlotState(StrEnum):
    """The states of a slot."""

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
"""The transitions of a slot (SPEC W1.1, W1.2). A pair that is not listed changes nothing."""


class TestState(StrEnum):
    """The states of a line test."""

    __test__ = False  # not a test for pytest

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
"""The transitions of a line test (SPEC W2.1, W2.2). A pair that is not listed changes nothing."""


class Slot(Struct):
    """One slot."""

    # when it is missed: slot + grace, or later after an absence
    due_at: Millis
    state: SlotState = SlotState.AWAITED
    # the last test that named it, until one satisfied it; its time by the clock as it is set now; whether it came too
    # early by the clock as it was set then
    test: str = ""
    test_at: Millis = 0
    early: bool = False
    # it has begun; where the service places tests, also: its test was tried, or can no longer be placed
    begun: bool = False
    # where an officer of ours places tests: how often they were notified of it, and the instant of the next time
    # (0: its beginning; None: never)
    told: int = 0
    tell_at: Millis | None = 0


class Test(Struct):
    """One line test."""

    __test__ = False

    heartbeat: Heartbeat
    at: Utc
    state: TestState
    answer: HeartbeatAnswer | None = None
    answered_at: Utc | None = None
    # the message's `at`, by its sender's clock; None if it came under rules 2
    sent_at: Utc | None = None
    # the officer of ours who placed it; None if the service or the other side did, or under rules 1 to 3
    placed_by: Identifier | None = None

    def item(self, reference: object, answering: Identifier) -> Item:
        """Return the test and its answer by `answering`, if any; `reference` is its own (SPEC P2.1)."""
        acts: list[Act] = []
        if self.answer is not None and self.answered_at is not None:
            acts.append(Act(act="answered", at=self.answered_at, party=answering, officer=self.answer.officer))
        return item_of(reference, to_builtins(self.heartbeat), acts)


class WatchState(Struct):
    """State of slots and line tests in a checkpoint."""

    slots: dict[Utc, Slot] = {}
    slots_until: Millis = 0
    tzdata: str = ""
    # by reference, oldest first
    tests: dict[str, Test] = {}
