"""Alive, started and ready, with a line for each reason against it."""

from __future__ import annotations

from pathlib import Path

from endpoints.metrics.condition import STALLED_MS, LoopTurns, why_not_alive, why_not_ready, why_not_started
from endpoints.runtime.work_items import EventItem
from protocol.core.events import TransportLost
from tests.support.exchange import Service, link_file
from tests.support.hand_turned import BEGIN, LINK, Machine
from tests.support.world import World


def lines(machine: Machine) -> list[str]:
    return list(why_not_ready(LoopTurns(), 0, {LINK: machine.runner}))


def not_started(machine: Machine) -> list[str]:
    return list(why_not_started(LoopTurns(), 0, {LINK: machine.runner}))


async def test_a_process_is_alive_until_its_loop_has_not_turned_for_ten_seconds() -> None:
    turns = LoopTurns()
    turns.turned(5_000)
    assert list(why_not_alive(turns, 5_000 + STALLED_MS)) == []
    assert list(why_not_alive(turns, 17_500)) == ["the loop has not turned for 12 s"]
    for condition in (why_not_started, why_not_ready):
        assert list(condition(turns, 17_500, {})) == ["the loop has not turned for 12 s"]


async def test_a_link_has_started_once_the_broker_has_accepted_it(tmp_path: Path) -> None:
    service = Service("eucom", World(BEGIN), link_file(), tmp_path)
    service.open()
    conditions = list(why_not_started(LoopTurns(), 0, {LINK: service.runner}))
    assert conditions == [f"{LINK}: not connected to the broker since the start: not connected yet"]
    service.journal.let_go()


async def test_a_link_is_ready_while_it_is_connected_and_its_journal_can_be_written(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "eucom")
    machine.turn()
    assert lines(machine) == not_started(machine) == []

    why = "refused\x1b[2K\n eucom-ndmc: ready"
    machine.loop.queue.put(EventItem([machine.runner], lambda now: TransportLost(at=now.at, mono=now.mono, reason=why)))
    machine.turn()
    assert lines(machine) == [f"{LINK}: not connected to the broker: refused\\x1b[2K\\n eucom-ndmc: ready"]
    assert not_started(machine) == []

    machine.breaks()
    machine.asks()
    machine.turn()
    (line,) = lines(machine)
    assert line.startswith(f"{LINK}: stopped: journal_failure: ")
    assert not_started(machine) == [line]
    machine.dies()
