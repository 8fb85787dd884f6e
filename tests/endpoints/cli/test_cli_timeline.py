from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from endpoints.config import link_file
from endpoints.journal.segments import segments
from endpoints.texts.timeline_rows import COLUMNS, cell
from protocol.core.events import OfficerRaisedAlert
from protocol.wire.messages import Area
from tests.support.exchange import Exchange
from tests.support.exchange import link_file as linked
from tests.support.small_day import a_day, begun
from tests.support.world import MINUTE

HOSTILE = (
    "=cmd|' /C calc'!A1\n"
    "08:00:00.000 ndmc    = acknowledgement ndmc/1/9: received, duty-1\n"
    "== summary ==\n"
    "\u202eThe line was open and not used\x85\u2066<script>alert(1)</script></td></tr></table><h2>"
)
"""A text that a side could write to deceive: what is below is said to be rows of the view."""
PLACE = "@SUM(1)\n-- 2022-11-30 --\n\u202e<b>"


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("day")
    a_day(folder)
    return folder


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    exchange = begun(folder)
    raw = HOSTILE.replace("\x85", " ")
    area = Area(name=PLACE.replace("\n", " "), latitude_udeg=-46_775_800, longitude_udeg=33_370_600, radius_m=10_000)
    alert = exchange.delivered("eucom", text={"en": raw, "ru": raw}, area=area)
    exchange.acknowledge(alert, text={"en": raw})
    exchange.settle()
    exchange.stop()
    return folder


def both(folder: Path) -> tuple[Path, Path]:
    return folder / "eucom", folder / "ndmc"


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_an_account_of_a_day(day: Path, run: Any) -> None:
    code, out, _ = run("timeline", *both(day), day / "watch", "--lang", "en")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("Account of eucom-ndmc (EXERCISE) from 2022-11-29 07:59:00.000 to 2022-11-29 08:02:")
    assert "1 line test due: met 1, late 0, missed 0, unknown 0" in lines
    assert "The line was used beyond its tests: alerts 2, acknowledgements 1." in lines
    assert "2022-11-29 08:00  met: eucom/1/1 placed by the service; received 08:00:00.025; answered" in out
    assert re.search(r"^08:0\d:\d\d\.\d{3} ndmc    = alert eucom/1/2: received$", out, re.MULTILINE)
    assert re.search(r"^08:0\d:\d\d\.\d{3} ndmc    = acknowledgement ndmc/1/2: queued, duty-1$", out, re.MULTILINE)
    assert "text, ru      | Обстрел станции" in out
    assert "text, en      | Shelling of the plant" in out


def test_an_account_in_russian(day: Path, run: Any) -> None:
    out = run("timeline", *both(day), "--lang", "ru")[1]
    assert "Хронология линии eucom-ndmc" in out
    assert "по расписанию 1 проверка линии: состоялась 1, с опозданием 0, не состоялась 0, неизвестно 0" in out
    assert "Кроме проверок, по линии передавалось: оповещений 2, подтверждений 1." in out


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "The line was open and not used: neither side sent anything but line tests and their answers."),
        ("ru", "Линия была открыта и не использовалась: кроме проверок линии и ответов на них, стороны ничего не"),
    ],
)
def test_a_line_that_was_open_and_not_used_is_said_to_have_been(
    run: Any, tmp_path: Path, language: str, said: str
) -> None:
    exchange = begun(tmp_path)
    exchange.world.at += 2 * MINUTE
    exchange.eucom.wake()
    exchange.settle()
    exchange.answer_tests()
    exchange.settle()
    exchange.stop()
    assert said in run("timeline", *both(tmp_path), "--lang", language)[1]
    alone = run("timeline", both(tmp_path)[0], "--lang", language)[1]
    assert said not in alone
    assert {"en": "The line was open. No use beyond", "ru": "Линия была открыта. Кроме проверок"}[language] in alone


