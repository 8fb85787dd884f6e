"""Old, expired and misdated messages (SPEC M8.4): each is applied and notified, and shown as what it is."""

from typing import Any

import pytest
from msgspec import UNSET, UnsetType, convert

from protocol.core.effects import Notify
from protocol.core.link import Link
from protocol.core.staleness import OLD_MS, Staleness, expiry, staleness
from protocol.wire.instants import written
from protocol.wire.messages import Alert
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
from tests.support.playbook import play
from tests.support.world import DAY, HOUR, START, TERMS, End, Frame, World

AT = written(START)
WEEK = 7 * DAY
CHANGE = {"of": ref(1, "ndmc"), "kind": "cancellation"}


@pytest.mark.parametrize(
    ("under_way", "stale"),
    [
        (OLD_MS, Staleness()),
        (OLD_MS + 1, Staleness(old_since=AT)),
        (-OLD_MS, Staleness()),
        (-OLD_MS - 1, Staleness(ahead_at=AT)),
    ],
)
def test_a_message_is_old_more_than_an_hour_after_it_was_sent(under_way: int, stale: Staleness) -> None:
    """SPEC M8.4"""
    found = staleness(None, AT, START + under_way, START + WEEK)
    assert found == stale
    assert bool(found) == (stale != Staleness())


def test_what_is_not_known_is_not_old() -> None:
    """SPEC M8.4"""
    assert not staleness(None, None, START, START)
    assert not staleness(None, AT, None, START + WEEK)


@pytest.mark.parametrize(("shown", "expired"), [(-1, None), (0, AT), (WEEK, AT)])
def test_an_alert_is_expired_from_its_expiry_on_when_it_is_shown(shown: int, expired: str | None) -> None:
    """SPEC M8.4"""
    assert staleness(AT, AT, START, START + shown).expired_at == expired


@pytest.mark.parametrize(
    ("body", "expires"),
    [
        (an_alert(), written(START + DAY)),
        (an_alert(change={"of": ref(1, "ndmc"), "kind": "update"}), written(START + DAY)),
        (an_alert(change=CHANGE), None),
        (a_heartbeat(), None),
        ({"type": "alert", "expires_at": "never"}, None),
        (an_alert(expires_at="2022-13-01T00:00:00.000Z"), None),
    ],
)
def test_only_an_alert_expires_and_a_cancellation_does_not(body: dict[str, Any], expires: str | None) -> None:
    """SPEC M8.4"""
    assert expiry(body) == expires


def test_the_expiry_of_a_decoded_alert() -> None:
    """SPEC M8.4"""
    assert expiry(convert(an_alert(), Alert)) == written(START + DAY)


# --- in the core --------------------------------------------------------------------------------------------------


def notified(end: End, frame: Frame) -> list[Notify]:
    end.transcript.clear()
    kind, fields = arrives(frame).happenings[0]
    effects = end.core.handle(kind(at=end.at, mono=end.mono, **fields))
    return [effect for effect in effects if isinstance(effect, Notify) and effect.kind == "message"]


@pytest.mark.parametrize(
    "body",
    [
        an_alert(),
        a_heartbeat(),
        an_answer(ref(1)),
        a_refusal(ref(1)),
        an_acknowledgement(ref(2)),
    ],
)
def test_a_message_of_last_week_is_notified_with_both_times(body: dict[str, Any]) -> None:
    """SPEC M8.4"""
    end, peer = End.started(quiet=True), Peer()
    end.happens(*test_line().happenings)
    end.happens(*alert().happenings)
    end.world.at += WEEK
    (notice,) = notified(end, peer.sends(peer.says(body)))
    assert (notice.sent_at, notice.received_at) == (AT, written(START + WEEK))


@pytest.mark.parametrize(
    ("body", "away", "alarm", "stale"),
    [
        (an_alert(), WEEK, "alert_unacknowledged", Staleness(expired_at=written(START + DAY), old_since=AT)),
        (an_alert(expires_at=written(START + 30 * DAY)), WEEK, "alert_unacknowledged", Staleness(old_since=AT)),
        (an_alert(), -3 * HOUR, "alert_unacknowledged", Staleness(ahead_at=AT)),
        (an_alert(), 0, "alert_unacknowledged", UNSET),
        (a_heartbeat(), WEEK, "heartbeat_unanswered", Staleness(old_since=AT)),
        (a_heartbeat(), 0, "heartbeat_unanswered", UNSET),
    ],
)
def test_the_alarm_about_an_old_message_has_what_makes_it_old(
    body: dict[str, Any], away: int, alarm: str, stale: Staleness | UnsetType
) -> None:
    """SPEC M8.4, W2.3, W2.2"""
    world = World(START + away)
    end = End(Link.new(TERMS.link, "eucom"), world, quiet=True)
    end.start(opened=TERMS)
    end.receive(Peer().sends(Peer().says(body)))
    end.world.wait(7 * HOUR)
    found = {f"{each.code}/{each.subject}": each.stale for each in end.core.snapshot().alarms}
    assert found[f"{alarm}/ndmc/1/1"] == stale


def test_the_view_of_an_alert_names_what_changed_it() -> None:
    """SPEC B3.3"""
    end, peer = End.started(quiet=True), Peer()
    update = {"of": ref(1, "ndmc"), "kind": "update"}
    for body in (an_alert(), an_alert(change=update), an_alert(change={"of": ref(2, "ndmc"), "kind": "cancellation"})):
        end.receive(peer.sends(peer.says(body)))
    views = {view.reference: (str(view.state), view.changed_by) for view in end.core.snapshot().alerts}
    assert views == {
        "ndmc/1/1": ("changed", "ndmc/1/2"),
        "ndmc/1/2": ("cancelled", "ndmc/1/3"),
        "ndmc/1/3": ("received", None),
    }
    # what changes an alert that is changed already has no effect (SPEC B3.3)
    end.receive(peer.sends(peer.says(an_alert(change=update))))
    assert end.core.snapshot().alerts[0].changed_by == "ndmc/1/2"
    play(end, arrives(peer.sends(peer.says(a_heartbeat()))), *FOLLOWS)
    assert end.core.snapshot().tests[-1].sent_at == AT


FOLLOWS = ("Apply 5 heartbeat", "Notify message/ndmc/1/5", "Seal receipt, receipt 5")
