"""Two officers at once: the first to be journaled wins; the second sees what happened, and keeps what they typed."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.act_forms import acts, alert, fill, form, message, officer, said, send
from tests.support.browser import Visits, enter
from tests.support.console_station import ConsoleStation

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


def two(station: ConsoleStation, visits: Visits, reference: str, *officers: tuple[str, str]) -> tuple[Page, Page]:
    """Return the page of a message in a browser of each of two officers, given with their sides."""
    pages = []
    for side, name in officers:
        page = officer(visits, station, side, name)
        message(page, station, side, reference)
        pages.append(page)
    return pages[0], pages[1]


def overtaken(act: Locator, *words: str) -> None:
    """Assert that a form says what another officer did first, without losing anything that was typed."""
    expect(act.locator(".problem")).to_be_visible(timeout=30_000)
    for word in words:
        expect(act.locator(".problem li")).to_contain_text(word)
    expect(act.locator(".credential")).to_have_value("")


def closed(act: Locator, text: str) -> None:
    """Assert that a form is no longer possible, and that its text is still there to be copied."""
    expect(act.locator(".why-not")).to_contain_text("not possible any more", timeout=30_000)
    expect(act.locator(".buttons button")).to_be_disabled()
    expect(act.locator("[name='text.en']")).to_have_value(text)


def test_acknowledge_against_refuse(station: ConsoleStation, visits: Visits) -> None:
    reference = alert(station)
    first, second = two(station, visits, reference, ("ndmc", "duty-1"), ("ndmc", "duty-2"))
    refuse, acknowledge = form(second, "refuse"), form(first, "acknowledge")
    fill(refuse, station, "ndmc", "duty-2", reason="expired", en="Too late for us.")
    fill(acknowledge, station, "ndmc", "duty-1", decision="understood")
    send(acknowledge)
    said(first)
    send(refuse)
    overtaken(refuse, "acknowledged", "duty-1")
    acts(station, reference, {"act": "acknowledged", "officer": "duty-1"})
    # the officer has read what happened, and still wants it
    expect(refuse.locator("[name='text.en']")).to_have_value("Too late for us.")
    expect(second.locator(".ladder")).to_contain_text("duty-1")
    fill(refuse, station, "ndmc", "duty-2")
    send(refuse)
    said(second)
    acts(
        station,
        reference,
        {"act": "acknowledged", "officer": "duty-1"},
        {"act": "refused", "officer": "duty-2", "reason": "expired"},
    )


def test_refuse_against_acknowledge(station: ConsoleStation, visits: Visits) -> None:
    reference = alert(station)
    first, second = two(station, visits, reference, ("ndmc", "duty-1"), ("ndmc", "duty-2"))
    acknowledge, refuse = form(second, "acknowledge"), form(first, "refuse")
    fill(acknowledge, station, "ndmc", "duty-2", decision="acting", en="Boats are on their way.")
    fill(refuse, station, "ndmc", "duty-1", reason="unintelligible")
    send(refuse)
    said(first)
    closed(acknowledge, "Boats are on their way.")
    expect(second.locator(".ladder")).to_contain_text("duty-1")
    acts(station, reference, {"act": "refused", "officer": "duty-1"})


def test_cancel_against_acknowledge(station: ConsoleStation, visits: Visits) -> None:
    reference = alert(station)
    first, second = two(station, visits, reference, ("eucom", "watch-1"), ("ndmc", "duty-1"))
    acknowledge, cancel = form(second, "acknowledge"), form(first, "cancel")
    fill(acknowledge, station, "ndmc", "duty-1", decision="acting", en="We act.")
    fill(cancel, station, "eucom", "watch-1")
    send(cancel)
    said(first)
    closed(acknowledge, "We act.")
    acts(station, reference, {"act": "cancelled", "officer": "watch-1"})


def test_acknowledge_against_cancel(station: ConsoleStation, visits: Visits) -> None:
    reference = alert(station)
    first, second = two(station, visits, reference, ("ndmc", "duty-1"), ("eucom", "watch-1"))
    cancel, acknowledge = form(second, "cancel"), form(first, "acknowledge")
    fill(cancel, station, "eucom", "watch-1")
    fill(acknowledge, station, "ndmc", "duty-1", decision="will_reply")
    send(acknowledge)
    said(first)
    station.until(lambda: station.alert_state("eucom", reference) == "will_reply")
    send(cancel)
    overtaken(cancel, "duty-1")
    expect(second.locator(".ladder")).to_contain_text("duty-1")
    fill(cancel, station, "eucom", "watch-1")
    send(cancel)
    said(second)
    acts(station, reference, {"act": "acknowledged", "officer": "duty-1"}, {"act": "cancelled", "officer": "watch-1"})


def test_answer_against_answer(station: ConsoleStation, visits: Visits) -> None:
    """Both press at once: one of the two answers is said, and the other officer learns of it."""
    reference = alert(station)
    pages = two(station, visits, reference, ("ndmc", "duty-1"), ("ndmc", "duty-2"))
    forms = [form(page, "acknowledge") for page in pages]
    for name, each in zip(("duty-1", "duty-2"), forms, strict=True):
        fill(each, station, "ndmc", name, decision="understood", en=f"Read by {name}.")
    for each in forms:
        each.locator(".buttons button").click(no_wait_after=True)
    for page, each in zip(pages, forms, strict=True):
        expect(page.locator("#said:visible").or_(each.locator(".problem:visible"))).to_be_visible(timeout=30_000)
    lost = [each for page, each in zip(pages, forms, strict=True) if not page.locator("#said").is_visible()]
    assert len(lost) == 1
    overtaken(lost[0], "acknowledged")
    assert lost[0].locator("[name='text.en']").input_value().startswith("Read by")
    acts(station, reference, {"act": "acknowledged", "decision": "understood"})


def test_two_browsers_of_one_officer(station: ConsoleStation, visits: Visits) -> None:
    reference = alert(station)
    first, second = two(station, visits, reference, ("ndmc", "duty-1"), ("ndmc", "duty-1"))
    forms = [form(page, "acknowledge") for page in (first, second)]
    for each in forms:
        fill(each, station, "ndmc", "duty-1", decision="understood", en="Read.")
    send(forms[0])
    said(first)
    send(forms[1])
    overtaken(forms[1], "duty-1")
    expect(forms[1].locator("[name='text.en']")).to_have_value("Read.")
    acts(station, reference, {"act": "acknowledged", "officer": "duty-1"})


def test_two_tabs_of_one_browser(station: ConsoleStation, visits: Visits) -> None:
    reference = alert(station)
    profile = visits.profile()
    pages = [profile.new_page() for _ in range(2)]
    enter(pages[0], station, "ndmc", "duty-1")
    for page in pages:
        message(page, station, "ndmc", reference)
        fill(form(page, "acknowledge"), station, "ndmc", "duty-1", decision="understood", en="Read.")
    for page in pages:
        form(page, "acknowledge").locator(".buttons button").click(no_wait_after=True)
    for page in pages:
        expect(page.locator("#said:visible").or_(page.locator(".problem:visible"))).to_be_visible(timeout=30_000)
    acts(station, reference, {"act": "acknowledged", "officer": "duty-1"})
