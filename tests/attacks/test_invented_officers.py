"""Officers who act in a journal without having been enrolled, or who were enrolled only for that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from protocol.core.core import Core
from protocol.core.events import (
    FrameReceived,
    OfficerAcknowledged,
    OfficerRaisedAlert,
    OfficersEnrolled,
    Request,
)
from protocol.errors import LocalProtocolError
from protocol.record.journal import Entry, Record
from tests.attacks.scene import Scene, end_of_batch, inserted, last, without
from tests.support.exchange import Exchange
from tests.support.world import MINUTE

MORNING = 1_669_708_740_000


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene.of_a_day(tmp_path_factory.mktemp("day"))


@pytest.fixture
def scene(honest: Scene, tmp_path: Path) -> Scene:
    """The journals of the day, beside which each test forges its own."""
    (tmp_path / "journal").symlink_to(honest.folder / "journal")
    return Scene(tmp_path)


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return the forger of a service that lets anybody act."""

    def forged(scene: Scene, *arguments: Any) -> str:
        with monkeypatch.context() as patched:
            patched.setattr(Core, "_check_officer", lambda *_: None)
            return scene.forged(*arguments)

    return forged


def problems(scene: Scene, journal: str) -> dict[int, str]:
    return {each["record"]: each["reason"] for each in scene.verify(journal).document["problems"]}


def acts(journal: list[Record]) -> list[int]:
    return [each.n for each in journal if isinstance(each.entry, Request)]


def ghost(record: Record) -> Entry:
    """Return an alert that nobody raised."""
    return OfficerRaisedAlert(
        at=record.entry.at,
        mono=record.entry.mono,
        request="ghost-1",
        officer="ghost",
        category="critical_infrastructure",
        precedence="routine",
        event_at="2022-11-29T08:00:00.000Z",
        expires_at="2022-11-29T18:00:00.000Z",
        text={"ru": "Выдумка", "en": "Invented"},
    )


def test_the_core_refuses_an_officer_who_is_not_enrolled(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path / "journal", at=MORNING)
    exchange.open()
    exchange.start()
    before = exchange.eucom.core.checkpoint()
    with pytest.raises(LocalProtocolError, match="officer 'ghost' is not enrolled here") as refused:
        exchange.alert("eucom", officer="ghost")
    assert refused.value.code == "not_authorised"
    assert exchange.eucom.core.checkpoint() == before


def test_an_alert_of_an_officer_who_was_never_enrolled(scene: Scene, careless: Callable[..., str]) -> None:
    journal = scene.records("eucom")
    place = end_of_batch(journal, last(journal, FrameReceived))
    forged = careless(scene, "eucom", inserted(place, lambda record, _core: iter([ghost(record)])))
    assert problems(scene, forged) == {place: "officer ghost acts, who is not enrolled"}


def test_an_act_in_the_name_of_somebody_else(scene: Scene, careless: Callable[..., str]) -> None:
    place = last(scene.records("ndmc"), OfficerAcknowledged).n

    def edit(record: Record, core: Any) -> Iterator[Entry]:
        del core
        entry = record.entry
        yield structs.replace(entry, officer="ghost") if record.n == place else entry

    assert place in problems(scene, careless(scene, "ndmc", edit))


def test_an_officer_enrolled_for_a_minute(scene: Scene) -> None:
    journal = scene.records("eucom")
    place = end_of_batch(journal, last(journal, FrameReceived))
    roster = last(journal, OfficersEnrolled).entry
    assert isinstance(roster, OfficersEnrolled)

    def make(record: Record, core: Any) -> Iterator[Entry]:
        del core
        now = {"at": record.entry.at, "mono": record.entry.mono}
        yield structs.replace(roster, **now, officers=roster.officers | {"ghost": "0" * 64})
        yield ghost(record)
        yield structs.replace(roster, **now)

    found = problems(scene, scene.forged("eucom", inserted(place, make)))
    assert found[place + 1] == f"record {place}, OfficersEnrolled, is written only at a start, and no start follows it"


def test_a_journal_without_a_roster(scene: Scene) -> None:
    forged = scene.forged("ndmc", without(lambda record: isinstance(record.entry, OfficersEnrolled)))
    found = problems(scene, forged)
    assert len(found) == len(acts(scene.records("ndmc")))
    assert set(found.values()) == {"officer duty-1 acts, before any officer is enrolled"}


def test_a_roster_that_only_a_checkpoint_names(tmp_path: Path) -> None:
    scene = Scene.of_a_day(tmp_path, segment_bytes=4_000)
    journal = scene.records("eucom")
    checkpoint = next(each.n for each in journal if type(each.entry).__name__ == "Checkpoint")

    def edit(record: Record, core: Any) -> Iterator[Entry]:
        if record.n == checkpoint:
            core.state.officers = {**core.state.officers, "ghost": "0" * 64}
        yield record.entry

    found = problems(scene, scene.forged("eucom", edit))
    assert found[checkpoint] == "its state names other officers than the records before it"


def test_officers_are_enrolled_at_a_start_when_they_differ(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path / "journal", at=MORNING)
    exchange.open()
    exchange.start()
    for _ in range(2):
        exchange.run(MINUTE)
        exchange.eucom.stop()
        exchange.eucom.restart()
    exchange.stop()
    scene = Scene(tmp_path)
    journal = scene.records("eucom")
    (roster,) = [each.entry for each in journal if isinstance(each.entry, OfficersEnrolled)]
    assert list(roster.officers) == ["watch-1", "watch-2"]
    # the watch has no officers
    assert not [each for each in scene.records("watch") if isinstance(each.entry, OfficersEnrolled)]
    assert problems(scene, "journal/eucom") == {}
