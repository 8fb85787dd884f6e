"""The logs that the engine has collected, alone: each is a journal, and together they agree."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack.compose import OURS, SIDES, Compose

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


def by_deconflict(*arguments: str, collected: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    """Run `deconflict` on this machine, with the collected log as its input."""
    command = Path(sys.executable).with_name("deconflict")
    return subprocess.run([command, *arguments], input=collected, capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize("side", OURS)
def test_a_collected_log_is_a_journal(stack: Compose, tmp_path: Path, side: str) -> None:
    collected = stack("logs", "--no-log-prefix", side).encode()
    link_file = tmp_path / "link.toml"
    link_file.write_text(stack.shell(side, "cat link.toml"), "utf-8")
    for command in (["replay", "-"], ["log", "verify", "-", "--link-file", str(link_file)]):
        done = by_deconflict(*command, "--json", collected=collected)
        assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
        verdict = json.loads(done.stdout)
        assert verdict["records"] > 0
        assert verdict.get("identical", verdict.get("intact")) is True
    # a record that still decodes, but was changed after it was written
    changed = collected.replace(b'"tzdata":"2', b'"tzdata":"1', 1)
    assert changed != collected
    assert by_deconflict("log", "verify", "-", collected=changed).returncode == 4


def test_the_logs_of_all_reconcile(stack: Compose, tmp_path: Path) -> None:
    logs = {}
    for side in OURS:
        logs[side] = tmp_path / f"{side}.log"
        logs[side].write_text(stack("logs", "--no-log-prefix", side), "utf-8")
    link_file = tmp_path / "link.toml"
    link_file.write_text(stack.shell("eucom", "cat link.toml"), "utf-8")
    both = [str(logs[side]) for side in SIDES]
    done = by_deconflict("reconcile", *both, "--watch", str(logs["watch"]), "--link-file", str(link_file), "--json")
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
    verdict = json.loads(done.stdout)
    assert verdict["agree"]
    assert all(message["receipted_at"] for message in verdict["messages"])


def test_people_read_the_same_log_in_words(stack: Compose) -> None:
    collected = stack("logs", "--no-log-prefix", "eucom").encode()
    shown = by_deconflict("log", "show", "-", "--lang", "en", collected=collected)
    assert shown.returncode == 0
    assert b"ndmc is present at the broker" in shown.stdout
