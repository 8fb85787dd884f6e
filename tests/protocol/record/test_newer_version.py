"""Records of a newer version are named as such; nobody is accused of having changed them."""

import json
from hashlib import sha256

import pytest

from protocol.errors import JournalError, NewerVersionError
from protocol.record.collected import CollectedVerification
from protocol.record.newer_version import raise_if_newer
from protocol.record.recovery import recover
from protocol.record.verification import Verification
from tests.support.journal_samples import LINK, SIDE, batch, checkpoint, lines_of

LINES = [line[:-1] for line in lines_of([batch(0), checkpoint(1), batch(2)])]
BEGIN = len(batch(0))


def hashed(body: bytes) -> bytes:
    return b'%b,"hash":"%b"}' % (body, sha256(body).hexdigest().encode())


def altered(old: bytes, new: bytes, *, first: int = 0) -> list[bytes]:
    """Return the journal from a line on, with every `old` replaced, and the hashes as a writer gives them."""
    lines: list[bytes] = []
    prev = json.loads(LINES[first])["prev"].encode()
    for line in LINES[first:]:
        body = line[: line.rindex(b',"prev":')].replace(old, new)
        lines.append(hashed(body + b',"prev":"%b"' % prev))
        prev = lines[-1][-66:-2]
    return lines


def newer_event() -> list[bytes]:
    """Return a journal whose checkpoint names newer rules, and whose next event is unknown here."""
    lines = altered(b'"rules":"1"', b'"rules":"99"', first=BEGIN)
    event = json.loads(lines[1])["event"].encode()
    return altered_again(lines, b'"event":"%b"' % event, b'"event":"Newer"')


def altered_again(lines: list[bytes], old: bytes, new: bytes) -> list[bytes]:
    body = lines[1][: lines[1].rindex(b',"hash":')].replace(old, new)
    return [lines[0], hashed(body)]


def test_a_record_under_newer_rules_is_not_damage() -> None:
    lines = newer_event()
    verification = Verification()
    verification.begin_segment(BEGIN + 1, "x.jsonl", alone=True)
    assert verification.take(lines[0])
    with pytest.raises(NewerVersionError, match=r"record \d+: written by a newer version \(rules 99; this version"):
        verification.take(lines[1])
    assert not verification.problems


def test_a_record_that_names_newer_rules_itself_is_not_damage() -> None:
    (line, *_) = altered(b'"rules":"1"', b'"rules":"99","more":1', first=BEGIN)
    with pytest.raises(NewerVersionError):
        Verification().take(line)
    with pytest.raises(NewerVersionError):
        CollectedVerification().take(line)
    with pytest.raises(NewerVersionError):
        recover(line + b"\n", BEGIN + 1, LINK, SIDE)


def test_the_last_segment_of_a_newer_version_is_not_damage() -> None:
    with pytest.raises(NewerVersionError):
        recover(b"".join(line + b"\n" for line in newer_event()), BEGIN + 1, LINK, SIDE)


@pytest.mark.parametrize(
    "body",
    [
        b'{"n":1',
        b'{"n":1,"rules":"1"',
        b'{"n":1,"rules":"x"',
        b'{"n":1,"rules":""',
        b'{"n":1,"rules":99',
        '{"n":1,"rules":"٩٩"'.encode(),
        b'{"n":1,"deep":' + b"[" * 5_000,
    ],
)
def test_anything_else_is_judged_as_before(body: bytes) -> None:
    raise_if_newer(hashed(body), 6, 1)
    with pytest.raises(JournalError):
        recover(hashed(body) + b"\n", 1, LINK, SIDE)


def test_a_line_that_does_not_give_its_hash_is_never_of_a_newer_version() -> None:
    line = newer_event()[1].replace(b"Newer", b"Older")
    raise_if_newer(line, 99, 1)
    verification = Verification()
    assert verification.take(line) is None
    assert verification.verdict == "changed"
