"""SPEC M and R: streams, resends, equivocation, receipts."""

from itertools import pairwise

import pytest

from protocol.core.effects import Resend
from protocol.core.events import PeerPresenceChanged, TransportLost
from protocol.core.stream import HASHES_KEPT, OUTBOX_MAX_MESSAGES, SEALED_MAX
from protocol.errors import LocalProtocolError
from protocol.wire.canonical import digest
from protocol.wire.envelope import parse
from protocol.wire.instants import parsed
from protocol.wire.payloads import read_message_payload
from tests.support.journal_samples import raw_state
from tests.support.pair import Pair, Side
from tests.vectors import bodies
from tests.vectors.streams import STREAM
from tests.vectors.terms import message_frame, receipt_frame, stream


def run_of(frame: bytes) -> list[int]:
    return [message.seq for message in read_message_payload(parse(frame).payload).messages]


@pytest.fixture
def pair() -> Pair:
    pair = Pair()
    pair.carry()
    return pair


def test_a_single_message_leaves_at_once_and_alone_and_a_burst_under_one_signature(pair: Pair) -> None:
    """SPEC M1.3, M2.1"""
    pair.alert()
    assert [run_of(frame) for _, _, frame in pair.lose()] == [[1]]
    pair.do("eucom", TransportLost, reason="test")
    for _ in range(3):
        pair.alert()
    assert pair.lose() == []
    pair.reconnect("eucom")
    assert sorted(run_of(frame) for _, _, frame in pair.lose()) == [[1], [2, 3, 4]]


def test_no_more_than_eight_frames_are_unreceipted(pair: Pair) -> None:
    """SPEC M4.2"""
    for _ in range(SEALED_MAX + 5):
        pair.alert()
    assert [run_of(frame) for _, _, frame in pair.wire] == [[seq] for seq in range(1, SEALED_MAX + 1)]
    pair.carry()
    assert pair.applied("ndmc") == list(range(1, SEALED_MAX + 6))


def test_everything_is_sent_again_after_a_reconnect_and_when_the_peer_returns(pair: Pair) -> None:
    """SPEC M4.1, M4.3"""
    pair.alert()
    pair.alert()
    first = [frame for _, _, frame in pair.lose()]
    pair.reconnect("eucom")
    assert [frame for _, channel, frame in pair.lose() if channel == "message"] == first
    pair.do("eucom", PeerPresenceChanged, party="ndmc", present=False)
    assert pair.lose() == []
    pair.do("eucom", PeerPresenceChanged, party="ndmc", present=True)
    assert [frame for _, _, frame in pair.lose()] == first
    pair.restart("eucom")
    assert [frame for _, channel, frame in pair.lose() if channel == "message"] == first


@pytest.mark.parametrize(("present", "longest_s"), [(True, 60), (False, 900)])
def test_back_off_resends_the_oldest_alone(pair: Pair, present: bool, longest_s: int) -> None:
    """SPEC M4.1, M4.4"""
    pair.do("eucom", PeerPresenceChanged, party="ndmc", present=present)
    pair.alert()
    pair.alert()
    oldest, newer = pair.lose()
    instants = []
    for _ in range(5 * longest_s):
        pair.pass_s(1, "eucom", carrying=False)
        resent = pair.lose()
        assert newer not in resent
        if oldest in resent:
            instants.append(pair.at / 1_000)
    pauses = [later - earlier for earlier, later in pairwise(instants)]
    assert all(pause <= longest_s * 1.25 + 1 for pause in pauses)
    assert longest_s * 0.75 - 1 <= pauses[-1]


def test_back_off_begins_at_a_second(pair: Pair) -> None:
    """SPEC M4.4"""
    pair.alert()
    pair.lose()
    resent = []
    for _ in range(20):
        pair.pass_s(0.5, "eucom", carrying=False)
        resent += [pair.at - parsed("2022-11-29T07:30:00.000Z")] * len(pair.lose())
    assert 750 <= resent[0] <= 1_750
    assert 1_500 <= resent[1] - resent[0] <= 3_000


def test_an_outbox_is_bounded_and_keeps_room_for_answers(pair: Pair) -> None:
    """SPEC M4.5"""
    theirs = pair.alert("ndmc")
    pair.carry()
    state = pair.state("eucom")
    outbox = state["epoch"]["outbox"]
    outbox["receipted"] = 1 - OUTBOX_MAX_MESSAGES + outbox["last"] - 1
    pair.links["eucom"] = type(pair.links["eucom"]).restore(raw_state(**state))
    with pytest.raises(LocalProtocolError, match="another channel") as refused:
        pair.alert()
    assert refused.value.code == "outbox_full"
    pair.acknowledge(theirs)


