"""Alerts, from the officer who writes one to the officer who acknowledges it (SPEC B3, B4, B5, P1, W2.3)."""

from typing import Any

import pytest
from msgspec import UNSET, convert

from protocol.core.alerts import CLOSED_KEPT, OPEN_MAX
from protocol.core.deadlines import Turn
from protocol.core.drafts import DRAFTS_MAX
from protocol.core.effects import Queue
from protocol.core.events import SpaceLow, SpaceOk, TransportConnected, TransportLost
from protocol.core.officer_requests import CANCELLATIONS_KEPT, STANDING_CANCELLATION
from protocol.core.start_events import EpochOpened
from protocol.core.stream import OUTBOX_MAX_MESSAGES
from protocol.wire.instants import written
from protocol.wire.messages import Acknowledgement, Alert, Reference
from protocol.wire.policy import Channel
from tests.support.cast import (
    Peer,
    a_refusal,
    acknowledge,
    alert,
    an_acknowledgement,
    an_alert,
    arrives,
    cancel,
    ref,
    refuse,
    release,
    test_line,
)
from tests.support.playbook import Cue, Playbook, crash, deliver, event, on, play, settle, start, wait
from tests.support.world import HOUR, MINUTE, SECOND, START, TERMS, End, Line, terms

LOST = event(TransportLost, reason="gone")
BACK = event(TransportConnected)
LOW, OK = event(SpaceLow, free_bytes=1), event(SpaceOk, free_bytes=1 << 30)


def caller(*, shadowed: bool = True, **changes: Any) -> End:
    """Return the caller's end of a link without slots."""
    opened = terms(**changes)
    return End.started("eucom", opened, quiet=True, shadowed=shadowed)


def quiet_line(**changes: Any) -> Line:
    return Line(terms(**changes), quiet=True)


def state_of(end: End, reference: str) -> str:
    opened = end.core.state.alerts.get(reference)
    return str(opened.state) if opened else "forgotten"


def states(line: Line, reference: str) -> tuple[str, str]:
    return state_of(line.eucom, reference), state_of(line.ndmc, reference)


def passed(line: Line, *cues: Cue) -> None:
    """Let things happen, and everything arrive."""
    for cue in cues:
        cue.act(line)
        line.settle()


# --- the way of an alert ------------------------------------------------------------------------------------------


def test_an_alert_is_sent_received_and_acknowledged() -> None:
    """SPEC B3.1, B4.1, W2.3, R1.3"""
    line = quiet_line()
    play(line, on("eucom", alert()), "eucom: Queue 1 alert", "eucom: Seal message 1")
    assert states(line, "eucom/1/1") == ("sent", "forgotten")
    line.settle()
    assert states(line, "eucom/1/1") == ("received", "received")
    play(line, on("ndmc", acknowledge("eucom/1/1")), "ndmc: Queue 1 acknowledgement", "ndmc: Seal message 1")
    play(
        line,
        settle(),
        "eucom: Apply 1 acknowledgement",
        "eucom: Notify message/ndmc/1/1",
        "eucom: Seal receipt, receipt 1",
        "ndmc: Settle 1",
    )
    assert states(line, "eucom/1/1") == ("understood", "understood")
    view = line.eucom.core.snapshot().alerts[0]
    assert view.due_at is None
    assert view.reply is not None


def test_an_acknowledgement_brings_the_officers_words_and_the_hour_at_which_the_alert_came() -> None:
    """SPEC B4.1"""
    line = quiet_line()
    line.eucom.happens(*alert().happenings)
    line.settle()
    line.ndmc.happens(*acknowledge("eucom/1/1", text={"ru": "Понял."}).happenings)
    line.settle()
    for end in (line.eucom, line.ndmc):
        (view,) = end.core.snapshot().alerts
        assert view.reply is not None
        assert view.reply.text == {"ru": "Понял."}
        assert view.received_at == written(START)


@pytest.mark.parametrize(
    ("precedence", "due_s"), [("flash", 600), ("immediate", 1_800), ("priority", 10_800), ("routine", 21_600)]
)
def test_an_alert_has_the_handling_deadline_of_its_precedence_on_both_sides(precedence: str, due_s: int) -> None:
    """SPEC W2.3"""
    line = quiet_line(four_eyes=())
    play(line, on("eucom", alert(precedence)), "eucom: Queue 1 alert", "eucom: Seal message 1")
    line.world.wait(500)
    line.settle()
    line.world.wait(due_s * SECOND - 501)
    assert not [alarm for alarm in line.eucom.core.snapshot().alarms if alarm.code == "alert_unacknowledged"]
    line.world.wait(1)
    (raised,) = [alarm for alarm in line.eucom.core.snapshot().alarms if alarm.code == "alert_unacknowledged"]
    assert raised.subject == "eucom/1/1"
    assert raised.raised_at == written(START + due_s * SECOND)
    # the answering side counts from the arrival
    assert not [alarm for alarm in line.ndmc.core.snapshot().alarms if alarm.code == "alert_unacknowledged"]
    line.world.wait(500)
    (raised,) = [alarm for alarm in line.ndmc.core.snapshot().alarms if alarm.code == "alert_unacknowledged"]
    assert raised.raised_at == written(START + due_s * SECOND + 500)


