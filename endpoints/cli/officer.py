"""The commands of a duty officer: test, alert, release, discard, answer, acknowledge, refuse, cancel."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.officer_session import OfficerSession, Ref, Timeout, Wait, parse_draft, seconds
from endpoints.cli.output import console, print_json, print_lines, terminal_width, typed_line
from endpoints.errors import UserError
from protocol.wire.messages import Category, Decision, Precedence, RefusalReason, Status

if TYPE_CHECKING:
    from endpoints.texts.i18n import Translator

_UDEG = 1_000_000
_KM_M = 1_000
_AREA = re.compile(
    r"(?P<name>.+),\s*(?P<latitude>-?\d{1,2}(\.\d{1,9})?),\s*(?P<longitude>-?\d{1,3}(\.\d{1,9})?),"
    r"\s*(?P<radius>\d{1,8}(\.\d{1,3})?)\s*(?P<unit>km|m|)",
    re.ASCII | re.DOTALL,
)
_DIGEST = re.compile(r"[0-9a-f]{64}")
WORDS = 3

Area = Annotated[
    str | None,
    Parameter(help="A circle: name, latitude and longitude in degrees, radius, such as 'Dam,46.78,33.37,10km'."),
]
Expires = Annotated[str, Parameter(help="How long the alert is valid, such as 30m, 2h or 1d.")]
EventAt = Annotated[
    str | None, Parameter(help="When the event happens or happened, such as 2022-11-29T16:00:00.000Z; by default now.")
]
AlertStatus = Annotated[Status | None, Parameter(name="--status", help="The link's own status (the default), or test.")]
Update = Annotated[str | None, Parameter(help="The earlier alert that this one updates.")]
Correct = Annotated[str | None, Parameter(help="The earlier alert that this one corrects.")]
References = Annotated[
    list[str] | None, Parameter(name="--reference", negative="", help="An earlier message that the alert refers to.")
]
Words = Annotated[
    list[str] | None,
    Parameter(
        consume_multiple=True, negative="", help="The test's three words. Without them, the command asks for them."
    ),
]
Cancellation = Annotated[
    list[str] | None,
    Parameter(negative="", allow_leading_hyphen=True, help="The text of a later cancellation, given like --text."),
]
AnswerText = Annotated[
    str | None,
    Parameter(name="--text", help="The answer, in the test's language; by default this side's own, else the policy's."),
]
Seen = Annotated[
    str | None,
    Parameter(
        help="The digest of what the officer saw, as show and drafts print it. If others have acted since, the command "
        "says who did what, and exits with 9."
    ),
]
Yes = Annotated[bool, Parameter(negative="", help="Do not ask; give --seen as well.")]
Referral = Annotated[str | None, Parameter(help="The channel to use instead, one of the policy's.")]
MaybeOfficer = Annotated[str | None, Parameter(name="--officer", help="The officer who places the test; optional.")]


def line_test(
    config: options.EndpointConfig,
    /,
    *,
    officer: MaybeOfficer = None,
    credential_file: options.CredentialFile = None,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Place a line test: for the open slot if officers place the tests, else an unscheduled one."""
    from endpoints.texts.i18n import translator

    session = OfficerSession.at(config, link, officer, credential_file)
    _print(session.act("test", {}, translator(lang)), as_json=as_json)


