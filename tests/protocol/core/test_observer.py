"""The independent watch: both directions from outside, the same rules, and never a word (SPEC W6)."""

import pytest
from msgspec import convert

from protocol.core.alerts import OPEN_MAX
from protocol.core.deadlines import Turn
from protocol.core.events import AlarmAcknowledged, BatchClosed, PeerPresenceChanged, TransportConnected, TransportLost
from protocol.core.observer import Observer
from protocol.core.start_events import EpochOpened
from protocol.core.stream import AHEAD_MAX, HASHES_KEPT
from protocol.errors import LocalProtocolError
from protocol.wire.instants import written
from protocol.wire.messages import Alert, Reference
from protocol.wire.policy import Terms
from tests.support.cast import (
    Peer,
    a_heartbeat,
    a_refusal,
    acknowledge,
    alert,
    an_acknowledgement,
    an_alert,
    an_answer,
    answer,
    arrives,
    ref,
    see,
)
from tests.support.playbook import Playbook, event, on, play, settle, wait
from tests.support.world import HOUR, MINUTE, SECOND, START, TERMS, End, Line, terms

OTHER = "0" * 64
SLOT = "2022-11-29T08:00:00.000Z"
MISSED = f"heartbeat_missed/{SLOT}"


def watching(*, quiet: bool = True, shadowed: bool = True) -> tuple[End, Peer, Peer]:
    """Return a watch alone, and both scripted parties."""
    opened = terms(four_eyes=())
    end = End(Observer.new(opened.link), quiet=quiet, shadowed=shadowed)
    end.start(opened=opened)
    end.transcript.clear()
    return end, Peer("eucom", opened), Peer("ndmc", opened)


def state_of(end: End, reference: str) -> str:
    return str(end.core.state.alerts[reference].state)


def line_tests(end: End) -> dict[str, str]:
    return {view.reference: str(view.state) for view in end.core.snapshot().tests}


@pytest.mark.parametrize("channel", ["message", "receipt"])
def test_a_party_speaks_on_its_own_topic_only(channel: str) -> None:
    """SPEC F3.7: what `eucom` has signed is its own word, whatever sender it names."""
    end, _eucom, ndmc = watching()
    frame = ndmc.sends(ndmc.says(an_alert())) if channel == "message" else ndmc.receipts(0, OTHER)
    play(
        end,
        arrives(frame._replace(sender="eucom")),
        "RejectFrame wrong_sender",
        "RaiseAlarm bad_frames/eucom",
    )
    assert end.core.state.alerts == {}


# --- the same rules -----------------------------------------------------------------------------------------------


def test_the_watch_sees_what_both_sides_see_and_says_nothing() -> None:
    """SPEC W6"""
    line = Line(watch=True)
    assert (
        Playbook(line)
        >> wait(10 * MINUTE)
        << "eucom: Queue 1 heartbeat"
        << "eucom: Seal message 1"
        >> settle()
        << "ndmc: Apply 1 heartbeat"
        << "ndmc: Notify message/eucom/1/1"
        << "ndmc: Seal receipt, receipt 1"
        << "watch: Apply 1 heartbeat"
        << "eucom: Settle 1"
        >> on("eucom", alert())
        << "eucom: Queue 2 alert"
        << "eucom: Seal message 2"
        >> on("ndmc", answer("eucom/1/1"))
        << "ndmc: Queue 1 heartbeat_answer"
        << "ndmc: Seal message 1"
        >> settle()
        << "ndmc: Apply 2 alert"
        << "ndmc: Notify message/eucom/1/2"
        << "ndmc: Seal receipt, receipt 2"
        << "watch: Apply 2 alert"
        << "eucom: Apply 1 heartbeat_answer"
        << "eucom: Notify message/ndmc/1/1"
        << "eucom: Seal receipt, receipt 1"
        << "watch: Apply 1 heartbeat_answer"
        << "eucom: Settle 2"
        << "ndmc: Settle 1"
        >> on("ndmc", acknowledge("eucom/1/2"))
        << "ndmc: Queue 2 acknowledgement"
        << "ndmc: Seal message 2"
        >> settle()
        << "eucom: Apply 2 acknowledgement"
        << "eucom: Notify message/ndmc/1/2"
        << "eucom: Seal receipt, receipt 2"
        << "watch: Apply 2 acknowledgement"
        << "ndmc: Settle 2"
    )
    seen = [end.core.snapshot() for end in line.ends.values()]
    assert [{view.slot: view.state for view in each.slots} for each in seen[1:]] == [
        {view.slot: view.state for view in seen[0].slots}
    ] * 2
    assert {tuple((view.reference, view.state) for view in each.tests) for each in seen} == {
        (("eucom/1/1", "answered"),)
    }
    assert {tuple((view.reference, view.state) for view in each.alerts) for each in seen} == {
        (("eucom/1/2", "understood"),)
    }
    assert line.ends["watch"].outgoing == []
    assert not any(each.alarms for each in seen)


