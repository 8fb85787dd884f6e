"""Collected logs: what log systems do to lines, undone; honest damage is never said to be a change."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoints.errors import UserError
from endpoints.journal import held_back
from endpoints.journal.reader import IncompleteLog, JournalReader
from endpoints.journal.writer import DamagedJournal
from protocol.core.effects import RejectFrame
from protocol.core.events import FrameReceived
from protocol.record.collected import CollectedVerification
from protocol.record.journal import Record, encode
from tests.support.journal_samples import LINK, NOON, Batch, batch, checkpoint, closed, lines_of
from tests.support.log_systems import (
    LogSystem,
    as_text,
    cri,
    docker_json_file,
    journald,
    pieces,
    prefixed,
    wrapped,
)

SAMPLES = Path(__file__).parent / "collected" / "docker.tar.xz"


def long(text: str, size: int) -> Batch:
    """Return a batch with a record of some `size` bytes, most of them of repeated text."""
    detail = text * (size // len(text.encode()))
    entry = FrameReceived(at=NOON, mono=1, channel="message", sender="ndmc", frame=b"{}", verdict="bad_signature")
    return [(entry, (RejectFrame(reason="bad_signature", detail=detail),)), batch(0)[-1]]


SHORT = lines_of([batch(0), batch(1), batch(2), checkpoint(3), batch(4), closed(5)])
LONG = lines_of(
    [batch(0), long('a <b> & "c" \\ ', 40_000), batch(1), checkpoint(3), batch(2), long("Ж", 100_000), closed(8)]
)
ORDINARY = [
    b"Attaching to eucom-1\n",
    b'{"at":"2022-11-29T08:00:00.000Z","level":"info","side":"eucom","event":"started","message":"{"}\n',
    b"Traceback (most recent call last):\n",
    b"  {oops}\n",
    b"-- Journal begins at Tue 2022-11-29 --\r\n",
    b"\n",
    b"\xff\xfe\x00 binary }\n",
]
OTHER = lines_of([batch(0), batch(1), checkpoint(3), closed(4)], side="ndmc")


def reading(data: bytes, **chosen: str) -> JournalReader:
    return JournalReader("-", stdin=io.BytesIO(data), **chosen)


def numbers(reader: JournalReader) -> list[int]:
    return [record.n for record in reader.records()]


def verdict(data: bytes, **chosen: str) -> str:
    reader = reading(data, **chosen)
    numbers(reader)
    return reader.verification.verdict


def missing(data: bytes) -> list[tuple[int, int]]:
    reader = reading(data)
    numbers(reader)
    assert isinstance(reader.verification, CollectedVerification)
    return reader.verification.missing


def intact(data: bytes, lines: Sequence[bytes], **chosen: str) -> None:
    """Fail unless a log is intact and has all records, each as it was printed."""
    reader = reading(data, **chosen)
    assert [line_of(record) for record in reader.records()] == list(lines), reader.verification.problems
    assert reader.verification.problems == []


def line_of(record: Record) -> bytes:
    fields = (record.n, record.link, record.side, record.batch, record.entry, record.effects, record.prev)
    return encode(*fields)[0] + b"\n"


# --- real output of Docker ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Docker 20.10 and Compose 2.26 made of two golden journals, with checkpoints of more than 16 KiB."""
    folder = tmp_path_factory.mktemp("docker")
    with tarfile.open(SAMPLES) as packed:
        packed.extractall(folder, filter="data")
    return folder / "docker"


@pytest.mark.parametrize(
    ("name", "side", "count"),
    [
        *(
            (name, side, count)
            for name in ("compose", "compose-t", "compose-noprefix")
            for side, count in (("eucom", 79), ("ndmc", 72))
        ),
        ("logs-t", "eucom", 79),
    ],
)
def test_the_output_of_docker_is_a_journal(docker: Path, name: str, side: str, count: int) -> None:
    reader = JournalReader(str(docker / f"{name}.txt"), side=side)
    assert numbers(reader) == list(range(1, count + 1))
    assert reader.collected
    assert reader.verification.problems == []


