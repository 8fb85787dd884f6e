"""That nobody would hear an alarm is reported once to each link, if a console is expected, and so is its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from endpoints.journal.writer import JournalFailure
from endpoints.runtime.console_screens import CONSOLES_MAX, LAPSES_MS, MISSING_AFTER_MS, ConsoleCounts, ConsoleScreens
from protocol.core.events import ListenersBack, ListenersMissing
from protocol.phrases import phrase
from protocol.record.journal import decode
from tests.support.hand_turned import LINK, Machine

SILENT = ConsoleCounts(sessions=1, screens=2, armed=0)
ARMED = ConsoleCounts(sessions=1, screens=2, armed=1)


class Site:
    """A machine and the consoles that show it."""

    def __init__(self, machine: Machine, *, configured: bool) -> None:
        self.machine = machine
        self.real_ms = 0
        runners = {LINK: machine.runner}
        self.screens = ConsoleScreens(runners, machine.loop.queue, lambda: self.real_ms, configured=configured)
        self.look()

    def look(self, after_ms: int = 0) -> None:
        """Let real time pass, and compare."""
        self.real_ms += after_ms
        self.screens.compare()
        self.machine.turn()

    def told(self, counts: ConsoleCounts, console: str = "console-1", *, closing: bool = False) -> None:
        self.screens.told(console, counts, closing=closing)
        self.machine.turn()

    def keeps(self, counts: ConsoleCounts, ms: int) -> None:
        """Have a console say the same, again and again, for a while."""
        for _ in range(0, ms, 10_000):
            self.told(counts)
            self.look(10_000)

    @property
    def reported(self) -> list[str]:
        lines = [
            line for path in sorted(self.machine.folder.glob("*.jsonl")) for line in path.read_bytes().split(b"\n")
        ]
        entries = (decode(line).entry for line in lines if line.strip(b"\0"))
        return [type(each).__name__ for each in entries if isinstance(each, ListenersMissing | ListenersBack)]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path, "ndmc")
    yield machine
    machine.dies()


async def test_without_a_console_nobody_is_missed(machine: Machine) -> None:
    site = Site(machine, configured=False)
    for _ in range(3):
        site.look(MISSING_AFTER_MS)
    assert site.reported == []


async def test_a_configured_console_is_missed_from_the_start_on(machine: Machine) -> None:
    site = Site(machine, configured=True)
    site.look(MISSING_AFTER_MS - 1)
    assert site.reported == []
    for _ in range(3):
        site.look(1)
    assert site.reported == ["ListenersMissing"]
    site.told(SILENT)
    assert site.reported == ["ListenersMissing"]
    site.told(ARMED)
    site.told(ARMED)
    assert site.reported == ["ListenersMissing", "ListenersBack"]


async def test_a_console_that_cannot_sound_or_has_crashed_is_missed_after_a_while(machine: Machine) -> None:
    site = Site(machine, configured=False)
    site.keeps(ARMED, 2 * MISSING_AFTER_MS)
    site.keeps(SILENT, MISSING_AFTER_MS - 10_000)
    assert site.reported == []
    site.keeps(SILENT, 20_000)
    assert site.reported == ["ListenersMissing"]
    site.told(ARMED)
    site.look(LAPSES_MS)
    site.look(MISSING_AFTER_MS)
    assert site.reported == ["ListenersMissing", "ListenersBack", "ListenersMissing"]
    assert site.screens.counts == ConsoleCounts()


async def test_a_console_that_ends_in_order_is_missed_only_if_it_is_configured(machine: Machine) -> None:
    site = Site(machine, configured=False)
    site.keeps(SILENT, MISSING_AFTER_MS + 20_000)
    assert site.reported == ["ListenersMissing"]
    site.told(ConsoleCounts(), closing=True)
    assert site.reported == ["ListenersMissing", "ListenersBack"]


async def test_one_console_with_sound_is_enough(machine: Machine) -> None:
    site = Site(machine, configured=True)
    for _ in range(20):
        site.told(SILENT, "console-1")
        site.told(ARMED, "console-2")
        site.look(10_000)
    assert site.reported == []
    assert site.screens.counts == ConsoleCounts(sessions=2, screens=4, armed=1)


async def test_a_new_process_leaves_the_alarm_until_it_knows_better(machine: Machine) -> None:
    site = Site(machine, configured=True)
    site.look(MISSING_AFTER_MS)
    machine.dies()
    machine.up()
    site = Site(machine, configured=True)
    site.look(1)
    assert site.reported == ["ListenersMissing"]
    site.told(ARMED)
    assert site.reported == ["ListenersMissing", "ListenersBack"]


async def test_a_new_process_without_a_console_ends_the_alarm(machine: Machine) -> None:
    site = Site(machine, configured=True)
    site.look(MISSING_AFTER_MS)
    machine.dies()
    machine.up()
    assert Site(machine, configured=False).reported == ["ListenersMissing", "ListenersBack"]


async def test_invented_consoles_cost_a_bounded_memory(machine: Machine) -> None:
    site = Site(machine, configured=False)
    for number in range(10 * CONSOLES_MAX):
        site.told(ARMED, f"console-{number}")
    assert site.screens.counts.armed == CONSOLES_MAX


async def test_a_stopped_link_is_told_when_it_is_back(machine: Machine) -> None:
    site = Site(machine, configured=True)
    machine.runner.fail(machine.loop.now(), JournalFailure(phrase("the journal is closed")))
    site.look(MISSING_AFTER_MS)
    assert site.reported == []