def test_a_dead_endpoint_is_noticed_from_outside() -> None:
    """SPEC W6, W1.2"""
    line = Line(watch=True)
    line.eucom.crash()
    play(line, wait(25 * MINUTE), f"ndmc: RaiseAlarm {MISSED}", f"watch: RaiseAlarm {MISSED}")


def test_a_dead_answering_side_is_noticed_from_outside() -> None:
    """SPEC W6, W2.1"""
    line = Line(watch=True)
    line.ndmc.crash()
    line.world.wait(10 * MINUTE)
    line.settle()
    line.world.wait(15 * MINUTE)
    assert "heartbeat_unreceipted/eucom/1/1" in line.ends["watch"].alarms
    line.ndmc.start()
    line.eucom.happens((TransportLost, {"reason": "x"}), (TransportConnected, {}))
    line.settle()
    assert line.ends["watch"].alarms == []
    line.world.wait(10 * MINUTE)
    assert line.ends["watch"].alarms == ["heartbeat_unanswered/eucom/1/1"]


def test_an_alert_that_nobody_acknowledges_is_an_alarm_of_the_watch_too() -> None:
    """SPEC W6, W2.3"""
    end, eucom, ndmc = watching()
    end.receive(eucom.sends(eucom.says(an_alert("flash"))))
    play(end, wait(10 * MINUTE), "RaiseAlarm alert_unacknowledged/eucom/1/1")
    end.receive(ndmc.sends(ndmc.says(an_acknowledgement(ref(1)))))
    assert end.alarms == []


def test_a_message_that_a_rule_of_the_policy_refuses_has_no_effect_here_either() -> None:
    """SPEC W6, M7.1"""
    end, eucom, _ndmc = watching()
    play(
        end,
        arrives(eucom.sends(eucom.says(an_alert(category="airspace_operation")), eucom.says({"type": "gesture"}))),
        "Apply 1 alert, refused: out_of_scope",
        "Apply 2 gesture, refused: unsupported",
    )
    assert not end.core.state.alerts


def test_no_party_can_close_what_is_the_others_to_close() -> None:
    """SPEC W6, B6.3: or the one that lies would make the watch say 'fine'."""
    end, eucom, ndmc = watching()
    end.receive(eucom.sends(eucom.says(an_alert("flash")), eucom.says(a_heartbeat())))
    end.receive(ndmc.receipts(2, eucom.head))
    end.transcript.clear()
    play(
        end,
        arrives(
            eucom.sends(
                eucom.says(an_acknowledgement(ref(1))), eucom.says(a_refusal(ref(1))), eucom.says(an_answer(ref(2)))
            )
        ),
        "Apply 3 acknowledgement, refused: unknown_reference",
        "Apply 4 refusal, refused: unknown_reference",
        "Apply 5 heartbeat_answer, refused: unknown_reference",
    )
    play(
        end,
        arrives(ndmc.sends(ndmc.says(an_alert(change={"of": ref(1), "kind": "cancellation"})))),
        "Apply 1 alert, refused: unknown_reference",
    )
    assert state_of(end, "eucom/1/1") == "received"
    assert line_tests(end) == {"eucom/1/2": "received"}


# --- receipts -----------------------------------------------------------------------------------------------------


def test_a_receipt_may_arrive_before_what_it_covers() -> None:
    """SPEC W6: the two topics have no order between them."""
    end, eucom, ndmc = watching()
    one, two = eucom.says(an_alert()), eucom.says(a_heartbeat())
    play(end, arrives(ndmc.receipts(2, eucom.head)))
    play(end, arrives(eucom.sends(one, two)), "Apply 1 alert", "Apply 2 heartbeat")
    assert state_of(end, "eucom/1/1") == "received"
    assert line_tests(end) == {"eucom/1/2": "received"}
    play(end, wait(15 * MINUTE), "RaiseAlarm heartbeat_unanswered/eucom/1/2")


