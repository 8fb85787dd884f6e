"""Alarms and notifications: raised once, told at least once, bounded (SPEC W3, W4)."""

from msgspec import UNSET

from protocol.core.alarm_book import CLEARED_KEPT
from protocol.core.alarms import AlarmCode
from protocol.core.core import REQUESTS_KEPT
from protocol.core.effects import Notify
from protocol.core.environment import QUIET_MS
from protocol.core.events import (
    ClockStepped,
    FramesSuppressed,
    IdentityTakenOver,
    NotificationDone,
    PeerPresenceChanged,
    PublishRefused,
    SpaceLow,
    SpaceOk,
    Stopped,
    TransportConnected,
    TransportLost,
)
from protocol.core.link import Link
from protocol.core.pending_notifications import PENDING_MAX
from protocol.wire.instants import written
from tests.support.cast import Peer, alert, an_alert, arrives, see, test_line
from tests.support.playbook import Cue, Playbook, crash, event, on, play, settle, start, wait
from tests.support.world import MINUTE, SECOND, START, TERMS, End, Line

LOST = event(TransportLost, reason="gone")
BACK = event(TransportConnected)
LOW, OK = event(SpaceLow, free_bytes=5 << 20), event(SpaceOk, free_bytes=1 << 30)
SPACE = "space_low/journal"


def quiet(side: str = "ndmc", *, shadowed: bool = True) -> End:
    """Return an end of a link without slots."""
    return End.started(side, quiet=True, shadowed=shadowed)


def listed(end: End) -> list[str]:
    return [f"{alarm.code}/{alarm.subject}" for alarm in end.core.snapshot().alarms]


def done(notice: str, *, delivered: bool = True) -> Cue:
    return event(NotificationDone, id=notice, delivered=delivered)


# --- the life of an alarm -----------------------------------------------------------------------------------------


def test_an_alarm_is_raised_once_and_again_after_it_was_cleared() -> None:
    """SPEC W4"""
    assert (
        Playbook(quiet())
        >> LOW
        << f"RaiseAlarm {SPACE}"
        >> LOW
        >> OK
        << f"ClearAlarm {SPACE}"
        >> OK
        >> LOW
        << f"RaiseAlarm {SPACE}"
    )


def test_an_alarm_that_an_officer_has_seen_is_not_raised_again_while_it_stands() -> None:
    """SPEC W4"""
    assert Playbook(quiet()) >> LOW << f"RaiseAlarm {SPACE}" >> see("space_low", "journal") >> LOW


def test_an_alarm_leaves_when_it_is_both_cleared_and_acknowledged() -> None:
    """SPEC W4"""
    end = quiet()
    assert Playbook(end) >> LOW << f"RaiseAlarm {SPACE}" >> wait(SECOND) >> see("space_low", "journal")
    (alarm,) = end.core.snapshot().alarms
    assert (alarm.acknowledged_by, alarm.acknowledged_at) == ("duty-1", written(START + SECOND))
    assert alarm.active
    assert Playbook(end) >> see("space_low", "journal") << "refused: already_done"
    assert Playbook(end) >> see("space_low", "journal", "duty-2") << "refused: conflict" >> OK << f"ClearAlarm {SPACE}"
    assert listed(end) == []
    # the other way round
    assert Playbook(end) >> LOW << f"RaiseAlarm {SPACE}" >> OK << f"ClearAlarm {SPACE}"
    assert end.core.snapshot().alarms[0].cleared_at == written(end.at)
    assert Playbook(end) >> see("space_low", "journal") >> see("space_low", "journal") << "refused: unknown_alarm"
    assert listed(end) == []


def test_raised_anew_it_is_unacknowledged_and_the_newest() -> None:
    """SPEC W4"""
    end = quiet()
    for cue in (LOW, OK, event(FramesSuppressed, reason="x", count=1), LOW):
        end.happens(*cue.happenings)
    assert listed(end) == ["bad_frames/any", SPACE]
    (alarm,) = [alarm for alarm in end.core.snapshot().alarms if alarm.code == "space_low"]
    assert alarm.acknowledged_at is UNSET
    assert alarm.active


def test_one_alarm_is_asked_for_without_a_snapshot() -> None:
    end = quiet()
    assert not Link.new("eucom-ndmc", "eucom").active_alarm(AlarmCode.SPACE_LOW, "journal")
    for cue, active in ((OK, False), (LOW, True), (see("space_low", "journal"), True), (OK, False), (LOW, True)):
        end.happens(*cue.happenings)
        assert end.core.active_alarm(AlarmCode.SPACE_LOW, "journal") == active
        assert any(alarm.active for alarm in end.core.snapshot().alarms) == active
    assert not end.core.active_alarm(AlarmCode.SPACE_LOW, "another")


