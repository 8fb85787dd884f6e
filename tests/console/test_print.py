"""Paper: black on white, the frame's word and the page's number on each page, and nothing cut off, whatever it says."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Page, expect
from pypdf import PdfReader

from tests.support.browser import PICTURES, Visits, look
from tests.support.console_station import ConsoleStation

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

OFFICER = "watch-1"
A4_POINTS = (595, 842)
LETTERS = "Ж" * 3_990
LONG = "\n".join(f"Paragraph {number}: the situation at the plant has not changed since noon." for number in range(55))
HOSTILE = "<h1>FINE</h1><style>*{display:none}</style> שלום עולם مرحبا " + "ЙЦУКЕН " * 300
WORDS = "EXERCISE · УЧЕНИЕ"


class Said(NamedTuple):
    """Alerts whose texts are hard to print, by their references."""

    station: ConsoleStation
    letters: str
    long: str
    hostile: str


@pytest.fixture(scope="module")
def said(station: ConsoleStation) -> Said:
    def alert(side: str, en: str, ru: str) -> str:
        return station.alert(side, text={"en": en, "ru": ru}, expires_in_s=86_400)

    found = Said(
        station, alert("ndmc", "Letters.", LETTERS), alert("eucom", LONG, LONG), alert("ndmc", HOSTILE, HOSTILE)
    )
    station.each(
        (found.letters, found.hostile),
        lambda reference: station.alert_state("eucom", reference) == "received",
    )
    station.act("eucom", OFFICER, "acknowledge", of=found.letters, decision="understood")
    station.settled()
    return found


def paper(page: Page, name: str) -> PdfReader:
    """Return what the browser prints, without backgrounds, as a person's printer has it."""
    made = page.pdf(prefer_css_page_size=True, print_background=False)
    if "PICTURES" in os.environ:
        PICTURES.mkdir(parents=True, exist_ok=True)
        Path(PICTURES, f"{name}.pdf").write_bytes(made)
    return PdfReader(io.BytesIO(made))


def texts(pdf: PdfReader) -> list[str]:
    return [re.sub(r"\s+", " ", each.extract_text()) for each in pdf.pages]


def check(pdf: PdfReader, what: str, page_words: str = "page {n} of {m}", word: str = WORDS) -> str:
    """Assert what every page of paper has; return all of its text."""
    found = texts(pdf)
    for number, text in enumerate(found, 1):
        box = pdf.pages[number - 1].mediabox
        assert (round(box.width), round(box.height)) == A4_POINTS
        assert text.count(WORDS) >= 2, f"page {number}: {text}"
        assert word in text
        assert what in text
        assert page_words.format(n=number, m=len(found)) in text, text[-300:]
    return " ".join(found)


def opened(visits: Visits, said: Said, where: str, rest: str = "", lang: str = "en") -> Page:
    page = visits.enter(said.station, role=OFFICER)
    look(page, lang=lang, theme="dark")
    page.goto(said.station.screen("eucom", where, rest))
    expect(page.locator("main h1").first).to_be_attached()
    return page


def test_a_message_is_printed_with_both_texts_its_ladder_and_who_printed_it(said: Said, visits: Visits) -> None:
    page = opened(visits, said, "messages", said.letters)
    pdf = paper(page, "message-letters")
    whole = check(pdf, f"eucom-ndmc · {said.letters}")
    assert whole.count("Ж") == len(LETTERS), "no letter is cut off"
    assert "Letters." in whole
    assert "acknowledged" in whole.casefold()
    assert OFFICER in whole
    assert re.search(rf"printed 29 Nov 2022, \d\d:\d\d:\d\d UTC by {OFFICER} at eucom", whole)
    head = re.search(r"the journal up to record (\d+), hash ([0-9a-f ]+), in short ((?:[0-9a-f]{4} ?){4})", whole)
    assert head is not None
    digest = head[2].replace(" ", "")
    assert len(digest) == 64
    assert digest.startswith(head[3].replace(" ", ""))
    # nothing of the screen's own that paper can't use
    for word in ("Keys", "log out", "sound is off", "all messages"):
        assert word not in whole


