"""Replays: a link at an instant of its past, as its journal alone has it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from endpoints.console import rewinding
from endpoints.console.condition import Condition
from endpoints.console.facts import Facts
from endpoints.console.frame import frame_of
from endpoints.console.replays import OUTPUT_MAX_BYTES, Replays
from endpoints.console.rewinding import rewind
from endpoints.console.screens import SCREENS, replay
from endpoints.errors import UserError
from endpoints.journal.archived_segment import pack
from endpoints.journal.batch_reader import BatchReader
from endpoints.journal.segments import archived_path, segments
from endpoints.texts.i18n import translator
from protocol.core.events import Stopped, TransportLost
from protocol.record.journal import Record
from protocol.record.replay import at_end
from protocol.wire.instants import Millis, written
from tests.support.console_facts import facts_of
from tests.support.exchange import Exchange
from tests.support.small_day import begun
from tests.support.world import HOUR, MINUTE, SECOND

EN, RU = translator("en"), translator("ru")
LINK, SIDE = "eucom-ndmc", "eucom"


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    exchange = begun(tmp_path)
    yield exchange
    exchange.stop()


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """Return the folder of a journal of several segments."""
    exchange = begun(tmp_path, segment_bytes=1 << 14)
    for _ in range(20):
        exchange.run(MINUTE)
        exchange.acknowledge(exchange.delivered(SIDE))
        exchange.settle()
    exchange.stop()
    return tmp_path / SIDE


def records_of(folder: Path) -> list[Record]:
    return [record for batch in BatchReader(folder).batches() for record in batch]


def trouble(folder: Path, at: Millis) -> str:
    with pytest.raises(UserError) as found:
        rewind(folder, LINK, SIDE, at)
    return str(found.value)


async def replayed(facts: Facts, at: Millis) -> Facts:
    """Return the present facts with those of an instant, made by the real program."""
    return await Replays().at(facts, at)


# --- the fold -----------------------------------------------------------------------------------------------------


def test_each_instant_has_the_state_of_the_fold_up_to_it(day: Path) -> None:
    """From the nearest checkpoint, the state is that of the whole journal up to the instant."""
    assert len(segments(day)) > 3
    records = records_of(day)
    times = sorted({each.entry.at for each in records})
    for at in times[5 :: max(1, len(times) // 25)]:
        first_later = next((i for i, each in enumerate(records) if each.entry.at > at), len(records))
        whole = at_end(records[:first_later])
        found = rewind(day, LINK, SIDE, at)
        assert (found.record, found.hash) == (records[first_later - 1].n, records[first_later - 1].hash)
        assert found.snapshot == whole.snapshot()
        assert found.later == (first_later < len(records))


def test_no_more_than_the_segment_and_the_next_work_are_read(day: Path) -> None:
    """Damage far from the instant prevents nothing: only a bounded part of a long journal is read."""
    paths = segments(day)
    middle = rewinding.begin_of(paths[len(paths) // 2])
    assert middle is not None
    before = rewind(day, LINK, SIDE, middle)
    for path in (paths[0], paths[-1]):
        path.write_bytes(path.read_bytes().replace(b'"batch"', b'"bitch"', 2))
    assert rewind(day, LINK, SIDE, middle) == before


def test_instants_outside_of_the_journal_get_one_sentence(day: Path, tmp_path: Path) -> None:
    first = records_of(day)[0].entry.at
    begins = written(first)[:19].replace("T", " ")
    assert trouble(day, first - 1) == f"the journal begins only at {begins} UTC"
    assert trouble(day, 0) == f"the journal begins only at {begins} UTC"
    assert "can't be read: No such file" in trouble(tmp_path / "none", first)
    (tmp_path / "empty").mkdir()
    assert "has no record yet" in trouble(tmp_path / "empty", first)


def test_archived_segments_are_read(day: Path) -> None:
    times = sorted({each.entry.at for each in records_of(day)})[3::20]
    before = [rewind(day, LINK, SIDE, at) for at in times]
    for path in segments(day)[:-1]:
        with archived_path(path).open("wb") as target:
            pack([path.read_bytes().rstrip(b"\0")], target)
        path.unlink()
    assert [rewind(day, LINK, SIDE, at) for at in times] == before
    # one that is damaged is named
    packed = segments(day)[1]
    begins = rewinding.begin_of(packed)
    assert begins is not None
    whole = packed.read_bytes()
    packed.write_bytes(whole[: len(whole) // 2])
    assert "this archive is cut" in trouble(day, begins)
    assert rewind(day, LINK, SIDE, times[-1]) == before[-1]


def test_a_stretch_that_is_not_here_any_more_is_named(day: Path) -> None:
    paths = segments(day)
    paths[0].unlink()
    paths[1].unlink()
    assert "with record " in trouble(day, records_of(day)[0].entry.at - 1)
    assert "older ones are not here" in trouble(day, 0)


def test_a_missing_stretch_in_the_middle_is_named(day: Path) -> None:
    paths = segments(day)
    lost = rewinding.begin_of(paths[2])
    assert lost is not None
    paths[2].unlink()
    said = trouble(day, lost + 1)
    assert "its last intact record before it is" in said
    assert "are missing" in said


def test_a_damaged_stretch_is_named(day: Path) -> None:
    path = segments(day)[1]
    lines = path.read_bytes().split(b"\n")
    at = records_of(day)[-1].entry.at
    middle = len(lines) // 2
    begins = rewinding.begin_of(path)
    assert begins is not None
    lines[middle] = lines[middle].replace(b'"at":"2', b'"at":"3', 1)
    path.write_bytes(b"\n".join(lines))
    after = rewinding.begin_of(segments(day)[2])
    assert after is not None
    assert "something in it was changed" in trouble(day, after - 1)
    assert rewind(day, LINK, SIDE, begins).later
    assert rewind(day, LINK, SIDE, at)


def test_a_journal_of_another_side_is_refused(day: Path) -> None:
    with pytest.raises(UserError, match=r"this is a journal of eucom on eucom-ndmc$"):
        rewind(day, LINK, "ndmc", records_of(day)[-1].entry.at)


# --- absences -----------------------------------------------------------------------------------------------------


def test_an_instant_within_an_absence_is_not_one_of_a_working_service(exchange: Exchange, tmp_path: Path) -> None:
    end = exchange.ends[SIDE]
    exchange.run(5 * MINUTE)
    end.crash()
    down = exchange.world.at
    exchange.run(10 * MINUTE)
    end.restart()
    exchange.settle()
    found = rewind(tmp_path / SIDE, LINK, SIDE, down + 5 * MINUTE)
    assert found.absence is not None
    assert found.absence.detail == "not_running"
    assert found.later
    assert rewind(tmp_path / SIDE, LINK, SIDE, exchange.world.at).absence is None


def test_a_service_that_has_stopped_is_not_at_work(exchange: Exchange, tmp_path: Path) -> None:
    exchange.run(5 * MINUTE)
    exchange.ends[SIDE].stop()
    stopped = exchange.world.at
    assert any(isinstance(each.entry, Stopped) for each in records_of(tmp_path / SIDE))
    assert rewind(tmp_path / SIDE, LINK, SIDE, stopped + HOUR).stopped == written(stopped)
    assert rewind(tmp_path / SIDE, LINK, SIDE, stopped - MINUTE).stopped is None


# --- the facts of a past instant ----------------------------------------------------------------------------------


async def test_what_the_journal_does_not_have_is_not_known(exchange: Exchange) -> None:
    exchange.run(5 * MINUTE)
    facts = await facts_of(exchange)
    assert facts.broker == "connected"
    past = (await replayed(facts, exchange.world.at - MINUTE)).replayed
    assert past is not None
    then = past.then
    assert then is not None
    assert then.status is not None
    assert (then.condition.state, then.broker, then.status.peer, then.watch) == ("replayed", "unknown", "unknown", None)
    assert then.status.state != "fine"
    shown = replay.view(structs.replace(facts, replayed=past), {}, EN).board
    assert shown is not None
    broker = shown.outgoing[0]
    assert (broker.level, broker.text) == ("unknown", "broker: unknown; last recorded: connected")
    assert shown.outgoing[-1].level == "unknown"
    assert shown.incoming[0].level == "unknown"
    assert {each.level for each in shown.watch} == {"unknown"}


async def test_a_recorded_loss_of_the_broker_is_known(exchange: Exchange) -> None:
    exchange.ends[SIDE].happens(TransportLost, reason="обрыв")
    exchange.settle()
    exchange.run(MINUTE)
    facts = await replayed(await facts_of(exchange), exchange.world.at - 30 * SECOND)
    assert facts.replayed is not None
    then = facts.replayed.then
    assert then is not None
    assert (then.condition.state, then.broker) == ("broker_gone", "disconnected")
    frame = frame_of(facts, replay.SCREEN, SCREENS, [LINK], EN)
    assert [each.name for each in frame.banners] == ["broker_gone"]


async def test_the_frame_of_the_past_says_that_it_is_not_now_and_never_fine(exchange: Exchange) -> None:
    exchange.run(5 * MINUTE)
    present = await facts_of(exchange)
    facts = await replayed(present, exchange.world.at - MINUTE)
    time = EN.time(exchange.world.at - MINUTE, "UTC")
    frame = frame_of(facts, replay.SCREEN, SCREENS, [LINK], EN)
    assert frame.replay == f"REPLAY {time} — not now · ПОВТОР {time} — не сейчас"
    assert frame.word == f"EXERCISE · УЧЕНИЕ · {frame.replay}"
    assert frame.title_prefix == f"[EX] REPLAY {time} — not now ·"
    assert frame_of(facts, replay.SCREEN, SCREENS, [LINK], RU).title_prefix == f"[УЧ] ПОВТОР {time} — не сейчас ·"
    assert frame.level != "normal"
    assert (frame.now, frame.clocks[0].time) == (exchange.world.at - MINUTE, time)
    assert frame_of(present, replay.SCREEN, SCREENS, [LINK], EN).replay == ""


async def test_an_absence_shows_nothing_as_proven(exchange: Exchange) -> None:
    exchange.ends[SIDE].stop()
    stopped = exchange.world.at
    exchange.run(HOUR)
    facts = await replayed(await facts_of(exchange, condition=Condition(state="endpoint_gone")), stopped + MINUTE)
    frame = frame_of(facts, replay.SCREEN, SCREENS, [LINK], EN)
    assert [each.name for each in frame.banners] == ["absent"]
    assert frame.level == "unknown"
    shown = replay.view(facts, {}, EN)
    assert shown.board is not None
    assert "normal" not in {each.level for each in (*shown.board.outgoing, *shown.board.incoming)}
    assert shown.track is not None
    assert {each.name: each.count for each in shown.track.lanes}["blind"] == 1


async def test_an_endpoint_that_fell_silent_is_not_at_work_after_its_last_word(exchange: Exchange) -> None:
    exchange.run(MINUTE)
    silent = await facts_of(exchange, condition=Condition(state="endpoint_gone"), now=exchange.world.at + HOUR)
    after = await replayed(silent, exchange.world.at + MINUTE)
    assert after.replayed is not None
    assert after.replayed.then is not None
    assert after.replayed.then.condition.state == "absent"


async def test_an_instant_to_come_is_refused_without_reading(exchange: Exchange) -> None:
    facts = await facts_of(exchange)
    found = await Replays(program=("-c", "1/0")).at(facts, facts.now + 1)
    assert found.replayed is not None
    assert found.replayed.then is None
    assert str(found.replayed.trouble).startswith("this instant has not come yet: it is ")


# --- the process --------------------------------------------------------------------------------------------------


async def test_a_replay_that_takes_too_long_is_ended_and_said(exchange: Exchange) -> None:
    facts = await facts_of(exchange)
    found = await Replays(program=("-c", "import time; time.sleep(60)"), limit_s=0.2).at(facts, facts.now - 1)
    assert found.replayed is not None
    assert "this took longer than" in found.replayed.trouble


TOO_MUCH = f"print('x' * {OUTPUT_MAX_BYTES + 1})"


@pytest.mark.parametrize("program", ["1/0", "print('{')", "import sys; sys.stdout.buffer.write(b'\\xff')", TOO_MUCH])
async def test_a_replay_without_a_result_is_said(exchange: Exchange, program: str) -> None:
    facts = await facts_of(exchange)
    found = await Replays(program=("-c", program)).at(facts, facts.now - 1)
    assert found.replayed is not None
    assert found.replayed.trouble == "the replay of the journal ended without a result"


async def test_a_past_instant_is_folded_once_and_one_without_a_later_record_anew(
    exchange: Exchange, tmp_path: Path
) -> None:
    exchange.run(5 * MINUTE)
    exchange.delivered(SIDE)
    facts = await facts_of(exchange)
    count = tmp_path / "count"
    counts = f"import sys; open({str(count)!r}, 'a').write('x'); "
    program = ("-c", f"{counts}from endpoints.console.rewinding import main; main(sys.argv[1:])")
    replays = Replays(program=program)
    past, newest = facts.now - 4 * MINUTE, facts.now
    first, *others = await asyncio.gather(*(replays.at(facts, past) for _ in range(4)))
    assert all(each == first for each in others)
    await replays.at(structs.replace(facts, upto=facts.upto + 1), past)
    assert count.read_text() == "x"
    await replays.at(facts, newest)
    await replays.at(facts, newest)
    assert count.read_text() == "xx"
    await replays.at(structs.replace(facts, upto=facts.upto + 1), newest)
    assert count.read_text() == "xxx"


def test_the_outcome_survives_its_way_through_the_pipe(day: Path) -> None:
    last = records_of(day)[-1].entry.at
    found = rewinding.outcome(day, LINK, SIDE, last)
    assert found.rewound == rewind(day, LINK, SIDE, last)
    early = rewinding.outcome(day, LINK, SIDE, 0)
    assert early.made_from is not None
    again = msgspec.json.decode(msgspec.json.encode(found), type=rewinding.RewindOutcome)
    assert again == found


# --- the screen ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        {"at": "yesterday"},
        {"at": "2022-13-01"},
        {"at": "0001-01-01"},
        {"at": "x" * 2_000},
        {"at": "\u202e2022"},
        {"to": "-1"},
        {"to": "9" * 400},
        {"to": "٣"},
        {"at": "<script>"},
    ],
)
async def test_nonsense_is_refused_with_an_example(exchange: Exchange, query: dict[str, str]) -> None:
    facts = await facts_of(exchange)
    assert replay.instant_asked(facts, query) is None
    shown = replay.view(facts, query, EN)
    assert shown.then is None
    assert shown.error.startswith("time (UTC): expected a time in UTC such as 2022-11-29 16:00, found")
    assert len(shown.error) < 140
    assert shown.track is not None


@pytest.mark.parametrize("query", [{"to": "999999999999999"}, {"at": "9999-12-31 23:59"}, {"at": "2031-01-01"}])
async def test_the_far_future_is_refused(exchange: Exchange, query: dict[str, str]) -> None:
    facts = await facts_of(exchange)
    instant = replay.instant_asked(facts, query)
    assert instant is not None
    found = await replayed(facts, instant)
    assert replay.view(found, query, RU).error.startswith("этот момент ещё не наступил")


async def test_steps_lead_from_mark_to_mark(exchange: Exchange) -> None:
    exchange.run(MINUTE)
    first = exchange.delivered(SIDE)
    exchange.run(MINUTE)
    second = exchange.delivered(SIDE)
    exchange.run(10 * MINUTE)
    facts = await facts_of(exchange)
    assert facts.history is not None
    at = {each.subject: each.at for each in facts.history.ledger.happenings.listed if each.what == "queued"}

    async def steps(query: dict[str, str]) -> dict[str, str]:
        instant = replay.instant_asked(facts, query)
        assert instant is not None
        return {each.name: each.at for each in replay.view(await replayed(facts, instant), query, EN).steps}

    found = await steps({"at": at[first]})
    assert found["next"] == at[second] or found["next"] < at[second]
    assert (await steps({"at": at[second]}))["previous"] >= at[first]
    assert (await steps({"at": found["first"]}))["first"] == ""
    last = (await steps({"at": at[first]}))["last"]
    assert (await steps({"at": last}))["last"] == ""
    assert (await steps({"at": last}))["next"] == ""


async def test_the_board_then_has_what_was_open_then(exchange: Exchange) -> None:
    exchange.run(MINUTE)
    before = exchange.world.at
    exchange.run(MINUTE)
    reference = exchange.delivered("ndmc")
    during = exchange.world.at
    exchange.run(MINUTE)
    exchange.acknowledge(reference)
    exchange.settle()
    exchange.run(MINUTE)
    facts = await facts_of(exchange)

    async def opened(at: Millis) -> list[str]:
        shown = replay.view(await replayed(facts, at), {}, EN).board
        assert shown is not None
        return [each.reference for each in shown.open]

    assert reference not in await opened(before)
    assert reference in await opened(during)
    assert reference not in await opened(exchange.world.at)


@pytest.mark.parametrize("span", ["all", "day", "hour", "century"])
async def test_the_track_has_the_instant_on_it(exchange: Exchange, span: str) -> None:
    exchange.run(HOUR)
    facts = await facts_of(exchange)
    for at in (facts.now - HOUR + MINUTE, facts.now - HOUR // 2, facts.now):
        track = replay.view(await replayed(facts, at), {"span": span}, EN).track
        assert track is not None
        assert track.begins <= at <= track.ends + 1_000
        assert 0 <= track.place < replay.WIDTH
        assert track.step >= 1_000
        for lane in track.lanes:
            assert all(place >= 0 and place + width <= replay.WIDTH + 3 for place, width in lane.marks)


async def test_a_link_without_a_journal_says_so(exchange: Exchange, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / SIDE)
    facts = await facts_of(exchange)
    assert replay.instant_asked(facts, {}) is None
    shown = replay.view(facts, {}, EN)
    assert shown.track is None
    assert shown.notes
