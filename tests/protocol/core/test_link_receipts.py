"""The machine's word, and the clocks that it betrays (SPEC R1, R2, R3, M8)."""

import pytest

from protocol.core.events import FramesSuppressed, TransportConnected, TransportLost
from protocol.wire.digests import genesis
from protocol.wire.instants import written
from tests.support.cast import Peer, alert, an_alert, arrives, test_line
from tests.support.playbook import (
    Playbook,
    batch,
    crash,
    deliver,
    event,
    lose,
    on,
    repeat,
    reverse,
    settle,
    start,
    wait,
)
from tests.support.world import MINUTE, SECOND, START, TERMS, End, Line

OTHER = "0" * 64
LOST = event(TransportLost, reason="gone")
BACK = event(TransportConnected)
STOPPED = "RaiseAlarm fork/ndmc"


def speaking(count: int = 1, *, quiet: bool = False) -> tuple[End, Peer, list[str]]:
    """Return the caller's end that has sent `count` alerts, its scripted peer, and the heads after each message."""
    end = End.started(quiet=quiet)
    heads = [genesis(TERMS, "eucom")]
    for _ in range(count):
        end.happens(*alert().happenings)
        heads.append(end.outbox.head)
    end.outgoing.clear()
    return end, Peer(), heads


# --- what a receipt settles ---------------------------------------------------------------------------------------


def test_a_receipt_is_cumulative_and_idempotent() -> None:
    """SPEC R1.1, R1.2"""
    end, peer, heads = speaking(3)
    assert (
        Playbook(end)
        >> arrives(peer.receipts(2, heads[2]))
        << "Settle 2"
        >> arrives(peer.receipts(2, heads[2]))
        >> arrives(peer.receipts(3, heads[3]))
        << "Settle 3"
    )
    assert end.core.snapshot().ours is not None
    assert end.core.next_deadline() is not None


def test_a_receipt_in_the_midst_of_a_frame_keeps_the_frame() -> None:
    """SPEC R1.2, M4.1, M4.3"""
    end, peer, _ = speaking(0)
    end.happens(*batch(alert(), alert(), alert()).happenings)
    frame = end.outgoing.pop()
    head = end.outbox.hashes[2]
    assert (
        Playbook(end)
        >> arrives(peer.receipts(2, head))
        << "Settle 2"
        >> LOST
        >> BACK
        << "Resend 1"
        << ("Seal receipt, receipt 0")
    )
    assert end.outgoing[0] == frame


def test_a_lower_upto_is_stale() -> None:
    """SPEC R3.2"""
    end, peer, heads = speaking(3)
    assert (
        Playbook(end)
        >> arrives(peer.receipts(3, heads[3]))
        << "Settle 3"
        >> arrives(peer.receipts(1, heads[1]))
        >> arrives(peer.receipts(0, heads[0]))
    )


@pytest.mark.parametrize("upto", [0, 1])
def test_a_stale_receipt_with_another_head_is_a_fork(upto: int) -> None:
    """SPEC R3.1"""
    end, peer, heads = speaking(3)
    assert Playbook(end) >> arrives(peer.receipts(3, heads[3])) << "Settle 3"
    assert Playbook(end) >> arrives(peer.receipts(upto, OTHER)) << "RaiseAlarm fork/ndmc"
    assert end.outbox.stopped == "fork"


def test_receipts_that_overtake_each_other_settle_once() -> None:
    """SPEC R1.2, R3.2"""
    line = Line()
    assert (
        Playbook(line)
        >> on("eucom", alert())
        << "eucom: Queue 1 alert"
        << "eucom: Seal message 1"
        >> deliver("eucom")
        << "ndmc: Apply 1 alert"
        << "ndmc: Notify message/eucom/1/1"
        << "ndmc: Seal receipt, receipt 1"
        >> on("eucom", alert())
        << "eucom: Queue 2 alert"
        << "eucom: Seal message 2"
        >> repeat("eucom")
        >> deliver("eucom")
        << "ndmc: Apply 2 alert"
        << "ndmc: Notify message/eucom/1/2"
        << "ndmc: Seal receipt, receipt 2"
        << "ndmc: Seal receipt, receipt 2"
        >> reverse("ndmc")
        >> deliver("ndmc")
        << "eucom: Settle 2"
    )


def test_a_receipt_is_sent_on_every_connect_though_nothing_came() -> None:
    """SPEC R1.3"""
    end, _peer, _ = speaking(0)
    assert Playbook(end) >> LOST >> BACK << "Seal receipt, receipt 0"


