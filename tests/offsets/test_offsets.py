"""Flipped bits and truncations anywhere in a journal are found and named, with the right exit code and no traceback.

`make offsets` tries every offset of both sides' journals; these tests try every bit of a part of the bytes.
"""

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest

from endpoints.cli.log import EXIT_INCOMPLETE, log_verify
from endpoints.cli.replay import replay
from endpoints.errors import UserError
from endpoints.journal.reader import JournalReader
from endpoints.journal.segments import segments
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import EXIT_DAMAGED, JournalWriter
from protocol.errors import JournalError
from protocol.record.recovery import SECTOR_BYTES, recover
from protocol.record.verification import Verification
from tests.offsets.collected import accepted_flips_in_a_log, collected
from tests.offsets.damage import BITS, Recorded, accepted_cuts, accepted_flips, recovered_cuts
from tests.support.journal_samples import LINK, SIDE, batch, checkpoint, lines_of
from tests.support.recorded import record

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both sides' journals, some 250 records each in four segments."""
    folder = tmp_path_factory.mktemp("recorded")
    record(folder)
    return folder


@pytest.fixture(scope="module")
def journal(folders: Path) -> Recorded:
    return Recorded(folders / "eucom")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal short enough to be read many times."""
    folder = tmp_path_factory.mktemp("small")
    record(folder, hours=2, segment_bytes=24_000)
    return folder / "eucom"


def none_accepted(verdicts: Iterable[str]) -> int:
    """Fail with the first wrong verdicts; return how many verdicts there were."""
    counted = Counter(verdicts)
    wrong = [verdict for verdict in counted if verdict != "ok"]
    assert not wrong, wrong[:10]
    return counted["ok"]


def one_line(error: UserError) -> int:
    assert "\n" not in str(error)
    return error.exit_code


def exit_code(command: Callable[[], int]) -> int:
    """Return the command line's exit code. Any error but a UserError would be a traceback."""
    try:
        return command()
    except UserError as error:
        return one_line(error)


def start(folder: Path) -> int:
    """Open the journal as the service does; return 0, or the service's exit code."""
    try:
        journal = JournalWriter.open(FolderStore(folder), "eucom-ndmc", "eucom")
    except UserError as error:
        return one_line(error)
    journal.let_go()
    return 0


def test_the_recorded_journals_are_large_enough_and_always_the_same(folders: Path, tmp_path: Path) -> None:
    record(tmp_path)

    for side in ("eucom", "ndmc"):
        paths = segments(folders / side)
        assert len(paths) >= 4
        assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in segments(tmp_path / side)]
        assert sum(path.read_bytes().count(b"\n") for path in paths) > 200


@pytest.mark.parametrize("index", range(4))
def test_no_flipped_bit_is_accepted(journal: Recorded, index: int) -> None:
    assert none_accepted(accepted_flips(journal, index, every=7, phase=index)) > 50_000


@pytest.mark.parametrize("index", range(4))
def test_every_cut_has_the_right_outcome(journal: Recorded, index: int) -> None:
    assert none_accepted(accepted_cuts(journal, index, every=11)) > 4_000


@pytest.mark.parametrize("zeros", [0, 3_000])
def test_the_start_cuts_to_the_last_whole_batch(journal: Recorded, zeros: int) -> None:
    assert none_accepted(recovered_cuts(journal, every=101, zeros=zeros)) > 700


def test_no_flipped_bit_in_a_collected_log_is_accepted(journal: Recorded) -> None:
    lines = collected(journal)
    assert none_accepted(accepted_flips_in_a_log(lines[:150], every=167)) > 5_000


def test_no_bit_among_the_zeros_after_the_end_is_accepted() -> None:
    data = b"".join(lines_of([checkpoint(0), batch(1)], n=8))
    for offset in range(len(data), len(data) + 1_600):
        for bit in BITS:
            damaged = bytearray(data) + bytes(2_000)
            damaged[offset] ^= bit
            with pytest.raises(JournalError):
                recover(bytes(damaged), 8, LINK, SIDE)
            verification = Verification()
            verification.begin_segment(8, "8", alone=True)
            reader = JournalReader("zeros")
            reader.verification = verification
            assert len([*reader._segment(BytesIO(damaged), final=True)]) == 3
            assert verification.damage is not None


# --- the commands, on whole journals ------------------------------------------------------------------------------

CLASSES = {
    "number": rb'\{"n":(\d+)',
    "brace": rb'(\{)"n":',
    "link": rb'"link":"([a-z-]+)',
    "side": rb'"side":"([a-z]+)',
    "batch": rb'"batch":(\d+)',
    "at": rb'"at":"([^"]+)',
    "mono": rb'"mono":(\d+)',
    "event": rb'"event":"([A-Za-z]+)',
    "name of a field": rb',"([a-z_]+)":',
    "effects": rb'"effects":(\[)',
    "effect": rb'"effect":"([A-Za-z]+)',
    "frame": rb'"frames?":\[?"([A-Za-z0-9+/=]+)',
    "prev": rb'"prev":"([0-9a-f]+)',
    "hash": rb'"hash":"([0-9a-f]+)',
    "end": rb'"(\})\n',
    "newline": rb"(\n)",
    "signed head": rb'"signed_head":"([^,]+)',
    "Cyrillic": rb"([\xd0\xd1][\x80-\xbf]+)",
    "escape": rb"(\\n)",
    "becomes NUL": rb"([ @])",
    "becomes a newline": rb"([*J])",
    "checkpoint": rb'"state":(\{.{200})',
}


