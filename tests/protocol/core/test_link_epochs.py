"""Epochs: what ends with one, what a side of another one hears (SPEC E1, E2, E3)."""

import pytest

from protocol.core.events import TransportConnected, TransportLost
from protocol.core.link import Link
from protocol.core.start_events import EpochOpened, KeysEnrolled
from protocol.errors import LocalProtocolError
from protocol.wire.instants import written
from protocol.wire.messages import Reference
from protocol.wire.policy import EnrolledKey, Terms
from tests.support.cast import (
    Peer,
    a_heartbeat,
    acknowledge,
    alert,
    an_acknowledgement,
    an_alert,
    answer,
    arrives,
    cancel,
    ref,
    see,
    test_line,
)
from tests.support.playbook import Cue, Playbook, batch, deliver, do, event, on, play, settle, wait
from tests.support.world import MINUTE, SECOND, START, TERMS, End, Line, terms

LOST = event(TransportLost, reason="gone")
BACK = event(TransportConnected)
SECOND_EPOCH = terms(2, grace_s=600)


def reopen(end: End, opened: Terms) -> Cue:
    """Let a process end, and its service come up on new terms."""
    return do("reopen", lambda: (end.crash(), end.start(opened=opened)))  # type: ignore[func-returns-value]


def undelivered(end: End) -> list[str]:
    return [str(item.reference) for item in end.core.snapshot().undelivered]


# --- opening ------------------------------------------------------------------------------------------------------


def test_nothing_happens_before_the_first_epoch() -> None:
    """SPEC E1.1"""
    end = End(Link.new("eucom-ndmc", "eucom"), shadowed=False)
    for kind, fields in [*LOST.happenings, *alert().happenings, *arrives(Peer().receipts(0, "0" * 64)).happenings]:
        end._handle(kind(at=START, mono=0, **fields))
    assert set(end.transcript) == {"refused: no_epoch"}
    assert end.link.unsealed(START) == ()
    assert end.link.standing_receipt() is None
    with pytest.raises(LocalProtocolError, match="the first event of a link is EpochOpened"):
        end.core.snapshot()
    assert end.core.handle(KeysEnrolled(at=START, mono=0, keys={})) == ()
    restored = Link.restore(end.core.checkpoint())
    assert restored.checkpoint() == end.core.checkpoint()
    assert restored.terms is None


@pytest.mark.parametrize(
    ("opened", "code"),
    [
        (terms(1), "wrong_epoch"),
        (terms(1, grace_s=60), "wrong_epoch"),
        (Terms(link="other", epoch=2, caller="eucom", answering="ndmc", policy=TERMS.policy), "wrong_link"),
        (Terms(link="eucom-ndmc", epoch=2, caller="third", answering="ndmc", policy=TERMS.policy), "wrong_side"),
        (Terms(link="eucom-ndmc", epoch=2, caller="eucom", answering="eucom", policy=TERMS.policy), "wrong_side"),
    ],
)
def test_terms_that_do_not_continue_the_link_are_refused(opened: Terms, code: str) -> None:
    """SPEC E1.1"""
    end = End.started()
    play(end, event(EpochOpened, terms=opened), f"refused: {code}")


def test_an_epoch_may_be_skipped() -> None:
    """SPEC E1.1"""
    end = End.started()
    play(end, reopen(end, terms(7)), "Seal receipt, receipt 0")
    assert end.core.snapshot().epoch == 7


# --- what a new epoch ends ----------------------------------------------------------------------------------------


