"""`log export`: JSON lines, CSV and CAP 1.2, what they say of themselves, and what a failure leaves."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
from cap_tools import AlertState, Status
from cap_tools.models import Alert, MsgType, Reference
from msgspec import UNSET
from xmlschema import XMLSchema
from xsdata.formats.dataclass.parsers import XmlParser

from endpoints.cli import new_files
from endpoints.cli.new_files import new_file, new_folder
from endpoints.errors import UserError
from endpoints.journal.reader import JournalReader
from endpoints.journal.segments import segments
from endpoints.texts.cap import cap
from endpoints.texts.exporting import TOOL, Interval, RecordLines
from endpoints.texts.i18n import translator
from endpoints.texts.wording import decoded
from protocol.core.events import OfficerCancelled
from protocol.record.ledger import Ledger
from protocol.wire.messages import Alert as AlertBody
from protocol.wire.messages import Reference as Ref
from tests.support.exchange import Exchange
from tests.support.failing_disk import SmallDisk
from tests.support.recorded import AREA, one_hour, started
from tests.support.world import MINUTE

Run = Callable[..., tuple[int, str, str]]
SCHEMA = Path(__file__).parents[2] / "support" / "cap-1.2" / "CAP-v1.2.xsd"
EVIL = '=HYPERLINK("x")\n</description><note>false</note> ]]> &amp; \u202e'


@cache
def schema() -> XMLSchema:
    return XMLSchema(SCHEMA)


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return both sides' journals: tests, alerts, answers, refusals, an update, a cancellation, and hostile texts."""
    folder = tmp_path_factory.mktemp("journals")
    exchange = started(folder, 30_000)
    for hour in range(2):
        one_hour(exchange, hour)
    first = exchange.alert("eucom", area=AREA, text={"en": "first", "ru": "раз"})
    exchange.run(MINUTE)
    second = exchange.alert("eucom", changes=Ref.parse(first), change_kind="update", text={"en": "b", "ru": "два"})
    exchange.run(MINUTE)
    cancelled(exchange, second)
    exchange.run(MINUTE)
    exchange.alert("ndmc", text={"en": EVIL, "ru": "+7"}, area=AREA)
    exchange.run(MINUTE)
    exchange.stop()
    return folder


def cancelled(exchange: Exchange, reference: str) -> None:
    exchange.ask("eucom", OfficerCancelled, of=Ref.parse(reference))


@pytest.fixture
def journal(journals: Path) -> Path:
    return journals / "eucom"


# --- JSON lines ---------------------------------------------------------------------------------------------------


def test_json_lines_are_the_records_between_two_lines_that_say_what_they_are(
    journal: Path, tmp_path: Path, run: Run
) -> None:
    path = tmp_path / "out.jsonl"
    code, out, err = run("log", "export", journal, "--jsonl", path, "--json")

    assert (code, err) == (0, "")
    lines = path.read_bytes().splitlines(keepends=True)
    about, end = json.loads(lines[0])["export"], json.loads(lines[-1])["export_end"]
    assert b"".join(lines[1:-1]) == b"".join(each.read_bytes().rstrip(b"\0") for each in segments(journal))
    assert about == {
        "link": "eucom-ndmc",
        "side": "eucom",
        "status": "exercise",
        "since": None,
        "until": None,
        "made_by": TOOL,
    }
    assert end["head"] == json.loads(lines[-2])["hash"]
    assert end["verdict"] == "intact"
    assert end["left_out"] == ["the journals of the other side and of the independent watch"]
    assert json.loads(out) == {
        "journal": str(journal),
        "file": str(path),
        "verdict": "intact",
        "records": end["records"],
    }
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask()
    # and what it made is a collected log
    assert len(list(JournalReader(str(path)).whole_records())) == end["records"]


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_an_interval_leaves_out_the_rest_and_says_so(journal: Path, tmp_path: Path, run: Run) -> None:
    path = tmp_path / "out.jsonl"
    words = ("--from", "2022-11-29T08:00", "--to", "2022-11-29T08:30")
    assert run("log", "export", journal, "--jsonl", path, *words)[0] == 0
    about, *records, end = map(json.loads, path.read_text("utf-8").splitlines())
    assert (about["export"]["since"], about["export"]["until"]) == (
        "2022-11-29T08:00:00.000Z",
        "2022-11-29T08:30:00.000Z",
    )
    assert records
    assert all("2022-11-29T08:00:00.000Z" <= each["at"] <= "2022-11-29T08:30:00.000Z" for each in records)
    assert end["export_end"]["left_out"][0].endswith("records of this journal outside the interval")