def test_a_receipt_that_contradicts_what_was_seen_is_a_fork() -> None:
    """SPEC W6, R3.1"""
    end, eucom, ndmc = watching()
    end.receive(eucom.sends(eucom.says(an_alert()), eucom.says(an_alert())))
    play(end, arrives(ndmc.receipts(1, OTHER)), "RaiseAlarm fork/ndmc")
    play(end, arrives(ndmc.receipts(2, OTHER)))
    assert state_of(end, "eucom/1/1") == "sent"
    # riding ones count as well
    claim = {"upto": 2, "head": eucom.head, "at": "2022-11-29T07:50:00.000Z"}
    play(end, arrives(ndmc.sends(ndmc.says(an_alert()), receipt=claim)), "Apply 1 alert")
    assert state_of(end, "eucom/1/2") == "received"


# --- gaps ---------------------------------------------------------------------------------------------------------


def test_a_watch_that_joins_late_begins_where_it_is() -> None:
    """SPEC W6"""
    end, eucom, _ndmc = watching()
    messages = [eucom.says(an_alert()) for _ in range(3)]
    play(end, arrives(eucom.sends(messages[2])), "Apply 3 alert")
    # what came before it is nothing new
    play(end, arrives(eucom.sends(*messages)))
    assert end.core.snapshot().theirs["eucom"].last == 3


def test_a_gap_is_noted_as_blindness_and_the_watch_goes_on() -> None:
    """SPEC W6"""
    end, eucom, ndmc = watching()
    messages = [eucom.says(an_alert()) for _ in range(AHEAD_MAX + 10)]
    end.receive(eucom.sends(messages[0]))
    end.transcript.clear()
    play(
        end,
        arrives(eucom.sends(*messages[-2:])),
        "RaiseAlarm watch_blind/eucom/2-264",
        "ClearAlarm watch_blind/eucom/2-264",
        "Apply 265 alert",
        "Apply 266 alert",
    )
    play(end, arrives(ndmc.receipts(266, eucom.head)))
    play(end, arrives(eucom.sends(*messages[-1:], eucom.says(an_alert()))), "Apply 267 alert")
    assert state_of(end, "eucom/1/266") == "received"


def test_a_gap_of_one_message_is_a_gap() -> None:
    """SPEC W6"""
    end, eucom, _ndmc = watching()
    messages = [eucom.says(an_alert()) for _ in range(3)]
    end.receive(eucom.sends(messages[0]))
    play(
        end,
        arrives(eucom.sends(messages[2])),
        "RaiseAlarm watch_blind/eucom/2-2",
        "ClearAlarm watch_blind/eucom/2-2",
        "Apply 3 alert",
    )


def test_equivocation_is_seen_from_outside() -> None:
    """SPEC W6, M5.1, M5.2"""
    end, eucom, ndmc = watching()
    two_faced = Peer("eucom", eucom.terms)
    end.receive(eucom.sends(eucom.says(an_alert())))
    end.transcript.clear()
    play(
        end,
        arrives(two_faced.sends(two_faced.says(an_alert("flash")))),
        "RaiseAlarm equivocation/eucom",
        "RejectFrame direction_stopped",
    )
    play(end, arrives(eucom.sends(eucom.says(an_alert()))), "RejectFrame direction_stopped")
    play(end, arrives(ndmc.sends(ndmc.says(an_alert()))), "Apply 1 alert")


def test_an_equivocation_behind_a_gap_is_seen_too() -> None:
    """SPEC W6, M5.1"""
    end, eucom, _ndmc = watching()
    messages = [eucom.says(an_alert()) for _ in range(5)]
    end.receive(eucom.sends(messages[3]))
    two_faced = Peer("eucom", eucom.terms)
    for _ in range(2):
        two_faced.says(an_alert())
    end.transcript.clear()
    play(
        end,
        arrives(two_faced.sends(two_faced.says(an_alert("flash")), *messages[3:])),
        "RaiseAlarm equivocation/eucom",
        "RejectFrame direction_stopped",
    )


# --- its own life -------------------------------------------------------------------------------------------------


def test_the_watch_seals_nothing() -> None:
    """SPEC W6"""
    end, eucom, _ndmc = watching()
    end.receive(eucom.sends(eucom.says(an_alert("flash"))))
    end.world.at += HOUR
    play(
        end,
        event(BatchClosed, frames=(b"{}",)),
        "refused: wrong_frames",
        "RaiseAlarm alert_unacknowledged/eucom/1/1, since 08:00:00.000Z",
    )
    play(end, alert(), "refused: unexpected_event")
    play(end, acknowledge("eucom/1/1"), "refused: unexpected_event")
    play(end, see("alert_unacknowledged", "eucom/1/1"))


