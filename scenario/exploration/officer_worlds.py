"""Small worlds of officers: drafts, changes, replies, and a scheduled line test."""

from __future__ import annotations

from scenario.exploration.small_world import BEGINS, Bounds, SmallWorld
from scenario.exploration.world_parts import (
    ANSWERING,
    CALLER,
    NEW_EPOCH,
    acknowledge,
    alert,
    answer,
    cancel,
    discard,
    line_test,
    link_file,
    refuse,
    release,
    update,
)

_MINUTE = 60_000


def officers() -> SmallWorld:
    """Return the world of two officers on each side who act in every order."""
    return SmallWorld(
        name="officers",
        about="draft, release, discard, update, cancel; acknowledge, will_reply, refuse; by two officers each; a crash",
        files=(link_file(),),
        scripts=(
            (alert(CALLER, 1, "duty-1", "flash"), cancel(CALLER, "duty-1")),
            (release(CALLER, "duty-2"), update(CALLER, "duty-2")),
            (discard(CALLER, "duty-3"),),
            (acknowledge(ANSWERING, CALLER, "duty-1"), acknowledge(ANSWERING, CALLER, "duty-1", "will_reply")),
            (refuse(ANSWERING, CALLER, "duty-2"),),
        ),
        bounds=Bounds(crashes={CALLER: 1}),
        explained=NEW_EPOCH,
    )


def own_draft() -> SmallWorld:
    """Return the world of an author who tries to release their own draft, which expires."""
    return SmallWorld(
        name="own-draft",
        about="an author tries to release their draft, another officer too; the alert expires",
        files=(link_file(),),
        scripts=(
            (alert(CALLER, 1, "duty-1", "flash", expires=_MINUTE), release(CALLER, "duty-1")),
            (release(CALLER, "duty-2"),),
            (acknowledge(ANSWERING, CALLER, "duty-1"),),
        ),
        bounds=Bounds(deadlines=1, pauses=(_MINUTE,), clock_steps=(-2 * _MINUTE,), crashes={CALLER: 1}),
        explained=NEW_EPOCH | {"clock_step", "clock_skew"},
    )


def slot() -> SmallWorld:
    """Return the world of one slot: call, answer, lateness, blindness, a stepped clock."""
    return SmallWorld(
        name="slot",
        about="one slot with call and answer, a loss, crashes, pauses of 10, 16 and 40 minutes, a clock set by 20",
        files=(link_file(),),
        scripts=((answer(ANSWERING),),),
        bounds=Bounds(
            losses=1,
            crashes={CALLER: 1, ANSWERING: 1},
            deadlines=1,
            pauses=(10 * _MINUTE, 16 * _MINUTE, 40 * _MINUTE),
            clock_steps=(20 * _MINUTE, -20 * _MINUTE),
        ),
        slots=(BEGINS + 10 * _MINUTE,),
        explained=NEW_EPOCH | {"clock_step", "clock_skew", "schedule_disagreement"},
    )


def tests() -> SmallWorld:
    """Return the world of two unscheduled line tests, with a right and a wrong answer, and the watch."""
    return SmallWorld(
        name="tests",
        about="2 line tests, a wrong and a right answer, pauses of 11 and 16 minutes, a loss",
        files=(link_file(),),
        scripts=((line_test(CALLER),), (answer(ANSWERING, wrong=True), answer(ANSWERING))),
        bounds=Bounds(losses=1, deadlines=1, pauses=(11 * _MINUTE, 16 * _MINUTE)),
        watched=True,
        explained=NEW_EPOCH,
    )