def test_dockers_own_files_are_a_journal(docker: Path) -> None:
    for where, count in (("ndmc-json.log", 72), ("rotated", 79)):
        reader = JournalReader(str(docker / where))
        assert numbers(reader) == list(range(1, count + 1))
        assert reader.verification.problems == []
    # the newest first, in one stream: a line is split between two files
    files = [docker / "rotated" / f"eucom-json.log{end}" for end in ("", ".1", ".2")]
    assert verdict(b"".join(file.read_bytes() for file in files)) in {"intact", "incomplete"}
    assert numbers(reading(b"".join(file.read_bytes() for file in reversed(files)))) == list(range(1, 80))


def test_compressed_files_are_read_too(docker: Path, tmp_path: Path) -> None:
    for file in (docker / "rotated").iterdir():
        (tmp_path / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    reader = JournalReader(str(tmp_path))
    assert numbers(reader) == list(range(1, 80))
    assert reader.verification.problems == []
    newest = min(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"\.gz: can't be unpacked"):
        numbers(JournalReader(str(tmp_path)))


# --- what other systems do ----------------------------------------------------------------------------------------

SYSTEMS: dict[str, LogSystem] = {
    "json-file": docker_json_file(),
    "cri": cri(),
    "cri, small": cri(100),
    "journald": journald(),
    "journald, small": journald(4_000),
    "compose": prefixed(b"eucom-1  | "),
    "colours": prefixed(b"\x1b[36meucom-1  |\x1b[0m "),
    "timestamps": prefixed(b"eucom-1  | 2022-11-29T10:00:0%d.123456789Z "),
    "kubectl": prefixed(b"[pod/eucom-0/eucom] "),
    "syslog": prefixed(b"Nov 29 08:00:0%d host eucom[123]: ", 8_192),
    "syslog, one time": prefixed(b"<14>1 2022-11-29T08:00:0%d.000Z host eucom 123 - - ", 8_192),
    "bare pieces": prefixed(b"", 8_192),
    "small pieces": prefixed(b"x | ", 37),
    "export": prefixed(b"MESSAGE=", 49_152),
    "loki": wrapped("line", stream={"app": "eucom"}),
    "fluentd": wrapped("log", kubernetes={"pod_name": "eucom-0"}),
    "an unknown field": wrapped("original", x=1),
}


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("lines", [SHORT, LONG], ids=["short", "long"])
def test_what_log_systems_keep_is_a_journal(name: str, lines: list[bytes]) -> None:
    intact(b"".join(SYSTEMS[name](lines)), lines)


@pytest.mark.parametrize("name", SYSTEMS)
def test_other_lines_between_records_do_no_harm(name: str) -> None:
    keep = SYSTEMS[name]
    log = b"".join(line for each in SHORT for line in [*ORDINARY, *keep([each])])
    intact(log, SHORT)
    intact(log.replace(b"\n", b"\r\n"), SHORT)


def test_a_syslog_daemon_may_take_a_piece_for_a_message_without_a_tag() -> None:
    first, *others = prefixed(b"Nov 29 08:00:0%d host eucom[123]: ", 8_192)(LONG)
    kept = [first, *(line if b'{"n":' in line else line.replace(b"eucom[123]: ", b"", 1) for line in others)]
    intact(b"".join(kept), LONG)


def test_pretty_json_is_unpacked() -> None:
    fields = [f'{{\n\t"_PID" : "117",\n\t"MESSAGE" : {as_json(line)},\n\t"X" : "y"\n}}\n' for line in SHORT]
    intact("".join(fields).encode(), SHORT)


def as_json(line: bytes) -> str:
    return '"' + line.rstrip(b"\n").decode().replace("\\", "\\\\").replace('"', '\\"') + '"'


def test_a_system_within_a_system_is_unpacked() -> None:
    intact(b"".join(docker_json_file()(cri(10_000)(LONG))), LONG)
    intact(b"".join(wrapped("log")(prefixed(b"eucom-1  | ")(SHORT))), SHORT)


def test_pieces_of_two_services_are_told_apart() -> None:
    long_other = lines_of([batch(0), long("x", 40_000), closed(4)], side="ndmc")
    for size in (100, 8_192):
        one, other = (prefixed(b"%b | " % side, size) for side in (b"eucom", b"ndmc"))
        kept = [one(LONG), other(long_other)]
        both = [line for pair in zip(*kept, strict=False) for line in pair]
        both += kept[0][len(kept[1]) :] + kept[1][len(kept[0]) :]
        intact(b"".join(both), LONG, side="eucom")
        intact(b"".join(both), long_other, side="ndmc")


def test_a_character_that_docker_has_divided_is_restored() -> None:
    # two bytes in one place, three in another; and both in one line
    for text, size in (("Ж", 20_000), ("«", 20_000), ("—", 20_000), ("Ж", 60_000), ("ⵣ", 18_000), ("ߐ", 18_000)):
        for shift in range(3):
            lines = lines_of([batch(0), long("a" * shift + text, 20), long(text, size + shift), closed(5)])
            shifted = [lines[0], *lines[1:]]
            plain = b"".join(as_text(piece).encode() for piece in pieces(shifted[5], 16_384))
            for log in (docker_json_file()(shifted), [*shifted[:5], plain, *shifted[6:]]):
                intact(b"".join(log), shifted)


# --- order, repeats, several journals -----------------------------------------------------------------------------


def test_the_order_of_lines_does_not_matter() -> None:
    intact(b"".join(reversed(SHORT)), SHORT)
    intact(b"".join(SHORT[6:] + SHORT[:8]), SHORT)
    intact(b"".join(SHORT * 3), SHORT)
    intact(b"".join(line.rstrip(b"\n") for line in SHORT), SHORT)


def test_half_a_line_of_a_killed_process_is_no_loss() -> None:
    for at in (1, 2, 5, 9, 40, 200):
        half = SHORT[4][:at]
        intact(b"".join([*SHORT[:4], half, b"\n", *SHORT[2:]]), SHORT)
        # no newline between them
        intact(b"".join([*SHORT[:4], half, *SHORT[4:]]), SHORT)


def test_records_held_back_go_to_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_back, "IN_MEMORY_BYTES", 100)
    intact(b"".join(reversed(SHORT)), SHORT)


