"""Reads the form of an alert: what was typed becomes the request to the endpoint, and what is wrong stands beside it.

The preview and the act read the same way, so nothing is sent that was not shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from endpoints.console.act_document import ActDocument
from endpoints.inputs.alerts import contradiction, expiry, missing_languages
from endpoints.inputs.field_error import FieldError
from endpoints.inputs.instants import instant
from endpoints.inputs.places import circle
from endpoints.inputs.texts import check_text
from endpoints.texts.i18n import Translator
from protocol.core.officer_requests import STANDING_CANCELLATION
from protocol.phrases import Phrase, phrase
from protocol.wire.instants import Millis, written
from protocol.wire.messages import Language, Reference, Texts
from protocol.wire.policy import Policy, Terms

UTC: Final = "UTC"
"""Instants without an offset are read on this clock: the screens' first one, and the same at both sides."""
REFERENCES_MAX: Final = 16
NO_CATEGORY: Final = "none"
"""The answer to the scope question that leads away from the line."""
_SEPARATORS = re.compile(r"[\s,;]+")
_FOUND_MAX = 60

Short = Annotated[str, Meta(max_length=1_000)]
Long = Annotated[str, Meta(max_length=60_000)]
"""More than any text may have: what is too long is counted and explained, not cut off."""
TypedTexts = Annotated[dict[Language, Long], Meta(max_length=4)]


class TypedAlert(ActDocument, frozen=True, kw_only=True):
    """What a person has typed and chosen for an alert, unchecked.

    Attributes:
        where: whether the alert is about a place: `place`, `none`, or empty as long as nothing was chosen.
        untranslated: `yes` if it may be sent without a text in some language of the link.
        changes, change_kind: the earlier alert that it updates or corrects.
        asked_at: when the page asked first, by this console's clock: an alert that is asked again has the same times.
    """

    status: Short = ""
    category: Short = ""
    precedence: Short = ""
    text: TypedTexts = msgspec.field(default_factory=dict)
    untranslated: Short = ""
    where: Short = ""
    place: Short = ""
    at: Short = ""
    radius: Short = ""
    event_at: Short = ""
    expires: Short = ""
    cancellation: TypedTexts = msgspec.field(default_factory=dict)
    references: Short = ""
    changes: Short = ""
    change_kind: Short = ""
    asked_at: Annotated[str, Meta(pattern=r"^\d{0,15}\Z")] = ""

    def asked_when(self, now: Millis) -> Millis:
        """Return the instant by which times such as `2h` are meant; `now` is the present one."""
        return min(int(self.asked_at or now), now)


class ComposedAlert(Struct, frozen=True, kw_only=True):
    """What a form amounts to.

    Attributes:
        body: the body of the alert, as far as it can be read.
        cancellation: the texts prepared for its cancellation; None for the standing text.
        problems: what prevents that it is sent.
        warnings: what should be noticed before it is, in words.
    """

    body: dict[str, Any]
    cancellation: Texts | None
    problems: tuple[FieldError, ...]
    warnings: tuple[str, ...]

    def request(self) -> dict[str, Any]:
        """Return the fields of the control socket's request. Raises FieldError, the first of the problems."""
        if self.problems:
            raise self.problems[0]
        body = {name: value for name, value in self.body.items() if name not in {"change", "references"}}
        change = self.body.get("change")
        return {
            **body,
            **({} if change is None else {"changes": _written(change["of"]), "change_kind": change["kind"]}),
            "references": [_written(each) for each in self.body.get("references", ())],
            **({} if self.cancellation is None else {"cancellation": self.cancellation}),
        }


def compose(typed: TypedAlert, policy: Policy, now: Millis, t: Translator) -> ComposedAlert:
    """Return what a form amounts to at `now` on a link of this policy."""
    reader = _Reader(typed, policy, now)
    for each in (reader.choices, reader.texts, reader.where, reader.times, reader.taking_back, reader.others):
        each()
    texts, status = reader.body.get("text", {}), reader.body["status"]
    warnings = (missing_languages(texts, policy, t) if texts else "", contradiction(texts, status, t))
    taking_back = contradiction(reader.cancellation or {}, status, t)
    return ComposedAlert(
        body=reader.body,
        cancellation=reader.cancellation,
        problems=tuple(reader.problems),
        warnings=tuple(dict.fromkeys(each for each in (*warnings, taking_back) if each)),
    )


def four_eyes(policy: Policy, precedence: str) -> bool:
    """Return whether an alert of this precedence is held for a second officer."""
    return precedence in policy.four_eyes


def statuses(policy: Policy) -> tuple[Literal["actual", "exercise", "test"], ...]:
    """Return the statuses that an alert may have: the link's own first."""
    return (policy.status, "test")


def language_of(party: str, terms: Terms) -> Language:
    """Return the language that a party reads first.

    The answering side reads that of the line tests, which its officers answer; the caller the first other language of
    the link.
    """
    policy = terms.policy
    if party == terms.answering:
        return policy.test_language
    return next((each for each in policy.languages if each != policy.test_language), policy.test_language)


