"""`deconflict link confirm`: the comparison by voice, and the note that it leaves for the service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec import structs

from endpoints.config import confirmations, link_file
from endpoints.config.confirmations import ComparisonNote
from endpoints.doctor.examination import Examination
from endpoints.texts.i18n import LANGUAGES
from tests.support.broker_site import now
from tests.support.comparison import Comparison
from tests.support.terminal import COLUMNS, Terminal
from tests.support.two_sides import TwoSides, run, with_policy


@pytest.fixture
def sides(tmp_path: Path) -> TwoSides:
    return TwoSides(tmp_path / "s", status="actual")


def note(sides: TwoSides, place: str = "eucom") -> ComparisonNote | None:
    return confirmations.load(sides.config(place).parent, "eucom-ndmc")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_equal_files_are_noted_for_the_service(sides: TwoSides, lang: str) -> None:
    """SPEC E1.8: the words in the other language than the command's."""
    comparison = Comparison(sides.config("eucom"), lang=lang)
    code, out, err = comparison.hear(sides.content("ndmc"), "ru" if lang == "en" else "en")
    assert (code, out.split(":")[0]) == (0, {"en": "EQUAL", "ru": "СОВПАДАЕТ"}[lang])
    assert "deconflict link confirm CONFIG --officer ID" in err
    assert f"deconflict run {sides.config('eucom')}" in err
    kept = note(sides)
    assert kept is not None
    assert (kept.officer, kept.digest, kept.first_word) == ("watch-1", sides.content("eucom").digest, comparison.start)
    assert abs(now() - _ms(kept.compared_at)) < 60_000
    assert confirmations.path_of(sides.config("eucom").parent, "eucom-ndmc").stat().st_mode & 0o777 == 0o600


def _ms(at: str) -> int:
    from protocol.wire.instants import parsed

    return parsed(at)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_other_words_confirm_nothing(sides: TwoSides, lang: str) -> None:
    other = with_policy(sides.content("ndmc"), grace_s=60)
    code, out, _ = Comparison(sides.config("eucom"), lang=lang).hear(other)
    assert (code, out.split(":")[0]) == (6, {"en": "DIFFERENT", "ru": "НЕ СОВПАДАЕТ"}[lang])
    assert note(sides) is None


def test_other_words_take_back_an_earlier_confirmation_of_the_file(sides: TwoSides) -> None:
    """Equal once and different now: nobody knows which of the two was misheard."""
    assert Comparison(sides.config("eucom")).hear(sides.content("ndmc"))[0] == 0
    assert note(sides) is not None
    assert Comparison(sides.config("eucom")).hear(with_policy(sides.content("ndmc"), grace_s=60))[0] == 6
    assert note(sides) is None


@pytest.mark.parametrize("act", ["remove", "reset"])
def test_an_officer_removed_during_the_comparison_confirms_nothing(sides: TwoSides, act: str) -> None:
    config = sides.config("eucom")
    comparison = Comparison(config)
    assert run("officer", act, config, "watch-1", *(["--yes"] if act == "remove" else [])) == 0
    code, out, err = comparison.hear(sides.content("ndmc"))
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == (
        "deconflict: officer watch-1 was removed, or has another credential, since the comparison began: nothing was "
        "confirmed; compare again"
    )
    assert note(sides) is None


def test_what_is_compared_as_json(sides: TwoSides) -> None:
    comparison = Comparison(sides.config("eucom"), "--json")
    code, out, _ = comparison.hear(sides.content("ndmc"))
    row, kept = json.loads(out), note(sides)
    assert code == 0
    assert kept is not None
    assert row == {
        "link": "eucom-ndmc",
        "epoch": 1,
        "file": str(sides.file("eucom")),
        "digest": kept.digest,
        "officer": "watch-1",
        "compared_at": kept.compared_at,
        "start": comparison.start,
        "equal": True,
        "differing": [],
    }


def test_a_prepared_epoch_is_compared_in_place_of_the_present_one(sides: TwoSides) -> None:
    assert Comparison(sides.config("eucom")).hear(sides.content("ndmc"))[0] == 0
    proposed = with_policy(sides.content("eucom"), 2, grace_s=60)
    link_file.save(proposed, link_file.next_path(sides.file("eucom")))
    assert Comparison(sides.config("eucom")).hear(sides.content("ndmc"))[0] == 6
    code, _, err = Comparison(sides.config("eucom")).hear(proposed)
    assert code == 0
    assert f"when both sides have confirmed it: deconflict epoch {sides.config('eucom')}" in err
    assert (kept := note(sides)) is not None
    assert kept.digest == proposed.digest


