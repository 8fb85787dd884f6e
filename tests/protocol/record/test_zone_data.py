"""The time zone data of three journals, and where they differ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Raw, structs

from protocol.core.events import SlotsPlanned, Started
from protocol.core.link import Link
from protocol.core.observer import Observer
from protocol.record.evidence import evidence_of
from protocol.record.journal import Checkpoint, Record
from protocol.record.reconcile import reconcile
from protocol.record.replay import at_end
from protocol.record.zone_data import ZoneData, ZoneDifference, zone_differences
from protocol.wire.instants import parsed, written
from tests.support.journal_samples import records
from tests.support.small_day import a_day

SIDES = ("eucom", "ndmc", "watch")


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("day")
    a_day(folder, segment_bytes=4_000)
    return folder


def planned(journal: list[Record], version: str, *, since: int = 0) -> Iterator[Record]:
    """Yield the records as a service wrote them that had other time zone data from `since` on."""
    for record in journal:
        entry = record.entry
        if isinstance(entry, Started | SlotsPlanned) and entry.at >= since:
            yield structs.replace(record, entry=structs.replace(entry, tzdata=version))
        else:
            yield record


def of(journal: list[Record]) -> ZoneData:
    used = ZoneData()
    for record in journal:
        used.take(record)
    return used


def test_a_day_with_one_version_has_nothing_to_report(day: Path) -> None:
    journals = [records(day / side) for side in SIDES]
    found = [of(journal) for journal in journals]

    assert len({each.last for each in found}) == 1
    assert [len(each.used) for each in found] == [1, 1, 1]
    assert reconcile(*map(evidence_of, journals)).zone_data == ()


def test_another_version_at_one_of_the_three_is_reported_and_no_disagreement(day: Path) -> None:
    own = records(day / "eucom")
    version = of(own).last
    # the states of its checkpoints would name the real one
    other = [each for each in planned(records(day / "watch"), "2020a") if not isinstance(each.entry, Checkpoint)]

    found = reconcile(evidence_of(own), evidence_of(records(day / "ndmc")), evidence_of(other))

    assert found.agree
    (difference,) = found.zone_data
    assert difference.versions == {"eucom": version, "ndmc": version, "watch": "2020a"}
    assert difference.until is None


def test_a_difference_lasts_until_all_have_the_new_version() -> None:
    first, second = ZoneData(), ZoneData()
    times = [parsed(f"2022-11-{day:02}T08:00:00.000Z") for day in (1, 2, 3, 4)]
    first.used = [(times[0], "2022f"), (times[2], "2022g")]
    second.used = [(times[1], "2022f"), (times[3], "2022g")]

    (found,) = zone_differences({"eucom": first, "ndmc": second, "watch": ZoneData()})

    assert found == ZoneDifference(
        since=written(times[2]), until=written(times[3]), versions={"eucom": "2022g", "ndmc": "2022f"}
    )


def test_a_journal_that_begins_at_a_checkpoint_names_its_version(day: Path) -> None:
    journal = records(day / "eucom")
    (first, *_) = places = [index for index, each in enumerate(journal) if isinstance(each.entry, Checkpoint)]
    assert places
    assert of(journal[first : first + 1]).last == of(journal).last

    checkpoint = journal[first].entry
    assert isinstance(checkpoint, Checkpoint)
    for state in (b"{}", b'{"watch":null}', b"[]"):
        unreadable = structs.replace(journal[first], entry=structs.replace(checkpoint, state=Raw(state)))
        assert of([unreadable]).last == ""


@pytest.mark.parametrize("side", SIDES)
def test_the_core_at_the_end_is_that_of_the_next_start(day: Path, side: str) -> None:
    journal = records(day / side)
    whole = at_end(journal)
    last = max(index for index, each in enumerate(journal) if isinstance(each.entry, Checkpoint))

    assert isinstance(whole, Observer if side == "watch" else Link)
    assert at_end(journal[last:]).checkpoint() == whole.checkpoint()
