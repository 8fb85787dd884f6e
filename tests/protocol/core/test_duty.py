"""The watch of officers (SPEC W7), the comparison of the link file (E1.8), a side's own words (B2.4)."""

from typing import Any

import pytest
from msgspec import structs, to_builtins

from protocol.core.duty import Confirmation, OnWatch
from protocol.core.events import SessionBegan, SessionEnded, Started, WatchLeft, WatchTaken
from protocol.core.link import Link
from protocol.core.observer import Observer
from protocol.core.start_events import EpochOpened, JournalRestored, LinkConfirmed, OfficersEnrolled, WordsChosen
from protocol.errors import LocalProtocolError
from protocol.wire.instants import written
from tests.support.cast import answer, test_line
from tests.support.playbook import Cue, event, on, play, wait
from tests.support.world import HOUR, MINUTE, START, TERMS, End, Line, terms

DIGEST = "0123456789abcdef" * 4
MINE = "Говорит Москва. Проверка линии. Как слышите?"


def take(officer: str, request: str = "r-take", **fields: Any) -> Cue:
    return event(WatchTaken, request=request, officer=officer, **fields)


def leave(officer: str, request: str = "r-leave") -> Cue:
    return event(WatchLeft, request=request, officer=officer, why="log-out")


def refused(end: End, cue: Cue) -> LocalProtocolError:
    ((kind, fields),) = cue.happenings
    with pytest.raises(LocalProtocolError) as found:
        end.core.handle(kind(at=end.at, mono=end.mono, **fields))
    return found.value


def began(officer: str | None = "watch-1", request: str = "r-began", role: str = "officer") -> Cue:
    named = {} if officer is None else {"officer": officer}
    return event(SessionBegan, request=request, session="session-1", role=role, **named)


def ended(officer: str | None = "watch-1", request: str = "r-ended", role: str = "officer") -> Cue:
    named = {} if officer is None else {"officer": officer}
    return event(SessionEnded, request=request, session="session-1", role=role, why="log-out", **named)


# --- sessions of consoles -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("officer", "role"), [("watch-1", "officer"), (None, "board"), (None, "investigator")])
def test_a_session_is_in_the_record_and_changes_nothing(officer: str | None, role: str) -> None:
    """SPEC W7.1"""
    end = End.started(quiet=True)
    before = end.core.snapshot()
    play(end, began(officer, role=role))
    play(end, ended(officer, role=role))
    assert end.core.reference_of("r-began") == end.core.reference_of("r-ended") == "session/session-1"
    assert structs.replace(end.core.snapshot(), at=before.at) == before
    assert not end.outbox.last
    assert refused(end, began(officer, role=role)).code == "repeated_request"


@pytest.mark.parametrize(
    "cue", [began(None), began("watch-1", role="board"), ended(None), ended("watch-1", role="investigator")]
)
def test_a_session_names_an_officer_if_it_is_an_officer_s(cue: Cue) -> None:
    """SPEC W7.1"""
    assert refused(End.started(quiet=True), cue).code == "wrong_event"


def test_only_an_enrolled_officer_begins_a_session_and_it_ends_when_they_are_removed() -> None:
    """SPEC W7.1"""
    end = End.started(quiet=True)
    play(end, began("watch-1", "1"))
    play(end, event(OfficersEnrolled, officers={"watch-2": "0" * 64}))
    assert refused(end, began("watch-1", "2")).code == "not_authorised"
    play(end, ended("watch-1", "3"))


def test_the_watch_has_no_sessions() -> None:
    """SPEC W7.1"""
    end = End(Observer.new(TERMS.link), quiet=True)
    end.start(opened=TERMS)
    assert refused(end, began()).code == "unexpected_event"


# --- the watch ----------------------------------------------------------------------------------------------------


def test_the_watch_is_taken_handed_over_and_left() -> None:
    """SPEC W7"""
    end = End.started(quiet=True)
    assert end.core.snapshot().on_watch is None
    play(end, take("watch-1", "1"))
    assert end.core.snapshot().on_watch == OnWatch("watch-1", written(START))
    assert end.core.reference_of("1") == "watch/watch-1"
    play(end, wait(HOUR))
    play(end, take("watch-2", "2", relieves="watch-1"))
    assert end.core.snapshot().on_watch == OnWatch("watch-2", written(START + HOUR))
    end.crash()
    end.start()
    assert end.core.snapshot().on_watch == OnWatch("watch-2", written(START + HOUR))
    play(end, leave("watch-2", "3"))
    assert end.core.snapshot().on_watch is None
    assert end.core.reference_of("3") == "watch/watch-2"
    assert not end.outbox.last