def test_the_first_epoch_is_compared_before_a_prepared_one(sides: TwoSides) -> None:
    """Otherwise an actual link that never ran could open neither of them."""
    proposed = with_policy(sides.content("eucom"), 2, grace_s=60)
    link_file.save(proposed, link_file.next_path(sides.file("eucom")))
    code, _, err = Comparison(sides.config("eucom")).hear(sides.content("ndmc"))
    assert code == 0
    assert f"deconflict run {sides.config('eucom')}" in err
    assert (kept := note(sides)) is not None
    assert kept.digest == sides.content("eucom").digest
    # and in its turn the other one
    assert Comparison(sides.config("eucom")).hear(proposed)[0] == 0


def test_the_starts_differ(sides: TwoSides) -> None:
    starts = set()
    for _ in range(6):
        comparison = Comparison(sides.config("eucom"))
        starts.add(comparison.start)
        comparison.hear(sides.content("ndmc"))
    assert len(starts) > 1


def stale(sides: TwoSides) -> None:
    link_file.save(sides.content("eucom"), link_file.next_path(sides.file("eucom")))


def of_another_link(sides: TwoSides) -> None:
    content = with_policy(sides.content("eucom"), 2)
    other = structs.replace(content, terms=structs.replace(content.terms, link="other"))
    link_file.save(other, link_file.next_path(sides.file("eucom")))


@pytest.mark.parametrize(
    ("officer", "credential", "before", "wrong"),
    [
        ("nobody", "watch-1", None, "--officer: 'nobody' is no officer enrolled here; enrolled: watch-1, watch-2"),
        ("watch-1", "watch-2", None, "officer 'watch-1' with this credential is not enrolled here"),
        ("watch-1", "watch-1", stale, "link eucom-ndmc, epoch 1; for the next epoch of link eucom-ndmc, a file with"),
        ("watch-1", "watch-1", of_another_link, "link other, epoch 2; for the next epoch of link eucom-ndmc, a file"),
    ],
)
def test_who_may_not_confirm_is_told_in_one_line(
    sides: TwoSides, officer: str, credential: str, before: object, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if callable(before):
        assert Comparison(sides.config("eucom")).hear(sides.content("ndmc"))[0] == 0
        before(sides)
    kept = note(sides)
    capsys.readouterr()
    file = sides.config("eucom").parent / "keys" / "officers" / f"{credential}.credential"
    assert run("link", "confirm", sides.config("eucom"), "--officer", officer, "--credential-file", file) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert wrong in err
    assert note(sides) == kept


def test_the_watch_confirms_nothing(sides: TwoSides, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("link", "confirm", sides.config("watch"), "--officer", "observer-1") == 2
    assert "the watch sends nothing and confirms nothing" in capsys.readouterr().err


def test_the_command_that_confirms_is_printed_whole(sides: TwoSides) -> None:
    """An officer who copies it from a terminal has one command, with every option that it requires."""
    config = sides.config("eucom")
    command = f"deconflict link confirm {config} --officer ID"
    for words in (("run", config), ("doctor", config)):
        terminal = Terminal(*words, "--lang", "en")
        assert terminal.end() == {"run": 2, "doctor": 1}[words[0]]
        # the terminal itself goes on in the next line, which nobody copies
        assert command in {line.strip() for line in terminal.lines}
        others = [line for line in terminal.lines if not line.strip().startswith(("deconflict", "/"))]
        assert max(map(len, others)) <= COLUMNS


def test_the_end_of_a_credential_is_one_line(sides: TwoSides) -> None:
    terminal = Terminal("link", "confirm", sides.config("eucom"), "--officer", "watch-1", "--lang", "en")
    terminal.until("Credential of watch-1: ")
    terminal.type("\x04")
    assert terminal.end() == 2
    assert terminal.lines[1] == "deconflict: officer watch-1: the credential that was entered is empty"


def findings(sides: TwoSides) -> list[tuple[str, str]]:
    from endpoints.config import settings

    examination = Examination(settings.load(sides.config("eucom")), now)
    examination.run()
    every = (*examination.findings, *examination.hints)
    return [(each.severity, each.finding) for each in every if each.check == "comparison/eucom-ndmc"]


def test_the_doctor_says_that_an_actual_link_would_not_start(sides: TwoSides) -> None:
    assert [severity for severity, _ in findings(sides)] == ["error"]
    assert Comparison(sides.config("eucom")).hear(sides.content("ndmc"))[0] == 0
    assert findings(sides) == []


def test_an_unconfirmed_exercise_is_a_hint(tmp_path: Path) -> None:
    ((severity, finding),) = findings(TwoSides(tmp_path / "s"))
    assert severity == "hint"
    assert finding.endswith("an exercise may run so")
