"""Flips bits in a collected log: records between ordinary lines, with the colours and prefixes of a log system."""

import copy
from collections.abc import Iterator
from io import BytesIO

from endpoints.errors import UserError
from endpoints.journal.reader import JournalReader
from protocol.record.verification import Verification
from tests.offsets.damage import BITS, Recorded

PREFIX = b"\x1b[2K\x1b[36meucom-1  |\x1b[0m "
ORDINARY = b'{"event":"connected","level":"info","link":"eucom-ndmc","side":"eucom"}\r\n'


def collected(journal: Recorded) -> list[bytes]:
    """Return a journal's records as lines of a collected log, with ordinary lines between them."""
    lines = [PREFIX + ORDINARY]
    for segment in journal.segments:
        for number, line in enumerate(segment.data.splitlines(keepends=True)):
            lines.append(PREFIX + line)
            if number % 10 == 0:
                lines.append(ORDINARY)
    return lines


def accepted_flips_in_a_log(lines: list[bytes], *, every: int = 1, phase: int = 0) -> Iterator[str]:
    """Yield `ok` for each flipped bit of a record that is reported as a problem, else a line that names the bit.

    Each damaged line is read in the reader's state before it, together with the next two lines. A problem stays
    reported, since no later line of a log without repeats begins like a damaged one. Bits in front of a record are not
    flipped: they are not part of it.
    """
    verification = Verification(collected=True)
    for number, line in enumerate(lines):
        begin = line.find(b'{"n":')
        if begin < 0:
            continue
        following = b"".join(lines[number + 1 : number + 3])
        for at in (*range(begin + (phase + number) % every, len(line) - 1, every), *([] if phase else [len(line) - 1])):
            for bit in BITS:
                damaged = bytearray(line)
                damaged[at] ^= bit
                if not _noted(verification, bytes(damaged) + following):
                    yield f"line {number}: byte {at}, bit {bit}: no problem is reported"
                else:
                    yield "ok"
        assert verification.take(line[begin:-1]) is not None


def _noted(before: Verification, data: bytes) -> bool:
    reader = JournalReader("-", stdin=BytesIO(data))
    reader.verification = copy.deepcopy(before)
    try:
        for _ in reader.records():
            pass
    except UserError:
        return True
    # the two lines end within a batch even without damage
    return any("has no end" not in problem.reason for problem in reader.verification.problems)
