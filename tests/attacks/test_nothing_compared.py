"""Journals that begin at a checkpoint which their side made itself, so that little or nothing is left to compare.

What a side has receipted under its signature must be compared, and a comparison of nothing is no agreement.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw, structs

from protocol.core.effects import Apply, Queue
from protocol.core.events import FrameReceived
from protocol.core.link import Link
from protocol.core.observer import Observer
from protocol.record.beginning import Beginning
from protocol.record.fold import fold
from protocol.record.journal import HEAD_TYPE, Checkpoint, Record, decode, encode, head_payload
from protocol.wire.messages import Reference
from tests.attacks.forge import forge, signer_of, write, write_file
from tests.attacks.scene import Scene
from tests.golden.continuing import printed
from tests.support.small_day import begun
from tests.support.world import SECOND

OTHER = {"eucom": "ndmc", "ndmc": "eucom"}


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene.of_a_day(tmp_path_factory.mktemp("day"), segment_bytes=4_000)


@pytest.fixture
def scene(honest: Scene, tmp_path: Path) -> Scene:
    """The journals of the day, beside which each test forges its own."""
    (tmp_path / "journal").symlink_to(honest.folder / "journal")
    return Scene(tmp_path)


def one_line(scene: Scene, side: str, state: Raw) -> str:
    """Write a journal of one checkpoint in the place of a side's last record, with a signed head."""
    end = scene.records(side)[-1]
    signer = signer_of(side)
    entry = Checkpoint(at=end.entry.at, mono=end.entry.mono, rules=Link.RULES, core="Link", state=state)
    if signer is None:
        entry = structs.replace(entry, core="Observer")
    else:
        head = signer.seal(HEAD_TYPE, head_payload(end.link, side, end.n - 1, end.prev))
        entry = structs.replace(entry, signed_head=head.decode())
    line, _ = encode(end.n, end.link, side, end.n, entry, (), end.prev)
    write_file([decode(line)], scene.folder / f"{side}.jsonl")
    return f"{side}.jsonl"


def core_of(scene: Scene, side: str) -> Any:
    journal = scene.records(side)
    empty: Any = Observer.new(journal[0].link, side) if side == "watch" else Link.new(journal[0].link, side)
    return fold(journal, empty)


@pytest.mark.parametrize("side", ["eucom", "ndmc"])
@pytest.mark.parametrize("state", ["the true state", "nothing was said", "a later epoch", "other streams", "no epoch"])
def test_a_journal_of_one_line(scene: Scene, side: str, state: str) -> None:
    core = core_of(scene, side)
    epoch = core.state.epoch
    if state == "nothing was said":
        new = Link.new(core.link, side)
        new.handle(scene.records(side)[0].entry)
        core.state.epoch = new.state.epoch
    elif state == "a later epoch":
        core.state.epoch.terms = structs.replace(epoch.terms, epoch=1_000)
    elif state == "other streams":
        epoch.outbox.last, epoch.outbox.head = 10_000, "ab" * 32
        epoch.inbox.upto, epoch.inbox.head = 10_000, "cd" * 32
    elif state == "no epoch":
        core.state.epoch = None
    forged = one_line(scene, side, core.checkpoint())
    for names in ((forged, f"journal/{OTHER[side]}"), (f"journal/{OTHER[side]}", forged)):
        run = scene.reconcile(*names)
        assert run.exit == 6
        assert not run.document["agree"]
        assert len(run.document["messages"]) == run.document["compared"] + run.document["not_compared"] == 5
        if state == "the true state":
            # the checkpoint's digests are right, and no record was compared with another
            assert run.document["compared"] == run.document["compared_by_checkpoint"] == 5
        elif state in {"a later epoch", "no epoch"}:
            assert run.document["compared"] == 0
        if state != "the true state":
            assert [each for each in run.document["only_in"][OTHER[side]] if each.startswith(OTHER[side])]


def test_two_journals_of_one_line(scene: Scene) -> None:
    names = [one_line(scene, side, core_of(scene, side).checkpoint()) for side in OTHER]
    run = scene.reconcile(*names)
    # neither has a message, so there is nothing to agree about but their digests
    assert run.document["compared"] == 0
    assert run.document["messages"] == []


def test_the_watch_begins_at_the_end(scene: Scene) -> None:
    forged = one_line(scene, "watch", core_of(scene, "watch").checkpoint())
    run = scene.reconcile("journal/eucom", forged)
    assert run.exit == 6
    assert run.document["compared"] == run.document["compared_by_checkpoint"] == 5


def test_a_state_that_cannot_be_restored_excuses_nothing(scene: Scene) -> None:
    state = Raw(msgspec.json.encode({"epoch": {"terms": msgspec.to_builtins(scene.file.terms)}}))
    run = scene.reconcile(one_line(scene, "ndmc", state), "journal/eucom")
    assert run.exit in {4, 6}


