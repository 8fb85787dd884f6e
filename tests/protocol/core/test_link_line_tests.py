"""Line tests: slots, calls, receipts, answers (SPEC B1, B2, W1, W2)."""

from typing import Any

import pytest

from protocol.core.events import TransportConnected, TransportLost
from protocol.core.link import Link
from protocol.core.watch import FINISHED_KEPT, RUNNING_MAX
from protocol.wire.instants import parsed, written
from protocol.wire.words import WORDS as LISTS
from tests.support.cast import WORDS, Peer, a_heartbeat, an_answer, answer, arrives, ref, see, test_line
from tests.support.playbook import crash, do, event, lose, on, play, settle, start, wait
from tests.support.world import DAY, HOUR, MINUTE, SECOND, START, TERMS, End, Line, terms

LOST = event(TransportLost, reason="gone")
BACK = event(TransportConnected)
SLOT = "2022-11-29T08:00:00.000Z"
NEXT = "2022-11-29T16:00:00.000Z"
MISSED = f"heartbeat_missed/{SLOT}"


def slots(end: End) -> dict[str, str]:
    """Return the slots that are no longer awaited."""
    return {view.slot: str(view.state) for view in end.core.snapshot().slots if view.state != "awaited"}


def states(end: End) -> dict[str, str]:
    return {view.reference: str(view.state) for view in end.core.snapshot().tests}


def answering(**changes: Any) -> tuple[End, Peer]:
    """Return the answering end, and the scripted caller."""
    opened = terms(**changes)
    return End.started("ndmc", opened), Peer("eucom", opened)


def until(end: End | Line, instant: str, offset: int = 0) -> None:
    """Let time pass until `offset` after an instant."""
    end.world.wait(parsed(instant) + offset - end.world.at)


# --- a day as it should be ----------------------------------------------------------------------------------------


def test_the_callers_service_places_the_slots_test_and_an_officer_answers() -> None:
    """SPEC W1.1, W1.3, W2.1, W2.2, B1.1, B1.3, B2.1"""
    line = Line()
    play(line, wait(10 * MINUTE), "eucom: Queue 1 heartbeat", "eucom: Seal message 1")
    assert line.world.at == parsed(SLOT)
    assert states(line.eucom) == {"eucom/1/1": "placed"}
    play(
        line,
        settle(),
        "ndmc: Apply 1 heartbeat",
        "ndmc: Notify message/eucom/1/1",
        "ndmc: Seal receipt, receipt 1",
        "eucom: Settle 1",
    )
    play(line, on("ndmc", answer("eucom/1/1")), "ndmc: Queue 1 heartbeat_answer", "ndmc: Seal message 1")
    play(
        line,
        settle(),
        "eucom: Apply 1 heartbeat_answer",
        "eucom: Notify message/ndmc/1/1",
        "eucom: Seal receipt, receipt 1",
        "ndmc: Settle 1",
    )
    for end in (line.eucom, line.ndmc):
        assert slots(end) == {SLOT: "met"}
        assert states(end) == {"eucom/1/1": "answered"}
        assert end.core.snapshot().next_slot == NEXT
    heartbeat = line.ndmc.core.snapshot().tests[0].heartbeat
    assert (heartbeat.slot, heartbeat.status, heartbeat.language) == (SLOT, "exercise", "ru")
    assert heartbeat.text == TERMS.policy.test_text
    assert heartbeat.challenge == WORDS
    assert set(WORDS) <= set(LISTS["ru"])
    play(line, wait(HOUR))


# --- slots --------------------------------------------------------------------------------------------------------


def test_a_slot_without_a_test_is_missed_at_its_deadline_and_late_when_it_comes() -> None:
    """SPEC W1.1, W1.2, W4"""
    end, peer = answering()
    until(end, SLOT, 15 * MINUTE - 1)
    assert not slots(end)
    assert not end.alarms
    play(end, wait(1), f"RaiseAlarm {MISSED}")
    assert slots(end) == {SLOT: "missed"}
    play(end, wait(HOUR))
    play(
        end,
        arrives(peer.sends(peer.says(a_heartbeat(SLOT)))),
        "Apply 1 heartbeat",
        f"ClearAlarm {MISSED}",
        "Notify message/eucom/1/1",
        "Seal receipt, receipt 1",
    )
    assert slots(end) == {SLOT: "late"}
    # it stays late, and the alarm stays until an officer acknowledges it
    play(end, see("heartbeat_missed", SLOT))
    assert not end.core.snapshot().alarms