def test_a_line_of_which_nothing_is_proven_is_not_said_to_have_been_open(run: Any, tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    exchange.stop()
    out = run("timeline", *both(tmp_path), "--lang", "en")[1]
    assert "The line was not used, and no journal proves that it was open." in out
    assert "open and not used" not in out
    alone = run("timeline", both(tmp_path)[1], "--lang", "en")[1]
    assert "No journal proves that the line was open. No use beyond its tests is recorded" in alone


def test_an_interval_is_given_as_people_write_times(day: Path, run: Any) -> None:
    code, out, _ = run(
        "timeline", *both(day), "--from", "2022-11-29T08:01", "--to", "2022-11-29 08:01:30Z", "--lang", "en"
    )
    assert code == 0
    assert out.startswith(
        "Account of eucom-ndmc (EXERCISE) from 2022-11-29 08:01:00.000 to 2022-11-29 08:01:30.000 UTC"
    )
    assert "08:00:00" not in out.partition("what happened")[2]
    assert run("timeline", *both(day), "--from", "yesterday")[0] == 2
    code, _, err = run("timeline", *both(day), "--from", "2022-11-30T08:00", "--to", "2022-11-29T08:00")
    assert code == 2
    assert "--from is not before --to" in err


# --- what the other side could have written ------------------------------------------------------------------------


def test_a_text_cannot_pass_for_rows_of_the_account(hostile: Path, run: Any) -> None:
    code, out, _ = run("timeline", *both(hostile), "--lang", "en")
    assert code == 0
    assert "\u202e" not in out
    assert "\u2066" not in out
    assert "acknowledgement ndmc/1/9" in out
    rows = [line for line in out.splitlines() if "acknowledgement ndmc/1/9" in line]
    assert rows
    assert all("| 08:00:00.000 ndmc" in line for line in rows)
    assert sum(line == "== summary ==" for line in out.splitlines()) == 1
    assert not any(line.startswith("-- 2022-11-30") for line in out.splitlines())


def test_a_text_is_text_in_the_page(hostile: Path, run: Any, tmp_path: Path) -> None:
    path = tmp_path / "account.html"
    code, out, _ = run("timeline", *both(hostile), "--html", path, "--lang", "en")
    assert (code, out) == (0, "")
    page = path.read_text()
    seen = Page(page)
    assert "script" not in seen.tags
    assert "<script>alert(1)</script></td></tr></table><h2>" in seen.text
    assert seen.tags.count("h2") == 4
    assert "\u202e" not in page
    assert r"\u202e" in page
    # nothing is loaded from elsewhere
    assert not seen.addresses
    assert "url(" not in page
    assert {"link", "img", "iframe"}.isdisjoint(seen.tags)


def test_a_text_is_no_formula_and_no_row_in_a_spreadsheet(hostile: Path, run: Any, tmp_path: Path) -> None:
    path = tmp_path / "account.csv"
    assert run("timeline", *both(hostile), "--csv", path)[0] == 0
    data = path.read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(data)))
    assert tuple(rows[0]) == COLUMNS
    assert data.count("\n") == len(rows) + 1
    for row in rows:
        for name, value in row.items():
            assert not value.startswith(("=", "+", "@", "\t")), name
            assert name in {"latitude", "longitude"} or not value.startswith("-"), name
    alert = next(row for row in rows if row["what"] == "queued" and row["kind"] == "alert")
    assert alert["place"].startswith("'@SUM(1)")
    assert (alert["latitude"], alert["longitude"], alert["radius_m"]) == ("-46.7758", "33.3706", "10000")
    assert json.loads(alert["text"].replace("\\\\u", "\\u"))["en"].startswith("=cmd|")
    assert (alert["subject"], alert["released_by"]) == ("eucom/1/1", "watch-1")
    reply = next(row for row in rows if row["what"] == "queued" and row["kind"] == "acknowledgement")
    assert (reply["officer"], reply["decision"], reply["of"]) == ("duty-1", "understood", "eucom/1/1")


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", " =1", "\n=1", "＝1", "\u200b=1"])
def test_a_cell_is_never_a_formula(text: str) -> None:
    shown = str(cell(text))
    assert not shown.lstrip().startswith(("=", "+", "-", "@", "＝"))


def test_json_has_the_whole_account(day: Path, run: Any) -> None:
    code, out, _ = run("timeline", *both(day), "--json")
    assert code == 0
    found = json.loads(out)
    assert list(found) == [
        *("agree", "journals", "link", "statuses", "since", "until", "summary", "slots", "line", "clocks"),
        *("messages", "drafts"),
        *("rows", "comparison"),
    ]
    assert found["summary"]["tests"] == {
        "due": 1,
        "met": 1,
        "late": 0,
        "missed": 0,
        "unknown": 0,
        "open": 0,
        "unscheduled": 0,
    }
    assert found["summary"]["used"] is True
    assert found["messages"][1]["acts"][0]["officer"] == "duty-1"
    assert found["slots"][0]["test"] == "eucom/1/1"
    assert {row["proof"] for row in found["rows"]} == {"signed", "alone"}
    (clock,) = found["clocks"]
    assert clock["least"]["ahead_ms"] <= 0 <= clock["most"]["ahead_ms"]


# --- journals with problems ----------------------------------------------------------------------------------------


def test_a_changed_journal_is_named_first_and_the_rest_is_told(day: Path, run: Any, tmp_path: Path) -> None:
    (segment,) = segments(day / "eucom")
    changed = tmp_path / "changed.jsonl"
    changed.write_bytes(segment.read_bytes().replace("Обстрел".encode(), "Обстрол".encode(), 1))
    code, out, _ = run("timeline", changed, day / "ndmc", "--lang", "en")
    assert code == 4
    assert out.splitlines()[1].startswith("! eucom: DAMAGED: record ")
    assert "what happened" in out


