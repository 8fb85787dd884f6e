import pytest

from protocol.errors import JournalError
from protocol.record.recovery import SECTOR_BYTES, Recovery, recover
from tests.support.journal_samples import LINK, SIDE, Batch, batch, checkpoint, closed, lines_of

BATCHES: list[Batch] = [batch(0), batch(1), batch(2)]
WHOLE = b"".join(lines_of(BATCHES))
ENDS = [len(b"".join(lines_of(BATCHES[:count]))) for count in range(len(BATCHES) + 1)]
AHEAD = bytes(700)


def recovered(data: bytes, first: int = 1) -> Recovery:
    return recover(data, first, LINK, SIDE)


def test_an_intact_segment_is_kept() -> None:
    assert recovered(WHOLE).keep == len(WHOLE)
    found = recovered(WHOLE + AHEAD)
    assert found.keep == len(WHOLE)
    assert found.cut_bytes == 0
    assert [record.n for record in found.records] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("ahead", [b"", AHEAD])
def test_any_truncation_keeps_exactly_the_finished_batches(ahead: bytes) -> None:
    for length in range(len(WHOLE)):
        finished = max(end for end in ENDS if end <= length)
        if not finished:
            # a segment is given its name only after its first batch is on disk
            with pytest.raises(JournalError):
                recovered(WHOLE[:length] + ahead)
            continue
        found = recovered(WHOLE[:length] + ahead)
        assert found.keep == finished
        assert found.cut_bytes == length - finished


def test_a_flipped_bit_is_never_accepted() -> None:
    segment = WHOLE + AHEAD
    for index in range(len(segment)):
        for bit in range(8):
            changed = bytearray(segment)
            changed[index] ^= 1 << bit
            with pytest.raises(JournalError):
                recovered(bytes(changed))


def test_a_flipped_bit_before_an_unfinished_batch_is_never_accepted() -> None:
    torn = WHOLE[: ENDS[2] + 100]
    for index in range(ENDS[2]):
        for bit in range(8):
            changed = bytearray(torn)
            changed[index] ^= 1 << bit
            with pytest.raises(JournalError):
                recovered(bytes(changed))


def long_last_batch() -> tuple[bytes, int]:
    """Return a segment whose last batch covers several sectors, and the offset of that batch."""
    many = [entry for number in range(3, 15) for entry in batch(number)[:-1]]
    last = lines_of([*BATCHES, [*many, batch(1)[-1]]])
    return b"".join(last), ENDS[-1]


def holed(data: bytes, start: int, end: int) -> bytes:
    return data[:start] + bytes(end - start) + data[end:]


def test_missing_sectors_of_the_last_batch_are_cut() -> None:
    data, start = long_last_batch()
    edges = [start, *range(start - start % SECTOR_BYTES + SECTOR_BYTES, len(data), SECTOR_BYTES)]
    assert len(edges) > 6
    for first, begin in enumerate(edges[:-1]):
        for end in edges[first + 1 :]:
            found = recovered(holed(data, begin, end) + AHEAD)
            assert found.keep == start
            assert found.cut_bytes == len(data) - start
    two = holed(holed(data, edges[1], edges[2]), edges[3], edges[4])
    assert recovered(two).keep == start
    # with the last sectors missing as well
    assert recovered(holed(data, edges[1], edges[2])[: edges[4]] + AHEAD).keep == start


def test_other_holes_are_damage() -> None:
    data, start = long_last_batch()
    sector = start - start % SECTOR_BYTES + SECTOR_BYTES
    for begin, end in [
        (sector, sector + 100),
        (sector + 1, sector + SECTOR_BYTES),
        (start + 1, sector),
        (start - 10, sector),
        (10, 20),
        (0, SECTOR_BYTES),
    ]:
        with pytest.raises(JournalError):
            recovered(holed(data, begin, end) + AHEAD)
    with pytest.raises(JournalError, match="within a sector"):
        recovered(holed(data, sector, sector + SECTOR_BYTES)[: sector + SECTOR_BYTES + 100] + AHEAD)


def test_a_hole_before_another_batch_is_damage() -> None:
    data, start = long_last_batch()
    follow = lines_of([batch(1), batch(2)], n=30, prev="a" * 64)
    sector = start - start % SECTOR_BYTES + SECTOR_BYTES
    with pytest.raises(JournalError, match="but batch 30 follows"):
        recovered(holed(data, sector, sector + SECTOR_BYTES) + b"".join(follow) + AHEAD)


def test_a_changed_line_beside_a_hole_is_damage() -> None:
    data, start = long_last_batch()
    sector = start - start % SECTOR_BYTES + SECTOR_BYTES
    torn = holed(data, sector, sector + SECTOR_BYTES)
    late = len(data) - 300
    with pytest.raises(JournalError):
        recovered(torn[:late] + b"?" + torn[late + 1 :] + AHEAD)
    with pytest.raises(JournalError, match="cannot occur in a record"):
        recovered(torn[:late] + b"\x07" + torn[late + 1 :] + AHEAD)


@pytest.mark.parametrize("garbage", [b"@", b"\n", b"{}", b'{"n":9,', b'{"n":8,"link":"other"', b"\x01", b"\xff", b" "])
def test_garbage_after_the_last_record_is_damage(garbage: bytes) -> None:
    with pytest.raises(JournalError, match=r"^record 8: "):
        recovered(WHOLE + garbage + AHEAD)
    to_sector = SECTOR_BYTES - len(WHOLE) % SECTOR_BYTES
    # a newline alone in a sector can be the end of a batch whose previous sector is missing
    for distance in (1,) if garbage == b"\n" else (1, to_sector):
        with pytest.raises(JournalError, match=r"^record 8: "):
            recovered(WHOLE + bytes(distance) + garbage + AHEAD)


def test_a_missing_newline_is_cut_but_a_changed_one_is_damage() -> None:
    assert recovered(WHOLE[:-1] + AHEAD).keep == ENDS[2]
    with pytest.raises(JournalError, match=r"^record 7: the byte after it is not a newline$"):
        recovered(WHOLE[:-1] + b"J" + AHEAD)


@pytest.mark.parametrize("data", [b"", AHEAD, b"hello\n", WHOLE[:300]])
def test_a_segment_without_a_finished_batch_is_damage(data: bytes) -> None:
    with pytest.raises(JournalError, match=r"^record 1: "):
        recovered(data)


def test_a_segment_must_begin_with_the_record_in_its_name() -> None:
    later = b"".join(lines_of([checkpoint(1), batch(1), closed(2)], n=500, prev="ab" * 32))
    assert recovered(later, 500).records[0].n == 500
    with pytest.raises(JournalError, match="whose name says 501"):
        recovered(later, 501)
    with pytest.raises(JournalError, match="of link"):
        recover(WHOLE, 1, "other", SIDE)