def test_duplicates_and_overlaps_are_applied_once_and_receipted_again(pair: Pair) -> None:
    """SPEC M3.1"""
    pair.arrive("ndmc", message_frame("eucom", STREAM[:2]))
    pair.lose()
    pair.arrive("ndmc", message_frame("eucom", STREAM[:2]))
    assert [channel for _, channel, _ in pair.lose()] == ["receipt"]
    pair.arrive("ndmc", message_frame("eucom", STREAM[1:4]))
    assert pair.applied("ndmc") == [1, 2, 3, 4]


def test_equivocation_stops_its_direction_and_no_other(pair: Pair) -> None:
    """SPEC M5.1, M5.2"""
    pair.alert("ndmc")
    sent = pair.lose()
    pair.arrive("ndmc", message_frame("eucom", STREAM[:2]))
    pair.lose()
    pair.arrive("ndmc", message_frame("eucom", [STREAM[0], STREAM[1] | {"at": "2022-11-29T09:00:00.000Z"}]))
    assert "equivocation/eucom" in pair.alarms("ndmc")
    assert pair.refused("ndmc") == ["direction_stopped"]
    # a receipt that rides with refused messages is heeded still
    head = digest(read_message_payload(parse(sent[0][2]).payload).messages[0])
    claim = {"upto": 1, "head": head, "at": "2022-11-29T08:30:00.000Z"}
    pair.arrive("ndmc", message_frame("eucom", STREAM[2:3], receipt=claim))
    assert pair.applied("ndmc") == [1, 2]
    assert pair.state("ndmc")["epoch"]["outbox"]["receipted"] == 1
    # what was said twice stays refused after a restart
    pair.restart("ndmc")
    pair.arrive("ndmc", message_frame("eucom", STREAM[2:3]))
    assert pair.applied("ndmc") == [1, 2]


def test_a_duplicate_older_than_the_hashes_kept_is_receipted(pair: Pair) -> None:
    """SPEC M5.3"""
    long = stream("eucom", *[bodies.without(bodies.HEARTBEAT, "slot")] * (HASHES_KEPT + 1))
    for start in range(0, len(long), 100):
        pair.arrive("ndmc", message_frame("eucom", long[start : start + 100]))
    assert pair.state("ndmc")["epoch"]["inbox"]["upto"] == HASHES_KEPT + 1
    pair.lose()
    other = {"at": "2022-11-29T09:00:00.000Z"}
    pair.arrive("ndmc", message_frame("eucom", [long[0] | other]))
    assert [channel for _, channel, _ in pair.lose()] == ["receipt"]
    assert "equivocation/eucom" not in pair.alarms("ndmc")
    pair.arrive("ndmc", message_frame("eucom", [long[1] | other]))
    assert "equivocation/eucom" in pair.alarms("ndmc")


def test_a_newer_peer_does_not_stall_the_line(pair: Pair) -> None:
    """SPEC M7.1, M7.2: what is not known is refused, receipted, and what follows is applied."""
    pair.arrive("ndmc", message_frame("eucom", STREAM[:4]))
    assert pair.state("ndmc")["epoch"]["inbox"]["upto"] == 4
    (_, _, frame) = pair.lose()[0]
    payload = read_message_payload(parse(frame).payload)
    (refusal,) = [message.body for message in payload.messages if message.body["type"] == "refusal"]
    assert refusal["of"] == {"sender": "eucom", "epoch": 1, "seq": 3}
    assert (refusal["by"], refusal["reason"]) == ("service", "unsupported")
    assert payload.receipt.upto == 4  # type: ignore[union-attr]
    assert not [told for told in pair.told("ndmc") if told.endswith("/3")]


def test_a_refusal_is_never_refused(pair: Pair) -> None:
    """SPEC M7.3"""
    strange = stream(
        "eucom", bodies.REFUSAL | {"reason": "busy"}, bodies.REFUSAL | {"of": {"sender": "x", "epoch": 1, "seq": 1}}
    )
    pair.arrive("ndmc", message_frame("eucom", strange))
    assert pair.applied("ndmc") == [1, 2]
    assert [channel for _, channel, _ in pair.lose()] == ["receipt"]


