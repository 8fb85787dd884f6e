from __future__ import annotations

from pathlib import Path

import pytest

from endpoints.cli import main as cli
from endpoints.cli.officer_session import parse_draft
from protocol.wire.instants import parsed
from tests.support.installation import installed

AT = parsed("2022-11-29T12:00:00.000Z")


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An endpoint that does not run."""
    return installed(tmp_path_factory.mktemp("o") / "d", at=AT) / "eucom" / "endpoint.toml"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Return the exit code and the only line on standard error."""
    with pytest.raises(SystemExit) as exited:
        cli.main(arguments)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert isinstance(exited.value.code, int)
    return exited.value.code, err


def officer(configuration: Path) -> tuple[str, ...]:
    credential = configuration.parent / "keys" / "officers" / "watch-1.credential"
    return "--officer", "watch-1", "--credential-file", str(credential)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"area": ["Dam,46.7,33.3"]}, "--area: 'Dam,46.7,33.3' is not accepted: write --place 'Dam' --at 46.7758"),
        ({"area": ["Dam, 46,78, 33,37, 10km"]}, "a comma could stand within a number or between two"),
        (
            {"place": ["Dam"], "at": ["146.0,33.37"], "radius": ["1km"]},
            "'146.0,33.37' is not accepted: latitude 146",
        ),
        ({"place": ["Dam"], "at": ["-46.78,-133.37"]}, "--radius: a place has a name, coordinates and a radius"),
        (
            {"text": ["Dam"]},
            "--text: expected a language and its text, such as en=..., ru=..., found",
        ),
        ({"text": ["fr=Barrage"]}, "--text: expected a language and its text, such as en=..., ru=..."),
        ({"text": ["en=Dam", "en=Dam"]}, "--text: the language en has two texts"),
        ({"text": []}, "--text"),
        ({"text": ["en="]}, "--text en=...: the text is empty; write 1 to 4000 characters"),
        ({"text": ["ru=" + "Д" * 5_000]}, "--text ru=...: the text has 5000 characters, and the limit is 4000"),
        ({"text": ["en=Dam\tNorth"]}, "--text en=...: character 4 is a tab, after 'Dam'"),
        ({"text": ["en=Dam\x07"]}, "--text en=...: character 4 is the control character U+0007, after 'Dam'"),
        ({"cancellation": ["en=\x1b[8m"]}, "--cancellation en=...: character 1 is an escape code of a terminal"),
        ({"expires": ["soon"]}, "--expires: 'soon' is not accepted: write a time such as"),
        (
            {"expires": ["60d"]},
            "--expires: '60d' is not accepted: an alert ends later than now, and at most 31d",
        ),
        ({"expires": ["0s"]}, "--expires: '0s' is not accepted: an alert ends later than now"),
        ({"expires": ["-2h"]}, "--expires: '-2h' is not accepted: an alert ends later than now"),
        ({"event-at": ["yesterday"]}, "--event-at: 'yesterday' is not accepted: write a time such as"),
        ({"event-at": ["-10min"]}, "--event-at: '-10min' is not accepted: the units are s, m, h and d"),
        (
            {"timeout": ["1"], "wait": ["received"]},
            "--timeout: expected a duration such as 30s, 10m, 2h or 7d",
        ),
        ({"update": ["eucom/1/1"], "correct": ["eucom/1/1"]}, "an alert either updates or corrects another"),
        ({"update": ["eucom/1"]}, "--update: expected a message such as eucom/1/42, found 'eucom/1'"),
        ({"reference": ["42"]}, "--reference: expected a message such as eucom/1/42, found '42'"),
        (
            {"category": ["complaint"]},
            "--category: 'complaint' is not accepted; choose one of: critical_infrastructure (critical ",
        ),
        (
            {"category": ["airspace_operation"]},
            "is outside the scope of this link, which has: critical_inf",
        ),
        (
            {"category": ["airspace_operation"]},
            "; other channels: ministers (Secretary of Defense - ",
        ),
        ({"precedence": ["soon"]}, "--precedence: 'soon' is not accepted; choose one of: flash (FLASH), immediate ("),
        ({"status": ["actual"]}, "--status: 'actual' is not accepted; choose one of: exercise (EXERCISE), test ("),
        ({"wait": ["forever"]}, "forever"),
    ],
)
def test_a_wrong_argument_is_one_line_before_anybody_is_asked(
    configuration: Path, arguments: dict[str, list[str]], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"category": ["air_pursuit"], "precedence": ["routine"], "text": ["en=Dam"]} | arguments
    words = [word for option, values in options.items() for value in values for word in (f"--{option}", value)]

    code, line = run(capsys, "alert", str(configuration), *words, *officer(configuration), "--lang", "en")

    assert code == 2
    assert said in line
    assert "$" not in line
    assert "byte" not in line


