from __future__ import annotations

from typing import Any

import msgspec
import pytest

from endpoints.cli.terminal_log import LINES_MAX, PERIOD_MS, TerminalLog
from endpoints.texts.i18n import translator
from protocol.core.alarms import Alarm, AlarmCode
from protocol.core.effects import AnyEffect, Apply, RaiseAlarm, RejectFrame
from protocol.core.events import BatchClosed
from protocol.record.journal import ORIGIN, encode
from protocol.wire.messages import Message
from tests.support.journal_samples import LINK, NOON, SIDE, closed

WHEN = "2022-11-29T08:00:00.000Z"


def lines_of(log: TerminalLog, *effects: AnyEffect, at: int = NOON) -> list[str]:
    line, _ = encode(1, LINK, SIDE, 1, BatchClosed(at=at, mono=1), effects, ORIGIN)
    return log.records(line + b"\n").decode().splitlines()


def log_in(language: str = "en", links: tuple[str, ...] = (LINK,)) -> TerminalLog:
    return TerminalLog(translator(language), SIDE, dict.fromkeys(links, 3))


def test_a_flood_of_one_kind_is_counted_and_hides_nothing_else() -> None:
    log = log_in()
    refused = RejectFrame(reason="bad_signature", detail="torn")
    alarm = Alarm(code=AlarmCode.FORK, severity="critical", subject="ndmc", raised_at=WHEN, detected_at=WHEN)
    lines = lines_of(log, *[refused] * 1_000, RaiseAlarm(alarm=alarm), *[refused] * 1_000)
    assert len(lines) == LINES_MAX + 1
    assert "(ndmc)" in lines[-1]
    assert log.rest().decode().splitlines() == [
        "2022-11-29 10:00:00 UTC  eucom     1980 more lines, the last one: a frame was refused: bad_signature torn"
    ]
    assert log.rest() == b""


@pytest.mark.parametrize("later", [PERIOD_MS, -PERIOD_MS])
def test_a_new_period_begins_with_what_the_last_one_left_out(later: int) -> None:
    log = log_in("ru")
    refused = RejectFrame(reason="bad_signature")
    lines_of(log, *[refused] * (LINES_MAX + 2))
    lines = lines_of(log, refused, at=NOON + later)
    assert [line.split("eucom     ")[1] for line in lines] == [
        "ещё 2 такие строки, последняя: кадр отклонён: bad_signature",
        "кадр отклонён: bad_signature",
    ]


def test_kinds_that_the_peer_invents_are_one_kind() -> None:
    log = log_in()
    songs = [Apply(sender="ndmc", message=Message(n, ORIGIN, WHEN, {"type": f"song{n}"})) for n in range(1, 100)]
    lines = lines_of(log, *songs)
    assert len(lines) == LINES_MAX
    assert "ndmc/3/1:" in lines[0]


def test_with_several_links_each_line_names_its_own() -> None:
    log = log_in(links=(LINK, "other"))
    (line,) = lines_of(log, RejectFrame(reason="bad_signature"))
    assert line.startswith("2022-11-29 10:00:00 UTC  eucom-ndmc  eucom     ")


def test_with_links_of_both_statuses_each_line_says_which_it_is() -> None:
    log = TerminalLog(translator("en"), SIDE, {LINK: 3, "other": 3}, {LINK: "actual", "other": "exercise"})
    (line,) = lines_of(log, RejectFrame(reason="bad_signature"))
    assert line.startswith("2022-11-29 10:00:00 UTC  eucom-ndmc (ACTUAL)  eucom     ")


@pytest.mark.parametrize(
    ("fields", "language", "words"),
    [
        ({"event": "stopping"}, "ru", "остановка по порядку"),
        ({"event": "link stopped", "link": LINK, "why": "disk"}, "en", "link stopped: disk (link: eucom-ndmc)"),
        ({"event": "notification", "text": "a\nb", "id": "7"}, "en", r"notification: a\nb"),
        ({"event": "of a library", "logger": "x", "odd": ["1", "2"]}, "en", "of a library (logger: x, odd: 1, 2)"),
    ],
)
def test_ordinary_lines_are_put_into_words(fields: dict[str, Any], language: str, words: str) -> None:
    line = msgspec.json.encode({"at": WHEN, "level": "info", "side": SIDE} | fields)
    assert log_in(language).line(line).decode() == f"2022-11-29 08:00:00 UTC  eucom     {words}\n"


def test_a_traceback_stands_behind_a_bar() -> None:
    said = {"at": WHEN, "level": "critical", "event": "a bug of ours ends this process", "exception": "Traceback\n  f"}
    lines = log_in().line(msgspec.json.encode(said)).decode().splitlines()
    assert [line[35:] for line in lines] == ["a bug of ours ends this process", "| Traceback", "|   f"]


def test_a_line_that_is_no_record_is_left_out() -> None:
    log = log_in()
    line, _ = encode(1, LINK, SIDE, 1, closed(0)[0][0], (), ORIGIN)
    assert log.records(b"rubbish\n" + line + b"\n").decode().splitlines() == [
        "2022-11-29 10:00:00 UTC  eucom     journal closed"
    ]


def test_what_a_record_tells_is_not_told_again_by_an_ordinary_line() -> None:
    assert log_in().line(b'{"level":"info","side":"eucom","event":"connected to the broker"}') == b""
