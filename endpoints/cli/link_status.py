"""Says what a link is for, exercise or actual, wherever several links share a view, an exit code or a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from endpoints.cli.output import say

if TYPE_CHECKING:
    from endpoints.config.settings import LinkSettings, ProcessSettings
    from endpoints.texts.i18n import Translator


def link_words(link: str, status: str | None, t: Translator) -> str:
    """Return a link's id with its status, as far as that is known."""
    return link if status is None else f"{link} ({t.term('status', status)})"


def say_link(found: ProcessSettings, chosen: LinkSettings, t: Translator) -> None:
    """Say on standard error which link is shown, if the process has others."""
    if len(found.links) > 1:
        say(t("link {link}:", link=link_words(chosen.id, chosen.content.terms.policy.status, t)))