@pytest.mark.parametrize("relieves", [{}, {"relieves": "watch-1"}])
def test_who_has_the_watch_may_take_it_again_and_has_it_since_the_first_time(relieves: dict[str, str]) -> None:
    """SPEC W7"""
    end = End.started(quiet=True)
    play(end, take("watch-1", "1"))
    play(end, wait(HOUR))
    play(end, take("watch-1", "2", **relieves))
    assert end.core.snapshot().on_watch == OnWatch("watch-1", written(START))


@pytest.mark.parametrize(
    ("before", "cue", "text"),
    [
        ([], take("watch-1", relieves="watch-2"), "watch-2 is not on watch, nor is anybody: relieve nobody"),
        ([], leave("watch-1"), "watch-1 is not on watch, nor is anybody"),
        ([take("watch-1", "1")], take("watch-2"), f"watch-1 is on watch since {written(START)}: relieve watch-1"),
        ([take("watch-1", "1")], take("watch-2", relieves="watch-3"), f"watch-1 is on watch since {written(START)}"),
        ([take("watch-1", "1")], take("watch-1", relieves="watch-3"), f"watch-1 is on watch since {written(START)}"),
        ([take("watch-1", "1")], leave("watch-2"), f"is not on watch: watch-1 is on watch since {written(START)}"),
    ],
)
def test_a_conflict_names_who_has_the_watch_since_when(before: list[Cue], cue: Cue, text: str) -> None:
    """SPEC W7"""
    end = End.started(quiet=True)
    for each in before:
        play(end, each)
    play(end, cue, "refused: conflict")
    assert text in str(refused(end, cue))


def test_the_independent_watch_has_no_officers_and_no_words() -> None:
    """SPEC W6, W7"""
    watch = End(Observer.new("eucom-ndmc"))
    watch.start(opened=TERMS)
    for cue in (take("watch-1"), leave("watch-1"), event(WordsChosen, test_text=MINE)):
        assert refused(watch, cue).code == "unexpected_event"
    assert watch.core.snapshot().on_watch is None


def test_an_officer_who_is_removed_loses_the_watch() -> None:
    """SPEC W7"""
    end = End.started(quiet=True)
    roster = dict.fromkeys(("watch-1", "watch-2"), "0" * 64)
    end.happens((OfficersEnrolled, {"officers": roster}))
    play(end, take("watch-1", "1"))
    end.happens((OfficersEnrolled, {"officers": {"watch-1": "1" * 64}}))
    assert end.core.snapshot().on_watch == OnWatch("watch-1", written(START))
    end.happens((OfficersEnrolled, {"officers": {"watch-2": "0" * 64}}))
    assert end.core.snapshot().on_watch is None
    play(end, take("watch-2", "2"))
    assert end.core.snapshot().on_watch == OnWatch("watch-2", written(START))


def test_an_officer_removed_under_rules_4_kept_the_watch() -> None:
    """SPEC W7"""
    end = End.started(quiet=True)
    play(end, take("watch-1", "1"))
    removed = OfficersEnrolled(at=end.at, mono=end.mono, officers={"watch-2": "0" * 64})
    end.core.handle(removed, rules=4)
    assert end.core.snapshot().on_watch == OnWatch("watch-1", written(START))
    play(end, take("watch-2", "2", relieves="watch-1"))


# --- the comparison of the link file ------------------------------------------------------------------------------


def compared(digest: str = DIGEST, officer: str = "watch-1") -> Cue:
    return event(LinkConfirmed, officer=officer, digest=digest, compared_at=written(START), first_word=7)