def test_a_warning_is_a_hint_and_no_alarm_of_the_line() -> None:
    """SPEC W3"""
    end = quiet()
    gone = event(PeerPresenceChanged, party="eucom", present=False)
    assert Playbook(end) >> gone >> wait(5 * SECOND) << "RaiseAlarm peer_disconnected/eucom" >> gone >> wait(MINUTE)
    assert {alarm.severity for alarm in end.core.snapshot().alarms} == {"warning"}
    assert end.core.snapshot().present == {"eucom": False}


def test_alarms_survive_a_restart() -> None:
    """SPEC W4"""
    end = quiet()
    end.happens(*LOW.happenings)
    before = end.core.snapshot().alarms
    play(end, crash())
    end.start()
    assert end.core.snapshot().alarms == before
    play(end, LOW)


def test_alarms_that_are_over_are_bounded_though_nobody_looks() -> None:
    """SPEC W4: those that stand are all kept."""
    end = quiet(shadowed=False)
    end.happens(*LOW.happenings)
    end.happens(*LOST.happenings)
    for seconds in range(2 * CLEARED_KEPT + 10):
        end.world.at += SECOND
        end.happens((ClockStepped, {"step_ms": SECOND}))
        assert len(listed(end)) <= 2 * CLEARED_KEPT + 2, seconds
    assert {SPACE, "broker_unreachable/broker"} < set(listed(end))
    assert listed(end)[-1] == f"clock_step/{written(end.at)}"
    copy = Link.restore(end.core.checkpoint())
    assert list(copy.state.alarms) == list(end.core.state.alarms)
    for core in (end.core, copy):  # and the count of them survives
        end.core = core
        for _ in range(CLEARED_KEPT):
            end.world.at += SECOND
            end.happens((ClockStepped, {"step_ms": SECOND}))
    assert list(copy.state.alarms)[-1] == f"clock_step/{written(end.at)}"


# --- what raises one ----------------------------------------------------------------------------------------------


def test_the_broker_may_be_away_for_half_a_minute() -> None:
    """SPEC W3"""
    end = quiet()
    assert (
        Playbook(end)
        >> LOST
        >> wait(29 * SECOND)
        >> BACK
        << "Seal receipt, receipt 0"
        >> wait(MINUTE)
        >> LOST
        >> wait(20 * SECOND)
        >> LOST
        >> wait(10 * SECOND)
        << "RaiseAlarm broker_unreachable/broker"
        >> LOST
        >> wait(MINUTE)
        >> BACK
        << "ClearAlarm broker_unreachable/broker"
        << "Seal receipt, receipt 0"
    )


def test_a_service_that_finds_no_broker_says_so() -> None:
    """SPEC W3"""
    end = End(Link.new(TERMS.link, "ndmc"), quiet=True)
    end.start(opened=TERMS, connected=False)
    play(end, wait(30 * SECOND), "RaiseAlarm broker_unreachable/broker")


def test_a_publish_that_the_broker_refuses_is_an_alarm_until_something_comes_through() -> None:
    """SPEC W3, F6.3"""
    line = Line(quiet=True)
    refused = [
        event(PublishRefused, channel=channel, code=135, reason="Not authorized") for channel in ("message", "receipt")
    ]
    assert (
        Playbook(line)
        >> on("eucom", alert())
        << "eucom: Queue 1 alert"
        << "eucom: Seal message 1"
        >> on("eucom", refused[0])
        << "eucom: RaiseAlarm broker_unreachable/publish/message"
        >> on("eucom", refused[0])
        >> on("eucom", refused[1])
        << "eucom: RaiseAlarm broker_unreachable/publish/receipt"
        >> settle()
        << "ndmc: Apply 1 alert"
        << "ndmc: Notify message/eucom/1/1"
        << "ndmc: Seal receipt, receipt 1"
        << "eucom: Settle 1"
        << "eucom: ClearAlarm broker_unreachable/publish/message"
        << "eucom: ClearAlarm broker_unreachable/publish/receipt"
    )


def test_a_stolen_identity_is_an_alarm_for_as_long_as_it_is_used() -> None:
    """SPEC W3, Q3.3"""
    taken = event(IdentityTakenOver, times=3)
    assert (
        Playbook(quiet())
        >> taken
        << "RaiseAlarm identity_in_use/ndmc"
        >> wait(QUIET_MS - SECOND)
        >> taken
        >> wait(QUIET_MS - 1)
        >> wait(1)
        << "ClearAlarm identity_in_use/ndmc"
    )


