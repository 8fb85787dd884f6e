"""Two officers at one side: the second pair of eyes sees the whole alert, and the loser of a race learns who acted."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from endpoints.control.client import RequestRefused
from tests.support.station import ALL, Running, Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

DECEIT = "Dam under fire.\n  seen          " + "0" * 64 + "\nndmc/1/9  alert: acknowledged\u202e"
COLUMNS = 80


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        station.start(*ALL)
        yield station


def officer(station: Station, side: str, name: str) -> tuple[str, ...]:
    return "--officer", name, "--credential-file", str(station.credential_file(side, name))


def held(station: Station, **fields: Any) -> str:
    """Let `watch-1` write an alert with every field; return its draft."""
    alert: dict[str, Any] = {
        "precedence": "flash",
        "text": {"en": DECEIT, "ru": "Плотина под огнём."},
        "area": {"name": "Dam\n  x", "latitude_udeg": 46_775_800, "longitude_udeg": -33_370_600, "radius_m": 10_000},
        "cancellation": {"en": "All clear."},
    }
    return station.alert(**(alert | fields))


def at_a_terminal(*words: str, typed: str) -> tuple[int, list[str]]:
    """Run a command at a terminal of 80 columns, type a line when it asks; return its exit code and what it shows."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "endpoints.cli.main", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": str(COLUMNS)},
    )
    os.close(theirs)
    output, asked = b"", False
    try:
        while piece := os.read(ours, 65_536):
            output += piece
            if not asked and b"[y/N]" in output:
                asked = True
                os.write(ours, f"{typed}\n".encode())
    except OSError:
        # Linux reports the end of a terminal's output as EIO
        pass
    finally:
        os.close(ours)
    return process.wait(), output.decode().replace("\r", "").splitlines()


def test_an_alert_in_one_of_two_languages_is_sent_only_if_its_officer_says_so(station: Station) -> None:
    """Decision 0092."""
    config, options = str(station.config("eucom")), ("--category", "air_pursuit", "--precedence", "routine")
    alert = ("alert", config, *options, "--text", "en=Wait.", *officer(station, "eucom", "watch-1"), "--lang", "en")
    before = station.snapshot("eucom")["ours"]["last"]

    code, shown = at_a_terminal(*alert, typed="")

    text = "\n".join(shown)
    assert (code, shown[-1]) == (1, "nothing was sent")
    assert "no text in ru" in text
    assert re.search(r"^  expires +.* UTC\n {16}\(.* Europe/Berlin, .* Europe/Moscow\)$", text, re.MULTILINE)
    assert station.snapshot("eucom")["ours"]["last"] == before
    code, shown = at_a_terminal(*alert, typed="y")
    assert (code, shown[-1]) == (0, f"eucom/1/{before + 1}")
    script = station.deconflict(*alert)
    assert (script.returncode, script.stdout) == (0, f"eucom/1/{before + 2}\n")
    assert script.stderr.startswith("warning: ")


def test_the_second_officer_sees_the_whole_alert_before_they_release_it(station: Station) -> None:
    earlier = station.alert()
    draft = held(station, references=[earlier], changes=earlier, change_kind="correction")
    config = str(station.config("eucom"))
    released = ("release", config, draft, *officer(station, "eucom", "watch-2"), "--lang", "en")

    code, shown = at_a_terminal(*released, typed="n")

    assert (code, shown[-1]) == (1, "nothing was done")
    assert [each["draft"] for each in station.snapshot("eucom")["drafts"]] == [draft]
    text = "\n".join(shown)
    for wanted in (
        f"{draft}  alert: held for a second officer",
        "  ! watch-2 may release it until ",
        "  status        EXERCISE",
        "  precedence    FLASH",
        "  text, en      | Dam under fire.",
        "                |   seen   ",
        "\n                | " + "0" * 62 + "\n                | 00\n",
        "                | ndmc/1/9  alert: acknowledged\\u202e",
        "  text, ru      | Плотина под огнём.",
        "  place         | Dam",
        "                |   x",
        "                46.7758 N, 33.3706 W, radius 10 km",
        "  event         29 Nov 2022, 12:",
        "  expires       30 Nov 2022, 12:",
        f"  refers to     {earlier}",
        f"  changes       correction of {earlier}\n                ru:\n                | Проверка связи.\n",
        "  cancellation, en\n                | All clear.",
        "  written by    watch-1",
        "release and send it as watch-2? [y/N] n",
    ):
        assert wanted in text
    assert all(len(line) <= COLUMNS for line in shown)
    assert len(re.findall(r"^  seen +[0-9a-f]{64}$", text, re.MULTILINE)) == 1

    code, shown = at_a_terminal(*released, typed="yes")

    assert code == 0
    reference = shown[-1]
    assert station.snapshot("eucom")["drafts"] == []
    assert [line for line in shown if "released" in line] == []
    late = station.deconflict("release", config, draft, *officer(station, "eucom", "watch-2"), "--lang", "en")
    assert late.returncode == 9
    assert re.fullmatch(
        rf"deconflict: {draft} is released already: watch-2 released it at \d+ \w+ 2022, [\d:]+ UTC as {reference}\n",
        late.stderr,
    )


