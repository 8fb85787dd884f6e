"""The views of the line test and of the watch, and what they change on the board, in the bar and in the sounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from endpoints.console.calls import calls, passed_half
from endpoints.console.condition import Condition
from endpoints.console.facts import Facts
from endpoints.console.frame import frame_of
from endpoints.console.screens import SCREENS, board, line_test, watch
from endpoints.control.open_items import slot_to_place
from endpoints.texts.i18n import translator
from protocol.core.events import LineTestRequested, OfficerAnswered, WatchLeft, WatchTaken
from protocol.wire.instants import parsed
from protocol.wire.messages import Reference
from tests.attacks.hostile_texts import CORPUS, hostile, on_the_wire
from tests.support.console_facts import facts_of
from tests.support.exchange import WATCH, Exchange, link_file
from tests.support.small_day import SLOT, begun
from tests.support.world import HOUR, MINUTE, SECOND
from tests.vectors.terms import EPOCH_1

EN = translator("en")
BY_OFFICER = structs.replace(EPOCH_1, policy=structs.replace(EPOCH_1.policy, placed_by="officer"))


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    exchange = begun(tmp_path)
    yield exchange
    exchange.stop()


@pytest.fixture
def by_officer(tmp_path: Path) -> Iterator[Exchange]:
    exchange = begun(tmp_path, file=link_file(BY_OFFICER))
    yield exchange
    exchange.stop()


def at_slot(exchange: Exchange, later: int = 0) -> None:
    exchange.world.at = parsed(SLOT) + 5 + later
    exchange.eucom.wake()
    exchange.ndmc.wake()
    exchange.settle()


async def shown(exchange: Exchange, side: str = "eucom", **changes: Any) -> line_test.LineTestView:
    return line_test.view(await facts_of(exchange, side, **changes), {}, EN)


def answer(exchange: Exchange, reference: str = "eucom/1/1", **fields: Any) -> str:
    test = next(each for each in exchange.ndmc.core.snapshot().tests if each.reference == reference)
    return exchange.ask(
        "ndmc", OfficerAnswered, of=Reference.parse(reference), read_back=test.heartbeat.challenge, **fields
    )


# --- the calling side ---------------------------------------------------------------------------------------------


async def test_before_the_slot_the_screen_counts_down_to_it(exchange: Exchange) -> None:
    view = await shown(exchange)
    assert view.slot is not None
    assert (view.slot.slot, view.slot.opened, view.slot.waits_here) == (SLOT, False, False)
    assert view.slot.who == "the service of eucom places it"
    assert (view.own, view.to_answer, view.past) == (None, None, ())


async def test_an_officer_places_the_test_of_an_open_slot(by_officer: Exchange) -> None:
    before = (await shown(by_officer)).slot
    assert before is not None
    assert (before.waits_here, before.who) == (False, "an officer of this side places it")
    at_slot(by_officer, later=5 * MINUTE)
    opened, theirs = (await shown(by_officer)).slot, (await shown(by_officer, "ndmc")).slot
    assert opened is not None
    assert theirs is not None
    assert (opened.slot, opened.opened, opened.waits_here, opened.ends) == (
        SLOT,
        True,
        True,
        "2022-11-29T08:15:00.000Z",
    )
    assert (theirs.opened, theirs.waits_here, theirs.who) == (True, False, "an officer of eucom places it")
    by_officer.ask("eucom", LineTestRequested, nonce="0" * 16)
    by_officer.settle()
    view = await shown(by_officer)
    assert view.slot is not None
    assert (view.slot.slot > SLOT, view.slot.waits_here) == (True, False)
    assert view.own is not None
    assert view.own.slot is not None
    assert view.own.steps[0].text == "placed by watch-1"


async def test_a_slot_whose_time_is_over_waits_for_nobody(by_officer: Exchange) -> None:
    at_slot(by_officer, later=15 * MINUTE)
    view = await shown(by_officer)
    assert view.slot is not None
    assert not view.slot.waits_here
    assert [(row.state, row.level) for row in view.past] == [("missed", "critical")]


async def test_the_callers_test_is_followed_to_the_answer(exchange: Exchange) -> None:
    at_slot(exchange)
    exchange.world.at += 41 * SECOND
    own = (await shown(exchange)).own
    assert own is not None
    placed, received, waiting = own.steps
    assert (placed.text, received.text) == ("placed by the service", "received: their receipt, signed")
    assert received.at is not None
    assert (waiting.text, waiting.clock, waiting.limit) == ("waiting for their officer", "0:00:41", "0:10:00")
    answer(exchange)
    exchange.settle()
    own = (await shown(exchange)).own
    assert own is not None
    assert (own.steps[-1].text, own.steps[-1].level) == ("answered by duty-1", "normal")
    assert own.answer == "Слышу вас хорошо."
    assert (await shown(exchange, texts=False)).own.answer == ""  # type: ignore[union-attr]


async def test_a_test_without_receipt_or_answer_says_what_to_do(exchange: Exchange) -> None:
    exchange.world.at = parsed(SLOT) + 5
    exchange.eucom.wake()
    own = (await shown(exchange)).own
    assert own is not None
    assert own.steps[-1].text == "waiting for their receipt"
    exchange.settle()
    exchange.run(11 * MINUTE)
    own = (await shown(exchange)).own
    assert own is not None
    assert (own.steps[-1].text, own.steps[-1].level) == ("not answered in time: use another channel", "critical")
    answer(exchange)
    exchange.settle()
    view = await shown(exchange)
    assert view.own is not None
    assert view.own.steps[-1].text == "answered late by duty-1"
    assert [(row.state, row.level, row.officer) for row in view.past] == [("met, answered late", "serious", "duty-1")]


# --- the answering side -------------------------------------------------------------------------------------------


async def test_the_answering_officer_reads_what_the_other_side_said(exchange: Exchange) -> None:
    at_slot(exchange)
    test = (await shown(exchange, "ndmc")).to_answer
    assert test is not None
    assert (test.reference, test.site, test.text) == ("eucom/1/1", "Wiesbaden", "Проверка линии. Как слышите?")
    assert (len(test.words), test.layout, test.over, test.due[:19]) == (3, "cyrillic", False, "2022-11-29T08:10:00")
    assert test.answer == "Слышу вас хорошо."
    assert test.seen
    assert (await shown(exchange)).to_answer is None


async def test_an_answer_after_its_time_is_announced_as_late(exchange: Exchange) -> None:
    at_slot(exchange)
    exchange.run(11 * MINUTE)
    test = (await shown(exchange, "ndmc")).to_answer
    assert test is not None
    assert test.over
    answer(exchange)
    assert (await shown(exchange, "ndmc")).to_answer is None


async def test_only_the_newest_test_is_to_be_answered(exchange: Exchange) -> None:
    at_slot(exchange)
    exchange.run(11 * MINUTE)
    exchange.ask("eucom", LineTestRequested, nonce="1" * 16)
    exchange.settle()
    test = (await shown(exchange, "ndmc")).to_answer
    assert test is not None
    assert (test.reference, test.others) == ("eucom/1/2", ("eucom/1/1",))
    assert test.slot is None


async def test_a_link_that_has_stopped_shows_no_test(exchange: Exchange) -> None:
    at_slot(exchange)
    view = await shown(exchange, snapshot=None)
    assert (view.known, view.slot, view.own, view.to_answer, view.past) == (False, None, None, None, ())


# --- sounds, board, bar -------------------------------------------------------------------------------------------


async def test_a_slot_that_waits_for_an_officer_calls_them_and_again_at_half_of_its_time(by_officer: Exchange) -> None:
    facts = await facts_of(by_officer)
    assert facts.status is not None
    (call,) = calls(facts.status, SLOT, 15 * MINUTE)
    assert (call.sound, call.about) == (3, f"slot/{SLOT}")
    assert [passed_half(call, parsed(SLOT) + each * MINUTE) for each in (7, 8)] == [False, True]
    at_slot(by_officer)
    for side, slot in (("eucom", SLOT), ("ndmc", None)):
        core = by_officer.ends[side].core
        assert slot_to_place(core.snapshot(), BY_OFFICER.policy, by_officer.world.at) == slot
    lines = [line.text for line in board.view(await facts_of(by_officer), {}, EN).test_lines]
    assert "the line test of 08:00 UTC waits for an officer here; left" in lines


async def test_nobody_on_watch_is_a_state_of_the_bar_and_the_board(exchange: Exchange) -> None:
    def states(facts: Facts) -> tuple[str | None, bool, bool]:
        frame = frame_of(facts, board.SCREEN, SCREENS, ["eucom-ndmc"], EN)
        nobody = "nobody has the watch" in " ".join(line.text for line in board.view(facts, {}, EN).reasons)
        return frame.on_watch, frame.watch_known, nobody

    assert states(await facts_of(exchange)) == (None, True, True)
    assert states(await facts_of(exchange, snapshot=None, status=None)) == (None, False, False)
    exchange.ask("eucom", WatchTaken)
    assert states(await facts_of(exchange)) == ("watch-1", True, False)
    assert states(await facts_of(exchange, "ndmc")) == (None, True, True)


# --- the watch ----------------------------------------------------------------------------------------------------


async def test_the_watch_is_taken_handed_over_and_left(exchange: Exchange) -> None:
    async def seen() -> watch.WatchView:
        exchange.settle()
        return watch.view(await facts_of(exchange), {}, EN)

    view = await seen()
    assert (view.known, view.officer, view.left, view.changes) == (True, "", None, ())
    exchange.ask("eucom", WatchTaken)
    view = await seen()
    assert (view.officer, view.since is not None) == ("watch-1", True)
    exchange.world.at += HOUR
    exchange.ask("eucom", WatchTaken, officer="watch-2", relieves="watch-1")
    exchange.world.at += HOUR
    exchange.ask("eucom", WatchLeft, officer="watch-2", why="fire in the building")
    view = await seen()
    assert view.left is not None
    assert view.left.what == "watch-2 left the watch: fire in the building"
    assert [row.what for row in view.changes] == [
        "watch-2 left the watch: fire in the building",
        "watch-2 took the watch from watch-1",
        "watch-1 took the watch",
    ]
    gone = watch.view(await facts_of(exchange, condition=Condition(state="endpoint_gone")), {}, EN)
    assert not gone.known


async def test_the_sheet_has_what_the_next_officer_must_know(exchange: Exchange) -> None:
    at_slot(exchange)
    own = exchange.delivered("eucom")
    theirs = exchange.delivered("ndmc", precedence="priority")
    held = exchange.alert("eucom", "flash")
    exchange.outage("eucom", duration=2 * MINUTE)
    sheet = watch.view(await facts_of(exchange), {}, EN).sheet
    assert sheet is not None
    assert [(row.reference, row.here) for row in sheet.items] == [(theirs, True), ("eucom/1/1", False), (own, False)]
    assert all(row.due is not None for row in sheet.items)
    assert [(row.draft, row.officer) for row in sheet.drafts] == [(held, "watch-1")]
    assert [row.name for row in sheet.alarms] == ["broker_unreachable/broker"]
    assert sheet.slot is not None
    assert sheet.last_test == "eucom/1/1: received, not answered yet"
    said = [row.what for row in sheet.rows]
    assert any(held in each for each in said)
    assert any("ALARM" in each for each in said)
    assert not any("receipt" in each for each in said)


async def test_what_is_overdue_has_its_deadline_on_the_sheet_although_none_runs(exchange: Exchange) -> None:
    at_slot(exchange)
    exchange.run(11 * MINUTE)
    sheet = watch.view(await facts_of(exchange), {}, EN).sheet
    assert sheet is not None
    ((item),) = sheet.items
    assert item.over
    assert item.due is not None
    assert item.due.clock == "08:10:00"


async def test_the_sheet_tells_twelve_hours_and_counts_what_it_leaves_out(exchange: Exchange) -> None:
    exchange.delivered("eucom", text={"ru": "Давно", "en": "Long ago"})
    exchange.run(13 * HOUR)
    for _ in range(70):
        exchange.delivered("eucom")
    sheet = watch.view(await facts_of(exchange), {}, EN).sheet
    assert sheet is not None
    assert len(sheet.rows) == 60
    assert sheet.left_out.endswith("earlier rows are in the history")
    assert not any("eucom/1/1:" in row.what for row in sheet.rows)


async def test_a_sheet_without_news_is_none(exchange: Exchange) -> None:
    assert watch.view(await facts_of(exchange, snapshot=None), {}, EN).sheet is None


@pytest.mark.parametrize("kind", CORPUS)
async def test_each_row_of_the_sheet_is_one_line(kind: str, exchange: Exchange) -> None:
    exchange.delivered("ndmc", text={"ru": on_the_wire(hostile(kind)), "en": "x"})
    sheet = watch.view(await facts_of(exchange), {}, EN).sheet
    assert sheet is not None
    assert all("\n" not in row.what for row in sheet.rows)


async def test_the_console_of_the_independent_watch_has_nobody_on_watch_and_nothing_to_answer(
    exchange: Exchange,
) -> None:
    at_slot(exchange)
    facts = await facts_of(exchange, WATCH, role="investigator", officer="")
    view = line_test.view(facts, {}, EN)
    assert (view.own, view.to_answer, view.answered) == (None, None, None)
    assert [(row.state, row.parts) for row in view.past] == [
        ("met, received, not answered yet", ("eucom", "1", "1")),
    ]
    assert not any("watch" in line.text for line in board.view(facts, {}, EN).reasons)
    assert watch.view(facts, {}, EN).sheet is not None
