"""Messages that are refused in their turn: they cost their place, and nothing else (SPEC M7, B, P1.2)."""

from typing import Any

import pytest

from protocol.core.effects import Queue
from protocol.core.events import TransportLost
from protocol.core.references import KINDS_KEPT
from protocol.core.stream import OUTBOX_MAX_MESSAGES, OUTBOX_RESERVE_MESSAGES
from protocol.wire import canonical
from protocol.wire.messages import MESSAGE_MAX_BYTES
from protocol.wire.policy import Channel, Terms
from protocol.wire.refusals import MessageRefusal
from tests.support.cast import (
    Peer,
    a_heartbeat,
    a_refusal,
    alert,
    an_acknowledgement,
    an_alert,
    an_answer,
    arrives,
    ref,
    test_line,
)
from tests.support.playbook import Playbook, batch, event
from tests.support.world import TERMS, End, terms

CHANNELS = (Channel(id="ministers", name={"en": "Ministers"}),)
LOST = event(TransportLost, reason="gone")


def answering(opened: Terms = TERMS, *, shadowed: bool = True) -> tuple[End, Peer]:
    """Return the answering end, and the scripted caller."""
    return End.started("ndmc", opened, shadowed=shadowed), Peer("eucom", opened)


def refused(opened: Terms, body: dict[str, Any]) -> tuple[str, str]:
    """Return for what reason a body is refused, and the text of the refusal that goes back."""
    end, peer = answering(opened)
    end.happens(*alert(officer="duty-1").happenings)  # something to refer to: ndmc/1/1
    end.receive(peer.sends(peer.says(an_alert("routine"))))  # and eucom/1/1
    effects = end.happens(*arrives(peer.sends(peer.says(body))).happenings)
    assert end.inbox.upto == 2
    assert end.inbox.head == peer.head
    sent = [effect.message.body for effect in effects if isinstance(effect, Queue)]
    if not sent:
        assert [line for line in end.transcript if line.startswith("Apply 2")]
        return "", ""
    assert [body["type"] for body in sent] == ["refusal"]
    assert sent[0]["of"] == ref(2)
    assert sent[0]["by"] == "service"
    assert end.transcript[-3] == f"Apply 2 {body.get('type', '?')}, refused: {sent[0]['reason']}"
    assert end.transcript[-1] == "Seal message 2, receipt 2"
    return sent[0]["reason"], sent[0].get("text", {}).get("en", "")


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


UNSUPPORTED: dict[str, dict[str, Any]] = {
    "no type": {"text": "x"},
    "an unknown type": {"type": "gesture"},
    "a type that is not a string": {"type": 7},
    "an unknown field": an_alert(colour="red"),
    "a missing field": without(an_alert(), "released_by"),
    "an unknown category": an_alert(category="weather"),
    "an unknown precedence": an_alert("whenever"),
    "a wrong kind": an_alert(text="x"),
    "no text": an_alert(text={}),
    "too long a text": an_alert(text={"en": "x" * 4_001}),
    "an empty text": an_alert(text={"en": ""}),
    "nobody": an_alert(released_by=[]),
    "an officer who is none": an_alert(released_by=["Watch 1"]),
    "a coordinate beyond the pole": an_alert(
        area={"name": "x", "latitude_udeg": 90_000_001, "longitude_udeg": 0, "radius_m": 1}
    ),
    "a month 13": an_alert(event_at="2022-13-01T00:00:00.000Z"),
    "a 30 February": an_alert(expires_at="2022-02-30T00:00:00.000Z"),
    "a slot that does not exist": a_heartbeat("2022-02-30T09:00:00.000Z"),
    "another challenge": a_heartbeat(challenge=["one", "two"]),
    "an epoch 0": an_acknowledgement(ref(1, "ndmc", 0)),
    "seventeen references": an_alert(references=[ref(1)] * 17),
    "an officer's refusal without one": without(a_refusal(ref(1, "ndmc")), "officer"),
    "a service's refusal with one": a_refusal(ref(1, "ndmc"), by="service"),
    "a refusal without a known reason": a_refusal(ref(1, "ndmc"), "busy"),
    "an answer that names nothing": without(an_answer(ref(1, "ndmc")), "of"),
}


@pytest.mark.parametrize("what", [what for what, body in UNSUPPORTED.items() if body.get("type") != "refusal"])
def test_an_unknown_type_field_or_value_is_refused_and_not_guessed(what: str) -> None:
    """SPEC M7.1, M7.2"""
    reason, text = refused(terms(channels=CHANNELS), UNSUPPORTED[what])
    assert reason == "unsupported"
    assert text


