"""Readings are shared, kept for a moment, made in steps, and follow links that stop or are replaced."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from endpoints.clocks.clock import SystemClock
from endpoints.metrics import reading
from endpoints.metrics.condition import LoopTurns
from endpoints.metrics.counters import LinkCounters
from endpoints.metrics.families import FAMILIES
from endpoints.metrics.reading import MetricsReading
from endpoints.runtime.console_screens import ConsoleCounts
from endpoints.runtime.link_runner import AnyRunner
from endpoints.runtime.work_queue import WorkQueue
from tests.support.hand_turned import Machine

OF = {"eucom": "sent", "ndmc": "received"}


class Read:
    """Readings of machines, each under a name of its own."""

    def __init__(self, machines: dict[str, Machine]) -> None:
        self.runners: dict[str, AnyRunner] = {name: machine.runner for name, machine in machines.items()}
        self.counters = {name: LinkCounters(OF) for name in machines}
        self.reading = MetricsReading(
            kind="endpoint",
            runners=self.runners,
            queue=WorkQueue(),
            clock=SystemClock(),
            machine=SystemClock(),
            turns=LoopTurns(),
            directions=dict.fromkeys(machines, OF),
            counters=self.counters,
            purposes=dict.fromkeys(machines, "actual"),
            certificate_ends=lambda: {"own": 1_700_000_000_000},
            screens=lambda: ConsoleCounts(sessions=3, screens=5, armed=2),
        )

    async def values(self) -> dict[tuple[str, str], float]:
        """Return the values of the series without labels but `link` and `kind`, by name and these."""
        text = (await self.reading.text()).decode()
        return {
            (sample.name, "".join(sample.labels.get(name, "") for name in ("link", "kind"))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.labels.keys() <= {"link", "kind"}
        }


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep no text."""
    monkeypatch.setattr(reading, "KEPT_MS", 0)
    monkeypatch.setattr(reading, "REST", 0)


async def test_each_family_stands_once_with_the_samples_of_every_link(tmp_path: Path) -> None:
    read = Read({name: Machine(tmp_path / name, "eucom") for name in ("a", "b")})
    text = await read.reading.text()
    for family in FAMILIES:
        assert text.count(b"# TYPE " + family.name.encode() + b" ") == 1, family.name
    values = await read.values()
    assert values["deconflict_link_running", "a"] == values["deconflict_link_running", "b"] == 1
    assert values["deconflict_certificate_end_timestamp_seconds", "own"] == 1.7e9
    assert values["deconflict_certificate_end_timestamp_seconds", "broker"] == 0
    assert values["deconflict_process_open_fds", ""] > 0


async def test_simultaneous_scrapes_share_a_reading_and_the_next_has_the_same_text(tmp_path: Path) -> None:
    read = Read({"a": Machine(tmp_path, "eucom")})
    first, second = await asyncio.gather(read.reading.text(), read.reading.text())
    assert first is second
    read.reading.dropped("unread")
    assert await read.reading.text() is first


@pytest.mark.usefixtures("at_once")
async def test_a_scraper_that_leaves_ends_the_reading_of_nobody_else(tmp_path: Path) -> None:
    read = Read({"a": Machine(tmp_path, "eucom")})
    leaving = asyncio.create_task(read.reading.text())
    staying = asyncio.create_task(read.reading.text())
    await asyncio.sleep(0)
    leaving.cancel()
    assert b"deconflict_link_running" in await staying


@pytest.mark.usefixtures("at_once")
async def test_everything_else_has_its_turn_while_many_links_are_read(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "eucom")
    read = Read({f"link-{number}": machine for number in range(64)})
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    running = asyncio.create_task(others())
    await read.reading.text()
    running.cancel()
    assert turns > 10


@pytest.mark.usefixtures("at_once")
async def test_what_changes_is_written_anew_and_a_link_that_stops_or_comes_back_too(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "a", "eucom")
    read = Read({"a": machine})
    assert (await read.values())["deconflict_outbox_messages", "a"] == 0

    machine.asks()
    machine.turn()
    read.counters["a"].journal_grew(77)
    values = await read.values()
    assert values["deconflict_outbox_messages", "a"] == 1
    assert values["deconflict_journal_bytes", "a"] == 77

    machine.breaks()
    machine.asks("request-2")
    machine.turn()
    assert (await read.values())["deconflict_link_running", "a"] == 0
    assert (await read.values())["deconflict_ready", ""] == 0
    machine.dies()

    read.runners["a"] = Machine(tmp_path / "b", "eucom").runner
    values = await read.values()
    assert values["deconflict_link_running", "a"] == 1
    assert values["deconflict_outbox_messages", "a"] == 0


async def test_it_says_what_consoles_show(tmp_path: Path) -> None:
    eucom = Machine(tmp_path, "eucom")
    found = await Read({"eucom": eucom}).values()
    names = ("console_sessions", "console_screens", "console_armed")
    assert [found[f"deconflict_{name}", ""] for name in names] == [3, 5, 2]
    eucom.dies()