def test_what_was_not_receipted_becomes_visible_and_is_not_sent_again() -> None:
    """SPEC E2.1, E2.2"""
    line = Line(quiet=True)
    line.eucom.happens(*alert().happenings)
    line.settle()
    line.eucom.happens(*batch(alert(), alert()).happenings)
    line.eucom.happens(*LOST.happenings)
    line.eucom.happens(*alert().happenings)
    line.eucom.outgoing.clear()
    play(
        line,
        reopen(line.eucom, SECOND_EPOCH),
        "eucom: RaiseAlarm undelivered/epoch 1",
        f"eucom: Notify alarm/undelivered/epoch 1/{written(START)}",  # once more, as at every start
        "eucom: Seal receipt, receipt 0",
    )
    assert undelivered(line.eucom) == ["eucom/1/2", "eucom/1/3", "eucom/1/4"]
    states = [str(view.state) for view in line.eucom.core.snapshot().alerts]
    assert states == ["received", "undelivered", "undelivered", "undelivered"]
    # streams begin anew
    play(line, on("eucom", alert()), "eucom: Queue 1 alert", "eucom: Seal message 1")
    ours = line.eucom.core.snapshot().ours
    assert ours is not None
    assert (ours.last, ours.receipted) == (1, 0)
    # until an officer has seen it
    play(line, on("eucom", see("undelivered", "epoch 1")), "eucom: ClearAlarm undelivered/epoch 1")
    assert undelivered(line.eucom) == []
    assert not [alarm for alarm in line.eucom.core.snapshot().alarms if alarm.code == "undelivered"]


def test_each_epoch_leaves_an_alarm_of_its_own() -> None:
    """SPEC E2.2"""
    end = End.started(quiet=True)
    for epoch in (2, 3, 4):
        end.happens(*alert().happenings)
        end.crash()
        end.start(opened=terms(epoch))
    end.transcript.clear()
    assert undelivered(end) == ["eucom/1/1", "eucom/2/1", "eucom/3/1"]
    play(end, see("undelivered", "epoch 2"), "ClearAlarm undelivered/epoch 2")
    assert undelivered(end) == ["eucom/1/1", "eucom/3/1"]


def test_an_epoch_that_ends_with_nothing_outstanding_leaves_nothing() -> None:
    """SPEC E2.2"""
    line = Line(quiet=True)
    line.eucom.happens(*alert().happenings)
    line.settle()
    line.eucom.crash()
    line.eucom.start(opened=SECOND_EPOCH)
    assert line.eucom.alarms == []


def test_open_alerts_live_on_and_are_acknowledged_across_epochs() -> None:
    """SPEC E2.1, B6.2, W2.3"""
    line = Line(quiet=True)
    line.eucom.happens(*alert("priority").happenings)
    line.settle()
    for end in line.ends.values():
        end.crash()
        end.start(opened=SECOND_EPOCH)
    line.settle()
    play(line, on("ndmc", acknowledge("eucom/1/1")), "ndmc: Queue 1 acknowledgement", "ndmc: Seal message 1")
    play(
        line,
        settle(),
        "eucom: Apply 1 acknowledgement",
        "eucom: Notify message/ndmc/2/1",
        "eucom: Seal receipt, receipt 1",
        "ndmc: Settle 1",
    )
    assert [str(view.state) for view in line.eucom.core.snapshot().alerts] == ["understood"]
    # an old alert is taken back by a message of the new epoch
    play(line, on("eucom", cancel("eucom/1/1")), "eucom: Queue 1 alert", "eucom: Seal message 1")
    line.settle()
    assert [str(view.state) for view in line.ndmc.core.snapshot().alerts] == ["cancelled", "received"]
    # and new ones may refer to it
    references = (Reference("eucom", 1, 1),)
    play(line, on("eucom", alert(references=references)), "eucom: Queue 2 alert", "eucom: Seal message 2")


def test_a_reference_to_an_old_epoch_counts_as_closed_and_one_to_a_coming_epoch_is_unknown() -> None:
    """SPEC B6.2, B6.3"""
    end, peer = End.started("eucom", SECOND_EPOCH, quiet=True), Peer("ndmc", SECOND_EPOCH)
    bodies = [an_acknowledgement(ref(5, "eucom", epoch)) for epoch in (1, 2, 3)]
    play(
        end,
        arrives(peer.sends(*[peer.says(body) for body in bodies])),
        "Apply 1 acknowledgement",
        "Notify message/ndmc/2/1",
        "Apply 2 acknowledgement, refused: unknown_reference",
        "Queue 1 refusal",
        "Apply 3 acknowledgement, refused: unknown_reference",
        "Queue 2 refusal",
        "Seal message 1-2, receipt 3",
    )