def test_a_missed_deadline_noticed_late_says_when_it_was() -> None:
    """SPEC W1.2, W4"""
    end, _peer = answering()
    end.world.at += HOUR
    play(end, do("wake", end.wake), f"RaiseAlarm {MISSED}, since 08:15:00.000Z")


@pytest.mark.parametrize(
    ("arrival", "state"),
    [
        (-60 * SECOND - 1, None),
        (-60 * SECOND, "met"),
        (0, "met"),
        (15 * MINUTE - 1, "met"),
        (15 * MINUTE, "late"),
    ],
)
def test_a_test_is_in_time_from_the_skew_limit_before_its_slot_to_the_end_of_its_grace(
    arrival: int, state: str | None
) -> None:
    """SPEC W1.1, W1.2"""
    end, peer = answering()
    until(end, SLOT, arrival)
    end.receive(peer.sends(peer.says(a_heartbeat(SLOT))))
    assert slots(end).get(SLOT) == state


def test_a_test_that_came_too_early_does_not_count() -> None:
    """SPEC W1.1"""
    end, peer = answering()
    end.receive(peer.sends(peer.says(a_heartbeat(SLOT))))
    until(end, SLOT, 15 * MINUTE)
    assert slots(end) == {SLOT: "missed"}


def test_a_test_without_slot_counts_for_none() -> None:
    """SPEC B1.1, W1.1"""
    end, peer = answering()
    until(end, SLOT)
    end.receive(peer.sends(peer.says(a_heartbeat())))
    assert not slots(end)


def test_the_next_slots_test_ends_the_alarm_of_one_that_nobody_made_good() -> None:
    """SPEC W1.2, W1.3: a caller who was down over a slot never places its test; the line is proven by the next."""
    end, peer = answering()
    until(end, SLOT, 15 * MINUTE)
    assert end.alarms == [MISSED]
    until(end, NEXT)
    play(
        end,
        arrives(peer.sends(peer.says(a_heartbeat(NEXT)))),
        "Apply 1 heartbeat",
        f"ClearAlarm {MISSED}",
        "Notify message/eucom/1/1",
        "Seal receipt, receipt 1",
    )
    assert slots(end) == {SLOT: "missed", NEXT: "met"}


def test_a_test_that_is_late_ends_no_later_alarm() -> None:
    """SPEC W1.2"""
    end, peer = answering()
    until(end, NEXT, 15 * MINUTE)
    assert end.alarms == [MISSED, f"heartbeat_missed/{NEXT}"]
    end.receive(peer.sends(peer.says(a_heartbeat(SLOT))))
    assert end.alarms == [f"heartbeat_missed/{NEXT}"]


def test_a_year_of_silence_is_bounded() -> None:
    """SPEC W4: an alarm that nothing can clear any more is removed in the end."""
    end, _peer = answering()
    end._shadowed = False
    for _ in range(53):
        end.world.wait(7 * DAY)
        end.plan()
        for alarm in end.core.snapshot().alarms:
            end.happens(*see(alarm.code, alarm.subject).happenings)
    assert len([state for state in slots(end).values() if state == "missed"]) == FINISHED_KEPT
    assert len(end.alarms) == FINISHED_KEPT


# --- placing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("up", "placed"), [(0, True), (15 * MINUTE - 1, True), (15 * MINUTE, False)])
def test_the_callers_service_places_a_test_within_the_grace_and_never_later(up: int, placed: bool) -> None:
    """SPEC W1.3"""
    line = Line()
    line.eucom.crash()
    until(line, SLOT, up)
    line.eucom.start()
    line.world.wait(0)
    assert bool(line.eucom.core.state.watch.tests) == placed
    assert slots(line.eucom) == {SLOT: "met" if placed else "unknown"}


