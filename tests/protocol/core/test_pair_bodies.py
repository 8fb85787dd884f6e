"""SPEC B and P: what is said, what is refused, and by whom."""

from typing import Any

import pytest

from protocol.core.effects import Apply, HoldDraft, Queue
from protocol.core.events import (
    OfficerAcknowledged,
    OfficerAnswered,
    OfficerCancelled,
    OfficerRaisedAlert,
    OfficerRefused,
    OfficerReleased,
)
from protocol.core.references import KINDS_KEPT
from protocol.errors import LocalProtocolError
from protocol.wire.messages import Reference
from tests.support.pair import SIDES, WORDS, Pair, Side, terms_with
from tests.vectors import bodies
from tests.vectors.terms import message_frame, stream

Body = dict[str, Any]


@pytest.fixture
def pair() -> Pair:
    pair = Pair()
    pair.carry()
    return pair


def last_body(pair: Pair, side: Side) -> Body:
    """Return what one end said last."""
    return [effect.message.body for effect in pair.effects[side] if isinstance(effect, Queue)][-1]


def reasons(pair: Pair, *said: Body) -> list[object]:
    """Let eucom say bodies, and return why ndmc refuses each."""
    effects = pair.arrive("ndmc", message_frame("eucom", stream("eucom", *said)))
    return [effect.refused or None for effect in effects if isinstance(effect, Apply)]


# --- line tests ---------------------------------------------------------------------------------------------------


def test_a_line_test_says_what_the_policy_says(pair: Pair) -> None:
    """SPEC B1.1, B1.3"""
    pair.test_line()
    assert last_body(pair, "eucom") == {
        "type": "heartbeat",
        "status": "exercise",
        "language": "ru",
        "text": "Проверка линии. Как слышите?",
        "challenge": WORDS,
    }


def test_only_the_caller_names_a_slot_and_both_speak_the_policys_language() -> None:
    """SPEC B1.2"""
    for body, reason in [
        (bodies.HEARTBEAT | {"status": "actual"}, "not_permitted"),
        (bodies.HEARTBEAT | {"language": "fr"}, "unintelligible"),
    ]:
        fresh = Pair()
        fresh.carry()
        assert reasons(fresh, body) == [reason]
    fresh = Pair()
    fresh.carry()
    fresh.arrive("eucom", message_frame("ndmc", stream("ndmc", bodies.HEARTBEAT)))
    fresh.carry()
    assert last_body(fresh, "eucom")["reason"] == "not_permitted"


def test_the_answer_carries_the_words_and_the_officer(pair: Pair) -> None:
    """SPEC B2.1, B2.3"""
    pair.test_line()
    pair.carry()
    of = Reference("eucom", 1, 1)
    with pytest.raises(LocalProtocolError, match="three words"):
        pair.do("ndmc", OfficerAnswered, officer="volkov", of=of, read_back=("ящик", "ящик", "ящик"))
    pair.do("ndmc", OfficerAnswered, officer="volkov", of=of, read_back=WORDS)
    assert last_body(pair, "ndmc")["officer"] == "volkov"
    pair.carry()
    assert pair.state("eucom")["watch"]["tests"]["eucom/1/1"]["state"] == "answered"


def test_other_words_leave_the_test_unanswered(pair: Pair) -> None:
    """SPEC B2.3"""
    pair.test_line()
    pair.carry()
    wrong = bodies.ANSWER | {"read_back": ["ящик", "ящик", "ящик"]}
    pair.arrive("eucom", message_frame("ndmc", stream("ndmc", wrong)))
    assert pair.state("eucom")["watch"]["tests"]["eucom/1/1"]["state"] == "received"
    pair.pass_s(601)
    assert "heartbeat_unanswered/eucom/1/1" in pair.alarms("eucom")


