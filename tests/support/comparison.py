"""Runs `link confirm` through pipes, as a test that hears the other side's words would type them."""

import re
import subprocess
import sys
from pathlib import Path

from endpoints.config.link_file import LinkFile
from protocol.wire.words import fingerprint_words

COMMAND = (sys.executable, "-m", "endpoints.cli.main", "link", "confirm")
START = {"en": re.compile(r"begins with word (\d+);"), "ru": re.compile(r"начинает со слова (\d+);")}


class Comparison:
    """A running comparison through pipes, whose start was read from what it asks."""

    def __init__(self, config: Path, *more: str, officer: str = "watch-1", lang: str = "en") -> None:
        credential = config.parent / "keys" / "officers" / f"{officer}.credential"
        options = ("--officer", officer, "--credential-file", str(credential), "--lang", lang)
        self.process = subprocess.Popen(
            [*COMMAND, str(config), *options, *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        assert self.process.stderr is not None
        asked = self.process.stderr.readline() + self.process.stderr.readline()
        match = START[lang].search(asked)
        assert match, asked
        self.start = int(match[1])

    def hear(self, content: LinkFile, language: str = "en") -> tuple[int, str, str]:
        """Type the words of a link file as the other side reads them; return the exit code and what was printed."""
        words = fingerprint_words(content.digest, language)
        out, err = self.process.communicate("\n".join([*words[self.start - 1 :], *words[: self.start - 1]]), timeout=30)
        return self.process.returncode, out, err
