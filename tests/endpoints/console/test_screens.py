"""The views of the screens: pure functions of what an endpoint says and of its journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from endpoints.console import pages
from endpoints.console.condition import Condition, ConditionState
from endpoints.console.facts import Facts, WatchFacts
from endpoints.console.frame import frame_of, until_words
from endpoints.console.screen import NoSuchThing
from endpoints.console.screens import SCREENS, alarms, board, channels, history, investigate, messages, settings
from endpoints.console.screens.moments import Moments, typed
from endpoints.control.reasons import LinkState
from endpoints.texts.i18n import LANGUAGES, translator
from protocol.core.alarms import AlarmCode
from protocol.core.events import ListenersMissing, TransportLost
from protocol.errors import LinkError
from protocol.wire.instants import parsed
from tests.attacks.hostile_texts import CORPUS, hostile, on_the_wire, unprintable
from tests.support.console_facts import facts_of
from tests.support.exchange import Exchange
from tests.support.small_day import SLOT, a_day, begun
from tests.support.world import HOUR, MINUTE

EN, RU = translator("en"), translator("ru")


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    exchange = begun(tmp_path)
    yield exchange
    exchange.stop()


# --- the board ----------------------------------------------------------------------------------------------------


async def test_nothing_is_shown_as_proven_while_the_endpoint_does_not_answer(exchange: Exchange) -> None:
    def levels(facts: Facts) -> set[str]:
        shown = board.view(facts, {}, EN)
        return {line.level for line in (*shown.outgoing, *shown.incoming, *shown.test_lines)}

    assert "normal" in levels(await facts_of(exchange))
    assert "normal" not in levels(await facts_of(exchange, condition=Condition(state="endpoint_gone")))


@pytest.mark.parametrize(
    ("own", "theirs", "words"),
    [
        ("live", "late", "it agrees with this side"),
        ("live", "fine", "it disagrees: this side says UNPROVEN"),
        ("endpoint_gone", "late", "this side's own word is not known"),
        ("endpoint_gone", "fine", "this side's own word is not known"),
    ],
)
async def test_the_watch_is_compared_only_with_a_word_of_now(
    exchange: Exchange, own: ConditionState, theirs: LinkState, words: str
) -> None:
    facts = await facts_of(exchange, condition=Condition(state=own))
    assert facts.status is not None
    said = structs.replace(facts.status, state=theirs)
    watch = WatchFacts(heard_at=1, status=said, snapshot=None, condition=Condition(state="live"))
    assert board.view(structs.replace(facts, watch=watch), {}, EN).watch[1].text == words


# --- the frame ----------------------------------------------------------------------------------------------------


async def test_the_frame_says_what_is_gone_and_what_the_watch_says_then(exchange: Exchange) -> None:
    def shown(facts: Facts) -> tuple[str, list[tuple[str, str]]]:
        frame = frame_of(facts, board.SCREEN, SCREENS, ["eucom-ndmc"], EN)
        return frame.level, [(each.name, each.level) for each in frame.banners]

    facts = await facts_of(exchange)
    watch = WatchFacts(heard_at=1, status=facts.status, snapshot=None, condition=Condition(state="live"))
    facts = structs.replace(facts, watch=watch)
    assert shown(facts) == ("caution", [])
    gone = structs.replace(facts, condition=Condition(state="endpoint_gone"))
    assert shown(gone) == ("unknown", [("endpoint_gone", "critical"), ("watch-says", "caution")])
    silent = structs.replace(watch, condition=Condition(state="endpoint_gone"))
    assert shown(structs.replace(gone, watch=silent)) == (
        "unknown",
        [("endpoint_gone", "critical"), ("watch", "serious")],
    )
    for state in ("broker_gone", "link_stopped", "unheard"):
        assert shown(await facts_of(exchange, condition=Condition(state=state)))[1] == [(state, "critical")]


async def test_the_menu_has_the_screens_of_the_reader(exchange: Exchange) -> None:
    def menu(facts: Facts) -> list[str]:
        return [each.name for each in frame_of(facts, board.SCREEN, SCREENS, ["eucom-ndmc"], EN).menu]

    of_all = menu(await facts_of(exchange))
    of_board = menu(await facts_of(exchange, role="board"))
    assert "messages" in of_all
    assert "messages" not in of_board
    assert of_board == [each.name for each in SCREENS if each.menu and "board" in each.roles]


# --- instants -----------------------------------------------------------------------------------------------------


async def test_an_instant_is_shown_in_utc_first_then_on_both_wall_clocks(exchange: Exchange) -> None:
    moments = Moments(await facts_of(exchange), EN)
    late = moments.of("2022-11-29T22:30:12.345Z")
    assert (late.date, late.clock, late.exact) == ("29 Nov 2022", "22:30:12", "22:30:12.345")
    assert late.there == ("Wiesbaden Tue 23:30:12", "Moscow Wed 01:30:12 +1 day")
    theirs = Moments(await facts_of(exchange, "ndmc"), RU).of("2022-11-29T22:30:12.345Z")
    assert theirs.there == ("Moscow ср 01:30:12 +1 день", "Wiesbaden вт 23:30:12")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2022-11-29", "2022-11-29T00:00:00.000Z"),
        (" 2022-11-29 16:00 ", "2022-11-29T16:00:00.000Z"),
        ("2022-11-29T16:00:30Z", "2022-11-29T16:00:30.000Z"),
    ],
)
def test_an_instant_is_typed_in_utc(text: str, instant: str) -> None:
    assert typed(text, "from") == parsed(instant)


@pytest.mark.parametrize("text", ["yesterday", "2022-13-01", "2022-11-29 25:00", "0001-01-01", "٢٠٢٢-11-29", "x" * 90])
def test_another_text_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(LinkError, match=r"from: expected a time in UTC such as 2022-11-29 16:00, found"):
        typed(text, "from")


# --- messages -----------------------------------------------------------------------------------------------------


async def test_each_sides_messages_stand_in_their_own_column_and_what_waits_stands_on_top(exchange: Exchange) -> None:
    sent = exchange.delivered("eucom")
    received = exchange.delivered("ndmc", precedence="priority")
    held = exchange.alert("eucom", "flash")
    exchange.settle()
    view = messages.view(await facts_of(exchange), {}, EN)
    own, theirs = view.columns
    assert ([each.reference for each in own.cards], own.party) == ([sent], "eucom")
    assert ([each.reference for each in theirs.cards], theirs.party) == ([received], "ndmc")
    assert [each.reference for each in view.pinned] == [received, sent]
    assert [each.draft for each in view.drafts] == [held]
    assert theirs.cards[0].level == "serious"
    assert theirs.cards[0].state == "waits for an officer here"
    assert theirs.cards[0].due is not None
    assert [each.language for each in theirs.cards[0].texts] == ["en", "ru"]
    assert [each.language for each in messages.view(await facts_of(exchange), {}, RU).columns[1].cards[0].texts] == [
        "ru",
        "en",
    ]


async def test_without_messages_the_screen_says_what_will_be_here_and_what_is_due(exchange: Exchange) -> None:
    view = messages.view(await facts_of(exchange), {}, EN)
    assert view.total == 0
    assert view.next_due is not None
    assert view.next_due.utc == SLOT


async def test_messages_are_paged_by_a_hundred(exchange: Exchange) -> None:
    sent = [exchange.alert("eucom") for _ in range(230)]
    exchange.settle()
    facts = await facts_of(exchange)

    def shown(query: dict[str, str]) -> tuple[list[str], messages.MessagesView]:
        view = messages.view(facts, query, EN)
        return [each.reference for column in view.columns for each in column.cards], view

    last, view = shown({})
    assert (last, view.newer) == (sent[130:], "")
    middle, view = shown({"before": view.older})
    assert middle == sent[30:130]
    first, before = shown({"before": view.older})
    assert (first, before.older) == (sent[:30], "")
    assert shown({"after": before.newer})[0] == middle
    assert shown({"after": view.newer})[0] == last
    assert shown({"before": "nonsense"})[0] == last
    assert shown({"kind": "tests"})[0] == []


async def test_a_message_is_a_ladder_of_machines_and_officers(exchange: Exchange) -> None:
    reference = exchange.delivered("eucom")
    facts = await facts_of(exchange, rest=reference)
    page = messages.view(facts, {}, EN).one
    assert page is not None
    assert [(each.by, each.done) for each in page.rungs] == [*[("machine", True)] * 4, ("officer", False)]
    exchange.world.at += MINUTE
    exchange.acknowledge(reference, text={"en": "Seen.", "ru": "Видим."})
    exchange.settle()
    page = messages.view(await facts_of(exchange, rest=reference), {}, EN).one
    assert page is not None
    assert (page.rungs[-1].by, page.rungs[-1].detail) == ("officer", "ndmc, duty-1: understood")
    assert [each.text for each in page.rungs[-1].texts] == ["Seen.", "Видим."]
    theirs = messages.view(await facts_of(exchange, "ndmc", rest=reference), {}, EN).one
    assert theirs is not None
    assert [each.by for each in theirs.rungs] == [*["machine"] * 3, "officer"]


async def test_a_draft_has_a_page_that_says_who_wrote_and_who_released_it(exchange: Exchange) -> None:
    draft = exchange.alert("eucom", "flash")
    exchange.settle()
    page = messages.view(await facts_of(exchange, rest=draft), {}, EN).one
    assert page is not None
    assert [(each.word, each.detail, each.done) for each in page.rungs] == [
        ("written", "watch-1", True),
        ("released", "", False),
    ]
    reference = exchange.release("eucom", draft)
    exchange.settle()
    page = messages.view(await facts_of(exchange, rest=reference), {}, EN).one
    assert page is not None
    assert "draft/1, written by watch-1 at" in page.authors
    assert "released by watch-2 at" in page.authors


async def test_a_refusal_as_out_of_scope_names_the_other_channels(exchange: Exchange) -> None:
    reference = exchange.delivered("eucom")
    exchange.refuse(reference, referral="defence-ministers", text={"en": "Not here.", "ru": "Не сюда."})
    exchange.settle()
    page = messages.view(await facts_of(exchange, rest=reference), {}, EN).one
    assert page is not None
    assert page.rungs[-1].referral == "defence-ministers"
    assert page.channels


@pytest.mark.parametrize("rest", ["eucom/1/9", "draft/9", "draft/x", "../etc", "\u202eabc", "draft/" + "9" * 5_000])
async def test_an_unknown_reference_is_no_page(exchange: Exchange, rest: str) -> None:
    with pytest.raises(NoSuchThing, match="the journal has no such message"):
        messages.view(await facts_of(exchange, rest=rest), {}, EN)


# --- alarms -------------------------------------------------------------------------------------------------------


async def test_alarms_say_what_to_do_and_stand_below_their_cause(exchange: Exchange) -> None:
    exchange.ends["eucom"].happens(TransportLost, reason="gone")
    exchange.run(2 * HOUR, lost_from=("eucom",))
    facts = await facts_of(exchange)
    for t in (EN, RU):
        view = alarms.view(facts, {}, t)
        (group,) = view.groups
        assert group.cause.name == "broker_unreachable/broker"
        assert group.others
        assert {each.name.partition("/")[0] for each in group.others} <= set(AlarmCode)
        assert group.cause.todo
        assert group.cause.state == "new"
        assert view.channels
    exchange.acknowledge_alarms("eucom")
    exchange.settle()
    assert alarms.view(await facts_of(exchange), {}, EN).groups[0].cause.state == "seen"


async def test_an_alarm_that_is_over_stays_until_somebody_acknowledges_it(exchange: Exchange) -> None:
    exchange.outage("eucom", duration=5 * MINUTE)
    exchange.run(5 * MINUTE)
    over = [each.cause.state for each in alarms.view(await facts_of(exchange), {}, EN).groups]
    assert over == ["new_over"]
    exchange.acknowledge_alarms("eucom")
    exchange.settle()
    view = alarms.view(await facts_of(exchange), {}, EN)
    assert not view.groups
    assert [each.name for each in view.gone] == ["broker_unreachable/broker"]


async def test_while_the_endpoint_is_silent_the_journal_has_its_alarms(exchange: Exchange) -> None:
    exchange.outage("eucom", duration=5 * MINUTE)
    facts = structs.replace(
        await facts_of(exchange), status=None, snapshot=None, condition=Condition(state="endpoint_gone")
    )
    view = alarms.view(facts, {}, EN)
    assert not view.known
    assert [each.cause.name for each in view.groups] == ["broker_unreachable/broker"]


# --- history ------------------------------------------------------------------------------------------------------


async def test_the_history_is_paged_by_a_hundred_rows_in_both_directions(exchange: Exchange) -> None:
    for _ in range(120):
        exchange.alert("eucom")
        exchange.settle()
    facts = await facts_of(exchange)
    everything = [each.id for each in rows_of(facts)]
    assert len(everything) == len(set(everything)) > 300
    page = history.view(facts, {}, EN)
    seen: list[str] = []
    while True:
        assert len(page.rows) <= history.ROWS
        seen[:0] = [each.id for each in page.rows]
        if not page.older:
            break
        page = history.view(facts, {"before": page.older}, EN)
    assert seen == everything
    forwards = [each.id for each in page.rows]
    while page.newer:
        page = history.view(facts, {"after": page.newer}, EN)
        forwards += [each.id for each in page.rows]
    assert forwards == everything
    assert page.newest


def rows_of(facts: Facts) -> list[history.HistoryRow]:
    """Return all rows, page by page."""
    page = history.view(facts, {}, EN)
    rows = list(page.rows)
    while page.older:
        page = history.view(facts, {"before": page.older}, EN)
        rows[:0] = page.rows
    return rows


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"kind": "tests"}, {"line test eucom/1/1"}),
        ({"kind": "alerts", "sender": "ndmc"}, {"alert ndmc"}),
        ({"text": "РАКЕТА"}, {"alert ndmc"}),
        ({"precedence": "flash"}, set()),
        ({"officer": "nobody"}, set()),
        ({"text": "no such text"}, set()),
    ],
)
async def test_the_history_is_filtered(tmp_path: Path, query: dict[str, str], found: set[str]) -> None:
    exchange = a_day(tmp_path)
    page = history.view(await facts_of(exchange), query, EN)
    assert bool(page.rows) is bool(found)
    for begin in found:
        assert any(each.what.startswith(begin) for each in page.rows)
    if query.get("sender"):
        assert all("ndmc/1/" in each.what for each in page.rows)


async def test_an_alarm_is_as_grave_in_the_history_as_on_its_own_screen(exchange: Exchange) -> None:
    exchange.ends["eucom"].happens(ListenersMissing)
    exchange.ends["eucom"].happens(TransportLost, reason="gone")
    exchange.run(2 * HOUR, lost_from=("eucom",))
    facts = await facts_of(exchange)
    rows = history.view(facts, {"kind": "alarms"}, EN).rows
    shown = {group.cause.level for group in alarms.view(facts, {}, EN).groups}
    assert {row.level for row in rows} >= shown >= {"critical", "caution"}


async def test_a_row_of_the_history_shows_the_beginning_of_a_long_text(exchange: Exchange) -> None:
    exchange.alert("eucom", text={"en": "long " * 700, "ru": "долго " * 600})
    exchange.settle()
    (row,) = (each for each in history.view(await facts_of(exchange), {}, EN).rows if each.said)
    assert len(row.said) <= history.SAID_MAX + 1
    assert row.said.endswith("…")
    assert "long" in row.said


async def test_the_history_jumps_to_an_instant_and_says_what_it_can_not_read(tmp_path: Path) -> None:
    exchange = a_day(tmp_path)
    facts = await facts_of(exchange)
    page = history.view(facts, {"at": "2022-11-29 08:01"}, EN)
    assert page.rows[0].at.utc >= "2022-11-29T08:01"
    assert page.older
    assert history.view(facts, {"at": "tomorrow"}, EN).error.startswith("time (UTC): expected a time in UTC")
    assert history.view(facts, {"at": "2030-01-01"}, EN).rows == ()


# --- the rest -----------------------------------------------------------------------------------------------------


async def test_the_card_of_the_channels_is_in_both_languages_this_screens_first(exchange: Exchange) -> None:
    view = channels.view(await facts_of(exchange), {}, RU)
    assert [each.language for each in view.texts] == ["ru", "en"]
    assert [each.id for each in view.channels] == [each.id for each in exchange.file.terms.policy.channels]
    assert [name.language for name in view.channels[0].names] == ["ru", "en"]


async def test_the_card_of_the_channels_has_this_sides_notes_and_the_last_referral(exchange: Exchange) -> None:
    ids = [each.id for each in exchange.file.terms.policy.channels]
    notes = {ids[0]: "+49 611 0000"}
    before = channels.view(await facts_of(exchange, channel_notes=notes), {}, EN)
    assert [(each.note, each.used) for each in before.channels] == [
        ("+49 611 0000", None),
        *[("", None)] * len(ids[1:]),
    ]
    # a board may be seen by visitors
    shown = channels.view(await facts_of(exchange, channel_notes=notes, role="board"), {}, EN)
    assert not any(each.note for each in shown.channels)
    for _ in range(2):
        reference = exchange.delivered("eucom")
        exchange.world.at += MINUTE
        exchange.refuse(reference, referral=ids[-1])
        exchange.settle()
    for side in ("eucom", "ndmc"):
        used = channels.view(await facts_of(exchange, side), {}, EN).channels[-1].used
        assert used is not None
        assert (used.party, used.officer, used.reason) == ("ndmc", "duty-1", "outside the scope of this line")
        assert "/".join(used.reference) == reference


async def test_an_interval_counts_what_lies_in_it(tmp_path: Path) -> None:
    facts = await facts_of(a_day(tmp_path))
    counted = dict(investigate.view(facts, {}, EN).counted)
    assert (counted["alerts"], counted["line tests"]) == (2, 1)
    none = dict(investigate.view(facts, {"from": "2022-11-30", "to": "2022-12-01"}, EN).counted)
    assert none["rows in all"] == 0
    assert "ends before it begins" in investigate.view(facts, {"from": "2022-11-30", "to": "2022-11-29"}, EN).error
    assert "expected a time" in investigate.view(facts, {"from": "noon"}, EN).error


async def test_the_settings_show_what_is_chosen(exchange: Exchange) -> None:
    view = settings.view(await facts_of(exchange), {}, RU)
    assert [[each.value for each in setting.choices if each.here] for setting in view.settings] == [
        ["en"],
        ["system"],
        ["normal"],
        ["on"],
    ]


# --- texts that somebody wrote to deceive -------------------------------------------------------------------------


def page_of(facts: Facts, name: str, query: dict[str, str], language: str) -> str:
    """Return the part of a screen that changes, as a browser gets it."""
    t = translator(language)
    screen = next(each for each in SCREENS if each.name == name)

    def url(screen: str, *parts: str, **query: Any) -> str:
        return pages.address(facts.settings.id, screen, *parts, **query)

    return (
        pages.environment()
        .get_template(f"{name}.html")
        .render(
            layout=pages.environment().from_string("{% block live %}{% endblock %}"),
            frame=frame_of(facts, screen, SCREENS, ["eucom-ndmc"], t),
            view=screen.view(facts, query, t),
            facts=facts,
            t=t,
            url=url,
            until=until_words,
            look=facts.preferences,
            sites=facts.sites,
        )
    )


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", list(CORPUS))
async def test_what_the_other_side_wrote_stays_text_in_its_box(exchange: Exchange, kind: str, language: str) -> None:
    text = on_the_wire(f"</p><script>alert(1)</script>{hostile(kind)}")
    reference = exchange.delivered("ndmc", text={"en": text, "ru": text})
    for name, query, rest in (
        ("messages", {}, ""),
        ("messages", {}, reference),
        ("history", {}, ""),
        ("history", {"text": text[:60]}, ""),
    ):
        page = page_of(await facts_of(exchange, rest=rest), name, query, language)
        assert "<script" not in page
        assert "&lt;script&gt;" in page
        assert not unprintable(page)


async def test_a_list_has_only_the_beginning_of_a_long_text(exchange: Exchange) -> None:
    reference = exchange.delivered("ndmc", text={"en": "x" * 4_000, "ru": "Ж" * 4_000})
    facts = await facts_of(exchange)
    assert "and 3720 more letters" in page_of(facts, "messages", {}, "en")
    assert "x" * 4_000 in page_of(structs.replace(facts, rest=reference), "messages", {}, "en")


async def test_without_the_right_to_texts_no_screen_has_them(exchange: Exchange) -> None:
    reference = exchange.delivered("ndmc", text={"en": "secret word", "ru": "тайна"})
    facts = await facts_of(exchange, texts=False)
    for name, rest in (("messages", ""), ("messages", reference), ("history", "")):
        page = page_of(structs.replace(facts, rest=rest), name, {}, "en")
        assert "secret word" not in page
        assert "тайна" not in page


async def test_the_watch_of_another_process_has_its_own_part(exchange: Exchange) -> None:
    exchange.outage("eucom", duration=2 * HOUR)
    seen = await facts_of(exchange)
    watch = WatchFacts(heard_at=seen.now, status=seen.status, snapshot=None, condition=seen.condition)
    facts = structs.replace(seen, watch=watch)
    page = page_of(facts, "alarms", {}, "en")
    assert page.count('id="broker_unreachable-broker"') == 1
    assert page.count('id="watch-broker_unreachable-broker"') == 1
    assert not [each for each in ids_of(page) if ids_of(page).count(each) > 1]


def ids_of(page: str) -> list[str]:
    return [part.partition('"')[0] for part in page.split(' id="')[1:]]


async def test_a_journal_that_can_not_be_read_is_said_on_each_screen(tmp_path: Path) -> None:
    exchange = a_day(tmp_path)
    facts = await facts_of(exchange)
    assert facts.history is not None
    facts.history.trouble = "a/b: it is cut"
    for name in ("messages", "history", "investigate"):
        assert "The journal can&#39;t be read beyond record" in page_of(facts, name, {}, "en")
