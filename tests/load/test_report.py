"""Reports in folders that take them, and in others; plots of little and of much."""

import errno
import os
from pathlib import Path

import pytest

from endpoints.errors import UserError
from endpoints.texts.i18n import LANGUAGES, translator
from load import plots
from load.histogram import Latencies, Percentiles
from load.measuring import LINK
from load.report import captions, written_to
from load.report_rows import by_second, worst_second_ms
from load.stages import BROKER, STAGES, Stage

MS = 1_000_000
SECOND = 1_000 * MS
PNG = b"\x89PNG"


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can't be written: No space left on device") as refused, written_to(tmp_path):
        raise OSError(errno.ENOSPC, "full")
    assert refused.value.exit_code == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_report_that_root_writes_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, 1_234, 1_235)
    report = tmp_path / "report"
    report.mkdir()
    with written_to(report):
        (report / "summary.json").touch()

    assert {(each.stat().st_uid, each.stat().st_gid) for each in (report, report / "summary.json")} == {(1_234, 1_235)}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "series",
    [
        [(0, 3 * MS)],
        [(number * 10 * MS, 3 * MS) for number in range(100)],
        [(0, 3 * MS), (SECOND, 30_000 * MS), (60 * SECOND, 3 * MS)],
    ],
    ids=["one exchange", "one second", "an outlier and a pause"],
)
def test_plots_are_drawn_of_little_too(series: list[tuple[int, int]], language: str) -> None:
    t = translator(language)
    latencies = Latencies(latency for _, latency in series)
    ms = Percentiles(p50=1, p90=1, p99=1, p999=1, max=1)
    stages = {name: Stage(mean=0.1, ms=ms) for name in (*STAGES, BROKER)}
    drawn = {
        "spectrum": plots.spectrum({LINK: latencies, "floor": Latencies()}, t),
        "over_time": plots.over_time(list(by_second(series)), t),
        "stages": plots.stacked({"1": stages, "1000": stages}, t, "--links"),
        "sweep": plots.against("size", [(1_213, 20.0, 3.0, 5.0)], None, t),
    }

    assert all(png.startswith(PNG) for png in drawn.values())
    assert captions(t).keys() == drawn.keys()


def test_the_worst_second_is_one_with_enough_exchanges() -> None:
    busy = [(number * 5 * MS, 3 * MS) for number in range(200)]

    assert worst_second_ms([*busy, (9 * SECOND, 900 * MS)]) == pytest.approx(3, rel=0.01)
    assert worst_second_ms([(0, 2 * MS), (SECOND, 900 * MS)]) == pytest.approx(900, rel=0.01)
    assert worst_second_ms([]) == 0
