"""What a duty officer does from a terminal: test, alert, release, answer, acknowledge, refuse, cancel."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.officer_session import OfficerSession, Ref, Timeout, Wait, seconds
from endpoints.cli.output import console, print_json
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
WORDS = 3

Area = Annotated[
    str | None, Parameter(help="A circle: name, degrees of latitude and longitude, radius: 'Dam,46.78,33.37,10km'.")
]
Expires = Annotated[str, Parameter(help="How long the alert is valid: 30m, 2h, 1d.")]
EventAt = Annotated[str | None, Parameter(help="When it happens or happened, UTC: 2022-11-29T16:00:00.000Z. Else now.")]
AlertStatus = Annotated[
    Status | None, Parameter(name="--status", help="As the link's, or test. By default the link's.")
]
Update = Annotated[str | None, Parameter(help="The alert of one's own that this one brings up to date.")]
Correct = Annotated[str | None, Parameter(help="The alert of one's own that this one corrects.")]
References = Annotated[list[str] | None, Parameter(name="--reference", negative="", help="An earlier message.")]
Words = Annotated[
    list[str] | None,
    Parameter(consume_multiple=True, negative="", help="The test's three words; without them, they are asked for."),
]
AnswerText = Annotated[
    str | None, Parameter(name="--text", help="What is said, in the test's language. Else as agreed.")
]
Referral = Annotated[str | None, Parameter(help="The channel of the policy to use instead.")]
MaybeOfficer = Annotated[str | None, Parameter(name="--officer", help="Who places it; a test needs no officer.")]


def line_test(
    config: options.Config,
    /,
    *,
    officer: MaybeOfficer = None,
    credential_file: options.CredentialFile = None,
    link: options.LinkId = None,
    as_json: options.AsJson = False,
) -> None:
    """Place a line test: of the open slot where officers place them, else an unscheduled one."""
    desk = OfficerSession.at(config, link, officer, credential_file)
    _print(desk.act("test", {}), as_json=as_json)


def alert(
    config: options.Config,
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
    cancellation: options.Texts = None,
    credential_file: options.CredentialFile = None,
    wait: Wait = None,
    timeout: Timeout = "30s",
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Write an alert; prints its reference: eucom/1/42, or draft/3 where a second officer has to release it.

    `--cancellation` prepares the text of its cancellation. While waiting, the ladder is on standard error: journaled,
    the broker has it, received, acknowledged. Exit 0 reached, 10 not in time, 11 refused.
    """
    from endpoints.texts.i18n import translator

    within_s = seconds("timeout", timeout)
    texts = options.texts("text", text)
    if not texts:
        raise UserError("--text: an alert needs a text, in at least one of the link's languages: --text en=...")
    if update is not None and correct is not None:
        raise UserError("--update, --correct: an alert changes another in one way only")
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
    desk = OfficerSession.at(config, link, officer, credential_file)
    return desk.finish(desk.act("alert", ask), translator(lang), wait=wait, within_s=within_s, as_json=as_json)


