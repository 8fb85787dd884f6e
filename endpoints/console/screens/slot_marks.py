"""What became of the slots of the schedule and of their tests: marks, the same on every screen."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from endpoints.console.facts import Facts
from endpoints.console.frame import Level
from endpoints.texts.i18n import Translator
from protocol.core.watch_state import SlotState, TestState
from protocol.wire.instants import parsed
from protocol.wire.messages import Utc

SLOTS_SHOWN = 14
SLOT_LEVELS: dict[SlotState, Level] = {
    SlotState.MET: "normal",
    SlotState.LATE: "serious",
    SlotState.MISSED: "critical",
    SlotState.UNKNOWN: "unknown",
    SlotState.AWAITED: "standby",
}
TEST_LEVELS: dict[TestState, Level] = {
    TestState.PLACED: "standby",
    TestState.RECEIVED: "standby",
    TestState.ANSWERED: "normal",
    TestState.ANSWERED_LATE: "serious",
    TestState.UNRECEIPTED: "critical",
    TestState.UNANSWERED: "critical",
    TestState.SUPERSEDED: "unknown",
}
_UNPROVEN = {
    TestState.PLACED,
    TestState.RECEIVED,
    TestState.ANSWERED_LATE,
    TestState.UNRECEIPTED,
    TestState.UNANSWERED,
}
_SLOT_TERMS = {state: "open" if state is SlotState.AWAITED else str(state) for state in SlotState}


class SlotMark(Struct, frozen=True, kw_only=True):
    """One slot of the schedule."""

    level: Level
    at: Utc
    text: str


def slot_marks(facts: Facts, t: Translator) -> Iterator[SlotMark]:
    """Yield the last slots, the oldest first."""
    known: dict[Utc, tuple[SlotState, str]] = {}
    if facts.history is not None:
        past = facts.history.ledger.slots.slots
        known |= {due: (each.state, str(each.test or "")) for due, each in past.items()}
    if facts.snapshot is not None:
        known |= {each.slot: (each.state, each.test) for each in facts.snapshot.slots}
    tests = {} if facts.snapshot is None else {each.reference: each.state for each in facts.snapshot.tests}
    for due in sorted(due for due in known if parsed(due) <= facts.now)[-SLOTS_SHOWN:]:
        state, test = known[due]
        level, words = SLOT_LEVELS[state], t.term("slot", _SLOT_TERMS[state])
        answer = tests.get(test)
        if state is SlotState.MET and answer in _UNPROVEN:
            # the machines have met it, and nobody has answered
            level, words = TEST_LEVELS[answer], f"{words}, {t.term('test', answer)}"
        yield SlotMark(level=level, at=due, text=f"{t.instant(parsed(due), 'UTC')} UTC: {words}")