@pytest.mark.parametrize("name", list(CLASSES))
def test_the_commands_find_a_flip_in_every_kind_of_byte(name: str, small: Path, tmp_path: Path) -> None:
    for path in segments(small):
        data = path.read_bytes().rstrip(b"\0")
        found = [match.span(1) for match in re.finditer(CLASSES[name], data, re.DOTALL)]
        if not found:
            assert name in {"checkpoint", "signed head"}
            continue
        for (begin, end), wanted in ((found[0], 1), (found[-1], 32)):
            offset = (begin + end) // 2
            bit = wanted if name != "becomes NUL" else data[offset]
            damaged = tmp_path / "damaged"
            shutil.copytree(small, damaged)
            altered = bytearray(path.read_bytes())
            altered[offset] ^= bit
            (damaged / path.name).write_bytes(altered)
            where = f"{path.name}: byte {offset}, bit {bit}"
            assert exit_code(partial(log_verify, str(damaged))) == EXIT_DAMAGED, where
            assert exit_code(partial(replay, str(damaged))) == EXIT_DAMAGED, where
            # a start reads one segment, however old the link is
            assert start(damaged) == (EXIT_DAMAGED if path == segments(small)[-1] else 0), where
            shutil.rmtree(damaged)


@pytest.mark.parametrize("missing", [1, 2, 300, 3_000, 9_000])
def test_the_commands_accept_a_torn_end_as_a_crash_leaves_it(missing: int, small: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn"
    shutil.copytree(small, torn)
    last = segments(torn)[-1]
    data = last.read_bytes().rstrip(b"\0")
    last.write_bytes(data[:-missing].ljust(len(data) + 4_096, b"\0"))

    assert exit_code(partial(log_verify, str(torn))) == EXIT_INCOMPLETE
    assert exit_code(partial(replay, str(torn))) == 0
    assert start(torn) == 0
    assert exit_code(partial(log_verify, str(torn))) == 0


def test_a_journal_cut_between_two_batches_is_found_by_a_head_from_elsewhere(small: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(small, cut)
    last = segments(cut)[-1]
    lines = last.read_bytes().rstrip(b"\0").splitlines(keepends=True)
    head = lines[-1][-67:-3].decode()
    assert exit_code(partial(log_verify, str(cut), expect_head=head)) == 0
    # the clean stop is a batch of its own
    last.write_bytes(b"".join(lines[:-1]))

    assert exit_code(partial(log_verify, str(cut))) == 0
    assert exit_code(partial(log_verify, str(cut), expect_head=head)) == EXIT_DAMAGED


@pytest.mark.parametrize("command", ["verify", "replay"])
def test_the_process_reports_damage_in_one_line(command: str, small: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(small, damaged)
    last = segments(damaged)[-1]
    altered = bytearray(last.read_bytes())
    altered[1_000] ^= 1
    last.write_bytes(altered)
    words = ["log", "verify"] if command == "verify" else ["replay"]
    ran = subprocess.run(
        [sys.executable, "-m", "endpoints.cli.main", *words, str(damaged)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )

    assert ran.returncode == EXIT_DAMAGED
    assert "Traceback" not in ran.stderr + ran.stdout
    assert "something in it was changed" in ran.stderr + ran.stdout
    assert ran.stderr.count("\n") == (1 if command == "replay" else 0)


def test_every_command_accepts_a_hole_in_the_last_batch_as_a_power_cut_leaves_it(small: Path, tmp_path: Path) -> None:
    holed = tmp_path / "holed"
    shutil.copytree(small, holed)
    last = segments(holed)[-1]
    data = bytearray(last.read_bytes())
    frame = data.rfind(b'"event":"FrameReceived"')
    begin = data.rfind(b"\n", 0, frame) + 1
    # the journal ends with the batch of this frame, a sector of which never arrived
    end = data.find(b"\n", data.find(b'"event":"BatchClosed"', frame)) + 1
    sector = -(-begin // SECTOR_BYTES) * SECTOR_BYTES
    data[end:] = bytes(4_096)
    data[sector : sector + SECTOR_BYTES] = bytes(SECTOR_BYTES)
    assert sector + SECTOR_BYTES < end
    last.write_bytes(data)

    assert exit_code(partial(replay, str(holed))) == 0
    assert exit_code(partial(log_verify, str(holed))) == EXIT_INCOMPLETE
    assert start(holed) == 0
    assert exit_code(partial(log_verify, str(holed))) == 0
