from pathlib import Path

import pytest

from endpoints.cli import main as cli
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import JournalWriter
from endpoints.texts.printable import one_line, printable
from protocol.core.events import BatchClosed, FrameReceived
from protocol.wire import envelope
from tests.support.journal_samples import LINK, NOON, SIDE

ESCAPE = "\x1b]0;fine\x07\x1b[8m"
FOUL = f"ndmc{ESCAPE}\u202etxt\x9b2J\x7f"


@pytest.mark.parametrize(
    "text", ["Ракета над Полтавой: 51° с. ш.", "два\nстроки", "no-break\N{NO-BREAK SPACE}space", ""]
)
def test_what_people_write_stays(text: str) -> None:
    assert printable(text) == text


def test_what_moves_a_terminal_is_spelt_out() -> None:
    assert printable(FOUL) == r"ndmc\x1b]0;fine\x07\x1b[8m\u202etxt\x9b2J\x7f"


@pytest.mark.parametrize("code", [0x34F, 0x115F, 0x17B5, 0x180B, 0x200B, 0x2800, 0x3164, 0xFE0F, 0xFFA0, 0xE0100])
def test_what_shows_nothing_is_spelt_out(code: int) -> None:
    assert printable(f"a{chr(code)}b") == f"a{chr(code).encode('unicode_escape').decode()}b"


def test_a_line_break_is_spelt_out_where_a_row_must_stay_one() -> None:
    assert one_line(f"a\n{FOUL}\u2028") == r"a\nndmc\x1b]0;fine\x07\x1b[8m\u202etxt\x9b2J\x7f\u2028"


def run_here(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exited:
        cli.main(arguments)
    assert isinstance(exited.value.code, int)
    return exited.value.code


def test_a_link_file_from_elsewhere_writes_nothing_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "link.toml"
    file.write_text('"a\\u001b[8m\\u202e" = 1\n')

    assert run_here("link", "show", str(file)) == 2

    told = capsys.readouterr().err
    assert told.strip("\n").isprintable()
    assert r"a\x1b[8m\u202e" in told


def test_a_refused_frame_writes_nothing_on_the_terminal_of_who_reads_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payload = b'{"sender":"ndmc\\u001b]0;fine\\u0007\\u202e","recipient":"eucom","epoch":1}'
    frame = envelope.seal(envelope.PAYLOAD_TYPES["message"], payload, [("forged", bytes(64))])
    journal = JournalWriter.open(FolderStore(tmp_path / "j"), LINK, SIDE)
    received = FrameReceived(at=NOON, mono=1, channel="message", sender="ndmc", frame=frame, verdict="bad_signature")
    journal.append([(received, ()), (BatchClosed(at=NOON, mono=1), ())])
    journal.close(NOON, 1, None)

    assert run_here("log", "show", str(tmp_path / "j")) == 0

    told = capsys.readouterr().out
    assert told.replace("\n", "").isprintable()
    assert r"ndmc\x1b]0;fine\x07\u202e -> eucom" in told