class _Reader:
    """Reads one form, field by field; a problem of one field hides none of another."""

    def __init__(self, typed: TypedAlert, policy: Policy, now: Millis) -> None:
        self.body: dict[str, Any] = {"status": policy.status}
        self.cancellation: Texts | None = None
        self.problems: list[FieldError] = []
        self._typed = typed
        self._policy = policy
        self._now = now

    def choices(self) -> None:
        """Read the scope, the precedence and the status."""
        typed, policy = self._typed, self._policy
        if typed.category in policy.categories:
            self.body["category"] = typed.category
        elif typed.category == NO_CATEGORY:
            self._wrong(
                "category", phrase("this line is not for it: use another channel; nothing can be sent from here")
            )
        else:
            self._wrong("category", phrase("choose what it is about"))
        if typed.precedence in {"flash", "immediate", "priority", "routine"}:
            self.body["precedence"] = typed.precedence
        else:
            self._wrong("precedence", phrase("choose how urgent it is"))
        if typed.status in statuses(policy):
            self.body["status"] = typed.status
        elif typed.status:
            self._wrong("status", phrase("choose one of the statuses that this link has"))

    def texts(self) -> None:
        """Read the texts: one at least, and all of the link's languages unless the officer says otherwise."""
        given = self._texts("text", self._typed.text)
        if given:
            self.body["text"] = given
        languages = [each for each in self._policy.languages if not self._typed.text.get(each, "").strip()]
        if len(languages) == len(self._policy.languages):
            self._wrong(
                f"text.{languages[0]}", phrase("write what is to be said, in at least one language of the link")
            )
        elif languages and not self._typed.untranslated:
            why = phrase(
                "there is no text in {languages}: write it, or confirm that it is sent without",
                languages=", ".join(languages),
            )
            self._wrong("untranslated", why)

    def where(self) -> None:
        """Read the place, or that there is none."""
        typed = self._typed
        if typed.where == "none":
            return
        if typed.where != "place":
            self._wrong("where", phrase("say where it is, or that it is about no place"))
            return
        missing = [name for name in ("place", "at", "radius") if not getattr(typed, name).strip()]
        for name in missing:
            self._wrong(name, _MISSING[name])
        if not missing and (area := self._read(lambda: circle(typed.place, typed.at, typed.radius))) is not None:
            self.body["area"] = area

    def times(self) -> None:
        """Read when it happens or happened, and until when it is valid."""
        typed, now = self._typed, self._now
        happened = self._read(lambda: instant(typed.event_at or "now", option="event_at", now=now, zone=UTC))
        if happened is not None:
            self.body["event_at"] = written(happened)
        if not typed.expires.strip():
            self._wrong("expires", phrase("say how long it is valid, such as 2h, or until when, such as 17:05"))
            return
        ends = self._read(lambda: expiry(typed.expires, now=now, zone=UTC))
        if ends is not None:
            self.body["expires_at"] = written(ends)

    def taking_back(self) -> None:
        """Read the texts of a later cancellation; the standing text needs no preparation."""
        found = self._texts("cancellation", self._typed.cancellation)
        standing = {language: STANDING_CANCELLATION.get(language) for language in found}
        self.cancellation = None if found == standing else found

    def others(self) -> None:
        """Read the earlier messages that it refers to or changes."""
        typed = self._typed
        references = list(filter(None, _SEPARATORS.split(typed.references)))
        if len(references) > REFERENCES_MAX:
            self._wrong("references", phrase("an alert refers to at most {count} messages", count=REFERENCES_MAX))
        else:
            read = [found for each in references if (found := self._reference("references", each)) is not None]
            if read:
                self.body["references"] = read
        if typed.changes and typed.change_kind in {"update", "correction"}:
            of = self._reference("changes", typed.changes)
            if of is not None:
                self.body["change"] = {"of": of, "kind": typed.change_kind}
        elif typed.changes:
            self._wrong("changes", phrase("an alert either updates or corrects another"))

    def _texts(self, field: str, typed: TypedTexts) -> Texts:
        found: dict[str, str] = {}
        for language, text in self._in_order(typed):
            if not text.strip():
                continue
            checked = self._read(partial(check_text, text, option=field), f"{field}.{language}")
            if checked is not None:
                found[language] = checked
        return found

    def _in_order(self, typed: TypedTexts) -> Iterator[tuple[str, str]]:
        """Yield the texts in the order of the link's languages; another language is a problem."""
        for language in self._policy.languages:
            if language in typed:
                yield language, typed[language]
        for language in typed:
            if language not in self._policy.languages:
                self._wrong("text", phrase("this link has no language {language}", language=language))

    def _reference(self, field: str, text: str) -> dict[str, Any] | None:
        try:
            return dict(msgspec.to_builtins(Reference.parse(text)))
        except ValueError:
            self._wrong(
                field,
                phrase(
                    "expected a message such as {example}, found {found}",
                    example="eucom/1/42",
                    found=repr(text[:_FOUND_MAX]),
                ),
            )
            return None

    def _read(self, reader: Callable[[], Any], field: str = "") -> Any:
        """Return what a reader returns, None if what was typed is wrong."""
        try:
            return reader()
        except FieldError as error:
            self._wrong(field or error.field, error.why)
            return None

    def _wrong(self, field: str, why: Phrase) -> None:
        self.problems.append(FieldError(field, why))


_MISSING = {
    "place": phrase("name the place, or say that it is about no place"),
    "at": phrase("give latitude and longitude in degrees with a decimal point, such as 46.7758, 33.3706"),
    "radius": phrase("give the radius with its unit: m, km or NM, such as 500m, 10km, 5NM"),
}


def _written(reference: dict[str, Any]) -> str:
    return str(msgspec.convert(reference, Reference))
