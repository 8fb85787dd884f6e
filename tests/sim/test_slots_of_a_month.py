"""The ledger judges the slots of a journal as the core of its side did, whatever happened to the clocks."""

from __future__ import annotations

import pytest

from protocol.core.core import Core
from protocol.record.ledger import Ledger
from protocol.record.verification import Verification
from scenario.simulation.faults import draw
from scenario.simulation.simulate import quiet
from scenario.simulation.simulated_process import SimulatedProcess
from scenario.simulation.world import world


def ledger(process: SimulatedProcess) -> Ledger:
    """Return the ledger of a simulated journal."""
    found, verification = Ledger(), Verification()
    for first, data in sorted(process.disk.segments.items()):
        verification.begin_segment(first, str(first))
        for line in bytes(data).split(b"\n")[:-1]:
            record = verification.take(line)
            assert record is not None
            found.take(record)
    return found


@pytest.mark.parametrize("seed", [12, 24, 26, 27])
def test_slots_are_judged_as_the_watch_judged_them(seed: int) -> None:
    quiet()
    happening = world(draw(seed, 30))
    happening.run()
    for process in happening.processes.values():
        assert process.runner is not None
        core = process.runner.core
        assert isinstance(core, Core)
        judged = core.state.watch.slots
        found = ledger(process).slots.slots
        assert judged
        assert {instant: found[instant].state for instant in judged} == {
            instant: slot.state for instant, slot in judged.items()
        }
        tests = {instant: str(found[instant].met_by or "") for instant in judged}
        assert tests == {
            instant: slot.test if slot.state in {"met", "late"} else "" for instant, slot in judged.items()
        }
