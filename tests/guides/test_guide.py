"""The form of the guides: what is read from them, and how it is compared."""

import re
from pathlib import Path

import pytest

from tests.guides.guide import REPEAT, Command, GuideError, HandOver, parse, read
from tests.guides.test_guides import WALKS
from tests.guides.transcript import filled, fingerprint, match, parts, spoken

GUIDES_FOLDER = Path(__file__).parents[2] / "docs" / "guides"
GUIDES = sorted(GUIDES_FOLDER.glob("*.md"))

WORDS = [f"word{number}" for number in range(1, 17)]
GRID = "\n".join(
    ("en" if not first else "  ") + "".join(f"{first + n + 1:>3} {WORDS[first + n]:<13}" for n in range(4)).rstrip()
    for first in range(0, 16, 4)
)


def block(text: str) -> str:
    return f"```console\n{text}\n```\n"


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_every_guide_can_be_read(path: Path) -> None:
    assert read(path) or path.name == "README.md"


def test_every_guide_is_followed() -> None:
    followed = Path(__file__).with_name("test_guides.py").read_text("utf-8")
    assert [path.stem for path in GUIDES if f'"{path.stem}"' not in followed] == ["README"]


@pytest.mark.parametrize("guides", WALKS, ids=lambda guides: guides[-1])
def test_a_check_of_the_connection_is_repeated_after_a_restart(guides: tuple[str, ...]) -> None:
    """The broker starts again at once; the processes connect again within half a minute."""
    running: set[tuple[str, str]] = set()
    connected: set[tuple[str, str]] = set()
    steps = [step for guide in guides for step in read(GUIDES_FOLDER / f"{guide}.md") if isinstance(step, Command)]
    for step in steps:
        _, verb, subject, *_ = *step.line.split(), "", "", ""
        process = (step.machine, subject)
        if step.stop:
            running.discard(process)
        elif step.own_terminal and verb in {"run", "watch"}:
            assert "connected" in step.prints, step.at
            running.add(process)
            connected.add(process)
        elif (step.own_terminal or step.shows) and verb == "broker":
            connected.clear()
        elif verb in {"doctor", "status"} and process in running:
            assert step.repeat or process in connected, f"{step.at}: not marked `{REPEAT}`"
            connected.add(process)


def test_commands_have_a_machine_and_what_they_print() -> None:
    steps = parse("Text.\n" + block("eucom$ echo a\na\nb\nndmc-new$ true") + "```\n$ not run\n```\n", "a.md")
    assert steps == (
        Command("a.md:3", "eucom", "echo a", "a\nb"),
        Command("a.md:6", "ndmc-new", "true", ""),
    )


def test_a_command_goes_on_after_a_backslash_and_in_a_here_document() -> None:
    (step,) = parse(block("eucom$ cat <<END \\\n    >f\n> one\n> END\ndone"), "a.md")
    assert isinstance(step, Command)
    assert (step.line, step.prints) == ("cat <<END \\\n    >f\none\nEND", "done")


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ("exit code 2", {"exit_codes": (2,)}),
        ("repeat until it prints this, exit code 0 or 10", {"repeat": True, "exit_codes": (0, 10)}),
        ("in a terminal of its own", {"own_terminal": True}),
        ("its terminal shows", {"shows": True}),
        ("stop it with Ctrl-C", {"stop": True}),
        ("a reader's", {}),
    ],
)
def test_a_comment_says_how_a_command_ends(comment: str, said: dict[str, object]) -> None:
    (step,) = parse(block(f"eucom$ true  # {comment}\ndone"), "a.md")
    assert step == Command("a.md:2", "eucom", "true", "done", **said)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        block("$ true"),
        block("output\neucom$ true"),
        "```console\neucom$ true\n",
        block("eucom$ true  # in a terminal of its own"),
        block("eucom$ true  # repeat until it prints this"),
        "| hand over | from | to | as |\n| --- | --- | --- | --- |\n| `a` | eucom | ndmc |\n",
    ],
)
def test_a_guide_that_cannot_be_followed_is_refused(text: str) -> None:
    with pytest.raises(GuideError, match=r"^a\.md"):
        parse(text, "a.md")


def test_files_are_handed_over_in_tables_with_one_head() -> None:
    rows = "| `side/eucom.toml` | eucom | ndmc, broker | |\n| `eucom/` | eucom | eucom-new | `old/` |\n"
    text = f"| hand over | from | to | as |\n| --- | --- | --- | --- |\n{rows}\n| a | b | c | d |\n| - | - | - | - |\n"
    assert parse(text, "a.md") == (
        HandOver("a.md:3", "side/eucom.toml", "eucom", "ndmc", "eucom.toml"),
        HandOver("a.md:3", "side/eucom.toml", "eucom", "broker", "eucom.toml"),
        HandOver("a.md:4", "eucom/", "eucom", "eucom-new", "old/"),
    )


@pytest.mark.parametrize(
    ("expected", "found", "kept"),
    [
        ("one  two\nthree", "\n one two three\n", {}),
        ("one ... three", "one\ntwo and\nthree", {}),
        ("...\nlast", "much\nlast", {}),
        ("sent {reference}.", "sent eucom/1/7.", {"reference": "eucom/1/7"}),
        ("a (*) [y/N]", "a (*) [y/N] ", {}),
        ("one", "one two", None),
        ("one two", "onetwo", None),
        ("...", "", {}),
    ],
)
def test_what_is_printed_is_compared_loosely(expected: str, found: str, kept: dict[str, str] | None) -> None:
    matched = match(expected, found)
    assert (matched and matched[1]) == kept


def test_what_follows_is_left_if_more_may_come() -> None:
    assert match("ready", "ready\nmore", whole=False) == (5, {})


def test_what_is_typed_divides_what_is_printed() -> None:
    first, second = parts("sure? [y/N] <y>\ndone")
    assert (first.prints, first.typed, second.prints.strip(), second.typed) == ("sure? [y/N] ", "y", "done", "")


def test_kept_words_are_filled_in() -> None:
    assert filled("show {reference} ${HOME} {other}", {"reference": "eucom/1/7"}) == "show eucom/1/7 ${HOME} {other}"


def test_words_are_read_aloud_as_the_other_side_prints_them() -> None:
    heard = {"eucom": fingerprint(f"link a, epoch 1: 00ff\n{GRID}\nru  1 лодка")}
    assert heard["eucom"] == tuple(WORDS)
    assert spoken("the words of eucom, from word 15", heard).split() == ["word15", "word16", *WORDS[:14]]
    assert spoken("words 3 to 5 of eucom", heard) == "word3 word4 word5"
    assert spoken("y", heard) == "y"
    with pytest.raises(KeyError):
        spoken("words 3 to 5 of ndmc", heard)


def test_a_page_without_a_fingerprint_has_no_words() -> None:
    assert not fingerprint("en  1 one  2 two\n")
    assert re.search(r"\d", GRID)