def test_what_arrives_without_a_connection_is_receipted_on_the_next_one() -> None:
    """SPEC R1.3"""
    end, peer, _ = speaking(0)
    assert (
        Playbook(end)
        >> LOST
        >> arrives(peer.sends(peer.says(an_alert())))
        << "Apply 1 alert"
        << "Notify message/ndmc/1/1"
        >> BACK
        << "Seal receipt, receipt 1"
    )


def test_a_receipt_speaks_only_of_what_the_batch_puts_on_disk() -> None:
    """SPEC R2: it is sealed at the end of the batch, and published after its record."""
    end, peer, _ = speaking(0)
    one, two = peer.says(an_alert()), peer.says(an_alert())
    assert (
        Playbook(end)
        >> batch(arrives(peer.sends(two)), arrives(peer.sends(one)))
        << "Apply 1 alert"
        << "Notify message/ndmc/1/1"
        << "Apply 2 alert"
        << "Notify message/ndmc/1/2"
        << "Seal receipt, receipt 2"
    )


def test_a_receipt_answers_no_receipt() -> None:
    """SPEC M7.3"""
    line = Line()
    line.eucom.happens(*BACK.happenings)
    assert Playbook(line) >> settle()


# --- forks --------------------------------------------------------------------------------------------------------


def test_a_head_that_is_not_of_our_chain_is_a_fork() -> None:
    """SPEC R3.1"""
    end, peer, heads = speaking(2)
    assert (
        Playbook(end)
        >> arrives(peer.receipts(1, OTHER))
        << STOPPED
        # that direction stops: nothing is settled, resent, or taken in any more
        >> arrives(peer.receipts(2, heads[2]))
        >> wait(2 * MINUTE)
        >> alert()
        << "refused: direction_stopped"
        >> LOST
        >> BACK
        << "Seal receipt, receipt 0"
        # the other one goes on
        >> arrives(peer.sends(peer.says(an_alert())))
        << "Apply 1 alert"
        << "Notify message/ndmc/1/1"
        << "Seal receipt, receipt 1"
    )


def test_an_upto_beyond_what_was_sent_is_a_fork() -> None:
    """SPEC R3.1"""
    end, peer, heads = speaking(1)
    assert Playbook(end) >> arrives(peer.receipts(2, heads[1])) << STOPPED


def test_an_upto_that_is_queued_but_has_not_left_is_a_fork() -> None:
    """SPEC R3.1"""
    end, peer, _ = speaking(1)
    end.happens(*LOST.happenings)
    end.happens(*alert().happenings)
    assert Playbook(end) >> arrives(peer.receipts(2, end.outbox.head)) << STOPPED


def test_another_head_for_what_is_settled_already_is_a_fork() -> None:
    """SPEC R3.1"""
    end, peer, heads = speaking(1)
    assert (
        Playbook(end)
        >> arrives(peer.receipts(1, heads[1]))
        << "Settle 1"
        >> arrives(peer.receipts(1, OTHER))
        << STOPPED
    )


def test_a_fork_in_a_receipt_that_rides_with_messages_is_the_peers() -> None:
    """SPEC R3.1, R1.3"""
    end, peer, _ = speaking(1)
    frame = peer.sends(peer.says(an_alert()), receipt={"upto": 1, "head": OTHER, "at": written(START)})
    end.receive(frame)
    assert STOPPED in end.transcript


def test_another_beginning_is_a_fork() -> None:
    """SPEC R3.1, M2.3"""
    end, peer, _ = speaking(0)
    assert Playbook(end) >> arrives(peer.receipts(0, OTHER)) << STOPPED


def test_an_end_that_lost_the_tail_of_its_journal_is_found_out_by_the_peer() -> None:
    """SPEC R3.1, M5.1: what it says again is another message in an old place."""
    line = Line()
    old = line.eucom.state_bytes
    line.eucom.happens(*alert().happenings)
    line.settle()
    line.restore("eucom", old)
    assert (
        Playbook(line)
        >> on("eucom", start())
        << "eucom: Seal receipt, receipt 0"
        >> on("ndmc", LOST)
        >> on("ndmc", BACK)
        << "ndmc: Seal receipt, receipt 1"
        >> deliver("ndmc")
        << "eucom: RaiseAlarm fork/ndmc"
    )
    line.restore("eucom", old)
    assert (
        Playbook(line)
        >> on("eucom", start())
        << "eucom: Seal receipt, receipt 0"
        >> lose("eucom")
        >> on("eucom", alert("priority"))
        << "eucom: Queue 1 alert"
        << "eucom: Seal message 1"
        >> deliver("eucom")
        << "ndmc: RaiseAlarm equivocation/eucom"
        << "ndmc: RejectFrame direction_stopped"
        << "ndmc: Seal receipt, receipt 1"
    )


