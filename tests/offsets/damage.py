"""Checks every flipped bit and every truncation of a journal with the code that verifies, replays and recovers it.

Reading the whole journal for each of millions of bits would take days, and is not needed. Verification reads line by
line, its state before a damaged line does not depend on what follows, and it never withdraws a problem. So it is enough
to give it the damaged line and the next ones, in the state that it has before them.

- A flip that neither makes nor changes a newline, and makes no NUL, leaves all lines in place: `decode` alone must
  refuse the line. Then `log verify` reports a problem, `replay` refuses the journal, and so does start-up, whose
  `recover` decodes every line without a NUL.
- Any other flip joins or splits lines: those near it go through the reader's own `_segment`, from the state before
  them, and the whole segment goes through `recover`.

`test_offsets.py` shows on a sample that the commands report the same for the whole journal.
"""

import copy
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from endpoints.journal.reader import JournalReader
from endpoints.journal.segments import segment_first, segments
from protocol.errors import JournalError
from protocol.record.journal import decode
from protocol.record.recovery import recover
from protocol.record.verification import Verification

NEWLINE, NUL = ord("\n"), 0
BITS = tuple(1 << bit for bit in range(8))


class Segment:
    """One file of a journal: its lines, and the state of verification before each of them.

    Attributes:
        data: its bytes without the zeros at its end.
        starts: the offset of each line, and of the end of the last one.
        before: the state of verification before each line, and after the last one.
        last: no segment follows.
    """

    def __init__(self, path: Path, verification: Verification, *, last: bool) -> None:
        self.name = path.name
        self.data = path.read_bytes().rstrip(b"\0")
        self.last = last
        self.first = segment_first(path) or 0
        verification.begin_segment(self.first, path.name)
        self.starts = [0]
        self.before = [copy.deepcopy(verification)]
        for line in self.data.splitlines(keepends=True):
            assert verification.take(line.removesuffix(b"\n")) is not None
            self.starts.append(self.starts[-1] + len(line))
            self.before.append(copy.deepcopy(verification))


class Recorded:
    """A journal as it was recorded, which verifies without a problem."""

    def __init__(self, folder: Path) -> None:
        verification = Verification()
        paths = segments(folder)
        self.segments = [Segment(path, verification, last=path == paths[-1]) for path in paths]
        verification.finish()
        assert not verification.problems
        assert verification.whose[0]
        assert verification.whose[1]
        self.link, self.side = str(verification.whose[0]), str(verification.whose[1])

    def judged(self, index: int, line: int, data: bytes) -> Verification:
        """Return the verification that reads `data` instead of segment `index` from line `line` on.

        If it finds no problem in `data`, it reads on to the next segment's first line, or finishes.
        """
        segment = self.segments[index]
        reader = JournalReader("recorded")
        reader.verification = copy.deepcopy(segment.before[line])
        for _ in reader._segment(BytesIO(data), final=segment.last):
            pass
        if segment.last:
            reader.verification.finish()
        elif not reader.verification.problems:
            following = self.segments[index + 1]
            reader.verification.begin_segment(following.first, following.name)
            reader.verification.take(following.data[: following.starts[1] - 1])
        return reader.verification


def accepted_flips(journal: Recorded, index: int, *, every: int = 1, phase: int = 0) -> Iterator[str]:
    """Yield `ok` for each flipped bit of segment `index` that is refused as damage, else a line that names the bit.

    Only every `every`-th byte of a line is taken, from `phase` on, and its newline always.
    """
    segment = journal.segments[index]
    for number, start in enumerate(segment.starts[:-1]):
        end = segment.starts[number + 1]
        line = bytearray(segment.data[start : end - 1])
        for at in (*range((phase + number) % every, len(line), every), len(line)):
            for bit in BITS:
                old = NEWLINE if at == len(line) else line[at]
                new = old ^ bit
                if NEWLINE in (old, new) or new == NUL:
                    yield from _moved(journal, index, number, start + at, bit)
                    continue
                line[at] = new
                try:
                    decode(bytes(line))
                except JournalError:
                    yield "ok"
                else:
                    yield f"{segment.name}: byte {start + at}, bit {bit}: decoded without an error"
                line[at] = old


def _moved(journal: Recorded, index: int, number: int, offset: int, bit: int) -> Iterator[str]:
    """Yield the verdict on a flip that joins or splits lines, or makes a hole."""
    segment = journal.segments[index]
    start = segment.starts[number]
    two_more = segment.starts[min(number + 3, len(segment.starts) - 1)]
    near = bytearray(segment.data[start:two_more])
    near[offset - start] ^= bit
    if journal.judged(index, number, bytes(near)).damage is None:
        yield f"{segment.name}: byte {offset}, bit {bit}: verify and replay find nothing"
        return
    if segment.last:
        whole = bytearray(segment.data)
        whole[offset] ^= bit
        try:
            recover(bytes(whole), segment.first, journal.link, journal.side)
        except JournalError:
            pass
        else:
            yield f"{segment.name}: byte {offset}, bit {bit}: the start accepts it"
            return
    yield "ok"


def accepted_cuts(journal: Recorded, index: int, *, every: int = 1) -> Iterator[str]:
    """Yield `ok` for each length to which segment `index` is cut with the right outcome, else the wrong one.

    `log verify` must report a problem, unless the last segment ends with a whole batch: this is how the journal once
    was, and only a head from elsewhere (`--expect-head`, the peer) shows the loss. `replay` must accept an unfinished
    batch at the journal's end, as a crash may leave it. Lengths near the end of a line are always tried.
    """
    segment = journal.segments[index]
    for number, start in enumerate(segment.starts[:-1]):
        end = segment.starts[number + 1]
        length = end - start
        for kept in range(length):
            if kept % every and 3 < kept < length - 3:
                continue
            verification = journal.judged(index, number, segment.data[start : start + kept])
            earlier = segment.last and not kept and segment.before[number]._chain.batch is None and number > 0
            if earlier == bool(verification.problems):
                yield f"{segment.name}: cut to {start + kept} bytes: verify says {verification.problems}"
            elif segment.last and number and verification.damage is not None:
                yield f"{segment.name}: cut to {start + kept} bytes: replay refuses it: {verification.damage}"
            elif not (segment.last and number) and verification.damage is None:
                yield f"{segment.name}: cut to {start + kept} bytes: replay takes it"
            else:
                yield "ok"


def recovered_cuts(journal: Recorded, *, every: int = 1, zeros: int = 0) -> Iterator[str]:
    """Yield `ok` for each length of the last segment that start-up cuts to the last whole batch, else a line.

    `zeros` bytes follow the cut, as they do when a write was incomplete and the file was not truncated.
    """
    segment = journal.segments[-1]
    ends = [
        start
        for start, state in zip(segment.starts, segment.before, strict=True)
        if start and state._chain.batch is None
    ]
    for kept in range(len(segment.data)):
        near = min(abs(kept - start) for start in segment.starts) <= 3 if every > 1 else True
        if kept % every and not near:
            continue
        wanted = max((end for end in ends if end <= kept), default=0)
        try:
            found = recover(segment.data[:kept] + bytes(zeros), segment.first, journal.link, journal.side)
        except JournalError as error:
            yield "ok" if not wanted else f"cut to {kept} bytes: the start refuses it: {error}"
            continue
        right = found.keep == wanted and found.cut_bytes == kept - wanted and wanted > 0
        lines = segment.data[:wanted].count(b"\n")
        yield "ok" if right and len(found.records) == lines else f"cut to {kept} bytes: the start keeps {found.keep}"