def test_tests_of_the_old_epoch_need_no_receipt_and_no_answer() -> None:
    """SPEC E2.1, W2.1"""
    line = Line(quiet=True)
    for name in ("eucom", "ndmc"):
        line.end(name).happens(*test_line().happenings)
    play(
        line,
        deliver("eucom"),
        "ndmc: Apply 1 heartbeat",
        "ndmc: Notify message/eucom/1/1",
        "ndmc: Seal receipt, receipt 1",
    )
    for end in line.ends.values():
        end.outgoing.clear()
        end.crash()
        end.start(opened=SECOND_EPOCH)
    line.settle()
    assert {str(view.state) for end in line.ends.values() for view in end.core.snapshot().tests} == {"superseded"}
    for name in ("eucom", "ndmc"):
        line.end(name).happens(*see("undelivered", "epoch 1").happenings)
        assert line.end(name).core.snapshot().alarms == ()
    line.transcript.clear()
    play(line, wait(60 * MINUTE))
    # the officer on duty may answer all the same
    play(line, on("ndmc", answer("eucom/1/1")), "ndmc: Queue 1 heartbeat_answer", "ndmc: Seal message 1")
    line.settle()
    assert [str(view.state) for view in line.eucom.core.snapshot().tests] == ["answered"]


def test_alarms_of_tests_that_nobody_will_answer_any_more_are_over() -> None:
    """SPEC E2.1"""
    end, peer = End.started("ndmc", quiet=True), Peer("eucom")
    end.receive(peer.sends(peer.says(a_heartbeat())))
    end.happens(*LOST.happenings)
    end.happens(*test_line().happenings)
    end.world.wait(15 * MINUTE)
    assert len(end.alarms) == 3
    end.crash()
    end.start(opened=SECOND_EPOCH)
    assert end.alarms == ["undelivered/epoch 1"]


@pytest.mark.parametrize("how", ["equivocation", "journal_behind", "fork"])
def test_a_direction_that_stopped_runs_again(how: str) -> None:
    """SPEC E2.1, M5.2, R3.1, R3.3"""
    end, peer = End.started(quiet=True), Peer()
    if how == "equivocation":
        end.receive(peer.sends(peer.says({"type": "refusal"}, prev="0" * 64)))
    elif how == "journal_behind":
        end.receive(peer.sends(peer.says({"type": "refusal"}), floor=1))
    else:
        end.receive(peer.receipts(3, "0" * 64))
    assert end.alarms == [f"{how}/ndmc"]
    end.crash()
    end.start(opened=SECOND_EPOCH)
    assert end.alarms == []
    there = Peer("ndmc", SECOND_EPOCH)
    assert (
        Playbook(end)
        >> alert()
        << "Queue 1 alert"
        << "Seal message 1"
        >> arrives(there.sends(there.says(an_alert())))
        << "Apply 1 alert"
        << "Notify message/ndmc/2/1"
        << "Seal receipt, receipt 1"
    )
    end.outgoing.clear()
    play(end, arrives(there.receipts(1, end.outbox.head)), "Settle 1")


# --- terms that differ --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theirs", [terms(2), terms(1, grace_s=60)])
def test_other_terms_raise_an_alarm_on_both_sides_and_no_ping_pong(theirs: Terms) -> None:
    """SPEC E3, M6.1"""
    line = Line(quiet=True)
    wrong = "wrong_epoch" if theirs.epoch == 2 else "wrong_policy"
    if theirs.epoch == 1:
        line.ndmc.core = Link.new("eucom-ndmc", "ndmc")
    line.ndmc.crash()
    line.ndmc.start(opened=theirs)
    line.transcript.clear()
    play(
        line,
        settle(),
        "eucom: RaiseAlarm policy_mismatch/ndmc",
        f"eucom: RejectFrame {wrong}",
        "eucom: Seal receipt, receipt 0",
        "ndmc: RaiseAlarm policy_mismatch/eucom",
        f"ndmc: RejectFrame {wrong}",
        "ndmc: Seal receipt, receipt 0",
        f"eucom: RejectFrame {wrong}",
    )
    # nothing of it is a bad frame, and nothing was consumed
    assert line.eucom.alarms == ["policy_mismatch/ndmc"]
    assert line.eucom.inbox.upto == 0
    play(line, wait(60 * MINUTE))
    # nor is a message
    line.eucom.happens(*alert().happenings)
    play(line, deliver("eucom"), f"ndmc: RejectFrame {wrong}", "ndmc: Seal receipt, receipt 0")
    assert line.ndmc.inbox.upto == 0


