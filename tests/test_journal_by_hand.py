"""The commands in docs/journal.md work as described there, on a real journal."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from endpoints.journal.reader import JournalReader
from tests.support.log_systems import LogSystem, cri, docker_json_file, journald, prefixed
from tests.support.recorded import record

PAGE = Path(__file__).parent.parent / "docs" / "journal.md"
COLLECTED = re.findall(r"```bash\n(.*?)```", PAGE.read_text(), re.DOTALL)
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)


def typed(block: str, journal: Path, folder: Path, other: Path | None = None, **variables: str) -> list[str]:
    """Return the output lines of a block of commands on the page, run in `folder`."""
    missing = [program for program in ("bash", "jq", "openssl", "sha256sum") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"the commands on the page need {', '.join(missing)}")
    done = subprocess.run(
        ["bash", "-c", block],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "JOURNAL": str(journal), "OTHER": str(other)} | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return (done.stdout + done.stderr).splitlines()


def test_the_commands_print_what_the_page_says(tmp_path: Path) -> None:
    record(tmp_path / "made", hours=2)
    folder = tmp_path / "read"
    folder.mkdir()
    sides = tmp_path / "made" / "eucom", tmp_path / "made" / "ndmc"
    whole, last_word, heads, officers, signature, frames = (
        typed(block, sides[0], folder, sides[1]) for block in BLOCKS
    )
    assert whole == ["every record gives its hash", "every record follows from the one before"]
    assert len(last_word) == 1
    assert '"seq":' in last_word[0]
    *_, end = JournalReader(str(sides[0])).records()
    fitting = re.fullmatch(r"(\d+) of (\d+) heads fit, the last one covers the records up to (\d+)", heads[0])
    assert fitting
    assert int(fitting[1]) == int(fitting[2]) > 5
    assert int(fitting[3]) == end.n - 1
    assert any("OfficerRaisedAlert  watch-1" in line for line in officers)
    assert signature[0] == "Signature Verified Successfully"
    assert '"type":"acknowledgement"' in signature[1]
    assert frames == []
    # its own journal does not have the other side's frames
    assert '"sender":"ndmc"' in typed(BLOCKS[-1], sides[0], folder, sides[0])[0]


def test_the_commands_show_changed_and_missing_records(tmp_path: Path) -> None:
    record(tmp_path / "made", hours=1)
    journal = tmp_path / "made" / "eucom"
    first = min(journal.glob("*.jsonl"))
    whole = first.read_bytes()
    first.write_bytes(whole.replace(b'"officer":"watch-1"', b'"officer":"watch-2"', 1))
    assert "every record gives its hash" not in typed(BLOCKS[0], journal, tmp_path)
    lines = whole.splitlines(keepends=True)
    first.write_bytes(b"".join(lines[:3] + lines[4:]))
    found = typed(BLOCKS[0], journal, tmp_path)
    assert "every record gives its hash" in found
    assert "every record follows from the one before" not in found


@pytest.mark.parametrize(
    ("system", "keep"),
    [
        ("json-file", docker_json_file(300)),
        ("kubernetes", cri(300)),
        ("journald", journald()),
        ("compose", prefixed(b"eucom-1  | ")),
    ],
)
def test_the_commands_find_the_records_in_a_collected_log(system: str, keep: LogSystem, tmp_path: Path) -> None:
    record(tmp_path / "made", hours=1)
    segments = sorted((tmp_path / "made" / "eucom").glob("*.jsonl"))
    lines = [line for path in segments for line in path.read_bytes().rstrip(b"\0").splitlines(keepends=True)]
    # ASCII alone: the pieces of Docker divide no character
    lines = [line for line in lines if line.isascii()]
    log = tmp_path / "log"
    log.write_bytes(b"".join(keep([*lines[9:], b'{"level":"info","event":"started"}\n', *lines])))
    (block,) = COLLECTED
    assert typed(block, tmp_path, tmp_path, SYSTEM=system, LOG=str(log)) == []
    assert (tmp_path / "records").read_bytes() == b"".join(lines)
