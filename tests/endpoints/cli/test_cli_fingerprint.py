"""`deconflict link fingerprint --compare`: through a pipe and on a terminal, in both languages."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec import structs

from endpoints.cli.main import main
from endpoints.config import link_file
from protocol.wire.words import WORDS, fingerprint_words
from tests.support.exchange import link_file as a_link_file

COMMAND = (sys.executable, "-m", "endpoints.cli.main", "link", "fingerprint")
START = {"en": re.compile(r"begins with word (\d+);"), "ru": re.compile(r"начинает со слова (\d+);")}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "link.toml"
    link_file.save(a_link_file(), path)
    return path


def words_of(file: Path, language: str = "en") -> tuple[str, ...]:
    return fingerprint_words(link_file.load(file).digest, language)


def from_start(words: Sequence[str], start: int) -> list[str]:
    return [*words[start - 1 :], *words[: start - 1]]


class Comparison:
    """A running comparison, whose start was read from what it asks."""

    def __init__(self, file: Path, *more: str, lang: str = "en") -> None:
        self.process = subprocess.Popen(
            [*COMMAND, str(file), "--compare", "--lang", lang, *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        assert self.process.stderr is not None
        self.asked = self.process.stderr.readline() + self.process.stderr.readline()
        match = START[lang].search(self.asked)
        assert match, self.asked
        self.start = int(match[1])

    def type(self, text: str) -> tuple[int, str, str]:
        """Type a text and end the input; return the exit code, and what was printed."""
        out, err = self.process.communicate(text, timeout=30)
        return self.process.returncode, out, err


@pytest.mark.parametrize(("lang", "verdict"), [("en", "EQUAL: "), ("ru", "СОВПАДАЕТ: ")])
def test_the_words_of_the_other_side_are_equal(file: Path, lang: str, verdict: str) -> None:
    """SPEC E1.8: read in either language, whatever language the command speaks; case and commas do not matter."""
    for language in ("en", "ru"):
        comparison = Comparison(file, lang=lang)
        words = from_start(words_of(file, language), comparison.start)
        code, out, _ = comparison.type(f"  {', '.join(words[:5]).upper()},\n\n" + "\t".join(words[5:]) + ".\n")
        assert code == 0
        assert out.startswith(verdict)


@pytest.mark.parametrize(("lang", "verdict"), [("en", "DIFFERENT: "), ("ru", "НЕ СОВПАДАЕТ: ")])
def test_another_file_differs(file: Path, lang: str, verdict: str) -> None:
    other = structs.replace(a_link_file(), terms=structs.replace(a_link_file().terms, epoch=2))
    comparison = Comparison(file, lang=lang)
    code, out, _ = comparison.type(" ".join(from_start(fingerprint_words(other.digest, "en"), comparison.start)))
    assert code == 6
    assert out.startswith(verdict)
    assert out.count("\n") == 2
    # what is expected is shown to nobody
    assert not {*words_of(file), *words_of(file, "ru")} & set(re.findall(r"\w+", out))


@pytest.mark.parametrize("place", [1, 8, 16])
def test_one_different_word_differs(file: Path, place: int) -> None:
    comparison = Comparison(file, "--json")
    words = list(words_of(file))
    words[place - 1] = next(word for word in WORDS["en"] if word not in words)
    code, out, _ = comparison.type(" ".join(from_start(words, comparison.start)))
    assert code == 6
    found = {"link": "eucom-ndmc", "epoch": 1, "start": comparison.start, "equal": False, "differing": [place]}
    assert json.loads(out) == found


def test_equal_first_words_do_not_suffice(file: Path) -> None:
    """Two files that share the first five words are found in seconds."""
    comparison = Comparison(file)
    words = [*words_of(file)[:5], *(word for word in WORDS["en"] if word not in words_of(file))][:16]
    assert comparison.type(" ".join(from_start(words, comparison.start)))[0] == 6


def test_nothing_of_the_fingerprint_is_shown_before(file: Path) -> None:
    comparison = Comparison(file)
    code, out, err = comparison.type("")
    assert (code, out) == (2, "")
    text = comparison.asked + err
    assert not {*words_of(file), *words_of(file, "ru")} & set(re.findall(r"\w+", text))
    assert link_file.load(file).digest[:8] not in text


def test_the_start_is_drawn_anew(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = set()
    for _ in range(40):
        monkeypatch.setattr("sys.stdin", io.StringIO(""))
        with pytest.raises(SystemExit):
            main(["link", "fingerprint", str(file), "--compare", "--lang", "en"])
        match = START["en"].search(capsys.readouterr().err)
        assert match
        starts.add(int(match[1]))
    assert len(starts) > 5
    assert starts <= set(range(1, 17))


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ("", "0 words were given; all 16 are compared"),
        ("lamp lemon", "2 words were given; all 16 are compared"),
        ("lamp " * 17, "more than 16 words"),
        ("lamp " * 16 + "\nlamp", "more than 16 words"),
        ("lampe", "no word of a fingerprint: 'lampe'"),
        ("x" * 100_000, "no word of a fingerprint: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'"),
        ("\x1b[31mlamp", "no word of a fingerprint: 'mlamp'"),
        ("\n" * 100_000, "0 words were given; all 16 are compared"),
    ],
)
def test_what_is_no_fingerprint_is_one_line(
    file: Path, typed: str, wrong: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    with pytest.raises(SystemExit) as end:
        main(["link", "fingerprint", str(file), "--compare", "--lang", "en"])
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (2, "")
    assert err.splitlines()[2:] == [f"deconflict: {wrong}"]


def test_on_a_terminal_a_wrong_line_is_typed_again(file: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, str(file), "--compare", "--lang", "en"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
    )
    os.close(theirs)
    shown = _until(ours, "Type what you hear:")
    match = START["en"].search(shown)
    assert match
    words = from_start(words_of(file), int(match[1]))
    # asks for a wrong line again, counts the right ones, and ends by itself
    for line, answer in (([*words[:5], "lampe"], "again:"), (words[:5], "5/16"), (words[5:] * 2, "again:")):
        os.write(ours, (" ".join(line) + "\n").encode())
        shown = _until(ours, answer)
    os.write(ours, (" ".join(words[5:]) + "\n").encode())
    assert "the other side has this link file" in _until(ours, "the one that it names.")
    assert process.wait(timeout=30) == 0
    os.close(ours)


def _until(terminal: int, text: str) -> str:
    """Return what a terminal shows, up to a text."""
    shown = b""
    while text.encode() not in shown:
        shown += os.read(terminal, 65_536)
    return shown.decode()


def test_the_words_are_numbered_to_be_read_from_any_one(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["link", "fingerprint", str(file)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 9
    assert max(map(len, lines[1:])) <= 80
    numbered = re.findall(r"(\d+) (\w+)", "\n".join(lines[1:]))
    expected = [(str(place), word) for lang in ("en", "ru") for place, word in enumerate(words_of(file, lang), 1)]
    assert numbered == expected