def test_a_late_acknowledgement_clears_the_alarm() -> None:
    """SPEC W2.3, W4"""
    line = quiet_line(four_eyes=())
    passed(line, on("eucom", alert("flash")))
    play(
        line,
        wait(10 * MINUTE),
        "eucom: RaiseAlarm alert_unacknowledged/eucom/1/1",
        "ndmc: RaiseAlarm alert_unacknowledged/eucom/1/1",
    )
    play(
        line,
        on("ndmc", acknowledge("eucom/1/1", "acting")),
        "ndmc: Queue 1 acknowledgement",
        "ndmc: ClearAlarm alert_unacknowledged/eucom/1/1",
        "ndmc: Seal message 1",
    )
    play(
        line,
        settle(),
        "eucom: Apply 1 acknowledgement",
        "eucom: ClearAlarm alert_unacknowledged/eucom/1/1",
        "eucom: Notify message/ndmc/1/1",
        "eucom: Seal receipt, receipt 1",
        "ndmc: Settle 1",
    )
    assert states(line, "eucom/1/1") == ("acting", "acting")


def test_will_reply_arms_the_deadline_again_and_again() -> None:
    """SPEC B4.2"""
    line = quiet_line(four_eyes=())
    passed(line, on("eucom", alert("flash")), wait(9 * MINUTE), on("ndmc", acknowledge("eucom/1/1", "will_reply")))
    play(line, wait(9 * MINUTE))
    passed(line, on("ndmc", acknowledge("eucom/1/1", "will_reply")))
    play(line, wait(9 * MINUTE))
    play(
        line,
        wait(MINUTE),
        "eucom: RaiseAlarm alert_unacknowledged/eucom/1/1",
        "ndmc: RaiseAlarm alert_unacknowledged/eucom/1/1",
    )
    (alarm,) = [each for each in line.eucom.core.snapshot().alarms if each.code == "alert_unacknowledged"]
    assert "promise to reply" in alarm.detail
    passed(line, on("ndmc", acknowledge("eucom/1/1")))
    play(line, wait(HOUR))
    # what was understood can be promised a reply to: open again
    passed(line, on("ndmc", acknowledge("eucom/1/1", "will_reply")))
    assert states(line, "eucom/1/1") == ("will_reply", "will_reply")
    play(
        line,
        wait(10 * MINUTE),
        "eucom: RaiseAlarm alert_unacknowledged/eucom/1/1",
        "ndmc: RaiseAlarm alert_unacknowledged/eucom/1/1",
    )


def test_an_officer_refuses_with_a_referral() -> None:
    """SPEC B5.1, B5.2"""
    channels = (Channel(id="ministers", name={"en": "Ministers"}),)
    line = quiet_line(channels=channels)
    passed(line, on("eucom", alert()))
    play(line, on("ndmc", refuse("eucom/1/1", referral="elders")), "ndmc: refused: unknown_reference")
    play(line, on("ndmc", refuse("eucom/1/1", text={"fr": "non"})), "ndmc: refused: unintelligible")
    passed(line, on("ndmc", refuse("eucom/1/1", referral="ministers")))
    assert states(line, "eucom/1/1") == ("refused", "refused")
    play(line, on("ndmc", acknowledge("eucom/1/1")), "ndmc: refused: already_done")
    play(line, on("ndmc", refuse("eucom/1/1")), "ndmc: refused: already_done")
    reply = line.eucom.core.snapshot().alerts[0].reply
    assert getattr(reply, "referral", None) == "ministers"


def test_only_the_other_sides_open_alerts_are_acknowledged() -> None:
    """SPEC B4.1, B6.3"""
    line = quiet_line()
    passed(line, on("eucom", alert()), on("eucom", test_line()))
    for of in ("eucom/1/9", "eucom/2/1", "eucom/1/2", "ndmc/1/1"):
        play(line, on("ndmc", acknowledge(of)), "ndmc: refused: unknown_reference")
        play(line, on("ndmc", refuse(of)), "ndmc: refused: unknown_reference")
    play(line, on("eucom", acknowledge("eucom/1/1")), "eucom: refused: unknown_reference")


