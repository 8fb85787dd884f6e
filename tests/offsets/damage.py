"""Every flipped bit and every truncation of a journal, judged by the code that verifies, replays and starts on it.

Judging a whole journal for each of millions of bits would take days, and is not needed. Verification takes a journal
line by line, its state after the lines before a damaged one does not depend on what follows, and a problem once noted
stays. So it is enough to hand it, in the very state that it has before the damaged line, that line and the next ones.

- A flip that makes no newline and no NUL, and is not in a newline, leaves all lines where they are: `decode` alone
  must refuse the line. Then `log verify` has a problem, `replay` refuses the journal, and start-up, whose `recover`
  takes every line without a NUL by `decode`, refuses it as well.
- Any other flip moves lines: those near it go through the reader's own `_segment` from the state before them, and
  start-up through the whole of `recover`.

`test_offsets.py` shows on a sample that the commands say the same of the whole journal.
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
    """One file of a journal: its lines, and what verification knows before each of them.

    Attributes:
        data: its bytes without the zeros at its end.
        starts: where each line begins, and where the last one ends.
        before: the state of verification before each line, and after the last one.
        last: nothing follows it.
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
    """A journal as it was recorded: whole, which is checked."""

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
        """Let verification go on before line `line` of segment `index` with `data` for the rest of that segment.

        If `data` says nothing wrong by itself, the next segment's first line or the journal's end follows.
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
    """Yield `ok` for each flipped bit of segment `index` that is refused as damage, else a line that says which.

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
                    yield f"{segment.name}: byte {start + at}, bit {bit}: decoded as if nothing had happened"
                line[at] = old


def _moved(journal: Recorded, index: int, number: int, offset: int, bit: int) -> Iterator[str]:
    """Judge a flip that makes or ends a line, or makes a hole."""
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
    """Yield `ok` for each length to which segment `index` may be cut and that is judged rightly, else what was wrong.

    Rightly: `log verify` has a problem, except where the last segment ends with a batch: that is the journal as it was
    at that moment, and only a head from elsewhere (`--expect-head`, the peer) can tell. `replay` takes a batch without
    an end at the journal's end for a crash's trace. Lengths near the end of a line are always taken.
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
    """Yield `ok` for each length to which the last segment may be cut and that the start cuts to its last whole batch.

    `zeros` stand behind the cut, as they do when a write was cut and not the file.
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
