"""The completion script in a real bash on a real terminal."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from endpoints.cli.commands import COMMANDS

ROOT = Path(__file__).parents[3]
DEADLINE_S = 30
# what was completed is printed word by word; no program can be started any more
PREPARED = r"""
bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; bind 'set show-all-if-ambiguous on'
source "$SCRIPT"; deconflict() { printf '<%s>' "$@"; echo '<end>'; }; PATH=/nowhere; PS1=; echo ready
"""


class Bash:
    """An interactive bash, in `folder`, that has read the script."""

    def __init__(self, folder: Path, script: Path) -> None:
        self._end, theirs = pty.openpty()
        self._popen = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env={**os.environ, "SCRIPT": str(script), "TERM": "dumb", "INPUTRC": "/dev/null", "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
        os.close(theirs)
        self.typed(PREPARED, until="\nready")

    def typed(self, keys: str, until: str = "<end>\r\n") -> str:
        """Type keys and return what appears up to `until`."""
        os.write(self._end, keys.encode())
        seen, deadline = "", time.monotonic() + DEADLINE_S
        while until not in seen.replace("'<end>'", ""):
            assert time.monotonic() < deadline, seen
            seen += os.read(self._end, 65_536).decode(errors="replace")
        return seen

    def completed(self, line: str) -> list[str]:
        """Return the words of a line that is completed at its end and then run."""
        seen = self.typed(f"{line}\t\n")
        return re.findall(r"<(.*?)>", seen.rpartition("\n<")[2].join(["<", ""]))[:-1]

    def offered(self, line: str) -> set[str]:
        """Return the words that appear when a line that is not unambiguous is completed."""
        seen = self.typed(f"{line}\t\t\n")
        return set(seen.split())

    def close(self) -> None:
        self._popen.kill()
        self._popen.wait()
        os.close(self._end)


@pytest.fixture(scope="module")
def bash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bash]:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    folder = tmp_path_factory.mktemp("completion")
    script = folder / "script"
    with script.open("wb") as file:
        subprocess.run(
            [sys.executable, "-m", "endpoints.cli.main", "completion", "bash"],
            cwd=ROOT,
            stdout=file,
            check=True,
            timeout=60,
        )
    (folder / "my files" / "eucom").mkdir(parents=True)
    (folder / "my files" / "eucom" / "endpoint.toml").touch()
    bash = Bash(folder, script)
    yield bash
    bash.close()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("deconflict recon", ["reconcile"]),
        ("deconflict log ver", ["log", "verify"]),
        ("deconflict alarms ack", ["alarms", "acknowledge"]),
        ("deconflict show x y --js", ["show", "x", "y", "--json"]),
        ("deconflict acknowledge x y --decision und", ["acknowledge", "x", "y", "--decision", "understood"]),
        ("deconflict status x --lang r", ["status", "x", "--lang", "ru"]),
        ("deconflict run my", ["run", "my files/"]),
        (r"deconflict run my\ files/eu", ["run", "my files/eucom/"]),
        (r"deconflict run my\ files/eucom/", ["run", "my files/eucom/endpoint.toml"]),
        ("deconflict replay my", ["replay", "my files/"]),
        ("deconflict alert x --credential-file my", ["alert", "x", "--credential-file", "my files/"]),
    ],
)
def test_bash_completes(bash: Bash, line: str, words: list[str]) -> None:
    assert bash.completed(line) == words


def test_bash_offers_every_command_and_the_options_of_one(bash: Bash) -> None:
    commands = {command.words.split()[0] for commands in COMMANDS.values() for command in commands}
    assert commands <= bash.offered("deconflict ")
    assert {"--log", "--lang", "--help"} <= bash.offered("deconflict run --")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_a_script(shell: str) -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "endpoints.cli.main", "completion", shell],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "reconcile" in printed.stdout
    assert printed.stderr == ""
