"""Alerts before they leave: written in one browser, released or discarded in another, seen by both sides."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from endpoints.console.screens.drafts import CHECKED
from tests.support.browser import DESKTOP, Visits, faults, look, picture, tall
from tests.support.console_station import ConsoleStation

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

WITHIN_MS = 15_000
EN = "Concerned that the Nova Kakhovka dam may be destroyed. Please confirm understanding and intentions."
RU = "Опасаемся разрушения плотины Новокаховской ГЭС. Просим подтвердить понимание и намерения."
DAM: dict[str, Any] = {
    "category": "critical_infrastructure",
    "precedence": "immediate",
    "text.en": EN,
    "text.ru": RU,
    "where": "place",
    "place": "Nova Kakhovka dam",
    "at": "46.7758, 33.3706",
    "radius": "10km",
    "event_at": "now",
    "expires": "2h",
    "references": "",
}
PHONE: Any = {"width": 320, "height": 640}


def composing(
    station: ConsoleStation, visits: Visits, side: str = "eucom", officer: str = "watch-1", **options: Any
) -> Page:
    """Return a page with an empty form of an alert."""
    page = visits.enter(station, side, officer, **options)
    page.goto(station.screen(side, "compose"))
    expect(form(page)).to_be_visible()
    return page


def form(page: Page, act: str = "alert") -> Locator:
    return page.locator(f"form[data-act={act}]")


def write(page: Page, **typed: str) -> None:
    """Type an alert; names stand for themselves, `text_en` for `text.en`."""
    for name, value in (
        DAM | {name.replace("_en", ".en").replace("_ru", ".ru"): typed[name] for name in typed}
    ).items():
        field = form(page).locator(f"[name='{name}']")
        if field.first.get_attribute("type") == "radio":
            form(page).locator(f"[name='{name}'][value='{value}']").check()
        elif field.is_visible():
            field.fill(value)


def send(station: ConsoleStation, page: Page, side: str, officer: str, act: str = "alert") -> None:
    """Type the credential and press the button."""
    form(page, act).locator(".credential").fill(station.credential(side, officer))
    form(page, act).locator(".buttons button").click()


def said(page: Page) -> str:
    """Return what the page says was done."""
    expect(page.locator("#said")).to_be_visible(timeout=WITHIN_MS)
    return str(page.locator("#said .text").inner_text())


def held(station: ConsoleStation, **ask: Any) -> str:
    """Return a draft of watch-1 that was written at the command line."""
    return station.alert("eucom", precedence="flash", **ask)


def opened(station: ConsoleStation, visits: Visits, draft: str, officer: str = "watch-2") -> Page:
    page = visits.enter(station, "eucom", officer)
    page.goto(station.screen("eucom", "drafts", draft))
    expect(page.locator("main")).to_contain_text(draft)
    return page


def tick(page: Page) -> None:
    for name in CHECKED:
        form(page, "release").locator(f"[value={name}]").check()


def drafts(station: ConsoleStation, side: str = "eucom") -> list[str]:
    return [each["draft"] for each in station.snapshot(side)["drafts"]]


def test_an_alert_is_written_by_one_officer_and_released_by_another(station: ConsoleStation, visits: Visits) -> None:
    author = composing(station, visits)
    write(author)
    expect(form(author).locator(".sentence")).to_have_text(
        "You say, as watch-1, to ndmc: EXERCISE alert, IMMEDIATE, critical infrastructure."
    )
    expect(form(author).locator(".buttons button")).to_have_text("Hold EXERCISE alert for a second officer")
    expect(form(author).locator(".preview")).to_contain_text("критическая инфраструктура")
    tall(author, "compose-filled")
    send(station, author, "eucom", "watch-1")
    sentence = said(author)
    (draft,) = re.findall(r"draft/\d+", sentence)[:1]
    assert "Nothing was sent yet" in sentence
    picture(author, "compose-held")
    assert draft in drafts(station)

    # the form is empty again, and its author cannot release
    expect(form(author).locator("[name='text.en']")).to_have_value("")
    author.locator("#said a").click()
    expect(author.locator("#acts")).to_contain_text("You wrote it, so you can't release it")
    expect(form(author, "release")).to_have_count(0)
    picture(author, "draft-of-ones-own")

    releaser = visits.enter(station, "eucom", "watch-2")
    expect(releaser.locator("#open")).to_contain_text(draft)
    releaser.locator("#open").get_by_role("link", name=draft).click()
    expect(releaser.locator("main")).to_contain_text(EN)
    tall(releaser, "draft-to-release")
    send(station, releaser, "eucom", "watch-2", "release")
    expect(form(releaser, "release").locator(".problem")).to_contain_text("tick each of the four")
    assert draft in drafts(station)
    tick(releaser)
    send(station, releaser, "eucom", "watch-2", "release")
    (reference,) = re.findall(r"eucom/1/\d+", said(releaser))[:1]
    expect(releaser.locator("#ended")).to_contain_text(f"{draft} was released by watch-2")
    # the author's page names its end, too
    expect(author.locator("#ended")).to_contain_text(reference)

    station.until(lambda: station.alert_state("ndmc", reference) == "received")
    for side in ("eucom", "ndmc"):
        alert = station.ask(side, f"items/{reference}")["item"]
        assert alert["text"] == {"en": EN, "ru": RU}
        assert alert["area"]["latitude_udeg"] == 46_775_800
    reader = visits.enter(station, "ndmc", "duty-1")
    reader.goto(station.screen("ndmc", "messages", reference))
    expect(reader.locator("main")).to_contain_text(RU)
    expect(reader.locator(".authors")).to_contain_text("watch-1, watch-2")


def test_a_priority_alert_is_sent_at_once_and_only_once(station: ConsoleStation, visits: Visits) -> None:
    before = station.snapshot("ndmc")["ours"]["last"]
    page = composing(station, visits, "ndmc", "duty-1")
    look(page, lang="ru")
    page.reload()
    write(page, precedence="priority", where="none")
    expect(form(page).locator(".buttons button")).to_have_text("Отправить оповещение: УЧЕНИЕ")
    form(page).locator(".credential").fill(station.credential("ndmc", "duty-1"))
    form(page).locator(".buttons button").dblclick()
    (reference,) = re.findall(r"ndmc/1/\d+", said(page))[:1]
    station.until(lambda: station.alert_state("eucom", reference) == "received")
    assert station.snapshot("ndmc")["ours"]["last"] == before + 1


def test_the_scope_question_has_a_way_out(station: ConsoleStation, visits: Visits) -> None:
    page = composing(station, visits)
    form(page).get_by_label("none of these").check()
    expect(form(page).locator(".buttons button")).to_be_hidden()
    picture(page, "compose-out-of-scope")
    assert not faults(page)
    form(page).get_by_role("link", name="the other channels").click()
    expect(page.locator(".channel-card")).to_be_visible()


@pytest.mark.parametrize(("lang", "theme"), [("en", "light"), ("ru", "dark")])
def test_the_form_and_a_draft_are_accessible_and_fit(
    lang: str, theme: str, station: ConsoleStation, visits: Visits
) -> None:
    draft = held(station)
    page = composing(station, visits, officer="watch-2")
    look(page, lang=lang, theme=theme)
    found = []
    for name, address in (
        ("compose", station.screen("eucom", "compose")),
        ("drafts", station.screen("eucom", "drafts")),
        ("draft", station.screen("eucom", "drafts", draft)),
    ):
        page.goto(address)
        expect(page.locator("main h1").first).to_be_visible()
        for size in (PHONE, DESKTOP):
            page.set_viewport_size(size)
            if size is DESKTOP or lang == "ru":
                tall(page, f"{name}-{lang}-{theme}" if size is DESKTOP else f"{name}-phone")
            if page.evaluate("() => document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                found.append(f"{name}: scrolls sideways at {size['width']}")
        found += [f"{name}: {fault}" for fault in faults(page)]
    station.act("eucom", "watch-2", "cancel", draft=int(draft.removeprefix("draft/")))
    assert not found


WRONG: tuple[tuple[dict[str, str], str, str], ...] = (
    ({"at": "46,7758 33,3706"}, "at", "a comma could stand within a number"),
    ({"at": "46,7758, 33,3706"}, "at", "a comma could stand within a number"),
    ({"radius": "10"}, "radius", "its units are m, km and NM"),
    ({"place": ""}, "place", "name the place"),
    ({"expires": "-1h"}, "expires", "an alert ends later than now"),
    ({"event_at": "yesterday"}, "event_at", "is not accepted"),
    ({"text_en": "x" * 4_001}, "text.en", "4001 characters"),
    ({"text_en": "a\tb"}, "text.en", "character 2 is a tab"),
    ({"text_ru": ""}, "untranslated", "there is no text in ru"),
    ({"references": "the dam"}, "references", "expected a message such as eucom/1/42"),
)


def test_what_is_wrong_stands_beside_its_field_and_nothing_is_lost(station: ConsoleStation, visits: Visits) -> None:
    before = station.snapshot("eucom")
    page = composing(station, visits)
    # an empty form
    form(page).locator(".buttons button").click()
    expect(form(page).locator(".problem")).to_contain_text("choose what it is about")
    expect(form(page).locator(".wrong")).to_have_count(4)
    for typed, field, why in WRONG:
        write(page, **typed)
        form(page).locator(".buttons button").click()
        expect(form(page).locator(f"[id$='-wrong-{field.replace('.', '-')}']")).to_contain_text(why)
        expect(form(page).locator(".problem")).to_be_visible()
        for name, value in typed.items():
            kept = form(page).locator(f"[name='{name.replace('_en', '.en').replace('_ru', '.ru')}']")
            expect(kept).to_have_value(value)
        if field == "radius":
            tall(page, "compose-wrong")
    # with everything right, only the credential is missing
    write(page)
    form(page).locator(".buttons button").click()
    expect(form(page).locator(".problem")).to_contain_text("type your credential")
    after = station.snapshot("eucom")
    assert (after["drafts"], after["ours"]["last"]) == (before["drafts"], before["ours"]["last"])


def test_markup_and_letters_of_any_script_are_shown_as_they_are(station: ConsoleStation, visits: Visits) -> None:
    text = "<b>x</b><script>window.deceived = true</script> العربية \u202eabc 👍🏽 👨\u200d👩\u200d👧 e\u0301"
    page = composing(station, visits)
    write(page, text_en=text, precedence="flash")
    expect(form(page).locator(".preview")).to_contain_text("<b>x</b><script>")
    expect(form(page).locator(".preview b b, .preview script")).to_have_count(0)
    send(station, page, "eucom", "watch-1")
    (draft,) = re.findall(r"draft/\d+", said(page))[:1]
    assert page.evaluate("() => window.deceived === undefined")
    waiting = {each["draft"]: each["text"]["en"] for each in station.snapshot("eucom")["drafts"]}
    assert waiting[draft] == text.replace("e\u0301", "é")
    station.act("eucom", "watch-2", "cancel", draft=int(draft.removeprefix("draft/")))
    page.goto(station.screen("eucom", "compose") + f"?draft={draft}")
    expect(form(page).locator("[name='text.en']")).to_have_value(waiting[draft])


def test_words_against_the_frame_are_warned_of_and_a_test_has_its_own_outline(
    station: ConsoleStation, visits: Visits
) -> None:
    page = composing(station, visits)
    write(page, text_en="This is not a drill.")
    expect(form(page).locator(".seen-by-them .warning")).to_contain_text("“not a drill”")
    tall(page, "compose-contradiction")
    form(page).locator("[name=status][value=test]").check()
    expect(form(page).locator(".buttons button")).to_have_text("Hold TEST alert for a second officer")
    expect(form(page).locator(".preview .one.test")).to_be_visible()
    assert form(page).evaluate("each => getComputedStyle(each).outlineStyle") == "dotted"
    tall(page, "compose-test")


def test_what_was_typed_survives_a_reload_in_its_own_tab_alone(station: ConsoleStation, visits: Visits) -> None:
    page = composing(station, visits)
    write(page)
    form(page).locator(".credential").fill("not kept")
    page.reload()
    expect(form(page).locator("[name='text.ru']")).to_have_value(RU)
    expect(form(page).locator("[name=precedence][value=immediate]")).to_be_checked()
    expect(form(page).locator(".credential")).to_have_value("")
    expect(form(page).locator(".preview")).to_contain_text("критическая инфраструктура")
    # away and back
    page.goto(station.screen("eucom", "board"))
    page.go_back()
    expect(form(page).locator("[name='text.ru']")).to_have_value(RU)
    another = page.context.new_page()
    another.goto(station.screen("eucom", "compose"))
    expect(form(another).locator("[name='text.ru']")).to_have_value("")
    page.locator("form[action='/log-out'] button").click()
    expect(page.locator("#officer")).to_be_visible()
    assert page.evaluate("() => Object.keys(sessionStorage).length") == 0


def test_the_loser_of_a_release_learns_who_was_faster(station: ConsoleStation, visits: Visits) -> None:
    draft = held(station, text={"en": EN, "ru": RU})
    discarder = composing(station, visits)
    form(discarder).locator("[name='text.en']").fill("half an alert")
    discarder.goto(station.screen("eucom", "drafts", draft))
    releaser = opened(station, visits, draft)
    tick(releaser)
    form(releaser, "release").locator(".credential").fill(station.credential("eucom", "watch-2"))
    discarder.locator("summary").filter(has_text="discard").click()
    send(station, discarder, "eucom", "watch-1", "discard")
    assert "Nothing was sent" in said(discarder)
    picture(discarder, "draft-discarded")
    # the form that was begun stays, and says that it is over
    expect(releaser.locator("#ended")).to_contain_text(f"{draft} was discarded by watch-1", timeout=WITHIN_MS)
    expect(form(releaser, "release").locator(".why-not")).to_contain_text("This is not possible any more")
    picture(releaser, "draft-taken-away")
    assert draft not in drafts(station)

    discarder.get_by_role("link", name="write it again").click()
    expect(form(discarder).locator("[name='text.en']")).to_have_value(EN)
    expect(form(discarder).locator("[name=precedence][value=flash]")).to_be_checked()
    # what was typed before is not lost either
    discarder.goto(station.screen("eucom", "compose"))
    expect(form(discarder).locator("[name='text.en']")).to_have_value("half an alert")


def test_the_endpoint_refuses_the_author_and_names_who_released(station: ConsoleStation, visits: Visits) -> None:
    draft = held(station)
    author = opened(station, visits, draft, "watch-1")
    content = {
        "request": "by-the-author-1",
        "draft": draft.removeprefix("draft/"),
        "seen": station.ask("eucom", f"items/{draft}")["seen"],
        "checked": list(CHECKED),
        "credential": station.credential("eucom", "watch-1"),
    }

    def post(page: Page) -> dict[str, Any]:
        answer: dict[str, Any] = page.evaluate(
            """async ([link, content]) => {
                const answer = await fetch(`/links/${link}/acts/release`, {
                    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content),
                });
                return { status: answer.status, ...(await answer.json()) };
            }""",
            ["eucom-ndmc", content],
        )
        return answer

    refused = post(author)
    assert (refused["status"], refused["error"]) == (409, "four_eyes")
    reference = station.act("eucom", "watch-2", "release", draft=int(content["draft"]))
    content |= {"credential": station.credential("eucom", "watch-2"), "request": "too-late-1"}
    second = visits.enter(station, "eucom", "watch-2")
    late = post(second)
    assert (late["status"], late["error"]) == (409, "already_released")
    assert f"eucom, watch-2 ({reference})" in late["happened"][0]


def test_a_draft_that_expires_while_its_form_is_open_says_so(station: ConsoleStation, visits: Visits) -> None:
    draft = held(station, expires_in_s=20)
    page = opened(station, visits, draft)
    tick(page)
    expect(page.locator("#ended")).to_contain_text(f"{draft} expired", timeout=40_000)
    expect(form(page, "release").locator(".why-not")).to_be_visible()
    picture(page, "draft-expired")
    page.get_by_role("link", name="write it again").click()
    expect(form(page).locator("[name='text.en']")).to_have_value("Checking.")


def test_a_correction_is_compared_with_the_alert_that_it_changes(station: ConsoleStation, visits: Visits) -> None:
    first = station.alert("eucom", precedence="priority", text={"en": EN, "ru": RU})
    station.until(lambda: station.alert_state("ndmc", first) == "received")
    author = visits.enter(station, "eucom", "watch-1")
    author.goto(station.screen("eucom", "messages", first))
    author.get_by_role("link", name="correct this alert").click()
    expect(author.locator(".notice")).to_have_text(f"It corrects {first}, from which it is filled.")
    write(author, text_en=EN.replace("destroyed", "damaged"), where="none", precedence="immediate")
    expect(form(author).locator(".preview")).to_contain_text(first)
    send(station, author, "eucom", "watch-1")
    (draft,) = re.findall(r"draft/\d+", said(author))[:1]
    releaser = opened(station, visits, draft)
    marked = releaser.locator(".differences").first
    expect(marked).to_contain_text(f"Different from {first}, which it changes")
    expect(marked.locator("del").filter(has_text="destroyed")).to_be_visible()
    expect(marked.locator("ins").filter(has_text="damaged")).to_be_visible()
    tall(releaser, "draft-compared")
    assert not faults(releaser)
    tick(releaser)
    send(station, releaser, "eucom", "watch-2", "release")
    (reference,) = re.findall(r"eucom/1/\d+", said(releaser))[:1]
    station.until(lambda: station.alert_state("ndmc", first) == "changed")
    change = station.ask("ndmc", f"items/{reference}")["item"]["change"]
    assert (change["kind"], change["of"]["seq"]) == ("correction", int(first.rpartition("/")[2]))


def test_an_investigator_reads_drafts_and_has_no_act_in_the_page(station: ConsoleStation, visits: Visits) -> None:
    draft = held(station)
    page = visits.enter(station)
    page.goto(station.screen("eucom", "drafts", draft))
    expect(page.locator(".draft")).to_be_visible()
    expect(page.locator("form[data-act]")).to_have_count(0)
    answer = page.goto(station.screen("eucom", "compose"))
    assert answer is not None
    assert answer.status == 403
    station.act("eucom", "watch-2", "cancel", draft=int(draft.removeprefix("draft/")))