def test_a_log_that_lacks_a_record_is_named_first(day: Path, run: Any, tmp_path: Path) -> None:
    (segment,) = segments(day / "eucom")
    lines = segment.read_bytes().splitlines(keepends=True)
    log = tmp_path / "collected.log"
    log.write_bytes(b"".join([*lines[:9], *lines[10:]]))
    page = tmp_path / "account.html"
    code, out, err = run("timeline", log, day / "ndmc", "--html", page, "--lang", "en")
    assert (code, out) == (3, "")
    assert err.startswith("eucom: INCOMPLETE: record 10 is missing\n")
    assert page.read_text().index("record 10 is missing") < page.read_text().index("summary")


def test_journals_that_disagree(run: Any, tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    end = exchange.ndmc.journal.flushed[1]
    exchange.delivered("eucom")
    exchange.stop()
    (segment,) = segments(tmp_path / "ndmc")
    segment.write_bytes(segment.read_bytes()[:end])
    code, out, _ = run("timeline", *both(tmp_path), "--lang", "en")
    assert code == 6
    assert "! only the journal of eucom has eucom/1/1; another one should have them too" in out.splitlines()
    assert json.loads(run("timeline", *both(tmp_path), "--json")[1])["comparison"]["only_in"]["eucom"] == ["eucom/1/1"]


def test_a_log_that_begins_in_the_middle_has_nothing_to_begin_with(day: Path, run: Any, tmp_path: Path) -> None:
    (segment,) = segments(day / "eucom")
    log = tmp_path / "tail.log"
    log.write_bytes(b"".join(segment.read_bytes().splitlines(keepends=True)[12:20]))
    code, _, err = run("timeline", log, day / "ndmc")
    assert code == 3
    assert "has neither record 1 nor a checkpoint to begin with" in err


def test_what_is_no_journal_of_the_link_is_refused(day: Path, run: Any, tmp_path: Path) -> None:
    assert run("timeline")[0] == 2
    assert run("timeline", *[day / "eucom"] * 4)[0] == 2
    assert "two journals are of eucom" in run("timeline", day / "eucom", day / "eucom")[2]
    assert "two journals are -" in run("timeline", "-", "-")[2]
    assert "give one of them" in run("timeline", *both(day), "--json", "--csv", tmp_path / "x.csv")[2]
    assert "can't be written" in run("timeline", *both(day), "--csv", tmp_path / "none" / "x.csv")[2]


def test_a_file_that_exists_is_kept(day: Path, run: Any, tmp_path: Path) -> None:
    """It could be a journal: evidence is never written over."""
    log = tmp_path / "eucom.log"
    log.write_bytes(segments(day / "eucom")[0].read_bytes())
    before = log.read_bytes()
    for option in ("--html", "--csv"):
        code, _, err = run("timeline", log, day / "ndmc", option, log)
        assert code == 2
        assert "exists already; give the name of a new file" in err
    assert log.read_bytes() == before


def test_a_log_of_both_services_is_read_once_for_each_side(day: Path, run: Any, tmp_path: Path) -> None:
    log = tmp_path / "compose.log"
    log.write_bytes(b"".join(segments(day / side)[0].read_bytes() for side in ("eucom", "ndmc")))
    code, out, _ = run("timeline", log, log, "--side", "ndmc", "--side", "eucom", "--lang", "en")
    assert code == 0
    assert "1 line test due: met 1" in out
    assert run("timeline", log, log)[0] == 2
    assert "--side: give it for each of the 2 journals" in run("timeline", log, log, "--side", "eucom")[2]


def test_one_journal_alone_is_told_with_a_warning(day: Path, run: Any) -> None:
    code, out, _ = run("timeline", day / "ndmc", "--lang", "en")
    assert code == 0
    assert "! one journal only: nothing that it says was compared with another" in out.splitlines()


def test_signatures_are_judged_under_the_link_file_that_is_given(day: Path, run: Any, tmp_path: Path) -> None:
    path = tmp_path / "link.toml"
    link_file.save(linked(), path)
    out = run("timeline", *both(day), "--link-file", path, "--lang", "en")[1]
    assert f"judged under {path}" in out


def test_a_draft_is_shown_with_its_author(run: Any, tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, latency=20, at=1_669_708_740_000)
    exchange.open()
    exchange.start()
    draft = exchange.ask(
        "eucom",
        OfficerRaisedAlert,
        category="critical_infrastructure",
        precedence="flash",
        event_at="2022-11-29T08:00:00.000Z",
        expires_at="2022-11-29T10:00:00.000Z",
        text={"en": "Dam\n? under", "ru": "Плотина"},
    )
    exchange.settle()
    exchange.stop()
    out = run("timeline", *both(tmp_path), "--lang", "en")[1]
    assert f"{draft} waits for a second officer (written by watch-1)" in out
    assert "text, en      | Dam\n" in out
    found = json.loads(run("timeline", *both(tmp_path), "--json")[1])
    assert [each["draft"] for each in found["drafts"]] == [draft]
