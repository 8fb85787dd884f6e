from __future__ import annotations

import io
import json
import sys
from itertools import zip_longest
from pathlib import Path
from typing import Any

import msgspec
import pytest

from endpoints.config import link_file
from endpoints.journal.reader import JournalReader
from endpoints.journal.segments import segments
from protocol.core.events import OfficerAcknowledged, OfficerRaisedAlert
from protocol.record.journal import ORIGIN, Entry, encode
from protocol.wire.messages import Reference
from protocol.wire.policy import EnrolledKey
from tests.support.exchange import link_file as linked
from tests.support.small_day import a_day, begun
from tests.vectors.terms import enrolled


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("day")
    a_day(folder)
    return folder


def a_link_file(path: Path, *, eucom: EnrolledKey | None = None) -> Path:
    """Write the link file of the day, with another key of eucom if one is given."""
    file = linked()
    if eucom is not None:
        party = msgspec.structs.replace(file.parties["eucom"], keys=(eucom,))
        file = msgspec.structs.replace(file, parties=file.parties | {"eucom": party})
    link_file.save(file, path)
    return path


def damaged(day: Path, to: Path, old: bytes, new: bytes) -> Path:
    (segment,) = segments(day / "eucom")
    path = to / "damaged.jsonl"
    data = segment.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))
    return path


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_an_intact_journal(day: Path, run: Any, tmp_path: Path) -> None:
    code, out, _ = run("log", "verify", day / "eucom")
    assert code == 0
    assert "INTACT" in out
    assert "24 of 25 records vouched for" in out
    code, out, err = run("log", "verify", day / "eucom", "--json", "--link-file", a_link_file(tmp_path / "link.toml"))
    finding = json.loads(out)
    assert (code, err) == (0, "")
    assert finding["records"] == 25
    assert finding["intact"] is True
    assert finding["sealed_upto"] == 24
    assert finding["problems"] == []


def test_a_damaged_journal_says_where_and_what(day: Path, run: Any, tmp_path: Path) -> None:
    path = damaged(day, tmp_path, b"Started", b"Stopped")
    code, out, _ = run("log", "verify", path)
    assert code == 4
    assert "DAMAGED" in out
    assert "record 4: its bytes do not give its hash" in out
    code, out, _ = run("log", "verify", path, "--json")
    assert code == 4
    finding = json.loads(out)
    assert finding["intact"] is False
    assert finding["problems"] == [
        {"record": 4, "reason": "its bytes do not give its hash: something in it was changed"}
    ]
    code, out, _ = run("log", "verify", day / "ndmc", path, "--json")
    assert code == 4
    assert [finding["intact"] for finding in json.loads(out)] == [True, False]
    for words in (("replay", path), ("reconcile", path, day / "ndmc")):
        code, out, err = run(*words)
        assert (code, out) == (4, "")
        assert err.startswith(f"deconflict: {path}: record 4: its bytes do not give its hash")
        assert err.count("\n") == 1
    code, out, err = run("log", "show", path)
    assert code == 4
    assert "record 4: its bytes do not give its hash" in err


def test_a_link_file_of_other_keys(day: Path, run: Any, tmp_path: Path) -> None:
    other = a_link_file(tmp_path / "link.toml", eucom=enrolled("stranger"))
    code, out, _ = run("log", "verify", day / "eucom", "--link-file", other, "--json")
    assert code == 4
    finding = json.loads(out)
    assert finding["sealed_upto"] == 0
    assert "not those of the link file" in finding["problems"][0]["reason"]
    code, _, err = run("reconcile", day / "eucom", day / "ndmc", "--link-file", other)
    assert code == 4
    assert "not those of the link file" in err


def test_an_expected_head(day: Path, run: Any) -> None:
    _, out, _ = run("log", "verify", day / "eucom", "--json")
    head = json.loads(out)["head"]
    assert run("log", "verify", day / "eucom", "--expect-head", head)[0] == 0
    code, out, _ = run("log", "verify", day / "ndmc", "--expect-head", head)
    assert code == 4
    assert "no record has the expected hash" in out
    code, _, err = run("log", "verify", day / "eucom", "--expect-head", "abc")
    assert code == 2
    assert "--expect-head: expected a hash of 64 digits" in err


