from __future__ import annotations

from hashlib import sha256

import pytest
from msgspec import structs

from protocol.record import collected
from protocol.record.collected import CollectedVerification, is_closed, parts
from protocol.record.findings import PROBLEMS_MAX, Problem
from protocol.record.journal import claimed_hash, decode
from tests.support.journal_samples import Batch, batch, checkpoint, closed, lines_of

BATCHES: list[Batch] = [batch(0), batch(1), batch(2), checkpoint(3), batch(4), closed(5)]
LINES = [line.removesuffix(b"\n") for line in lines_of(BATCHES)]
FIRST_CHECKPOINT = next(n for n, line in enumerate(LINES, 1) if b'"Checkpoint"' in line)
CHANGED = "its bytes do not give its hash: something in it was changed"
HOLLOW = "its bytes do not give its hash: a part of its line may be missing"


class Log:
    """Gives lines to a verification as a reader does."""

    def __init__(self, **chosen: str) -> None:
        self.found = CollectedVerification(**chosen)
        self._held: dict[int, bytes] = {}

    def whole(self, *lines: bytes) -> Log:
        for line in lines:
            record = self.found.take(line)
            if record is not None and self.found.is_next(record):
                self.found.adopt(record)
            elif record is not None:
                self._held[record.n] = line
        return self

    def damaged(self, line: bytes, *, alone: bool = True, whose: tuple[str, str] | None = None) -> Log:
        self.found.take_damaged(line, alone=alone, whose=whose)
        return self

    def end(self) -> list[tuple[int, str]]:
        for n in sorted(self._held):
            record = decode(self._held[n])
            self.found.adopt(record)
        self.found.finish()
        return [(each.record, each.reason) for each in self.found.problems]


def hash_of(body: bytes) -> bytes:
    return sha256(body).hexdigest().encode()


def changed(line: bytes) -> bytes:
    return line.replace(b'"mono":', b'"mono":1', 1)


def test_an_intact_log_has_no_problems() -> None:
    log = Log().whole(*LINES, *LINES)
    assert log.end() == []
    assert log.found.verdict == "intact"
    assert log.found.records == log.found.n == len(LINES)
    assert log.found.head == claimed_hash(LINES[-1])
    assert log.found.begins == 1
    assert log.found.founded
    assert log.found.whose == ("eucom-ndmc", "eucom")


def test_each_changed_record_is_named() -> None:
    for index, line in enumerate(LINES):
        log = Log().whole(*LINES[:index]).damaged(changed(line)).whole(*LINES[index + 1 :])
        assert log.end() == [(index + 1, CHANGED)]
        assert log.found.verdict == "changed"
        assert log.found.missing == []
        damage = log.found.damage
        assert damage == Problem(index + 1, CHANGED)


@pytest.mark.parametrize(
    ("piece", "alone", "reason"),
    [
        (LINES[4][:150], True, "its line is cut"),
        (LINES[4][100:], True, "its line is cut"),
        (LINES[4][:9], True, "its line is cut"),
        (LINES[4][:6], True, "its line is cut"),
        # a part of a line that was joined may be lost
        (changed(LINES[4]), False, HOLLOW),
        (LINES[4].replace(b'"mono":1', '"mono":\N{REPLACEMENT CHARACTER}'.encode()), True, HOLLOW),
        (LINES[4].replace(b'"mono":1,', b'"mono":1'), True, HOLLOW),
        # the end of another record
        (LINES[4][:150] + LINES[6][150:], True, HOLLOW),
    ],
)
def test_what_a_log_system_can_have_done_is_missing(piece: bytes, alone: bool, reason: str) -> None:
    log = Log().whole(*LINES[:4]).damaged(piece, alone=alone).whole(*LINES[5:])
    assert log.end() == [(5, reason)]
    assert log.found.verdict == "incomplete"
    assert log.found.missing == [(5, 5)]
    assert log.found.damage is not None
    # the same at the end of the log
    last = Log().whole(*LINES[:4]).damaged(piece, alone=alone)
    assert (5, reason) in last.end()
    assert last.found.verdict == "incomplete"


def test_a_piece_without_beginning_and_end_is_named_by_its_place() -> None:
    piece = LINES[4][30:-70]
    reason = "a piece of a line that could not be put together"
    assert Log().whole(*LINES[:4]).damaged(piece).end() == [(5, reason)]