# --- clocks -------------------------------------------------------------------------------------------------------


def test_a_message_from_the_future_proves_a_clock_that_is_ahead() -> None:
    """SPEC M8.2, M8.9"""
    end, peer, _ = speaking(0, quiet=True)
    limit = START + 60 * SECOND
    assert (
        Playbook(end)
        >> arrives(peer.sends(peer.says(an_alert(), at=limit)))
        << "Apply 1 alert"
        << "Notify message/ndmc/1/1"
        << "Seal receipt, receipt 1"
        >> arrives(peer.sends(peer.says(an_alert(), at=limit + 1)))
        << "RaiseAlarm clock_skew/ndmc/ahead"
        << "Apply 2 alert"
        << "Notify message/ndmc/1/2"
        << "Seal receipt, receipt 2"
        >> arrives(peer.sends(peer.says(an_alert(), at=limit)))
        << "Apply 3 alert"
        << "Notify message/ndmc/1/3"
        << "Seal receipt, receipt 3"
        >> wait(10 * MINUTE - 1)
        >> wait(1)
        << "ClearAlarm clock_skew/ndmc/ahead"
    )


def test_delay_is_not_skew() -> None:
    """SPEC M8.1: a message from last year says nothing against a clock."""
    end, peer, _ = speaking(0)
    last_year = START - 365 * 24 * 60 * MINUTE
    assert (
        Playbook(end)
        >> arrives(peer.sends(peer.says(an_alert(), at=last_year), peer.says(an_alert(), at=START)))
        << "Apply 1 alert"
        << "Notify message/ndmc/1/1"
        << "Apply 2 alert"
        << "Notify message/ndmc/1/2"
        << "Seal receipt, receipt 2"
    )


def test_a_receipt_from_before_its_message_was_sent_proves_a_clock_that_is_behind() -> None:
    """SPEC M8.3, M8.9"""
    end, peer, heads = speaking(3, quiet=True)
    assert (
        Playbook(end)
        >> arrives(peer.receipts(1, heads[1], at=START - 60 * SECOND))
        << "Settle 1"
        >> arrives(peer.receipts(2, heads[2], at=START - 60 * SECOND - 1))
        << "RaiseAlarm clock_skew/ndmc/behind"
        << "Settle 2"
        >> arrives(peer.receipts(3, heads[3], at=START))
        << "Settle 3"
        >> wait(10 * MINUTE - 1)
        >> wait(1)
        << "ClearAlarm clock_skew/ndmc/behind"
    )


def test_a_late_receipt_of_a_resent_frame_is_measured_from_the_first_sending() -> None:
    """SPEC M8.3"""
    end, peer, heads = speaking(1)
    end.world.wait(5 * MINUTE)
    assert Playbook(end) >> arrives(peer.receipts(1, heads[1], at=START)) << "Settle 1"


# --- a restart ----------------------------------------------------------------------------------------------------


def test_what_was_not_receipted_is_sent_again_after_a_restart_and_so_is_the_receipt() -> None:
    """SPEC M4.1, M4.3, R1.3"""
    line = Line()
    assert (
        Playbook(line)
        >> on("eucom", alert())
        << "eucom: Queue 1 alert"
        << "eucom: Seal message 1"
        >> lose("eucom")
        >> on("eucom", LOST)
        >> on("eucom", batch(test_line(), alert()))
        << "eucom: Queue 2 heartbeat"
        << "eucom: Queue 3 alert"
        >> on("eucom", crash())
        >> on("eucom", start())
        << "eucom: Resend 1"
        << "eucom: Seal message 2-3, receipt 0"
        >> settle()
        << "ndmc: Apply 1 alert"
        << "ndmc: Notify message/eucom/1/1"
        << "ndmc: Seal receipt, receipt 1"
        << "ndmc: Apply 2 heartbeat"
        << "ndmc: Notify message/eucom/1/2"
        << "ndmc: Apply 3 alert"
        << "ndmc: Notify message/eucom/1/3"
        << "ndmc: Seal receipt, receipt 3"
        << "eucom: Settle 1"
        << "eucom: Settle 3"
    )


@pytest.mark.parametrize("reason", ["repeated", "outdated", "altered"])
def test_after_frames_that_were_only_counted_one_receipt_is_sent(reason: str) -> None:
    """SPEC M6.2: a peer that lost our receipts, or its journal, resends until it has one."""
    end, _peer, _ = speaking(0)
    assert Playbook(end) >> event(FramesSuppressed, reason=reason, count=3) << "Seal receipt, receipt 0"
