"""The line test: the slot to come, this side's own test, and the test of the other side that waits for an answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from msgspec import Struct

from endpoints.console.facts import Facts
from endpoints.console.frame import Level, duration_words
from endpoints.console.screen import Screen
from endpoints.console.screens.journal_notes import JournalNote, journal_notes
from endpoints.console.screens.moments import Moment, Moments
from endpoints.console.screens.slot_marks import SLOT_LEVELS, TEST_LEVELS
from endpoints.control.open_items import OPEN_TESTS, slot_to_place
from endpoints.texts.i18n import Translator
from endpoints.texts.read_back import CYRILLIC, LATIN, plain, scripts
from endpoints.texts.wording import age_warning
from protocol.core.snapshot import Snapshot, TestView
from protocol.core.staleness import staleness
from protocol.core.watch_state import SlotState, TestState
from protocol.record.ledger_entries import LedgerEntry
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import Reference, Utc

PAST_MAX: Final = 10
"""How many earlier slots and tests are listed: the history has all of them."""
_SECOND: Final[Millis] = 1_000
_LAYOUTS: Final = {"CYRILLIC": "cyrillic", "LATIN": "latin"}


class SlotCard(Struct, frozen=True, kw_only=True):
    """The slot that is open, or the next one.

    Attributes:
        slot: when it begins; `at` in words.
        ends: until when its test may be placed.
        opened: whether it has begun.
        waits_here: whether an officer of this side has to place its test now.
        who: who places the test, in words.
    """

    slot: Utc
    at: Moment
    ends: Utc
    opened: bool
    waits_here: bool
    who: str


class TestStep(Struct, frozen=True, kw_only=True):
    """One step of this side's test: what happened or is awaited, since or until when, within which time."""

    level: Level
    text: str
    at: Moment | None = None
    since: Utc | None = None
    until: Utc | None = None
    clock: str = ""
    limit: str = ""


class OwnTest(Struct, frozen=True, kw_only=True):
    """The last test of this side.

    Attributes:
        parts: of its reference.
        slot: that it was placed for; None for an unscheduled one.
        steps: how far it has come.
        answer: what the other side answered, and its language; empty before, and for a reader without texts.
    """

    parts: tuple[str, ...]
    slot: Moment | None
    steps: tuple[TestStep, ...]
    answer: str
    language: str


class TestToAnswer(Struct, frozen=True, kw_only=True):
    """The newest test of the other side that has no answer.

    Attributes:
        reference: `eucom/1/42`; `parts` are its parts, for an address.
        site: from where it comes.
        slot: that it was placed for; None for an unscheduled one.
        received: when it came.
        warning: what makes it old news.
        text, language: what the other side says.
        words: that the officer reads back; `plain` as they are compared.
        layout: of the keyboard on which they are typed: `cyrillic`, `latin`, or empty for another one.
        due: until when the answer is in time; `over` if that is past.
        answer: this side's own words, which the officer may change, in `answer_language`.
        others: references of earlier tests without an answer, which need none any more.
        seen: the digest of the test and its answers.
    """

    reference: str
    parts: tuple[str, ...]
    site: str
    slot: Moment | None
    received: Moment
    warning: str
    text: str
    language: str
    words: tuple[str, ...]
    plain: tuple[str, ...]
    layout: str
    due: Utc
    over: bool
    answer: str
    answer_language: str
    others: tuple[str, ...]
    seen: str


class PastTest(Struct, frozen=True, kw_only=True):
    """One earlier slot or unscheduled test.

    Attributes:
        level, state: how it ended, in words.
        at: the slot, or when an unscheduled test was placed or came.
        parts: of the test's reference; empty if none came.
        answered: when, and by `officer`.
    """

    level: Level
    state: str
    at: Moment
    parts: tuple[str, ...]
    answered: Moment | None
    officer: str


class LineTestView(Struct, frozen=True, kw_only=True):
    """What the screen shows.

    Attributes:
        known: whether the endpoint has said anything.
        peer, peer_site: the other side.
        caller: whether this side places the tests of the schedule.
        slot: the open or next slot; None if none is planned.
        place: the words of the test that an officer may place now.
        own: the last test of this side.
        to_answer: the test that waits for an answer here.
        answered: the other side's last test, if it was answered and none waits.
        past: earlier ones, newest first.
        latin, cyrillic: the letters of the keys on the two layouts.
        notes: what the journal lacks.
    """

    known: bool
    peer: str
    peer_site: str
    caller: bool
    slot: SlotCard | None
    place: str
    own: OwnTest | None
    to_answer: TestToAnswer | None
    answered: PastTest | None
    past: tuple[PastTest, ...]
    latin: str
    cyrillic: str
    notes: tuple[JournalNote, ...]