def test_a_long_message_goes_on_over_several_pages(said: Said, visits: Visits) -> None:
    pdf = paper(opened(visits, said, "messages", said.long), "message-long")
    assert len(pdf.pages) >= 2
    whole = check(pdf, f"eucom-ndmc · {said.long}")
    for number in range(55):
        assert whole.count(f"Paragraph {number}:") == 2, "in both languages"


def test_markup_and_letters_from_right_to_left_stay_text_on_paper(said: Said, visits: Visits) -> None:
    whole = check(paper(opened(visits, said, "messages", said.hostile), "message-hostile"), said.hostile)
    assert "<h1>FINE</h1><style>*{display:none}</style>" in whole.replace(" ", "")
    assert whole.count("ЙЦУКЕН") == 600


def test_russian_paper_numbers_its_pages_in_russian(said: Said, visits: Visits) -> None:
    page = opened(visits, said, "messages", said.long, "ru")
    whole = check(paper(page, "message-long-ru"), said.long, "стр. {n} из {m}")
    assert "напечатано 29 нояб. 2022 г., " in whole.replace("\u202f", " ").replace("\xa0", " ")
    assert f"{OFFICER}, сторона eucom" in whole


@pytest.mark.parametrize("lang", ["en", "ru"])
def test_the_board_is_one_page(lang: str, said: Said, visits: Visits) -> None:
    page = opened(visits, said, "board", lang=lang)
    pdf = paper(page, f"board-{lang}")
    assert len(pdf.pages) == 1
    pages = "page {n} of {m}" if lang == "en" else "стр. {n} из {m}"
    whole = check(pdf, f"eucom-ndmc · {'Board' if lang == 'en' else 'Табло'}", pages)
    assert said.hostile in whole
    assert OFFICER in whole


def test_a_replay_says_on_each_page_that_it_is_not_now(said: Said, visits: Visits) -> None:
    page = opened(visits, said, "replay")
    word = page.locator(".edge-top").inner_text()
    assert "not now" in word
    whole = check(paper(page, "replay"), "eucom-ndmc · Replay", word=word)
    assert "the journal up to record" in whole


@pytest.mark.parametrize("lang", ["en", "ru"])
def test_the_sheet_of_a_hand_over_is_printed_whole(lang: str, said: Said, visits: Visits) -> None:
    page = opened(visits, said, "watch", lang=lang)
    pages = "page {n} of {m}" if lang == "en" else "стр. {n} из {m}"
    whole = check(paper(page, f"sheet-{lang}"), "eucom-ndmc · ", pages)
    assert said.hostile in whole
    assert OFFICER in whole
    assert page.locator("#sheet").is_visible()


def test_every_screen_has_the_word_and_the_number_on_each_page(said: Said, visits: Visits) -> None:
    page = opened(visits, said, "alarms")
    for name in ("alarms", "channels", "history", "messages", "settings"):
        page.goto(said.station.screen("eucom", name))
        expect(page.locator("main h1").first).to_be_attached()
        check(paper(page, name), "eucom-ndmc · ")


def test_paper_is_black_on_white_without_any_background(said: Said, visits: Visits) -> None:
    page = opened(visits, said, "board")
    page.emulate_media(media="print")
    colours = page.evaluate(
        """() => [...document.querySelectorAll("#live *, .edge *")]
            .filter((each) => each.checkVisibility() && each.textContent.trim())
            .map((each) => getComputedStyle(each).color)"""
    )
    for colour in set(colours):
        assert max(map(int, re.findall(r"\d+", colour)[:3])) <= 0x33, colour
    # a shape is told by its form, which is drawn, and never by a background
    marks = page.locator("#live .mark").evaluate_all(
        """all => all.filter((each) => each.checkVisibility()).map((each) => [
            getComputedStyle(each).backgroundImage, getComputedStyle(each).backgroundColor,
            getComputedStyle(each, "::after").content])"""
    )
    assert marks
    for image, colour, drawn in marks:
        assert (image, colour) == ("none", "rgba(0, 0, 0, 0)")
        assert drawn.strip('"')
