"""The commands for the other side's alerts: acknowledge, refuse."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from cyclopts import Parameter

from endpoints.cli import officer_input, options
from endpoints.cli.officer_input import unchecked
from endpoints.cli.officer_session import OfficerSession, Ref, seen_field
from endpoints.cli.output import print_reference
from protocol.wire.messages import Decision, RefusalReason

DecisionOf = Annotated[Decision, Parameter(name="--decision", converter=unchecked, help="What the officer does.")]
ReasonOf = Annotated[RefusalReason, Parameter(name="--reason", converter=unchecked, help="Why it is refused.")]
Referral = Annotated[str | None, Parameter(help="The channel to use instead, one of the policy's.")]


def acknowledge(
    config: options.EndpointConfig,
    ref: Ref,
    /,
    *,
    officer: options.OfficerId,
    decision: DecisionOf = "understood",
    text: options.Texts = None,
    seen: options.Seen = None,
    credential_file: options.CredentialFile = None,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Acknowledge an alert: understood, acting, or a reply will follow. On a terminal, the alert is shown first."""
    from endpoints.inputs.texts import texts
    from endpoints.texts.i18n import translator

    t = translator(lang)
    officer_input.choice("decision", decision, get_args(Decision), "decision", t)
    of = officer_input.reference(ref)
    session = OfficerSession.at(config, link, officer, credential_file)
    said = texts("text", text, session.policy.languages)
    ask = {"of": of, "decision": decision, **({"text": said} if said else {}), **seen_field(seen)}
    session.show_alert(of, t)
    print_reference(session.act("acknowledge", ask, t), as_json=as_json)


def refuse(
    config: options.EndpointConfig,
    ref: Ref,
    /,
    *,
    officer: options.OfficerId,
    reason: ReasonOf,
    referral: Referral = None,
    text: options.Texts = None,
    seen: options.Seen = None,
    credential_file: options.CredentialFile = None,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Refuse an alert, optionally with a referral to another channel. On a terminal, the alert is shown first."""
    from endpoints.inputs.texts import texts
    from endpoints.texts.i18n import translator

    t = translator(lang)
    officer_input.choice("reason", reason, get_args(RefusalReason), "reason", t)
    of = officer_input.reference(ref)
    session = OfficerSession.at(config, link, officer, credential_file)
    said = texts("text", text, session.policy.languages)
    ask: dict[str, Any] = {"of": of, "reason": reason, **({"text": said} if said else {}), **seen_field(seen)}
    if referral is not None:
        ask["referral"] = officer_input.channel(referral, session.policy, t)
    session.show_alert(of, t)
    print_reference(session.act("refuse", ask, t), as_json=as_json)