def test_delay_is_not_skew_and_the_future_is(pair: Pair) -> None:
    """SPEC M8.1, M8.2"""
    old = [STREAM[0] | {"at": "2019-01-01T00:00:00.000Z"}]
    pair.arrive("ndmc", message_frame("eucom", old))
    assert pair.applied("ndmc") == [1]
    assert pair.alarms("ndmc") == []
    pair = Pair()
    pair.carry()
    ahead = [STREAM[0] | {"at": "2022-11-29T07:31:00.001Z"}]
    pair.arrive("ndmc", message_frame("eucom", ahead))
    assert pair.alarms("ndmc") == ["clock_skew/eucom/ahead"]
    assert pair.applied("ndmc") == [1]


def test_a_receipt_from_before_the_message_proves_a_clock_that_is_behind(pair: Pair) -> None:
    """SPEC M8.3"""
    pair.alert()
    head = pair.state("eucom")["epoch"]["outbox"]["head"]
    pair.lose()
    pair.arrive("eucom", receipt_frame("ndmc", 1, head, at="2022-11-29T07:28:59.999Z"), "receipt")
    assert pair.alarms("eucom") == ["clock_skew/ndmc/behind"]


def test_a_receipt_rides_if_it_can_and_goes_alone_if_it_must(pair: Pair) -> None:
    """SPEC R1.2, R1.3"""
    reference = pair.alert()
    frames = pair.lose()
    pair.arrive("ndmc", frames[0][2])
    assert [channel for _, channel, _ in pair.wire] == ["receipt"]
    pair.carry()
    assert pair.state("eucom")["epoch"]["outbox"]["receipted"] == 1
    pair.arrive("ndmc", frames[0][2])
    pair.lose()
    pair.alert()
    second = pair.lose()[0][2]
    pair.do("ndmc", TransportLost, reason="test")
    pair.arrive("ndmc", second)
    pair.acknowledge(reference)
    pair.reconnect("ndmc")
    (sender, channel, frame) = pair.lose()[0]
    assert (sender, channel) == ("ndmc", "message")
    assert read_message_payload(parse(frame).payload).receipt.upto == 2  # type: ignore[union-attr]


@pytest.mark.parametrize("side", ["eucom", "ndmc"])
def test_a_receipt_is_sent_on_every_connect(pair: Pair, side: Side) -> None:
    """SPEC R1.3"""
    pair.reconnect(side)
    assert [(sender, channel) for sender, channel, _ in pair.lose()] == [(side, "receipt")]


def test_no_receipt_leaves_before_its_batch_is_closed(pair: Pair) -> None:
    """SPEC R2: publishing is an effect of the batch's end, and effects are performed after the flush."""
    pair.alert()
    effects = pair.arrive("ndmc", pair.lose()[0][2])
    kinds = [type(effect).__name__ for effect in effects]
    assert kinds.index("Seal") > kinds.index("Apply")
    assert kinds[-1] == "Seal"


def test_a_fork_stops_the_stream(pair: Pair) -> None:
    """SPEC R3.1, R3.2"""
    pair.alert()
    pair.alert()
    first, second = (frame for _, _, frame in pair.lose())
    pair.arrive("ndmc", first)
    old = pair.lose()[0][2]
    pair.arrive("ndmc", second)
    pair.carry()
    pair.arrive("eucom", old, "receipt")
    assert pair.state("eucom")["epoch"]["outbox"]["receipted"] == 2
    assert pair.alarms("eucom") == []
    pair.arrive("eucom", receipt_frame("ndmc", 2, "0" * 64), "receipt")
    assert pair.alarms("eucom") == ["fork/ndmc"]
    with pytest.raises(LocalProtocolError, match="open a new epoch"):
        pair.alert()
    assert not [effect for effect in pair.do("eucom", TransportLost, reason="x") if isinstance(effect, Resend)]


def test_a_lost_journal_is_noticed_by_its_floor(pair: Pair) -> None:
    """SPEC R3.3"""
    pair.alert()
    pair.carry()
    fresh = Pair()
    pair.links["ndmc"] = fresh.links["ndmc"]
    pair.effects["ndmc"] = []
    pair.alert()
    pair.carry()
    assert "journal_behind/eucom" in pair.alarms("ndmc")
    assert pair.refused("ndmc") == ["direction_stopped"]
    assert pair.applied("ndmc") == []