@pytest.mark.parametrize(("lang", "words"), [("en", "the journal ends at record"), ("ru", "журнал кончается записью")])
def test_a_journal_that_was_copied_earlier_says_where_it_ends(scene: Scene, lang: str, words: str) -> None:
    """Nothing tells it from one whose end was cut off: the journals disagree, and an investigator sees why."""
    journal = scene.records("eucom")
    ends = [record.n for record in journal if record.ends_batch]
    early = ends[len(ends) // 2]
    write([record for record in journal if record.n <= early], scene.folder / "early")
    run = scene.reconcile("early", "journal/ndmc")
    assert (run.exit, run.document["ends_at"]["eucom"]["record"]) == (6, early)
    assert f"eucom: {words} {early}" in printed(scene.folder, ["reconcile", "early", "journal/ndmc", "--lang", lang])


def later(scene: Scene, side: str) -> list[list[Record]]:
    """Return a side's honest journal from each of its checkpoints on."""
    journal = scene.records(side)
    return [journal[place:] for place, each in enumerate(journal) if isinstance(each.entry, Checkpoint)]


@pytest.mark.parametrize("side", ["eucom", "ndmc"])
def test_an_honest_journal_that_begins_at_a_checkpoint(scene: Scene, side: str) -> None:
    for number, journal in enumerate(later(scene, side)):
        name = f"{side}-{number}.jsonl"
        write_file(journal, scene.folder / name)
        run = scene.reconcile(name, f"journal/{OTHER[side]}")
        said = sum(isinstance(effect, Queue | Apply) for each in journal for effect in each.effects)
        # without a frame or message after it, a checkpoint is all that there is, as in a journal of one line
        frames = any(getattr(each.entry, "frames", ()) or isinstance(each.entry, FrameReceived) for each in journal)
        assert run.exit == (0 if said or frames else 6), run
        assert run.document["only_in"] == {"eucom": [], "ndmc": []}
        assert run.document["missing_frames"] == []
        assert run.document["compared"] == 5
        assert run.document["compared_by_checkpoint"] == 5 - said


@pytest.mark.parametrize("side", ["eucom", "ndmc"])
def test_a_checkpoint_that_denies_a_message(scene: Scene, side: str) -> None:
    """The rest of the journal is run through the real rules from a checkpoint with another past."""
    peer = OTHER[side]
    for journal in later(scene, side):
        checkpoint = journal[0].entry
        assert isinstance(checkpoint, Checkpoint)
        core = Link.restore(checkpoint.state)
        if core.state.epoch is not None and core.state.epoch.inbox.upto:
            break
    assert core.state.epoch is not None
    core.state.epoch.inbox.head = "ab" * 32
    core.state.epoch.inbox.hashes.clear()
    changed = structs.replace(checkpoint, state=core.checkpoint())
    first = structs.replace(journal[0], entry=changed)
    write_file(forge([first, *journal[1:]], signer_of(side)), scene.folder / "forged.jsonl")
    run = scene.reconcile("forged.jsonl", f"journal/{peer}")
    assert run.exit == 6
    assert run.document["differing"]
    assert str(Reference(peer, 1, core.state.epoch.inbox.upto)) in run.document["differing"]


SECOND_FILE = ("--link-file", "second.toml")


def two_epochs(folder: Path, *, lost_from: str) -> Scene:
    """Return a scene with an alert in epoch 1, while the frames of one side get lost, and more in epoch 2."""
    scene = Scene(folder)
    exchange = begun(folder / "journal", segment_bytes=1_000)
    exchange.world.at += SECOND
    exchange.alert("eucom")
    exchange.settle(lost_from=[lost_from])
    exchange.stop()
    second = structs.replace(scene.file, terms=structs.replace(scene.file.terms, epoch=2))
    scene.save("second.toml", second)
    for end in exchange.ends.values():
        end.file = second
        end.outgoing.clear()
        end.restart()
    exchange.settle()
    exchange.delivered("eucom")
    exchange.delivered("ndmc")
    exchange.stop()
    for side in (*OTHER, "watch"):
        journal = next(each for each in later(scene, side) if _epoch(each) == 2)
        write_file(journal, folder / f"{side}.jsonl")
    return scene


def test_a_receipted_message_of_an_earlier_epoch_must_be_compared(tmp_path: Path) -> None:
    """A checkpoint has no digest of earlier epochs. A signed receipt covers the message, so nothing excuses it."""
    scene = two_epochs(tmp_path, lost_from="")
    assert scene.reconcile("journal/eucom", "journal/ndmc", *SECOND_FILE).exit == 0
    for names in (("eucom.jsonl", "journal/ndmc"), ("journal/eucom", "ndmc.jsonl")):
        run = scene.reconcile(*names, *SECOND_FILE)
        assert run.exit == 6
        assert "eucom/1/1" in str(run.document["only_in"])
        assert (run.document["compared"], run.document["not_compared"]) == (2, 1)
    # the watch is no party, so nothing must be in its journal
    run = scene.reconcile("journal/eucom", "watch.jsonl", *SECOND_FILE)
    assert (run.exit, run.document["compared"], run.document["not_compared"]) == (0, 2, 1)


def test_an_earlier_epoch_without_a_receipt_is_counted_as_not_compared(tmp_path: Path) -> None:
    scene = two_epochs(tmp_path, lost_from="ndmc")
    run = scene.reconcile("eucom.jsonl", "journal/watch", *SECOND_FILE)
    assert (run.exit, run.document["compared"], run.document["not_compared"]) == (0, 2, 1)
    # ndmc has sealed a receipt, though it was lost
    assert scene.reconcile("eucom.jsonl", "journal/ndmc", *SECOND_FILE).exit == 6


def test_a_message_of_an_earlier_epoch_that_got_lost_is_not_missed(tmp_path: Path) -> None:
    scene = two_epochs(tmp_path, lost_from="eucom")
    run = scene.reconcile("journal/eucom", "ndmc.jsonl", *SECOND_FILE)
    assert (run.exit, run.document["outstanding"], run.document["not_compared"]) == (0, [], 1)
    run = scene.reconcile("journal/eucom", "journal/ndmc", *SECOND_FILE)
    assert (run.exit, run.document["outstanding"], run.document["not_compared"]) == (0, ["eucom/1/1"], 1)


def _epoch(journal: list[Record]) -> int:
    checkpoint = journal[0].entry
    assert isinstance(checkpoint, Checkpoint)
    return Beginning.of(journal[0], checkpoint).epoch
