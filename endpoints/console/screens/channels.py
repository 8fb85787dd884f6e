"""The card of the other channels, in both languages: for the day on which the line fails."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from endpoints.console.facts import Facts
from endpoints.console.screen import EVERYBODY, Screen
from endpoints.console.screens.message_card import Written, recorded_at
from endpoints.console.screens.moments import Moment, Moments
from endpoints.texts.i18n import LANGUAGES, Translator, translator
from endpoints.texts.wording import decoded
from protocol.wire.messages import Refusal


class ChannelUse(Struct, frozen=True, kw_only=True):
    """The last time that an officer referred a matter to a channel: when, who, the reason, and of which message."""

    at: Moment
    party: str
    officer: str
    reason: str
    reference: tuple[str, ...]


class ChannelRow(Struct, frozen=True, kw_only=True):
    """One channel: its id, with which a matter is referred to it, and its name in every language.

    Attributes:
        id: in the policy.
        names: in every language.
        note: what this side notes of it, such as a number; empty for none, and on boards, which visitors may see.
        used: the last referral to it; None without one.
    """

    id: str
    names: tuple[Written, ...]
    note: str
    used: ChannelUse | None


class PartyRow(Struct, frozen=True, kw_only=True):
    """One headquarters: its id, its site, and its name in every language."""

    id: str
    site: str
    own: bool
    names: tuple[Written, ...]


class CardText(Struct, frozen=True, kw_only=True):
    """The card's own texts in one language."""

    language: str
    head: str
    use: str
    scope: str
    none: str


class ChannelsView(Struct, frozen=True, kw_only=True):
    """The card; `texts` are in every language, this screen's first."""

    texts: tuple[CardText, ...]
    parties: tuple[PartyRow, ...]
    channels: tuple[ChannelRow, ...]


def view(facts: Facts, query: Mapping[str, str], t: Translator) -> ChannelsView:
    """Return the card, from the link file: no process needs to run."""
    del query
    terms = facts.link.terms
    used, notes = _uses(facts, t), facts.channel_notes if facts.role != "board" else {}
    order = [t.language, *(each for each in LANGUAGES if each != t.language)]
    return ChannelsView(
        texts=tuple(_text(facts, translator(language)) for language in order),
        parties=tuple(
            PartyRow(
                id=party,
                site=facts.link.parties[party].site,
                own=party == facts.side,
                names=_names(facts.link.parties[party].name, order),
            )
            for party in (terms.caller, terms.answering)
        ),
        channels=tuple(
            ChannelRow(
                id=each.id,
                names=_names(each.name, order),
                note=notes.get(each.id, ""),
                used=used.get(each.id),
            )
            for each in terms.policy.channels
        ),
    )


def _uses(facts: Facts, t: Translator) -> Mapping[str, ChannelUse]:
    """Return the last referral to each channel, by what this side has recorded."""
    found: dict[str, ChannelUse] = {}
    moments = Moments(facts, t)
    for entry in () if facts.history is None else facts.history.ledger.entries.values():
        # a refusal that was itself refused has referred nobody
        said = decoded(entry.body) if entry.kind == "refusal" and not entry.refused else None
        if isinstance(said, Refusal) and said.referral:
            found[said.referral] = ChannelUse(
                at=moments.of(recorded_at(entry)),
                party=entry.reference.sender,
                officer=said.officer or "",
                reason=t.term("reason", said.reason),
                reference=(said.of.sender, str(said.of.epoch), str(said.of.seq)),
            )
    return found


def _text(facts: Facts, t: Translator) -> CardText:
    terms = facts.link.terms
    scope = ", ".join(t.term("category", each) for each in terms.policy.categories)
    return CardText(
        language=t.language,
        head=t("OTHER CHANNELS of the line {link}, epoch {epoch}", link=terms.link, epoch=terms.epoch),
        use=t("Use them when this line fails, and for matters outside its scope:"),
        scope=t("Scope of this line: {categories}", categories=scope),
        none=t("The policy of this line names no other channel."),
    )


def _names(names: Mapping[str, str], order: list[str]) -> tuple[Written, ...]:
    known = [each for each in order if each in names]
    return tuple(
        Written(label=each, language=each, text=names[each]) for each in (*known, *(k for k in names if k not in known))
    )


SCREEN = Screen(name="channels", title="Channels", key="x", view=view, roles=EVERYBODY)
