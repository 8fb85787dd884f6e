"""The commands for one's own alerts: alert, release, discard, cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, get_args

from cyclopts import Parameter

from endpoints.cli import officer_input, options
from endpoints.cli.officer_input import unchecked
from endpoints.cli.officer_session import OfficerSession, Ref, Timeout, Wait, agreed, parse_draft, seconds, seen_field
from endpoints.cli.output import print_reference, say
from endpoints.errors import UserError
from protocol.phrases import phrase
from protocol.wire.messages import Category, Precedence, Status

if TYPE_CHECKING:
    from endpoints.texts.i18n import Translator

CategoryOf = Annotated[Category, Parameter(name="--category", converter=unchecked, help="What it is about.")]
PrecedenceOf = Annotated[Precedence, Parameter(name="--precedence", converter=unchecked, help="How urgent it is.")]
Place = Annotated[str | None, Parameter(name="--place", help="The name of the place; give --at and --radius as well.")]
At = Annotated[
    str | None,
    Parameter(
        name="--at",
        allow_leading_hyphen=True,
        help="Its latitude and longitude in decimal degrees with a point: 46.7758,33.3706 or 46.7758N,33.3706E.",
    ),
]
Radius = Annotated[
    str | None, Parameter(name="--radius", allow_leading_hyphen=True, help="The radius around it: 500m, 10km or 5NM.")
]
Area = Annotated[
    str | None,
    Parameter(help="The place in one: name, latitude, longitude and radius, such as 'Dam,46.7758,33.3706,10km'."),
]
Expires = Annotated[
    str,
    Parameter(
        allow_leading_hyphen=True,
        help="How long the alert is valid, such as 30m, 2h or 1d, or until when, such as 17:05 or 2022-11-29T20:00Z.",
    ),
]
EventAt = Annotated[
    str | None,
    Parameter(
        allow_leading_hyphen=True,
        help="When the event happens or happened: now (the default), -10m, +2h, 17:05, 2022-11-29T16:00 or "
        "2022-11-29T16:00Z. Without an offset, it is a time on the clocks of this side's site.",
    ),
]
AlertStatus = Annotated[
    Status | None,
    Parameter(name="--status", converter=unchecked, help="The link's own status (the default), or test."),
]
Update = Annotated[str | None, Parameter(help="The earlier alert that this one updates.")]
Correct = Annotated[str | None, Parameter(help="The earlier alert that this one corrects.")]
References = Annotated[
    list[str] | None, Parameter(name="--reference", negative="", help="An earlier message that the alert refers to.")
]
Cancellation = Annotated[
    list[str] | None,
    Parameter(negative="", allow_leading_hyphen=True, help="The text of a later cancellation, given like --text."),
]
Yes = Annotated[bool, Parameter(negative="", help="Do not ask; give --seen as well.")]


def alert(
    config: options.EndpointConfig,
    /,
    *,
    category: CategoryOf,
    precedence: PrecedenceOf,
    text: options.Texts,
    officer: options.OfficerId,
    place: Place = None,
    at: At = None,
    radius: Radius = None,
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

    On a terminal, the whole alert is shown before anybody is asked for the credential. With `wait`, print the delivery
    ladder on standard error. Return 0 if that step was reached, 10 if it was not in time, 11 if it can't be reached any
    more.
    """
    from endpoints.cli.places import place as read_place
    from endpoints.inputs.alerts import expiry
    from endpoints.inputs.instants import instant
    from endpoints.inputs.texts import texts
    from endpoints.texts.i18n import translator
    from protocol.wire.instants import written

    t = translator(lang)
    within_s = seconds("timeout", timeout)
    session = OfficerSession.at(config, link, officer, credential_file)
    policy, now = session.policy, session.now()
    officer_input.category(category, get_args(Category), policy, t)
    officer_input.choice("precedence", precedence, get_args(Precedence), "precedence", t)
    if status is not None:
        officer_input.choice("status", status, (policy.status, "test"), "status", t)
    given = texts("text", text, policy.languages)
    if not given:
        example = f"{policy.languages[0]}=..."
        raise UserError(
            phrase("--text: an alert needs a text in one of the link's languages, such as {example}", example=example)
        )
    prepared = texts("cancellation", cancellation, policy.languages)
    if update is not None and correct is not None:
        raise UserError(phrase("--update, --correct: an alert either updates or corrects another; give one of them"))
    where = read_place(place, at, radius, area)
    change = {
        **({} if update is None else {"changes": officer_input.reference(update, option="update")}),
        **({} if correct is None else {"changes": officer_input.reference(correct, option="correct")}),
    }
    happened = instant(event_at or "now", option="event-at", now=now, zone=session.zone)
    ask: dict[str, Any] = {
        "category": category,
        "precedence": precedence,
        "text": given,
        "expires_at": written(expiry(expires, now=now, zone=session.zone)),
        "event_at": written(happened),
        **({} if status is None else {"status": status}),
        **({} if where is None else {"area": where}),
        **(change and {**change, "change_kind": "update" if update else "correction"}),
        "references": [officer_input.reference(each, option="reference") for each in reference or ()],
        **({"cancellation": prepared} if prepared else {}),
    }
    if not _show(session, ask, officer, t):
        return 1
    return session.finish(session.act("alert", ask, t), t, wait=wait, within_s=within_s, as_json=as_json)


