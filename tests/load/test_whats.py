"""`deconflict load --what ...`: each measurement ends, with its figures. No test looks at how large they are."""

import json
from pathlib import Path

import pytest

from broker.errors import BrokerError
from broker.local import find
from tests.load.loading import WITHIN_S, nothing_left, started

pytestmark = pytest.mark.integration

FIGURES = {
    "replay": {"records", "command_s", "command_records_per_s", "core_records_per_s"},
    "backlog": {"messages", "after_connecting_s", "after_starting_s", "memory_eucom_mib", "memory_ndmc_mib"},
    "control": {"answer_p50_with_1_ms", "requests_with_1_per_s", "requests_with_32_per_s"},
}

OPTIONS = {"replay": ["--count", "40"], "backlog": ["--count", "40"], "control": ["--duration", "1s"]}


@pytest.mark.parametrize("what", ["replay", "backlog", "control"])
def test_it_is_measured(what: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    try:
        find()
    except BrokerError as error:
        pytest.skip(str(error))
    work: Path = tmp_path_factory.mktemp("w")
    process = started(work, "--what", what, *OPTIONS[what], "--json")
    out, err = process.communicate(timeout=WITHIN_S)

    assert process.returncode == 0, err
    measured = json.loads(out)
    assert measured["what"] == what
    assert set(measured["figures"]) >= FIGURES[what]
    assert all(value >= 0 for value in measured["figures"].values())
    nothing_left(work)
