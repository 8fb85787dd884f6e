"""The same for a collected log: records between ordinary lines, with colours and the prefixes of a log system."""

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
    """Return the lines of the log that a collector would have made of a journal."""
    lines = [PREFIX + ORDINARY]
    for segment in journal.segments:
        for number, line in enumerate(segment.data.splitlines(keepends=True)):
            lines.append(PREFIX + line)
            if number % 10 == 0:
                lines.append(ORDINARY)
    return lines


def accepted_flips_in_a_log(lines: list[bytes], *, every: int = 1, phase: int = 0) -> Iterator[str]:
    """Yield `ok` for each flipped bit of a record that is noted as a problem, else a line that says which.

    Each damaged line is read in the state that the reader has before it, and the next two with it: what is noted stays
    noted, since no later line of a log without repeats begins like a damaged one. Flips in what stands before a record
    may go unnoticed: they are none of it.
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
                    yield f"line {number}: byte {at}, bit {bit}: nothing is noted"
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
    # a log that ends within a batch is no news: it does so here without any damage
    return any("has no end" not in problem.reason for problem in reader.verification.problems)
