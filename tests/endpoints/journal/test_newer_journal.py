"""A journal of a newer version is refused in one line with exit code 2 by every reader, and not called damaged."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from endpoints.errors import UserError
from endpoints.journal.archiving import archive
from endpoints.journal.batch_reader import BatchReader
from endpoints.journal.last_segment import last_segment
from endpoints.journal.reader import JournalReader
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import JournalWriter, UnusableJournal
from tests.support.journal_samples import LINK, NOON, SIDE, batch, checkpoint, lines_of

FIRST = len(batch(0)) + 1


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return a journal whose second segment names rules 99, and has an event that nobody here knows."""
    lines = lines_of([batch(0), checkpoint(1), batch(2)])
    (tmp_path / "0000000000000001.jsonl").write_bytes(b"".join(lines[: FIRST - 1]))
    prev, newer = lines[FIRST - 2][-67:-3], []
    for line in lines[FIRST - 1 :]:
        event = json.loads(line)["event"].encode()
        body = line[: line.rindex(b',"prev":')].replace(b'"rules":"1"', b'"rules":"99"')
        if event != b"Checkpoint":
            body = body.replace(b'"event":"%b"' % event, b'"event":"Newer"')
        body += b',"prev":"%b"' % prev
        prev = sha256(body).hexdigest().encode()
        newer.append(b'%b,"hash":"%b"}\n' % (body, prev))
    (tmp_path / f"{FIRST:016d}.jsonl").write_bytes(b"".join(newer))
    return tmp_path


def opened(journal: Path) -> None:
    JournalWriter.open(FolderStore(journal), LINK, SIDE)


def collected(journal: Path) -> None:
    log = journal.with_suffix(".log")
    log.write_bytes(b"".join(path.read_bytes() for path in sorted(journal.glob("*.jsonl"))))
    list(JournalReader(str(log)).records())


READERS: dict[str, Callable[[Path], object]] = {
    "reader": lambda journal: list(JournalReader(str(journal)).records()),
    "whole": lambda journal: list(JournalReader(str(journal)).whole_records()),
    "collected": collected,
    "follower": lambda journal: list(BatchReader(journal).batches()),
    "last segment": lambda journal: last_segment(journal, LINK, SIDE),
    "writer": opened,
    "archive": lambda journal: archive(journal, NOON, to=journal / "archive"),
}


@pytest.mark.parametrize("name", READERS)
def test_every_reader_names_the_version(journal: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"written by a newer version \(rules 99; this") as raised:
        READERS[name](journal)
    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)
    assert str(journal) in str(raised.value)


def test_a_service_does_not_try_it_again(journal: Path) -> None:
    with pytest.raises(UnusableJournal) as raised:
        opened(journal)
    assert not raised.value.heals