def test_standard_output_has_data_and_nothing_else(journal: Path) -> None:
    words = [sys.executable, "-m", "endpoints.cli.main", "log", "export", str(journal), "--jsonl", "-"]
    done = subprocess.run(words, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert [*json.loads(done.stdout.splitlines()[0])] == ["export"]


@pytest.mark.parametrize("form", ["--jsonl", "--csv", "--cap"])
def test_a_damaged_journal_is_exported_as_far_as_it_can_be_and_says_so(
    journal: Path, tmp_path: Path, run: Run, form: str
) -> None:
    copy = Path(shutil.copytree(journal, tmp_path / "copy"))
    path = segments(copy)[1]
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b'"mono":', b'"mono":1', 1)
    path.write_bytes(b"".join(lines))

    code, out, _ = run("log", "export", copy, form, tmp_path / "out")

    assert code == 4
    assert "DAMAGED: " in out
    file = tmp_path / "out" / "export.json" if form == "--cap" else tmp_path / "out"
    said = file.read_text("utf-8")
    assert "problems of this journal" in said or "DAMAGED: " in said


# --- CSV ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "ru"])
def test_a_table_says_what_it_is_and_has_no_formula(journal: Path, tmp_path: Path, run: Run, language: str) -> None:
    path = tmp_path / "out.csv"
    assert run("log", "export", journal, "--csv", path, "--lang", language)[0] == 0
    with path.open(encoding="utf-8-sig", newline="") as file:
        first, *rows = csv.DictReader(file)
    last = list(JournalReader(str(journal)).whole_records())[-1]
    assert (first["what"], first["journal"]) == ("export", "eucom")
    for part in ("eucom-ndmc", TOOL, str(last.n), last.hash):
        assert part in first["detail"]
    assert len(rows) > 20
    cells = [cell for row in (first, *rows) for cell in row.values()]
    assert not [cell for cell in cells if cell.lstrip().startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert any("HYPERLINK" in cell for cell in cells)


# --- CAP ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(journals: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "cap"
    words = [sys.executable, "-m", "endpoints.cli.main", "log", "export", str(journals / "eucom"), "--cap", str(folder)]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    return folder


@pytest.fixture(scope="module")
def alerts(exported: Path) -> dict[str, Alert]:
    """Return every alert by its reference, read by another CAP library."""
    parser = XmlParser()
    read = [parser.from_path(path, Alert) for path in sorted(exported.glob("*.xml"))]
    return {alert.identifier.removeprefix("eucom-ndmc/"): alert for alert in read}


def bodies(journal: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the reference and body of every message in a journal."""
    for line in b"".join(path.read_bytes().rstrip(b"\0") for path in segments(journal)).splitlines():
        for effect in json.loads(line)["effects"]:
            if effect["effect"] in {"Queue", "Apply"}:
                message = effect["message"]
                yield f"{effect.get('sender', 'eucom')}/1/{message['seq']}", message["body"]


def test_every_message_is_an_alert_that_is_valid_against_the_schema(journal: Path, exported: Path) -> None:
    files = sorted(exported.glob("*.xml"))
    assert len(files) == len({reference for reference, _ in bodies(journal)})
    for path in files:
        schema().validate(path)
    manifest = json.loads((exported / "export.json").read_bytes())
    assert [each["file"] for each in manifest["files"]] == [path.name for path in files]
    assert manifest["export_end"]["messages"] == len(files)
    assert manifest["export_end"]["verdict"] == "intact"
    assert manifest["export"]["made_by"] == TOOL


def test_statuses_and_types_are_those_of_the_messages(journal: Path, alerts: dict[str, Alert]) -> None:
    known = dict(bodies(journal))
    types = {
        "heartbeat": MsgType.ALERT,
        "heartbeat_answer": MsgType.ACK,
        "acknowledgement": MsgType.ACK,
        "refusal": MsgType.ERROR,
    }
    changes = {"update": MsgType.UPDATE, "correction": MsgType.UPDATE, "cancellation": MsgType.CANCEL}
    seen = set()
    for reference, body in known.items():
        alert, kind = alerts[reference], str(body["type"])
        change = body.get("change")
        wanted = types.get(kind, MsgType.ALERT)
        if isinstance(change, dict):
            wanted = changes[change["kind"]]
        assert alert.msg_type == wanted
        assert alert.status == (Status.TEST if kind.startswith("heartbeat") else Status.EXERCISE)
        seen.add((kind, wanted))
    assert len(seen) == 7


def test_another_library_finds_what_every_change_and_answer_refers_to(journal: Path, alerts: dict[str, Alert]) -> None:
    state = AlertState()
    by_reference = {Reference.from_alert(alert): alert for alert in alerts.values()}
    for reference, body in bodies(journal):
        alert = alerts[reference]
        # raises KeyError for a change of an alert that it does not know
        state.ingest(alert)
        if "of" in body:
            about = body["of"]
            assert isinstance(about, dict)
            (found,) = alert.references_to_list()
            assert by_reference[found] is alerts[f"{about['sender']}/{about['epoch']}/{about['seq']}"]
    assert len(state.alerts) < len(alerts)


def test_a_message_about_one_that_lies_elsewhere_names_it_in_its_note(journal: Path) -> None:
    ledger = Ledger()
    for record in JournalReader(str(journal)).whole_records():
        ledger.take(record)
    changes = [each for each in ledger.entries.values() if each.body.get("change")]
    cancelled = next(each for each in changes if each.body["change"]["kind"] == "cancellation")
    body = decoded(cancelled.body)
    assert isinstance(body, AlertBody)
    assert body.change is not UNSET
    assert f"of: {body.change.of}".encode() not in cap(cancelled, body, ledger, "made", {"en": translator("en")})
    del ledger.entries[body.change.of]
    made = cap(cancelled, body, ledger, "made", {"en": translator("en")})
    assert f"<note>of: {body.change.of}\nmade</note>".encode() in made
    assert b"<references>" not in made


def test_what_is_no_record_is_counted_apart() -> None:
    lines = RecordLines(Interval())
    assert not lines.take(b"no record\n")
    end = json.loads(lines.end())["export_end"]
    assert end["left_out"][0] == "lines of this journal that are not records: 1"


def test_texts_of_the_other_side_stay_texts(alerts: dict[str, Alert]) -> None:
    (alert,) = [each for each in alerts.values() if any("HYPERLINK" in (info.description or "") for info in each.infos)]
    english = next(info for info in alert.infos if info.language == "en")
    assert (english.description or "").startswith('=HYPERLINK("x")\n</description><note>false</note> ]]> &amp; \\u202e')
    assert alert.note is not None
    assert alert.note.count("\n") == 0
    assert TOOL in alert.note


def test_places_and_times_are_exact(alerts: dict[str, Alert]) -> None:
    placed = [each for each in alerts.values() if each.infos and each.infos[0].areas]
    assert placed
    for alert in placed:
        (area,) = alert.infos[0].areas
        (circle,) = area.circles
        place, _, radius = str(circle).partition(" ")
        latitude, _, longitude = place.partition(",")
        assert (Decimal(latitude), Decimal(longitude)) == (Decimal("47.507000"), Decimal("34.585000"))
        assert Decimal(radius) == Decimal("30.000")


# --- failures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "name"), [("--jsonl", "x.jsonl"), ("--csv", "x.csv"), ("--cap", "x")])
def test_what_is_there_is_replaced_only_when_told(
    journal: Path, tmp_path: Path, run: Run, form: str, name: str
) -> None:
    path = tmp_path / name
    assert run("log", "export", journal, form, path)[0] == 0
    file = path / "export.json" if path.is_dir() else path
    file.write_bytes(b"precious")

    code, out, err = run("log", "export", journal, form, path)
    assert (code, out) == (2, "")
    assert err == f"deconflict: {path}: exists already; give the name of a new file\n"
    assert file.read_bytes() == b"precious"
    assert run("log", "export", journal, form, path, "--overwrite")[0] == 0
    assert file.read_bytes() != b"precious"
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_nothing_else_is_overwritten(journal: Path, tmp_path: Path, run: Run) -> None:
    kept = Path(shutil.copytree(journal, tmp_path / "kept"))
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    for form, path in (("--cap", kept), ("--jsonl", kept), ("--csv", tmp_path / "link"), ("--cap", tmp_path / "link")):
        code, out, err = run("log", "export", journal, form, path, "--overwrite")
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
    assert len(list(tmp_path.iterdir())) == 2
    assert {path.name for path in kept.iterdir()} == {path.name for path in journal.iterdir()}


def test_what_it_refuses_is_said_in_one_line(journal: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "x"
    for words, code, said in (
        ([journal], 2, "give one of --jsonl FILE, --csv FILE and --cap FOLDER"),
        ([journal, "--jsonl", out, "--csv", out], 2, "give one of"),
        ([journal, "--cap", "-"], 2, "a folder is needed"),
        ([tmp_path / "none", "--jsonl", out], 2, "No such file"),
        ([tmp_path / "empty", "--csv", out], 2, "No such file"),
        ([journal, "--csv", tmp_path / "no" / "x"], 2, "No such file or directory"),
        (
            [journal, "--csv", out, "--from", "2022-11-30T08:00", "--to", "2022-11-29T08:00"],
            2,
            "--from is not before --to",
        ),
    ):
        found, printed, err = run("log", "export", *words)
        assert (found, printed) == (code, ""), words
        assert err.count("\n") == 1, words
        assert said in err, words
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", ["--jsonl", "--csv", "--cap"])
def test_a_full_disk_is_one_line_and_leaves_nothing(journal: Path, tmp_path: Path, run: Run, form: str) -> None:
    (tmp_path / "disk").mkdir()
    with SmallDisk(tmp_path / "disk", 1 << 16) as disk:
        disk.leave(1 << 12)
        before = {path.name for path in (tmp_path / "disk").iterdir()}
        code, out, err = run("log", "export", journal, form, tmp_path / "disk" / "x")
        assert (code, out) == (1, "")
        assert err == f"deconflict: {tmp_path / 'disk' / 'x'}: can't be written: No space left on device\n"
        assert {path.name for path in (tmp_path / "disk").iterdir()} == before


def test_a_timeline_leaves_nothing_on_a_full_disk_either(journal: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "disk").mkdir()
    with SmallDisk(tmp_path / "disk", 1 << 16) as disk:
        disk.leave(1 << 12)
        before = {path.name for path in (tmp_path / "disk").iterdir()}
        code, out, err = run("timeline", journal, "--html", tmp_path / "disk" / "x")
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert {path.name for path in (tmp_path / "disk").iterdir()} == before


@pytest.mark.parametrize("folder", [False, True])
def test_an_interrupt_leaves_nothing(tmp_path: Path, folder: bool) -> None:
    def interrupted() -> None:
        if folder:
            with new_folder(tmp_path / "x", "mark") as fresh:
                (fresh / "mark").touch()
                signal.raise_signal(signal.SIGINT)
        else:
            with new_file(tmp_path / "x") as file:
                file.write(b"half")
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())


def test_what_was_made_there_meanwhile_is_kept(tmp_path: Path) -> None:
    def late() -> None:
        with new_file(tmp_path / "x") as file:
            file.write(b"late")
            (tmp_path / "x").write_bytes(b"first")

    with pytest.raises(UserError, match="exists already"):
        late()
    assert (tmp_path / "x").read_bytes() == b"first"
    assert len(list(tmp_path.iterdir())) == 1
    assert errno.ENOSPC in new_files._FULL
