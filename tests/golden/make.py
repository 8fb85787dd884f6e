"""Writes the golden journals of the code it runs on: `python -m tests.golden.make` makes `rules-RULES/`, once."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from msgspec import structs

from endpoints.config import default_terms, link_file
from endpoints.config.link_file import LinkFile, WatchEntry
from endpoints.journal.segments import segment_path, segments
from endpoints.keys.signer import Signer
from protocol.core.events import LineTestRequested
from protocol.record.recovery import SECTOR_BYTES
from protocol.wire.instants import parsed
from scenario.simulation.faults import draw
from scenario.simulation.simulate import quiet
from scenario.simulation.simulated_process import SimulatedProcess
from scenario.simulation.world import world
from tests.golden.cases import GOLDEN, SUFFIX, commands, pack, write_expected
from tests.golden.continuing import RULES, deconflict, exchange_of
from tests.support.exchange import SEGMENT_BYTES, WATCH, Exchange
from tests.support.world import MINUTE, SECOND

MORNING = parsed("2022-11-29T07:30:00.000Z")
WORLD_DAYS = 4
WORLDS = {
    35: "crashes, power cuts, a clock step, a machine that sleeps, a wiped broker, doubled frames",
    42: "a two-faced peer and the epoch that ends its fork, power cuts, crashes, forged frames and a flood of them",
    62: "a journal restored from an older copy, two epochs, clock steps, a full disk, crashes",
}
"""Seeds, and why each was chosen."""
SIDES = (default_terms.CALLER, default_terms.ANSWERING)
TEXT = dict.fromkeys(("en", "ru"), "Обстрел площадки. Подтвердите.\nShelling of the site @ 47° N. Confirm.")
LARGE = dict.fromkeys(TEXT, "Щ" * 900)
_SMALL_BYTES = 24_000


def one_day(case: Path) -> None:
    """The demo through real processes: broker, both endpoints, the watch; takes more than a minute."""
    with tempfile.TemporaryDirectory(prefix="golden-") as folder:
        day = Path(folder) / "day"
        demo = [sys.executable, "-m", "endpoints.cli.main", "demo", "--keep", str(day)]
        subprocess.run(demo, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.copy(day / "link" / "link.toml", case / "link.toml")
        for name in ("eucom", "ndmc", WATCH):
            shutil.copytree(day / "link" / name / "journal" / default_terms.LINK, case / "journal" / name)
            (case / "output").mkdir(exist_ok=True)
            shutil.copy(day / "output" / f"{name}.jsonl", case / "output" / f"{name}.jsonl")
        for name in ("eucom", "ndmc", WATCH):
            (case / "keys" / name).mkdir(parents=True)
            for key in (day / "link" / name / "keys").glob("*.pem"):
                shutil.copy(key, case / "keys" / name / key.name)


def simulated(seed: int) -> Callable[[Path], None]:
    """A simulated world, with real signatures."""

    def make(case: Path) -> None:
        quiet()
        made = world(structs.replace(draw(seed, WORLD_DAYS), real_keys=True))
        made.run()
        link_file.save(made.file, case / "link.toml")
        for name, site in made.processes.items():
            _write_disk(site, case / "journal" / name)
        for name in made.processes:
            # the seed of which the simulation makes the key
            _write_key(case, name, f"{name}-key", sha256(name.encode()).digest())

    return make


def several_segments(case: Path) -> None:
    """Five hours of traffic through the service's own running links, with checkpoints, restarts and a clock step."""
    exchange = _begin(case, _SMALL_BYTES)
    for hour in range(5):
        reference = exchange.alert("eucom", text=TEXT)
        exchange.run(5 * MINUTE)
        (exchange.refuse if hour == 1 else exchange.acknowledge)(reference)
        draft = exchange.alert("ndmc", "flash", text=TEXT)
        exchange.run(MINUTE)
        (exchange.release if hour % 2 else exchange.discard)("ndmc", draft)
        exchange.run(25 * MINUTE)
        exchange.answer_tests()
        exchange.forge("eucom")
        if hour == 1:
            exchange.outage("ndmc", duration=3 * MINUTE)
        if hour == 2:
            exchange.step_clock(-3 * SECOND)
        if hour == 3:
            exchange.ndmc.stop()
            exchange.eucom.crash()
            for side in exchange.sides:
                exchange.ends[side].restart()
        for side in exchange.sides:
            exchange.acknowledge_alarms(side)
        exchange.run(25 * MINUTE)
    exchange.stop()
    for name in ("eucom", WATCH):
        (case / "output").mkdir(exist_ok=True)
        (case / "output" / f"{name}.jsonl").write_bytes(_lines(case, name))


