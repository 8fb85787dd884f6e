"""Our own stream: sealing, the outbox, resending (SPEC F6, M1, M2, M4)."""

import hashlib

import msgspec
import pytest

from protocol.core.events import BatchClosed, PeerPresenceChanged, TransportConnected, TransportLost
from protocol.core.link import Link
from protocol.core.stream import (
    HASHES_KEPT,
    OUTBOX_MAX_BYTES,
    OUTBOX_MAX_MESSAGES,
    OUTBOX_RESERVE_MESSAGES,
    Outbox,
)
from protocol.wire import canonical, envelope
from protocol.wire.digests import genesis, message_digest, policy_digest
from protocol.wire.envelope import KEYID_MAX, PAYLOAD_TYPES
from protocol.wire.instants import written
from protocol.wire.messages import FRAME_MAX_BYTES, INTEGER_MAX, MESSAGE_MAX_BYTES, MessagePayload
from protocol.wire.payloads import read_message_payload
from protocol.wire.policy import Terms
from tests.support.cast import Peer, acknowledge, alert, an_alert, arrives, cancel, test_line
from tests.support.playbook import Playbook, batch, deliver, event, lose, on, settle, wait
from tests.support.world import HOUR, SECOND, TERMS, End, Frame, Line, terms

SIGNATURES_BYTES = {"ed25519": [64], "ed25519+ml-dsa-65": [64, 3_309]}
LOST = event(TransportLost, reason="gone")
BACK = event(TransportConnected)
GONE = event(PeerPresenceChanged, party="ndmc", present=False)
PRESENT = event(PeerPresenceChanged, party="ndmc", present=True)


def payload_of(frame: Frame) -> MessagePayload:
    return read_message_payload(envelope.parse(frame.frame).payload)


def alone(*, shadowed: bool = True, opened: Terms = TERMS) -> End:
    """Return the caller's end: nobody receipts what it says."""
    return End.started(opened.caller, opened, shadowed=shadowed)


# --- sealing ------------------------------------------------------------------------------------------------------


def test_a_single_alert_leaves_at_once_and_alone() -> None:
    """SPEC M1.3, R1.3"""
    assert (
        Playbook(Line())
        >> on("eucom", alert())
        << "eucom: Queue 1 alert"
        << "eucom: Seal message 1"
        >> deliver("eucom")
        << "ndmc: Apply 1 alert"
        << "ndmc: Notify message/eucom/1/1"
        << "ndmc: Seal receipt, receipt 1"
        >> deliver("ndmc")
        << "eucom: Settle 1"
    )


def test_a_burst_costs_one_signature() -> None:
    """SPEC M1.3, R1.3"""
    assert (
        Playbook(Line())
        >> on("eucom", batch(alert(), alert(), alert()))
        << "eucom: Queue 1 alert"
        << "eucom: Queue 2 alert"
        << "eucom: Queue 3 alert"
        << "eucom: Seal message 1-3"
        >> deliver("eucom")
        << "ndmc: Apply 1 alert"
        << "ndmc: Notify message/eucom/1/1"
        << "ndmc: Apply 2 alert"
        << "ndmc: Notify message/eucom/1/2"
        << "ndmc: Apply 3 alert"
        << "ndmc: Notify message/eucom/1/3"
        << "ndmc: Seal receipt, receipt 3"
    )


def test_what_waited_for_the_broker_leaves_in_one_frame() -> None:
    """SPEC M1.3"""
    assert (
        Playbook(Line())
        >> on("eucom", LOST)
        >> on("eucom", alert())
        << "eucom: Queue 1 alert"
        >> on("eucom", alert())
        << "eucom: Queue 2 alert"
        >> on("eucom", BACK)
        << "eucom: Seal message 1-2, receipt 0"
    )


def test_a_frame_says_who_speaks_to_whom_under_which_terms() -> None:
    """SPEC M1.1, M1.2, M2.1, M2.2, M2.3"""
    line = Line()
    line.eucom.happens(*batch(alert(), test_line()).happenings)
    payload = payload_of(line.eucom.outgoing[0])
    assert (payload.link, payload.epoch, payload.sender, payload.recipient) == ("eucom-ndmc", 1, "eucom", "ndmc")
    assert payload.policy == policy_digest(TERMS)
    assert payload.floor == 0
    first, second = payload.messages
    assert (first.seq, second.seq) == (1, 2)
    assert first.prev == genesis(TERMS, "eucom")
    assert second.prev == message_digest(first)
    assert first.at == "2022-11-29T07:50:00.000Z"


