"""What a core says of its connection, of the parties' presence and signed words, and of failing sinks (SPEC W3, W8)."""

from __future__ import annotations

import pytest

from protocol.core.effects import Notify, RaiseAlarm
from protocol.core.environment import BROKER_GRACE_MS, GONE_MS, TROUBLE_MAX
from protocol.core.events import (
    DeadlineReached,
    ListenersBack,
    ListenersMissing,
    PeerPresenceChanged,
    PublishRefused,
    SinkFailed,
    SinkReached,
    TransportConnected,
    TransportLost,
)
from protocol.core.observer import Observer
from protocol.phrases import Said, phrase, said
from protocol.wire.instants import written
from tests.support.cast import Peer, an_alert
from tests.support.playbook import event, play, wait
from tests.support.world import MINUTE, SECOND, START, TERMS, End, arrival, terms

GONE, BACK = (event(PeerPresenceChanged, party="ndmc", present=present) for present in (False, True))
BROKER = "broker_unreachable/broker"


def quiet(side: str = "eucom") -> End:
    return End.started(side, quiet=True)


def detail(end: End, code: str) -> str:
    (alarm,) = [alarm for alarm in end.core.snapshot().alarms if alarm.code == code and alarm.active]
    return alarm.detail


# --- the broker ---------------------------------------------------------------------------------------------------


def test_the_reason_of_a_lost_connection_is_in_the_alarm_and_in_the_view() -> None:
    """SPEC W3, W4.3"""
    end = quiet()
    end.happens((TransportLost, {"reason": "connection refused"}))
    assert end.core.snapshot().connection_trouble == "connection refused"
    play(end, wait(BROKER_GRACE_MS), f"RaiseAlarm {BROKER}")
    assert detail(end, "broker_unreachable") == "no connection to the broker: connection refused"
    raised = end.core.snapshot().alarms[0].raised_at
    effects = end.happens((TransportLost, {"reason": "its certificate has expired"}))
    (update,) = [each for each in effects if isinstance(each, RaiseAlarm)]
    assert update.alarm.raised_at == raised
    assert update.alarm.detail == "no connection to the broker: its certificate has expired"
    assert not [each for each in effects if isinstance(each, Notify)]
    assert end.happens((TransportLost, {"reason": "its certificate has expired"})) == []
    play(end, event(TransportConnected), f"ClearAlarm {BROKER}", "Seal receipt, receipt 0")
    assert end.core.snapshot().connection_trouble == ""


def test_a_reason_is_bounded_and_belongs_to_its_run() -> None:
    """SPEC W3"""
    end = quiet()
    end.happens((TransportLost, {"reason": "x" * 1_000}))
    assert len(end.core.snapshot().connection_trouble) == TROUBLE_MAX
    end.crash()
    end.start(connected=False)
    assert end.core.snapshot().connection_trouble == ""
    play(end, wait(MINUTE), f"RaiseAlarm {BROKER}, since 07:50:30.000Z")  # after the start, it is judged once more
    assert detail(end, "broker_unreachable") == "no connection to the broker"


def test_a_reason_can_be_translated() -> None:
    """Also after a restart, which the end's shadow tries at each event."""
    end = quiet()
    reason = phrase("{host} does not answer", host="broker.example.org")
    made_from = said(reason)
    assert made_from is not None
    end.happens((TransportLost, {"reason": str(reason), "said": made_from}))
    assert end.core.snapshot().connection_trouble_said == made_from
    end.world.wait(BROKER_GRACE_MS)
    (alarm,) = end.core.snapshot().alarms
    assert alarm.said == Said(text="no connection to the broker: {reason}", values={"reason": made_from})


@pytest.mark.parametrize(
    ("code", "reason", "text"),
    [
        (
            135,
            "Not authorized",
            "the broker refuses what we publish: its access list gives this certificate no right to (code 135)",
        ),
        (151, "Quota exceeded", "the broker refuses what we publish: Quota exceeded (code 151)"),
    ],
)
def test_a_refusal_is_worded_as_a_refusal(code: int, reason: str, text: str) -> None:
    """SPEC W3"""
    end = quiet()
    refused = event(PublishRefused, channel="message", code=code, reason=reason)
    end.happens(*refused.happenings)
    assert detail(end, "broker_unreachable") == text
    # another reason replaces it
    effects = end.happens((PublishRefused, {"channel": "message", "code": 16, "reason": "no subscriber"}))
    assert [type(each) for each in effects] == [RaiseAlarm]
    assert "no subscriber" in detail(end, "broker_unreachable")


# --- presence -----------------------------------------------------------------------------------------------------


def test_a_broker_that_stops_accuses_nobody() -> None:
    """SPEC W3.1: it calls the peer gone just before it closes our connection."""
    end = quiet()
    end.happens(*GONE.happenings)
    end.world.wait(SECOND)
    end.happens((TransportLost, {"reason": "gone"}))
    assert end.core.snapshot().present == {}
    play(end, wait(20 * SECOND))
    assert end.alarms == []