def test_only_the_two_parties_are_listened_to() -> None:
    """SPEC W6, F3.7"""
    end, eucom, _ndmc = watching()
    frame = eucom.sends(eucom.says(an_alert()))
    play(end, arrives(frame._replace(sender="ndmc")), "RejectFrame wrong_sender", "RaiseAlarm bad_frames/ndmc")
    stranger = eucom.sends(eucom.says(an_alert()), sender="third", recipient="ndmc")._replace(sender="third")
    play(end, arrives(stranger), "RejectFrame wrong_sender", "RaiseAlarm bad_frames/third")
    play(
        end,
        arrives(eucom.frame("message", floor=0, messages=[eucom.says({})], recipient="eucom")),
        "RejectFrame wrong_recipient",
        "RaiseAlarm bad_frames/eucom",
    )


def test_a_party_of_other_terms_is_an_alarm_and_gets_no_answer() -> None:
    """SPEC W6, E3"""
    end, eucom, _ndmc = watching()
    play(
        end,
        arrives(eucom.sends(eucom.says(an_alert()), epoch=2)),
        "RaiseAlarm policy_mismatch/eucom",
        "RejectFrame wrong_epoch",
    )
    play(end, arrives(eucom.sends(eucom.says(an_alert()), policy=OTHER)), "RejectFrame wrong_policy")
    assert end.outgoing == []


def test_a_new_epoch_begins_anew_for_the_watch() -> None:
    """SPEC W6, E2.1"""
    end, eucom, ndmc = watching()
    end.receive(eucom.sends(eucom.says(an_alert())))
    end.receive(ndmc.sends(ndmc.says(an_alert())))
    end.receive(ndmc.receipts(1, OTHER))
    assert end.alarms == ["fork/ndmc"]
    end.crash()
    opened = terms(2)
    end.start(opened=opened)
    assert end.alarms == []
    there = Peer("eucom", opened)
    end.transcript.clear()
    play(end, arrives(there.sends(there.says(an_alert("priority")))), "Apply 1 alert")
    assert state_of(end, "eucom/2/1") == "sent"


def test_presence_of_both_parties_is_a_hint() -> None:
    """SPEC W6, W3"""
    end, _eucom, _ndmc = watching()
    for party in ("eucom", "ndmc"):
        end.happens(*event(PeerPresenceChanged, party=party, present=False).happenings)
    play(end, wait(5 * SECOND), "RaiseAlarm peer_disconnected/eucom", "RaiseAlarm peer_disconnected/ndmc")
    assert {alarm.severity for alarm in end.core.snapshot().alarms} == {"warning"}
    play(end, event(PeerPresenceChanged, party="ndmc", present=True), "ClearAlarm peer_disconnected/ndmc")


def test_a_watch_of_terms_that_are_none_is_refused() -> None:
    """SPEC E1.1"""
    end, _eucom, _ndmc = watching()
    both = Terms(link="eucom-ndmc", epoch=2, caller="eucom", answering="eucom", policy=TERMS.policy)
    play(end, event(EpochOpened, terms=both), "refused: wrong_side")


def test_what_was_blind_in_the_watch_is_one_record() -> None:
    """SPEC W6, W5.2"""
    end, _eucom, _ndmc = watching(quiet=False)
    end.crash()
    end.world.wait(3 * HOUR)
    end.start()
    (record,) = [alarm for alarm in end.core.snapshot().alarms if alarm.code == "watch_blind"]
    assert SLOT in record.detail


# --- bounds: what a party that lies can do ------------------------------------------------------------------------


@pytest.mark.parametrize("slot", ["9999-12-31T23:59:59.999Z", "2500-01-01T00:00:00.000Z", "0001-01-01T00:00:00.000Z"])
def test_a_slot_far_away_neither_stops_the_watch_nor_puts_the_receipt_off(slot: str) -> None:
    """SPEC W6, W2.1"""
    end, eucom, _ndmc = watching()
    play(end, arrives(eucom.sends(eucom.says(a_heartbeat(slot)))), "Apply 1 heartbeat")
    end.world.wait(16 * MINUTE + 1)
    assert end.alarms == ["heartbeat_unreceipted/eucom/1/1"]