def release(
    config: options.Config,
    ref: Ref,
    /,
    *,
    officer: options.OfficerId,
    credential_file: options.CredentialFile = None,
    wait: Wait = None,
    timeout: Timeout = "30s",
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Release another officer's alert; prints its reference."""
    from endpoints.texts.i18n import translator

    within_s = seconds("timeout", timeout)
    draft = parse_draft(ref)
    if draft is None:
        raise UserError(f"a draft is released, such as draft/3, not {ref[:60]!r}")
    desk = OfficerSession.at(config, link, officer, credential_file)
    reference = desk.act("release", {"draft": draft})
    return desk.finish(reference, translator(lang), wait=wait, within_s=within_s, as_json=as_json)


def answer(
    config: options.Config,
    ref: Ref,
    /,
    *,
    officer: options.OfficerId,
    words: Words = None,
    text: AnswerText = None,
    credential_file: options.CredentialFile = None,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Answer a line test, retyping its three words."""
    from endpoints.texts.i18n import translator

    desk = OfficerSession.at(config, link, officer, credential_file)
    given = " ".join(words).split() if words else _ask_words(desk, ref, translator(lang))
    if len(given) != WORDS:
        raise UserError(f"--words: a test has {WORDS} words, here are {len(given)}")
    said = {} if text is None else {"text": text}
    _print(desk.act("answer", {"of": ref, "words": given, **said}), as_json=as_json)


def acknowledge(
    config: options.Config,
    ref: Ref,
    /,
    *,
    officer: options.OfficerId,
    decision: Decision = "understood",
    text: options.Texts = None,
    credential_file: options.CredentialFile = None,
    link: options.LinkId = None,
    as_json: options.AsJson = False,
) -> None:
    """Acknowledge an alert: an officer here has understood it, acts, or will reply."""
    desk = OfficerSession.at(config, link, officer, credential_file)
    said = {} if not text else {"text": options.texts("text", text)}
    _print(desk.act("acknowledge", {"of": ref, "decision": decision, **said}), as_json=as_json)


def refuse(
    config: options.Config,
    ref: Ref,
    /,
    *,
    officer: options.OfficerId,
    reason: RefusalReason,
    referral: Referral = None,
    text: options.Texts = None,
    credential_file: options.CredentialFile = None,
    link: options.LinkId = None,
    as_json: options.AsJson = False,
) -> None:
    """Refuse an alert, perhaps with a referral to another channel."""
    said: dict[str, Any] = {} if not text else {"text": options.texts("text", text)}
    if referral is not None:
        said["referral"] = referral
    desk = OfficerSession.at(config, link, officer, credential_file)
    _print(desk.act("refuse", {"of": ref, "reason": reason, **said}), as_json=as_json)


def cancel(
    config: options.Config,
    ref: Ref,
    /,
    *,
    officer: options.OfficerId,
    credential_file: options.CredentialFile = None,
    wait: Wait = None,
    timeout: Timeout = "30s",
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Cancel an alert of one's own, with the text prepared for it; or discard a draft."""
    from endpoints.texts.i18n import translator

    within_s = seconds("timeout", timeout)
    draft = parse_draft(ref)
    desk = OfficerSession.at(config, link, officer, credential_file)
    reference = desk.act("cancel", {"of": ref} if draft is None else {"draft": draft})
    if draft is not None:
        _print(reference, as_json=as_json)
        return 0
    return desk.finish(reference, translator(lang), wait=wait, within_s=within_s, as_json=as_json)


# --- arguments ----------------------------------------------------------------------------------------------------


def parse_draft(ref: str) -> int | None:
    """Return 3 for `draft/3`, None for what is no draft. Raises UserError for `draft/x`."""
    kind, _, number = ref.partition("/")
    if kind != "draft":
        return None
    if not (number.isascii() and number.isdecimal() and int(number[:9])):
        raise UserError(f"not a draft such as draft/3: {ref[:60]!r}")
    return int(number[:9])


def parse_area(text: str) -> dict[str, Any]:
    """Return the circle that `Nova Kakhovka dam,46.7758,33.3706,10km` writes. Raises UserError."""
    match = _AREA.fullmatch(text)
    if match is None:
        raise UserError(f"--area: name,latitude,longitude,radius, such as 'Dam,46.7758,33.3706,10km': {text[:80]!r}")
    return {
        "name": match["name"].strip(),
        "latitude_udeg": round(Decimal(match["latitude"]) * _UDEG),
        "longitude_udeg": round(Decimal(match["longitude"]) * _UDEG),
        "radius_m": round(Decimal(match["radius"]) * (_KM_M if match["unit"] == "km" else 1)),
    }


def _ask_words(desk: OfficerSession, ref: str, t: Translator) -> list[str]:
    """Show the test and have its three words typed again. Raises UserError without a terminal."""
    import sys

    from rich.text import Text

    if not sys.stdin.isatty():
        raise UserError("--words: no terminal to ask for the three words at")
    for test in desk.client.get("snapshot")["tests"]:
        if test["reference"] == ref:
            heartbeat = test["heartbeat"]
            out = console(stderr=True)
            out.print(Text(heartbeat["text"]))
            out.print(Text("  ".join(heartbeat["challenge"]), style="bold"))
    return input(t("the three words: ")).split()


def _print(reference: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"reference": reference})
    else:
        print(reference)
