"""SPEC E: terms that differ, epochs that end."""

import pytest
from msgspec import structs

from protocol.core.events import AlarmAcknowledged, EpochOpened
from protocol.errors import LocalProtocolError
from tests.support.pair import SIDES, Pair, peer_of, terms_with
from tests.vectors.terms import EPOCH_1

EPOCH_2 = structs.replace(EPOCH_1, epoch=2)


def test_an_epoch_only_grows() -> None:
    """SPEC E1.1"""
    pair = Pair()
    with pytest.raises(LocalProtocolError, match="epoch 1 is open"):
        pair.do("eucom", EpochOpened, terms=terms_with(grace_s=901))
    with pytest.raises(LocalProtocolError, match="not of eucom-ndmc"):
        pair.do("eucom", EpochOpened, terms=structs.replace(EPOCH_2, link="other"))


def test_different_policies_are_noticed_on_both_sides() -> None:
    """SPEC E3, F3.7"""
    pair = Pair(ndmc_terms=terms_with(grace_s=901))
    pair.carry()
    for side in SIDES:
        assert pair.alarms(side) == [f"policy_mismatch/{peer_of(side)}"]
        assert set(pair.refused(side)) == {"wrong_policy"}
    pair.alert()
    pair.carry()
    assert pair.applied("ndmc") == []


def test_foreign_frames_are_answered_once_a_minute_and_receipts_once() -> None:
    """SPEC E3"""
    pair = Pair(ndmc_terms=structs.replace(EPOCH_1, epoch=2))
    pair.carry()
    for _ in range(5):
        pair.alert()
    alerts = [frame for _, _, frame in pair.lose()]
    pair.pass_s(61, "ndmc", carrying=False)
    for frame in alerts:
        pair.arrive("ndmc", frame)
    answers = pair.lose()
    assert [(sender, channel) for sender, channel, _ in answers] == [("ndmc", "receipt")]
    pair.arrive("eucom", answers[0][2], "receipt")
    assert pair.lose() == []
    assert set(pair.refused("ndmc")) == {"wrong_epoch"}


def test_a_new_epoch_begins_anew_and_shows_what_was_not_delivered() -> None:
    """SPEC E2.1, E2.2"""
    pair = Pair()
    pair.carry()
    delivered = pair.alert()
    pair.carry()
    lost = pair.alert()
    pair.lose()
    for side in SIDES:
        pair.do(side, EpochOpened, terms=EPOCH_2)
        pair.reconnect(side)
    pair.carry()
    assert pair.alarms("eucom") == ["undelivered/epoch 1"]
    (left,) = pair.state("eucom")["undelivered"]
    assert left["reference"] == {"sender": "eucom", "epoch": 1, "seq": lost.seq}
    assert delivered.seq != lost.seq
    assert pair.applied("ndmc") == [1]
    fresh = pair.alert()
    assert str(fresh) == "eucom/2/1"
    pair.carry()
    assert pair.applied("ndmc") == [1, 1]
    pair.do("eucom", AlarmAcknowledged, officer="miller", code="undelivered", subject="epoch 1")
    assert pair.alarms("eucom") == []
    assert pair.state("eucom")["undelivered"] == []


def test_a_new_epoch_lets_a_stopped_direction_run_again() -> None:
    """SPEC E2.1"""
    pair = Pair()
    pair.carry()
    pair.alert()
    pair.carry()
    pair.links["ndmc"] = Pair().links["ndmc"]
    pair.alert()
    pair.carry()
    assert "journal_behind/eucom" in pair.alarms("ndmc")
    for side in SIDES:
        pair.do(side, EpochOpened, terms=EPOCH_2)
        pair.reconnect(side)
    pair.carry()
    pair.alert()
    pair.carry()
    assert pair.applied("ndmc")[-1] == 1
    assert pair.alarms("ndmc") == []
