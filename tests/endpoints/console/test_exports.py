"""What an investigator takes away says what it is; the verdict is that of `log verify`."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from endpoints.config.link_file import save
from endpoints.config.settings import LinkSettings
from endpoints.console.exports import account, file_name, records
from endpoints.console.journal_verdict import JournalJudge
from endpoints.journal.archiving import archive
from endpoints.journal.reader import JournalReader
from endpoints.journal.segments import segments
from endpoints.texts.exporting import TOOL, Head, Interval
from endpoints.texts.i18n import translator
from endpoints.texts.timeline_rows import COLUMNS
from protocol.wire.instants import parsed
from tests.support.console_facts import settings_of
from tests.support.small_day import begun

WHOLE = Interval()
MORNING = Interval(since=parsed("2022-11-29T07:00:00.000Z"), until=parsed("2022-11-29T08:00:00.000Z"))


@pytest.fixture
def link(tmp_path: Path) -> LinkSettings:
    """Return a link on which the other side has written formulas."""
    exchange = begun(tmp_path, segment_bytes=1 << 13)
    exchange.delivered("ndmc", text={"en": "=HYPERLINK(1)", "ru": "+7"})
    exchange.stop()
    return settings_of(tmp_path / "eucom")


def test_records_are_taken_byte_for_byte_between_two_lines_that_say_what_they_are(
    link: LinkSettings, tmp_path: Path
) -> None:
    lines = b"".join(records(link, "eucom", WHOLE)).splitlines(keepends=True)
    about, end = json.loads(lines[0])["export"], json.loads(lines[-1])["export_end"]
    written = b"".join(path.read_bytes().rstrip(b"\0") for path in segments(link.journal))
    assert b"".join(lines[1:-1]) == written
    assert (about["link"], about["side"], about["made_by"]) == ("eucom-ndmc", "eucom", TOOL)
    assert end["records"] == len(lines) - 2
    assert end["head"] == json.loads(lines[-2])["hash"]
    assert end["left_out"] == ["the journals of the other side and of the independent watch"]
    copy = tmp_path / "export.jsonl"
    copy.write_bytes(b"".join(lines))
    reader = JournalReader(str(copy))
    assert len(list(reader.records())) == end["records"]
    assert reader.verification.verdict == "intact"


def test_records_outside_the_interval_are_counted(link: LinkSettings) -> None:
    lines = b"".join(records(link, "eucom", Interval(since=parsed("2023-01-01T00:00:00.000Z")))).splitlines()
    end = json.loads(lines[-1])["export_end"]
    assert (len(lines), end["records"], end["head"]) == (2, 0, None)
    assert end["left_out"][0].endswith("records of this journal outside the interval")


def test_archived_segments_are_taken_too_and_a_damaged_one_is_named(link: LinkSettings) -> None:
    whole = b"".join(records(link, "eucom", WHOLE))
    archive(link.journal, 0)
    assert b"".join(records(link, "eucom", WHOLE)) == whole
    path = segments(link.journal)[0]
    path.write_bytes(path.read_bytes()[:-1])
    end = json.loads(b"".join(records(link, "eucom", WHOLE)).splitlines()[-1])["export_end"]
    assert end["left_out"][0] == f"{path}: this archive is cut"


@pytest.mark.parametrize("language", ["en", "ru"])
async def test_a_table_says_what_it_is_and_has_no_formula(link: LinkSettings, language: str) -> None:
    made = b"".join([part async for part in account(link, MORNING, "csv", translator(language), Head(0, ""))])
    last = list(JournalReader(str(link.journal)).whole_records())[-1]
    first, *rows = csv.DictReader(io.StringIO(made.decode("utf-8-sig"), newline=""))
    assert tuple(first) == COLUMNS
    assert first["what"] == "export"
    for part in ("eucom-ndmc", "2022-11-29T07:00:00.000Z", "2022-11-29T08:00:00.000Z", TOOL, str(last.n), last.hash):
        assert part in first["detail"]
    assert rows
    cells = [cell for row in (first, *rows) for cell in row.values()]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


async def test_a_page_says_what_it_is(link: LinkSettings) -> None:
    made = b"".join(
        [part async for part in account(link, WHOLE, "html", translator("en"), Head(7, "ab" * 32))]
    ).decode()
    assert made.rstrip().endswith("</html>")
    assert f"the beginning of the journal to the end of the journal; made by {TOOL} when record 7" in made


def test_a_file_name_begins_with_what_the_link_is_for(link: LinkSettings) -> None:
    status = link.content.terms.policy.status.upper()
    name = file_name(link, "eucom", MORNING, "csv")
    assert name == f"{status}-eucom-ndmc-eucom-20221129T070000Z-20221129T080000Z.csv"


async def test_what_prevents_an_account_stands_in_the_file(link: LinkSettings) -> None:
    for path in segments(link.journal):
        path.unlink()
    made = b"".join([part async for part in account(link, WHOLE, "html", translator("en"), Head(0, ""))])
    assert b"holds no journal record" in made


async def verdict_of(judge: JournalJudge) -> str:
    while judge.last is None or judge.last.state == "running":
        await judge.done()
    return judge.last.state


async def test_the_verdict_is_that_of_log_verify_and_is_asked_once_for_each_state(link: LinkSettings) -> None:
    save(link.content, link.file)
    judge = JournalJudge(link)
    judge.judge(7, "en")
    judge.judge(7, "en")
    assert await verdict_of(judge) == "intact"
    found = judge.last
    assert found is not None
    assert "INTACT" in found.lines[0]
    judge.judge(7, "en")
    assert judge.last is found
    path = segments(link.journal)[0]
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"at":"2022-11-29T07', b'"at":"2022-11-29T06', 1))
    judge.judge(8, "en")
    assert await verdict_of(judge) == "changed"


async def test_a_check_that_fails_is_no_verdict(link: LinkSettings) -> None:
    judge = JournalJudge(link)
    # there is no link file
    judge.judge(1, "ru")
    assert await verdict_of(judge) == "failed"
    assert judge.last is not None
    assert judge.last.lines
