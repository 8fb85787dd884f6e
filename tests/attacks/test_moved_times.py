"""Journals with moved times, or with frames left out, run through the real rules and signed anew.

Each is intact and replays identically. The frames that the other side and the watch hold contradict it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from protocol.core.effects import Apply
from protocol.core.events import (
    BatchClosed,
    ClockStepped,
    DeadlineReached,
    FrameReceived,
    OfficerAcknowledged,
    TransportConnected,
    TransportLost,
)
from protocol.record.journal import Checkpoint, Entry, Record
from tests.attacks.forge import Edit
from tests.attacks.scene import Scene, inserted, moved, without
from tests.golden.cases import Run
from tests.golden.continuing import deconflict
from tests.support.exchange import Exchange
from tests.support.world import HOUR, MINUTE, SECOND

FIVE_MINUTES = 5 * MINUTE


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene.of_a_day(tmp_path_factory.mktemp("day"))


@pytest.fixture
def scene(honest: Scene, tmp_path: Path) -> Scene:
    """The journals of the day, beside which each test forges its own."""
    (tmp_path / "journal").symlink_to(honest.folder / "journal")
    return Scene(tmp_path)


def alert_arrives(journal: Iterable[Record], sender: str) -> Record:
    """Return the record at which the first alert of a side was applied."""
    return next(
        record
        for record in journal
        for effect in record.effects
        if isinstance(effect, Apply) and (effect.sender, effect.message.body["type"]) == (sender, "alert")
    )


def batch_of(record: Record) -> Callable[[Record], bool]:
    return lambda each: each.batch == record.batch


def disagrees(scene: Scene, side: str, edit: Edit, *, watch: bool = False) -> Run:
    """Forge a side's journal, which passes on its own; return what `reconcile` says of it and the other side's."""
    forged = scene.forged(side, edit)
    assert scene.verify(forged).exit == 0
    assert deconflict(scene.folder, ["replay", forged, "--json"]).exit == 0
    names = [forged, "journal/watch" if watch else f"journal/{'ndmc' if side == 'eucom' else 'eucom'}"]
    runs = [scene.reconcile(*names), scene.reconcile(*reversed(names))]
    assert [run.exit for run in runs] == [6, 6], runs
    assert not runs[0].document["agree"]
    return runs[0]


def frames_of(run: Run, signer: str) -> list[Any]:
    return [each for each in run.document["missing_frames"] if each["signer"] == signer]


def test_the_honest_journals_agree(scene: Scene) -> None:
    for names in (
        ("journal/eucom", "journal/ndmc"),
        ("journal/eucom", "journal/ndmc", "--watch", "journal/watch"),
        ("journal/eucom", "journal/watch"),
        ("journal/watch", "journal/ndmc"),
    ):
        run = scene.reconcile(*names)
        assert run.exit == 0, run
        assert (run.document["compared"], run.document["not_compared"]) == (5, 0)
        assert (run.document["missing_frames"], run.document["impossible"]) == ([], [])


@pytest.mark.parametrize("watch", [False, True], ids=["the sender's journal", "the watch's journal"])
@pytest.mark.parametrize(("side", "sender"), [("ndmc", "eucom"), ("eucom", "ndmc")])
def test_your_alert_reached_us_five_minutes_later(scene: Scene, side: str, sender: str, watch: bool) -> None:
    """The batch that received it, and sealed the receipt, moves by five minutes; so does everything after it."""
    arrival = alert_arrives(scene.records(side), sender)
    run = disagrees(scene, side, moved(FIVE_MINUTES, lambda record: record.batch >= arrival.batch), watch=watch)
    assert frames_of(run, side)
    (late,) = [each for each in run.document["impossible"] if each["what"] == "received_after_receipt"][:1]
    one, other = late["records"]
    assert (one["journal"], one["record"]) == (side, arrival.n)
    assert other["journal"] == ("watch" if watch else sender)
    assert other["at"] < one["at"]


def test_only_the_arrival_moves_and_the_receipt_stays(scene: Scene) -> None:
    arrival = alert_arrives(scene.records("ndmc"), "eucom")
    run = disagrees(scene, "ndmc", moved(FIVE_MINUTES, lambda record: record.n == arrival.n))
    assert not run.document["missing_frames"]
    assert {each["what"] for each in run.document["impossible"]} == {"received_after_receipt", "clock_goes_back"}
    assert all(len(each["records"]) == 2 for each in run.document["impossible"])


def test_an_arrival_moves_by_half_a_minute(scene: Scene) -> None:
    arrival = alert_arrives(scene.records("ndmc"), "eucom")
    assert disagrees(scene, "ndmc", moved(30_000, batch_of(arrival))).document["impossible"]


def test_an_alert_that_arrived_is_left_out(scene: Scene) -> None:
    arrival = alert_arrives(scene.records("ndmc"), "eucom")
    run = disagrees(
        scene, "ndmc", without(lambda record: isinstance(record.entry, FrameReceived) and record.n >= arrival.n)
    )
    assert frames_of(run, "ndmc")
    assert "eucom/1/2" in run.document["only_in"]["eucom"]


def test_an_acknowledgement_is_left_out(scene: Scene) -> None:
    run = disagrees(scene, "ndmc", without(lambda record: isinstance(record.entry, OfficerAcknowledged)))
    assert "ndmc/1/2" in run.document["differing"] or "ndmc/1/3" in run.document["only_in"]["eucom"]
    assert frames_of(run, "ndmc")


def test_an_officer_acknowledged_sooner(scene: Scene) -> None:
    act = next(record for record in scene.records("ndmc") if isinstance(record.entry, OfficerAcknowledged))
    run = disagrees(scene, "ndmc", moved(-30 * SECOND, batch_of(act)))
    assert "ndmc/1/2" in run.document["differing"]


def test_all_of_a_journal_moves(scene: Scene) -> None:
    run = disagrees(scene, "ndmc", moved(FIVE_MINUTES, lambda _record: True))
    assert run.document["differing"]


def test_a_receipt_is_signed_at_another_time(scene: Scene) -> None:
    """Moscow signs later that it has the alert; what it received is unchanged."""
    arrival = alert_arrives(scene.records("ndmc"), "eucom")
    closed = moved(500, lambda record: record.batch == arrival.batch and isinstance(record.entry, BatchClosed))
    run = disagrees(scene, "ndmc", closed)
    assert [each["receipt_upto"] for each in frames_of(run, "ndmc")] == [2]


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A slot's test that was queued in time, and left 35 minutes later, when the broker came back."""
    scene = Scene(tmp_path_factory.mktemp("outage"))
    exchange = Exchange(scene.folder / "journal", scene.file, at=1_669_708_740_000, latency=20)
    exchange.open()
    exchange.start()
    exchange.outage("eucom", duration=36 * MINUTE)
    exchange.answer_tests()
    exchange.settle()
    exchange.run(MINUTE)
    exchange.stop()
    assert scene.reconcile("journal/eucom", "journal/ndmc").exit == 0
    return scene


