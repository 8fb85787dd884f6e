"""The verdict that crash-point tests and the soak rely on detects lost, doubled and damaged messages."""

import shutil
from pathlib import Path

import pytest

from tests.support.journal_verdict import SideVerdict, Verdict
from tests.support.small_day import a_day, begun

SAID = "Shelling of the plant"


@pytest.fixture
def day(tmp_path: Path) -> Path:
    a_day(tmp_path)
    return tmp_path


def verdict(folder: Path) -> Verdict:
    return Verdict.of(folder / "eucom", folder / "ndmc")


def test_a_day_without_faults_passes(day: Path) -> None:
    found = verdict(day)

    assert found.broken == []
    assert [*found.kept("eucom/1/2", SAID)] == []
    assert {each.side: len(each.queued) for each in found.sides} == {"eucom": 2, "ndmc": 3}


def test_an_answered_request_whose_message_is_incomplete_is_reported(day: Path) -> None:
    found = verdict(day)

    assert [*found.kept("eucom/1/9", SAID)] == [
        "eucom/1/9: the request was answered, but the alert is in neither journal"
    ]
    assert [*found.kept("ndmc/1/3", SAID)] == ["ndmc/1/3: not acknowledged"]
    assert "but 'another' was requested" in " ".join(found.kept("eucom/1/2", "another"))


def test_a_side_with_an_older_journal_has_lost_a_message(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    exchange.delivered("eucom")
    shutil.copytree(tmp_path / "ndmc", tmp_path / "copy")
    reference = exchange.delivered("ndmc")
    exchange.stop()
    shutil.rmtree(tmp_path / "ndmc")
    (tmp_path / "copy").rename(tmp_path / "ndmc")

    found = verdict(tmp_path)

    assert found.lost == [str(reference)]
    assert f"lost: {reference}" in found.broken
    assert "eucom did not apply exactly what ndmc queued" in found.broken


def test_two_alerts_with_one_text_are_reported_as_doubled(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    exchange.delivered("eucom")
    exchange.delivered("eucom")
    exchange.stop()

    assert verdict(tmp_path).doubled == [f"alert of eucom: {SAID}"]


def test_a_message_applied_twice_or_out_of_order_is_reported(day: Path) -> None:
    found = verdict(day)
    side = found.sides[1]
    side.applied[1:] = [side.applied[0]]

    twice = Verdict(*found.sides)

    assert twice.doubled == ["applied by ndmc: 1"]
    assert twice.out_of_order == ["ndmc applied 1 as number 2"]


def test_damage_is_reported(day: Path) -> None:
    path = next((day / "ndmc").glob("*.jsonl"))
    data = path.read_bytes()
    path.write_bytes(data.replace("Ракета над морем".encode(), "Ракета над горой".encode(), 1))

    assert any("record" in line for line in SideVerdict(day / "ndmc").broken)
