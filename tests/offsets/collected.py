"""Flips bits in a collected log: records between ordinary lines, with the colours and prefixes of a log system."""

import re
from collections.abc import Iterator
from io import BytesIO

from endpoints.errors import UserError
from endpoints.journal.reader import JournalReader
from protocol.record.collected import CollectedVerification
from protocol.record.journal import Record, decode
from tests.offsets.damage import BITS, Recorded

NUMBER = re.compile(rb'\{"n":(\d{1,9})')
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

    Each damaged line is read between its neighbours. The problem must name its record, by its true number or the one
    that the damaged line claims, or the record must be there unchanged, as it is when the flip is one around the
    record. Bits in front of a record are not flipped: they are not part of it.
    """
    for number, line in enumerate(lines):
        begin = line.find(b'{"n":')
        if begin < 0:
            continue
        before, after = b"".join(lines[max(number - 2, 0) : number]), b"".join(lines[number + 1 : number + 3])
        record = decode(line[begin:-1])
        for at in (*range(begin + (phase + number) % every, len(line) - 1, every), *([] if phase else [len(line) - 1])):
            for bit in BITS:
                damaged = bytearray(line)
                damaged[at] ^= bit
                claimed = NUMBER.match(damaged, begin)
                numbers = {record.n, *([] if claimed is None else [int(claimed[1])])}
                found = _found(before + bytes(damaged) + after, record, numbers)
                yield "ok" if found else f"line {number}: byte {at}, bit {bit}: no problem is reported"


def _found(data: bytes, record: Record, numbers: set[int]) -> bool:
    """Return whether reading reports one of `numbers` as damaged or missing, or yields the record as it was."""
    reader = JournalReader("-", stdin=BytesIO(data))
    try:
        if record in reader.records():
            return True
    except UserError:
        return True
    verification = reader.verification
    assert isinstance(verification, CollectedVerification)
    named = any(first <= number <= last for first, last in verification.missing for number in numbers)
    return named or any(each.record in numbers for each in verification.problems)
