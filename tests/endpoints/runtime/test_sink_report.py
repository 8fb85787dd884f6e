"""Each link learns once which sink fails, and once that it works again, also over a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from endpoints.journal.writer import JournalFailure
from endpoints.runtime.sink_report import SinkReport
from endpoints.runtime.work_queue import WorkQueue
from protocol.core.event_fields import SinkName
from protocol.core.events import SinkFailed, SinkReached
from protocol.phrases import phrase
from protocol.record.journal import decode
from tests.support.hand_turned import LINK, Machine


@pytest.fixture
def ndmc(tmp_path: Path) -> Iterator[Machine]:
    with structlog.testing.capture_logs():
        machine = Machine(tmp_path, "ndmc")
        yield machine
        machine.dies()


def reporting(machine: Machine, *named: SinkName) -> SinkReport:
    return SinkReport({LINK: machine.runner}, machine.loop.queue, named or ("log", "webhook"))


def told(machine: Machine) -> list[str]:
    lines = (line for path in sorted(machine.folder.glob("*.jsonl")) for line in path.read_bytes().splitlines())
    entries = (decode(line).entry for line in lines if line.strip(b"\0"))
    return [f"{type(each).__name__} {each.sink}" for each in entries if isinstance(each, SinkFailed | SinkReached)]


async def test_a_failure_is_told_once_and_its_end_once(ndmc: Machine) -> None:
    report = reporting(ndmc)
    for _ in range(3):
        report.failed("webhook", phrase("it answers {status}", status=500))
        ndmc.turn()
    report.failed("log", "a\nb" * 200)
    ndmc.turn()
    for _ in range(3):
        report.reached("webhook")
        ndmc.turn()
    assert told(ndmc) == ["SinkFailed webhook", "SinkFailed log", "SinkReached webhook"]


async def test_after_a_restart_the_first_success_ends_it(ndmc: Machine) -> None:
    reporting(ndmc).failed("webhook", "it answers 500")
    ndmc.turn()
    ndmc.dies()
    ndmc.up()
    report = reporting(ndmc)
    report.failed("webhook", "it answers 500")
    ndmc.turn()
    report.reached("webhook")
    ndmc.turn()
    assert told(ndmc) == ["SinkFailed webhook", "SinkReached webhook"]


async def test_a_sink_that_the_settings_do_not_name_any_more_fails_no_longer(ndmc: Machine) -> None:
    reporting(ndmc).failed("command", "its exit status is 1")
    ndmc.turn()
    reporting(ndmc, "log", "command").compare()
    ndmc.turn()
    assert told(ndmc) == ["SinkFailed command"]
    reporting(ndmc, "log").compare()
    ndmc.turn()
    assert told(ndmc) == ["SinkFailed command", "SinkReached command"]


async def test_a_link_that_was_opened_again_learns_it_at_the_next_comparison(ndmc: Machine) -> None:
    runners, queue = {LINK: ndmc.runner}, WorkQueue()
    report = SinkReport(runners, queue, ["webhook"])
    report.failed("webhook", "it answers 500")
    # its runner is replaced before the next turn
    assert len(queue.drain(9)) == 1
    ndmc.dies()
    ndmc.up()
    runners[LINK] = ndmc.runner
    for _ in range(2):
        report.compare()
        for item in queue.drain(9):
            ndmc.loop.queue.put(item)
        ndmc.turn()
    assert told(ndmc) == ["SinkFailed webhook"]


async def test_a_further_success_or_failure_causes_no_turn(ndmc: Machine) -> None:
    report = reporting(ndmc)
    report.reached("log")
    report.reached("log")
    assert len(ndmc.loop.queue) == 0
    report.failed("log", "full")
    report.failed("log", "full")
    assert len(ndmc.loop.queue) == 1
    ndmc.turn()
    report.failed("log", "full")
    report.compare()
    assert len(ndmc.loop.queue) == 0


async def test_a_link_that_has_stopped_is_not_reported_to(ndmc: Machine) -> None:
    report = reporting(ndmc)
    ndmc.runner.fail(ndmc.loop.now(), JournalFailure("the disk is full"))
    report.failed("log", "full")
    assert len(ndmc.loop.queue) == 0