@pytest.mark.parametrize("what", [what for what, body in UNSUPPORTED.items() if body.get("type") == "refusal"])
def test_a_refusal_is_never_refused(what: str) -> None:
    """SPEC M7.3, B5.1"""
    end, peer = answering()
    assert (
        Playbook(end)
        >> arrives(peer.sends(peer.says(UNSUPPORTED[what]), peer.says({"type": "refusal"})))
        << "Apply 1 refusal, refused: unsupported"
        << "Apply 2 refusal, refused: unsupported"
        << "Seal receipt, receipt 2"
    )


NOT_PERMITTED: dict[str, dict[str, Any]] = {
    "an actual alert on an exercise link": an_alert(status="actual"),
    "an actual line test on an exercise link": a_heartbeat(status="actual"),
    "a line test of status test": a_heartbeat(status="test"),
}


@pytest.mark.parametrize("what", NOT_PERMITTED)
def test_what_the_status_of_the_link_does_not_permit(what: str) -> None:
    """SPEC B1.2, B3.2, M7.2"""
    assert refused(TERMS, NOT_PERMITTED[what])[0] == "not_permitted"


def test_an_actual_link_refuses_exercises() -> None:
    """SPEC B3.2"""
    actual = terms(status="actual")
    end, peer = answering(actual)
    assert (
        Playbook(end)
        >> arrives(peer.sends(peer.says(an_alert(status="exercise")), peer.says(an_alert(status="test"))))
        << "Apply 1 alert, refused: not_permitted"
        << "Queue 1 refusal"
        << "Apply 2 alert"
        << "Notify message/eucom/1/2"
        << "Seal message 1, receipt 2"
        >> alert(status="exercise")
        << "refused: not_permitted"
        >> alert(status="test")
        << "Queue 2 alert"
        << "Seal message 2"
    )


RULES = {
    "a category that is not agreed": (an_alert(category="airspace_operation"), "out_of_scope"),
    "a language that is not agreed": (an_alert(text={"en": "x", "fr": "y"}), "unintelligible"),
    "a test in another language": (a_heartbeat(language="fr"), "unintelligible"),
    "an acknowledgement in another": (an_acknowledgement(ref(1, "ndmc"), text={"fr": "y"}), "unintelligible"),
    "one officer for a flash alert": (an_alert("flash", released_by=["duty-1"]), "not_authorised"),
    "the same officer twice": (an_alert("immediate", released_by=["duty-1", "duty-1"]), "not_authorised"),
    "the service's answer where an officer's is due": (
        without(an_answer(ref(1, "ndmc")), "officer"),
        "not_permitted",
    ),
    # the first fault in this order counts: rules before references
    "one officer for an update of nothing": (
        an_alert("flash", released_by=["duty-1"], change={"of": ref(9), "kind": "update"}),
        "not_authorised",
    ),
}


@pytest.mark.parametrize("what", RULES)
def test_what_breaks_a_rule_of_the_policy_is_refused_with_its_reason(what: str) -> None:
    """SPEC M7.2, B1.2, B2.2, B3.2, B4.1, P1.2"""
    body, reason = RULES[what]
    assert refused(TERMS, body)[0] == reason


def test_two_officers_or_a_lower_precedence_or_a_cancellation_are_authorised() -> None:
    """SPEC P1.2, P1.3"""
    for body in (
        an_alert(status="test"),
        an_alert("flash", released_by=["duty-1", "duty-2"]),
        an_alert("priority", released_by=["duty-1"]),
        an_alert("flash", released_by=["duty-1"], change={"of": ref(1), "kind": "cancellation"}),
    ):
        assert refused(TERMS, body) == ("", "")


UNKNOWN: dict[str, dict[str, Any]] = {
    "an acknowledgement of the sender's own alert": an_acknowledgement(ref(1)),
    "an acknowledgement of what was never sent": an_acknowledgement(ref(2, "ndmc")),
    "an acknowledgement of a coming epoch": an_acknowledgement(ref(1, "ndmc", 2)),
    "an acknowledgement of a stranger's": an_acknowledgement(ref(1, "third")),
    "an answer to a message that is not a test": an_answer(ref(1, "ndmc")),
    "a refusal of the sender's own": a_refusal(ref(1)),
    "a change of the other's alert": an_alert(change={"of": ref(1, "ndmc"), "kind": "cancellation"}),
    "a change of what comes later": an_alert(change={"of": ref(3), "kind": "update"}),
    "a change of itself": an_alert(change={"of": ref(2), "kind": "update"}),
    "a reference to what comes later": an_alert(references=[ref(1), ref(3)]),
    "a reference to what was never sent": an_alert(references=[ref(1, "ndmc"), ref(2, "ndmc")]),
    "a referral to no channel": a_refusal(ref(1, "ndmc"), referral="elders"),
}


