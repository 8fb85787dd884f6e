from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from protocol.record.findings import PROBLEMS_MAX, Problem
from protocol.record.journal import claimed_hash
from protocol.record.verification import Verification, resembles_record
from tests.support.journal_samples import Batch, batch, checkpoint, closed, lines_of

BATCHES: list[Batch] = [batch(0), batch(1), batch(2), checkpoint(3), batch(4), closed(5)]
LINES = [line.removesuffix(b"\n") for line in lines_of(BATCHES)]


def verified(lines: list[bytes]) -> Verification:
    verification = Verification()
    for line in lines:
        verification.take(line)
    verification.finish()
    return verification


def problems(lines: list[bytes]) -> list[tuple[int, str]]:
    return [(each.record, each.reason) for each in verified(lines).problems]


def test_an_intact_journal_has_no_problems() -> None:
    found = verified(LINES)
    assert found.problems == []
    assert found.damage is None
    assert found.verdict == "intact"
    assert found.records == found.n == len(LINES)
    assert found.head == claimed_hash(LINES[-1])


def test_each_damaged_record_is_found_once_and_the_rest_is_verified() -> None:
    for index, line in enumerate(LINES):
        changed = [*LINES]
        changed[index] = line.replace(b'"effects"', b'"effectz"')
        found = verified(changed)
        assert [each.record for each in found.problems] == [index + 1]
        assert found.records == len(LINES) - 1
        assert found.damage is not None
        assert found.verdict == "changed"


def test_the_record_after_a_damaged_one_must_follow_from_its_claimed_hash() -> None:
    others = [line.removesuffix(b"\n") for line in lines_of([batch(7), *BATCHES[1:]])]
    damaged = LINES[2].replace(b'"effects"', b'"effectz"')
    assert [record for record, _ in problems([*LINES[:2], damaged, *LINES[3:]])] == [3]
    found = problems([*LINES[:2], damaged, *others[3:]])
    assert found[1:] == [(4, "it does not follow from record 3: its prev is not that record's hash")]


def test_a_file_with_only_a_cut_line_is_damaged() -> None:
    found = Verification()
    found.cut(LINES[0][:-5])
    found.finish()
    assert found.problems == [Problem(1, "the last line is cut: it has no newline")]
    assert found.damage is not None


def test_missing_records_are_reported() -> None:
    assert problems(LINES[:3] + LINES[4:]) == [(4, "record 4 is missing")]
    assert problems(LINES[:3] + LINES[6:]) == [(4, "records 4 to 6 are missing")]
    begun = problems(LINES[1:])
    assert begun == [(2, "records 1 to 1 are missing, and it is not a checkpoint")]
    broken = [*LINES[:3], LINES[3][:100], *LINES[6:]]
    found = problems(broken)
    assert [record for record, _ in found] == [4, 5]
    assert found[1][1] == "records 5 to 6 are missing"


def test_a_repeated_line_is_damage() -> None:
    doubled = [*LINES[:4], LINES[3], *LINES[4:]]
    assert problems(doubled) == [(4, "record 4 stands here, after record 4: moved, doubled or inserted")]


def test_a_moved_line_is_reported_at_both_places() -> None:
    moved = [*LINES[:2], *LINES[3:6], LINES[2], *LINES[6:]]
    assert problems(moved) == [
        (3, "record 3 is missing"),
        (3, "record 3 stands here, after record 6: moved, doubled or inserted"),
    ]


def test_a_different_record_with_the_same_number_is_damage() -> None:
    other = lines_of([batch(0), batch(2)])[3].removesuffix(b"\n")
    assert problems([*LINES[:3], other, *LINES[3:]])[0][0] == 4
    assert problems([*LINES[:3], other, *LINES[4:]]) == [
        (5, "it does not follow from record 4: its prev is not that record's hash")
    ]


def test_a_checkpoint_of_older_rules_than_those_before_it_is_damage() -> None:
    """Its records would be left out of a replay."""
    newer = structs.replace(checkpoint(0)[0][0], rules="2")
    lines = lines_of([[(newer, ())], checkpoint(1), batch(1)], n=5)
    found = problems([line.removesuffix(b"\n") for line in lines])
    assert found == [(6, "it names rules 1 after records of rules 2: no version goes back")]


def test_an_inserted_line_is_reported_once() -> None:
    for rubbish in (b"", b"rubbish", b"{}", b'{"n":4}', b"\xff\x00"):
        assert [record for record, _ in problems([*LINES[:3], rubbish, *LINES[3:]])] == [4]
        broken = [*LINES[:3], rubbish, *LINES[4:]]
        assert [record for record, _ in problems(broken)] == [4]


def test_a_folder_may_not_begin_at_a_checkpoint() -> None:
    start = next(index for index, line in enumerate(LINES) if b'"Checkpoint"' in line)
    folder = Verification()
    folder.begin_segment(start + 1, "segment")
    for line in LINES[start:]:
        folder.take(line)
    folder.finish()
    assert folder.problems == [Problem(1, f"records 1 to {start} are missing")]
    alone = Verification()
    alone.begin_segment(start + 1, "segment", alone=True)
    for line in LINES[start:]:
        alone.take(line)
    alone.finish()
    assert alone.problems == []
    assert alone.begins == start + 1


