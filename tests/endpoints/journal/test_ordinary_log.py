import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from endpoints.clocks.clock import SystemClock
from endpoints.journal import ordinary_log
from endpoints.journal.stdout_feed import StdoutFeed

Printed = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def printed() -> Iterator[Printed]:
    """Logging as a process has it; calling it ends the output and returns the lines."""
    read, write = os.pipe()
    output = StdoutFeed(write)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    ordinary_log.configure(output, SystemClock(), "eucom")
    output.start()

    def close() -> list[dict[str, Any]]:
        assert output.close(5)
        os.close(write)
        with os.fdopen(read, "rb") as file:
            return [json.loads(line) for line in file]

    yield close
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_an_ordinary_line_is_one_json_object_without_a_number(printed: Printed) -> None:
    log = structlog.get_logger()
    log.info("started", links=["eucom-ndmc"], n=7, path=Path("x"))
    log.debug("not shown")

    (line,) = printed()
    assert line.keys() == {"at", "level", "side", "event", "links", "path"}
    assert (line["level"], line["side"], line["event"], line["path"]) == ("info", "eucom", "started", "x")


def test_an_exception_is_one_line_too(printed: Printed) -> None:
    structlog.get_logger().critical("a bug", exc_info=ValueError("odd"))

    (line,) = printed()
    assert "ValueError: odd" in line["exception"]


def test_libraries_that_log_in_their_own_way_come_out_the_same(
    printed: Printed, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger("uvicorn.error").info("not shown")
    logging.getLogger("uvicorn.error").warning("a %s", "warning")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old habits", UserWarning, stacklevel=1)

    first, second = printed()
    assert (first["logger"], first["event"], first["level"]) == ("uvicorn.error", "a warning", "warning")
    assert "old habits" in second["event"]
    assert capsys.readouterr() == ("", "")


def test_a_complaint_that_repeats_is_printed_ten_times_a_minute() -> None:
    now = [0]
    repeats = ordinary_log.Repeats(lambda: now[0])

    def printed(event: str, level: str = "error", **fields: object) -> dict[str, object] | None:
        try:
            return dict(repeats(None, level, {"event": event, **fields}))
        except structlog.DropEvent:
            return None

    lines = [printed(f"socket {number} broke off\n  at {number}") for number in range(1_000)]
    kept = [line for line in lines if line is not None]
    assert len(kept) == ordinary_log.REPEATS_MAX
    assert "further" in kept[-1]
    assert "further" not in kept[0]
    # other complaints, other links, notifications and progress are not affected
    assert printed("something else")
    assert printed("socket 1 broke off", link="eucom-ndmc")
    assert all(printed("notification", "warning") for _ in range(50))
    assert all(printed("started", "info") for _ in range(50))
    now[0] += ordinary_log.WINDOW_MS
    again = printed("socket 7 broke off")
    assert again is not None
    assert again["dropped"] == 990
    assert "dropped" not in (printed("socket 8 broke off") or {})


def test_the_memory_of_complaints_is_bounded() -> None:
    repeats = ordinary_log.Repeats(lambda: 0)
    for number in range(10_000):
        repeats(None, "error", {"event": "refused", "link": f"link-{number}"})
    assert len(repeats._seen) <= 256
