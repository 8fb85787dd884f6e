"""Checks what officers give with a command, before it is sent: choices, references, officers.

Each error names the option and what would be right, in the officer's language, and nothing of the wire.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from endpoints.errors import UserError
from protocol.phrases import phrase
from protocol.wire.messages import Reference

if TYPE_CHECKING:
    from cyclopts import Token

    from endpoints.texts.i18n import Translator
    from protocol.wire.policy import Policy

_FOUND_MAX = 60


def unchecked(_type: object, tokens: Sequence[Token]) -> str:
    """Return what was typed. A converter for cyclopts: help lists the choices, and `choice` checks them in words."""
    return tokens[0].value


def choice(option: str, value: str, known: Iterable[str], kind: str, t: Translator) -> str:
    """Return `value` if it is one of `known`. Raises UserError, which lists them with their meaning.

    Args:
        option: the option's name without its hyphens.
        value: what was typed.
        known: the values that are accepted.
        kind: the kind of these terms in the catalogues, such as `category`.
        t: translates.
    """
    accepted = tuple(known)
    if value in accepted:
        return value
    raise UserError(
        t(
            "--{option}: {found} is not accepted; choose one of: {choices}",
            option=option,
            found=repr(value[:_FOUND_MAX]),
            choices=", ".join(f"{each} ({t.term(kind, each)})" for each in accepted),
        )
    )


def category(value: str, known: Iterable[str], policy: Policy, t: Translator) -> str:
    """Return the category of an alert. Raises UserError; for one outside the link's scope, with the other channels."""
    from endpoints.texts.channels import other_channels

    if choice("category", value, known, "category", t) in policy.categories:
        return value
    refusal = t(
        "--category: {category} is outside the scope of this link, which has: {choices}",
        category=f"{value} ({t.term('category', value)})",
        choices=", ".join(f"{each} ({t.term('category', each)})" for each in policy.categories),
    )
    raise UserError(phrase("{wrong}; {channels}", wrong=refusal, channels=other_channels(policy.channels, t)))


def channel(value: str, policy: Policy, t: Translator) -> str:
    """Return the channel of a referral. Raises UserError, which lists the channels of the policy."""
    from endpoints.texts.channels import other_channels

    if value in {each.id for each in policy.channels}:
        return value
    listed = other_channels(policy.channels, t) or t("this link's policy has none")
    raise UserError(
        t("--referral: there is no channel {found}; {listed}", found=repr(value[:_FOUND_MAX]), listed=listed)
    )


def officer(value: str, known: Sequence[str], *, option: str = "officer") -> str:
    """Return the name of an officer of this side. Raises UserError, which names those who are enrolled."""
    if value in known:
        return value
    raise UserError(
        phrase(
            "--{option}: {found} is no officer enrolled here; enrolled: {officers}",
            option=option,
            found=repr(value[:_FOUND_MAX]),
            officers=", ".join(known) or phrase("nobody"),
        )
    )


def reference(value: str, *, option: str | None = None, example: str = "eucom/1/42") -> str:
    """Return the reference of a message. Raises UserError, with the form that is expected."""
    try:
        return str(Reference.parse(value.strip(" ")))
    except ValueError:
        found = repr(value[:_FOUND_MAX])
        wrong = phrase("expected a message such as {example}, found {found}", example=example, found=found)
        raise UserError(
            wrong if option is None else phrase("--{option}: {wrong}", option=option, wrong=wrong)
        ) from None