def test_the_floor_is_what_was_receipted_when_it_was_sealed() -> None:
    """SPEC M1.1"""
    line = Line()
    line.eucom.happens(*alert().happenings)
    line.settle()
    line.eucom.happens(*alert().happenings)
    assert payload_of(line.eucom.outgoing[0]).floor == 1


def test_a_batch_with_other_frames_is_the_shells_mistake() -> None:
    """SPEC M1.3: and then nothing has changed, not even what was due by then."""
    line = Line()
    line.eucom.happens(*alert().happenings)
    line.world.at += 7 * HOUR  # the alert's handling deadline is over, and no alarm is raised yet
    assert (
        Playbook(line)
        >> on("eucom", event(BatchClosed, frames=(b"{}",)))
        << "eucom: refused: wrong_frames"
        << "eucom: RaiseAlarm heartbeat_missed/2022-11-29T08:00:00.000Z, since 08:15:00.000Z"
        << "eucom: RaiseAlarm alert_unacknowledged/eucom/1/1, since 13:50:00.000Z"
    )


@pytest.mark.parametrize("suite", SIGNATURES_BYTES)
def test_the_longest_message_fits_into_a_frame_beside_a_receipt(suite: str) -> None:
    """SPEC F6.1, F6.2"""
    longest, other = "l" * 32, "o" * 32
    opened = msgspec.structs.replace(
        terms(INTEGER_MAX, languages=("de", "en", "pl", "ru"), suite=suite),
        link=longest,
        caller=longest,
        answering=other,
    )
    end = alone(opened=opened)
    peer = Peer(other, opened)

    def with_text(length: int) -> dict[str, str]:
        return {"de": "𝄞" * 4_000, "en": "𝄞" * 4_000, "ru": "э" * 4_000, "pl": "n" * length}

    end.happens(*alert(text=with_text(1)).happenings)
    room = MESSAGE_MAX_BYTES - len(canonical.encode(payload_of(end.outgoing.pop()).messages[0]))
    incoming = peer.says(an_alert()), peer.says(an_alert())
    assert (
        Playbook(end)
        >> alert(text=with_text(room + 2))
        << "refused: too_long"
        >> batch(alert(text=with_text(room + 1)), arrives(peer.sends(*incoming)))
        << "Queue 2 alert"
        << "Apply 1 alert"
        << f"Notify message/{other}/{INTEGER_MAX}/1"
        << "Apply 2 alert"
        << f"Notify message/{other}/{INTEGER_MAX}/2"
        << "Seal message 2, receipt 2"
    )
    payload = msgspec.json.decode(envelope.parse(end.outgoing[0].frame).payload)
    payload["floor"] = payload["receipt"]["upto"] = payload["messages"][0]["seq"] = INTEGER_MAX
    signatures = [("k" * KEYID_MAX, bytes(length)) for length in SIGNATURES_BYTES[suite]]
    frame = envelope.seal(PAYLOAD_TYPES["message"], canonical.encode(payload), signatures)
    assert len(frame) <= FRAME_MAX_BYTES


# --- the outbox ---------------------------------------------------------------------------------------------------


def test_at_most_eight_frames_are_unreceipted() -> None:
    """SPEC M4.2"""
    line = Line()
    for _ in range(10):
        line.eucom.happens(*alert().happenings)
    assert len(line.eucom.outgoing) == 8
    assert (
        Playbook(line)
        >> deliver("eucom", 1)
        << "ndmc: Apply 1 alert"
        << "ndmc: Notify message/eucom/1/1"
        << "ndmc: Seal receipt, receipt 1"
        >> deliver("ndmc")
        << "eucom: Settle 1"
        << "eucom: Seal message 9-10"
    )


def test_a_long_queue_is_cut_into_as_few_frames_as_fit() -> None:
    """SPEC M1.3, M4.2, F6.1"""
    end = alone(shadowed=False)
    text = {"en": "x" * 4_000, "ru": "y" * 4_000}
    end.happens(*LOST.happenings)
    end.happens(*[each for _ in range(50) for each in alert(text=text).happenings])
    end.happens(*BACK.happenings)
    runs = [payload_of(frame).messages for frame in end.outgoing]
    assert [len(run) for run in runs] == [5] * 8
    assert [message.seq for run in runs for message in run] == list(range(1, 41))
    assert all(len(frame.frame) <= FRAME_MAX_BYTES for frame in end.outgoing)


