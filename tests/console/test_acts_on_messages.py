"""Officers act on messages and alarms in real browsers; both sides' journals say what was done."""

from __future__ import annotations

import re
import signal
from typing import Any

import pytest
from playwright.sync_api import expect

from endpoints.failpoints import VARIABLE
from tests.support.act_forms import acts, alert, fill, form, message, officer, other, said, send
from tests.support.browser import Visits, faults, look, picture
from tests.support.console_station import ConsoleStation, console
from tests.support.processes import killed, stopped

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
PHONE: Any = {"width": 320, "height": 640}


def test_an_acknowledgement_is_said_once_and_recorded_by_both_sides(station: ConsoleStation, visits: Visits) -> None:
    reference = alert(station)
    page = officer(visits, station, "ndmc", "duty-1")
    message(page, station, "ndmc", reference)
    acknowledge = form(page, "acknowledge")
    fill(acknowledge, station, "ndmc", "duty-1", decision="understood", en="Thank you.")
    expect(acknowledge.locator(".sentence")).to_have_text(f"You say, as duty-1, to eucom, of {reference}: understood")
    acknowledge.locator(".buttons button").dblclick()
    assert re.search(r"in ndmc/1/\d+: acknowledged .*understood", said(page))
    acts(station, reference, {"act": "acknowledged", "officer": "duty-1", "decision": "understood"})
    expect(page.locator(".ladder")).to_contain_text("Thank you.")
    # back, and forward again, say nothing
    page.go_back()
    page.go_forward()
    page.reload()
    assert form(page, "acknowledge").locator(".credential").input_value() == ""
    acts(station, reference, {"act": "acknowledged"})


def test_a_refusal_refers_to_another_channel(station: ConsoleStation, visits: Visits) -> None:
    reference = alert(station)
    page = officer(visits, station, "ndmc", "duty-1")
    look(page, lang="ru", theme="dark")
    message(page, station, "ndmc", reference)
    refuse = form(page, "refuse")
    fill(refuse, station, "ndmc", "duty-1", reason="out_of_scope", ru="Обратитесь по другому каналу.")
    send(refuse)
    # a refusal as out of scope says where the matter belongs
    expect(refuse.locator(".problem")).to_be_focused()
    expect(refuse.locator("[name=referral]")).to_have_attribute("aria-invalid", "true")
    assert not faults(page)
    picture(page, "act-refuse-wrong-ru-dark", whole=True)
    channel = refuse.locator("[name=referral] option").nth(1).get_attribute("value") or ""
    fill(refuse, station, "ndmc", "duty-1", referral=channel)
    expect(refuse.locator(".sentence")).to_contain_text(channel)
    send(refuse)
    assert channel in said(page)
    acts(station, reference, {"act": "refused", "officer": "duty-1", "reason": "out_of_scope"})
    expect(page.locator("details.act")).to_have_count(0)


def test_a_cancellation_shows_its_prepared_text_before_it_is_said(station: ConsoleStation, visits: Visits) -> None:
    reference = alert(station, cancellation={"en": "It was a false alarm.", "ru": "Тревога ложная."})
    page = officer(visits, station, "eucom", "watch-1")
    message(page, station, "eucom", reference)
    cancel = form(page, "cancel")
    expect(cancel.locator(".said").first).to_have_text("It was a false alarm.")
    fill(cancel, station, "eucom", "watch-1")
    send(cancel)
    assert "cancelled" in said(page)
    acts(station, reference, {"act": "cancelled", "officer": "watch-1"})
    station.until(lambda: station.alert_state("ndmc", reference) == "cancelled")
    assert station.snapshot("ndmc")["alerts"][-1]["alert"]["text"]["en"] == "It was a false alarm."
    expect(page.locator("details.act")).to_have_count(0)


def test_alarms_are_acknowledged_one_by_one(station: ConsoleStation, visits: Visits) -> None:
    page = officer(visits, station, "ndmc", "duty-1")
    name = alarm(station, "ndmc")
    page.goto(station.screen("ndmc", "alarms"))
    expect(page.locator("html[data-acts]")).to_be_attached()
    row = page.locator("article.alarm", has_text=name)
    row.locator("summary").click()
    expect(page.get_by_role("button", name=re.compile("all", re.IGNORECASE))).to_have_count(0)
    assert not faults(page)
    picture(page, "act-alarm-en-light")
    fill(row.locator("form"), station, "ndmc", "duty-1")
    send(row.locator("form"))
    assert name in said(page)
    expect(row.locator("details.act")).to_have_count(0)
    station.until(lambda: name not in station.alarms("ndmc") or "acknowledged_at" in station.alarms("ndmc")[name])
    (record,) = [each for each in station.records("ndmc", "AlarmAcknowledged") if each["officer"] == "duty-1"]
    assert f"{record['code']}/{record['subject']}" == name
    assert not station.records("eucom", "AlarmAcknowledged")


