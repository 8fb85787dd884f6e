"""Epochs of actual links that nobody confirmed, and restorations that nobody made (SPEC E1.8, E2.3)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from protocol.core.core import Core
from protocol.core.events import FrameReceived, Started
from protocol.core.start_events import EpochOpened, JournalRestored, LinkConfirmed
from protocol.record.journal import Checkpoint, Closed, Entry, Record
from tests.attacks.forge import Edit, records, write
from tests.attacks.scene import LINK_FILE, Scene, end_of_batch, inserted, last, without
from tests.support.exchange import COMPARED_AT, Exchange, link_file
from tests.vectors.terms import EPOCH_1

MORNING = 1_669_708_740_000
POLICY = structs.replace(EPOCH_1.policy, status="actual")
ACTUAL = link_file(structs.replace(EPOCH_1, policy=POLICY))
NEXT = link_file(structs.replace(EPOCH_1, policy=POLICY, epoch=2))
UNCONFIRMED = "this start opened epoch {} of an actual link, and no officer had confirmed its link file"
NO_EPOCH = "this start says that the journal was restored, and opened no new epoch"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Two epochs of an actual link, whose officers confirmed both; each side was started twice in the first one."""
    exchange = Exchange(tmp_path / "journal", ACTUAL, at=MORNING)
    exchange.open()
    exchange.start()
    exchange.delivered("eucom")
    for end in exchange.ends.values():
        end.stop()
        end.restart()
    exchange.settle()
    for end in exchange.ends.values():
        end.stop()
        end.file = NEXT
        end.restart()
    exchange.settle()
    exchange.delivered("ndmc")
    exchange.stop()
    scene = Scene(tmp_path, NEXT)
    scene.save("former.toml", ACTUAL)
    return scene


def problems(scene: Scene, journal: str) -> dict[int, str]:
    found = scene.verify(journal, *LINK_FILE, "--link-file", "former.toml").document["problems"]
    return {each["record"]: each["reason"] for each in found}


def numbers(scene: Scene, side: str, kind: type[Entry]) -> list[int]:
    return [each.n for each in scene.records(side) if isinstance(each.entry, kind)]


def only_rules(rules: str) -> Edit:
    def edit(record: Record, core: Any) -> Iterator[Entry]:
        del core
        if isinstance(record.entry, EpochOpened) and record.n == 1:
            yield structs.replace(record.entry, rules=rules)
        elif not isinstance(record.entry, LinkConfirmed):
            yield record.entry

    return edit


def at(record: Record) -> dict[str, int]:
    return {"at": record.entry.at, "mono": record.entry.mono}


def test_honest_journals_of_a_confirmed_link(scene: Scene) -> None:
    for side, count in (("eucom", 2), ("ndmc", 2), ("watch", 0)):
        assert len(numbers(scene, side, LinkConfirmed)) == count
        assert problems(scene, f"journal/{side}") == {}


def test_an_epoch_that_nobody_confirmed(scene: Scene) -> None:
    for epoch, place in enumerate(numbers(scene, "ndmc", LinkConfirmed), 1):
        forged = scene.forged("ndmc", without(lambda record, place=place: record.n == place))  # type: ignore[misc]
        start = next(n for n in numbers(scene, "ndmc", Started) if n > place) - 1
        assert problems(scene, forged) == {start: UNCONFIRMED.format(epoch)}
        agree = scene.reconcile("journal/eucom", forged, "--link-file", "former.toml")
        assert agree.exit == 4
        (scene.folder / "forged").rename(scene.folder / f"forged-{epoch}")


def test_a_confirmation_that_came_too_late(scene: Scene) -> None:
    """It was recorded at the second start, and the epoch was open since the first one."""
    first, second = numbers(scene, "eucom", Started)[:2]
    (place, _), journal = numbers(scene, "eucom", LinkConfirmed), scene.records("eucom")

    def edit(record: Record, core: Any) -> Iterator[Entry]:
        del core
        if record.n == second:
            yield structs.replace(journal[place - 1].entry, **at(record))
        if record.n != place:
            yield record.entry

    assert problems(scene, scene.forged("eucom", edit)) == {first - 1: UNCONFIRMED.format(1)}


def test_a_confirmation_by_an_officer_who_was_not_enrolled(scene: Scene) -> None:
    place = numbers(scene, "eucom", LinkConfirmed)[1]

    def edit(record: Record, core: Any) -> Iterator[Entry]:
        if record.n != place:
            yield record.entry
            return
        roster, core.state.officers = core.state.officers, None
        yield structs.replace(record.entry, officer="ghost")
        core.state.officers = roster

    assert problems(scene, scene.forged("eucom", edit)) == {place: "officer ghost acts, who is not enrolled"}


def test_a_confirmation_of_another_epoch(scene: Scene) -> None:
    place = numbers(scene, "eucom", LinkConfirmed)[1]

    def edit(record: Record, core: Any) -> Iterator[Entry]:
        del core
        yield structs.replace(record.entry, digest=ACTUAL.digest) if record.n == place else record.entry

    found = problems(scene, scene.forged("eucom", edit))
    assert found == {place: "it confirms the link file of epoch 1, not one of epoch 2"}