def test_a_full_outbox_refuses_alerts_and_tests_but_has_a_reserve() -> None:
    """SPEC M4.5"""
    line, peer = Line(shadowed=False), Peer("ndmc")
    line.eucom.receive(peer.sends(peer.says(an_alert())))
    line.eucom.happens(*LOST.happenings)
    line.eucom.fill_outbox(OUTBOX_MAX_MESSAGES)
    assert (
        Playbook(line)
        >> on("eucom", alert())
        << "eucom: refused: outbox_full"
        >> on("eucom", test_line())
        << "eucom: refused: outbox_full"
        >> on("eucom", acknowledge("ndmc/1/1"))
        << "eucom: Queue 10001 acknowledgement"
    )
    line.eucom.fill_outbox(OUTBOX_RESERVE_MESSAGES - 1)
    assert Playbook(line) >> on("eucom", acknowledge("ndmc/1/1")) << "eucom: refused: outbox_full"
    # the line goes on once the peer receipts
    line.ends["ndmc"].core = Link.new("eucom-ndmc", "ndmc")
    line.ndmc.start(opened=TERMS)
    line.eucom.happens(*BACK.happenings)
    line.settle()
    outbox = line.eucom.outbox
    assert outbox.receipted == outbox.last == OUTBOX_MAX_MESSAGES + OUTBOX_RESERVE_MESSAGES
    assert outbox.unreceipted_bytes == 0
    assert [*outbox.hashes] == [*range(outbox.last - HASHES_KEPT + 1, outbox.last + 1)]
    assert not outbox.sizes
    assert Playbook(line) >> on("eucom", alert()) << "eucom: Queue 11001 alert" << "eucom: Seal message 11001"


def test_the_outbox_is_also_bounded_in_bytes() -> None:
    """SPEC M4.5"""
    languages = ("de", "en", "pl", "ru")
    end = alone(shadowed=False, opened=terms(languages=languages))
    text = dict.fromkeys(languages, "x" * 4_000)
    end.happens(*LOST.happenings)
    end.happens(*alert(text=text).happenings)
    body = end.outbox.waiting[0].body
    while end.outbox.unreceipted_bytes < OUTBOX_MAX_BYTES:
        Outbox(end.outbox).queue(written(end.at), body)
    assert end.outbox.last < OUTBOX_MAX_MESSAGES
    assert Playbook(end) >> alert() << "refused: outbox_full" >> test_line() << "refused: outbox_full"


# --- resending ----------------------------------------------------------------------------------------------------


def test_a_resend_is_the_identical_bytes_and_the_peer_applies_them_once() -> None:
    """SPEC M4.1, M4.4, M3.1"""
    line = Line()
    line.eucom.happens(*alert().happenings)
    first = line.eucom.outgoing[0]
    assert (
        Playbook(line)
        >> deliver("eucom")
        << "ndmc: Apply 1 alert"
        << "ndmc: Notify message/eucom/1/1"
        << "ndmc: Seal receipt, receipt 1"
        >> lose("ndmc")
        >> wait(1_250)
        << "eucom: Resend 1"
    )
    assert line.eucom.outgoing == [first]
    assert Playbook(line) >> deliver("eucom") << "ndmc: Seal receipt, receipt 1" >> deliver("ndmc") << "eucom: Settle 1"
    assert line.eucom.link.frame(1) is None


def test_everything_unreceipted_is_sent_again_on_every_connect() -> None:
    """SPEC M4.3, R1.3"""
    line = Line()
    assert (
        Playbook(line)
        >> on("eucom", alert())
        << "eucom: Queue 1 alert"
        << "eucom: Seal message 1"
        >> on("eucom", alert())
        << "eucom: Queue 2 alert"
        << "eucom: Seal message 2"
        >> lose("eucom")
        >> on("eucom", LOST)
        >> on("eucom", alert())
        << "eucom: Queue 3 alert"
        >> on("eucom", BACK)
        << "eucom: Resend 1"
        << "eucom: Resend 2"
        << "eucom: Seal message 3, receipt 0"
    )