def test_who_answers_is_the_policys_word() -> None:
    """SPEC B2.2"""
    pair = Pair(terms_with(answered_by="service"))
    pair.carry()
    pair.test_line()
    pair.carry()
    assert "officer" not in last_body(pair, "ndmc")
    assert pair.state("eucom")["watch"]["tests"]["eucom/1/1"]["state"] == "answered"
    pair = Pair()
    pair.carry()
    pair.test_line()
    pair.carry()
    unnamed = bodies.without(bodies.ANSWER, "officer") | {"read_back": list(WORDS)}
    pair.arrive("eucom", message_frame("ndmc", stream("ndmc", unnamed)))
    assert last_body(pair, "eucom")["reason"] == "not_permitted"
    assert pair.state("eucom")["watch"]["tests"]["eucom/1/1"]["state"] == "received"


# --- alerts -------------------------------------------------------------------------------------------------------


def test_an_alert_within_the_policy_is_applied_and_told(pair: Pair) -> None:
    """SPEC B3.1, B3.2"""
    pair.alert()
    pair.carry()
    assert pair.applied("ndmc") == [1]
    assert "message/eucom/1/1" in pair.told("ndmc")
    for fields in (
        {"status": "actual"},
        {"category": "air_pursuit"},
        {"text": {"de": "Achtung"}},
    ):
        with pytest.raises(LocalProtocolError):
            pair.alert(**fields)
    assert reasons(
        Pair(),
        bodies.ALERT | {"status": "actual"},
        bodies.ALERT | {"category": "air_pursuit"},
        bodies.ALERT | {"text": {"de": "Achtung"}},
        bodies.ALERT | {"status": "test"},
    ) == ["not_permitted", "out_of_scope", "unintelligible", None]


def test_a_cancellation_closes_its_alert_and_is_none_itself(pair: Pair) -> None:
    """SPEC B3.3, P1.3"""
    reference = pair.alert()
    pair.carry()
    pair.do("eucom", OfficerCancelled, officer="jones", of=reference)
    body = last_body(pair, "eucom")
    assert body["change"] == {"of": {"sender": "eucom", "epoch": 1, "seq": 1}, "kind": "cancellation"}
    pair.carry()
    assert pair.state("ndmc")["alerts"]["eucom/1/1"]["state"] == "cancelled"
    with pytest.raises(LocalProtocolError, match="cancelled already"):
        pair.do("eucom", OfficerCancelled, officer="jones", of=reference)


def test_an_acknowledgement_is_an_officers_and_will_reply_is_not_the_end(pair: Pair) -> None:
    """SPEC B4.1, B4.2"""
    reference = pair.alert()
    pair.carry()
    pair.acknowledge(reference, "will_reply")
    pair.carry()
    assert pair.state("eucom")["alerts"][str(reference)]["state"] == "will_reply"
    pair.pass_s(10_799)
    for side in SIDES:
        assert not [alarm for alarm in pair.alarms(side) if alarm.startswith("alert_unacknowledged")]
    pair.pass_s(2)
    for side in SIDES:
        assert f"alert_unacknowledged/{reference}" in pair.alarms(side)
    pair.acknowledge(reference)
    pair.carry()
    for side in SIDES:
        assert f"alert_unacknowledged/{reference}" not in pair.alarms(side)


def test_a_refusal_refers_to_a_channel_of_the_policy(pair: Pair) -> None:
    """SPEC B5.1, B5.2"""
    reference = pair.alert()
    pair.carry()
    fields = {"officer": "volkov", "of": reference, "reason": "out_of_scope"}
    with pytest.raises(LocalProtocolError, match="defence-ministers"):
        pair.do("ndmc", OfficerRefused, **fields, referral="nobody")
    pair.do("ndmc", OfficerRefused, **fields, referral="defence-ministers")
    pair.carry()
    assert pair.state("eucom")["alerts"][str(reference)]["state"] == "refused"


# --- references ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["eucom", "eucom/1", "eucom/1/0", "eucom/0/1", "EUCOM/1/1", "eucom/1/1/1", "eucom/٢/1", ""]
)
def test_a_reference_is_written_in_one_way(text: str) -> None:
    """SPEC B6.1"""
    assert str(Reference.parse("eucom/1/42")) == "eucom/1/42"
    with pytest.raises(ValueError, match="eucom/1/42"):
        Reference.parse(text)


