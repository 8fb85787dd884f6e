"""Line tests by people, at both sides: the call at its slot, the read-back, and what comes in between."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from endpoints.texts.read_back import CYRILLIC, LATIN
from protocol.wire.instants import parsed, written
from tests.support.browser import Visits, every_look, faults, look, picture
from tests.support.console_station import ConsoleStation
from tests.support.duty_pages import WITHIN_MS, form, on, read_back, refused, said, send

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

FAST = 300
GRACE_S, ANSWER_S = 600, 300
PHONE = {"width": 320, "height": 640}
HUGE = "метро " * 2_000


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleStation]:
    """Yield a link whose tests officers place, every 20 minutes; each test of this module takes the next slot."""
    policy: dict[str, Any] = {
        "placed_by": "officer",
        "slots": ("*/20 6-22 * * *",),
        "grace_s": GRACE_S,
        "answer_within_s": ANSWER_S,
    }
    with ConsoleStation.of(tmp_path_factory, starts=parsed("2022-11-29T07:58:00.000Z"), **policy) as station:
        station.start_all()
        station.act("eucom", "watch-1", "take-watch")
        station.act("ndmc", "duty-1", "take-watch")
        yield station


@pytest.fixture
def caller(station: ConsoleStation, visits: Visits) -> Page:
    """Return the line test at the calling side."""
    return on(visits.enter(station, "eucom", role="watch-1"), station, "eucom", "line-test")


@pytest.fixture
def answering(station: ConsoleStation, visits: Visits) -> Page:
    """Return the line test at the answering side."""
    return on(visits.enter(station, "ndmc", role="duty-1"), station, "ndmc", "line-test")


def placed(station: ConsoleStation) -> str:
    """Place an unscheduled test; return its reference once the other side has it."""
    reference = station.act("eucom", "watch-1", "test", slot=None)
    station.until(lambda: reference in {each["reference"] for each in station.snapshot("ndmc")["tests"]})
    return reference


def known(station: ConsoleStation, reference: str, side: str = "ndmc") -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in station.snapshot(side)["tests"] if each["reference"] == reference)
    return found


def words_of(station: ConsoleStation, reference: str) -> list[str]:
    words: list[str] = known(station, reference)["heartbeat"]["challenge"]
    return words


def to_answer(page: Page, reference: str) -> None:
    """Wait until the form for the answer to this test is shown."""
    expect(page.locator("#to-answer")).to_contain_text(reference, timeout=WITHIN_MS)


def answers(station: ConsoleStation, reference: str) -> list[dict[str, Any]]:
    """Return the answers in the answering side's journal."""
    sender, epoch, seq = reference.split("/")
    of = {"sender": sender, "epoch": int(epoch), "seq": int(seq)}
    return [each for each in station.records("ndmc", "OfficerAnswered") if each["of"] == of]


def answer(page: Page, station: ConsoleStation, reference: str, officer: str = "duty-1") -> None:
    read_back(page, words_of(station, reference))
    send(page, "answer", station.credential("ndmc", officer))


def to_the_next_slot(station: ConsoleStation, before_s: int = 0) -> str:
    """Let time pass until the next slot, or until some seconds before; return the slot."""
    found = station.status("eucom")["next_slot"]
    station.forward_to(written(parsed(found) - before_s * 1_000), rate=FAST)
    slot: str = found
    return slot


# --- both sides ---------------------------------------------------------------------------------------------------


def test_a_call_at_its_slot_is_answered_by_the_other_sides_officer(
    station: ConsoleStation, caller: Page, answering: Page
) -> None:
    slot = to_the_next_slot(station, before_s=30)
    expect(caller.locator("#slot [data-until]")).to_be_visible()
    expect(caller.locator("#slot")).not_to_contain_text("waits for an officer here")
    picture(caller, "line-test-countdown")
    station.forward_to(slot)
    expect(caller.locator("#slot")).to_contain_text("waits for an officer here", timeout=WITHIN_MS)
    picture(caller, "line-test-to-place")
    send(caller, "test", station.credential("eucom", "watch-1"))
    said(caller, re.compile(r"The line test eucom/1/\d+ is placed"))
    own = caller.locator("#own")
    station.until(lambda: station.snapshot("eucom")["tests"][-1]["state"] == "received", 20)
    expect(own).to_contain_text("waiting for their officer", timeout=WITHIN_MS)
    expect(own).to_contain_text("placed by watch-1")
    expect(own.locator("[data-since]")).to_be_visible()
    picture(caller, "line-test-waiting")

    reference = station.snapshot("eucom")["tests"][-1]["reference"]
    to_answer(answering, reference)
    words = words_of(station, reference)
    for word in words:
        expect(answering.locator(".words")).to_contain_text(word)
    picture(answering, "line-test-to-answer")
    read_back(answering, [words[0].upper(), f"  {words[1].title()} ", f"«{words[2]}».".replace("е", "ё")])
    expect(answering.locator('.hint[data-is="same"]')).to_have_count(3)
    picture(answering, "line-test-read-back")
    send(answering, "answer", station.credential("ndmc", "duty-1"))
    said(answering, f"You have answered the line test {reference}")
    expect(answering.locator("#to-answer")).to_contain_text("no line test of the other side waits", timeout=WITHIN_MS)
    expect(answering.locator("#to-answer .words")).to_have_count(0)
    expect(own).to_contain_text("answered by duty-1", timeout=WITHIN_MS)
    picture(caller, "line-test-answered")

    (asked,) = station.records("eucom", "LineTestRequested")
    assert asked["officer"] == "watch-1"
    (told,) = answers(station, reference)
    assert (told["officer"], told["read_back"]) == ("duty-1", words)
    for side in ("eucom", "ndmc"):
        test = known(station, reference, side)
        assert (test["state"], test["heartbeat"]["slot"]) == ("answered", slot)
        assert {each["slot"]: each["state"] for each in station.snapshot(side)["slots"]}[slot] == "met"