def test_a_collected_log_on_standard_input(day: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (segment,) = segments(day / "eucom")
    lines = segment.read_bytes().rstrip(b"\0").splitlines(keepends=True)
    log = b"".join(
        b"\x1b[2K\x1b[36meucom-1  | \x1b[0m" + line for line in [b'{"event":"listening"}\n', *lines[:9], *lines]
    )
    for words in (("log", "verify", "-"), ("replay", "-"), ("reconcile", "-", day / "ndmc")):
        feed(monkeypatch, log)
        code, out, err = run(*words, "--json")
        assert (code, err) == (0, "")
        assert json.loads(out)
    feed(monkeypatch, log.replace(lines[12], b""))
    code, out, _ = run("log", "verify", "-")
    assert code == 3
    assert "INCOMPLETE" in out
    assert "\n  record 13 is missing" in out
    assert run("reconcile", "-", "-")[0] == 2


def test_a_collected_log_in_a_file_is_a_journal(day: Path, run: Any, tmp_path: Path) -> None:
    (segment,) = segments(day / "eucom")
    log = tmp_path / "eucom.log"
    log.write_bytes(b'{"at":"2022-11-29T08:00:00.000Z","event":"started"}\n' + segment.read_bytes().rstrip(b"\0"))
    for command in (("log", "verify"), ("log", "show"), ("replay",)):
        assert run(*command, log)[0] == 0
    code, out, _ = run("log", "verify", log, "--json")
    finding = json.loads(out)
    assert (code, finding["verdict"], finding["collected"], finding["begins_at"]) == (0, "intact", True, 1)
    assert (finding["from_checkpoint"], finding["missing"]) == (None, [])


def two_services(day: Path, path: Path) -> list[bytes]:
    """Write a log in which the lines of both sides alternate, and return the lines of eucom."""
    ours, theirs = (
        segments(day / side)[0].read_bytes().rstrip(b"\0").splitlines(keepends=True) for side in ("eucom", "ndmc")
    )
    both = [
        b"%b-1  | %b" % pair
        for each in zip_longest(ours, theirs, fillvalue=b"\n")
        for pair in zip((b"eucom", b"ndmc"), each, strict=True)
    ]
    path.write_bytes(b"".join(both))
    return ours


def test_collected_logs_are_reconciled(day: Path, run: Any, tmp_path: Path) -> None:
    both = tmp_path / "compose.log"
    ours = two_services(day, both)
    code, out, _ = run("reconcile", both, both, "--side", "eucom", "--side", "ndmc", "--json")
    assert code == 0
    assert json.loads(out)["begins_at"] == {"eucom": 1, "ndmc": 1}
    assert run("reconcile", both, day / "ndmc", "--side", "eucom", "--side", "ndmc")[0] == 0
    code, _, err = run("reconcile", both, both)
    assert code == 2
    assert "holds several journals; choose one: --link eucom-ndmc --side eucom, --link eucom-ndmc --side ndmc" in err
    code, _, err = run("reconcile", both, both, "--side", "eucom")
    assert code == 2
    assert "--side: give it for each of the 2 journals" in err
    log = tmp_path / "eucom.log"
    log.write_bytes(b"".join([*ours[:9], *ours[10:]]))
    code, out, err = run("reconcile", log, day / "ndmc")
    assert (code, out) == (3, "")
    assert err.startswith(f"deconflict: {log}: record 10 is missing; see: deconflict log verify")
    assert run("reconcile", log, day / "eucom")[0] == 3


def test_a_log_without_its_beginning(run: Any, tmp_path: Path) -> None:
    a_day(tmp_path / "day", segment_bytes=4_000)
    lines = [
        line
        for segment in segments(tmp_path / "day" / "eucom")
        for line in segment.read_bytes().rstrip(b"\0").splitlines(keepends=True)
    ]
    first = next(n for n, line in enumerate(lines, 1) if b'"event":"Checkpoint"' in line)
    log = tmp_path / "late.log"
    log.write_bytes(b"".join(lines[first - 1 :]))
    code, out, _ = run("log", "verify", log)
    assert code == 0
    assert f"INTACT FROM RECORD {first} ON" in out
    assert f"begins at record {first}, a checkpoint: the records before it are not here" in " ".join(out.split())
    log.write_bytes(b"".join(lines[first - 4 :]))
    code, out, _ = run("log", "verify", log, "--json")
    finding = json.loads(out)
    assert (code, finding["verdict"], finding["begins_at"]) == (3, "incomplete", first - 3)
    assert (finding["from_checkpoint"], finding["missing"]) == (first, [{"first": 1, "last": first - 4}])
    code, out, _ = run("log", "verify", log)
    assert "INCOMPLETE" in out
    assert f"used from the checkpoint at record {first} on" in " ".join(out.split())
    code, out, _ = run("replay", log, "--json")
    assert (code, json.loads(out)["from_checkpoint"]) == (0, first)
    assert run("log", "show", log)[0] == 3
    assert run("reconcile", log, tmp_path / "day" / "ndmc")[0] == 0
    log.write_bytes(b"".join(lines[1:3]))
    code, out, _ = run("log", "verify", log)
    assert code == 3
    assert "begins at record 2, and has no checkpoint: no signature was judged" in out
    assert run("replay", log)[0] == 3


def test_signatures_after_a_gap_are_judged_from_the_next_checkpoint(run: Any, tmp_path: Path) -> None:
    """A gap may hide an enrolment of keys; what follows it is not said to be forged."""
    a_day(tmp_path / "day", segment_bytes=4_000)
    lines = [
        line
        for segment in segments(tmp_path / "day" / "eucom")
        for line in segment.read_bytes().rstrip(b"\0").splitlines(keepends=True)
    ]
    log = tmp_path / "gap.log"
    for index in range(1, len(lines) - 1):
        log.write_bytes(b"".join(lines[:index] + lines[index + 1 :]))
        code, out, _ = run("log", "verify", log, "--json")
        assert (code, json.loads(out)["missing"]) == (3, [{"first": index + 1, "last": index + 1}])


def test_bad_arguments_are_one_line(day: Path, run: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    for words in (
        ("log", "verify"),
        ("log", "verify", tmp_path / "empty"),
        ("log", "verify", tmp_path / "folder"),
        ("log", "verify", tmp_path / "none"),
        ("log", "verify", day / "eucom", "--link-file", tmp_path / "none"),
        ("log", "show", tmp_path / "empty"),
        ("replay", tmp_path / "none"),
        ("replay", day / "eucom", "--until", "noon"),
        ("replay", day / "eucom", "--until", "2022-11-29T12:00:00"),
        ("replay", day / "eucom", "--speed", "fast"),
        ("replay", day / "eucom", "--speed", "0"),
        ("reconcile", day / "eucom"),
        ("reconcile", day / "eucom", day / "eucom"),
        ("reconcile", day / "eucom", day / "ndmc", "--watch", day / "ndmc"),
        ("messages", tmp_path / "none"),
    ):
        code, out, err = run(*words)
        assert (code, out) == (2, ""), words
        assert err.startswith("deconflict: ")
        assert err.count("\n") == 1


def test_replay_prints_the_state_and_the_story(day: Path, run: Any) -> None:
    code, out, _ = run("replay", day / "ndmc", "--speed", "max", "--lang", "en")
    assert code == 0
    lines = out.splitlines()
    assert "2022-11-29T08:00:00.025Z  eucom     eucom/1/1: line test (29 Nov 2022, 08:00:00 UTC)" in out
    assert "2: acknowledgement of eucom/1/2, duty-1: understood" in out
    assert lines[-2].endswith(": IDENTICAL")
    code, out, err = run("replay", day / "ndmc", "--speed", "1000000", "--json", "--until", "2022-11-29T08:00:30Z")
    assert code == 0
    result = json.loads(out)
    assert result["identical"] is True
    assert result["divergence"] is None
    assert result["state"]["theirs"]["eucom"]["last"] == 1
    assert result["records"] < 15
    assert "line test" in err or "проверка линии" in err


def test_replay_says_the_first_divergence(day: Path, run: Any, tmp_path: Path) -> None:
    path = tmp_path / "forged.jsonl"
    prev, lines = ORIGIN, []
    for record in JournalReader(str(day / "eucom")).whole_records():
        entry: Entry = record.entry
        if isinstance(entry, OfficerRaisedAlert):
            entry = msgspec.structs.replace(entry, text={"ru": "Ничего не было"})
        line, prev = encode(record.n, record.link, record.side, record.batch, entry, record.effects, prev)
        lines.append(line + b"\n")
    path.write_bytes(b"".join(lines))
    # without the signed head, the chain alone does not show the change
    code, out, _ = run("replay", path, "--json")
    result = json.loads(out)
    assert code == 5
    assert result["identical"] is False
    assert result["divergence"]["record"] == 15
    assert result["divergence"]["reason"].startswith("effects of OfficerRaisedAlert: effects[0].message.body.text.ru")
    code, out, _ = run("replay", path, "--lang", "en")
    assert code == 5
    assert "DIVERGED" in out
    assert "record 15: effects of OfficerRaisedAlert" in out


def test_log_show_decodes_frames(day: Path, run: Any) -> None:
    code, out, _ = run("log", "show", day / "eucom", "--lang", "en")
    assert code == 0
    assert "message sealed: eucom -> ndmc, epoch 1, message 1, signed by eucom-1" in out
    assert "receipt verified: ndmc -> eucom, epoch 1, receipt up to 1, signed by ndmc-1" in out
    assert "alert, ROUTINE, EXERCISE: critical infrastructure; event 29 Nov 2022, 0" in out
    assert "; released by duty-1: Shelling of the plant" in out
    code, out, _ = run("log", "show", day / "eucom", "--json")
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["n"] for record in records] == list(range(1, 26))
    frame = next(record["frame"] for record in records if record["event"] == "FrameReceived")
    assert frame["payload"]["sender"] == "ndmc"
    assert records[-1]["signed_head"]["payload"]["n"] == 24


def test_reconcile_shows_each_message(day: Path, run: Any, tmp_path: Path) -> None:
    code, out, _ = run("reconcile", day / "eucom", day / "ndmc", "--link-file", a_link_file(tmp_path / "link.toml"))
    assert code == 0
    assert "THE JOURNALS AGREE: 5 messages" in out
    code, out, _ = run("reconcile", day / "eucom", day / "ndmc", "--json")
    found = json.loads(out)
    assert found["agree"] is True
    assert list(found["messages"][0]) == [
        *("sender", "epoch", "seq", "kind", "sent_at", "received_at", "receipted_at", "acknowledged_at"),
        *("refused", "change", "changed_by", "refused_by", "state", "at", "body", "acts"),
    ]
    alert = found["messages"][1]
    assert alert["body"]["text"]["en"] == "Shelling of the plant"
    (act,) = alert["acts"]
    assert (act["party"], act["officer"], act["decision"], act["reference"]) == (
        "ndmc",
        "duty-1",
        "understood",
        "ndmc/1/2",
    )
    assert act["at"] == act["recorded_at"]["ndmc"] < act["recorded_at"]["eucom"]
    code, out, _ = run("reconcile", day / "eucom", day / "ndmc", "--lang", "en")
    assert "\n  eucom/1/2  alert, ROUTINE, EXERCISE: critical infrastructure; event " in out
    assert "acknowledged: ndmc, duty-1: understood (ndmc/1/2)" in out
    assert found["only_in"] == {"eucom": [], "ndmc": []}


def test_reconcile_keeps_refusals_and_promises_to_reply_apart_from_acknowledgements(run: Any, tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    promised, refused = exchange.delivered("eucom"), exchange.delivered("eucom")
    exchange.ask("ndmc", OfficerAcknowledged, of=Reference.parse(promised), decision="will_reply")
    exchange.refuse(refused)
    exchange.settle()
    exchange.stop()
    out = json.loads(run("reconcile", tmp_path / "eucom", tmp_path / "ndmc", "--json")[1])
    first, second = out["messages"][:2]
    assert (first["state"], first["acknowledged_at"], first["refused"]) == ("will_reply", None, None)
    assert [act["decision"] for act in first["acts"]] == ["will_reply"]
    assert (second["state"], second["acknowledged_at"]) == ("refused", None)
    assert (second["refused"], second["refused_by"]) == ("out_of_scope", "duty-1")
    said = run("reconcile", tmp_path / "eucom", tmp_path / "ndmc", "--lang", "en")[1]
    assert "alert: a reply will follow" in said
    assert "alert: refused, duty-1: " in said


def test_reconcile_says_what_only_one_side_has(run: Any, tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    end = exchange.ndmc.journal.flushed[1]
    lost = exchange.delivered("eucom")
    exchange.alert("eucom")
    exchange.settle(lost_from=["eucom"])
    exchange.stop()
    (segment,) = segments(tmp_path / "ndmc")
    segment.write_bytes(segment.read_bytes()[:end])
    code, out, _ = run("reconcile", tmp_path / "eucom", tmp_path / "ndmc", "--json")
    assert code == 6
    found = json.loads(out)
    assert found["only_in"] == {"eucom": [str(lost)], "ndmc": []}
    assert found["outstanding"] == ["eucom/1/2"]
    code, out, _ = run("reconcile", tmp_path / "eucom", tmp_path / "ndmc", "--lang", "en")
    assert code == 6
    assert "ONLY IN eucom" in out
    assert "THE JOURNALS DISAGREE: 2 messages, outstanding: 1" in out


def test_both_languages(day: Path, run: Any) -> None:
    assert "ЦЕЛ" in run("log", "verify", day / "eucom", "--lang", "ru")[1]
    assert "СОВПАДАЕТ" in run("replay", day / "eucom", "--lang", "ru")[1]
    assert "ЖУРНАЛЫ СОВПАДАЮТ" in run("reconcile", day / "eucom", day / "ndmc", "--lang", "ru")[1]
    assert "Обстрел станции" in run("log", "show", day / "eucom", "--lang", "ru")[1]


def test_values_are_plain(day: Path, run: Any) -> None:
    _, out, _ = run("replay", day / "eucom", "--json")
    assert msgspec.json.decode(out.encode())["state"]["side"] == "eucom"
