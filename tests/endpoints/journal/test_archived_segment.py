"""Archives that were cut, changed or forged: what reading a journal says about them."""

import gzip
import io
import struct
import zlib
from pathlib import Path

import pytest

from endpoints.errors import UserError
from endpoints.journal import archived_segment
from endpoints.journal.archived_segment import DamagedArchive, open_segment, pack, segment_bytes, unpacked
from endpoints.journal.archiving import archive
from endpoints.journal.last_segment import last_segment
from endpoints.journal.reader import JournalReader
from endpoints.journal.segments import segments
from tests.support.journal_samples import LINK, NOON, SIDE, batch, checkpoint, lines_of

CONTENT = b"".join(lines_of([batch(number) for number in range(4)]))


def packed(data: bytes) -> bytes:
    target = io.BytesIO()
    pack([data], target)
    return target.getvalue()


def read(data: bytes, max_bytes: int = 1 << 20) -> bytes:
    with unpacked(io.BytesIO(data), "X", max_bytes=max_bytes) as content:
        return content.read()


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return a journal of two archived segments and one that is not."""
    folder = tmp_path / "journal"
    folder.mkdir()
    n, prev = 1, "0" * 64
    for number in range(3):
        begins = [] if number == 0 else [checkpoint(number)]
        lines = lines_of([*begins, batch(3 * number), batch(3 * number + 1)], n=n, prev=prev)
        (folder / f"{n:016d}.jsonl").write_bytes(b"".join(lines))
        n, prev = n + len(lines), lines[-1][-67:-3].decode()
    archive(folder, NOON)
    return folder


def test_an_archive_gives_back_its_content_and_is_the_same_each_time() -> None:
    assert read(packed(CONTENT)) == gzip.decompress(packed(CONTENT)) == CONTENT
    assert packed(CONTENT) == packed(CONTENT)


def test_a_segment_compressed_by_hand_is_read() -> None:
    assert read(gzip.compress(CONTENT)) == CONTENT


def test_every_flipped_bit_is_found_or_changes_nothing() -> None:
    """A few bits of the header mean nothing, such as the system that made it."""
    whole = packed(CONTENT)
    unnoticed = 0
    for place in range(len(whole)):
        for bit in range(8):
            data = bytearray(whole)
            data[place] ^= 1 << bit
            try:
                found = read(bytes(data))
            except UserError:
                continue
            assert found == CONTENT
            unnoticed += 1
    assert unnoticed <= 17 * 8


def test_every_cut_is_found() -> None:
    whole = packed(CONTENT)
    for length in range(len(whole)):
        with pytest.raises(DamagedArchive, match="this archive is cut") as raised:
            read(whole[:length])
        assert raised.value.exit_code == 3


def test_what_follows_the_end_is_found() -> None:
    for more in (b"x", packed(CONTENT), bytes(10)):
        with pytest.raises(DamagedArchive, match="something follows its end"):
            read(packed(CONTENT) + more)


def test_an_archive_of_a_later_version_is_named() -> None:
    data = bytearray(packed(CONTENT))
    assert data[16] == archived_segment.VERSION
    data[16] = 2
    with pytest.raises(UserError, match="format 2, made by a later version") as raised:
        read(bytes(data))
    assert raised.value.exit_code == 2


def test_an_extra_field_of_another_program_is_passed_over() -> None:
    raw = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = raw.compress(CONTENT) + raw.flush()
    end = struct.pack("<II", zlib.crc32(CONTENT), len(CONTENT))
    for extra in (b"AB\1\0z", b"AB\1\0zDL\1\0\1", b"DL\0\0", b"D", b""):
        head = b"\x1f\x8b\x08\x04" + bytes(6) + struct.pack("<H", len(extra)) + extra
        assert read(head + body + end) == CONTENT


@pytest.mark.parametrize("piece", [bytes(1 << 20), b"a" * (1 << 20), b"{}\n" * (1 << 18)])
def test_a_bomb_is_refused_early(piece: bytes) -> None:
    target = io.BytesIO()
    pack([piece] * 20, target)
    assert len(target.getvalue()) < 1 << 16

    with pytest.raises(DamagedArchive, match="contains what no journal does, or too much") as raised:
        read(target.getvalue(), max_bytes=2 << 20)
    assert raised.value.exit_code == 4


def test_what_is_long_is_unpacked_to_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archived_segment, "MEMORY_BYTES", 1_000)
    monkeypatch.setattr(archived_segment, "CHUNK_BYTES", 300)
    assert read(packed(CONTENT)) == CONTENT


def test_its_size_is_known_without_unpacking(journal: Path) -> None:
    for path in segments(journal):
        with open_segment(path) as file:
            assert segment_bytes(path) == len(file.read())
    (journal / "0000000000000001.jsonl.gz").write_bytes(b"")
    assert segment_bytes(journal / "0000000000000001.jsonl.gz") == 0


def test_a_journal_with_archives_is_intact(journal: Path) -> None:
    reader = JournalReader(str(journal))
    found = list(reader.whole_records())
    assert [each.n for each in found] == list(range(1, len(found) + 1))
    assert reader.verification.verdict == "intact"
    assert [path.suffix for path in reader.files] == [".gz", ".gz", ".jsonl"]


def test_one_archived_segment_is_read_like_a_segment(journal: Path) -> None:
    reader = JournalReader(str(segments(journal)[1]))
    assert next(iter(reader.records())).n > 1
    assert not reader.collected
    assert last_segment(journal, LINK, SIDE)
    segments(journal)[-1].unlink()
    assert last_segment(journal, LINK, SIDE)[0].n == next(iter(JournalReader(str(segments(journal)[1])).records())).n


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("damage", ["flipped", "cut"])
def test_a_damaged_archive_is_one_problem_and_the_rest_is_read(journal: Path, place: int, damage: str) -> None:
    path = segments(journal)[place]
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[-9:]
    else:
        data[-30] ^= 16
    path.write_bytes(data)

    reader = JournalReader(str(journal))
    found = list(reader.records())

    (problem,) = reader.verification.problems
    assert path.name in problem.reason
    assert problem.record == int(path.name[:16])
    assert reader.verification.verdict == ("incomplete" if damage == "cut" else "changed")
    assert found[-1].n == len(found) + len(data_of(journal, place))
    with pytest.raises(UserError) as raised:
        list(JournalReader(str(journal)).whole_records())
    assert raised.value.exit_code == (3 if damage == "cut" else 4)


def data_of(journal: Path, place: int) -> range:
    """Return the numbers of the records in a segment that can't be read."""
    first, following = (int(path.name[:16]) for path in segments(journal)[place : place + 2])
    return range(first, following)
