"""Officers who act in a journal without having been enrolled, or who were enrolled only for that (SPEC P1.5)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from protocol.core.events import (
    AlarmAcknowledged,
    FrameReceived,
    IdentityTakenOver,
    OfficerAcknowledged,
    OfficerCancelled,
    OfficerRaisedAlert,
    OfficerReleased,
    Request,
)
from protocol.core.start_events import EpochOpened, OfficersEnrolled
from protocol.errors import LocalProtocolError
from protocol.record.journal import Entry, Record
from protocol.wire.instants import written
from protocol.wire.messages import Alert, Message
from tests.attacks.forge import signer_of
from tests.attacks.scene import Scene, alert, end_of_batch, inserted, last, message_frame, without
from tests.support.exchange import Exchange
from tests.support.world import MINUTE, Frame

MORNING = 1_669_708_740_000


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene.of_a_day(tmp_path_factory.mktemp("day"))


@pytest.fixture
def scene(honest: Scene, tmp_path: Path) -> Scene:
    """The journals of the day, beside which each test forges its own."""
    (tmp_path / "journal").symlink_to(honest.folder / "journal")
    return Scene(tmp_path)


def careless(entry: Entry, core: Any) -> Iterator[Entry]:
    """Yield an entry as a service takes it that lets anybody act."""
    roster, core.state.officers = core.state.officers, None
    yield entry
    core.state.officers = roster


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


def test_a_draft_of_an_officer_who_is_not_enrolled_any_more(tmp_path: Path) -> None:
    """SPEC P1.5: an officer who was struck out does not count as one of two officers. The draft can be discarded."""
    exchange = Exchange(tmp_path / "journal", at=MORNING)
    exchange.open()
    exchange.start()
    draft = exchange.alert("eucom", "flash", officer="watch-1")
    service, roster = exchange.eucom, dict(exchange.eucom.core.state.officers or {})
    service.happens(OfficersEnrolled, officers={"watch-2": roster["watch-2"]})
    before = service.core.checkpoint()
    with pytest.raises(LocalProtocolError, match=f"watch-1, who wrote {draft}, is not enrolled any more") as refused:
        exchange.ask("eucom", OfficerReleased, officer="watch-2", draft=1)
    assert refused.value.code == "not_authorised"
    assert service.core.checkpoint() == before
    exchange.ask("eucom", OfficerCancelled, officer="watch-2", draft=1)
    assert exchange.alert("eucom", "flash", officer="watch-2") == "draft/2"
    service.happens(OfficersEnrolled, officers=roster)
    assert exchange.ask("eucom", OfficerReleased, officer="watch-1", draft=2) == "eucom/1/1"


def test_an_alert_of_an_officer_who_was_never_enrolled(scene: Scene) -> None:
    journal = scene.records("eucom")
    place = end_of_batch(journal, last(journal, FrameReceived))
    forged = scene.forged("eucom", inserted(place, lambda record, core: careless(ghost(record), core)))
    assert problems(scene, forged) == {place: "officer ghost acts, who is not enrolled"}


def test_the_other_side_counts_names_and_cannot_know_people(tmp_path: Path) -> None:
    """SPEC P1.4: a side whose service signs for two officers who do not exist is believed."""
    scene = Scene(tmp_path)
    exchange = Exchange(tmp_path / "journal", at=MORNING)
    exchange.open()
    exchange.start()
    signer, peer = signer_of("eucom"), exchange.ndmc
    assert signer is not None
    invented = structs.replace(
        msgspec.convert(alert(peer.at, "Invented"), Alert), precedence="flash", released_by=("ghost-1", "ghost-2")
    )
    stream = peer.core.state.epoch.inbox  # type: ignore[union-attr]
    body = msgspec.to_builtins(invented)
    message = Message(seq=stream.upto + 1, prev=stream.head, at=written(peer.at), body=body)
    peer.receive(Frame("eucom", "message", message_frame(scene.file.terms, "eucom", signer, message)))
    assert [each.alert.released_by for each in peer.core.snapshot().alerts] == [("ghost-1", "ghost-2")]


def test_an_act_in_the_name_of_somebody_else(scene: Scene) -> None:
    place = last(scene.records("ndmc"), OfficerAcknowledged).n

    def edit(record: Record, core: Any) -> Iterator[Entry]:
        if record.n != place:
            yield record.entry
        else:
            yield from careless(structs.replace(record.entry, officer="ghost"), core)

    assert place in problems(scene, scene.forged("ndmc", edit))


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


def test_an_alarm_of_the_watch_that_nobody_enrolled_has_acknowledged(tmp_path: Path) -> None:
    """SPEC P1.5: the watch enrols its officers since rules 4."""
    scene = Scene(tmp_path)
    exchange = Exchange(tmp_path / "journal", at=MORNING)
    exchange.open()
    exchange.start()
    watch = exchange.ends["watch"]
    watch.happens(IdentityTakenOver, times=3)
    (alarm,) = watch.core.snapshot().alarms
    request: dict[str, Any] = {"request": "1", "code": alarm.code, "subject": alarm.subject}
    with pytest.raises(LocalProtocolError, match="officer 'mickey-mouse' is not enrolled here"):
        watch.happens(AlarmAcknowledged, officer="mickey-mouse", **request)
    watch.happens(AlarmAcknowledged, officer="observer-1", **request)
    exchange.stop()
    assert problems(scene, "journal/watch") == {}
    act = last(scene.records("watch"), AlarmAcknowledged).n

    forged = scene.forged("watch", without(lambda record: isinstance(record.entry, OfficersEnrolled)))
    assert problems(scene, forged) == {act - 1: "officer observer-1 acts, before any officer is enrolled"}

    def of_rules_3(record: Record, core: Any) -> Iterator[Entry]:
        del core
        if isinstance(record.entry, EpochOpened):
            yield structs.replace(record.entry, rules="3")
        elif not isinstance(record.entry, OfficersEnrolled):
            yield record.entry

    # the watch had no officers then, and anybody could acknowledge its alarms
    (tmp_path / "older").mkdir()
    (tmp_path / "older" / "journal").symlink_to(tmp_path / "journal")
    older = Scene(tmp_path / "older")
    assert problems(older, older.forged("watch", of_rules_3)) == {}


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
    (roster,) = [each.entry for each in scene.records("watch") if isinstance(each.entry, OfficersEnrolled)]
    assert list(roster.officers) == ["observer-1"]
    assert problems(scene, "journal/eucom") == {}