def test_a_damaged_line_of_another_journal_is_not_ours() -> None:
    log = b"".join([*SHORT[:5], *OTHER[:4], OTHER[4][:150], b"\n", *SHORT[5:]])
    intact(log, SHORT, side="eucom")
    assert verdict(log, side="ndmc") == "incomplete"
    cut = b"".join(
        [*(b"a | " + each for each in SHORT), *(b"b | " + each for each in OTHER[:4]), b"b | ", OTHER[4][99:]]
    )
    intact(cut, SHORT, side="eucom")


# --- logs that are not whole --------------------------------------------------------------------------------------


def test_what_is_missing_is_named() -> None:
    lines = [*SHORT]
    assert missing(b"".join([*lines[:3], *lines[5:]])) == [(4, 5)]
    assert missing(b"".join([*lines[:3], lines[3][:150], b"\n", *lines[4:]])) == [(4, 4)]
    assert missing(b"".join([*lines[:3], lines[3][50:], *lines[4:]])) == [(4, 4)]
    assert missing(b"".join([*lines[:-1], lines[-1][:150]])) == [(len(lines), len(lines))]
    nuls = lines[3][:60] + bytes(30) + lines[3][90:]
    assert missing(b"".join([*lines[:3], nuls, *lines[4:]])) == [(4, 4)]
    # two records in one line, with a part of each lost
    merged = lines[3][:120] + lines[5][120:]
    assert missing(b"".join([*lines[:3], merged, *lines[6:]])) == [(4, 4), (5, 6)]


def test_pieces_that_were_lost_make_a_log_incomplete() -> None:
    kept = docker_json_file()(LONG)
    for index in range(len(kept)):
        lost = b"".join(kept[:index] + kept[index + 1 :])
        assert verdict(lost) == ("incomplete" if index < len(kept) - 1 else "intact")


def test_messages_that_journalctl_left_out_are_named() -> None:
    kept = b"".join(journald(everything=False)(LONG))
    reader = reading(kept)
    numbers(reader)
    assert reader.verification.verdict == "incomplete"
    assert {each.reason for each in reader.verification.problems} == {
        "journalctl left a long message out: give it --all"
    }