def test_a_test_is_placed_without_a_connection_and_leaves_on_the_next() -> None:
    """SPEC W1.3, W2.1"""
    line = Line()
    line.eucom.happens(*LOST.happenings)
    play(line, wait(10 * MINUTE), "eucom: RaiseAlarm broker_unreachable/broker", "eucom: Queue 1 heartbeat")
    play(line, wait(15 * MINUTE), "eucom: RaiseAlarm heartbeat_unreceipted/eucom/1/1", f"ndmc: RaiseAlarm {MISSED}")
    play(
        line,
        on("eucom", BACK),
        "eucom: ClearAlarm broker_unreachable/broker",
        "eucom: Seal message 1, receipt 0",
    )
    play(
        line,
        settle(),
        "ndmc: Apply 1 heartbeat",
        f"ndmc: ClearAlarm {MISSED}",
        "ndmc: Notify message/eucom/1/1",
        "ndmc: Seal receipt, receipt 1",
        "eucom: Settle 1",
        "eucom: ClearAlarm heartbeat_unreceipted/eucom/1/1",
    )
    assert slots(line.eucom) == {SLOT: "met"}
    assert slots(line.ndmc) == {SLOT: "late"}


def test_where_officers_place_tests_the_first_of_a_slot_takes_it() -> None:
    """SPEC W1.3, B1.1"""
    line = Line(terms(placed_by="officer"))
    play(line, wait(10 * MINUTE), f"eucom: Notify slot/{SLOT}")
    play(line, on("eucom", test_line(officer="watch-1")), "eucom: Queue 1 heartbeat", "eucom: Seal message 1")
    play(line, on("eucom", test_line(officer="watch-1")), "eucom: Queue 2 heartbeat", "eucom: Seal message 2")
    play(line, on("ndmc", test_line(officer="duty-1")), "ndmc: Queue 1 heartbeat", "ndmc: Seal message 1")
    line.settle()
    named = {view.reference: view.heartbeat.slot == SLOT for view in line.ndmc.core.snapshot().tests}
    assert named == {"eucom/1/1": True, "eucom/1/2": False, "ndmc/1/1": False}
    assert slots(line.eucom) == slots(line.ndmc) == {SLOT: "met"}


def test_where_officers_place_tests_and_none_does_the_slot_is_missed_on_both_sides() -> None:
    """SPEC W1.2, W1.3"""
    line = Line(terms(placed_by="officer"))
    told = [f"eucom: Notify slot/{SLOT}{again}" for again in ("", "/1")]
    play(line, wait(25 * MINUTE), *told, f"eucom: RaiseAlarm {MISSED}", f"ndmc: RaiseAlarm {MISSED}")
    # an officer who is late places an unscheduled test: later never
    line.eucom.happens(*test_line().happenings)
    line.settle()
    assert slots(line.ndmc) == {SLOT: "missed"}


def test_every_open_slot_gets_its_test() -> None:
    """SPEC W1.3: also where the next slot begins before the grace of the last one is over."""
    opened = terms(grace_s=20 * 60)
    end = End(Link.new(opened.link, "eucom"))
    end.schedule = lambda after, before: tuple(
        written(instant)
        for instant in range(parsed(SLOT), parsed(SLOT) + HOUR, 5 * MINUTE)
        if after < instant <= before
    )
    end.start(opened=opened)
    end.crash()
    until(end, SLOT, 22 * MINUTE)
    end.start()
    end.transcript.clear()
    play(
        end,
        wait(0),
        *[
            f"{what} {seq}" + kind
            for seq in range(1, 5)
            for what, kind in (("Queue", " heartbeat"), ("Seal message", ""))
        ],
    )
    assert slots(end) == {
        SLOT: "unknown",
        **{written(parsed(SLOT) + minutes * MINUTE): "met" for minutes in (5, 10, 15, 20)},
    }


def test_only_the_caller_names_a_slot() -> None:
    """SPEC B1.2"""
    end, peer = End.started(), Peer()
    until(end, SLOT, -MINUTE)
    play(
        end,
        arrives(peer.sends(peer.says(a_heartbeat(SLOT)))),
        "Apply 1 heartbeat, refused: not_permitted",
        "Queue 1 refusal",
        "Seal message 1, receipt 1",
    )


def test_a_slot_whose_test_finds_no_room_is_tried_again_at_the_next_deadline() -> None:
    """SPEC W1.3, M4.5"""
    line = Line(shadowed=False)
    line.eucom.outbox.stopped = "fork"
    play(line, wait(10 * MINUTE))
    assert not line.eucom.core.state.watch.tests
    line.eucom.outbox.stopped = ""
    play(line, on("eucom", do("a deadline", line.eucom.wake)), "eucom: Queue 1 heartbeat", "eucom: Seal message 1")
    assert slots(line.eucom) == {SLOT: "met"}