def test_words_are_typed_and_never_filled_in(station: ConsoleStation, answering: Page) -> None:
    reference = placed(station)
    to_answer(answering, reference)
    fields = form(answering, "answer").locator("[data-plain]")
    expect(fields).to_have_count(3)
    for field in fields.all():
        assert field.get_attribute("autocomplete") == "off"
        # a browser keeps what was typed by the name or the id of its field
        assert field.get_attribute("name") is None
        assert field.get_attribute("id") is None
        expect(field).to_have_value("")
    read_back(answering, ["один", "два", "три"])
    form(answering, "answer").locator("textarea").fill("Слышу, Москва.")
    answering.reload()
    for field in form(answering, "answer").locator("[data-plain]").all():
        expect(field).to_have_value("")
    assert "один" not in str(answering.evaluate("() => JSON.stringify({ ...sessionStorage })"))
    # what the officer wrote is still there
    expect(form(answering, "answer").locator("textarea")).to_have_value("Слышу, Москва.")
    answer(answering, station, reference)
    said(answering, reference)
    assert answers(station, reference)[0]["text"] == "Слышу, Москва."


def test_letters_of_the_other_layout_are_named_and_never_converted(station: ConsoleStation, answering: Page) -> None:
    reference = placed(station)
    to_answer(answering, reference)
    words = words_of(station, reference)
    keys = str.maketrans(CYRILLIC, LATIN)
    typed = words[0].translate(keys)
    read_back(answering, [typed, words[1], words[2]])
    hint = answering.locator(".hint").first
    expect(hint).to_have_text(f"{typed} = {words[0]}? Change the keyboard layout.")
    expect(form(answering, "answer").locator("[data-plain]").first).to_have_value(typed)
    picture(answering, "line-test-wrong-layout")
    assert not [fault for fault in faults(answering) if "color-contrast" in fault]
    send(answering, "answer", station.credential("ndmc", "duty-1"))
    refused(answering, "answer", "Change the keyboard layout")
    # the credential waits until the words are right
    expect(form(answering, "answer").locator(".credential")).not_to_have_value("")
    assert not answers(station, reference)
    answer(answering, station, reference)
    said(answering, reference)