def test_a_service_refuses_an_alert_and_both_sides_know() -> None:
    """SPEC M7.2, B5.1"""
    line = quiet_line()
    peer = Peer("eucom", TERMS)
    line.ndmc.receive(peer.sends(peer.says(an_alert(category="airspace_operation"))))
    assert line.transcript[-2:] == ["ndmc: Queue 1 refusal", "ndmc: Seal message 1, receipt 1"]
    assert state_of(line.ndmc, "eucom/1/1") == "forgotten"
    # at the side that sent it: closed
    end = caller()
    end.happens(*alert().happenings)
    there = Peer("ndmc", TERMS)
    body = {"type": "refusal", "of": ref(1), "by": "service", "reason": "out_of_scope"}
    play(
        end,
        arrives(there.sends(there.says(body))),
        "Apply 1 refusal",
        "Notify message/ndmc/1/1",
        "Seal receipt, receipt 1",
    )
    assert state_of(end, "eucom/1/1") == "refused"


# --- what is checked before an alert joins the stream -------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"status": "actual"}, "not_permitted"),
        ({"category": "airspace_operation"}, "out_of_scope"),
        ({"text": {"fr": "x"}}, "unintelligible"),
        ({"expires_at": written(START)}, "expired"),
        ({"expires_at": "2022-13-01T00:00:00.000Z"}, "wrong_instant"),
        ({"event_at": "2022-02-30T00:00:00.000Z"}, "wrong_instant"),
        ({"references": (Reference("eucom", 1, 9),)}, "unknown_reference"),
        ({"references": (Reference("ndmc", 1, 1),)}, "unknown_reference"),
        ({"changes": Reference("eucom", 1, 9), "change_kind": "update"}, "unknown_reference"),
        ({"changes": Reference("eucom", 1, 9)}, "wrong_change"),
        ({"change_kind": "update"}, "wrong_change"),
        ({"text": {"en": "bell \x07"}}, "not_writable"),
        ({"text": {"en": "e\u0301"}}, "not_writable"),
        ({"text": dict.fromkeys(("de", "en", "ru"), "𝄞" * 4_000)}, "too_long"),
        ({"cancellation": {"fr": "non"}}, "unintelligible"),
        ({"cancellation": {"en": "bell \x07"}}, "not_writable"),
        ({"cancellation": dict.fromkeys(("de", "en", "ru"), "𝄞" * 4_000)}, "too_long"),
    ],
)
@pytest.mark.parametrize("precedence", ["routine", "flash"])
def test_what_cannot_be_said_is_refused_where_its_author_still_sits(
    precedence: str, fields: dict[str, Any], code: str
) -> None:
    """SPEC F6.2, B3.2, P1.1, P1.3"""
    play(caller(languages=("de", "en", "ru")), alert(precedence, **fields), f"refused: {code}")