def test_a_peer_that_seemed_gone_in_the_last_seconds_is_not_accused_for_long() -> None:
    """SPEC W3.1"""
    end = quiet()
    end.happens(*GONE.happenings)
    play(end, wait(GONE_MS), "RaiseAlarm peer_disconnected/ndmc")
    end.world.wait(GONE_MS - 1)
    play(end, event(TransportLost, reason="gone"), "ClearAlarm peer_disconnected/ndmc")


@pytest.mark.parametrize(
    ("rules", "said"),
    [(5, "the broker says that ndmc is gone"), (6, "ndmc is gone, or nothing signed by it arrives")],
)
def test_what_an_older_alarm_said_stays(rules: int, said: str) -> None:
    """SPEC W3.1: a journal of older rules is folded into what it said."""
    end = quiet()
    end.happens(*GONE.happenings)
    at = end.at + GONE_MS
    end.core.handle(DeadlineReached(at=at, mono=end.mono + GONE_MS, nonce="0" * 16), rules=rules)
    assert detail(end, "peer_disconnected") == said


def test_a_peer_that_was_gone_before_stays_so() -> None:
    """SPEC W3.1"""
    end = quiet()
    end.happens(*GONE.happenings)
    end.world.wait(2 * GONE_MS)
    play(end, event(TransportLost, reason="gone"))
    assert end.alarms == ["peer_disconnected/ndmc"]
    end.happens((TransportConnected, {}))
    play(end, BACK, "ClearAlarm peer_disconnected/ndmc")


def test_a_peer_that_returns_at_once_is_no_alarm() -> None:
    """SPEC W3.1"""
    end = quiet()
    end.happens(*GONE.happenings, *GONE.happenings)
    end.world.wait(GONE_MS - 1)
    play(end, BACK)
    play(end, wait(MINUTE))
    assert end.core.snapshot().present == {"ndmc": True}


# --- signed words -------------------------------------------------------------------------------------------------


def test_the_last_signed_word_of_a_party_is_one_that_brought_something_new() -> None:
    """SPEC W8: anybody at the broker can deliver the others again."""
    end, peer = quiet("ndmc"), Peer("eucom")
    assert end.core.snapshot().last_signed == {}
    end.world.wait(SECOND)
    frame = peer.sends(peer.says(an_alert()))
    end.happens(arrival(frame))
    first = {"eucom": written(START + SECOND)}
    assert end.core.snapshot().last_signed == first
    end.world.wait(MINUTE)
    other = Peer("eucom", terms(2))
    for repeated in (arrival(frame), arrival(other.sends(other.says(an_alert()))), arrival(frame, "bad_signature")):
        end.happens(repeated)
        assert end.core.snapshot().last_signed == first
    end.crash()
    end.start()
    assert end.core.snapshot().last_signed == first
    end.happens(arrival(peer.sends(peer.says(an_alert()))))
    assert end.core.snapshot().last_signed == {"eucom": written(end.at)}


def test_the_watch_hears_both_parties() -> None:
    """SPEC W8"""
    end = End(Observer.new(TERMS.link), quiet=True)
    end.start(opened=TERMS)
    for party in ("eucom", "ndmc"):
        peer = Peer(party)
        end.happens(arrival(peer.sends(peer.says(an_alert()))))
    assert end.core.snapshot().last_signed == dict.fromkeys(("eucom", "ndmc"), written(START))


# --- sinks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["party", "watch"])
def test_that_nobody_listens_is_a_warning_until_somebody_does(kind: str) -> None:
    """SPEC W3"""
    end = quiet()
    if kind == "watch":
        end = End(Observer.new(TERMS.link), quiet=True)
        end.start(opened=TERMS)
        end.transcript.clear()
    play(end, event(ListenersBack))
    play(end, event(ListenersMissing), "RaiseAlarm nobody_listening/console")
    assert detail(end, "nobody_listening") == "no screen of a console has its sound on, so nobody would hear an alarm"
    play(end, event(ListenersMissing))
    # a new process does not know better
    end.crash()
    end.start(connected=False)
    end.transcript.clear()
    assert end.alarms == ["nobody_listening/console"]
    play(end, event(ListenersBack), "ClearAlarm nobody_listening/console")


@pytest.mark.parametrize("kind", ["party", "watch"])
def test_a_sink_that_fails_is_an_alarm_until_it_is_reached(kind: str) -> None:
    """SPEC W3"""
    end = quiet()
    if kind == "watch":
        end = End(Observer.new(TERMS.link), quiet=True)
        end.start(opened=TERMS)
        end.transcript.clear()
    failed = event(SinkFailed, sink="webhook", why="HTTP status 503")
    play(end, failed, "RaiseAlarm sink_failing/webhook")
    assert detail(end, "sink_failing") == "the webhook that notifies the duty officer fails: HTTP status 503"
    play(end, failed)
    play(
        end,
        event(SinkFailed, sink="webhook", why="no answer"),
        "RaiseAlarm sink_failing/webhook, not notified",
    )
    play(end, event(SinkReached, sink="log"))
    # a new process does not know better
    end.crash()
    end.start(connected=False)
    end.transcript.clear()
    assert end.alarms == ["sink_failing/webhook"]
    play(end, event(SinkReached, sink="webhook"), "ClearAlarm sink_failing/webhook")