@pytest.mark.parametrize(
    "typed",
    [
        ("", "", ""),
        ("{1}", "{0}", "{2}"),
        ("{0} {1}", "{2}", "x"),
        ("<b>{0}</b>", "{1}", "{2}"),
        ("\u202e{0}\u202c!", "{1}", "{2}"),
        ("🚇", "{1}", "{2}"),
        ("{0}\u0000\u001b[2J", "{1}", "{2}"),
        (HUGE, "{1}", "{2}"),
    ],
    ids=["empty", "another order", "two in one", "markup", "right to left", "emoji", "control", "huge"],
)
def test_what_is_not_the_test_is_not_sent(typed: Sequence[str], station: ConsoleStation, answering: Page) -> None:
    waiting = [each for each in station.status("ndmc")["open"] if each["kind"] == "heartbeat"]
    reference = waiting[-1]["reference"] if waiting else placed(station)
    to_answer(answering, reference)
    words = words_of(station, reference)
    read_back(answering, [each.format(*words) for each in typed])
    send(answering, "answer", station.credential("ndmc", "duty-1"))
    expect(form(answering, "answer").locator(".problem")).to_be_visible(timeout=WITHIN_MS)
    assert answering.evaluate("() => document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert not answers(station, reference)


def test_who_has_another_credential_says_nothing(station: ConsoleStation, answering: Page) -> None:
    reference = placed(station)
    to_answer(answering, reference)
    words = words_of(station, reference)
    for wrong in ("nonsense", station.credential("ndmc", "duty-2")):
        read_back(answering, words)
        send(answering, "answer", wrong)
        refused(answering, "answer", re.compile("credential", re.IGNORECASE))
        expect(form(answering, "answer").locator(".credential")).to_have_value("")
        expect(form(answering, "answer").locator("[data-plain]").first).to_have_value(words[0])
    assert not answers(station, reference)
    answer(answering, station, reference)
    said(answering, reference)


# --- what comes in between ----------------------------------------------------------------------------------------


def test_of_two_officers_who_answer_at_once_the_second_sees_what_happened(
    station: ConsoleStation, answering: Page, visits: Visits
) -> None:
    second = on(visits.enter(station, "ndmc", role="duty-2"), station, "ndmc", "line-test")
    reference = placed(station)
    words = words_of(station, reference)
    for page in (answering, second):
        to_answer(page, reference)
        read_back(page, words)
    form(second, "answer").locator("textarea").fill("Я тоже слышу.")
    send(answering, "answer", station.credential("ndmc", "duty-1"))
    said(answering, reference)
    # begun, it stays
    expect(form(second, "answer").locator("textarea")).to_have_value("Я тоже слышу.")
    note = form(second, "answer").locator(".why-not")
    expect(note).to_be_visible(timeout=WITHIN_MS)
    expect(form(second, "answer").locator(".buttons button")).to_be_disabled()
    picture(second, "line-test-answered-by-another")
    (only,) = answers(station, reference)
    assert only["officer"] == "duty-1"
    assert known(station, reference, "eucom")["answer"]["officer"] == "duty-1"


def test_an_answer_in_the_same_instant_gets_the_first_ones_name(
    station: ConsoleStation, answering: Page, visits: Visits
) -> None:
    """The second officer's page has not heard of the first answer when they send theirs."""
    reference = placed(station)
    to_answer(answering, reference)
    read_back(answering, words_of(station, reference))
    # the page hears nothing more
    answering.route(
        "**/line-test", lambda route: route.abort() if "x-live" in route.request.headers else route.continue_()
    )
    station.act("ndmc", "duty-2", "answer", of=reference, words=words_of(station, reference))
    send(answering, "answer", station.credential("ndmc", "duty-1"))
    refused(answering, "answer", "duty-2")
    (only,) = answers(station, reference)
    assert only["officer"] == "duty-2"
    picture(answering, "line-test-second-answer")
    answering.unroute("**/line-test")
    visits.faults.clear()


def test_an_answer_after_its_time_is_sent_and_counts_as_late(
    station: ConsoleStation, answering: Page, caller: Page
) -> None:
    reference = placed(station)
    to_answer(answering, reference)
    read_back(answering, words_of(station, reference))
    station.forward(ANSWER_S + 5, rate=60)
    expect(answering.locator("#to-answer .due")).to_contain_text("counts as late", timeout=WITHIN_MS)
    expect(caller.locator("#own")).to_contain_text("not answered in time", timeout=WITHIN_MS)
    picture(answering, "line-test-late")
    send(answering, "answer", station.credential("ndmc", "duty-1"))
    said(answering, "the answer counts as late")
    expect(caller.locator("#own")).to_contain_text("answered late by duty-1", timeout=WITHIN_MS)
    for side in ("eucom", "ndmc"):
        assert known(station, reference, side)["state"] == "answered_late"


def test_a_slot_that_ends_while_its_form_is_open_gets_no_other_test(station: ConsoleStation, caller: Page) -> None:
    slot = to_the_next_slot(station)
    expect(caller.locator("#slot")).to_contain_text("waits for an officer here", timeout=WITHIN_MS)
    found = form(caller, "test")
    found.locator(".credential").fill(station.credential("eucom", "watch-1"))
    before = len(station.records("eucom", "LineTestRequested"))
    caller.route(
        "**/line-test", lambda route: route.abort() if "x-live" in route.request.headers else route.continue_()
    )
    station.forward(GRACE_S + 2, rate=FAST)
    station.until(
        lambda: {each["slot"]: each["state"] for each in station.snapshot("eucom")["slots"]}[slot] == "missed"
    )
    found.locator(".buttons button").click()
    refused(caller, "test", "nothing was placed: the slot of")
    assert len(station.records("eucom", "LineTestRequested")) == before
    picture(caller, "line-test-slot-over")
    caller.unroute("**/line-test")


def test_an_unscheduled_test_needs_no_slot(station: ConsoleStation, caller: Page) -> None:
    expect(caller.locator("#slot")).not_to_contain_text("waits for an officer here")
    send(caller, "test", station.credential("eucom", "watch-1"))
    said(caller, "is placed")
    assert "slot" not in station.snapshot("eucom")["tests"][-1]["heartbeat"]


def test_an_investigator_reads_and_has_no_form(station: ConsoleStation, visits: Visits) -> None:
    placed(station)
    page = on(visits.enter(station, "ndmc"), station, "ndmc", "line-test")
    expect(page.locator("#to-answer .words")).to_be_visible()
    expect(page.locator("form[data-act]")).to_have_count(0)


@every_look
def test_the_forms_fit_and_are_accessible(
    lang: str, theme: str, width: int, station: ConsoleStation, visits: Visits
) -> None:
    if not [each for each in station.status("ndmc")["open"] if each["kind"] == "heartbeat"]:
        placed(station)
    page = visits.enter(station, "ndmc", role="duty-1", viewport={"width": width, "height": 800})
    look(page, lang=lang, theme=theme)
    on(page, station, "ndmc", "line-test")
    read_back(page, ["vtnhj", "метро", ""])
    form(page, "test")
    found = faults(page)
    if page.evaluate("() => document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        found.append("scrolls sideways")
    picture(page, f"line-test-{lang}-{theme}-{width}", whole=True)
    assert not found