def test_foreign_messages_are_answered_at_most_once_a_minute() -> None:
    """SPEC E3"""
    end, peer = End.started(quiet=True), Peer("ndmc", SECOND_EPOCH)
    frame = peer.sends(peer.says(an_alert()))
    play(
        end,
        arrives(frame),
        "RaiseAlarm policy_mismatch/ndmc",
        "RejectFrame wrong_epoch",
        "Seal receipt, receipt 0",
    )
    play(end, arrives(frame), "RejectFrame wrong_epoch")
    play(end, wait(60 * SECOND - 1))
    play(end, arrives(frame), "RejectFrame wrong_epoch")
    play(end, wait(1))
    play(end, arrives(frame), "RejectFrame wrong_epoch", "Seal receipt, receipt 0")
    play(end, arrives(peer.receipts(0, peer.head)), "RejectFrame wrong_epoch")
    play(end, wait(60 * SECOND))
    play(end, arrives(peer.receipts(0, peer.head)), "RejectFrame wrong_epoch")


def test_the_mismatch_is_over_with_the_first_frame_of_the_right_terms() -> None:
    """SPEC E3, E2.1"""
    line = Line(quiet=True)
    line.ndmc.crash()
    line.ndmc.start(opened=SECOND_EPOCH)
    line.settle()
    assert line.eucom.alarms == ["policy_mismatch/ndmc"]
    line.eucom.crash()
    line.eucom.start(opened=SECOND_EPOCH)
    line.settle()
    assert line.eucom.alarms == line.ndmc.alarms == []
    play(line, on("eucom", alert()), "eucom: Queue 1 alert", "eucom: Seal message 1")
    play(
        line,
        settle(),
        "ndmc: Apply 1 alert",
        "ndmc: Notify message/eucom/2/1",
        "ndmc: Seal receipt, receipt 1",
        "eucom: Settle 1",
    )


def test_policies_are_compared_by_what_they_say() -> None:
    """SPEC E1.2: every field counts, keys and files do not."""
    line = Line(quiet=True)
    keys = {"eucom": (EnrolledKey(id="eucom-1", algorithm="ed25519", public="AAAA"),)}
    line.ndmc.happens((KeysEnrolled, {"keys": keys}))
    assert line.ndmc.core.keys.accepted == keys
    line.eucom.happens(*alert().happenings)
    line.settle()
    assert line.ndmc.inbox.upto == 1


def test_an_undelivered_alert_whose_change_was_refused_is_undelivered_as_before() -> None:
    """SPEC W2.3, E2.2: nobody was to acknowledge it, so no deadline starts again."""
    end = End.started(quiet=True)
    end.happens(*alert().happenings)
    reopen(end, SECOND_EPOCH).act(end)
    end.happens(*cancel("eucom/1/1").happenings)
    peer = Peer(opened=SECOND_EPOCH)
    refusal = {"type": "refusal", "of": ref(1, epoch=2), "by": "service", "reason": "unknown_reference"}
    end.happens(*arrives(peer.sends(peer.says(refusal))).happenings)
    states = {str(each.reference): each.state for each in end.core.snapshot().alerts}
    assert states == {"eucom/1/1": "undelivered", "eucom/2/1": "refused"}
    end.world.wait(7 * 60 * MINUTE)
    assert "alert_unacknowledged/eucom/1/1" not in end.alarms


@pytest.mark.parametrize(("earlier", "proof"), [(MINUTE, []), (2 * MINUTE, ["clock_skew/ndmc/back"])])
def test_a_clock_that_went_back_between_two_epochs_is_found(earlier: int, proof: list[str]) -> None:
    """SPEC M8.6: a clock belongs to a party, not to one of its streams."""
    end, before, after = End.started(quiet=True), Peer(), Peer(opened=SECOND_EPOCH)
    end.receive(before.sends(before.says(an_alert(), START)))
    end.happens((EpochOpened, {"terms": SECOND_EPOCH}))
    end.receive(after.sends(after.says(an_alert(), START - earlier)))
    assert end.inbox.upto == 1
    assert end.alarms == proof