def view(facts: Facts, query: Mapping[str, str], t: Translator) -> LineTestView:
    """Return the line test."""
    del query
    terms, snapshot = facts.link.terms, facts.snapshot
    peer = terms.answering if facts.side == terms.caller else terms.caller
    moments = Moments(facts, t)
    return LineTestView(
        known=snapshot is not None,
        peer=peer,
        peer_site=facts.link.parties[peer].site,
        caller=facts.side == terms.caller,
        slot=None if snapshot is None else slot_card(snapshot, facts, t, moments),
        place=facts.settings.words.test_of(terms.policy),
        own=None if snapshot is None else _own(snapshot, facts, t, moments),
        to_answer=None if snapshot is None else _to_answer(snapshot, facts, t, moments),
        answered=None if snapshot is None else _answered(snapshot, facts, t, moments),
        past=() if snapshot is None else tuple(islice(_past(snapshot, t, moments), PAST_MAX)),
        latin=LATIN,
        cyrillic=CYRILLIC,
        notes=tuple(journal_notes(facts, t)),
    )


def slot_card(snapshot: Snapshot, facts: Facts, t: Translator, moments: Moments) -> SlotCard | None:
    """Return the slot that is open and has no test yet, else the next one."""
    policy, grace_ms = facts.link.terms.policy, facts.link.terms.policy.grace_s * _SECOND
    awaited = (each.slot for each in snapshot.slots if each.state is SlotState.AWAITED)
    waits = slot_to_place(snapshot, policy, facts.now)
    slot = waits or next((each for each in awaited if facts.now < parsed(each) + grace_ms), snapshot.next_slot)
    if slot is None:
        return None
    if policy.placed_by == "service":
        who = t("the service of {party} places it", party=snapshot.caller)
    elif snapshot.side == snapshot.caller:
        who = t("an officer of this side places it")
    else:
        who = t("an officer of {party} places it", party=snapshot.caller)
    return SlotCard(
        slot=slot,
        at=moments.of(slot),
        ends=written(parsed(slot) + grace_ms),
        opened=parsed(slot) <= facts.now,
        waits_here=waits is not None,
        who=who,
    )


def _own(snapshot: Snapshot, facts: Facts, t: Translator, moments: Moments) -> OwnTest | None:
    own = [each for each in snapshot.tests if each.reference.startswith(f"{facts.side}/")]
    if not own:
        return None
    test = own[-1]
    answer = test.answer
    return OwnTest(
        parts=_parts(test.reference),
        slot=moments.maybe(test.heartbeat.slot or None),
        steps=tuple(_steps(test, facts, t, moments)),
        answer="" if answer is None or not facts.texts else answer.text,
        language="" if answer is None else answer.language,
    )


def _steps(test: TestView, facts: Facts, t: Translator, moments: Moments) -> Iterator[TestStep]:
    """Yield how far a test of this side has come: placed, received, answered."""
    within_ms = facts.link.terms.policy.answer_within_s * _SECOND
    placed = t("placed by {officer}", officer=test.placed_by) if test.placed_by else t("placed by the service")
    yield TestStep(level="normal", text=placed, at=moments.of(test.at))
    entry = _entry(test.reference, facts)
    receipted = None if entry is None else entry.receipted_at
    if test.state is TestState.PLACED:
        yield TestStep(
            level="standby",
            text=t("waiting for their receipt"),
            since=test.at,
            until=test.due_at,
            clock=duration_words(facts.now - parsed(test.at)),
            limit="" if test.due_at is None else duration_words(parsed(test.due_at) - parsed(test.at)),
        )
        return
    if test.state is TestState.UNRECEIPTED:
        yield TestStep(level="critical", text=t("no receipt in time: use another channel"))
        return
    yield TestStep(level="normal", text=t("received: their receipt, signed"), at=moments.maybe(receipted))
    if test.answer is not None:
        by = test.answer.officer or t("the service")
        late = test.state is TestState.ANSWERED_LATE
        words = t("answered late by {officer}", officer=by) if late else t("answered by {officer}", officer=by)
        yield TestStep(level="serious" if late else "normal", text=words, at=moments.maybe(test.answered_at))
    elif test.state is TestState.RECEIVED:
        since = test.due_at and written(parsed(test.due_at) - within_ms)
        yield TestStep(
            level="standby",
            text=t("waiting for their officer"),
            since=since,
            until=test.due_at,
            clock=duration_words(facts.now - parsed(since)) if since else "",
            limit=duration_words(within_ms),
        )
    elif test.state is TestState.UNANSWERED:
        yield TestStep(level="critical", text=t("not answered in time: use another channel"))
    else:
        yield TestStep(level="unknown", text=t("not answered; a later test has taken its place"))