def test_a_flood_of_alerts_or_tests_is_bounded() -> None:
    """SPEC W6"""
    end, eucom, _ndmc = watching(shadowed=False)
    turn = Turn(end.at, 0, [], 5)
    for seq in range(OPEN_MAX):
        end.epoch.alerts.opened(
            turn, Reference("eucom", 1, 1_000_000 + seq), convert(an_alert(), Alert), written(START), received=False
        )
    end.transcript.clear()
    play(end, arrives(eucom.sends(eucom.says(an_alert()))), "Apply 1 alert, refused: not_permitted")
    for _ in range(20):
        end.receive(eucom.sends(*[eucom.says(a_heartbeat()) for _ in range(20)]))
    assert len(line_tests(end)) == 64
    assert len(end.core.state.deadlines.armed) == OPEN_MAX + 64


def test_a_party_far_ahead_of_itself_only_hurts_its_own_stream() -> None:
    """SPEC W6"""
    end, eucom, ndmc = watching()
    far = eucom.says(an_alert(), seq=2**53 - 1)
    play(end, arrives(eucom.sends(far)), f"Apply {2**53 - 1} alert")
    play(end, arrives(ndmc.receipts(2**53 - 1, OTHER)), "RaiseAlarm fork/ndmc")
    play(end, arrives(ndmc.sends(ndmc.says(an_alert()))), "Apply 1 alert")


def test_the_hashes_of_a_stream_are_bounded_in_the_watch() -> None:
    """SPEC W6, M5.3"""
    end, eucom, _ndmc = watching(shadowed=False)
    for _ in range(HASHES_KEPT // 200 + 2):
        end.receive(eucom.sends(*[eucom.says({"type": "refusal"}) for _ in range(200)]))
    assert isinstance(end.core, Observer)
    assert end.core.state.epoch is not None
    stream = end.core.state.epoch.streams["eucom"]
    assert len(stream.hashes) == HASHES_KEPT
    assert not stream.ahead


def test_a_watch_without_an_epoch_has_no_view() -> None:
    with pytest.raises(LocalProtocolError) as refused:
        Observer.new("eucom-ndmc").snapshot()
    assert refused.value.code == "no_epoch"


def test_a_change_that_a_side_refuses_has_no_effect_at_the_watch() -> None:
    """SPEC W2.3, W6: the watch does not keep what may be referred to, but sees the refusal."""
    end, eucom, ndmc = watching()
    said = [an_alert(), *(an_alert(change={"of": ref(1), "kind": kind}) for kind in ("update", "cancellation"))]
    end.receive(eucom.sends(*[eucom.says(body) for body in said]))
    by_service = {"type": "refusal", "by": "service", "reason": "unknown_reference"}
    # the second change, as of an alert that was changed; the first one stands
    end.receive(ndmc.sends(ndmc.says(by_service | {"of": ref(3)})))
    assert [state_of(end, f"eucom/1/{seq}") for seq in (1, 2, 3)] == ["changed", "sent", "refused"]
    end.receive(ndmc.sends(ndmc.says(by_service | {"of": ref(2)})))
    assert [state_of(end, f"eucom/1/{seq}") for seq in (1, 2, 3)] == ["received", "refused", "refused"]
    # a change of an alert that the watch has never seen
    end.receive(eucom.sends(eucom.says(an_alert(change={"of": ref(9), "kind": "update"}))))
    end.receive(ndmc.sends(ndmc.says(by_service | {"of": ref(4)})))
    assert state_of(end, "eucom/1/4") == "refused"


def test_the_watch_refuses_a_message_above_the_limit() -> None:
    """SPEC F6.2, W6"""
    end, eucom, _ = watching()
    body = an_alert(text=dict.fromkeys(("en", "ru"), "𝄞" * 4_000) | {"de": "𝄞" * 4_000})
    end.receive(eucom.sends(eucom.says(body)))
    assert "Apply 1 alert, refused: unsupported" in end.transcript


def test_an_older_acknowledgement_of_an_alarm_that_was_not_raised_is_passed_over() -> None:
    """Rules 1 to 3 raised `peer_disconnected` at once, and an officer may have acknowledged it: SPEC W3.1."""
    end, _eucom, _ndmc = watching()
    seen = AlarmAcknowledged(
        at=end.at, mono=end.mono, request="x", officer="duty-1", code="peer_disconnected", subject="eucom"
    )
    with pytest.raises(LocalProtocolError, match="there is no alarm peer_disconnected/eucom"):
        end.core.handle(seen)
    assert end.core.handle(seen, rules=3) == ()
    assert end.core.reference_of("x") == "peer_disconnected/eucom"