def test_a_slot_whose_grace_ended_while_it_settles_gets_no_test() -> None:
    """SPEC W1.3, W5.2: it began in the dark, its deadline was put off, its grace was not."""
    line = Line(shadowed=False)
    line.eucom.crash()
    until(line, SLOT, 15 * MINUTE - 10 * SECOND)
    line.eucom.outbox.stopped = "fork"
    line.eucom.start()
    line.world.wait(0)
    line.eucom.outbox.stopped = ""
    line.world.wait(10 * SECOND)
    line.transcript.clear()
    line.eucom.wake()
    assert line.transcript == []
    line.world.wait(50 * SECOND)
    assert slots(line.eucom)[SLOT] == "missed"


# --- receipts and answers -----------------------------------------------------------------------------------------


def test_the_caller_watches_the_receipt_until_the_end_of_the_grace_and_then_the_answer() -> None:
    """SPEC W2.1"""
    line = Line()
    play(line, wait(10 * MINUTE), "eucom: Queue 1 heartbeat", "eucom: Seal message 1")
    play(line, lose("eucom"))
    line.eucom.happens(*LOST.happenings)
    play(
        line,
        wait(15 * MINUTE),
        "eucom: RaiseAlarm broker_unreachable/broker",
        "eucom: RaiseAlarm heartbeat_unreceipted/eucom/1/1",
        f"ndmc: RaiseAlarm {MISSED}",
    )
    line.eucom.happens(*BACK.happenings)
    line.settle()
    assert line.eucom.alarms == []
    assert states(line.eucom) == {"eucom/1/1": "received"}
    # ten minutes from the receipt, and from the reception
    play(line, wait(10 * MINUTE - 1))
    play(
        line,
        wait(1),
        "eucom: RaiseAlarm heartbeat_unanswered/eucom/1/1",
        "ndmc: RaiseAlarm heartbeat_unanswered/eucom/1/1",
    )
    play(
        line,
        on("ndmc", answer("eucom/1/1")),
        "ndmc: Queue 1 heartbeat_answer",
        "ndmc: ClearAlarm heartbeat_unanswered/eucom/1/1",
        "ndmc: Seal message 1",
    )
    line.settle()
    assert line.eucom.alarms == []
    assert states(line.eucom) == states(line.ndmc) == {"eucom/1/1": "answered_late"}


def test_an_unscheduled_test_waits_for_its_receipt_as_long_as_the_grace() -> None:
    """SPEC W2.1"""
    end = End.started("ndmc", quiet=True)
    end.happens(*test_line().happenings)
    end.happens(*LOST.happenings)
    play(end, wait(15 * MINUTE - 1), "RaiseAlarm broker_unreachable/broker")
    play(end, wait(1), "RaiseAlarm heartbeat_unreceipted/ndmc/1/1")


def test_an_answer_may_come_before_the_receipt() -> None:
    """SPEC W2.1"""
    end, peer = End.started(quiet=True), Peer()
    for minutes in (0, 15):
        end.happens(*test_line().happenings)
        end.world.wait(minutes * MINUTE)
        body = an_answer(ref(end.outbox.last))
        end.receive(peer.sends(peer.says(body)))
    assert states(end) == {"eucom/1/1": "answered", "eucom/1/2": "answered"}
    assert end.alarms == []
    end.world.wait(HOUR)
    assert end.alarms == []


def test_wrong_words_leave_the_test_unanswered() -> None:
    """SPEC B2.3"""
    line = Line()
    line.eucom.happens(*test_line().happenings)
    line.settle()
    wrong = (WORDS[1], WORDS[0], WORDS[2])
    play(line, on("ndmc", answer("eucom/1/1", wrong)), "ndmc: refused: wrong_words")
    # a peer that lets them through does not make it an answer
    peer = Peer()
    line.eucom.receive(peer.sends(peer.says(an_answer(ref(1), wrong))))
    assert line.transcript[-3:] == [
        "eucom: Apply 1 heartbeat_answer",
        "eucom: Notify message/ndmc/1/1",
        "eucom: Seal receipt, receipt 1",
    ]
    assert states(line.eucom) == {"eucom/1/1": "received"}
    line.eucom.receive(peer.sends(peer.says(an_answer(ref(1)))))
    assert states(line.eucom) == {"eucom/1/1": "answered"}