def _to_answer(snapshot: Snapshot, facts: Facts, t: Translator, moments: Moments) -> TestToAnswer | None:
    if not facts.has_officers:
        return None
    waiting = [
        each
        for each in snapshot.tests
        if each.state in OPEN_TESTS and each.answer is None and not each.reference.startswith(f"{facts.side}/")
    ]
    if not waiting:
        return None
    test, policy = waiting[-1], facts.link.terms.policy
    heartbeat, arrived = test.heartbeat, parsed(test.at)
    due = arrived + policy.answer_within_s * _SECOND
    layouts = {_LAYOUTS.get(each, "") for each in scripts(heartbeat.challenge)}
    item = snapshot.item(test.reference)
    sender = test.reference.partition("/")[0]
    return TestToAnswer(
        reference=test.reference,
        parts=_parts(test.reference),
        site=facts.link.parties[sender].site,
        slot=moments.maybe(heartbeat.slot or None),
        received=moments.of(test.at),
        warning=age_warning(staleness(None, test.sent_at, arrived, arrived), t, arrived).removesuffix(": "),
        text=heartbeat.text if facts.texts else "",
        language=heartbeat.language,
        words=heartbeat.challenge,
        plain=tuple(plain(word) for word in heartbeat.challenge),
        layout=layouts.pop() if len(layouts) == 1 else "",
        due=test.due_at or written(due),
        over=test.state is TestState.UNANSWERED or due <= facts.now,
        answer=facts.settings.words.answer_of(policy),
        answer_language=policy.test_language,
        others=tuple(each.reference for each in waiting[:-1]),
        seen="" if item is None else item.seen,
    )


def _answered(snapshot: Snapshot, facts: Facts, t: Translator, moments: Moments) -> PastTest | None:
    theirs = [each for each in snapshot.tests if not each.reference.startswith(f"{facts.side}/")]
    if not facts.has_officers or not theirs or theirs[-1].answer is None:
        return None
    test = theirs[-1]
    return _row(test.at, TEST_LEVELS[test.state], [], test.reference, test, moments, t)


def _past(snapshot: Snapshot, t: Translator, moments: Moments) -> Iterator[PastTest]:
    """Yield the slots that were decided and the tests that belong to none of them, newest first."""
    tests = {each.reference: each for each in snapshot.tests}
    rows: list[tuple[Utc, PastTest]] = []
    for slot in snapshot.slots:
        if slot.state is not SlotState.AWAITED:
            level, state = SLOT_LEVELS[slot.state], t.term("slot", str(slot.state))
            row = _row(slot.slot, level, [state], slot.test, tests.pop(slot.test, None), moments, t)
            rows.append((slot.slot, row))
    for test in tests.values():
        words = [] if test.heartbeat.slot else [t("unscheduled")]
        rows.append((test.at, _row(test.at, TEST_LEVELS[test.state], words, test.reference, test, moments, t)))
    yield from (row for _, row in sorted(rows, key=lambda each: each[0], reverse=True))


def _row(
    at: Utc, level: Level, words: list[str], reference: str, test: TestView | None, moments: Moments, t: Translator
) -> PastTest:
    """Return a row; the machines may have met a slot whose test nobody has answered."""
    answer = None if test is None else test.answer
    return PastTest(
        level=level if test is None or level != "normal" else TEST_LEVELS[test.state],
        state=", ".join(words if test is None else [*words, t.term("test", test.state)]),
        at=moments.of(at),
        parts=_parts(reference) if reference else (),
        answered=None if test is None else moments.maybe(test.answered_at),
        officer="" if answer is None else answer.officer or t("the service"),
    )


def _entry(reference: str, facts: Facts) -> LedgerEntry | None:
    return None if facts.history is None else facts.history.ledger.entries.get(Reference.parse(reference))


def _parts(reference: str) -> tuple[str, ...]:
    return tuple(reference.split("/"))


SCREEN = Screen(name="line-test", title="Line test", key="t", view=view)