@pytest.mark.parametrize("what", [what for what, body in UNKNOWN.items() if body["type"] != "refusal"])
def test_a_reference_that_its_sender_cannot_know_is_refused(what: str) -> None:
    """SPEC B6.3, M7.2"""
    assert refused(TERMS, UNKNOWN[what])[0] == "unknown_reference"


@pytest.mark.parametrize("what", [what for what, body in UNKNOWN.items() if body["type"] == "refusal"])
def test_a_refusal_of_nothing_has_no_effect_and_no_answer(what: str) -> None:
    """SPEC B5.2, B6.3, M7.3"""
    assert refused(terms(channels=CHANNELS), UNKNOWN[what]) == ("", "")


@pytest.mark.parametrize(
    "body",
    [
        an_acknowledgement(ref(1, "ndmc")),
        a_refusal(ref(1, "ndmc"), referral="ministers"),
        an_alert(references=[ref(1), ref(1, "ndmc")], change={"of": ref(1), "kind": "update"}),
    ],
)
def test_a_reference_that_its_sender_can_know_is_taken(body: dict[str, Any]) -> None:
    """SPEC B6.3, B5.2"""
    assert refused(terms(channels=CHANNELS), body) == ("", "")


def test_what_is_queued_but_has_not_left_cannot_be_known() -> None:
    """SPEC B6.3"""
    end, peer = answering()
    end.happens(*LOST.happenings)
    assert (
        Playbook(end)
        >> alert()
        << "Queue 1 alert"
        >> arrives(peer.sends(peer.says(an_acknowledgement(ref(1, "ndmc")))))
        << "Apply 1 acknowledgement, refused: unknown_reference"
        << "Queue 2 refusal"
    )


def test_a_refused_message_may_be_referred_to_but_is_of_no_kind() -> None:
    """SPEC B6.3, M7.1"""
    end, peer = answering()
    assert (
        Playbook(end)
        >> arrives(
            peer.sends(
                peer.says({"type": "gesture"}),
                peer.says(an_alert(references=[ref(1)])),
                peer.says(an_alert(change={"of": ref(1), "kind": "update"})),
            )
        )
        << "Apply 1 gesture, refused: unsupported"
        << "Queue 1 refusal"
        << "Apply 2 alert"
        << "Notify message/eucom/1/2"
        << "Apply 3 alert, refused: unknown_reference"
        << "Queue 2 refusal"
        << "Seal message 1-2, receipt 3"
    )


