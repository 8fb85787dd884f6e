"""`deconflict key show`: lists the keys of a link: whose they are, whether they count, which of them sign here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from endpoints.cli import options
from endpoints.cli.key_links import KeyState
from endpoints.cli.output import console, print_json, print_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from endpoints.cli.key_links import KeyedLink
    from endpoints.config.settings import ProcessSettings
    from endpoints.texts.i18n import Translator


class KeyRow(Struct, frozen=True, kw_only=True):
    """One key of a link.

    Attributes:
        link: the link.
        party: whose it is: a party, or `watch`.
        id, algorithm, public: as the link file has them.
        digits: the first 16 of the SHA-256 of the public key, as an alarm names it.
        state: whether it counts.
        private_here: whether its private file is in the keys folder.
        signs: whether this process signs with it.
        since: when it was accepted first, by the journal; None if it is not accepted, or was before the first record.
    """

    link: str
    party: str
    id: str
    algorithm: Literal["ed25519", "ml-dsa-65"]
    public: str
    digits: str
    state: KeyState
    private_here: bool
    signs: bool
    since: str | None


class SpareKey(Struct, frozen=True, kw_only=True):
    """A private key in the keys folder that no link file names.

    Attributes:
        id, algorithm, digits: as of `KeyRow`.
        retired: whether it was retired here, and waits for its acceptance.
    """

    id: str
    algorithm: str
    digits: str
    retired: bool


def key_show(
    config: options.Config,
    /,
    *,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Show the keys of every link: whose they are, whether they count, and with which of them this side signs."""
    from endpoints.cli.key_links import keyed_links
    from endpoints.config import settings
    from endpoints.texts.i18n import translator

    found = settings.load(config)
    links = keyed_links(found, link, whole=True)
    rows = [row for each in links for row in rows_of(found, each)]
    spare = list(_spare(found))
    if as_json:
        print_json({"keys": rows, "in_no_link_file": spare})
        return
    t = translator(lang)
    for number, each in enumerate(links):
        if number:
            console().print()
        _show(found, each, [row for row in rows if row.link == each.id], t)
    print_lines(_spare_line(each, t) for each in spare)


def rows_of(found: ProcessSettings, link: KeyedLink) -> Iterator[KeyRow]:
    """Yield the keys of the link file by owner, then those that only the journal still has."""
    from endpoints.cli.key_links import public_here, signing
    from endpoints.config.owned_keys import owner_of, shown
    from protocol.wire.instants import written

    here, own = public_here(found), owner_of(found)
    signs = [key for keys in signing(found, link).values() for key in keys]
    for party, keys in link.rows().items():
        for key in keys:
            since = link.history.since.get((party, key))
            yield KeyRow(
                link=link.id,
                party=party,
                id=key.id,
                algorithm=key.algorithm,
                public=key.public,
                digits=shown(key)[1],
                state=link.state((party, key)),
                private_here=party == own and key.public in here,
                signs=party == own and key in signs and not link.begins,
                since=None if since is None else written(since),
            )


def _spare(found: ProcessSettings) -> Iterator[SpareKey]:
    from endpoints.cli.key_links import keyed_links
    from endpoints.config.owned_keys import shown
    from endpoints.keys import key_files

    if found.keys is None:
        return
    named = {key.public for each in keyed_links(found, None) for _, key in each.named}
    retired = key_files.retired(found.keys)
    for key in key_files.stored(found.keys).values():
        if key.public not in named:
            yield SpareKey(id=key.id, algorithm=key.algorithm, digits=shown(key)[1], retired=key.id in retired)


def _show(found: ProcessSettings, link: KeyedLink, rows: Sequence[KeyRow], t: Translator) -> None:
    from rich.text import Text

    from endpoints.cli.output import print_indented
    from endpoints.config.owned_keys import shown
    from endpoints.texts.wording import local
    from protocol.wire.policy import EnrolledKey

    out, zone = console(), link.content.zone_of(found.side)
    suite = link.content.terms.policy.suite
    epoch = t("epoch {epoch}", epoch=link.content.terms.epoch)
    out.print(Text(f"{t('link')} {link.id}, {epoch}, {suite}", style="bold"))
    for row in rows:
        key = EnrolledKey(id=row.id, algorithm=row.algorithm, public=row.public)
        words = [t.term("key", row.state)]
        if row.since is not None:
            words.append(t("since {when}", when=local(row.since, t, zone)))
        if row.private_here:
            words.append(t("private file here"))
        if row.signs:
            words.append(t("signs"))
        head = Text(f"{row.party}/{shown(key)[0]}  {row.digits}  {row.algorithm}")
        head.stylize("" if row.state in {"accepted", "first_start"} else "yellow")
        print_indented(out, head, columns=2)
        print_indented(out, Text("; ".join(words)), columns=4)


def _spare_line(key: SpareKey, t: Translator) -> str:
    what = (
        t("retired; its private file stays until that is accepted")
        if key.retired
        else t("a private file here that no link file names; it signs nothing")
    )
    return f"{key.id} ({key.digits}): {what}"