@pytest.mark.parametrize("watch", [False, True], ids=["the other side's journal", "the watch's journal"])
def test_our_line_test_left_in_time(outage: Scene, tmp_path: Path, watch: bool) -> None:
    (tmp_path / "journal").symlink_to(outage.folder / "journal")
    scene = Scene(tmp_path, outage.file)
    journal = scene.records("eucom")
    back = [record for record in journal if isinstance(record.entry, TransportConnected)][-1]
    placed = next(record for record in journal if isinstance(record.entry, DeadlineReached) and record.effects)
    # the connection was never lost, so the test left with its own batch
    lost = without(lambda record: isinstance(record.entry, TransportLost) or record.n == back.n)
    run = disagrees(scene, "eucom", lost, watch=watch)
    assert [each for each in frames_of(run, "eucom") if "eucom/1/1" in each["messages"]]
    # or the connection came back a second after the slot
    (tmp_path / "forged").rename(tmp_path / "first")

    def sooner(record: Record, _core: Any) -> Iterable[Entry]:
        entry = record.entry
        if record.n == placed.n:
            yield entry
            return
        if placed.n < record.n < back.n and not isinstance(entry, BatchClosed):
            return
        if placed.n < record.n < back.n:
            yield structs.replace(entry, at=placed.entry.at, mono=placed.entry.mono)
            return
        if record.batch == back.batch:
            entry = structs.replace(entry, at=placed.entry.at + SECOND, mono=placed.entry.mono + SECOND)
        yield entry

    run = disagrees(scene, "eucom", sooner, watch=watch)
    assert [each for each in frames_of(run, "eucom") if "eucom/1/1" in each["messages"]]


