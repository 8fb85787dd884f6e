"""`deconflict load` as a process, over a stack of its own: what it counts, how it ends, and that nothing is left.

The figures are not looked at: no test asserts a time.
"""

import json
import signal
from pathlib import Path

import pytest

from broker.errors import BrokerError
from broker.local import find
from tests.load.loading import WITHIN_S, nothing_left, running_in, sender_journal, started, until

pytestmark = pytest.mark.integration


@pytest.fixture
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty folder with a short path, as control sockets need one."""
    try:
        find()
    except BrokerError as error:
        pytest.skip(str(error))
    return tmp_path_factory.mktemp("w")


@pytest.mark.parametrize("at", ["control", "queue"])
def test_every_alert_arrives_once_and_the_report_is_written(work: Path, tmp_path: Path, at: str) -> None:
    report = tmp_path / "report"
    options = ["--rate", "10", "--duration", "1s", "--warmup", "1s", "--repeats", "2", "--links", "2"]
    process = started(work, *options, "--at", at, "--no-yardsticks", "--report", str(report), "--json")
    out, err = process.communicate(timeout=WITHIN_S)

    assert process.returncode == 0, err
    summary = json.loads(out)
    # the one that is tried first is not measured
    assert (summary["sent"], summary["exchanges"]) == (41, 20)
    assert summary["received"] == summary["sent"]
    assert [summary[what] for what in ("lost", "doubled", "reordered", "refused", "unreceipted")] == [0] * 5
    assert set(summary["cpu_us"]) == {"eucom", "ndmc", "broker", "load"}
    assert set(summary["memory_mib"]) == {"eucom", "ndmc", "broker"}
    assert list(summary["stages"])[:2] == ["request", "sign"]
    assert summary["complete"]
    assert json.loads((report / "summary.json").read_text()) == summary
    assert {"summary.json", "series.csv", "link.hgrm"} <= {each.name for each in report.iterdir()}
    nothing_left(work)


def test_the_link_is_compared_with_every_yardstick(work: Path) -> None:
    options = ["--at", "queue", "--window", "8", "--duration", "1s", "--warmup", "0s", "--repeats", "1", "--json"]
    process = started(work, *options)
    out, err = process.communicate(timeout=WITHIN_S)

    assert process.returncode == 0, err
    summary = json.loads(out)
    assert list(summary["yardsticks"]) == ["floor", "paho", "aiomqtt", "skeleton"]
    for name, found in summary["yardsticks"].items():
        assert len(found["repeats"]) == 1
        assert set(summary["ratio"][name]) == {"p50", "p90", "p99", "p999", "max", "rate"}
    assert isinstance(summary["skeleton"]["counts"], bool)
    assert summary["received"] == summary["sent"]
    nothing_left(work)


def test_an_interrupt_ends_the_run_in_order_with_what_was_measured(work: Path) -> None:
    process = started(work, "--window", "4", "--duration", "10m", "--warmup", "0s", "--no-yardsticks", "--json")
    # the first receipt is of the exchange that is tried before the run
    until(lambda: b'"effect":"Settle","upto":3' in sender_journal(work))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WITHIN_S)

    assert process.returncode == 130, err
    summary = json.loads(out)
    assert not summary["complete"]
    assert summary["received"] == summary["sent"] > 1
    assert summary["unreceipted"] == summary["lost"] == 0
    nothing_left(work)


def test_an_interrupted_sweep_reports_the_steps_that_were_measured(work: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    options = ["--sweep", "links", "--window", "1", "--duration", "1s", "--warmup", "0s", "--repeats", "1"]
    process = started(work, *options, "--report", str(report), "--json")
    # the stack of the second step, with two links
    until(lambda: len({path.parent.name for path in work.glob("dc-load-*/d/eucom/journal/*/*.jsonl")}) > 1)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=WITHIN_S)

    assert process.returncode == 130, err
    found = json.loads(out)
    assert not found["complete"]
    assert [step["value"] for step in found["steps"]][:1] == [1]
    assert json.loads((report / "sweep.json").read_text()) == found
    nothing_left(work)


def test_a_missed_goal_has_its_exit_code(work: Path) -> None:
    options = ["--rate", "5", "--duration", "1s", "--warmup", "0s", "--repeats", "1", "--no-yardsticks"]
    process = started(work, *options, "--slo", "rate>4000", "--slo", "max<9999s")
    out, err = process.communicate(timeout=WITHIN_S)

    assert process.returncode == 7, err
    assert "goal rate>4000:" in out
    assert out.count("MISSED") == out.count(", met") == 1


def test_a_killed_load_test_leaves_no_process_behind(work: Path) -> None:
    process = started(work, "--window", "1", "--duration", "10m", "--no-yardsticks")
    until(lambda: b'"effect":"Settle","upto":1' in sender_journal(work))
    process.kill()
    process.communicate(timeout=WITHIN_S)

    until(lambda: not running_in(work))