def test_a_log_without_its_beginning_is_used_from_its_first_checkpoint() -> None:
    start = next(index for index, line in enumerate(SHORT) if b'"Checkpoint"' in line)
    reader = reading(b"".join(SHORT[3:]))
    assert [record.n for record in reader.whole_records()] == list(range(start + 1, len(SHORT) + 1))
    assert reader.from_checkpoint == start + 1
    assert reader.verification.begins == 4
    assert reader.verification.verdict == "incomplete"
    begun = reading(b"".join(SHORT[start:]))
    assert [record.n for record in begun.whole_records()] == list(range(start + 1, len(SHORT) + 1))
    assert begun.verification.verdict == "intact"
    with pytest.raises(IncompleteLog, match="has neither record 1 nor a checkpoint") as raised:
        list(reading(b"".join(SHORT[start + 1 :])).whole_records())
    assert raised.value.exit_code == 3


def test_a_log_with_a_gap_is_not_replayed_beyond_it() -> None:
    reader = reading(b"".join(SHORT[:3] + SHORT[4:]))
    with pytest.raises(IncompleteLog, match=": record 4 is missing"):
        list(reader.whole_records())
    changed = SHORT[3].replace(b'"mono":1', b'"mono":2')
    with pytest.raises(DamagedJournal, match="record 4: its bytes do not give its hash"):
        list(reading(b"".join([*SHORT[:3], changed, *SHORT[4:]])).whole_records())


# --- properties ---------------------------------------------------------------------------------------------------

PLAIN: LogSystem = list


@st.composite
def honest_logs(draw: st.DrawFn) -> tuple[bytes, bool]:
    """Draw a log of honest records after splits, repeats, cuts and losses; return whether nothing was cut or lost."""
    keep = draw(st.sampled_from([PLAIN, docker_json_file(200), cri(150), journald(300), prefixed(b"eucom-1  | ", 333)]))
    lines = keep(SHORT)
    whole = True
    for _ in range(draw(st.integers(0, 8))):
        index = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["repeat", "ordinary", "other", "lose", "cut", "behead", "run together"])):
            case "repeat":
                # a process prints again from some record on
                first = draw(st.integers(0, len(SHORT) - 1))
                lines += keep(SHORT[first:])
            case "ordinary":
                lines.insert(index, draw(st.sampled_from(ORDINARY)))
            case "other":
                lines[index:index] = keep([draw(st.sampled_from(OTHER))])
            case "lose":
                del lines[index:][: draw(st.integers(1, 4))]
                whole = False
            case "cut":
                lines[index] = lines[index][: draw(st.integers(0, len(lines[index])))].rstrip(b"\n") + b"\n"
                whole = False
            case "behead":
                lines[index] = lines[index][draw(st.integers(0, max(len(lines[index]) - 1, 0))) :]
                whole = False
            case "run together" if keep is PLAIN and lines[index].endswith(b'"}\n'):
                lines[index] = lines[index].rstrip(b"\n")
        if not lines:
            break
    if draw(st.booleans()) and keep is PLAIN:
        lines = draw(st.permutations(lines))
    return b"".join(lines), whole


@given(honest_logs())
def test_no_honest_log_is_said_to_be_changed(drawn: tuple[bytes, bool]) -> None:
    data, _ = drawn
    reader = reading(data, side="eucom", link=LINK)
    try:
        found = numbers(reader)
    except UserError:
        # every record was lost
        return
    assert reader.verification.verdict != "changed", reader.verification.problems
    assert found == sorted(set(found))
    if reader.verification.verdict == "intact" and found:
        assert found == list(range(found[0], found[-1] + 1))


@given(st.data())
def test_no_changed_byte_of_a_record_goes_unnoticed(data: st.DataObject) -> None:
    keep = data.draw(st.sampled_from([PLAIN, docker_json_file(200), cri(150), journald(300), prefixed(b"x | ", 99)]))
    at = data.draw(st.integers(0, len(SHORT) - 1))
    place = data.draw(st.integers(0, len(SHORT[at]) - 2))
    byte = data.draw(st.integers(0, 255).filter(lambda each: each != SHORT[at][place] and each not in b"\r\n"))
    changed = SHORT[at][:place] + bytes([byte]) + SHORT[at][place + 1 :]
    if keep is not PLAIN:
        # these wrap text
        changed = as_text(changed).encode()
    log = b"".join(keep([*SHORT[:at], changed, *SHORT[at + 1 :]]))
    reader = reading(log)
    found = [line_of(record) for record in reader.records()]
    # a character that became U+FFFD is restored
    assert reader.verification.verdict != "intact" or found == SHORT
    assert not {*found} - {*SHORT}
