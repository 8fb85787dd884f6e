"""The peer's stream: applied once and in order, whatever arrives (SPEC M3, M5, M6, R3.3, F3.7)."""

from typing import Any

import pytest

from protocol.core.events import FramesSuppressed
from protocol.core.stream import AHEAD_MAX, HASHES_KEPT
from protocol.wire import canonical
from protocol.wire.messages import FRAME_MAX_BYTES, Message
from tests.support.cast import Peer, alert, an_acknowledgement, an_alert, arrives, ref, sealed
from tests.support.playbook import Playbook, batch, crash, event, start, wait
from tests.support.world import MINUTE, End, Frame

OTHER = "0" * 64
"""A digest of nothing."""


def listening(side: str = "eucom", *, shadowed: bool = True) -> End:
    """Return an end, to which a scripted peer speaks."""
    return End.started(side, shadowed=shadowed)


def refusals(peer: Peer, count: int) -> list[Message]:
    """Return messages of the peer that are applied and lead to nothing further."""
    return [peer.says({"type": "refusal"}) for _ in range(count)]


def applied(first: int, last: int) -> list[str]:
    return [f"Apply {seq} refusal, refused: unsupported" for seq in range(first, last + 1)]


def play(end: End, frame: Frame, *effects: str) -> None:
    """Assert that a frame has these effects."""
    book = Playbook(end) >> arrives(frame)
    for effect in effects:
        book = book << effect
    assert book


# --- once and in order --------------------------------------------------------------------------------------------


def test_messages_are_applied_once_and_in_order() -> None:
    """SPEC M3.1"""
    end, peer = listening(), Peer()
    one, two, three = refusals(peer, 3)
    play(end, peer.sends(two), "Seal receipt, receipt 0")
    play(end, peer.sends(three), "Seal receipt, receipt 0")
    play(end, peer.sends(one), *applied(1, 3), "Seal receipt, receipt 3")
    play(end, peer.sends(one, two, three), "Seal receipt, receipt 3")
    assert not end.inbox.ahead


@pytest.mark.parametrize("order", ["AB", "BA"])
@pytest.mark.parametrize(
    ("one", "other"),
    [((1, 4), (3, 6)), ((2, 6), (3, 4)), ((3, 4), (2, 6)), ((2, 6), (2, 4)), ((2, 4), (2, 6)), ((2, 4), (4, 6))],
)
def test_runs_may_overlap(one: tuple[int, int], other: tuple[int, int], order: str) -> None:
    """SPEC M3.1, M3.2"""
    end, peer = listening(), Peer()
    messages = refusals(peer, 6)
    for first, last in (one, other) if order == "AB" else (other, one):
        end.receive(peer.sends(*messages[first - 1 : last]))
    upto = end.inbox.upto
    play(end, peer.sends(messages[0]), *applied(upto + 1, 6), "Seal receipt, receipt 6")
    assert not end.inbox.ahead
    assert end.inbox.head == peer.head


def test_what_waits_beyond_a_gap_survives_a_restart() -> None:
    """SPEC M3.2, W5.1"""
    end, peer = listening(), Peer()
    one, two, three = refusals(peer, 3)
    play(end, peer.sends(two, three), "Seal receipt, receipt 0")
    assert Playbook(end) >> crash() >> start() << "Seal receipt, receipt 0"
    play(end, peer.sends(one), *applied(1, 3), "Seal receipt, receipt 3")


def test_runs_are_kept_up_to_256_ahead_and_whole() -> None:
    """SPEC M3.2"""
    end, peer = listening(), Peer()
    messages = refusals(peer, AHEAD_MAX + 1)
    play(end, peer.sends(*messages[AHEAD_MAX - 2 :]), "RejectFrame too_far_ahead", "Seal receipt, receipt 0")
    play(end, peer.sends(*messages[AHEAD_MAX:]), "RejectFrame too_far_ahead", "Seal receipt, receipt 0")
    play(end, peer.sends(*messages[1:]), "RejectFrame too_far_ahead", "Seal receipt, receipt 0")
    play(end, peer.sends(*messages[200:AHEAD_MAX]), "Seal receipt, receipt 0")
    play(end, peer.sends(*messages[:200]), *applied(1, 256), "Seal receipt, receipt 256")
    play(end, peer.sends(*messages[AHEAD_MAX - 2 :]), *applied(257, 257), "Seal receipt, receipt 257")
    # it is no fault of the peer's
    assert not end.core.snapshot().alarms


