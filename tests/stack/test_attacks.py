"""The broker refuses from inside the network what it must: strangers, other identities and topics, other features."""

import pytest

from tests.stack.broker_attacks import ATTACKS, foreign, successes, tried
from tests.stack.compose import Compose

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


def test_the_broker_refuses_what_it_must(stack: Compose, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = stack.refused_frames("watch"), stack.refused_frames("eucom")
    outcomes = tried(stack, ATTACKS, foreign(tmp_path_factory.mktemp("foreign")))
    assert not successes(outcomes, "mosquitto")
    assert len(outcomes) == len(ATTACKS)
    # and nothing of it reached anybody
    assert (stack.refused_frames("watch"), stack.refused_frames("eucom")) == before
    assert not stack.alarms("eucom") & {"bad_frames", "identity_in_use"}