def test_neither_wrong_words_nor_an_answer_of_no_officer_stops_the_clock() -> None:
    """SPEC B2.2, B2.3, W2.1"""
    line, peer = Line(quiet=True), Peer()
    line.eucom.happens(*test_line().happenings)
    line.settle()
    unnamed = {key: value for key, value in an_answer(ref(1)).items() if key != "officer"}
    line.eucom.receive(peer.sends(peer.says(an_answer(ref(1), ("ящик", "ящик", "ящик"))), peer.says(unnamed)))
    assert "eucom: Apply 2 heartbeat_answer, refused: not_permitted" in line.transcript
    assert states(line.eucom) == {"eucom/1/1": "received"}
    line.world.wait(10 * MINUTE)
    assert line.eucom.alarms == ["heartbeat_unanswered/eucom/1/1"]


def test_an_answer_is_given_once_by_the_side_that_was_asked() -> None:
    """SPEC B2.1, B6.3"""
    line = Line()
    line.eucom.happens(*test_line().happenings)
    line.settle()
    play(line, on("eucom", answer("eucom/1/1")), "eucom: refused: unknown_reference")
    play(line, on("ndmc", answer("eucom/1/2")), "ndmc: refused: unknown_reference")
    play(
        line,
        on("ndmc", answer("eucom/1/1", text="Слышу отлично.")),
        "ndmc: Queue 1 heartbeat_answer",
        "ndmc: Seal message 1",
    )
    play(line, on("ndmc", answer("eucom/1/1")), "ndmc: refused: already_done")
    line.settle()
    given = line.eucom.core.snapshot().tests[0].answer
    assert given is not None
    assert (given.text, given.officer) == ("Слышу отлично.", "duty-1")


def test_a_test_supersedes_none_of_the_other_sides() -> None:
    """SPEC W1.4"""
    line = Line(quiet=True)
    for end in (line.eucom, line.ndmc, line.eucom):
        end.happens(*test_line().happenings)
        line.settle()
    wanted = {"eucom/1/1": "superseded", "ndmc/1/1": "received", "eucom/1/2": "received"}
    assert states(line.ndmc) == states(line.eucom) == wanted


def test_of_queued_tests_only_the_newest_needs_an_answer() -> None:
    """SPEC W1.4"""
    line = Line(quiet=True)
    line.eucom.happens(*LOST.happenings)
    for _ in range(3):
        line.eucom.happens(*test_line().happenings)
    line.eucom.happens(*BACK.happenings)
    line.settle()
    wanted = {"eucom/1/1": "superseded", "eucom/1/2": "superseded", "eucom/1/3": "received"}
    assert states(line.ndmc) == states(line.eucom) == wanted
    play(
        line,
        wait(10 * MINUTE),
        "eucom: RaiseAlarm heartbeat_unanswered/eucom/1/3",
        "ndmc: RaiseAlarm heartbeat_unanswered/eucom/1/3",
    )
    # a test of the other side is another matter
    line.ndmc.happens(*test_line().happenings)
    line.settle()
    assert states(line.ndmc)["eucom/1/3"] == "unanswered"
    # an older one may be answered all the same, once
    play(line, on("ndmc", answer("eucom/1/1")), "ndmc: Queue 2 heartbeat_answer", "ndmc: Seal message 2")
    play(line, on("ndmc", answer("eucom/1/1")), "ndmc: refused: already_done")
    # and the answer to a newer one proves the line for all before
    line.eucom.happens(*test_line().happenings)
    line.settle()
    assert line.ndmc.alarms == ["heartbeat_unanswered/eucom/1/3"]
    line.ndmc.happens(*answer("eucom/1/4").happenings)
    line.settle()
    assert line.ndmc.alarms == line.eucom.alarms == []