def test_segments_must_begin_with_the_checkpoint_in_their_name() -> None:
    verification = Verification()
    verification.begin_segment(1, "one")
    verification.take(LINES[0])
    verification.take(LINES[1])
    verification.take(LINES[2])
    verification.begin_segment(5, "five")
    verification.take(LINES[3])
    verification.begin_segment(6, "six")
    verification.finish()
    assert verification.problems[:3] == [
        Problem(4, "record 4 stands first in five, whose name says 5"),
        Problem(5, "batch 4 has no end (normal after a crash; the next start cuts it)", "missing"),
        Problem(6, "six contains no record"),
    ]
    later = Verification()
    later.begin_segment(1, "one")
    for line in LINES[:3]:
        later.take(line)
    later.begin_segment(4, "four")
    later.take(LINES[3])
    assert later.problems == [Problem(4, "it is the first record of four but not a checkpoint")]


def test_a_damaged_first_line_of_a_segment_keeps_its_number() -> None:
    start = next(index for index, line in enumerate(LINES) if b'"Checkpoint"' in line)
    verification = Verification()
    verification.begin_segment(start + 1, "segment", alone=True)
    verification.take(LINES[start][:-1])
    for line in LINES[start + 1 :]:
        verification.take(line)
    verification.finish()
    assert [each.record for each in verification.problems] == [start + 1]


def test_a_segment_that_can_t_be_read_is_one_problem() -> None:
    lines = lines_of([batch(0), checkpoint(1), batch(2), checkpoint(3), batch(4)])
    second, third = 1 + len(batch(0)), 2 + len(batch(0)) + len(batch(2))
    for lost in ([1], [second], [third], [1, second], [second, third]):
        found = Verification()
        for first, begin, end in ((1, 0, second - 1), (second, second - 1, third - 1), (third, third - 1, len(lines))):
            found.begin_segment(first, f"{first}.jsonl")
            if first in lost:
                found.lost("unreadable", "missing")
            for line in () if first in lost else lines[begin:end]:
                found.take(line[:-1])
        found.finish()
        assert found.problems == [Problem(first, "unreadable", "missing") for first in lost]
        assert found.damage == Problem(lost[0], "unreadable", "missing")
        assert found.verdict == "incomplete"
        assert found.resembling


def test_an_unfinished_batch_is_a_problem_but_not_damage() -> None:
    found = verified(LINES[:-2])
    assert found.problems == [
        Problem(len(LINES) - 1, "batch 9 has no end (normal after a crash; the next start cuts it)", "missing")
    ]
    assert found.damage is None
    live = Verification()
    for line in LINES[:-2]:
        live.take(line)
    live.cut(LINES[-2][:50], live=True)
    live.finish(live=True)
    assert live.problems == []


def test_a_cut_last_line_is_a_problem_but_not_damage() -> None:
    verification = Verification()
    for line in LINES[:7]:
        verification.take(line)
    verification.cut(LINES[7][:90] + bytes(100))
    verification.finish()
    assert verification.problems == [
        Problem(8, "the last line is cut: it has no newline (normal after a crash; the next start cuts it)", "missing")
    ]
    assert verification.damage is None
    strange = Verification()
    strange.take(LINES[0])
    strange.cut(b"rubbish")
    strange.cut(bytes(1000))
    reason = "the bytes after the last record are not the beginning of a record"
    assert [each.reason for each in strange.problems] == [reason]
    assert strange.damage is not None


def test_lines_of_another_journal_are_damage() -> None:
    other = [line.removesuffix(b"\n") for line in lines_of(BATCHES, link="syria")]
    both = [line for pair in zip(LINES, other, strict=True) for line in pair]
    assert [reason for _, reason in problems(both)] == ["it is of link syria, not eucom-ndmc"] * len(LINES)


def test_problems_beyond_the_maximum_are_counted() -> None:
    found = verified([LINES[0]] * (PROBLEMS_MAX + 11))
    assert len(found.problems) == PROBLEMS_MAX
    # the last of these is the batch without an end
    assert found.unlisted == 11


def test_lines_that_resemble_a_record_are_recognised() -> None:
    for line in LINES:
        assert resembles_record(line)
        assert all(resembles_record(line[start:]) for start in range(0, len(line) - 200, 17))
        assert all(resembles_record(line[:length]) for length in range(3, len(line), 17))
    started = b'{"at":"2022-11-29T08:00:00.000Z","level":"info","side":"eucom","link":"eucom-ndmc","event":"started"}'
    for line in (b"", b"{", b"hello", b'{"event":"listening","port":1}', started, b"Traceback", b'{"no":1}'):
        assert not resembles_record(line)


@given(st.data())
def test_any_change_of_lines_is_detected(data: st.DataObject) -> None:
    lines = [*LINES]
    for _ in range(data.draw(st.integers(1, 3))):
        index = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["remove", "double", "swap", "flip", "cut", "insert"])):
            case "remove":
                del lines[index]
            case "double":
                lines.insert(index, lines[index])
            case "swap":
                other = data.draw(st.integers(0, len(lines) - 1))
                lines[index], lines[other] = lines[other], lines[index]
            case "flip":
                changed = bytearray(lines[index])
                if changed:
                    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
                lines[index] = bytes(changed)
            case "cut":
                lines[index] = lines[index][: data.draw(st.integers(0, len(lines[index])))]
            case "insert":
                lines.insert(index, data.draw(st.binary(max_size=80)))
        if not lines:
            break
    found = verified(lines)
    # the only change that cannot be detected is that whole batches are missing at the end
    assert found.problems or lines == LINES[: len(lines)]