def test_a_comparison_counts_for_its_epoch() -> None:
    """SPEC E1.8"""
    end = End.started(quiet=True)
    assert end.core.snapshot().confirmed is None
    play(end, compared())
    confirmation = Confirmation("watch-1", written(START), DIGEST, 7)
    assert end.core.snapshot().confirmed == end.link.confirmed == confirmation
    end.crash()
    end.start()
    assert end.link.confirmed == confirmation
    end.happens((EpochOpened, {"terms": structs.replace(TERMS, epoch=2)}))
    assert end.core.snapshot().confirmed is None


def test_only_an_enrolled_officer_compares_and_the_watch_does_not() -> None:
    """SPEC P1.5, E1.8"""
    end = End.started(quiet=True)
    end.happens((OfficersEnrolled, {"officers": {"watch-2": DIGEST}}))
    assert refused(end, compared()).code == "not_authorised"
    watch = End(Observer.new("eucom-ndmc"))
    watch.start(opened=TERMS)
    assert refused(watch, compared()).code == "unexpected_event"


def test_a_restored_journal_says_so_and_changes_nothing() -> None:
    """SPEC E2.3"""
    watch = End(Observer.new("eucom-ndmc"))
    watch.start(opened=TERMS)
    for end in (End.started(quiet=True), watch):
        before = end.core.checkpoint()
        end.happens((JournalRestored, {"restored_at": written(START), "records": 3, "head": DIGEST}))
        assert end.core.checkpoint() == before


# --- words --------------------------------------------------------------------------------------------------------


def test_each_side_speaks_in_its_own_words() -> None:
    """SPEC B2.4"""
    line = Line(quiet=True)
    line.ndmc.happens((WordsChosen, {"test_text": MINE, "answer_text": "Москва на связи."}))
    for side, text in (("eucom", TERMS.policy.test_text), ("ndmc", MINE)):
        line.end(side).happens(*test_line().happenings)
        assert line.end(side).core.snapshot().tests[-1].heartbeat.text == text
    line.settle()
    for name, of, text in (("ndmc", "eucom/1/1", "Москва на связи."), ("eucom", "ndmc/1/1", TERMS.policy.answer_text)):
        line.end(name).happens(*answer(of).happenings)
        line.settle()
        tests = {test.reference: test for test in line.eucom.core.snapshot().tests}
        found = tests[of].answer
        assert found is not None
        assert found.text == text
    line.eucom.happens(*test_line().happenings)
    line.settle()
    line.ndmc.happens(*answer("eucom/1/3", text="По-другому.").happenings)
    assert to_builtins(line.ndmc.core.snapshot().tests[-1].answer)["text"] == "По-другому."


def test_the_service_places_and_answers_in_its_sides_words() -> None:
    """SPEC B2.4, B2.2, W1.3"""
    line = Line(terms(answered_by="service"))
    line.eucom.happens((WordsChosen, {"test_text": "Говорит Висбаден."}))
    line.ndmc.happens((WordsChosen, {"answer_text": "Москва слышит."}))
    line.world.wait(10 * MINUTE)
    line.settle()
    (test,) = line.eucom.core.snapshot().tests
    assert test.heartbeat.text == "Говорит Висбаден."
    assert test.answer is not None
    assert test.answer.text == "Москва слышит."


def test_words_come_before_the_start_and_are_the_policys_again_without() -> None:
    """SPEC B2.4, W5.2"""
    end = End(Link.new("eucom-ndmc", "eucom"), quiet=True)
    end.core.handle(WordsChosen(at=end.at, mono=end.mono, test_text=MINE, answer_text="x"))
    assert not end.core.last_at
    end.start(opened=TERMS)
    assert (end.link.words.test_text, end.link.words.answer_text) == (MINE, "x")
    end.happens((WordsChosen, {"answer_text": "y"}))
    assert (end.link.words.test_text, end.link.words.answer_text) == (None, "y")
    end.happens((Started, {"software": "again", **end.planned(end.at)}))
    play(end, test_line(), "Queue 1 heartbeat")
    assert end.core.snapshot().tests[0].heartbeat.text == TERMS.policy.test_text


def test_the_words_of_one_side_do_not_move_the_policy() -> None:
    """SPEC B2.4, E1.2"""
    line = Line(quiet=True)
    before = line.eucom.core.snapshot().policy
    play(line, on("eucom", event(WordsChosen, test_text=MINE)))
    assert line.eucom.core.snapshot().policy == before == line.ndmc.core.snapshot().policy
