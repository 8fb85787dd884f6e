from __future__ import annotations

from pathlib import Path

import pytest

from endpoints.cli import main as cli
from endpoints.cli.officer import parse_area
from endpoints.cli.officer_session import parse_draft
from endpoints.config import default_terms
from endpoints.config.provision import provision
from endpoints.errors import UserError
from protocol.wire.instants import parsed

AT = parsed("2022-11-29T12:00:00.000Z")


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An endpoint that does not run."""
    folder = tmp_path_factory.mktemp("o") / "d"
    sides = ("eucom", "ndmc")
    provision(
        folder,
        [default_terms.terms()],
        {side: default_terms.party(side) for side in sides},
        at=AT,
        officers={side: default_terms.officers(side) for side in sides},
    )
    return folder / "eucom" / "endpoint.toml"


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
        ({"area": ["Dam,46.7,33.3"]}, "--area: expected NAME,LATITUDE,LONGITUDE,RADIUS"),
        ({"area": ["Dam,north,33.3,10km"]}, "--area: expected NAME,LATITUDE,LONGITUDE,RADIUS"),
        ({"text": ["Dam"]}, "--text: expected a language and its text"),
        ({"text": ["en=Dam", "en=Dam"]}, "--text: the language en has two texts"),
        ({"text": []}, "--text"),
        ({"expires": ["soon"]}, "--expires: not a duration such as 30s, 10m, 2h"),
        ({"timeout": ["1"], "wait": ["received"]}, "--timeout: not a duration"),
        ({"update": ["eucom/1/1"], "correct": ["eucom/1/1"]}, "an alert either updates or corrects another"),
        ({"category": ["complaint"]}, "complaint"),
        ({"precedence": ["soon"]}, "soon"),
        ({"wait": ["forever"]}, "forever"),
    ],
)
def test_a_wrong_argument_is_one_line_before_anybody_is_asked(
    configuration: Path, arguments: dict[str, list[str]], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"category": ["air_pursuit"], "precedence": ["routine"], "text": ["en=Dam"]} | arguments
    words = [word for option, values in options.items() for value in values for word in (f"--{option}", value)]

    code, line = run(capsys, "alert", str(configuration), *words, *officer(configuration))

    assert code == 2
    assert said in line


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
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
    who = officer(configuration) if command[0] not in {"status", "alarms", "test", "drafts"} else ()
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


def test_an_area_is_a_circle_in_whole_micro_degrees_and_metres() -> None:
    assert parse_area("Nova Kakhovka, dam,46.7758004,-33.37,1.5km") == {
        "name": "Nova Kakhovka, dam",
        "latitude_udeg": 46_775_800,
        "longitude_udeg": -33_370_000,
        "radius_m": 1_500,
    }
    assert parse_area("x,0,0,250m")["radius_m"] == parse_area("x,0,0,250")["radius_m"] == 250
    for wrong in ("", ",,,", "x,1,2,", "x,NaN,2,3", "x,1,2,Infinity", "x,1e999999999,2,3"):
        with pytest.raises(UserError, match="--area"):
            parse_area(wrong)


def test_a_draft_is_told_from_a_message() -> None:
    assert parse_draft("draft/12") == 12
    assert parse_draft("eucom/1/12") is None
