"""Checks an alert as a whole: when it ends, in which languages it is missing, whether it contradicts its status."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from endpoints.inputs.field_error import FieldError
from endpoints.inputs.instants import instant_or_duration
from protocol.phrases import phrase

if TYPE_CHECKING:
    from endpoints.texts.i18n import Translator
    from protocol.wire.instants import Millis
    from protocol.wire.policy import Policy

EXPIRY_MAX_DAYS = 31
"""How long an alert may be valid, as the control socket accepts it."""
_DAY_MS = 86_400_000
_FOUND_MAX = 60
_DRILL_WORDS = (
    r"\bdrills?\b",
    r"\b(?:an?|this|only|just|training|our) exercises?\b",
    r"\bexercise(?: ?[.,!:;-]+ ?| )exercise\b",
    r"^exercise ?[.,!:;-]",
    r"\b(?:this is|only|just) (?:a )?test\b",
    r"\btest (?:message|alert)\b",
    r"\bучени[еяюй]\w*",
    r"\bучебн\w+",
    r"\bтрениров\w+",
    r"\bэто (?:только |лишь )?проверка\b",
)
"""How a text says that it is a drill, in lower case and with single spaces."""
_DENIED = re.compile(r"(?:\bnot?|\b(?:isn|ain)\W?t|\bне(?: является| был[аои]?)?)(?: an?| the| any)? $")
"""What turns that into its contrary, where it stands before it."""
_REAL_WORDS = (
    r"\breal[ -]world\b",
    r"\b(?:this|it) is (?:for )?real\b",
    r"\b(?:real|actual) (?:alert|emergency|event)\b",
    r"\bреальн\w+ (?:тревог|обстановк|событи|сообщени|оповещени|угроз)\w*",
    r"\bбоев\w+ тревог\w*",
    r"\b(?:это|всё|все) (?:реально|по-настоящему)\b",
)
"""How a text says that it is none."""
_DRILL, _REAL = (re.compile("|".join(each)) for each in (_DRILL_WORDS, _REAL_WORDS))
_ARTICLE = re.compile(r"(?:an? |the )?")


def expiry(text: str, *, now: Millis, zone: str, field: str = "expires") -> Millis:
    """Return when an alert ends: `2h` from now, or at an instant. Raises FieldError, which names the limit."""
    ends = instant_or_duration(text, option=field, now=now, zone=zone)
    if not now < ends <= now + EXPIRY_MAX_DAYS * _DAY_MS:
        raise FieldError(
            field,
            phrase(
                "{found} is not accepted: an alert ends later than now, and at most {days}d from now; "
                "such as 30m, 2h, 1d or 17:05",
                found=repr(text[:_FOUND_MAX]),
                days=EXPIRY_MAX_DAYS,
            ),
        )
    return ends


def missing_languages(given: Iterable[str], policy: Policy, t: Translator) -> str:
    """Return a warning that names the link's languages in which an alert has no text; empty if it has all."""
    missing = ", ".join(each for each in policy.languages if each not in set(given))
    if not missing:
        return ""
    return t("the alert has no text in {languages}: the other side may not understand it", languages=missing)


def contradiction(texts: Mapping[str, str], status: str, t: Translator) -> str:
    """Return a warning if a text says of itself that it is a drill, or none, unlike its status; empty if none does."""
    for language, text in texts.items():
        drill, real = _claims(text)
        if found := drill if status == "actual" else real:
            return t(
                "the text in {language} says “{words}”, but the status of the alert is {status}; the words must not "
                "contradict the status",
                language=language,
                words=found,
                status=t.term("status", status),
            )
    return ""


def _claims(text: str) -> tuple[str, str]:
    """Return the first words with which a text says that it is a drill, and those that say it is none; else empty."""
    visible = "".join(each for each in unicodedata.normalize("NFKC", text) if unicodedata.category(each) != "Cf")
    plain = re.sub(r"\s+", " ", visible.casefold()).strip()
    drill, real = "", ""
    for match in _DRILL.finditer(plain):
        # the article may belong to either
        begin = match.start() + len(_ARTICLE.match(match[0])[0])  # type: ignore[index] # it matches nothing, too
        denied = _DENIED.search(plain[:begin])
        if denied is None:
            drill = drill or match[0]
        else:
            real = real or plain[denied.start() : match.end()]
    found = _REAL.search(plain)
    return drill, real or ("" if found is None else found[0])