def alert(
    config: options.EndpointConfig,
    /,
    *,
    category: Category,
    precedence: Precedence,
    text: options.Texts,
    officer: options.OfficerId,
    area: Area = None,
    expires: Expires = "6h",
    event_at: EventAt = None,
    status: AlertStatus = None,
    update: Update = None,
    correct: Correct = None,
    reference: References = None,
    cancellation: Cancellation = None,
    credential_file: options.CredentialFile = None,
    wait: Wait = None,
    timeout: Timeout = "30s",
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Send an alert and print its reference, or that of the draft if a second officer must release it.

    With `wait`, print the delivery ladder on standard error. Return 0 if that step was reached, 10 if it was not in
    time, 11 if it can't be reached any more.
    """
    from endpoints.texts.i18n import translator

    within_s = seconds("timeout", timeout)
    texts = options.texts("text", text)
    if not texts:
        raise UserError("--text: an alert needs a text in at least one of the link's languages, such as --text en=...")
    if update is not None and correct is not None:
        raise UserError("--update, --correct: an alert either updates or corrects another; give one of them")
    ask: dict[str, Any] = {
        "category": category,
        "precedence": precedence,
        "text": texts,
        "expires_in_s": seconds("expires", expires),
        **({} if event_at is None else {"event_at": event_at}),
        **({} if status is None else {"status": status}),
        **({} if area is None else {"area": parse_area(area)}),
        **({} if update is None else {"changes": update, "change_kind": "update"}),
        **({} if correct is None else {"changes": correct, "change_kind": "correction"}),
        **({} if not reference else {"references": reference}),
        **({} if not cancellation else {"cancellation": options.texts("cancellation", cancellation)}),
    }
    t = translator(lang)
    session = OfficerSession.at(config, link, officer, credential_file)
    return session.finish(session.act("alert", ask, t), t, wait=wait, within_s=within_s, as_json=as_json)


def release(
    config: options.EndpointConfig,
    ref: Ref,
    /,
    *,
    officer: options.OfficerId,
    seen: Seen = None,
    yes: Yes = False,
    credential_file: options.CredentialFile = None,
    wait: Wait = None,
    timeout: Timeout = "30s",
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Release an alert that another officer wrote, once it was shown and confirmed, and print its reference."""
    from endpoints.texts.i18n import translator

    t = translator(lang)
    within_s = seconds("timeout", timeout)
    draft, _ = _draft(ref), _seen(seen)
    session = OfficerSession.at(config, link, officer, credential_file)
    question = t("release and send it as {officer}?", officer=officer)
    confirmed = session.confirmed(ref, seen, question, t, yes=yes, of_another=True)
    if confirmed is None:
        return 1
    reference = session.act("release", {"draft": draft, **_seen(confirmed)}, t)
    return session.finish(reference, t, wait=wait, within_s=within_s, as_json=as_json)


def discard(
    config: options.EndpointConfig,
    ref: Ref,
    /,
    *,
    officer: options.OfficerId,
    seen: Seen = None,
    yes: Yes = False,
    credential_file: options.CredentialFile = None,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Discard an alert that waits for a second officer, once it was shown and confirmed."""
    from endpoints.texts.i18n import translator

    t = translator(lang)
    draft, _ = _draft(ref), _seen(seen)
    session = OfficerSession.at(config, link, officer, credential_file)
    question = t("discard it as {officer}?", officer=officer)
    confirmed = session.confirmed(ref, seen, question, t, yes=yes, of_another=False)
    if confirmed is None:
        return 1
    _print(session.act("cancel", {"draft": draft, **_seen(confirmed)}, t), as_json=as_json)
    return 0


def answer(
    config: options.EndpointConfig,
    ref: Ref,
    /,
    *,
    officer: options.OfficerId,
    words: Words = None,
    text: AnswerText = None,
    seen: Seen = None,
    credential_file: options.CredentialFile = None,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Answer a line test by retyping its three words."""
    from endpoints.texts.i18n import translator

    t = translator(lang)
    session = OfficerSession.at(config, link, officer, credential_file)
    given = " ".join(words).split() if words else _ask_words(session, ref, t)
    if len(given) != WORDS:
        raise UserError(f"--words: expected the {WORDS} words of the test, found {len(given)}")
    said = {} if text is None else {"text": text}
    _print(session.act("answer", {"of": ref, "words": given, **said, **_seen(seen)}, t), as_json=as_json)


def acknowledge(
    config: options.EndpointConfig,
    ref: Ref,
    /,
    *,
    officer: options.OfficerId,
    decision: Decision = "understood",
    text: options.Texts = None,
    seen: Seen = None,
    credential_file: options.CredentialFile = None,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Acknowledge an alert: understood, acting, or a reply will follow."""
    from endpoints.texts.i18n import translator

    session = OfficerSession.at(config, link, officer, credential_file)
    said = {} if not text else {"text": options.texts("text", text)}
    ask = {"of": ref, "decision": decision, **said, **_seen(seen)}
    _print(session.act("acknowledge", ask, translator(lang)), as_json=as_json)


def refuse(
    config: options.EndpointConfig,
    ref: Ref,
    /,
    *,
    officer: options.OfficerId,
    reason: RefusalReason,
    referral: Referral = None,
    text: options.Texts = None,
    seen: Seen = None,
    credential_file: options.CredentialFile = None,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Refuse an alert, optionally with a referral to another channel."""
    from endpoints.texts.i18n import translator

    said: dict[str, Any] = {} if not text else {"text": options.texts("text", text)}
    if referral is not None:
        said["referral"] = referral
    session = OfficerSession.at(config, link, officer, credential_file)
    _print(
        session.act("refuse", {"of": ref, "reason": reason, **said, **_seen(seen)}, translator(lang)), as_json=as_json
    )


def cancel(
    config: options.EndpointConfig,
    ref: Ref,
    /,
    *,
    officer: options.OfficerId,
    seen: Seen = None,
    credential_file: options.CredentialFile = None,
    wait: Wait = None,
    timeout: Timeout = "30s",
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Cancel one of this side's alerts, with the text prepared for it."""
    from endpoints.texts.i18n import translator

    t = translator(lang)
    within_s = seconds("timeout", timeout)
    if parse_draft(ref) is not None:
        raise UserError(f"{ref}: it was not sent, so there is nothing to cancel; see: deconflict discard --help")
    session = OfficerSession.at(config, link, officer, credential_file)
    reference = session.act("cancel", {"of": ref, **_seen(seen)}, t)
    return session.finish(reference, t, wait=wait, within_s=within_s, as_json=as_json)


# --- arguments ----------------------------------------------------------------------------------------------------


def _draft(ref: str) -> int:
    """Return 3 for `draft/3`. Raises UserError for any other reference."""
    draft = parse_draft(ref)
    if draft is None:
        raise UserError(f"expected a draft such as draft/3, found {ref[:60]!r}")
    return draft


def _seen(seen: str | None) -> dict[str, str]:
    """Return the digest of what the officer saw as a field of a request, if it is given. Raises UserError."""
    if seen is None:
        return {}
    if not _DIGEST.fullmatch(seen):
        raise UserError(f"--seen: expected the 64 digits that show or drafts printed, found {seen[:80]!r}")
    return {"seen": seen}


def parse_area(text: str) -> dict[str, Any]:
    """Return the circle of `Nova Kakhovka dam,46.7758,33.3706,10km`. Raises UserError."""
    match = _AREA.fullmatch(text)
    if match is None:
        raise UserError(
            f"--area: expected NAME,LATITUDE,LONGITUDE,RADIUS, such as 'Dam,46.7758,33.3706,10km', found {text[:80]!r}"
        )
    return {
        "name": match["name"].strip(),
        "latitude_udeg": round(Decimal(match["latitude"]) * _UDEG),
        "longitude_udeg": round(Decimal(match["longitude"]) * _UDEG),
        "radius_m": round(Decimal(match["radius"]) * (_KM_M if match["unit"] == "km" else 1)),
    }


def _ask_words(session: OfficerSession, ref: str, t: Translator) -> list[str]:
    """Show the test and read its three words from the terminal. Raises UserError without a terminal."""
    import sys

    from rich.text import Text

    from endpoints.texts.printable import barred, one_line

    if not sys.stdin.isatty():
        raise UserError("--words: there is no terminal to ask for the three words; give them with --words")
    for test in session.client.get("snapshot")["tests"]:
        if test["reference"] == ref:
            heartbeat = test["heartbeat"]
            print_lines([*filter(None, [_warning(test, t)])], stderr=True)
            print_lines(barred(heartbeat["text"], terminal_width(stderr=True)), stderr=True)
            console(stderr=True).print(Text(one_line("  ".join(heartbeat["challenge"])), style="bold"))
    return typed_line(t("the three words: ")).split()


def _warning(test: dict[str, Any], t: Translator) -> str:
    """Return what makes a line test old news (SPEC M8.4), empty if nothing does."""
    from endpoints.texts.wording import age_warning
    from protocol.core.staleness import staleness
    from protocol.wire.instants import parsed

    arrived = parsed(test["at"])
    return age_warning(staleness(None, test["sent_at"], arrived, arrived), t, arrived)


def _print(reference: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"reference": reference})
    else:
        print(reference)
