"""Journals whose signed heads are left out, so that somebody without the key can write what follows the last one.

A service signs the head of its journal at the latest 15 minutes after a record. So what lacks a head is found, unless
it is the end of a journal; then the verdict counts it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import UNSET, structs

from endpoints.keys.signer import Signer
from protocol.core.effects import Apply, Queue
from protocol.core.events import ClockStepped, FrameReceived, Started
from protocol.record.heads import SIGN_AFTER_MS, SIGN_WITHIN_MS
from protocol.record.journal import ORIGIN, Checkpoint, Closed, Entry, HeadSigned, Record, decode, encode
from tests.attacks.forge import records, write
from tests.attacks.scene import LINK_FILE, Scene, with_keys
from tests.golden.continuing import deconflict, rich
from tests.support.exchange import Exchange
from tests.support.small_day import begun
from tests.support.world import HOUR, MINUTE, SECOND

SIDES = ("eucom", "ndmc")


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Two hours with an alert every six minutes, a kill in between, and a clean stop."""
    scene = Scene(tmp_path_factory.mktemp("hours"))
    exchange = begun(scene.folder / "journal", file=scene.file)
    alerts(exchange, HOUR)
    for side in SIDES:
        exchange.ends[side].crash()
        exchange.ends[side].restart()
    alerts(exchange, HOUR)
    exchange.stop()
    return scene


