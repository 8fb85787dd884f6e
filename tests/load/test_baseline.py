import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from endpoints.errors import UserError
from load.baseline import FigureChange, changes, load_baseline
from load.histogram import Latencies
from load.integrity import Integrity
from load.measuring import LINK, Repeat
from load.plan import LoadPlan
from load.provenance import provenance
from load.summary import Summary, summarised

PLAN = LoadPlan(window=1)


def summary(folder: Path, each_ms: int, skeleton_ms: int = 1) -> Summary:
    def repeats(ms: int) -> list[Repeat]:
        return [Repeat(exchanges=100, begun=100, seconds=1, cpu_us={}, latencies=Latencies([ms * 1_000_000] * 100))]

    measured = {LINK: repeats(each_ms), "skeleton": repeats(skeleton_ms)}
    origin = provenance("deconflict load", 1, folder)
    return summarised(measured, Integrity(sent=100, received=100), {}, {}, PLAN, origin, flushed=True, complete=True)


def written(folder: Path, **changed: Any) -> Path:
    document = msgspec.to_builtins(summary(folder, 4))
    for dotted, value in changed.items():
        *above, last = dotted.split("__")
        place = document
        for name in above:
            place = place[name]
        place[last] = value
    path = folder / "summary.json"
    path.write_text(json.dumps(document))
    return path


def test_a_run_is_compared_with_an_earlier_one(tmp_path: Path) -> None:
    before = load_baseline(written(tmp_path), PLAN, tmp_path)
    found = {each.name: each for each in changes(before, summary(tmp_path, 5))}

    assert found["p50"].worse == pytest.approx(0.25, abs=0.01)
    assert found["p50"].ratio_worse == pytest.approx(0.25, abs=0.01)
    assert found["rate"].worse == 0
    assert found["p50"].regressed(0.1)
    assert not found["p50"].regressed(0.3)


def test_the_ratio_to_the_skeleton_decides_on_a_slower_day(tmp_path: Path) -> None:
    before = load_baseline(written(tmp_path), PLAN, tmp_path)
    found = {each.name: each for each in changes(before, summary(tmp_path, 8, skeleton_ms=2))}

    assert found["p50"].worse == pytest.approx(1, abs=0.01)
    assert not found["p50"].regressed(0.1)


def test_without_yardsticks_the_figure_itself_decides() -> None:
    assert FigureChange(name="p50", before=1, after=2, worse=1.0, ratio_worse=None).regressed(0.5)
    assert not FigureChange(name="p50", before=1, after=2, worse=0.2, ratio_worse=None).regressed(0.5)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"provenance__machine__cores": 96}, "of another machine: cores was 96"),
        ({"provenance__versions__python": "3.9.0"}, "of another version: python was 3.9.0"),
        ({"plan__window": 64}, "of another plan: window was 64 and is 1"),
    ],
)
def test_a_baseline_of_something_else_is_refused(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_baseline(written(tmp_path, **changed), PLAN, tmp_path)


def test_a_file_that_is_no_baseline_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(UserError, match=r"other.json: not the summary.json of a load test"):
        load_baseline(tmp_path / "other.json", PLAN, tmp_path)
    with pytest.raises(UserError, match="no such file"):
        load_baseline(tmp_path / "none.json", PLAN, tmp_path)
