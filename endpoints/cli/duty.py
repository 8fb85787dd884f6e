"""`deconflict duty`: an officer takes the watch, or leaves it."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.officer_session import OfficerSession
from endpoints.cli.output import print_reference, say
from endpoints.cli.values import identifier

Relieves = Annotated[str | None, Parameter(help="The officer on watch, who hands it over; required if there is one.")]
WHY_MAX = 200

Why = Annotated[
    str | None,
    Parameter(
        help="Why nobody has the watch from now on, in a few words; by default the end of duty.",
        allow_leading_hyphen=True,
    ),
]


def duty_take(
    config: options.EndpointConfig,
    /,
    *,
    officer: options.OfficerId,
    relieves: Relieves = None,
    credential_file: options.CredentialFile = None,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Take the watch: from now on, this officer answers for what the link reports."""
    from endpoints.texts.i18n import translator

    t = translator(lang)
    named: dict[str, Any] = {} if relieves is None else {"relieves": identifier(relieves, option="relieves")}
    session = OfficerSession.at(config, link, officer, credential_file)
    print_reference(session.act("take-watch", named, t), as_json=as_json)
    say(t("on watch now: {officer}", officer=officer))


def duty_leave(
    config: options.EndpointConfig,
    /,
    *,
    officer: options.OfficerId,
    why: Why = None,
    credential_file: options.CredentialFile = None,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Leave the watch. Nobody is on watch then."""
    from endpoints.inputs.texts import check_text
    from endpoints.texts.i18n import translator

    t = translator(lang)
    reason = check_text(t("end of duty") if why is None else why, option="why", limit=WHY_MAX)
    session = OfficerSession.at(config, link, officer, credential_file)
    print_reference(session.act("leave-watch", {"why": reason}, t), as_json=as_json)
    say(t("nobody on watch"))