def test_an_officer_who_is_not_enrolled_is_told_who_is(configuration: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (
        ("acknowledge", "ndmc/1/1"),
        ("release", "draft/1"),
        ("test",),
        ("duty take",),
        ("alarms acknowledge", "late/x"),
    ):
        verb, *rest = command
        place = [*verb.split(), str(configuration), *rest]
        assert run(capsys, *place, "--officer", "mickey") == (
            2,
            "deconflict: --officer: 'mickey' is no officer enrolled here; enrolled: watch-1, watch-2\n",
        )


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("acknowledge", "ndmc/1/1", "--decision", "ok"), "choose one of: understood (understood), acting ("),
        (("refuse", "ndmc/1/1", "--reason", "no"), "choose one of: out_of_scope ("),
        (
            ("refuse", "ndmc/1/1", "--reason", "expired", "--referral", "pope"),
            "channel 'pope'; other channels: ministers",
        ),
        (("acknowledge", "ndmc-1-1"), "expected a message such as eucom/1/42, found 'ndmc-1-1'"),
        (("acknowledge", "draft/1"), "expected a message such as eucom/1/42, found 'draft/1'"),
        (
            ("acknowledge", "ndmc/1/1", "--text", "de=Ja"),
            "--text: expected a language and its text, such as en=..., ru=...",
        ),
        (("cancel", "eucom/1/1/1"), "expected a message such as eucom/1/42"),
        (("answer", "ndmc/1", "--words", "a b c"), "expected a message such as eucom/1/42"),
        (("answer", "ndmc/1/1", "--text", "a\tb", "--words", "a b c"), "--text: character 2 is a tab, after 'a'"),
    ],
)
def test_what_an_act_cannot_say_is_one_line_that_lists_what_it_can(
    configuration: Path, command: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    verb, *rest = command
    code, line = run(capsys, verb, str(configuration), *rest, *officer(configuration), "--lang", "en")

    assert code == 2
    assert said in line


@pytest.mark.parametrize(
    "command",
    [
        ("alarms", "list"),
        ("test",),
        ("release", "draft/1"),
        ("acknowledge", "ndmc/1/1"),
        ("refuse", "ndmc/1/1", "--reason", "expired"),
        ("discard", "draft/1", "--seen", "0" * 64, "--yes"),
        ("drafts",),
        ("cancel", "eucom/1/1"),
        ("answer", "ndmc/1/1", "--words", "a b c"),
    ],
)
def test_an_endpoint_that_does_not_run_is_one_line_and_exit_12(
    configuration: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    who = officer(configuration) if command[0] not in {"alarms", "test", "drafts"} else ()
    words, options = command[:2], command[2:]
    place = words if command[0] == "alarms" else words[:1]
    arguments = [*place, str(configuration), *words[len(place) :], *options, *who]

    with pytest.raises(SystemExit) as exited:
        cli.main(arguments)

    assert exited.value.code == 12
    assert "nobody answers on this control socket" in capsys.readouterr().err


def test_an_officers_command_at_the_watch_names_the_endpoint(
    configuration: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = configuration.parents[1] / "watch" / "watch.toml"

    assert run(capsys, "release", str(watch), "draft/1", *officer(configuration)) == (
        2,
        f"deconflict: {watch}: the watch accepts no officer commands; run this against an endpoint\n",
    )


@pytest.mark.parametrize("ref", ["eucom/1/1", "draft/0", "draft/x", "nonsense"])
def test_only_a_draft_is_released(configuration: Path, ref: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = run(capsys, "release", str(configuration), ref, *officer(configuration))

    assert code == 2
    assert "draft" in line


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        (("release", "draft/1", "--yes"), "give --seen as well"),
        (("discard", "draft/1", "--yes"), "give --seen as well"),
        (("discard", "eucom/1/1"), "expected a draft such as draft/3"),
        (("release", "draft/1", "--seen", "0" * 63, "--yes"), "--seen: expected the 64 digits"),
        (("acknowledge", "ndmc/1/1", "--seen", "A" * 64), "--seen: expected the 64 digits"),
        (("cancel", "draft/1"), "it was not sent, so there is nothing to cancel"),
    ],
)
def test_what_cannot_be_confirmed_is_refused_in_one_line(
    configuration: Path, command: tuple[str, ...], wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    verb, *words = command
    code, line = run(capsys, verb, str(configuration), *words, *officer(configuration))

    assert code == 2
    assert wrong in line


def test_a_credential_file_that_others_can_read_is_refused(
    configuration: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    credential = tmp_path / "credential"
    credential.write_text("correct horse battery staple\n")
    credential.chmod(0o644)

    code, line = run(
        capsys, "release", str(configuration), "draft/1", "--officer", "watch-1", "--credential-file", str(credential)
    )

    assert code == 2
    assert "chmod 600" in line


def test_a_draft_is_told_from_a_message() -> None:
    assert parse_draft("draft/12") == 12
    assert parse_draft("eucom/1/12") is None
