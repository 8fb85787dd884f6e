"""What pages send for the acts of a watch: each mistake of a person is found in its field, before anybody is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from endpoints.console.act_document import ActDocument
from endpoints.console.acts_on_watch import AnswerAct, LeaveWatchAct, PlaceTestAct, TakeWatchAct
from endpoints.console.facts import Facts
from endpoints.inputs.field_error import FieldError
from endpoints.texts.i18n import translator
from protocol.core.events import LineTestRequested
from tests.support.console_facts import facts_of
from tests.support.exchange import Exchange
from tests.support.small_day import SLOT, begun
from tests.support.world import MINUTE

EN = translator("en")
NAMED = {"request": "request-1", "credential": "secret"}
HEARD = {"sound": "heard", "read": "yes"}
SEEN = "0" * 64


@pytest.fixture
async def facts(tmp_path: Path) -> Facts:
    """Return what the answering side knows of a test that has just come."""
    exchange: Exchange = begun(tmp_path)
    # three words that differ
    exchange.ask("eucom", LineTestRequested, nonce="0a1b2c0000000000")
    exchange.settle()
    return structs.replace(await facts_of(exchange, "ndmc"), officer="duty-1")


def words(facts: Facts) -> tuple[str, ...]:
    assert facts.snapshot is not None
    return facts.snapshot.tests[0].heartbeat.challenge


def wrong(document: ActDocument, facts: Facts) -> tuple[str, str]:
    with pytest.raises(FieldError) as error:
        document.ask(facts, EN)
    return error.value.field, str(error.value.why)


async def test_the_answer_has_the_words_as_the_test_has_them(facts: Facts) -> None:
    typed = tuple(f" {word.upper()}. " for word in words(facts))
    asked = AnswerAct(**NAMED, of="eucom/1/1", words=typed, text="  ", seen=SEEN).ask(facts, EN)
    assert asked.action == "answer"
    assert asked.fields == {"of": "eucom/1/1", "words": words(facts), "seen": SEEN}
    spoken = AnswerAct(**NAMED, of="eucom/1/1", words=words(facts), text="Слышу.", seen=SEEN)
    assert spoken.ask(facts, EN).fields["text"] == "Слышу."


async def test_what_is_wrong_with_an_answer_is_said_at_its_field(facts: Facts) -> None:
    right = {**NAMED, "of": "eucom/1/1", "words": words(facts), "seen": SEEN}
    first, second, third = words(facts)

    def of(**fields: Any) -> tuple[str, str]:
        return wrong(AnswerAct(**(right | fields)), facts)

    assert of(words=())[0] == "words.0"
    assert of(words=(first, third, second)) == (
        "words.1",
        f"word 2: {third!r} is not the word of the test; read it again",
    )
    assert of(words=(first, second)) == ("words.2", "word 3: type it")
    assert of(text="a\u0000b")[0] == "text"
    assert of(text="x" * 4_001)[0] == "text"
    assert of(seen="")[0] == "seen"
    for unknown in ("ndmc/1/1", "eucom/1/2", "\u202e" * 4_000, ""):
        assert of(of=unknown)[0] == "of"


async def test_a_late_answer_says_so(facts: Facts) -> None:
    document = AnswerAct(**NAMED, of="eucom/1/1", words=words(facts), seen=SEEN)
    assert document.said("ndmc/1/1", facts, EN) == "You have answered the line test eucom/1/1, in ndmc/1/1."
    later = structs.replace(facts, now=facts.now + 11 * MINUTE)
    assert document.said("ndmc/1/1", later, EN).endswith("Its time ended at 08:09:00 UTC: the answer counts as late.")


async def test_a_test_names_its_slot_or_none(facts: Facts) -> None:
    assert PlaceTestAct(**NAMED, slot=SLOT).ask(facts, EN) == ("test", {"slot": SLOT})
    assert PlaceTestAct(**NAMED).ask(facts, EN) == ("test", {"slot": None})


@pytest.mark.parametrize(
    ("fields", "field", "why"),
    [
        ({}, "sound", "choose one"),
        ({"sound": "loud"}, "sound", "choose one"),
        ({"sound": "heard"}, "read", "read the sheet first"),
        ({"sound": "elsewhere", "read": "yes"}, "listens", "the text is empty"),
        ({"sound": "elsewhere", "listens": "x" * 201, "read": "yes"}, "listens", "the text has 201 characters"),
        ({**HEARD, "incoming": "Duty 2"}, "incoming", "expected the id of an officer"),
        ({**HEARD, "incoming": "d" * 33}, "incoming", "expected the id of an officer"),
        ({**HEARD, "incoming": "дежурный"}, "incoming", "expected the id of an officer"),
        ({**HEARD, "incoming": "duty-2\n"}, "", ""),
        ({**HEARD, "relieves": "duty-1"}, "incoming", "duty-1 has the watch already"),
    ],
)
async def test_the_watch_is_taken_with_sounds_and_sheet(
    fields: dict[str, Any], field: str, why: str, facts: Facts
) -> None:
    document = TakeWatchAct(**NAMED, **fields)
    if not field:
        assert document.ask(facts, EN) == ("take-watch", {})
        assert document.officer(facts) == "duty-2"
        return
    found = wrong(document, facts)
    assert (found[0], found[1][: len(why)]) == (field, why)


async def test_who_is_relieved_is_named(facts: Facts) -> None:
    document = TakeWatchAct(**NAMED, **HEARD, relieves="duty-2")
    assert document.ask(facts, EN) == ("take-watch", {"relieves": "duty-2"})
    assert document.officer(facts) == "duty-1"
    assert document.said("watch/duty-1", facts, EN) == "duty-1 has the watch of eucom-ndmc."


async def test_the_watch_is_left_with_a_reason(facts: Facts) -> None:
    assert LeaveWatchAct(**NAMED, why="end of duty").ask(facts, EN) == ("leave-watch", {"why": "end of duty"})
    for why in ("", "  ", "x" * 201, "a\u001b[2J"):
        assert wrong(LeaveWatchAct(**NAMED, why=why), facts)[0] == "why"
