"""Words for a link: what it is for, exercise or actual, where several share a view; and which side calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from endpoints.cli.output import say

if TYPE_CHECKING:
    from endpoints.config.settings import LinkSettings, ProcessSettings
    from endpoints.texts.i18n import Translator
    from protocol.wire.policy import Terms


def link_words(link: str, status: str | None, t: Translator) -> str:
    """Return a link's id with its status, as far as that is known."""
    return link if status is None else f"{link} ({t.term('status', status)})"


def roles(terms: Terms, t: Translator) -> str:
    """Return a link's id, which side calls and which one answers, and what the link is for."""
    return t(
        "link {link} between {caller} (calls) and {answering} (answers), status {status}",
        link=terms.link,
        caller=terms.caller,
        answering=terms.answering,
        status=t.term("status", terms.policy.status),
    )


def say_link(found: ProcessSettings, chosen: LinkSettings, t: Translator) -> None:
    """Say on standard error which link is shown, if the process has others."""
    if len(found.links) > 1:
        say(t("link {link}:", link=link_words(chosen.id, chosen.content.terms.policy.status, t)))