def test_what_its_sender_cannot_know_is_refused(pair: Pair) -> None:
    """SPEC B6.3"""
    theirs = pair.alert("ndmc")
    pair.lose()  # sealed and sent, as far as ndmc knows

    def acknowledging(**of: Any) -> Body:
        return bodies.ACKNOWLEDGEMENT | {"of": {"sender": theirs.sender, "epoch": 1, "seq": 1} | of}

    assert reasons(
        pair,
        acknowledging(),
        acknowledging(seq=2),
        acknowledging(epoch=2),
        acknowledging(sender="eucom"),
        acknowledging(sender="watch"),
        bodies.HEARTBEAT,
        bodies.ANSWER | {"of": {"sender": "ndmc", "epoch": 1, "seq": 1}},
        bodies.CANCELLATION | {"change": {"of": {"sender": "ndmc", "epoch": 1, "seq": 1}, "kind": "update"}},
        bodies.CANCELLATION | {"change": {"of": {"sender": "eucom", "epoch": 1, "seq": 6}, "kind": "update"}},
        bodies.ALERT | {"references": [{"sender": "eucom", "epoch": 1, "seq": 60}]},
    ) == [None, *["unknown_reference"] * 4, None, *["unknown_reference"] * 4]


def test_the_kinds_of_old_messages_are_forgotten_and_count_as_closed(pair: Pair) -> None:
    """SPEC B6.2"""
    said = [bodies.without(bodies.HEARTBEAT, "slot")] * (KINDS_KEPT + 1)
    late = bodies.CANCELLATION | {"change": {"of": {"sender": "eucom", "epoch": 1, "seq": 1}, "kind": "update"}}
    recent = bodies.CANCELLATION | {"change": {"of": {"sender": "eucom", "epoch": 1, "seq": 100}, "kind": "update"}}
    messages = stream("eucom", *said, late, recent)
    found = []
    for start in range(0, len(messages), 100):
        effects = pair.arrive("ndmc", message_frame("eucom", messages[start : start + 100]))
        found += [effect.refused or None for effect in effects if isinstance(effect, Apply)]
    assert found[-2:] == [None, "unknown_reference"]


# --- four eyes ----------------------------------------------------------------------------------------------------


def test_a_held_alert_has_no_place_until_another_officer_releases_it(pair: Pair) -> None:
    """SPEC P1.1"""
    effects = pair.do("eucom", OfficerRaisedAlert, **(pair.alert_fields() | {"precedence": "flash"}))
    assert HoldDraft(draft=1) in effects
    assert pair.lose() == []
    assert pair.state("eucom")["epoch"]["outbox"]["last"] == 0
    with pytest.raises(LocalProtocolError, match="another officer") as refused:
        pair.do("eucom", OfficerReleased, officer="miller", draft=1)
    assert refused.value.code == "four_eyes"
    pair.do("eucom", OfficerReleased, officer="jones", draft=1)
    assert list(last_body(pair, "eucom")["released_by"]) == ["miller", "jones"]
    with pytest.raises(LocalProtocolError, match="no draft/1"):
        pair.do("eucom", OfficerReleased, officer="jones", draft=1)


def test_the_recipient_counts_two_distinct_names() -> None:
    """SPEC P1.2, P1.3"""
    assert reasons(
        Pair(),
        bodies.FLASH | {"released_by": ["miller"]},
        bodies.FLASH | {"released_by": ["miller", "miller"]},
        bodies.FLASH,
        bodies.ALERT,
        bodies.CANCELLATION
        | {"precedence": "flash", "change": {"of": {"sender": "eucom", "epoch": 1, "seq": 3}, "kind": "cancellation"}},
        bodies.CANCELLATION
        | {"precedence": "flash", "change": {"of": {"sender": "eucom", "epoch": 1, "seq": 3}, "kind": "update"}},
    ) == ["not_authorised", "not_authorised", None, None, None, "not_authorised"]


def test_an_officer_acknowledges_only_what_is_there(pair: Pair) -> None:
    """SPEC B6.3"""
    with pytest.raises(LocalProtocolError) as refused:
        pair.do("ndmc", OfficerAcknowledged, officer="volkov", of=Reference("eucom", 1, 9), decision="understood")
    assert refused.value.code == "unknown_reference"
