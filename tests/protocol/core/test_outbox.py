"""The outbox by itself: which runs are sealed next, to the message (SPEC M1.3, M4.2)."""

from __future__ import annotations

import pytest

from protocol.core.deadlines import Turn
from protocol.core.stream import SEALED_MAX, Outbox, OutboxState
from protocol.wire.messages import MESSAGE_MAX_BYTES

AT = "2022-11-29T08:00:00.000Z"


def an_outbox(sizes: list[int]) -> Outbox:
    """Return an outbox in which a message of each of these sizes waits."""
    outbox = Outbox(OutboxState(head="0" * 64, receipted_head="0" * 64))
    for size in sizes:
        outbox.queue(AT, {"text": "x" * size})
    return outbox


def runs(outbox: Outbox) -> list[list[int]]:
    return [[message.seq for message in run] for run in outbox.next_runs()]


@pytest.mark.parametrize("more", [0, 1, 5])
def test_no_more_frames_than_may_be_unreceipted_are_laid_out(more: int) -> None:
    """Messages so large that each needs a frame of its own; the last of them is the one that is one too many."""
    outbox = an_outbox([30_000] * (SEALED_MAX + more))
    assert runs(outbox) == [[seq] for seq in range(1, SEALED_MAX + 1)]


def test_what_is_unreceipted_already_counts() -> None:
    outbox = an_outbox([30_000] * (SEALED_MAX + 2))
    first = outbox.next_runs()
    for run in first[:-1]:
        outbox.sealed(Turn(0, 0, [], 5), run, b"frame")
    assert runs(outbox) == [[SEALED_MAX]]
    outbox.sealed(Turn(0, 0, [], 5), first[-1], b"frame")
    assert runs(outbox) == []


def test_a_run_is_as_long_as_fits_and_no_longer() -> None:
    """Each message with the comma that separates it from the next."""
    outbox = an_outbox([1_000, 1_000])
    beside = sum(outbox.state.sizes.values()) + 2
    room = MESSAGE_MAX_BYTES - beside
    own = outbox.state.sizes[1] - 1_000
    for size, expected in ((room - own - 1, [[1, 2, 3]]), (room - own, [[1, 2], [3]])):
        outbox = an_outbox([1_000, 1_000, size])
        assert runs(outbox) == expected


def test_a_message_that_is_as_large_as_a_frame_holds_goes_alone() -> None:
    assert runs(an_outbox([MESSAGE_MAX_BYTES - 200, 1, MESSAGE_MAX_BYTES - 200])) == [[1], [2], [3]]


def test_nothing_is_laid_out_in_a_direction_that_has_stopped() -> None:
    outbox = an_outbox([1])
    outbox.state.stopped = "fork"
    assert runs(outbox) == []
