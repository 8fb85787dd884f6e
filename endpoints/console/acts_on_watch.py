"""The acts of a watch: place a line test, answer one, take the watch or hand it over, leave it."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from endpoints.console.act_document import ActDocument, Asked, BeginSession, choice, fits, seen
from endpoints.console.facts import Facts
from endpoints.inputs.field_error import FieldError
from endpoints.inputs.texts import check_text
from endpoints.structured_log import get_logger
from endpoints.texts.i18n import Translator
from endpoints.texts.read_back import WORDS, misread
from protocol.phrases import phrase
from protocol.wire.instants import parsed
from protocol.wire.messages import Identifier

WHY_MAX: Final = 200
LISTENS_MAX: Final = 200
_log = get_logger()


class PlaceTestAct(ActDocument, frozen=True, kw_only=True):
    """Place the test of the open slot, or an unscheduled one: `slot` is empty then."""

    slot: str = ""

    def ask(self, facts: Facts, t: Translator) -> Asked:
        """Return the request. The endpoint compares the slot in the turn in which it places the test."""
        del facts, t
        return Asked("test", {"slot": self.slot or None})

    def said(self, reference: str, facts: Facts, t: Translator) -> str:
        """Return what was placed."""
        return t("The line test {reference} is placed. {peer} reads it back.", reference=reference, peer=facts.peer)


class AnswerAct(ActDocument, frozen=True, kw_only=True):
    """Answer a line test of the other side, with its three words as the officer has typed them."""

    of: str
    words: tuple[str, ...] = ()
    text: str = ""

    def ask(self, facts: Facts, t: Translator) -> Asked:
        """Return the request, with the words as the test has them. Raises FieldError for the first wrong one."""
        del t
        tests = () if facts.snapshot is None else facts.snapshot.tests
        test = next((each for each in tests if each.reference == self.of), None)
        if test is None or self.of.startswith(f"{facts.side}/"):
            raise FieldError("of", phrase("{of} is no line test of the other side that waits here", of=self.of[:60]))
        typed = (*self.words, *("" for _ in range(WORDS)))[:WORDS]
        wrong = misread(test.heartbeat.challenge, typed)
        if wrong is not None:
            raise FieldError(f"words.{wrong.place}", wrong.why)
        fields = {"of": self.of, "words": test.heartbeat.challenge, **seen(self)}
        if self.text.strip():
            fields["text"] = check_text(self.text, option="text")
        return Asked("answer", fields)

    def said(self, reference: str, facts: Facts, t: Translator) -> str:
        """Return what was said, and whether it came in time."""
        words = t("You have answered the line test {of}, in {reference}.", of=self.of, reference=reference)
        tests = () if facts.snapshot is None else facts.snapshot.tests
        test = next((each for each in tests if each.reference == self.of), None)
        due = None if test is None else parsed(test.at) + facts.link.terms.policy.answer_within_s * 1_000
        if due is None or facts.now < due:
            return words
        late = t("Its time ended at {time} UTC: the answer counts as late.", time=t.time(due, "UTC"))
        return f"{words} {late}"


class TakeWatchAct(ActDocument, frozen=True, kw_only=True):
    """Take the watch.

    Attributes:
        relieves: the officer who has it, empty for nobody.
        incoming: the officer who takes it in the other one's browser; empty if that is the session's own.
        sound: whether this browser was heard, or somebody listens elsewhere.
        listens: who, and where.
        read: whether the sheet was read.
    """

    relieves: str = ""
    incoming: str = ""
    sound: str = ""
    listens: str = ""
    read: str = ""

    def officer(self, facts: Facts) -> str:
        """Return who takes the watch."""
        return self.incoming.strip() or facts.officer

    def ask(self, facts: Facts, t: Translator) -> Asked:
        """Return the request. Raises FieldError unless the sounds were heard and the sheet was read."""
        del t
        officer = self.officer(facts)
        if not fits(officer, Identifier):
            raise FieldError("incoming", phrase("expected the id of an officer, such as watch-2"))
        if officer == self.relieves:
            raise FieldError("incoming", phrase("{officer} has the watch already", officer=officer))
        if choice("sound", self.sound, ("heard", "elsewhere")) == "elsewhere":
            check_text(self.listens, option="listens", limit=LISTENS_MAX)
        if self.read != "yes":
            raise FieldError("read", phrase("read the sheet first"))
        return Asked("take-watch", {"relieves": self.relieves} if self.relieves else {})

    def said(self, reference: str, facts: Facts, t: Translator) -> str:
        """Return who has the watch."""
        del reference
        return t("{officer} has the watch of {link}.", officer=self.officer(facts), link=facts.settings.id)

    async def answered(self, response: Response, facts: Facts, begin: BeginSession) -> None:
        """Log who listens elsewhere; begin the session of the incoming officer in the browser of the relieved one."""
        if self.sound == "elsewhere":
            # no event has it: the alarm nobody_listening says that no screen sounds
            officer = self.officer(facts)
            _log.warning("the watch was taken at a screen that cannot sound", officer=officer, listens=self.listens)
        if self.incoming:
            await begin(response, self.incoming.strip(), self.credential)


class LeaveWatchAct(ActDocument, frozen=True, kw_only=True):
    """Leave the watch to nobody."""

    why: str = ""

    def ask(self, facts: Facts, t: Translator) -> Asked:
        """Return the request. Raises FieldError without a reason."""
        del facts, t
        return Asked("leave-watch", {"why": check_text(self.why, option="why", limit=WHY_MAX)})

    def said(self, reference: str, facts: Facts, t: Translator) -> str:
        """Return that nobody has the watch."""
        del reference
        return t(
            "{officer} has left the watch of {link}: nobody has it.", officer=facts.officer, link=facts.settings.id
        )