def test_a_run_without_a_gap_may_have_any_length() -> None:
    """SPEC M3.2"""
    end, peer = listening(), Peer()
    messages = refusals(peer, AHEAD_MAX + 20)
    play(end, peer.sends(*messages), *applied(1, 276), "Seal receipt, receipt 276")


def test_what_is_beyond_a_gap_is_bounded() -> None:
    """SPEC M3.2: a peer that never sends the first message fills 256 places, not more."""
    end, peer = listening(shadowed=False), Peer()
    messages = refusals(peer, 400)
    for first in range(1, 399, 3):
        for last in (first + 3, first + 100):
            end.receive(peer.sends(*messages[first:last]))
    kept = {message.seq for run in end.inbox.ahead.values() for message in run}
    assert kept <= set(range(2, AHEAD_MAX + 1))
    assert len(end.inbox.ahead) < AHEAD_MAX
    assert len(end.inbox.hashes) < AHEAD_MAX
    play(end, peer.sends(messages[0]), *applied(1, AHEAD_MAX), "Seal receipt, receipt 256")


# --- equivocation -------------------------------------------------------------------------------------------------

STOPPED = ("RaiseAlarm equivocation/ndmc", "RejectFrame direction_stopped")


def other(message: Message) -> Message:
    """Return what a two-faced peer says in the same place."""
    return Message(message.seq, message.prev, message.at, {"type": "refusal", "other": True})


def test_two_messages_in_one_place_already_applied() -> None:
    """SPEC M5.1, M5.2"""
    end, peer = listening(), Peer()
    one, two = refusals(peer, 2)
    play(end, peer.sends(one), *applied(1, 1), "Seal receipt, receipt 1")
    play(end, peer.sends(other(one)), *STOPPED, "Seal receipt, receipt 1")
    # that direction stops: what follows is refused, whatever it says
    play(end, peer.sends(two), "RejectFrame direction_stopped")
    play(end, peer.sends(one), "RejectFrame direction_stopped")
    assert end.core.snapshot().theirs["ndmc"].stopped == "equivocation"
    # ours goes on, and so do receipts, riding or alone
    assert Playbook(end) >> alert() << "Queue 1 alert" << "Seal message 1"
    head = end.outbox.head
    claim = {"upto": 1, "head": head, "at": two.at}
    play(end, peer.sends(two, receipt=claim), "Settle 1", "RejectFrame direction_stopped")


def test_two_messages_in_one_place_beyond_a_gap() -> None:
    """SPEC M5.1"""
    end, peer = listening(), Peer()
    _one, two, three = refusals(peer, 3)
    play(end, peer.sends(two, three), "Seal receipt, receipt 0")
    play(end, peer.sends(other(three)), *STOPPED, "Seal receipt, receipt 0")


def test_a_first_message_that_does_not_follow_from_the_beginning() -> None:
    """SPEC M5.1, M2.3"""
    end, peer = listening(), Peer()
    play(end, peer.sends(peer.says({"type": "x"}, prev=OTHER)), *STOPPED, "Seal receipt, receipt 0")


def test_a_message_that_does_not_follow_from_the_head() -> None:
    """SPEC M5.1"""
    end, peer = listening(), Peer()
    play(end, peer.sends(*refusals(peer, 1)), *applied(1, 1), "Seal receipt, receipt 1")
    play(end, peer.sends(peer.says({"type": "x"}, prev=OTHER)), *STOPPED, "Seal receipt, receipt 1")


def test_a_run_that_contradicts_itself_changes_nothing() -> None:
    """SPEC M5.1"""
    end, peer = listening(), Peer()
    one = peer.says({"type": "x"})
    play(end, peer.sends(one, peer.says({"type": "y"}, prev=OTHER)), *STOPPED, "Seal receipt, receipt 0")


def test_a_run_that_contradicts_what_waits_behind_it() -> None:
    """SPEC M5.1"""
    end, peer = listening(), Peer()
    one, two, three = refusals(peer, 3)
    play(end, peer.sends(three), "Seal receipt, receipt 0")
    play(end, peer.sends(one, other(two)), *STOPPED, "Seal receipt, receipt 0")


def test_a_run_that_contradicts_what_waits_before_it() -> None:
    """SPEC M5.1"""
    end, peer = listening(), Peer()
    _one, two = refusals(peer, 2)
    play(end, peer.sends(two), "Seal receipt, receipt 0")
    play(end, peer.sends(peer.says({"type": "x"}, prev=OTHER)), *STOPPED, "Seal receipt, receipt 0")