def test_a_piece_in_a_gap_does_not_say_which_record_it_is() -> None:
    piece = LINES[4][30:-70]
    found = Log().whole(*LINES[:3]).damaged(piece).whole(*LINES[6:]).end()
    assert found == [(4, "records 4 to 6 are missing"), (4, "a piece of a line that could not be put together")]


def test_a_log_of_one_changed_record_is_changed() -> None:
    log = Log().damaged(changed(LINES[0]))
    assert log.end() == [(1, CHANGED)]
    assert log.found.verdict == "changed"


def test_pieces_of_records_that_are_there_do_no_harm() -> None:
    for piece in (LINES[4][:150], LINES[4][100:], LINES[4][:9], LINES[4][:5], LINES[6][100:]):
        assert Log().whole(*LINES[:4]).damaged(piece).whole(*LINES[2:]).end() == []


def test_a_changed_copy_is_a_change() -> None:
    for index, line in enumerate(LINES):
        assert Log().whole(*LINES).damaged(changed(line)).end() == [(index + 1, CHANGED)]
    # its end says which record it was
    renumbered = LINES[-1].replace(b'{"n":%d,' % len(LINES), b'{"n":2,')
    assert Log().whole(*LINES[:-1]).damaged(renumbered).end() == [(len(LINES), HOLLOW)]


def test_the_end_of_a_record_tells_its_number() -> None:
    # behind the last record in front of a gap, and in front of the first one behind it
    log = Log().whole(*LINES[:3], *LINES[6:]).damaged(LINES[3][99:]).damaged(LINES[5][99:])
    assert log.end() == [(4, "its line is cut"), (5, "record 5 is missing"), (6, "its line is cut")]
    assert log.found.missing == [(4, 4), (5, 5), (6, 6)]
    # in the midst of a gap, only that something is there
    assert Log().whole(*LINES[:2], *LINES[7:]).damaged(LINES[4][99:]).end()[0] == (3, "records 3 to 7 are missing")


def test_several_lines_of_one_record_are_one_problem() -> None:
    log = Log().whole(*LINES[:4]).damaged(LINES[4][:150]).damaged(changed(LINES[4])).damaged(LINES[4][:99])
    assert log.whole(*LINES[5:]).end() == [(5, CHANGED)]
    at_the_end = Log().whole(*LINES[:4]).damaged(LINES[4][:150]).damaged(changed(LINES[4])).end()
    assert at_the_end == [(5, CHANGED)]


def test_the_order_of_records_does_not_matter() -> None:
    log = Log().whole(*reversed(LINES))
    assert log.end() == []
    assert log.found.records == len(LINES)
    ahead = Log().whole(LINES[0], *LINES[5:], *LINES[2:8], LINES[1], *LINES[:3])
    assert ahead.end() == []


def test_two_records_of_one_number_are_a_change() -> None:
    other = lines_of([batch(0), batch(2)])[3].removesuffix(b"\n")
    for lines in ([*LINES[:6], other, *LINES[6:]], [*LINES[4:], *LINES[:4], other]):
        log = Log().whole(*lines)
        assert log.end() == [(4, "there are two records 4, and they differ: changed, or an older journal was restored")]
        assert log.found.verdict == "changed"


def test_a_record_that_does_not_follow_is_a_change() -> None:
    others = [line.removesuffix(b"\n") for line in lines_of([batch(7), *BATCHES[1:]])]
    found = Log().whole(*LINES[:3], *others[3:]).end()
    assert found == [(4, "it does not follow from record 3: its prev is not that record's hash")]


def test_what_is_no_record_but_gives_its_hash_is_a_change() -> None:
    body = b'{"n":4,"link":"eucom-ndmc","side":"eucom","invented":true'
    forged = b'%b,"hash":"%b"}' % (body, hash_of(body))
    log = Log().whole(*LINES[:3], forged)
    assert log.end()[0][0] == 4
    assert log.found.verdict == "changed"


def test_an_older_version_of_the_rules_after_a_gap_is_a_change() -> None:
    newer = structs.replace(checkpoint(0)[0][0], rules="2")
    first = lines_of([[(newer, ())]], n=5)
    later = lines_of([checkpoint(1)], n=9)
    found = Log().whole(*(line.removesuffix(b"\n") for line in [*first, *later])).end()
    assert found == [
        (6, "records 6 to 8 are missing"),
        (9, "it names rules 1 after records of rules 2: no version goes back"),
    ]