def test_a_draft_is_listed_released_by_a_script_and_awaited(station: Station) -> None:
    config = str(station.config("eucom"))
    text = ("--text", "en=Dam.", "--text", "ru=Дамба.", "--category", "critical_infrastructure")
    writing = ("alert", config, *text, *officer(station, "eucom", "watch-1"), "--precedence", "flash", "--lang", "en")
    waiting = Running([*writing, "--wait", "received", "--timeout", "40s"], {})
    station.until(lambda: waiting.output() != b"")
    draft = waiting.output().decode().strip()
    listed = station.deconflict("drafts", config, "--lang", "ru")
    assert f"{draft}  оповещение: ждёт второго офицера; возраст " in listed.stdout
    (row,) = msgspec.json.decode(station.deconflict("drafts", config, "--json").stdout)["drafts"]
    blind = station.deconflict("release", config, draft, *officer(station, "eucom", "watch-2"))
    assert (blind.returncode, blind.stdout, blind.stderr.count("\n")) == (2, "", 1)
    assert "--seen DIGEST --yes" in blind.stderr
    wrong = station.deconflict(
        *("release", config, draft, *officer(station, "eucom", "watch-2"), "--seen", "0" * 64, "--yes")
    )
    assert wrong.returncode == 9
    station.deconflict(
        *("release", config, draft, *officer(station, "eucom", "watch-2"), "--seen", row["seen"], "--yes")
    )
    assert waiting.wait() == 0
    reference = station.snapshot("eucom")["drafts_ended"][draft]["reference"]
    said = waiting.errors().splitlines()
    assert said[0] == f"{draft}: nothing was sent yet; it waits for a second officer"
    assert f"{draft}: released by watch-2 as {reference['sender']}/{reference['epoch']}/{reference['seq']}" in said
    assert said[-1].endswith(": received by the other side's machine")
    assert station.deconflict("drafts", config, "--lang", "en").stdout == "no draft waits\n"


def test_a_wait_for_a_release_says_that_nothing_was_sent_or_how_the_draft_ended(station: Station) -> None:
    config = str(station.config("eucom"))
    text = ("--text", "en=Dam.", "--text", "ru=Дамба.", "--category", "critical_infrastructure")
    writing = ("alert", config, *text, *officer(station, "eucom", "watch-1"), "--precedence", "flash", "--lang", "en")
    waited = station.deconflict(*writing, "--wait", "received", "--timeout", "1s")
    assert waited.returncode == 10
    assert waited.stderr.splitlines()[-1] == "not released after 1s: nothing was sent yet, and the draft still waits"
    waiting = Running([*writing, "--wait", "received", "--timeout", "40s"], {})
    station.until(lambda: waiting.output() != b"")
    for draft in (waited.stdout.strip(), waiting.output().decode().strip()):
        item = station.ask("eucom", f"items/{draft}")
        done = station.deconflict(
            *("discard", config, draft, *officer(station, "eucom", "watch-2"), "--seen", item["seen"], "--yes")
        )
        assert (done.returncode, done.stdout) == (0, f"{draft}\n"), done.stderr
    assert waiting.wait() == 11
    assert waiting.errors().splitlines()[-1] == f"{draft}: discarded; nothing was sent"
    shown = station.deconflict("show", config, draft, "--lang", "en").stdout
    assert f"{draft}  alert: discarded\n  ! nothing was sent\n" in shown
    assert "  discarded     29 Nov 2022, " in shown
    assert "                eucom, watch-2\n" in shown