def test_everything_unreceipted_is_sent_again_when_the_peer_returns() -> None:
    """SPEC M4.3"""
    line = Line()
    for _ in range(2):
        line.eucom.happens(*alert().happenings)
    assert (
        Playbook(line)
        >> on("eucom", PRESENT)
        >> on("eucom", GONE)
        >> on("eucom", PRESENT)
        << "eucom: Resend 1"
        << "eucom: Resend 2"
        >> on("eucom", PRESENT)
        >> on("eucom", GONE)
        >> on("eucom", LOST)
        >> on("eucom", PRESENT)
        >> on("eucom", GONE)
        >> on("eucom", LOST)
        >> on("eucom", BACK)
        << "eucom: Resend 1"
        << "eucom: Resend 2"
        << "eucom: Seal receipt, receipt 0"
        >> on("eucom", PRESENT)
        << "eucom: Resend 1"
        << "eucom: Resend 2"
    )


def resends(end: End, count: int) -> list[int]:
    """Return the durations after which the oldest frame is sent again, `count` times."""
    gaps: list[int] = []
    before, oldest = end.world.at, end.outgoing[0]
    while len(gaps) < count:
        sent = end.outgoing.count(oldest)
        end.world.wait(int(end.due()) - end.world.at)
        if end.outgoing.count(oldest) > sent:
            gaps.append(end.world.at - before)
            before = end.world.at
    return gaps


def test_the_oldest_frame_backs_off_from_a_second_to_a_minute() -> None:
    """SPEC M4.4"""
    end = alone()
    end.happens(*alert().happenings)
    end.happens(*alert().happenings)
    drawn = hashlib.sha256(end.outgoing[0].frame).digest()
    gaps = resends(end, 12)
    nominal = [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60]
    assert gaps == [seconds * (750 + 500 * drawn[tries] // 255) for tries, seconds in enumerate(nominal)]
    assert all(0.75 <= gap / (seconds * SECOND) <= 1.25 for gap, seconds in zip(gaps, nominal, strict=True))
    assert len(set(gaps[6:])) > 3
    assert {frame.frame for frame in end.outgoing[2:]} == {end.outgoing[0].frame}


def test_a_peer_said_to_be_gone_is_tried_less_often_but_for_ever() -> None:
    """SPEC M4.4"""
    end = alone()
    end.happens(*GONE.happenings)
    end.happens(*alert().happenings)
    gaps = resends(end, 100)
    assert all(0.75 * 900 * SECOND <= gap <= 1.25 * 900 * SECOND for gap in gaps[10:])


def test_nothing_is_resent_without_a_connection() -> None:
    """SPEC M4.4"""
    assert (
        Playbook(alone())
        >> alert()
        << "Queue 1 alert"
        << "Seal message 1"
        >> LOST
        >> wait(29 * SECOND)
        >> wait(10 * SECOND)
        << "RaiseAlarm broker_unreachable/broker"
    )


def test_once_the_oldest_is_receipted_the_next_one_backs_off_from_where_it_stands() -> None:
    """SPEC M4.4"""
    line = Line()
    assert (
        Playbook(line)
        >> on("eucom", alert())
        << "eucom: Queue 1 alert"
        << "eucom: Seal message 1"
        >> on("eucom", alert())
        << "eucom: Queue 2 alert"
        << "eucom: Seal message 2"
        >> lose("eucom")
        >> wait(1_250)
        << "eucom: Resend 1"
        >> settle()
        << "ndmc: Apply 1 alert"
        << "ndmc: Notify message/eucom/1/1"
        << "ndmc: Seal receipt, receipt 1"
        << "eucom: Settle 1"
        >> wait(0)
        << "eucom: Resend 2"
        >> settle()
        << "ndmc: Apply 2 alert"
        << "ndmc: Notify message/eucom/1/2"
        << "ndmc: Seal receipt, receipt 2"
        << "eucom: Settle 2"
    )


def test_a_message_waiting_to_be_sealed_cannot_be_taken_back() -> None:
    """SPEC M2.1: it has its place in the stream; its cancellation follows it."""
    assert (
        Playbook(Line())
        >> on("eucom", LOST)
        >> on("eucom", alert())
        << "eucom: Queue 1 alert"
        >> on("eucom", cancel("eucom/1/1"))
        << "eucom: Queue 2 alert"
        >> on("eucom", BACK)
        << "eucom: Seal message 1-2, receipt 0"
    )
