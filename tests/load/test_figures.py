import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoints.clocks.clock import SystemClock
from endpoints.config import default_terms
from endpoints.config.link_file import LinkFile
from load.alerts import Template, template
from load.channel import Applied, BrokerTook, Receipted, Row, Sealed
from load.driver import Driver, Load, Told
from load.histogram import HIGHEST_NS, LOWEST_NS, Latencies
from load.integrity import Integrity, Sent, compared
from load.measuring import LinkSubject, Repeat
from load.plan import LoadPlan
from load.report_rows import by_second
from load.stack import LoadedLink, SliceOutcome
from load.stages import BROKER, STAGES, MeasuredExchange, StageTimes
from load.summary import figures, ratios

VALUES_NS = st.lists(st.integers(1_000 * LOWEST_NS, HIGHEST_NS // 2), min_size=1, max_size=200)


@given(VALUES_NS, VALUES_NS)
def test_merged_histograms_are_the_histogram_of_all_values(one: list[int], other: list[int]) -> None:
    merged, whole = Latencies.merged([Latencies(one), Latencies(other)]), Latencies([*one, *other])

    assert merged.count == len(one) + len(other)
    assert merged.percentiles() == whole.percentiles()
    assert whole.ms(100) == pytest.approx(max([*one, *other]) / 1e6, rel=0.002)


def test_a_histogram_writes_its_distribution(tmp_path: Path) -> None:
    path = tmp_path / "link.hgrm"
    Latencies([2_000_000] * 9 + [9_000_000]).write_hgrm(path)

    text = path.read_text()
    assert "Percentile" in text
    assert "#[Max     =" in text


def test_nothing_measured_is_no_error() -> None:
    assert Latencies().percentiles().p50 == 0
    assert Latencies().spectrum() == []


@pytest.mark.parametrize(
    ("received", "found"),
    [
        ([(1, False), (2, False), (3, False)], Integrity(sent=3, received=3)),
        ([(1, False), (3, False)], Integrity(sent=3, received=2, lost=1)),
        ([(1, False), (2, False), (2, False), (3, False)], Integrity(sent=3, received=3, doubled=1)),
        ([(1, False), (3, False), (2, False)], Integrity(sent=3, received=3, reordered=1)),
        ([(1, False), (2, True), (3, False)], Integrity(sent=3, received=3, refused=1)),
    ],
)
def test_what_the_journals_say_is_counted(received: list[tuple[int, bool]], found: Integrity) -> None:
    counted = compared(Sent([1, 2, 3], receipted=3), received)

    assert counted == found
    assert counted.whole == (found == Integrity(sent=3, received=3))


def test_a_message_without_a_receipt_is_counted_and_not_lost() -> None:
    assert compared(Sent([1, 2], receipted=1), [(1, False), (2, False)]) == Integrity(sent=2, received=2, unreceipted=1)
    assert compared(Sent([1, 2], receipted=1), [(1, False)]) == Integrity(sent=2, received=1, unreceipted=1)


def test_stages_add_up_to_the_latency() -> None:
    sent = [Sealed("l", 5, 6, 1_100, 1_200, 1_300, 1_400), BrokerTook("l", 5, 6, 1_450, 1_700)]
    received = [Applied("l", 5, 6, 1_500, 1_550, 1_600, 1_700, 1_800)]
    done = Receipted("l", 6, 1_900, 1_950, 2_000)
    ms = 1_000_000

    def scaled(row: object) -> object:
        values = [getattr(row, name) for name in row.__struct_fields__]  # type: ignore[attr-defined]
        return type(row)(*(value * ms if isinstance(value, int) and value > 1_000 else value for value in values))

    times = StageTimes()
    times.take(
        [MeasuredExchange("l", 5, 1_000 * ms), MeasuredExchange("l", 7, 1_000 * ms)],
        [scaled(each) for each in (*sent, done)],  # type: ignore[misc]
        [scaled(each) for each in received],  # type: ignore[misc]
    )
    found = times.document()

    assert sum(found[name].mean for name in STAGES) == pytest.approx(1_000, rel=0.005)
    assert found[BROKER].mean == pytest.approx(250, rel=0.005)


def test_ratios_are_the_medians_of_paired_repeats() -> None:
    def repeats(*each_ms: int) -> list[Repeat]:
        return [
            Repeat(
                exchanges=1,
                begun=1,
                seconds=1,
                cpu_us={"eucom": 80},
                latencies=Latencies([ms * 1_000_000]),
            )
            for ms in each_ms
        ]

    link, floor = figures(repeats(10, 40, 30)), figures(repeats(5, 10, 10))

    assert ratios(link, floor)["p50"] == pytest.approx(3, rel=0.01)
    assert ratios(link, floor)["rate"] == 1
    assert link.cpu_us == {"eucom": 80}
    assert link.median_ms.p50 == pytest.approx(30, rel=0.01)


def test_the_series_has_a_row_for_each_second_with_exchanges() -> None:
    second = 1_000_000_000
    rows = list(by_second([(5 * second, 2_000_000), (5 * second + 1, 4_000_000), (8 * second, 1_000_000)]))

    assert [(row.second, row.exchanges) for row in rows] == [(0, 2), (3, 1)]


class InstantStack:
    """A stack whose exchanges finish at once, in slices of ten."""

    names = ("eucom", "ndmc")
    links: tuple[LoadedLink, ...] = (
        LoadedLink(file=LinkFile(terms=default_terms.terms(), parties={}), journals=(Path(), Path())),
    )
    flushed = True
    slice_max = 10

    def __init__(self) -> None:
        self.pids: dict[str, int] = {}
        self.acts: list[str] = []

    def template(self, run: str, size_bytes: int) -> Template:
        return template(run, self.links[0].file, "watch-1", size_bytes)

    async def exchange(self, load: Load, template: Template, first: int, told: Told) -> SliceOutcome:
        del template
        clock_ns = SystemClock().precise_ns

        def begin(number: int) -> None:
            asyncio.get_running_loop().call_soon(driver.finished, number, clock_ns())

        driver = Driver(load, begin, clock_ns, told)
        times = await driver.run()
        count = len(times.intended_ns)
        self.acts.append(f"{count} from {first}")
        return SliceOutcome(times=times, seqs=[first + 1 + number for number in range(count)], answered_ns=[0] * count)

    def end_slice(self) -> None:
        """Do nothing."""

    async def acknowledge(self, told: Told) -> int:
        del told
        self.acts.append("acknowledged")
        return 0

    async def rows(self) -> tuple[list[Row], list[Row]]:
        return [], []


async def test_a_repeat_is_cut_into_slices_with_acknowledgements_between_them() -> None:
    stack = InstantStack()
    link = LinkSubject(stack, stack.template("0a1b2c3d", 1_213), lambda _: None)
    repeat = await link.measure(LoadPlan(rate=25, duration_s=1, warmup_s=0), 0, lambda _: None)

    assert stack.acts == ["10 from 0", "acknowledged", "10 from 10", "acknowledged", "5 from 20", "acknowledged"]
    assert repeat.exchanges == repeat.begun == len(link.series) == 25
    # the schedule decides, not when the last exchange began
    assert repeat.seconds >= 1


async def test_the_closed_model_continues_after_a_slice_until_its_time_is_over() -> None:
    stack = InstantStack()
    telling: list[int] = []

    def stop_later(_: int) -> None:
        telling.append(1)
        if len(telling) == 5:
            link.stop()

    link = LinkSubject(stack, stack.template("0a1b2c3d", 1_213), stop_later)
    repeat = await link.measure(LoadPlan(window=2, duration_s=60, warmup_s=0), 0, lambda _: None)

    assert stack.acts.count("acknowledged") == 5
    assert repeat.begun == 50