def test_equivocation_too_far_ahead_is_no_less_one() -> None:
    """SPEC M5.1, M3.2"""
    end, peer = listening(), Peer()
    messages = refusals(peer, AHEAD_MAX + 1)
    play(end, peer.sends(messages[AHEAD_MAX - 1]), "Seal receipt, receipt 0")
    run = [other(messages[AHEAD_MAX - 1]), messages[AHEAD_MAX]]
    play(end, peer.sends(*run), *STOPPED, "Seal receipt, receipt 0")


def test_an_old_duplicate_is_known_for_1024_messages_and_then_left_to_reconcile() -> None:
    """SPEC M5.3"""
    end, peer = listening(shadowed=False), Peer()
    messages = refusals(peer, HASHES_KEPT + 1)
    for start_at in range(0, len(messages), 200):
        end.receive(peer.sends(*messages[start_at : start_at + 200]))
    assert len(end.inbox.hashes) == HASHES_KEPT
    play(end, peer.sends(other(messages[0])), "Seal receipt, receipt 1025")
    play(end, peer.sends(messages[0], messages[1]), "Seal receipt, receipt 1025")
    play(end, peer.sends(other(messages[1])), *STOPPED, "Seal receipt, receipt 1025")


# --- journal_behind -----------------------------------------------------------------------------------------------


def test_a_floor_above_our_own_end_means_that_our_journal_is_lost() -> None:
    """SPEC R3.3"""
    end, peer = listening(), Peer()
    messages = refusals(peer, 3)
    play(end, peer.sends(messages[0], floor=0), *applied(1, 1), "Seal receipt, receipt 1")
    play(end, peer.sends(messages[1], floor=1), *applied(2, 2), "Seal receipt, receipt 2")
    play(end, peer.sends(messages[2], floor=3), "RaiseAlarm journal_behind/ndmc", "RejectFrame direction_stopped")
    play(end, peer.sends(messages[2], floor=2), "RejectFrame direction_stopped")
    # the whole journal may be lost
    play(
        listening(),
        peer.sends(messages[0], floor=1),
        "RaiseAlarm journal_behind/ndmc",
        "RejectFrame direction_stopped",
    )
    # what we say still leaves
    assert Playbook(end) >> alert() << "Queue 1 alert" << "Seal message 1"


# --- frames that are refused --------------------------------------------------------------------------------------

BAD = "RaiseAlarm bad_frames/ndmc"


@pytest.mark.parametrize(
    ("falsified", "reason"),
    [
        ({"link": "eucom-other"}, "wrong_link"),
        ({"link": "eucom-ndmc-2"}, "wrong_link"),
        ({"sender": "eucom"}, "wrong_sender"),
        ({"sender": "another"}, "wrong_sender"),
        ({"recipient": "ndmc"}, "wrong_recipient"),
        ({"recipient": "another"}, "wrong_recipient"),
        ({"link": "eucom-other", "sender": "another", "recipient": "another", "epoch": 2}, "wrong_link"),
        ({"sender": "another", "recipient": "another", "epoch": 2}, "wrong_sender"),
        ({"recipient": "another", "epoch": 2}, "wrong_recipient"),
    ],
)
@pytest.mark.parametrize("channel", ["message", "receipt"])
def test_a_frame_of_another_address_is_refused(falsified: dict[str, Any], reason: str, channel: str) -> None:
    """SPEC F3.7, M6.1"""
    end, peer = listening(), Peer()
    if channel == "message":
        frame = peer.sends(*refusals(peer, 1), **falsified)
    else:
        frame = peer.receipts(0, OTHER, **falsified)
    before = end.inbox.head
    play(end, frame, f"RejectFrame {reason}", BAD)
    assert end.inbox.head == before


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"{}", "malformed_payload"),
        (b"[]", "malformed_payload"),
        (b"{ }", "not_canonical"),
        (b"\xff", "not_canonical"),
        (b"[" * 2_000, "not_canonical"),
        (b'{"a":1.5}', "not_canonical"),
    ],
)
@pytest.mark.parametrize("channel", ["message", "receipt"])
def test_a_payload_that_is_none_is_refused(payload: bytes, reason: str, channel: Any) -> None:
    """SPEC F3.6, F4.6, M6.1"""
    play(listening(), sealed("ndmc", channel, payload), f"RejectFrame {reason}", BAD)