def _show(session: OfficerSession, ask: dict[str, Any], officer: str, t: Translator) -> bool:
    """Show an alert on a terminal as it will be sent; elsewhere, only what should be noticed about it.

    Return whether to send it: at a terminal, the officer decides about one that lacks a language (decision 0092).
    """
    import sys

    from msgspec import to_builtins

    from endpoints.inputs.alerts import contradiction, missing_languages
    from endpoints.texts.item_page import ItemPage
    from protocol.wire.messages import Reference

    warning = missing_languages(ask["text"], session.policy, t)
    status = ask.get("status", session.policy.status)
    contradicts = contradiction(ask["text"], status, t)
    body = {"status": session.policy.status} | {name: ask[name] for name in ask if name in _BODY}
    if ask["references"]:
        body["references"] = [to_builtins(Reference.parse(each)) for each in ask["references"]]
    if "changes" in ask:
        of = to_builtins(Reference.parse(ask["changes"]))
        body["change"] = {"of": of, "kind": ask["change_kind"]}
    page = ItemPage(
        reference=session.link,
        kind="alert",
        state=t("as it would be sent"),
        body=body,
        cancellation=ask.get("cancellation"),
        author=officer,
        warnings=tuple(each for each in (warning, contradicts) if each),
    )
    shown = session.show(page, t)
    if contradicts and not shown:
        say(t("warning: {what}", what=contradicts))
    if not warning:
        return True
    if not (shown and sys.stdin.isatty()):
        say(t("warning: {what}", what=warning))
        return True
    if agreed(t("send it without a translation?"), t):
        return True
    say(t("nothing was sent"))
    return False


_BODY = ("status", "category", "precedence", "event_at", "expires_at", "text", "area")


def release(
    config: options.EndpointConfig,
    ref: Ref,
    /,
    *,
    officer: options.OfficerId,
    seen: options.Seen = None,
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
    draft, _ = draft_number(ref), seen_field(seen)
    session = OfficerSession.at(config, link, officer, credential_file)
    question = t("release and send it as {officer}?", officer=officer)
    confirmed = session.confirmed(ref, seen, question, t, yes=yes, of_another=True)
    if confirmed is None:
        return 1
    reference = session.act("release", {"draft": draft, **seen_field(confirmed)}, t)
    return session.finish(reference, t, wait=wait, within_s=within_s, as_json=as_json)


def discard(
    config: options.EndpointConfig,
    ref: Ref,
    /,
    *,
    officer: options.OfficerId,
    seen: options.Seen = None,
    yes: Yes = False,
    credential_file: options.CredentialFile = None,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Discard an alert that waits for a second officer, once it was shown and confirmed."""
    from endpoints.texts.i18n import translator

    t = translator(lang)
    draft, _ = draft_number(ref), seen_field(seen)
    session = OfficerSession.at(config, link, officer, credential_file)
    question = t("discard it as {officer}?", officer=officer)
    confirmed = session.confirmed(ref, seen, question, t, yes=yes, of_another=False)
    if confirmed is None:
        return 1
    print_reference(session.act("cancel", {"draft": draft, **seen_field(confirmed)}, t), as_json=as_json)
    return 0


def cancel(
    config: options.EndpointConfig,
    ref: Ref,
    /,
    *,
    officer: options.OfficerId,
    seen: options.Seen = None,
    credential_file: options.CredentialFile = None,
    wait: Wait = None,
    timeout: Timeout = "30s",
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Cancel one of this side's alerts, with the text prepared for it. On a terminal, the alert is shown first."""
    from endpoints.texts.i18n import translator

    t = translator(lang)
    within_s = seconds("timeout", timeout)
    if parse_draft(ref) is not None:
        raise UserError(
            phrase("{ref}: it was not sent, so there is nothing to cancel; see: deconflict discard --help", ref=ref)
        )
    of = officer_input.reference(ref)
    session = OfficerSession.at(config, link, officer, credential_file)
    session.show_alert(of, t)
    reference = session.act("cancel", {"of": of, **seen_field(seen)}, t)
    return session.finish(reference, t, wait=wait, within_s=within_s, as_json=as_json)


def draft_number(ref: str) -> int:
    """Return 3 for `draft/3`. Raises UserError for any other reference."""
    draft = parse_draft(ref)
    if draft is None:
        raise UserError(phrase("expected a draft such as draft/3, found {found}", found=repr(ref[:60])))
    return draft
