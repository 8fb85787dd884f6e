"""Journals of simulated worlds: every fault that a seed can draw, and no disagreement that nobody has caused."""

from __future__ import annotations

import pytest

from protocol.record.evidence import Evidence
from protocol.record.journal import Chain
from protocol.record.reconcile import reconcile
from scenario.simulation.faults import draw
from scenario.simulation.simulate import quiet
from scenario.simulation.world import world

DAYS = 5
CAUSES = {"two_faced", "journal_restored"}
"""Faults after which journals rightly disagree: two versions of one message; an older copy in a journal's place."""


@pytest.mark.parametrize("seed", [3, 5, 8, 12, 19, 38])
def test_journals_disagree_only_where_somebody_has_caused_it(seed: int) -> None:
    quiet()
    faults = draw(seed, DAYS)
    made = world(faults)
    made.run()
    journals = []
    for process in made.processes.values():
        chain, evidence = Chain(), Evidence()
        for line in process.disk.lines():
            evidence.take(chain.take(line))
        journals.append(evidence)
    found = reconcile(*journals)
    assert found.agree != bool(CAUSES & {fault.kind for fault in faults.faults})
    assert not found.impossible
    assert found.messages