def test_older_rules_confirmed_nothing(scene: Scene) -> None:
    assert problems(scene, scene.forged("eucom", only_rules("4"))) == {}


def test_a_journal_of_older_rules_goes_on_unconfirmed(scene: Scene) -> None:
    """Its epoch is open. Only the next one demands a confirmation (SPEC E1.8)."""
    ends = {side: scene.forged(side, only_rules("4")) for side in ("eucom", "ndmc", "watch")}
    exchange = Exchange(scene.folder / "forged", NEXT)
    exchange.open()
    exchange.start()
    exchange.delivered("eucom")
    exchange.stop()
    for side, journal in ends.items():
        later = [each.entry for each in records(scene.folder / journal)]
        assert any(isinstance(entry, Checkpoint) and entry.rules == Core.RULES for entry in later), side
        assert problems(scene, journal) == {}
    assert (
        scene.reconcile("forged/eucom", "forged/ndmc", "--watch", "forged/watch", "--link-file", "former.toml").exit
        == 0
    )


def test_an_exercise_needs_no_confirmation(tmp_path: Path) -> None:
    scene = Scene.of_a_day(tmp_path)
    assert not numbers(scene, "eucom", LinkConfirmed)
    assert scene.verify("journal/eucom").document["problems"] == []


def test_missing_records_may_have_confirmed_it(scene: Scene) -> None:
    journal = scene.records("eucom")
    place = numbers(scene, "eucom", LinkConfirmed)[1]
    write([each for each in journal if each.n not in {place - 1, place}], scene.folder / "gap" / "eucom")
    (reason,) = problems(scene, "gap/eucom").values()
    assert reason == f"records {place - 1} to {place} are missing"


# --- restorations -------------------------------------------------------------------------------------------------


def restored(record: Record, n: int, head: str) -> JournalRestored:
    return JournalRestored(**at(record), restored_at=COMPARED_AT, records=n, head=head)


def claims(scene: Scene, place: int, n: int, head: str) -> dict[int, str]:
    """Return the findings if eucom's journal says before a record that it was restored up to another one."""
    edit = inserted(place, lambda record, _core: iter([restored(record, n, head)]))
    return problems(scene, scene.forged("eucom", edit))


def second_epoch(scene: Scene) -> Record:
    return last(scene.records("eucom"), EpochOpened)


def test_an_honest_restoration(scene: Scene) -> None:
    """A copy ends at the last record before the start, or before what the journal wrote about itself there."""
    place = second_epoch(scene)
    closed = scene.records("eucom")[place.n - 2]
    assert isinstance(closed.entry, Closed)
    for number, (last_record, head) in enumerate([(closed.n, closed.hash), (closed.n - 1, closed.prev)]):
        assert claims(scene, place.n, last_record, head) == {}
        (said,) = scene.verify("forged/eucom", "--link-file", "former.toml", *LINK_FILE).document["restorations"]
        assert said == {"restored_at": COMPARED_AT, "records": last_record, "head": head}
        (scene.folder / "forged").rename(scene.folder / f"forged-{number}")


def test_a_restoration_that_the_records_contradict(scene: Scene) -> None:
    place = second_epoch(scene)
    earlier = scene.records("eucom")[5]
    reason = f"it says that the journal was restored up to record {earlier.n}; the records before it say otherwise"
    assert claims(scene, place.n, earlier.n, earlier.hash) == {place.n: reason}


def test_a_restoration_with_another_head(scene: Scene) -> None:
    place = second_epoch(scene)
    (reason,) = claims(scene, place.n, place.n - 1, "0" * 64).values()
    assert reason.endswith("the records before it say otherwise")


def test_a_restoration_without_a_new_epoch(scene: Scene) -> None:
    journal = scene.records("eucom")
    second = journal[numbers(scene, "eucom", Started)[1] - 1]
    assert claims(scene, second.n, second.n - 1, second.prev) == {second.n + 1: NO_EPOCH}


def test_a_restoration_in_mid_run(scene: Scene) -> None:
    journal = scene.records("ndmc")
    place = end_of_batch(journal, last(journal, FrameReceived))
    before = journal[place - 2]
    edit = inserted(place, lambda record, _core: iter([restored(record, before.n, before.hash)]))
    found = problems(scene, scene.forged("ndmc", edit))
    assert found[place + 1].startswith(f"record {place}, JournalRestored, is written only at a start")


def test_a_watch_goes_on_in_its_epoch(scene: Scene) -> None:
    """It sends nothing. A mark that could not be removed is recorded at the next start too."""
    first, second = numbers(scene, "watch", Started)[1:3]
    journal = scene.records("watch")
    copy = journal[first - 2]

    def edit(record: Record, core: Any) -> Iterator[Entry]:
        del core
        if record.n in {first, second}:
            yield restored(record, copy.n, copy.hash)
        yield record.entry

    assert problems(scene, scene.forged("watch", edit)) == {}