# --- a clock that is set back -------------------------------------------------------------------------------------


def set_back(folder: Path, side: str, *, recorded: bool) -> Scene:
    """Return a scene in which the clock of a side goes back by ten minutes between two alerts, recorded or not."""
    scene = Scene(folder)
    exchange = Exchange(folder / "journal", scene.file, at=1_669_720_000_000)
    exchange.open()
    exchange.start()
    exchange.delivered(side)
    exchange.delivered(exchange.peer_of(side).name)
    exchange.run(MINUTE)
    end = exchange.ends[side]
    end.skew -= 10 * MINUTE
    if recorded:
        end.happens(ClockStepped, step_ms=-10 * MINUTE)
    exchange.delivered(side)
    exchange.delivered(exchange.peer_of(side).name)
    exchange.outage(side, duration=MINUTE)
    exchange.stop()
    return scene


@pytest.mark.parametrize("side", ["eucom", "ndmc"])
def test_a_stream_goes_back_without_a_clock_step(tmp_path: Path, side: str) -> None:
    scene = set_back(tmp_path, side, recorded=False)
    for names in (("journal/eucom", "journal/ndmc"), (f"journal/{side}", "journal/watch")):
        run = scene.reconcile(*names)
        assert run.exit == 6
        (back,) = [each for each in run.document["impossible"] if each["what"] == "stream_goes_back"]
        assert (back["side"], back["message"]) == (side, f"{side}/1/2")
        assert [each["journal"] for each in back["records"]] == [side, side]


@pytest.mark.parametrize("side", ["eucom", "ndmc"])
def test_a_recorded_clock_step_explains_it(tmp_path: Path, side: str) -> None:
    scene = set_back(tmp_path, side, recorded=True)
    run = scene.reconcile("journal/eucom", "journal/ndmc", "--watch", "journal/watch")
    assert (run.exit, run.document["impossible"]) == (0, [])


def test_a_small_clock_step_does_not_explain_a_large_one(tmp_path: Path) -> None:
    scene = set_back(tmp_path, "eucom", recorded=False)
    journal = scene.records("eucom")
    fall = next(one.n for before, one in pairwise(journal) if one.entry.at < before.entry.at)
    step = inserted(
        fall,
        lambda record, _core: iter([ClockStepped(at=record.entry.at, mono=record.entry.mono, step_ms=-2 * SECOND)]),
    )
    forged = scene.forged("eucom", step)
    assert scene.reconcile(forged, "journal/ndmc").exit == 6


def test_a_small_clock_step_does_not_explain_a_late_arrival(scene: Scene) -> None:
    """Our receipt for the alert keeps its time; an invented step stands between the two."""
    arrival = alert_arrives(scene.records("eucom"), "ndmc")

    def edit(record: Record, core: Any) -> Iterator[Entry]:
        del core
        entry = record.entry
        if record.n != arrival.n:
            yield entry
            return
        yield structs.replace(entry, at=entry.at + FIVE_MINUTES)
        yield ClockStepped(at=entry.at, mono=entry.mono, step_ms=-600)

    run = disagrees(scene, "eucom", edit)
    assert {each["what"] for each in run.document["impossible"]} == {"received_after_receipt", "clock_goes_back"}


def test_a_restart_on_a_clock_that_was_set_back_explains_it(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    exchange = Exchange(tmp_path / "journal", scene.file, at=1_669_720_000_000)
    exchange.open()
    exchange.start()
    exchange.delivered("eucom")
    exchange.eucom.stop()
    exchange.eucom.skew -= HOUR
    exchange.eucom.restart()
    exchange.settle()
    exchange.delivered("eucom")
    exchange.run(MINUTE)
    exchange.stop()
    run = scene.reconcile("journal/eucom", "journal/ndmc", "--watch", "journal/watch")
    assert (run.exit, run.document["impossible"]) == (0, [])
    assert not any(isinstance(record.entry, Checkpoint) for record in scene.records("eucom"))