def alerts(exchange: Exchange, duration: int) -> None:
    for _ in range(duration // (6 * MINUTE)):
        exchange.delivered("eucom")
        exchange.run(6 * MINUTE)


@pytest.fixture
def scene(honest: Scene, tmp_path: Path) -> Scene:
    (tmp_path / "journal").symlink_to(honest.folder / "journal")
    return Scene(tmp_path, honest.file)


def hashed_anew(scene: Scene, side: str, edit: Callable[[Record], Entry | None]) -> str:
    """Write a journal with some entries changed or left out; every record follows from the one before."""
    made: list[Record] = []
    for record in scene.records(side):
        entry = edit(record)
        if entry is None:
            continue
        prev, n = (made[-1].hash, made[-1].n + 1) if made else (ORIGIN, 1)
        batch = n if not made or made[-1].ends_batch else made[-1].batch
        line, _ = encode(n, record.link, side, batch, entry, record.effects, prev)
        made.append(decode(line))
    write(made, scene.folder / "forged" / side)
    return f"forged/{side}"


def without_heads(record: Record) -> Entry | None:
    entry = record.entry
    if isinstance(entry, HeadSigned):
        return None
    return structs.replace(entry, signed_head=UNSET) if isinstance(entry, Checkpoint | Closed) else entry


def heads(journal: Iterable[Record]) -> list[int]:
    return [record.n for record in journal if isinstance(record.entry, HeadSigned)]


@pytest.mark.parametrize("side", SIDES)
def test_the_honest_journals_are_vouched_for(scene: Scene, side: str) -> None:
    run = scene.verify(f"journal/{side}")
    journal = scene.records(side)
    assert (run.exit, run.document["vouched_for"]) == (0, len(journal) - 1)
    # one in 10 minutes, and one at the start after the kill
    assert 10 <= len(heads(journal)) <= 13
    assert deconflict(scene.folder, ["replay", f"journal/{side}", "--json"]).exit == 0
    # a head covers at least one record that is none
    kinds = [type(record.entry) for record in journal]
    assert (HeadSigned, HeadSigned) not in [*pairwise(kinds)]


@pytest.mark.parametrize("words", [LINK_FILE, ()], ids=["with the link file", "without"])
@pytest.mark.parametrize("side", SIDES)
def test_heads_are_left_out(scene: Scene, side: str, words: tuple[str, ...]) -> None:
    forged = hashed_anew(scene, side, without_heads)
    run = deconflict(scene.folder, ["log", "verify", forged, *words, "--json"])
    assert (run.exit, run.document["vouched_for"]) == (4, 0)
    assert any("no signed head covers records" in each["reason"] for each in run.document["problems"])
    assert scene.reconcile(forged, "journal/ndmc" if side == "eucom" else "journal/eucom").exit == 4


def test_a_message_after_the_last_head_is_changed(scene: Scene) -> None:
    """All that follows is hashed anew; no later head fits, so it is left out."""
    journal = scene.records("ndmc")
    last = heads(journal)[2]
    arrival = next(
        each for each in journal if each.n > last and any(isinstance(effect, Apply) for effect in each.effects)
    )

    def edit(record: Record) -> Entry | None:
        if record.n < arrival.n:
            return record.entry
        entry = without_heads(record)
        return structs.replace(entry, at=entry.at + SECOND) if isinstance(entry, FrameReceived) else entry

    run = scene.verify(hashed_anew(scene, "ndmc", edit))
    assert (run.exit, run.document["vouched_for"], run.document["sealed_upto"]) == (4, last - 1, last - 1)


def test_the_start_after_a_kill_signs_nothing(scene: Scene) -> None:
    """What the run before has left without a head could have been written by anybody."""
    journal = scene.records("eucom")
    again = [each.n for each in journal if isinstance(each.entry, Started)][1]
    head = next(n for n in heads(journal) if n > again)

    run = scene.verify(hashed_anew(scene, "eucom", lambda record: None if record.n == head else record.entry))
    assert run.exit == 4
    first = run.document["problems"][0]
    assert "and the start of a service" in first["reason"]
    assert first["record"] > again


def test_what_follows_the_last_head_is_counted(scene: Scene) -> None:
    """The end of a journal may lack a head: it was killed, or its end was cut off, or replaced."""
    journal = scene.records("eucom")
    last = heads(journal)[-2]
    end = next(record.n for record in journal if record.n > last and record.ends_batch)
    write(journal[:end], scene.folder / "forged" / "eucom")
    run = scene.verify("forged/eucom")
    assert (run.exit, run.document["records"], run.document["vouched_for"]) == (0, end, last - 1)
    for lang, text in (
        ("en", f"{last - 1} of {end} records vouched for"),
        ("ru", f"подписями заверено {last - 1} из {end}"),
    ):
        assert text in rich(scene.folder, ["log", "verify", "forged/eucom", "--lang", lang])
    told = scene.reconcile("journal/ndmc", "forged/eucom").document["vouched_for"]
    assert told["eucom"] == {"records": end, "vouched_for": last - 1}


def test_a_journal_from_a_checkpoint_counts_its_own_records(tmp_path: Path) -> None:
    scene = Scene.of_a_day(tmp_path, segment_bytes=4_000)
    paths = sorted((tmp_path / "journal" / "eucom").glob("*.jsonl"))
    run = scene.verify(str(paths[-1]))
    assert run.exit == 0
    assert run.document["vouched_for"] == run.document["records"] - 1
    assert run.document["sealed_upto"] > run.document["records"]


# --- what an honest journal may look like -------------------------------------------------------------------------


def test_a_stall_a_sleep_and_a_clock_step_are_no_finding(tmp_path: Path) -> None:
    """The machine sleeps for hours, its clock is set, it is killed behind a batch that a head should have followed."""
    scene = Scene(tmp_path)
    exchange = begun(tmp_path / "journal", file=scene.file)
    exchange.delivered("eucom")
    # nothing takes a turn for three hours; then a batch, and only then the head
    exchange.world.at += 3 * HOUR
    exchange.delivered("eucom")
    exchange.delivered("eucom")
    exchange.step_clock(2 * HOUR)
    exchange.settle()
    exchange.delivered("ndmc")
    exchange.step_clock(-4 * HOUR)
    exchange.settle()
    exchange.delivered("ndmc")
    exchange.world.at += HOUR
    # on disk, and killed before the head is signed
    for side in SIDES:
        exchange.alert(side)
        exchange.ends[side].runner.commit(exchange.ends[side].now)
        exchange.ends[side].crash()
        exchange.ends[side].restart()
        # and once more, within the first batch of a run
        exchange.ends[side].runner.commit(exchange.ends[side].now)
        exchange.ends[side].crash()
        exchange.ends[side].restart()
    exchange.settle()
    exchange.delivered("eucom")
    exchange.stop()
    for side in SIDES:
        run = scene.verify(f"journal/{side}")
        assert (run.exit, run.document["problems"]) == (0, [])
        assert run.document["vouched_for"] == run.document["records"] - 1


def test_a_clock_set_ahead_does_not_stand_for_time_that_passed(tmp_path: Path) -> None:
    """The step is an event of the journal; without it, a jump of the wall clock counts as time."""
    scene = Scene(tmp_path)
    exchange = begun(tmp_path / "journal", file=scene.file)
    exchange.delivered("eucom")
    exchange.step_clock(20 * MINUTE)
    exchange.settle()
    for _ in range(2):
        exchange.delivered("eucom")
    exchange.stop()
    assert scene.verify("journal/eucom").exit == 0
    assert heads(scene.records("eucom")) == []
    forged = hashed_anew(
        scene, "eucom", lambda record: None if isinstance(record.entry, ClockStepped) else without_heads(record)
    )
    assert scene.verify(forged).exit == 4


@pytest.mark.parametrize("shown", [False, True], ids=["a step that no time shows", "a step there and back"])
def test_an_invented_step_does_not_hide_that_heads_are_missing(scene: Scene, shown: bool) -> None:
    """The monotonic clock stands still, and the step is to explain how far the wall clock went."""
    journal = scene.records("eucom")
    again = [record.batch for record in journal if isinstance(record.entry, Started)][1]
    journal = [record for record in journal if record.n < again]
    stepped = next(record.n for record in journal if isinstance(record.entry, FrameReceived))
    made: list[Record] = []
    for record in journal:
        entry = without_heads(record)
        if entry is None:
            continue
        entries = [structs.replace(entry, mono=journal[0].entry.mono)]
        if record.n == stepped:
            at, mono, day = entry.at, journal[0].entry.mono, 24 * HOUR
            steps = [(at + day, day), (at, -day)] if shown else [(at, day)]
            entries[:0] = [ClockStepped(at=then, mono=mono, step_ms=step) for then, step in steps]
        for each in entries:
            prev, n = (made[-1].hash, made[-1].n + 1) if made else (ORIGIN, 1)
            batch = n if not made or made[-1].ends_batch else made[-1].batch
            effects = () if isinstance(each, ClockStepped) else record.effects
            line, _ = encode(n, record.link, record.side, batch, each, effects, prev)
            made.append(decode(line))
    write(made, scene.folder / "forged" / "eucom")
    run = scene.verify("forged/eucom")
    assert run.exit == 4
    assert any("no signed head covers records" in each["reason"] for each in run.document["problems"])


def test_a_head_does_not_vouch_beyond_a_break_of_the_chain(scene: Scene) -> None:
    journal = scene.records("eucom")
    changed = heads(journal)[2] - 2
    before = [n for n in heads(journal) if n < changed][-1]
    made = []
    for record in journal:
        entry = structs.replace(record.entry, at=record.entry.at + 1) if record.n == changed else record.entry
        line, _ = encode(record.n, record.link, record.side, record.batch, entry, record.effects, record.prev)
        made.append(decode(line))
    write(made, scene.folder / "forged" / "eucom")
    run = scene.verify("forged/eucom")
    assert [each["record"] for each in run.document["problems"]] == [changed + 1]
    assert run.document["vouched_for"] == before - 1 + len(journal) - 1 - changed


def test_a_quiet_link_signs_nothing_more(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    exchange.delivered("eucom")
    exchange.answer_tests()
    exchange.run(HOUR)
    for side in exchange.sides:
        exchange.acknowledge_alarms(side)  # people are reminded of others
    exchange.run(HOUR)
    before = len(records(tmp_path / "eucom"))
    exchange.run(2 * HOUR)
    journal = records(tmp_path / "eucom")
    assert len(journal) == before
    assert isinstance(journal[-1].entry, HeadSigned)
    # killed and started again: nothing was left without a head, so none follows
    exchange.eucom.crash()
    exchange.eucom.restart()
    exchange.settle()
    assert heads(records(tmp_path / "eucom")) == heads(journal)
    exchange.stop()


def test_a_head_is_signed_ten_minutes_after_the_first_record(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    exchange.run(5 * MINUTE)
    exchange.delivered("eucom")
    exchange.run(20 * MINUTE)
    journal = records(tmp_path / "eucom")
    first = next(record for record in journal if record.ends_batch)
    head = next(record for record in journal if isinstance(record.entry, HeadSigned))
    assert SIGN_AFTER_MS <= head.entry.mono - first.entry.mono < SIGN_WITHIN_MS
    assert any(isinstance(effect, Queue) for record in journal[: head.n] for effect in record.effects)
    exchange.stop()


@pytest.mark.parametrize("pending", [HOUR, 0], ids=["an officer accepts it an hour later", "at once"])
def test_a_side_whose_new_key_waits_for_an_officer_signs_nothing(tmp_path: Path, pending: int) -> None:
    """SPEC F5.6: once the key is accepted, a head covers what was written meanwhile."""
    scene = Scene(tmp_path)
    exchange = begun(tmp_path / "journal", file=scene.file)
    exchange.delivered("eucom")
    exchange.run(5 * MINUTE)
    for side in SIDES:
        exchange.ends[side].crash()
    exchange.ends["watch"].stop()

    new = Signer({"eucom-new": Ed25519PrivateKey.from_private_bytes(bytes([41]) * 32)})
    changed = with_keys(scene.file, eucom=new.enrolled)
    scene.save("changed.toml", changed)
    exchange = Exchange(tmp_path / "journal", changed, signers={"eucom": new}, tag="changed")
    exchange.open()
    exchange.start()
    waiting = len(heads(scene.records("eucom")))
    for _ in range(pending // (10 * MINUTE)):
        exchange.delivered("ndmc")
        exchange.run(10 * MINUTE)
    assert len(heads(scene.records("eucom"))) == waiting
    exchange.accept_keys("eucom")
    assert len(heads(scene.records("eucom"))) == waiting + 1
    exchange.accept_keys()
    exchange.delivered("eucom")
    exchange.stop()
    for side in SIDES:
        run = scene.verify(f"journal/{side}", *LINK_FILE, "--link-file", "changed.toml")
        assert (run.exit, run.document["problems"]) == (0, [])
        assert run.document["vouched_for"] == run.document["records"] - 1