def test_old_messages_count_as_closed_and_may_be_referred_to() -> None:
    """SPEC B6.2"""
    end, peer = answering(shadowed=False)
    end.receive(peer.sends(peer.says(a_heartbeat())))
    for _ in range(KINDS_KEPT // 128):
        end.receive(peer.sends(*[peer.says({"type": "refusal"}) for _ in range(128)]))
    # forgotten: that it was no alert is not known any more
    end.receive(peer.sends(peer.says(an_alert(change={"of": ref(1), "kind": "update"}))))
    assert end.transcript[-3] == "Apply 1026 alert"
    end.receive(peer.sends(peer.says(an_alert(change={"of": ref(4), "kind": "update"}))))
    assert end.transcript[-3] == "Apply 1027 alert, refused: unknown_reference"


def test_an_acknowledgement_is_taken_however_many_alerts_were_queued_behind() -> None:
    """SPEC B6.2, B6.3: the kinds of all that has not left yet are kept beside the last 1,024 that have."""
    end, peer = answering(shadowed=False)
    end.happens(*LOST.happenings)
    for _ in range(20):
        end.happens(*batch(*[alert(officer="duty-1") for _ in range(100)]).happenings)
    end.start()
    sent = end.link.state.references["ndmc"].known_upto
    assert sent < 2_000 - KINDS_KEPT
    assert (
        Playbook(end)
        >> arrives(peer.sends(peer.says(an_acknowledgement(ref(1, "ndmc")))))
        << "Apply 1 acknowledgement"
        << "Notify message/eucom/1/1"
        << "Seal receipt, receipt 1"
        >> arrives(peer.sends(peer.says(an_acknowledgement(ref(sent + 1, "ndmc")))))
        << "Apply 2 acknowledgement, refused: unknown_reference"
        << "Queue 2001 refusal"
        << "Seal receipt, receipt 2"
    )
    assert len(end.link.state.references["ndmc"].kinds) <= KINDS_KEPT + 2_001


def test_a_message_above_the_limit_is_refused_as_a_message_and_nothing_stalls() -> None:
    """SPEC F6.2, M7.1"""
    languages = ("de", "en", "pl", "ru")
    opened = terms(languages=languages)
    largest = an_alert(text=dict.fromkeys(languages[:2], "𝄞" * 4_000) | {"pl": "x"})
    fixed = len(canonical.encode(Peer("eucom", opened).says(largest, seq=2)))
    at_limit = largest | {"text": largest["text"] | {"pl": "x" * 4_000, "ru": "Ж" * 3_000 + "y"}}
    assert fixed < MESSAGE_MAX_BYTES
    padding = MESSAGE_MAX_BYTES - len(canonical.encode(Peer("eucom", opened).says(at_limit, seq=2)))
    at_limit["text"]["ru"] = "Ж" * (3_000 + padding // 2) + "y" * (1 + padding % 2)
    assert refused(opened, at_limit) == ("", "")
    above = at_limit | {"text": at_limit["text"] | {"ru": at_limit["text"]["ru"].replace("y", "Ж", 1)}}
    assert refused(opened, above) == ("unsupported", "the message has 44001 bytes; 44000 is the limit")


TWO_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "a field, and a status": (an_alert(status="actual", colour="red"), "unsupported"),
    "a status, and a category": (an_alert(status="actual", category="air_pursuit"), "not_permitted"),
    "a category, and a language": (an_alert(category="air_pursuit", text={"de": "x"}), "out_of_scope"),
    "a language, and one officer": (an_alert("flash", text={"de": "x"}, released_by=["a"]), "unintelligible"),
    "one officer, and a reference": (an_alert("flash", references=[ref(9)], released_by=["a"]), "not_authorised"),
    "a status, and a language": (a_heartbeat(status="actual", language="de"), "not_permitted"),
    "a language, and no officer": (without(an_answer(ref(9, "ndmc"), language="de"), "officer"), "unintelligible"),
    "no officer, and a reference": (without(an_answer(ref(9, "ndmc")), "officer"), "not_permitted"),
    "a language, and a reference": (an_acknowledgement(ref(9, "ndmc"), text={"de": "x"}), "unintelligible"),
}


@pytest.mark.parametrize("what", TWO_FAULTS)
def test_the_first_fault_gives_the_reason(what: str) -> None:
    """SPEC M7.2, B1.2, B2.2, B3.2, B4.1, P1.2"""
    body, reason = TWO_FAULTS[what]
    assert refused(TERMS, body)[0] == reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (a_refusal(ref(1), text={"de": "x"}, by="service"), "unsupported"),
        (a_refusal(ref(1), text={"de": "x"}, referral="nobody"), "unintelligible"),
    ],
)
def test_the_first_fault_of_a_refusal_gives_the_reason(body: dict[str, Any], reason: str) -> None:
    """SPEC M7.2, B5.1, B5.2"""
    end, peer = answering()
    end.receive(peer.sends(peer.says(body)))
    assert f"Apply 1 refusal, refused: {reason}" in end.transcript


def test_the_refusal_says_why_in_english_if_that_is_agreed() -> None:
    """SPEC B5.1, M7.2"""
    assert "airspace_operation" in refused(TERMS, an_alert(category="airspace_operation"))[1]
    only_russian = terms(languages=("ru",))
    assert refused(only_russian, an_alert(text={"ru": "x"}, category="airspace_operation")) == ("out_of_scope", "")


def test_a_hostile_value_in_the_reason_is_cut_and_stays_writable() -> None:
    """SPEC M7.2, F4.4, F6.2"""
    for value in ("\n" * 9_000, "𝄞" * 9_000, "\\" * 9_000, "\u0301x", '"' * 9_000):
        reason, text = refused(TERMS, an_alert(category=value))
        assert reason == "unsupported"
        assert 0 < len(text) <= 400


def test_every_reason_of_a_service_can_be_given() -> None:
    """SPEC B5.2"""
    given = {
        refused(terms(channels=CHANNELS), body)[0]
        for body in [*UNSUPPORTED.values(), *NOT_PERMITTED.values(), *UNKNOWN.values()]
    }
    given |= {reason for _, reason in RULES.values()} | {""}
    assert given == {str(reason) for reason in MessageRefusal} - {"expired"} | {""}


def test_without_room_for_a_refusal_the_message_is_refused_all_the_same() -> None:
    """SPEC M4.5, M7.1"""
    end, peer = answering(shadowed=False)
    end.happens(*LOST.happenings)
    end.fill_outbox(OUTBOX_MAX_MESSAGES + OUTBOX_RESERVE_MESSAGES)
    assert (
        Playbook(end)
        >> arrives(peer.sends(peer.says({"type": "gesture"})))
        << "Apply 1 gesture, refused: unsupported"
        >> test_line()
        << "refused: outbox_full"
    )