def test_a_body_at_the_limit_as_a_draft_can_be_released_and_cancelled() -> None:
    """SPEC F6.2, P1.1: whatever the second officer's name is, and with the cancellation that is prepared."""
    end, longest = caller(shadowed=False, languages=("de", "en", "pl", "ru")), "z" * 32
    text = {"de": "𝄞" * 4_000, "en": "𝄞" * 4_000}

    def longest_of(name: str) -> dict[str, str]:
        """Return the longest text that is not refused."""
        low, high = 8, 4_000 * 4 + 4_000
        while low < high:
            middle = (low + high + 1) // 2
            tried: Any = text | {"pl": "e" * (middle // 5), "ru": "𝄞" * (middle // 5) + "x" * (middle % 5)}
            end.transcript.clear()
            end.happens(*alert("flash", **{"text": text} | {name: tried}).happenings)
            low, high = (low, middle - 1) if "refused: too_long" in end.transcript else (middle, high)
        return text | {"pl": "e" * (low // 5), "ru": "𝄞" * (low // 5) + "x" * (low % 5)}

    written_text, cancelling = longest_of("text"), longest_of("cancellation")
    end.link.state.officer_requests.drafts.clear()
    end.transcript.clear()
    drafted = end.link.state.officer_requests.last_draft + 1
    assert (
        Playbook(end)
        >> alert("flash", text=written_text, cancellation=cancelling)
        << f"HoldDraft {drafted}"
        >> release(drafted, longest)
        << "Queue 1 alert"
        << "Seal message 1"
        >> cancel("eucom/1/1", longest)
        << "Queue 2 alert"
        << "Seal message 2"
    )


# --- four eyes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precedence", ["flash", "immediate"])
def test_a_held_alert_is_released_by_another_officer(precedence: str) -> None:
    """SPEC P1.1, P1.2"""
    line = quiet_line()
    assert (
        Playbook(line)
        >> on("eucom", alert(precedence))
        << "eucom: HoldDraft 1"
        >> on("eucom", release(1, "watch-1"))
        << "eucom: refused: four_eyes"
        >> on("eucom", release(2))
        << "eucom: refused: unknown_reference"
        >> on("eucom", release(1))
        << "eucom: Queue 1 alert"
        << "eucom: Seal message 1"
        >> on("eucom", release(1))
        << "eucom: refused: already_released"
        >> settle()
        << "ndmc: Apply 1 alert"
        << "ndmc: Notify message/eucom/1/1"
        << "ndmc: Seal receipt, receipt 1"
        << "eucom: Settle 1"
    )
    assert line.ndmc.core.snapshot().alerts[0].alert.released_by == ("watch-1", "watch-2")


def test_an_officer_may_bear_any_name() -> None:
    """SPEC P1.1"""
    for name in ("another", "someone", "z" * 32):
        assert (
            Playbook(caller())
            >> alert("flash", name)
            << "HoldDraft 1"
            >> release(1, "other")
            << ("Queue 1 alert")
            << "Seal message 1"
        )


def test_a_draft_that_expired_is_not_released() -> None:
    """SPEC P1.1"""
    end = caller()
    play(end, alert("flash", expires_at=written(START + HOUR)), "HoldDraft 1")
    end.world.at += HOUR
    # the request comes before the deadline: it changes nothing
    play(end, release(1), "refused: expired", "ExpireDraft 1")
    assert not end.core.snapshot().drafts
    play(end, release(1), "refused: expired")
    play(end, cancel(draft=1))
    play(end, release(1), "refused: already_discarded")


def test_a_draft_can_be_discarded_and_its_number_is_not_used_again() -> None:
    """SPEC P1.1"""
    assert (
        Playbook(caller())
        >> alert("flash")
        << "HoldDraft 1"
        >> cancel(draft=1)
        >> cancel(draft=1)
        << "refused: already_discarded"
        >> cancel()
        << "refused: unknown_reference"
        >> alert("flash")
        << "HoldDraft 2"
    )


@pytest.mark.parametrize("precedence", ["routine", "flash"])
def test_an_alert_without_a_status_has_the_links(precedence: str) -> None:
    """SPEC B3.2: sent at once or held as a draft."""
    given, default = caller(), caller()
    for end, status in ((given, "exercise"), (default, UNSET)):
        raised = alert(precedence, request="request-1", status=status, cancellation={"en": "Disregard it."})
        end.happens(*raised.happenings)
    assert given.state_bytes == default.state_bytes
    if precedence == "flash":
        (draft,) = default.core.snapshot().drafts
        assert (draft.status, draft.cancellation) == ("exercise", {"en": "Disregard it."})
    else:
        (opened,) = default.core.snapshot().alerts
        assert opened.alert.status == "exercise"


def test_a_draft_keeps_the_status_under_which_it_was_written() -> None:
    """SPEC B3.2: no exercise alert becomes an actual one because the next epoch is one."""
    end = caller()
    play(end, alert("flash", status=UNSET), "HoldDraft 1")
    end.happens((EpochOpened, {"terms": terms(2, status="actual")}))
    play(end, release(1), "refused: not_permitted")


def test_drafts_survive_a_restart() -> None:
    """SPEC P1.1"""
    assert (
        Playbook(caller())
        >> alert("flash")
        << "HoldDraft 1"
        >> crash()
        >> start()
        << "Seal receipt, receipt 0"
        >> release(1)
        << "Queue 1 alert"
        << "Seal message 1"
    )


def test_drafts_are_bounded() -> None:
    """SPEC P1.1"""
    end = caller(shadowed=False)
    for _ in range(DRAFTS_MAX):
        end.happens(*alert("flash").happenings)
    play(end, alert("flash"), "refused: too_many_drafts")
    play(end, alert(), "Queue 1 alert", "Seal message 1")


# --- changes ------------------------------------------------------------------------------------------------------


def test_a_cancellation_is_prepared_with_its_alert_and_needs_one_officer() -> None:
    """SPEC P1.3, B3.3"""
    line = quiet_line()
    passed(
        line,
        on("eucom", alert("flash", cancellation={"ru": "Отбой."})),
        on("eucom", release(1)),
        on("eucom", cancel("eucom/1/1", "watch-3")),
    )
    assert states(line, "eucom/1/1") == ("cancelled", "cancelled")
    assert states(line, "eucom/1/2") == ("received", "received")
    cancellation = line.ndmc.core.snapshot().alerts[1].alert
    assert cancellation.text == {"ru": "Отбой."}
    assert cancellation.released_by == ("watch-3",)
    assert cancellation.precedence == "flash"
    play(line, on("eucom", cancel("eucom/1/1")), "eucom: refused: already_done")
    play(line, on("eucom", cancel("eucom/1/2")), "eucom: refused: unknown_reference")
    play(line, on("ndmc", acknowledge("eucom/1/1")), "ndmc: refused: already_done")
    passed(line, on("ndmc", acknowledge("eucom/1/2")))
    play(line, wait(7 * HOUR))


def test_a_cancellation_without_a_text_of_its_own_says_the_standing_one() -> None:
    """SPEC P1.3"""
    line = quiet_line(languages=("de", "en", "ru"))
    passed(line, on("eucom", alert(text={"de": "Achtung.", "ru": "Внимание."})), on("eucom", cancel("eucom/1/1")))
    said = line.ndmc.core.snapshot().alerts[1].alert.text
    assert said == {"de": STANDING_CANCELLATION["en"], "ru": STANDING_CANCELLATION["ru"]}


@pytest.mark.parametrize("kind", ["update", "correction"])
def test_a_change_closes_what_it_changes_and_can_itself_be_changed(kind: str) -> None:
    """SPEC B3.3"""
    line = quiet_line()

    def change(seq: int) -> Cue:
        return alert(changes=Reference("eucom", 1, seq), change_kind=kind)

    passed(line, on("eucom", alert()), on("eucom", change(1)))
    assert states(line, "eucom/1/1") == ("changed", "changed")
    play(line, on("eucom", change(1)), "eucom: refused: already_done")
    play(line, on("eucom", cancel("eucom/1/1")), "eucom: refused: already_done")
    play(line, on("ndmc", acknowledge("eucom/1/1")), "ndmc: refused: already_done")
    passed(line, on("eucom", change(2)))
    assert states(line, "eucom/1/2") == ("changed", "changed")
    passed(line, on("eucom", cancel("eucom/1/3")))
    assert states(line, "eucom/1/3") == ("cancelled", "cancelled")
    passed(line, on("ndmc", acknowledge("eucom/1/4")))
    play(line, wait(7 * HOUR))


@pytest.mark.parametrize("change", ["update", "cancellation"])
@pytest.mark.parametrize(
    "reply", [refuse("eucom/1/1"), acknowledge("eucom/1/1"), acknowledge("eucom/1/1", "will_reply")]
)
def test_a_change_and_a_reply_that_cross_end_alike_on_both_sides(reply: Cue, change: str) -> None:
    """SPEC B3.3"""
    line = quiet_line()
    passed(line, on("eucom", alert()))
    update = alert(changes=Reference("eucom", 1, 1), change_kind="update")
    line.ndmc.happens(*reply.happenings)
    line.eucom.happens(*(update if change == "update" else cancel("eucom/1/1")).happenings)
    line.settle()
    assert states(line, "eucom/1/1") == (("changed",) * 2 if change == "update" else ("cancelled",) * 2)


def refused_by_service(seq: int, reason: str = "not_permitted") -> dict[str, Any]:
    """Return the body with which a service refuses a message of `eucom`."""
    return {"type": "refusal", "of": ref(seq), "by": "service", "reason": reason}


def update_of(seq: int) -> Cue:
    return alert(changes=Reference("eucom", 1, seq), change_kind="update")


def arrive(end: End, peer: Peer, *bodies: dict[str, Any]) -> None:
    """Let messages with these bodies arrive in one frame."""
    end.receive(peer.sends(*[peer.says(body) for body in bodies]))


def test_what_the_other_sides_service_has_refused_is_neither_changed_nor_cancelled() -> None:
    """SPEC B6.3: its officers have never seen it, and its service would refuse the change too."""
    end, peer = caller(), Peer("ndmc")
    end.happens(*alert().happenings)
    arrive(end, peer, refused_by_service(1))
    assert state_of(end, "eucom/1/1") == "refused"
    play(end, cancel("eucom/1/1"), "refused: already_done")
    play(end, update_of(1), "refused: already_done")
    # what an officer has refused was an alert there
    end.happens(*alert().happenings)
    arrive(end, peer, a_refusal(ref(2)))
    play(end, cancel("eucom/1/2"), "Queue 3 alert", "Seal message 3")
    assert state_of(end, "eucom/1/2") == "cancelled"


@pytest.mark.parametrize("change", [cancel("eucom/1/1"), update_of(1)])
def test_a_change_that_crosses_the_refusal_of_its_alert_has_no_effect(change: Cue) -> None:
    """SPEC B6.3, W2.3: both sides end with an alert that was refused."""
    end, peer = caller(), Peer("ndmc")
    end.happens(*alert().happenings)
    end.happens(*change.happenings)
    arrive(end, peer, refused_by_service(1), refused_by_service(2, "unknown_reference"))
    assert [state_of(end, f"eucom/1/{seq}") for seq in (1, 2)] == ["refused", "refused"]
    end.world.wait(7 * HOUR)
    assert not end.alarms


@pytest.mark.parametrize("change", [cancel("eucom/1/1"), update_of(1)])
@pytest.mark.parametrize(
    ("reply", "state"),
    [
        (None, "received"),
        (an_acknowledgement(ref(1)), "understood"),
        (an_acknowledgement(ref(1), "will_reply"), "will_reply"),
        (a_refusal(ref(1)), "refused"),
    ],
)
def test_an_alert_whose_change_was_refused_is_as_before(reply: dict[str, Any] | None, state: str, change: Cue) -> None:
    """SPEC W2.3, M7.1"""
    end, peer = caller(), Peer("ndmc")
    end.happens(*alert().happenings)
    if reply is not None:
        arrive(end, peer, reply)
    end.happens(*change.happenings)
    arrive(end, peer, refused_by_service(2))
    assert [state_of(end, f"eucom/1/{seq}") for seq in (1, 2)] == [state, "refused"]
    # a second refusal of the same message says nothing new
    play(end, cancel("eucom/1/1"), "Queue 3 alert", "Seal message 3")
    arrive(end, peer, refused_by_service(2), a_refusal(ref(2)))
    assert state_of(end, "eucom/1/1") == "cancelled"
    arrive(end, peer, refused_by_service(3))
    assert state_of(end, "eucom/1/1") == state
    end.world.wait(7 * HOUR)
    assert end.alarms == ([] if state in {"understood", "refused"} else ["alert_unacknowledged/eucom/1/1"])


def test_a_change_of_a_change_that_was_refused_has_no_effect_either() -> None:
    """SPEC W2.3, B6.3"""
    end, peer = caller(), Peer("ndmc")
    for cue in (alert(), update_of(1), cancel("eucom/1/2")):
        end.happens(*cue.happenings)
    arrive(end, peer, refused_by_service(2), refused_by_service(3, "unknown_reference"))
    assert [state_of(end, f"eucom/1/{seq}") for seq in (1, 2, 3)] == ["received", "refused", "refused"]


FINAL = {
    "changed": [an_alert(), an_alert(change={"of": ref(1), "kind": "update"})],
    "cancelled": [an_alert(), an_alert(change={"of": ref(1), "kind": "cancellation"})],
    "a cancellation": [an_alert(), an_alert(), an_alert(change={"of": ref(2), "kind": "cancellation"})],
}


@pytest.mark.parametrize("kind", ["update", "correction", "cancellation"])
@pytest.mark.parametrize("what", FINAL)
def test_an_alert_is_changed_once_and_a_cancellation_never(what: str, kind: str) -> None:
    """SPEC B3.3, B6.3: whatever the other side's service admits."""
    end, peer = End.started("ndmc", quiet=True), Peer("eucom")
    arrive(end, peer, *FINAL[what])
    of = len(FINAL[what]) if what == "a cancellation" else 1
    before = state_of(end, f"eucom/1/{of}")
    end.transcript.clear()
    arrive(end, peer, an_alert(change={"of": ref(of), "kind": kind}), an_alert(references=[ref(of)]))
    last = len(FINAL[what])
    assert end.transcript[:3] == [
        f"Apply {last + 1} alert, refused: unknown_reference",
        "Queue 1 refusal",
        f"Apply {last + 2} alert",
    ]
    assert state_of(end, f"eucom/1/{of}") == before
    assert state_of(end, f"eucom/1/{last + 1}") == "forgotten"


def test_a_change_can_be_changed_and_replies_to_the_alert_that_it_closed_are_taken() -> None:
    """SPEC B3.3, B6.3: an acknowledgement may have crossed the change."""
    end, peer = caller(), Peer("ndmc")
    for cue in (alert(), update_of(1), update_of(2), cancel("eucom/1/3")):
        end.happens(*cue.happenings)
    arrive(end, peer, *[an_acknowledgement(ref(seq)) for seq in (1, 2, 3, 4)])
    assert not [line for line in end.transcript if "refused" in line]
    assert [state_of(end, f"eucom/1/{seq}") for seq in (1, 2, 3)] == ["changed", "changed", "cancelled"]
    assert state_of(end, "eucom/1/4") == "understood"


def test_an_acknowledgement_after_a_refusal_changes_nothing() -> None:
    """SPEC W2.3: it is applied all the same."""
    end, peer = caller(), Peer("ndmc")
    end.happens(*alert().happenings)
    arrive(end, peer, a_refusal(ref(1)))
    end.transcript.clear()
    arrive(end, peer, an_acknowledgement(ref(1), "acting"))
    assert end.transcript[0] == "Apply 2 acknowledgement"
    assert state_of(end, "eucom/1/1") == "refused"


def test_an_acknowledgement_shows_that_what_counted_as_undelivered_was_delivered() -> None:
    """SPEC E2.2, B4.1: the receipt was lost, and the epoch with it."""
    line = quiet_line()
    line.eucom.happens(*alert("priority").happenings)
    deliver("eucom").act(line)
    for end in line.ends.values():
        end.outgoing.clear()
        end.crash()
        end.start(opened=terms(2))
    line.settle()
    assert states(line, "eucom/1/1") == ("undelivered", "received")
    passed(line, on("ndmc", acknowledge("eucom/1/1", "will_reply")))
    assert states(line, "eucom/1/1") == ("will_reply", "will_reply")


def test_a_change_needs_two_officers_as_its_alert_did() -> None:
    """SPEC P1.1, P1.3"""
    line = quiet_line()
    passed(line, on("eucom", alert("flash")), on("eucom", release(1)))
    correction = alert("flash", changes=Reference("eucom", 1, 1), change_kind="correction")
    play(line, on("eucom", correction), "eucom: HoldDraft 2")
    # meanwhile it is cancelled: there is nothing to correct any more
    passed(line, on("eucom", cancel("eucom/1/1")))
    play(line, on("eucom", release(2)), "eucom: refused: already_done")


def test_only_ones_own_alerts_are_changed() -> None:
    """SPEC B3.3"""
    line = quiet_line()
    passed(line, on("ndmc", alert()), on("eucom", test_line()))
    for of in (Reference("ndmc", 1, 1), Reference("eucom", 1, 1), Reference("eucom", 1, 2)):
        play(line, on("eucom", alert(changes=of, change_kind="update")), "eucom: refused: unknown_reference")
        play(line, on("eucom", cancel(str(of))), "eucom: refused: unknown_reference")


def test_prepared_cancellations_are_bounded() -> None:
    """SPEC P1.3"""
    end = caller(shadowed=False)
    for _ in range(CANCELLATIONS_KEPT + 10):
        end.happens(*alert(cancellation={"en": "Never mind."}).happenings)
    assert len(end.link.state.officer_requests.cancellations) == CANCELLATIONS_KEPT
    effects = end.happens(*cancel("eucom/1/1").happenings)
    assert isinstance(effects[0], Queue)
    assert effects[0].message.body["text"] == {key: STANDING_CANCELLATION[key] for key in ("en", "ru")}


FAR = 1_000_000
"""A seq that no stream of these worlds reaches."""


def crowd(end: End, sender: str, written_body: dict[str, Any] | None = None) -> None:
    """Let as many alerts of `sender` be open as there is room for."""
    turn = Turn(end.at, end.core.state.deadlines.age, [], 5)
    body = convert(written_body or an_alert(), Alert)
    for seq in range(FAR, FAR + OPEN_MAX):
        if not end.epoch.alerts.has_room(sender, body):
            break
        end.epoch.alerts.opened(turn, Reference(sender, 1, seq), body, written(START), received=True)


# --- when there is no room ----------------------------------------------------------------------------------------


def test_low_space_refuses_new_alerts_and_nothing_else() -> None:
    """SPEC W3: acknowledgements, tests and cancellations go on."""
    line = quiet_line()
    passed(line, on("eucom", alert()), on("ndmc", alert()))
    assert (
        Playbook(line)
        >> on("eucom", LOW)
        << "eucom: RaiseAlarm space_low/journal"
        >> on("eucom", LOW)
        >> on("eucom", alert())
        << "eucom: refused: space_low"
        >> on("eucom", alert(changes=Reference("eucom", 1, 1), change_kind="update"))
        << "eucom: refused: space_low"
        >> on("eucom", acknowledge("ndmc/1/1"))
        << "eucom: Queue 2 acknowledgement"
        << "eucom: Seal message 2"
        >> on("eucom", test_line())
        << "eucom: Queue 3 heartbeat"
        << "eucom: Seal message 3"
        >> on("eucom", cancel("eucom/1/1"))
        << "eucom: Queue 4 alert"
        << "eucom: Seal message 4"
        >> on("eucom", OK)
        << "eucom: ClearAlarm space_low/journal"
        >> on("eucom", alert())
        << "eucom: Queue 5 alert"
        << "eucom: Seal message 5"
    )


def test_a_full_outbox_keeps_room_for_a_cancellation() -> None:
    """SPEC M4.5"""
    end = caller(shadowed=False)
    end.happens(*LOST.happenings)
    end.happens(*alert().happenings)
    end.fill_outbox(OUTBOX_MAX_MESSAGES - 1)
    play(end, alert(), "refused: outbox_full")
    play(end, cancel("eucom/1/1"), "Queue 10001 alert")


def test_open_alerts_are_bounded_and_those_that_are_closed_make_room() -> None:
    """SPEC B6.4, M7.2"""
    end, peer = caller(shadowed=False), Peer("ndmc", TERMS)
    body = an_alert()
    end.receive(peer.sends(*[peer.says(body) for _ in range(10)]))
    crowd(end, "ndmc")
    end.transcript.clear()
    play(
        end,
        arrives(peer.sends(peer.says(body))),
        "Apply 11 alert, refused: not_permitted",
        "Queue 1 refusal",
        "Seal message 1, receipt 11",
    )
    # ours have a limit of their own
    play(end, alert(), "Queue 2 alert", "Seal message 2")
    # what takes the place of another needs no room
    change = {"of": ref(7, "ndmc"), "kind": "update"}
    play(
        end,
        arrives(peer.sends(peer.says(an_alert(change=change)))),
        "Apply 12 alert",
        "Notify message/ndmc/1/12",
        "Seal receipt, receipt 12",
    )
    end.happens(*acknowledge("ndmc/1/5").happenings)
    change = {"of": ref(5, "ndmc"), "kind": "update"}
    play(
        end,
        arrives(peer.sends(peer.says(body), peer.says(an_alert(change=change)))),
        "Apply 13 alert",
        "Notify message/ndmc/1/13",
        "Apply 14 alert, refused: not_permitted",
        "Queue 4 refusal",
        "Seal message 4, receipt 14",
    )
    closed = range(FAR, FAR + 3 * CLOSED_KEPT)
    for seq in closed:
        word = Acknowledgement(of=Reference("ndmc", 1, seq), officer="duty-1", decision="understood")
        end.epoch.alerts.acknowledged(Turn(end.at, 0, [], 5), Reference("eucom", 1, seq), word)
    assert len(end.core.state.alerts) < OPEN_MAX + 2 * CLOSED_KEPT
    assert state_of(end, "ndmc/1/5") == "forgotten"
    assert state_of(end, f"ndmc/1/{closed[-1]}") == "understood"
    play(end, acknowledge("ndmc/1/5"), "refused: unknown_reference")


def test_open_alerts_are_also_bounded_in_bytes() -> None:
    """SPEC B6.4, M7.2: whatever their author makes of them."""
    opened = terms(languages=("de", "en", "pl", "ru"))
    end, peer = caller(shadowed=False, languages=opened.policy.languages), Peer("ndmc", opened)
    large = an_alert(text=dict.fromkeys(opened.policy.languages, "x" * 4_000))
    end.receive(peer.sends(peer.says(large), peer.says(large)))
    crowd(end, "ndmc", large)
    assert len(end.core.state.alerts) < OPEN_MAX / 2
    end.transcript.clear()
    change = {"of": ref(1, "ndmc"), "kind": "update"}
    for _ in range(2):
        end.receive(peer.sends(peer.says(an_alert(change=change))))
        assert end.transcript[0].endswith("alert, refused: not_permitted")
        end.crash()
        end.start()
        end.transcript.clear()
    # one that is closed makes room
    end.happens(*acknowledge("ndmc/1/1").happenings)
    end.transcript.clear()
    end.receive(peer.sends(peer.says(large)))
    assert end.transcript[0].endswith("alert")
    end.receive(peer.sends(peer.says(large)))
    assert end.transcript[3].endswith("alert, refused: not_permitted")


def test_both_sides_agree_on_a_cancellation_of_an_alert_without_room() -> None:
    """SPEC B6.3, B6.4, W2.3: the alert is refused, and so is its cancellation, which was on its way."""
    line = Line(quiet=True, watch=True, shadowed=False)
    crowd(line.ndmc, "eucom")
    crowd(line.end("watch"), "eucom")
    line.eucom.happens(*alert().happenings)
    line.eucom.happens(*cancel("eucom/1/1").happenings)
    line.settle()
    for seq in (1, 2):
        assert states(line, f"eucom/1/{seq}") == ("refused", "forgotten")
        assert state_of(line.end("watch"), f"eucom/1/{seq}") in {"refused", "forgotten"}
    play(line, on("eucom", cancel("eucom/1/1")), "eucom: refused: already_done")
    # the next one has room
    word = Acknowledgement(of=Reference("eucom", 1, FAR), officer="duty-1", decision="understood")
    line.ndmc.epoch.alerts.acknowledged(Turn(line.ndmc.at, 0, [], 5), Reference("ndmc", 1, FAR), word)
    passed(line, on("eucom", alert()), on("eucom", cancel("eucom/1/3")))
    assert states(line, "eucom/1/3") == ("cancelled", "cancelled")


def test_ones_own_open_alerts_are_bounded_though_they_are_receipted() -> None:
    """SPEC M4.5"""
    line = Line(quiet=True, shadowed=False)
    line.eucom.happens(*alert().happenings)
    line.settle()
    crowd(line.eucom, "eucom")
    play(line, on("eucom", alert()), "eucom: refused: too_many_open")
    play(
        line,
        on("eucom", cancel("eucom/1/1")),
        "eucom: Queue 2 alert",
        "eucom: Seal message 2",
    )


def test_requests_are_not_repeated() -> None:
    """SPEC W4: the service asks for the reference that the first one led to."""
    line = quiet_line()
    cue = alert()
    request = str(cue.happenings[0][1]["request"])
    assert line.eucom.core.reference_of(request) is None
    play(line, on("eucom", cue), "eucom: Queue 1 alert", "eucom: Seal message 1")
    play(line, on("eucom", cue), "eucom: refused: repeated_request")
    play(line, on("eucom", crash()))
    play(line, on("eucom", start()), "eucom: Resend 1", "eucom: Seal receipt, receipt 0")
    play(line, on("eucom", cue), "eucom: refused: repeated_request")
    assert line.eucom.core.reference_of(request) == "eucom/1/1"