def test_where_the_service_answers_it_does_so_at_once() -> None:
    """SPEC B2.2"""
    line = Line(terms(answered_by="service"), quiet=True)
    line.eucom.happens(*test_line().happenings)
    play(
        line,
        settle(),
        "ndmc: Apply 1 heartbeat",
        "ndmc: Notify message/eucom/1/1",
        "ndmc: Queue 1 heartbeat_answer",
        "ndmc: Seal message 1, receipt 1",
        "eucom: Settle 1",
        "eucom: Apply 1 heartbeat_answer",
        "eucom: Notify message/ndmc/1/1",
        "eucom: Seal receipt, receipt 1",
        "ndmc: Settle 1",
    )
    given = line.eucom.core.snapshot().tests[0].answer
    assert given is not None
    assert "officer" not in given.__struct_fields__ or not isinstance(given.officer, str)
    play(line, on("ndmc", answer("eucom/1/1")), "ndmc: refused: already_done")


def test_a_service_without_room_for_its_answer_leaves_the_test_unanswered() -> None:
    """SPEC B2.2, M4.5"""
    end, peer = answering(answered_by="service")
    end._shadowed = False
    end.outbox.stopped = "fork"
    play(
        end,
        arrives(peer.sends(peer.says(a_heartbeat()))),
        "Apply 1 heartbeat",
        "Notify message/eucom/1/1",
        "Seal receipt, receipt 1",
    )
    until(end, written(START + 10 * MINUTE))
    assert end.alarms == ["heartbeat_unanswered/eucom/1/1"]


def test_tests_are_bounded_and_what_is_let_go_leaves_no_alarm() -> None:
    """SPEC W1.4, W4"""
    line = Line(quiet=True, shadowed=False)
    for _ in range(FINISHED_KEPT + 10):
        line.eucom.happens(*test_line().happenings)
        line.settle()
        line.world.wait(10 * MINUTE)
    assert len(states(line.ndmc)) == len(states(line.eucom)) == FINISHED_KEPT + 1
    assert len(line.ndmc.alarms) == len(line.eucom.alarms) == FINISHED_KEPT + 1
    # of tests that nobody receipts only the newest wait
    line.ends["ndmc"].running = False
    for _ in range(RUNNING_MAX + 10):
        line.eucom.happens(*test_line().happenings)
    assert len(states(line.eucom)) == FINISHED_KEPT + RUNNING_MAX
    line.world.wait(15 * MINUTE)
    unreceipted = [alarm for alarm in line.eucom.alarms if alarm.startswith("heartbeat_unreceipted")]
    assert len(unreceipted) == RUNNING_MAX


# --- schedules that differ ----------------------------------------------------------------------------------------


def test_a_test_of_a_slot_that_is_none_here_is_a_disagreement_until_one_agrees() -> None:
    """SPEC W3"""
    end, peer = answering()
    until(end, SLOT, HOUR)
    play(
        end,
        arrives(peer.sends(peer.says(a_heartbeat("2022-11-29T09:00:00.000Z")))),
        "Apply 1 heartbeat",
        "RaiseAlarm schedule_disagreement/eucom",
        "Notify message/eucom/1/1",
        "Seal receipt, receipt 1",
    )
    # an unscheduled test says nothing about schedules
    end.receive(peer.sends(peer.says(a_heartbeat())))
    assert "schedule_disagreement/eucom" in end.alarms
    until(end, NEXT)
    end.receive(peer.sends(peer.says(a_heartbeat(NEXT))))
    assert "schedule_disagreement/eucom" not in end.alarms


@pytest.mark.parametrize("slot", ["2022-11-29T07:00:00.000Z", "2023-06-01T08:00:00.000Z", "9999-12-31T23:59:59.999Z"])
def test_a_slot_beyond_what_is_planned_here_is_no_disagreement(slot: str) -> None:
    """SPEC W3"""
    end, peer = answering()
    until(end, SLOT, MINUTE)
    play(
        end,
        arrives(peer.sends(peer.says(a_heartbeat(slot)))),
        "Apply 1 heartbeat",
        "Notify message/eucom/1/1",
        "Seal receipt, receipt 1",
    )


def test_a_test_waits_for_its_answer_across_a_restart() -> None:
    """SPEC W5.1, W2.2"""
    end, peer = answering()
    end.receive(peer.sends(peer.says(a_heartbeat())))
    end.world.wait(5 * MINUTE)
    play(end, crash())
    end.world.wait(2 * MINUTE)
    play(end, start(), "Notify message/eucom/1/1", "Seal receipt, receipt 1")
    play(end, wait(3 * MINUTE), "RaiseAlarm heartbeat_unanswered/eucom/1/1")