def alarm(station: ConsoleStation, side: str) -> str:
    """Let an alert wait for longer than its deadline; return the name of the alarm."""
    reference = station.alert(other(side), precedence="priority")
    station.until(lambda: station.alert_state(side, reference) == "received")
    station.forward(10_810, rate=2_000)
    station.alarm(side, f"alert_unacknowledged/{reference}")
    return f"alert_unacknowledged/{reference}"


# --- what is lost on the way --------------------------------------------------------------------------------------


def test_an_endpoint_that_dies_before_its_answer_is_asked_again_and_says_it_once(
    station: ConsoleStation, visits: Visits
) -> None:
    reference = alert(station)
    page = officer(visits, station, "ndmc", "duty-1")
    station.stop("ndmc")
    # it will be in the journal, and nobody will have been told
    station.start("ndmc", **{VARIABLE: "before_answer"})
    try:
        message(page, station, "ndmc", reference)
        acknowledge = form(page, "acknowledge")
        expect(acknowledge.locator(".buttons button")).to_be_enabled(timeout=30_000)
        fill(acknowledge, station, "ndmc", "duty-1", decision="acting", en="On our way.")
        send(acknowledge)
        expect(acknowledge.locator(".problem")).to_contain_text("nothing is said twice", timeout=30_000)
        # what was asked for can't change while nobody knows whether it was said
        expect(acknowledge.locator("[name='text.en']")).not_to_be_editable()
        picture(page, "act-unknown-en-light", whole=True)
        page.reload()
        acknowledge = form(page, "acknowledge")
        expect(acknowledge.locator("[name='text.en']")).to_have_value("On our way.")
        expect(acknowledge.locator("[name='text.en']")).not_to_be_editable()
    finally:
        station.processes.pop("ndmc").end(signal.SIGKILL)
        station.start("ndmc")
    expect(acknowledge.locator(".buttons button")).to_be_enabled(timeout=30_000)
    fill(acknowledge, station, "ndmc", "duty-1")
    send(acknowledge)
    assert "acting" in said(page)
    acts(station, reference, {"act": "acknowledged", "officer": "duty-1", "decision": "acting"})


def test_a_console_that_dies_meanwhile_is_asked_again_by_the_page_itself(
    station: ConsoleStation, visits: Visits
) -> None:
    reference = alert(station)
    page = officer(visits, station, "ndmc", "duty-1")
    message(page, station, "ndmc", reference)
    acknowledge = form(page, "acknowledge")
    fill(acknowledge, station, "ndmc", "duty-1", decision="understood")
    with stopped(station, "ndmc"):
        send(acknowledge)
        expect(acknowledge.locator(".why-not")).to_be_visible()
        station.kill(console("ndmc"))
        try:
            expect(acknowledge.locator(".problem")).to_contain_text("asks again by itself", timeout=30_000)
        finally:
            station.open_console("ndmc")
    assert "understood" in said(page)
    acts(station, reference, {"act": "acknowledged", "officer": "duty-1"})


def test_nobody_acts_on_a_screen_whose_endpoint_is_gone(station: ConsoleStation, visits: Visits) -> None:
    reference = alert(station)
    page = officer(visits, station, "ndmc", "duty-1")
    message(page, station, "ndmc", reference)
    acknowledge = form(page, "acknowledge")
    fill(acknowledge, station, "ndmc", "duty-1", decision="understood", en="Kept.")
    with killed(station, "ndmc"):
        expect(acknowledge.locator(".why-not")).to_have_text(re.compile("endpoint"), timeout=30_000)
        expect(acknowledge.locator(".buttons button")).to_be_disabled()
    expect(acknowledge.locator(".buttons button")).to_be_enabled(timeout=30_000)
    expect(acknowledge.locator("[name='text.en']")).to_have_value("Kept.")
    send(acknowledge)
    said(page)
    acts(station, reference, {"act": "acknowledged", "officer": "duty-1"})


# --- how it looks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lang", "theme"), [("en", "light"), ("en", "dark"), ("ru", "light"), ("ru", "dark")])
def test_each_form_is_accessible_and_fits(lang: str, theme: str, station: ConsoleStation, visits: Visits) -> None:
    own, theirs = alert(station, "ndmc"), alert(station, "eucom")
    page = officer(visits, station, "ndmc", "duty-1")
    look(page, lang=lang, theme=theme)
    found = []
    for name, reference, kinds in (("theirs", theirs, ("acknowledge", "refuse")), ("own", own, ("cancel",))):
        message(page, station, "ndmc", reference)
        for kind in kinds:
            form(page, kind)
        found += faults(page)
        picture(page, f"act-{name}-{lang}-{theme}", whole=True)
        page.set_viewport_size(PHONE)
        if page.evaluate("() => document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(f"{name} scrolls sideways")
        picture(page, f"act-{name}-{lang}-{theme}-phone", whole=True)
        page.set_viewport_size({"width": 1280, "height": 800})
    assert not found