def test_a_run_with_a_gap_in_itself_is_malformed() -> None:
    """SPEC M1.2, F3.6"""
    end, peer = listening(), Peer()
    one, _two, three = refusals(peer, 3)
    play(end, peer.sends(one, three), "RejectFrame malformed_payload", BAD)
    play(end, peer.sends(), "RejectFrame malformed_payload")


def test_an_instant_that_does_not_exist_is_malformed() -> None:
    """SPEC F4.7, F3.6"""
    end, peer = listening(), Peer()
    play(end, peer.sends(Message(1, peer.head, "2022-02-30T00:00:00.000Z", {})), "RejectFrame malformed_payload", BAD)
    claim = {"upto": 0, "head": OTHER, "at": "2022-13-01T00:00:00.000Z"}
    play(end, peer.sends(*refusals(peer, 1), receipt=claim), "RejectFrame malformed_payload")
    play(end, peer.frame("receipt", **claim), "RejectFrame malformed_payload")


@pytest.mark.parametrize("verdict", ["bad_signature", "unknown_sender", "wrong_payload_type", "malformed_envelope"])
def test_what_the_signatures_do_not_prove_is_not_looked_at(verdict: str) -> None:
    """SPEC F3.5, M6.1"""
    end, peer = listening(), Peer()
    frame = peer.sends(*refusals(peer, 1))
    assert Playbook(end) >> arrives(frame, verdict) << f"RejectFrame {verdict}" << BAD
    assert end.inbox.upto == 0


def test_what_is_too_large_is_refused_even_if_the_shell_let_it_through() -> None:
    """SPEC F3.1, F3.2"""
    end = listening()
    play(end, Frame("ndmc", "message", b"x" * (FRAME_MAX_BYTES + 1)), "RejectFrame too_large", BAD)
    play(end, Frame("ndmc", "message", b""), "RejectFrame malformed_envelope")


def test_bad_frames_are_over_when_none_has_come_for_ten_minutes() -> None:
    """SPEC M6.1, M6.2, W4"""
    end, peer = listening("ndmc"), Peer("eucom")
    frame = peer.sends(*refusals(peer, 1))
    assert (
        Playbook(end)
        >> arrives(frame, "bad_signature")
        << "RejectFrame bad_signature"
        << "RaiseAlarm bad_frames/eucom"
        >> wait(9 * MINUTE)
        >> arrives(frame, "bad_signature")
        << "RejectFrame bad_signature"
        >> event(FramesSuppressed, reason="bad_signature", count=4_000)
        << "RaiseAlarm bad_frames/any"
        >> wait(9 * MINUTE)
        >> wait(1 * MINUTE)
        << "ClearAlarm bad_frames/any"
        << "ClearAlarm bad_frames/eucom"
    )


def test_a_receipt_rides_and_applies_whatever_becomes_of_the_messages() -> None:
    """SPEC R1.3, M3.2"""
    end, peer = listening(), Peer()
    messages = refusals(peer, AHEAD_MAX + 1)
    assert Playbook(end) >> alert() << "Queue 1 alert" << "Seal message 1"
    claim = {"upto": 1, "head": end.outbox.head, "at": messages[0].at}
    play(
        end,
        peer.sends(messages[-1], receipt=claim),
        "Settle 1",
        "RejectFrame too_far_ahead",
        "Seal receipt, receipt 0",
    )


def test_one_receipt_answers_a_whole_batch_and_rides_if_something_leaves() -> None:
    """SPEC R1.3, M1.3"""
    end, peer = listening(), Peer()
    one, two = peer.says(an_alert()), peer.says({"type": "gesture"})
    assert (
        Playbook(end)
        >> batch(arrives(peer.sends(one)), arrives(peer.sends(one, two)), arrives(peer.sends(one)))
        << "Apply 1 alert"
        << "Notify message/ndmc/1/1"
        << "Apply 2 gesture, refused: unsupported"
        << "Queue 1 refusal"
        << "Seal message 1, receipt 2"
    )


def test_the_payload_is_read_from_the_verified_bytes_and_from_nothing_else() -> None:
    """SPEC F3.6"""
    end, peer = listening(), Peer()
    message = peer.says(an_acknowledgement(ref(1, "eucom")))
    frame = peer.sends(message)
    payload = canonical.decode(frame.frame)
    payload["signatures"] *= 2
    play(
        end,
        Frame("ndmc", "message", canonical.encode(payload)),
        "Apply 1 acknowledgement, refused: unknown_reference",
        "Queue 1 refusal",
        "Seal message 1, receipt 1",
    )
