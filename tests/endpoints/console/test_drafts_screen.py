"""Drafts on the screens of both officers, what their release needs, and the form that writes an alert again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape
from msgspec import structs

from endpoints.config.link_file import LinkFile
from endpoints.console import pages
from endpoints.console.acts_on_alerts import AlertAct, DiscardAct, ReleaseAct
from endpoints.console.composing import TypedAlert
from endpoints.console.facts import Facts
from endpoints.console.frame import frame_of, until_words
from endpoints.console.paper import paper_of
from endpoints.console.preview import preview
from endpoints.console.screen import NoSuchThing
from endpoints.console.screens import SCREENS, board, compose, drafts
from endpoints.console.screens.differences import differences
from endpoints.console.sessions import ReaderSession
from endpoints.inputs.field_error import FieldError
from endpoints.texts.i18n import LANGUAGES, translator
from endpoints.texts.item_page import ItemPage
from protocol.core.officer_requests import STANDING_CANCELLATION
from protocol.wire.instants import written
from protocol.wire.messages import Area, Reference
from tests.attacks.hostile_texts import CORPUS, hostile, on_the_wire, unprintable
from tests.support.console_facts import facts_of
from tests.support.exchange import Exchange, link_file
from tests.support.small_day import begun
from tests.support.world import HOUR, MINUTE
from tests.vectors.terms import EPOCH_1

EN, RU = translator("en"), translator("ru")
SEEN = "0" * 64
PLACE = Area(name="Dam", latitude_udeg=46_775_800, longitude_udeg=33_370_600, radius_m=10_000)


def actual() -> LinkFile:
    """Return the link file of an actual line."""
    return link_file(structs.replace(EPOCH_1, policy=structs.replace(EPOCH_1.policy, status="actual")))


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    exchange = begun(tmp_path)
    yield exchange
    exchange.stop()


async def seen_by(exchange: Exchange, officer: str = "watch-2", rest: str = "", **changes: Any) -> Facts:
    exchange.settle()
    return await facts_of(exchange, officer=officer, rest=rest, **changes)


def shown(facts: Facts, name: str, view: Any, language: str = "en") -> str:
    """Return a screen as a page."""
    t = translator(language)
    screen = next(each for each in SCREENS if each.name == name)

    def url(name: str, *parts: str, **query: str | int) -> str:
        return pages.address("eucom-ndmc", name, *parts, **query)

    return pages.render(
        name,
        layout="base.html",
        live_only=False,
        view=view,
        facts=facts,
        paper=paper_of(facts),
        frame=frame_of(facts, screen, SCREENS, ["eucom-ndmc"], t),
        session=ReaderSession(id="s", role=facts.role, officer=facts.officer, proof="", texts=True, ends_at=0),
        look=facts.preferences,
        sites=facts.sites,
        t=t,
        url=url,
        address=pages.address,
        static=lambda name: name,
        until=until_words,
        build="",
        version="1",
    )


# --- drafts -------------------------------------------------------------------------------------------------------


async def test_the_second_officer_sees_the_whole_alert_and_what_to_tick(exchange: Exchange) -> None:
    draft = exchange.alert("eucom", "immediate", area=PLACE)
    facts = await seen_by(exchange, rest=draft)
    card = drafts.view(facts, {}, EN).one
    assert card is not None
    assert (card.author, card.barred, card.word, card.release) == ("watch-1", "", False, "Release EXERCISE alert")
    assert [(each.name, each.says) for each in card.points] == [
        ("status", "EXERCISE"),
        ("category", "critical infrastructure"),
        ("precedence", "IMMEDIATE"),
        ("place", "Dam; 46.7758 N, 33.3706 E, radius 10 km"),
    ]
    assert [each.language for each in card.page.texts] == ["en", "ru"]
    assert {each.language: each.text for each in card.page.cancellation} == STANDING_CANCELLATION
    page = shown(facts, "drafts", drafts.view(facts, {}, EN))
    assert 'data-act="release"' in page
    assert f'data-seen="{card.page.seen}"' in page


async def test_the_author_is_told_that_they_cannot_release(exchange: Exchange) -> None:
    draft = exchange.alert("eucom", "immediate")
    facts = await seen_by(exchange, "watch-1", draft)
    view = drafts.view(facts, {}, EN)
    assert view.one is not None
    assert view.one.barred.startswith("You wrote it")
    alone = drafts.view(structs.replace(facts, roster=frozenset({"watch-1"})), {}, EN).one
    assert alone is not None
    assert alone.barred == "no other officer is enrolled here, so nobody can release it"
    page = shown(facts, "drafts", view)
    assert 'data-act="release"' not in page
    assert "You wrote it, so you can&#39;t release it" in page
    assert 'data-act="discard"' in page


async def test_the_draft_of_an_officer_who_was_removed_can_only_be_discarded(exchange: Exchange) -> None:
    draft = exchange.alert("eucom", "immediate")
    facts = await seen_by(exchange, rest=draft, roster=frozenset({"watch-2", "watch-3"}))
    view = drafts.view(facts, {}, EN)
    page = shown(facts, "drafts", view)
    assert "watch-1, who wrote it, is not enrolled here any more" in page
    assert 'data-act="release"' not in page
    assert 'data-act="discard"' in page


async def test_a_reader_without_an_officers_session_has_no_act_in_the_page(exchange: Exchange) -> None:
    draft = exchange.alert("eucom", "immediate")
    facts = await seen_by(exchange, "", draft, role="investigator")
    page = shown(facts, "drafts", drafts.view(facts, {}, EN))
    assert "data-act" not in page
    assert draft in page


async def test_flash_drafts_come_first_and_are_late_after_five_minutes(exchange: Exchange) -> None:
    exchange.alert("eucom", "immediate")
    flash = exchange.alert("eucom", "flash")
    facts = await seen_by(exchange)
    assert [(each.draft, each.late) for each in drafts.view(facts, {}, EN).cards] == [
        (flash, False),
        ("draft/1", False),
    ]
    assert board.view(facts, {}, EN).drafts_count == 2
    assert not [each for each in board.view(facts, {}, EN).reasons if flash in each.text]
    later = structs.replace(facts, now=facts.now + 5 * MINUTE)
    assert [each.late for each in drafts.view(later, {}, EN).cards] == [True, False]
    (hint,) = [each for each in board.view(later, {}, EN).reasons if "draft" in each.text]
    assert (hint.level, hint.text) == ("serious", f"{flash}: a flash alert waits for its release by a second officer")
    assert {each.screen for each in board.view(later, {}, EN).open} == {"drafts"}


async def test_a_change_is_compared_with_its_alert_and_a_draft_with_the_one_before(exchange: Exchange) -> None:
    first = exchange.delivered("eucom", text={"en": "Shelling of the plant", "ru": "Обстрел станции"}, area=PLACE)
    change = {"changes": Reference.parse(first), "change_kind": "correction"}
    one = exchange.alert("eucom", "flash", text={"en": "Shelling of the dam", "ru": "Обстрел станции"}, **change)
    exchange.settle()
    assert exchange.discard("eucom", one) == one
    two = exchange.alert("eucom", "immediate", text={"en": "Shelling of the dam", "ru": "Обстрел плотины"}, **change)
    card = drafts.view(await seen_by(exchange, rest=two), {}, EN).one
    assert card is not None
    of_alert, of_draft = card.comparisons
    assert of_alert.title == "Different from eucom/1/1, which it changes"
    labels = [each.label for each in of_alert.items]
    assert labels == ["precedence", "text, en", "text, ru", "place"]
    english = of_alert.items[1].parts
    assert [(each.kind, each.text) for each in of_alert.items[0].parts] == [
        ("removed", "ROUTINE"),
        ("added", "IMMEDIATE"),
    ]
    assert [(each.kind, each.text) for each in english] == [
        ("same", "Shelling of the "),
        ("removed", "plant"),
        ("added", "dam"),
    ]
    assert of_draft.title.startswith("Different from draft/1, which was written before and not sent")
    assert [each.label for each in of_draft.items] == ["precedence", "text, ru"]


async def test_a_draft_is_not_compared_with_one_that_was_sent(exchange: Exchange) -> None:
    sent = exchange.alert("eucom", "flash")
    exchange.settle()
    exchange.release("eucom", sent)
    draft = exchange.alert("eucom", "flash")
    card = drafts.view(await seen_by(exchange, rest=draft), {}, EN).one
    assert card is not None
    assert card.comparisons == ()


def test_long_texts_are_compared_within_a_bound() -> None:
    def page(text: str) -> ItemPage:
        return ItemPage(reference="", kind="alert", state="", body={"text": {"en": text}})

    words = " ".join(f"w{number % 7}" for number in range(1_300))
    (found,) = differences(page(words), page(words.replace("w3", "v3")), EN)
    assert {each.kind for each in found.parts} == {"removed", "added"}
    (found,) = differences(page("at 12:02:04"), page("at 12:02:19"), EN)
    assert [each.text for each in found.parts] == ["at ", "12:02:04", "12:02:19"]
    (found,) = differences(page("a " * 900), page("b " * 900), EN)
    assert "".join(each.text for each in found.parts if each.kind != "removed") == "b " * 900


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("released", "draft/1 was released by watch-2 at 07:59:00 UTC on 29 Nov 2022, as eucom/1/1."),
        ("discarded", "draft/1 was discarded by watch-1 at 07:59:00 UTC on 29 Nov 2022, and nothing was sent."),
        ("expired", "draft/1 expired at 08:09:00 UTC on 29 Nov 2022, and nothing was sent."),
    ],
)
async def test_a_draft_that_has_ended_says_how(exchange: Exchange, end: str, words: str) -> None:
    draft = exchange.alert("eucom", "flash", expires_at=written(exchange.ends["eucom"].at + 10 * MINUTE))
    exchange.settle()
    if end == "released":
        exchange.release("eucom", draft)
    elif end == "discarded":
        exchange.discard("eucom", draft)
    else:
        exchange.run(11 * MINUTE)
    facts = await seen_by(exchange, rest=draft)
    view = drafts.view(facts, {}, EN)
    assert view.one is None
    assert view.ended is not None
    assert words in view.ended.said
    page = shown(facts, "drafts", view)
    assert ("compose?draft=draft%2F1" in page) == (end != "released")
    assert "data-act" not in page.partition("<main")[2]


async def test_an_expired_draft_is_over_even_before_the_endpoint_says_so(exchange: Exchange) -> None:
    draft = exchange.alert("eucom", "flash", expires_at=written(exchange.ends["eucom"].at + 10 * MINUTE))
    facts = await seen_by(exchange, rest=draft)
    later = structs.replace(facts, now=facts.now + HOUR)
    ended = drafts.view(later, {}, EN).ended
    assert ended is not None
    assert "expired" in ended.said


@pytest.mark.parametrize("rest", ["draft/9", "draft/x", "eucom/1/1", "\u202eabc", "draft/" + "9" * 5_000])
async def test_an_unknown_draft_is_no_page(exchange: Exchange, rest: str) -> None:
    with pytest.raises(NoSuchThing, match="there is no such draft"):
        drafts.view(await seen_by(exchange, rest=rest), {}, EN)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", list(CORPUS))
async def test_hostile_texts_stay_text_in_drafts_form_and_preview(exchange: Exchange, kind: str, language: str) -> None:
    text = on_the_wire(f"</textarea></p><script>alert(1)</script>{hostile(kind)}")
    area = structs.replace(PLACE, name=text[:200])
    first = exchange.alert("eucom", "flash", text={"en": "x", "ru": "x"})
    exchange.settle()
    exchange.discard("eucom", first)
    texts = {"en": text, "ru": text}
    draft = exchange.alert("eucom", "flash", text=texts, area=area, cancellation=texts)
    t = translator(language)
    facts = await seen_by(exchange, rest=draft)
    form = compose.view(facts, {"draft": draft}, t)
    made = [
        shown(facts, "drafts", drafts.view(facts, {}, t), language),
        shown(facts, "compose", form, language),
        preview(form.filled, facts, language, t, {"url": pages.address}),
    ]
    for page in made:
        body = page.partition("</head>")[2] or page
        assert "<script" not in body
        assert "&lt;script&gt;" in body
        assert not unprintable(re.sub(r"<textarea.*?</textarea>|<input[^>]*>", "", body, flags=re.DOTALL))


# --- the form -----------------------------------------------------------------------------------------------------


async def test_an_empty_form_offers_what_the_link_has(exchange: Exchange) -> None:
    view = compose.view(await seen_by(exchange), {}, EN)
    assert [each.value for each in view.categories] == ["critical_infrastructure", "stray_munition", "airspace_transit"]
    assert [(each.value, each.within, each.held) for each in view.precedences] == [
        ("flash", "10 minutes", True),
        ("immediate", "30 minutes", True),
        ("priority", "3 hours", False),
        ("routine", "6 hours", False),
    ]
    assert [(each.value, each.send) for each in view.statuses] == [
        ("exercise", "Send EXERCISE alert"),
        ("test", "Send TEST alert"),
    ]
    assert [(each.language, each.text, each.theirs) for each in view.texts] == [("en", "", False), ("ru", "", True)]
    assert {each.language: each.text for each in view.cancellation} == STANDING_CANCELLATION


async def test_a_draft_is_written_again_with_all_its_fields(exchange: Exchange) -> None:
    own = {"en": "Disregard.", "ru": "Не учитывать."}
    draft = exchange.alert("eucom", "flash", area=PLACE, cancellation=own, status="test")
    facts = await seen_by(exchange)
    item = exchange.ends["eucom"].core.snapshot().drafts[0].item
    filled = compose.view(facts, {"draft": draft}, EN).filled
    asked = AlertAct(**structs.asdict(filled)).ask(facts, EN)
    assert asked.action == "alert"
    again = {name: asked.fields[name] for name in ("status", "category", "precedence", "text", "area", "cancellation")}
    assert again == {name: item[name] for name in again}
    assert asked.fields["expires_at"][:19] == item["expires_at"][:19]
    late = compose.view(structs.replace(facts, now=facts.now + 3 * HOUR), {"draft": draft}, EN).filled
    assert late.expires == "6h"


async def test_a_text_that_is_written_again_has_each_character_of_the_first(exchange: Exchange) -> None:
    text = "\n  <b>&amp; 👨\u200d👩\u200d👧 ❤\ufe0f \u202eabc\u202c\n"
    draft = exchange.alert("eucom", "flash", text={"en": text, "ru": "x"})
    facts = await seen_by(exchange)
    page = shown(facts, "compose", compose.view(facts, {"draft": draft}, EN))
    assert f">\n{escape(text)}</textarea>" in page


async def test_a_change_and_an_answer_are_filled_from_their_alert(exchange: Exchange) -> None:
    ours, theirs = exchange.delivered("eucom", area=PLACE), exchange.delivered("ndmc", area=PLACE)
    facts = await seen_by(exchange)
    update = compose.view(facts, {"updates": ours}, EN)
    assert update.key == "updates-eucom-1-1"
    assert (update.filled.changes, update.filled.change_kind) == (ours, "update")
    assert update.filled.text["en"]
    assert update.notice == f"It updates {ours}, from which it is filled."
    assert compose.view(facts, {"corrects": ours}, EN).notice == f"It corrects {ours}, from which it is filled."
    answer = compose.view(facts, {"answers": theirs}, EN)
    assert (answer.filled.references, answer.filled.text, answer.filled.precedence) == (theirs, {}, "")
    assert answer.filled.at == "46.7758 N, 33.3706 E"
    hidden = exchange.delivered("ndmc", area=structs.replace(PLACE, name="Dam\u202emaD"))
    assert compose.view(await seen_by(exchange), {"answers": hidden}, EN).filled.place == "Dam\\u202emaD"


@pytest.mark.parametrize("name", ["draft", "updates", "corrects", "answers"])
@pytest.mark.parametrize("reference", ["eucom/9/9", "x", "draft/9", "\u202e<b>", "9" * 5_000])
async def test_an_unknown_source_leaves_the_form_empty_and_says_so(
    exchange: Exchange, name: str, reference: str
) -> None:
    view = compose.view(await seen_by(exchange), {name: reference}, EN)
    assert view.wrong.endswith("so the form is empty")
    assert view.filled.text == {}
    assert view.key == "new"


async def test_the_preview_is_in_their_language_unless_asked_otherwise(exchange: Exchange) -> None:
    facts = await seen_by(exchange)
    typed = TypedAlert(request="a-request", category="stray_munition", text={"en": "A", "ru": "Б"})
    theirs = preview(typed, facts, "", EN, {"url": pages.address})
    assert RU.term("category", "stray_munition") in theirs
    assert "choose how urgent it is" in theirs, "the problems are in the author's own language"
    assert EN.term("category", "stray_munition") in preview(typed, facts, "en", EN, {"url": pages.address})


# --- what is sent -------------------------------------------------------------------------------------------------


def release(**changes: Any) -> ReleaseAct:
    return ReleaseAct(**({"request": "a-request", "draft": "1", "seen": SEEN, "checked": drafts.CHECKED} | changes))


async def test_a_release_needs_each_tick(exchange: Exchange) -> None:
    exchange.alert("eucom", "flash")
    facts = await seen_by(exchange)
    asked = release().ask(facts, EN)
    assert (asked.action, asked.fields) == ("release", {"draft": 1, "seen": SEEN})
    for missing in drafts.CHECKED:
        with pytest.raises(FieldError, match="tick each of the four") as wrong:
            release(checked=tuple(each for each in drafts.CHECKED if each != missing)).ask(facts, EN)
        assert wrong.value.field == "checked"
    with pytest.raises(FieldError, match="what it showed"):
        release(seen="").ask(facts, EN)


@pytest.mark.parametrize("word", ["ACTUAL", "РЕАЛЬНО", " actual ", "реально"])
async def test_an_actual_alert_is_released_with_its_word(tmp_path: Path, word: str) -> None:
    exchange = begun(tmp_path, file=actual())
    draft = exchange.alert("eucom", "flash")
    facts = await seen_by(exchange, rest=draft)
    card = drafts.view(facts, {}, EN).one
    assert card is not None
    assert (card.word, card.release) == (True, "Release ACTUAL alert")
    assert release(word=word).ask(facts, EN).action == "release"


@pytest.mark.parametrize("word", ["", "yes", "EXERCISE", "PEAЛЬHO", "ACTUALLY", "ACTUAL РЕАЛЬНО"])
async def test_an_actual_alert_is_not_released_without_its_word(tmp_path: Path, word: str) -> None:
    exchange = begun(tmp_path, file=actual())
    exchange.alert("eucom", "flash")
    facts = await seen_by(exchange)
    line = structs.replace(facts.settings, content=actual())
    for snapshot in (facts.snapshot, None):
        with pytest.raises(FieldError, match="retype the word"):
            release(word=word).ask(structs.replace(facts, settings=line, snapshot=snapshot), EN)


async def test_a_test_on_an_actual_line_is_released_without_the_word(tmp_path: Path) -> None:
    exchange = begun(tmp_path, file=actual())
    draft = exchange.alert("eucom", "flash", status="test")
    facts = await seen_by(exchange, rest=draft)
    card = drafts.view(facts, {}, EN).one
    assert card is not None
    assert (card.word, card.release) == (False, "Release TEST alert")
    assert release().ask(facts, EN).action == "release"


async def test_a_draft_that_was_discarded_meanwhile_is_left_to_the_endpoint(tmp_path: Path) -> None:
    exchange = begun(tmp_path, file=actual())
    draft = exchange.alert("eucom", "flash")
    exchange.settle()
    exchange.discard("eucom", draft)
    assert release().ask(await seen_by(exchange), EN).action == "release"


async def test_a_draft_is_discarded_by_either_officer(exchange: Exchange) -> None:
    facts = await seen_by(exchange, "watch-1")
    asked = DiscardAct(request="a-request", draft="7", seen=SEEN).ask(facts, EN)
    assert (asked.action, asked.fields) == ("cancel", {"draft": 7, "seen": SEEN})


@pytest.mark.parametrize(
    ("precedence", "begin"), [("flash", "Held as draft/1"), ("routine", "Said to ndmc as watch-1")]
)
async def test_what_was_done_is_said_in_a_sentence(exchange: Exchange, precedence: str, begin: str) -> None:
    facts = await seen_by(exchange, "watch-1")
    typed = AlertAct(request="a-request", category="stray_munition", precedence=precedence)
    said = typed.said("draft/1" if precedence == "flash" else "eucom/1/1", facts, EN)
    assert said.startswith(begin)
    assert "EXERCISE" in said