def test_two_officers_do_not_both_speak_for_their_side_without_knowing(station: Station) -> None:
    reference = station.alert()
    station.until(lambda: station.alert_state("ndmc", reference) is not None)
    config = str(station.config("ndmc"))
    before = msgspec.json.decode(station.deconflict("show", config, reference, "--json").stdout)["seen"]
    assert station.ask("ndmc", f"items/{reference}")["seen"] == before
    first = station.deconflict("acknowledge", config, reference, *officer(station, "ndmc", "duty-1"))
    assert first.returncode == 0

    for late in (
        ("acknowledge", config, reference),
        ("refuse", config, reference, "--reason", "out_of_scope"),
        ("acknowledge", config, reference, "--seen", before),
    ):
        second = station.deconflict(*late, *officer(station, "ndmc", "duty-2"), "--lang", "ru")
        assert (second.returncode, second.stdout) == (9, "")
        assert "UTC: подтверждено: ndmc, duty-1: понято" in second.stderr
        assert "duty-1: подтверждение (понято), " in second.stderr

    late_at_terminal = ("acknowledge", config, reference, *officer(station, "ndmc", "duty-2"), "--lang", "ru")
    code, page = at_a_terminal(*late_at_terminal, typed="")
    assert (code, page[0]) == (9, f"{reference}  оповещение: подтверждено")
    assert any(line.startswith(f"{'':16}ndmc, duty-1: понято (ndmc/1/") for line in page)

    with pytest.raises(RequestRefused) as refused:
        station.act("ndmc", "duty-2", "acknowledge", of=reference, decision="acting", seen=before)
    assert refused.value.code == "changed_since_seen"
    assert refused.value.acts is not None
    assert [(act["officer"], act["decision"]) for act in refused.value.acts] == [("duty-1", "understood")]

    now = msgspec.json.decode(station.deconflict("show", config, reference, "--json").stdout)["seen"]
    again = station.deconflict(
        *("acknowledge", config, reference, *officer(station, "ndmc", "duty-2"), "--decision", "acting"),
        *("--text", "en=" + DECEIT, "--seen", now),
    )
    assert again.returncode == 0, again.stderr
    station.settled()
    for side in ("eucom", "ndmc"):
        rows = msgspec.json.decode(station.deconflict("messages", str(station.config(side)), "--json").stdout)[
            "messages"
        ]
        (row,) = [row for row in rows if row["reference"] == reference]
        acts = [(act["act"], act["officer"], act["decision"], act["party"]) for act in row["acts"]]
        assert acts == [("acknowledged", "duty-1", "understood", "ndmc"), ("acknowledged", "duty-2", "acting", "ndmc")]
        assert (row["acknowledged_by"], row["decision"]) == ("duty-2", "acting")
        assert row["acknowledged_at"] == row["acts"][1]["at"]
        shown = station.deconflict("show", str(station.config(side)), reference, "--lang", "en").stdout
        assert shown.count("acknowledged") == 4
        assert "                ndmc, duty-2: acting on it (ndmc/1/" in shown
        assert "                |   seen          " in shown
        assert len(re.findall(r"^  seen ", shown, re.MULTILINE)) == 1


def test_what_is_not_in_the_journal_is_refused_in_one_line(station: Station) -> None:
    for ref, wrong in (
        ("eucom/1/999", "no such message in this journal"),
        ("draft/99", "no such draft in this journal"),
        ("draft/x", "expected a draft such as draft/3"),
        ("nonsense", "expected a message such as eucom/1/42"),
    ):
        refused = station.deconflict("show", str(station.config("eucom")), ref)
        assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
        assert wrong in refused.stderr


@pytest.mark.parametrize(
    ("side", "name", "words"),
    [
        ("ndmc", "duty-1", ("acknowledge",)),
        ("ndmc", "duty-1", ("refuse", "--reason", "unintelligible")),
        ("eucom", "watch-1", ("cancel",)),
    ],
)
def test_an_alert_is_shown_before_its_officer_acts_on_it(
    station: Station, side: str, name: str, words: tuple[str, ...]
) -> None:
    reference = station.alert(text={"en": DECEIT})
    station.until(lambda: station.alert_state("ndmc", reference) is not None)
    command = (words[0], str(station.config(side)), reference, *words[1:], *officer(station, side, name))

    code, shown = at_a_terminal(*command, "--lang", "en", typed="")

    assert code == 0
    assert shown[0].startswith(f"{reference}  alert: ")
    assert "  text, en      | Dam under fire." in shown
    assert re.fullmatch(rf"{side}/1/\d+", shown[-1])
    assert all(len(line) <= COLUMNS for line in shown)
