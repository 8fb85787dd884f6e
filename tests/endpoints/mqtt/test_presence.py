import pytest

from endpoints.mqtt.events import PresenceChanged
from endpoints.mqtt.intervals import Intervals
from endpoints.mqtt.presence import Presence
from endpoints.mqtt.topics import GONE, PRESENT

HERE = PresenceChanged("l", "ndmc", present=True)
AWAY = PresenceChanged("l", "ndmc", present=False)


@pytest.fixture
def reported() -> list[PresenceChanged]:
    return []


@pytest.fixture
def presence(reported: list[PresenceChanged]) -> Presence:
    presence = Presence([("l", "ndmc")], 30, reported.append)
    presence.listen(0)
    return presence


def test_only_changes_are_reported(presence: Presence, reported: list[PresenceChanged]) -> None:
    for at_s, word in enumerate((PRESENT, PRESENT, GONE, GONE, PRESENT, b"", b"\xff" * 100_000)):
        presence.hear("l", "ndmc", word, at_s)
    assert reported == [HERE, AWAY, HERE, AWAY]


def test_silence_of_more_than_one_beat_counts_as_gone(presence: Presence, reported: list[PresenceChanged]) -> None:
    """SPEC Q2.4: one lost message is not silence"""
    presence.hear("l", "ndmc", PRESENT, 10)
    presence.check(60)
    assert reported == [HERE]
    presence.check(60.1)
    presence.check(90)
    assert reported == [HERE, AWAY]


def test_silence_counts_from_our_own_connection(presence: Presence, reported: list[PresenceChanged]) -> None:
    presence.hear("l", "ndmc", PRESENT, 0)
    presence.listen(1_000)
    presence.check(1_050)
    assert reported == [HERE]


def test_a_party_is_greeted_once_when_it_arrives(presence: Presence) -> None:
    assert presence.hear("l", "ndmc", PRESENT, 0)
    assert not presence.hear("l", "ndmc", PRESENT, 30)
    presence.hear("l", "ndmc", GONE, 31)
    assert presence.hear("l", "ndmc", PRESENT, 32)
    presence.listen(100)
    assert presence.hear("l", "ndmc", PRESENT, 101)


def test_unknown_parties_are_ignored(presence: Presence, reported: list[PresenceChanged]) -> None:
    assert not presence.hear("l", "stranger", PRESENT, 0)
    assert not presence.hear("other", "ndmc", PRESENT, 0)
    assert reported == []


def test_the_back_off_doubles_to_its_limit_with_jitter() -> None:
    intervals = Intervals()
    for failures in range(100):
        longest_s = min(2**failures, 30)
        pauses = [intervals.pause_s(failures) for _ in range(20)]
        assert longest_s / 2 <= min(pauses) <= max(pauses) <= longest_s
        assert len(set(pauses)) > 1


def test_presence_is_reported_again_after_forget(reported: list[PresenceChanged]) -> None:
    presence = Presence([("l", "ndmc"), ("m", "ndmc")], 30, reported.append)
    presence.listen(0)
    for link in ("l", "m"):
        assert presence.hear(link, "ndmc", PRESENT, 1)
    reported.clear()

    presence.forget("l", 100)

    assert presence.hear("l", "ndmc", PRESENT, 101)
    assert not presence.hear("m", "ndmc", PRESENT, 101)
    assert reported == [HERE]
    presence.check(150)
    assert reported == [HERE]
