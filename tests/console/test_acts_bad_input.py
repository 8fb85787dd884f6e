"""What people type and press in error: one clear sentence, nothing typed is lost, nothing unmeant is said."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.support.act_forms import acts, alert, fill, form, message, officer, said, send
from tests.support.browser import Visits, look, picture
from tests.support.console_station import ConsoleStation
from tests.support.failing_disk import Injection
from tests.support.raw_browser import client, one_sentence, session_cookie

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

REFUSED = {
    "too long": "х" * 4_001,
    "huge": "ж" * 50_000,
    "a control character": "громко\u0007тихо",
    "an escape code": "\u001b[31mred",
    "a tab": "one\ttwo",
    "a letter of tomorrow": "\U0001fae9",
}
SAID = {
    "markup": "</textarea></form><script>window.deceived = true</script><b>x</b>",
    "right to left": "\u202eсрочно\u202c أبحرت السفينة",
    "emoji": "👍🏽 👨‍👩‍👧 принято",
    "braces": "{decision} {{ 7 * 7 }} %s ${x}",
    "many lines": "one\n\n\ntwo\n" * 20,
}


@pytest.fixture(scope="module")
def reference(station: ConsoleStation) -> str:
    return alert(station)


def opened(visits: Visits, station: ConsoleStation, reference: str, lang: str = "en") -> Page:
    page = officer(visits, station, "ndmc", "duty-1")
    look(page, lang=lang)
    message(page, station, "ndmc", reference)
    return page


def test_each_text_that_cannot_be_sent_is_named_beside_its_field(
    station: ConsoleStation, visits: Visits, reference: str
) -> None:
    for lang in ("en", "ru"):
        page = opened(visits, station, reference, lang)
        acknowledge = form(page, "acknowledge")
        for kind, text in REFUSED.items():
            fill(acknowledge, station, "ndmc", "duty-1", decision="understood", ru=text)
            send(acknowledge)
            expect(acknowledge.locator(".problem")).to_be_focused()
            sentence = acknowledge.locator(".problem").inner_text()
            assert sentence, kind
            assert "\n" not in sentence, kind
            assert re.search("[а-я]" if lang == "ru" else "character|longer", sentence), sentence
            expect(acknowledge.locator("[name='text.ru']")).to_have_value(text)
            expect(acknowledge.locator(".credential")).to_have_value("")
    picture(page, "act-bad-text-ru", whole=True)
    acts(station, reference)


def test_an_empty_form_names_what_is_missing(station: ConsoleStation, visits: Visits, reference: str) -> None:
    page = opened(visits, station, reference)
    acknowledge = form(page, "acknowledge")
    send(acknowledge)
    expect(acknowledge.locator("fieldset .wrong")).to_have_text("choose one")
    acknowledge.locator("[value=understood]").check()
    send(acknowledge)
    expect(acknowledge.locator(".credential + .wrong")).to_have_text("type your credential")
    # the key that sends leads to the credential, never past it
    acknowledge.locator("textarea").first.press("Control+Enter")
    expect(acknowledge.locator(".credential")).to_be_focused()
    acts(station, reference)


def test_a_wrong_credential_says_nothing_and_names_nobody(
    station: ConsoleStation, visits: Visits, reference: str
) -> None:
    page = opened(visits, station, reference)
    acknowledge = form(page, "acknowledge")
    fill(acknowledge, station, "ndmc", "duty-1", decision="understood", en="Kept.")
    acknowledge.locator(".credential").fill(station.credential("ndmc", "duty-2"))
    send(acknowledge)
    expect(acknowledge.locator(".problem")).to_contain_text("not enrolled here", timeout=30_000)
    assert "duty-2" not in acknowledge.locator(".problem").inner_text()
    expect(acknowledge.locator("[name='text.en']")).to_have_value("Kept.")
    expect(acknowledge.locator(".credential")).to_have_value("")
    acts(station, reference)


def test_what_others_would_take_for_code_is_said_as_it_was_typed(station: ConsoleStation, visits: Visits) -> None:
    for text in SAID.values():
        reference = alert(station)
        page = opened(visits, station, reference)
        acknowledge = form(page, "acknowledge")
        fill(acknowledge, station, "ndmc", "duty-1", decision="understood", en=text)
        send(acknowledge)
        said(page)
        assert page.evaluate("() => window.deceived === undefined")
        acts(station, reference, {"act": "acknowledged", "officer": "duty-1"})
        reply = next(each["reply"] for each in station.snapshot("eucom")["alerts"] if each["reference"] == reference)
        assert reply["text"]["en"] == text.rstrip("\n") or reply["text"]["en"] == text


def test_a_link_that_stops_in_mid_act_is_asked_again_and_says_it_once(station: ConsoleStation, visits: Visits) -> None:
    reference = alert(station)
    page = opened(visits, station, reference)
    acknowledge = form(page, "acknowledge")
    fill(acknowledge, station, "ndmc", "duty-1", decision="understood", en="Kept.")
    with Injection(station.processes["ndmc"].popen.pid, "fdatasync", "error=EIO"):
        send(acknowledge)
        # what the disk has kept is not known: the page goes on asking for the same act
        expect(acknowledge.locator(".problem")).to_contain_text("nothing is said twice", timeout=30_000)
        expect(acknowledge.locator("[name='text.en']")).to_have_value("Kept.")
    said(page)
    acts(station, reference, {"act": "acknowledged", "officer": "duty-1"})


def test_a_session_that_has_ended_leaves_the_text_in_the_page_and_nowhere_else(
    station: ConsoleStation, visits: Visits, reference: str
) -> None:
    page = opened(visits, station, reference)
    acknowledge = form(page, "acknowledge")
    fill(acknowledge, station, "ndmc", "duty-1", decision="understood", en="Kept.")
    assert page.evaluate("() => sessionStorage.length") == 1
    assert station.credential("ndmc", "duty-1") not in page.evaluate("() => JSON.stringify(sessionStorage)")
    station.end_sessions("ndmc")
    expect(acknowledge.locator(".why-not")).to_contain_text("session has ended", timeout=30_000)
    expect(acknowledge.locator(".buttons button")).to_be_disabled()
    expect(acknowledge.locator("[name='text.en']")).to_have_value("Kept.")
    assert page.evaluate("() => sessionStorage.length") == 0
    acts(station, reference)


def test_an_officer_who_is_removed_can_no_longer_act(station: ConsoleStation, visits: Visits, reference: str) -> None:
    config, leaver = str(station.config("ndmc")), "duty-7"
    file = station.credential_file("ndmc", leaver)
    done = station.deconflict("officer", "add", config, leaver, "--credential-file", str(file))
    assert done.returncode == 0, done.stderr
    page = officer(visits, station, "ndmc", leaver)
    message(page, station, "ndmc", reference)
    acknowledge = form(page, "acknowledge")
    fill(acknowledge, station, "ndmc", leaver, decision="understood")
    done = station.deconflict("officer", "remove", config, leaver, "--yes")
    assert done.returncode == 0, done.stderr
    expect(acknowledge.locator(".buttons button")).to_be_disabled(timeout=30_000)
    acts(station, reference)


# --- what no page of the console sends ----------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["board", "investigator", ""])
def test_a_reader_who_is_no_officer_has_no_forms_and_cannot_act(
    role: str, station: ConsoleStation, visits: Visits, reference: str
) -> None:
    cookie = session_cookie(station, "ndmc", role) if role else ""
    origin = station.origin("ndmc")
    headers = {"origin": origin, "sec-fetch-site": "same-origin"}
    with client(station, "ndmc", cookie=cookie) as browser:
        answer = browser.post(
            "/links/eucom-ndmc/acts/acknowledge",
            json={
                "request": "request-1",
                "of": reference,
                "decision": "understood",
                "credential": "x",
                "seen": "0" * 64,
            },
            headers=headers,
        )
        assert answer.status_code == (403 if role else 401)
        assert answer.json()["why"]
    if role == "investigator":
        page = visits.enter(station, "ndmc", role)
        page.goto(station.screen("ndmc", "messages", reference))
        expect(page.locator("main h1").first).to_be_attached()
        expect(page.locator("form[data-act], details.act")).to_have_count(0)
    acts(station, reference)


def test_a_form_of_another_site_and_a_plain_form_are_refused(
    station: ConsoleStation, visits: Visits, reference: str
) -> None:
    page = officer(visits, station, "ndmc", "duty-1")
    cookie = "; ".join(f"{each['name']}={each['value']}" for each in page.context.cookies())
    path, origin = "/links/eucom-ndmc/acts/acknowledge", station.origin("ndmc")
    own = {"origin": origin, "sec-fetch-site": "same-origin"}
    document = {"request": "request-1", "of": reference, "decision": "understood", "credential": "x", "seen": "0" * 64}
    with client(station, "ndmc", cookie=cookie) as browser:
        for headers in ({}, {**own, "origin": "https://evil.example"}, {**own, "sec-fetch-site": "cross-site"}):
            answer = browser.post(path, json=document, headers=headers)
            assert answer.status_code == httpx.codes.FORBIDDEN
            one_sentence(answer)
        assert browser.post(path, data=document, headers=own).status_code == httpx.codes.UNSUPPORTED_MEDIA_TYPE
        answer = browser.post(path, content=b"x" * 70_000, headers=own | {"content-type": "application/json"})
        assert answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE
        one_sentence(answer)
        answer = browser.post(path, json=document, headers=own)
        assert (answer.status_code, answer.json()["error"]) == (httpx.codes.FORBIDDEN, "not_authorised")
    acts(station, reference)
