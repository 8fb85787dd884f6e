"""`deconflict load` over endpoints that run already, and what it refuses before it sends anything."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from endpoints.config.toml_edit import editing
from endpoints.errors import UserError
from load.alerts import Template, template
from load.channel import Row
from load.driver import Load, Slice, Told
from load.measuring import LinkSubject
from load.plan import LoadPlan
from load.stack import LoadedLink, SliceOutcome
from tests.support.quick_officers import quicken
from tests.support.station import SIDES, Station


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        for side in SIDES:
            quicken(station.config(side))
        yield station


def options(station: Station, *more: str) -> list[str]:
    return ["load", *(str(station.config(side)) for side in SIDES), "--repeats", "1", *more]


@pytest.mark.integration
def test_a_running_stack_is_measured_and_nothing_stays_open(station: Station, tmp_path: Path) -> None:
    station.start(*SIDES)
    kept = station.alert()
    station.until(lambda: station.alert_state("ndmc", kept) == "received")
    alarms = {side: station.alarms(side) for side in SIDES}

    done = station.deconflict(
        *options(
            station, "--window", "4", "--duration", "1s", "--warmup", "0s", "--report", str(tmp_path / "r"), "--json"
        )
    )

    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["received"] == summary["sent"] > 1
    assert summary["ends"] == "written"
    assert summary["stages"] == {}
    assert {"eucom", "ndmc", "load"} == set(summary["cpu_us"])
    # an officer's alert is not touched
    states = {each["reference"]: each["state"] for each in station.snapshot("ndmc")["alerts"]}
    assert states.pop(kept) == "received"
    assert set(states.values()) == {"understood"}
    assert {side: station.alarms(side) for side in SIDES} == alarms
    station.settled()


@pytest.mark.integration
def test_a_stack_that_is_down_is_one_line(station: Station) -> None:
    for side in [each for each in SIDES if each in station.processes]:
        station.stop(side)

    done = station.deconflict(*options(station))

    assert done.returncode == 12
    assert "nobody answers on this control socket" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--links", "2"], "have 1 links in common, not 2"),
        (["--link", "other"], "have 0 links in common, not 1"),
        (["--at", "queue"], "--at queue: the queue of a running endpoint can't be reached"),
    ],
)
def test_what_two_endpoints_do_not_have_is_refused(station: Station, more: list[str], said: str) -> None:
    done = station.deconflict(*options(station, *more))

    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_one_endpoint_is_not_enough_and_twice_the_same_is_not_two(station: Station) -> None:
    one = str(station.config("eucom"))

    assert "name two endpoints" in station.deconflict("load", one).stderr
    assert "twice the same side" in station.deconflict("load", one, one).stderr


def test_a_link_of_status_actual_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Station.of(tmp_path_factory) as station:
        link_file = station.link_file()
        link_file.write_text(link_file.read_text().replace('status = "exercise"', 'status = "actual"'))
        for side in SIDES:
            with editing(station.config(side)) as document:
                del document["exercise_clock"]
        done = station.deconflict(*options(station))

    assert done.returncode == 2
    assert "its status is actual; a load test runs over exercise links alone" in done.stderr


def test_endpoints_that_page_somebody_are_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Station.of(tmp_path_factory) as station:
        with editing(station.config("ndmc")) as document:
            document["notifications"]["command"] = ["/bin/true"]
        done = station.deconflict(*options(station))

    assert done.returncode == 2
    assert "a load test would page somebody for every alert" in done.stderr


class MutePeer:
    """A stack whose receiver never receipts."""

    names = ("eucom", "ndmc")
    flushed = True
    slice_max = 100

    def __init__(self, link: LoadedLink) -> None:
        self.links: tuple[LoadedLink, ...] = (link,)
        self.pids: dict[str, int] = {}

    def template(self, run: str, size_bytes: int) -> Template:
        return template(run, self.links[0].file, "watch-1", size_bytes)

    async def exchange(self, load: Load, template: Template, first: int, told: Told) -> SliceOutcome:
        del load, template, first, told
        times = Slice(begins_ns=1, ends_ns=1, intended_ns=[1], finished_ns=[0])
        return SliceOutcome(times=times, seqs=[1], answered_ns=[1])

    def end_slice(self) -> None:
        """Do nothing."""

    async def acknowledge(self, told: Told) -> int:
        del told
        return 0

    async def rows(self) -> tuple[list[Row], list[Row]]:
        return [], []


async def test_a_peer_that_never_receipts_is_noticed_before_the_run(station: Station) -> None:
    stack = MutePeer(LoadedLink(file=station.files[0], journals=(station.folder, station.folder)))
    link = LinkSubject(stack, stack.template("0a1b2c3d", 1_213), lambda _: None)

    with pytest.raises(UserError, match="eucom: no receipt of ndmc within 20 s") as refused:
        await link.check()
    assert refused.value.exit_code == 1


class HangingPeer(MutePeer):
    """A stack whose receiver does not answer either."""

    async def acknowledge(self, told: Told) -> int:
        del told
        raise UserError("no answer in time")


async def test_a_receiver_that_hangs_ends_a_repeat_with_what_was_measured(station: Station) -> None:
    stack = HangingPeer(LoadedLink(file=station.files[0], journals=(station.folder, station.folder)))
    link = LinkSubject(stack, stack.template("0a1b2c3d", 1_213), lambda _: None)
    repeat = await link.measure(LoadPlan(window=1), 0, lambda _: None)

    assert link.stuck
    assert (repeat.begun, repeat.unfinished) == (1, 1)