def test_a_batch_that_began_before_the_log_may_end_in_it() -> None:
    assert Log().whole(*LINES[4:6]).end() == [(1, "records 1 to 4 are missing"), (7, "batch 6 has no end")]
    # a batch cannot have begun after its record
    later = lines_of([batch(0)], n=5)[1].removesuffix(b"\n").replace(b'"batch":5', b'"batch":9')
    body = later[: later.rindex(b',"hash"')]
    record = b'%b,"hash":"%b"}' % (body, hash_of(body))
    assert (6, "it says that it belongs to batch 9, which has ended") in Log().whole(record).end()


def test_a_log_may_begin_at_a_checkpoint() -> None:
    log = Log().whole(*LINES[FIRST_CHECKPOINT - 1 :])
    assert log.end() == []
    assert (log.found.begins, log.found.verdict, log.found.founded) == (FIRST_CHECKPOINT, "intact", True)
    before = Log().whole(*LINES[3:])
    assert before.end() == [(1, "records 1 to 3 are missing")]
    # what is missing before the first checkpoint leaves the records after it usable
    assert before.found.damage is None
    gap = Log().whole(*LINES[3:5], *LINES[6:])
    assert gap.end() == [(1, "records 1 to 3 are missing"), (6, "record 6 is missing")]
    assert gap.found.damage is None
    explained = Log().damaged(LINES[FIRST_CHECKPOINT - 2][99:]).whole(*LINES[FIRST_CHECKPOINT - 1 :])
    assert explained.end() == [(FIRST_CHECKPOINT - 1, "its line is cut")]
    none = Log().whole(*LINES[4:5])
    assert none.end() == [(1, "records 1 to 4 are missing")]
    assert not none.found.founded


def test_journals_in_one_log_are_distinguished() -> None:
    other = [line.removesuffix(b"\n") for line in lines_of(BATCHES, link="syria")]
    both = [line for pair in zip(LINES, other, strict=True) for line in pair]
    log = Log().whole(*both)
    assert log.end() == []
    assert log.found.others == {("syria", "eucom")}
    for link in ("eucom-ndmc", "syria"):
        chosen = Log(link=link).whole(*both)
        assert chosen.end() == []
        assert chosen.found.whose == (link, "eucom")
        assert chosen.found.records == len(LINES)
        assert chosen.found.others == set()
    partly = Log(side="eucom").whole(*both)
    assert partly.found.others == {("syria", "eucom")}


def test_a_damaged_line_of_another_journal_in_the_log_is_not_ours() -> None:
    other = [line.removesuffix(b"\n") for line in lines_of(BATCHES, side="ndmc")]
    log = Log(side="eucom").whole(*LINES, *other[:3]).damaged(changed(other[3]))
    assert log.damaged(other[4][99:], whose=("eucom-ndmc", "ndmc")).end() == []
    # a journal of which there is no record may be ours, with its name changed
    alone = Log(side="eucom").whole(*LINES[:-1]).damaged(LINES[-1].replace(b'"side":"eucom"', b'"side":"watch"'))
    assert alone.end() == [(len(LINES), CHANGED)]


def test_messages_that_were_left_out_are_named() -> None:
    log = Log().whole(*LINES[:4])
    log.found.left_out()
    assert log.whole(*LINES[5:]).end() == [(5, "journalctl left a long message out: give it --all")]
    ordinary = Log().whole(*LINES[:4])
    ordinary.found.left_out()
    assert ordinary.whole(*LINES[4:]).end() == []


def test_damaged_lines_beyond_the_maximum_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collected, "DAMAGED_MAX", 2)
    log = Log().whole(*LINES)
    for _ in range(4):
        log.damaged(LINES[4][:150])
    assert log.end() == [(len(LINES) + 1, "its line is cut")] * 2
    many = Log().whole(LINES[0])
    for n in range(PROBLEMS_MAX + 5):
        many.whole(*(line.removesuffix(b"\n") for line in lines_of([checkpoint(1)], n=10 + 2 * n)))
    many.end()
    assert len(many.found.missing) == len(many.found.problems) == PROBLEMS_MAX
    assert many.found.unlisted > 0


def test_a_text_is_split_in_front_of_each_record() -> None:
    text = b"x | " + LINES[0] + LINES[1] + b" rest"
    assert [*parts(text)] == [b"x | ", LINES[0], LINES[1] + b" rest"]
    assert [*parts(b"nothing")] == [b"nothing"]
    assert is_closed(LINES[0] + b" ")
    assert not is_closed(LINES[0][:-1])