def test_silence_raises_a_local_alarm_and_says_nothing_to_the_other_side() -> None:
    """SPEC W3"""
    end = quiet()
    peer = Peer("eucom")
    end.receive(peer.sends(peer.says(an_alert("flash"))))
    end.outgoing.clear()
    play(end, wait(10 * MINUTE), "RaiseAlarm alert_unacknowledged/eucom/1/1")
    assert end.outgoing == []


def test_a_clean_stop_says_nothing() -> None:
    """SPEC W4"""
    play(quiet(), event(Stopped))


# --- notifications ------------------------------------------------------------------------------------------------


def test_what_has_not_reached_everybody_is_told_again_at_every_start() -> None:
    """SPEC W4"""
    line = Line(quiet=True)
    line.eucom.happens(*alert().happenings)
    line.eucom.happens(*alert().happenings)
    line.settle()
    line.ndmc.happens(*LOW.happenings)
    low = f"alarm/space_low/journal/{written(START)}"
    assert (
        Playbook(line)
        >> on("ndmc", crash())
        >> on("ndmc", start())
        << "ndmc: Notify message/eucom/1/1"
        << "ndmc: Notify message/eucom/1/2"
        << f"ndmc: Notify {low}"
        << "ndmc: Seal receipt, receipt 2"
        >> on("ndmc", done("message/eucom/1/1"))
        >> on("ndmc", done(low, delivered=False))
        >> on("ndmc", done("message/eucom/1/7"))
        >> on("ndmc", crash())
        >> on("ndmc", start())
        << "ndmc: Notify message/eucom/1/2"
        << "ndmc: Seal receipt, receipt 2"
    )
    assert line.ndmc.core.snapshot().notifications_pending == 1


def test_a_notification_says_what_it_is_about() -> None:
    """SPEC W4, B3.1"""
    end, peer = quiet(), Peer("eucom")
    body = an_alert()
    effects = end.happens(*arrives(peer.sends(peer.says(body))).happenings)
    (notice,) = [effect for effect in effects if isinstance(effect, Notify)]
    assert (notice.kind, str(notice.reference)) == ("message", "eucom/1/1")
    assert notice.body == body
    effects = end.happens(*LOW.happenings)
    (notice,) = [effect for effect in effects if isinstance(effect, Notify)]
    assert notice.kind == "alarm"
    assert notice.alarm == end.core.snapshot().alarms[0]


def test_notifications_that_nobody_takes_are_bounded_and_counted() -> None:
    """SPEC W4"""
    end, peer = quiet(shadowed=False), Peer("eucom")
    for _ in range(PENDING_MAX // 50 + 1):
        end.receive(peer.sends(*[peer.says(an_alert()) for _ in range(50)]))
    snapshot = end.core.snapshot()
    assert (snapshot.notifications_pending, snapshot.notifications_given_up) == (PENDING_MAX, 50)
    assert next(iter(end.core.state.notifications.pending)) == "message/eucom/1/51"


def test_an_alarm_that_is_raised_again_is_another_notification() -> None:
    """SPEC W4"""
    end = quiet()
    for cue in (LOW, OK):
        end.happens(*cue.happenings)
    end.world.wait(SECOND)
    end.happens(*LOW.happenings)
    assert list(end.core.state.notifications.pending) == [
        f"alarm/space_low/journal/{written(START)}",
        f"alarm/space_low/journal/{written(START)}/over",
        f"alarm/space_low/journal/{written(START + SECOND)}",
    ]


# --- requests -----------------------------------------------------------------------------------------------------


def test_a_request_is_handled_once_and_remembered_for_a_thousand_others() -> None:
    """SPEC W4, M4.5"""
    end = quiet(shadowed=False)
    end.happens(*LOST.happenings)
    first, *others = [test_line() for _ in range(REQUESTS_KEPT + 1)]
    play(end, first, "Queue 1 heartbeat")
    play(end, first, "refused: repeated_request")
    for cue in others[:-1]:
        end.happens(*cue.happenings)
    play(end, first, "refused: repeated_request")
    end.happens(*others[-1].happenings)
    assert len(end.core.state.requests) == REQUESTS_KEPT
    assert end.core.reference_of(str(first.happenings[0][1]["request"])) is None


def test_a_refused_request_may_be_made_again() -> None:
    """SPEC W4"""
    end = quiet()
    end.happens(*LOW.happenings)
    cue = alert()
    play(end, cue, "refused: space_low")
    assert Playbook(end) >> OK << f"ClearAlarm {SPACE}" >> cue << "Queue 1 alert" << "Seal message 1"