def killed(case: Path) -> None:
    """All three killed: one within the write of a batch, one by a power cut that lost a sector, one between batches.

    What was collected of the first ends within a line; what was collected of the second has prefixes, other lines,
    and records that were printed again after an earlier kill.
    """
    exchange = _begin(case, SEGMENT_BYTES)
    for side in exchange.sides:
        exchange.acknowledge(exchange.delivered(side))
    exchange.run(5 * MINUTE)
    collected = {side: _lines(case, side) for side in exchange.sides}
    for side in exchange.sides:
        # on disk, and not acted upon: the process ends before that
        exchange.alert(side, text=LARGE)
        exchange.ends[side].runner.commit(exchange.ends[side].now)
    for end in exchange.ends.values():
        end.crash()
    for side, hole in (("eucom", None), ("ndmc", SECTOR_BYTES)):
        path = segment_path(case / "journal" / side, 1)
        begin = len(collected[side])
        data = bytearray(path.read_bytes())
        middle = (begin // SECTOR_BYTES + 2) * SECTOR_BYTES
        behind = len(data) if hole is None else middle + hole
        assert hole is None or data[behind], "the batch is too short for a hole in it"
        data[middle:behind] = bytes(behind - middle)
        path.write_bytes(data)
    (case / "output").mkdir()
    torn = segment_path(case / "journal" / "eucom", 1).read_bytes().rstrip(b"\0")
    (case / "output" / "eucom.jsonl").write_bytes(torn)
    lines = collected["ndmc"].splitlines(keepends=True)
    half = len(lines) // 2
    again = [*lines[:half], lines[half][:25] + b"\n", *lines[half - 5 :]]
    other = b'{"level":"info","event":"started","software":"deconfliction-link"}\n'
    (case / "output" / "ndmc.jsonl").write_bytes(b"".join(b"ndmc-1  | " + line for line in [other, *again]))


def two_epochs(case: Path) -> None:
    """State that a later version must carry over, in the last checkpoint of either side.

    Undelivered messages of epoch 1, a draft, open alerts, a line test without an answer, one that awaits it, alarms
    that nobody has acknowledged, notices that nobody has delivered, messages in flight, and one that waits for the
    message before it. One side was stopped in order, the other was killed.
    """
    exchange = _begin(case, SEGMENT_BYTES)
    exchange.acknowledge(exchange.delivered("eucom"))
    exchange.run(5 * MINUTE)
    for side in exchange.sides:
        exchange.alert(side, text=dict.fromkeys(TEXT, f"Ohne Antwort: {side}"))
        exchange.run(MINUTE, lost_from=exchange.sides)
    exchange.stop()

    terms = structs.replace(exchange.file.terms, epoch=2)
    link_file.save(structs.replace(exchange.file, terms=terms), case / "link.toml")
    exchange = exchange_of(case, tag="epoch-2")
    exchange.open()
    exchange.start()
    # over the slot at 08:00, whose test nobody answers
    exchange.run(40 * MINUTE)
    exchange.acknowledge(exchange.delivered("ndmc"))
    exchange.run(MINUTE)
    exchange.alert("eucom")
    exchange.alert("ndmc")
    exchange.run(MINUTE)
    for end in exchange.ends.values():
        end.notifies = False
    exchange.outage("ndmc", duration=4 * MINUTE)
    exchange.ask("eucom", LineTestRequested, nonce="0123456789abcdef")
    exchange.settle()
    exchange.alert("ndmc", "flash")
    exchange.alert("ndmc")
    exchange.settle()
    # the first is lost, so the second waits for it at the other side
    exchange.alert("eucom")
    exchange.settle(lost_from=["eucom"])
    exchange.alert("eucom")
    exchange.settle()
    # not even published
    exchange.alert("ndmc")
    exchange.settle(lost_from=["ndmc"])
    for end in exchange.ends.values():
        end.crash()
        # a checkpoint behind each batch
        end.segment_bytes = 1
        end.restart()
        end.turn()
        end.outgoing.clear()
    exchange.eucom.stop()
    for name in ("ndmc", WATCH):
        exchange.ends[name].crash()


CASES: dict[str, Callable[[Path], None]] = {
    "one-day": one_day,
    **{f"world-{seed}": simulated(seed) for seed in WORLDS},
    "segments": several_segments,
    "killed": killed,
    "epochs": two_epochs,
}


def main() -> int:
    """Make every case; return the exit code."""
    folder = GOLDEN / f"rules-{RULES}"
    if folder.exists():
        print(f"{folder}: is there already, and never changes; raise RULES first", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="golden-") as temporary:
        made = Path(temporary) / folder.name
        made.mkdir()
        for name, make in CASES.items():
            case = Path(temporary) / name
            (case / "journal").mkdir(parents=True)
            make(case)
            for lock in case.rglob("lock"):
                lock.unlink()
            runs = [deconflict(case, arguments, stdin) for arguments, stdin in commands(case)]
            pack(case, made / f"{name}{SUFFIX}")
            write_expected(runs, made / f"{name}.json")
            print(f"{name}: {(made / f'{name}{SUFFIX}').stat().st_size} bytes, {len(runs)} commands")
        shutil.copytree(made, folder)
    return 0


def _begin(case: Path, segment_bytes: int) -> Exchange:
    """Return an exchange of both sides and the watch that have just started for the first time."""
    keys = {}
    for number, name in enumerate((*SIDES, WATCH), 1):
        _write_key(case, name, f"{name}-golden", bytes([number]) * 32)
        keys[name] = Signer.load(case / "keys" / name).enrolled
    parties = {side: structs.replace(default_terms.party(side), keys=keys[side]) for side in SIDES}
    watch = WatchEntry(keys=keys[WATCH])
    link_file.save(LinkFile(terms=default_terms.terms(), parties=parties, watch=watch), case / "link.toml")
    exchange = exchange_of(case, at=MORNING, segment_bytes=segment_bytes, tag="golden")
    exchange.open()
    exchange.start()
    return exchange


def _write_key(case: Path, side: str, key_id: str, seed: bytes) -> None:
    folder = case / "keys" / side
    folder.mkdir(parents=True)
    path = folder / f"{key_id}.raw"
    path.touch(mode=0o600)
    path.write_bytes(seed)


def _write_disk(site: SimulatedProcess, folder: Path) -> None:
    folder.mkdir()
    for first, data in site.disk.segments.items():
        segment_path(folder, first).write_bytes(bytes(data))


def _lines(case: Path, name: str) -> bytes:
    """Return the records of a journal, as the process prints them."""
    return b"".join(path.read_bytes().rstrip(b"\0") for path in segments(case / "journal" / name))


if __name__ == "__main__":
    sys.exit(main())
