"""Says what follows from a change of keys: before it is made, and what people do next."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from endpoints.cli.key_links import listed, signing
from endpoints.cli.values import command_line
from endpoints.cli.values import shown as shown_path
from endpoints.config.owned_keys import WATCH, keys_of, owned, owner_of, shown
from endpoints.config.settings import EndpointSettings
from endpoints.control.client import ControlClient
from endpoints.errors import UserError
from protocol.core.link_keys import SUBJECT_DIGITS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from endpoints.cli.key_links import KeyedLink
    from endpoints.config.link_file import LinkFile
    from endpoints.config.owned_keys import Owned
    from endpoints.config.settings import ProcessSettings
    from endpoints.texts.i18n import Translator

ASK_WITHIN_S = 5.0


def of_retirement(found: ProcessSettings, links: Sequence[KeyedLink], key: Owned, t: Translator) -> Iterator[str]:
    """Yield what follows when this side's `key` is retired in `links`."""
    names = _others(found, links, key)
    yield t("{key} signs nothing more; this side signs with {others}", key=listed({key}), others=names)
    yield t("ask first: unless the other side has accepted {others}, it refuses every frame", others=names)
    yield t("the private file is removed once an officer here has acknowledged the change")


def of_revocation(
    found: ProcessSettings, links: Sequence[KeyedLink], key: Owned, lacking: Sequence[str], t: Translator
) -> Iterator[str]:
    """Yield what follows when the stolen `key` is revoked in `links`; `lacking`: the algorithms of its replacements."""
    party, digits = key[0], shown(key[1])[1]
    if party == owner_of(found):
        yield from _own(found, links, key, lacking, t)
    elif party == WATCH:
        yield t("it verifies no frame; a head of the watch's journal that it signs after the theft proves nothing")
        yield t("the other side takes it until it has removed it too; its digits: {digits}", digits=digits)
    else:
        yield from _of_the_peer(links, key, t)
    yield t(
        "what the journals hold still verifies; but a frame that this key signed after the theft proves nothing by its "
        "signature: only its place in the journals of both sides counts"
    )
    for link in links:
        if link.prepared is not None:
            yield t(
                "{file} changes as well: compare it again by voice before its epoch", file=shown_path(link.next_file)
            )


def _own(
    found: ProcessSettings, links: Sequence[KeyedLink], key: Owned, lacking: Sequence[str], t: Translator
) -> Iterator[str]:
    digits = shown(key[1])[1]
    if isinstance(found, EndpointSettings):
        yield t(
            "a holder of the private file can sign as {side}, and the other side and the watch take it until each has "
            "removed the key too: call them now; its digits: {digits}",
            side=found.side,
            digits=digits,
        )
    else:
        yield t(
            "a holder of the private file can sign heads of a forged journal of the watch until both sides have "
            "removed the key too: call them now; its digits: {digits}",
            digits=digits,
        )
    if lacking:
        yield t("a new key is made to replace it")
    if any(_silent(found, link, key) for link in links):
        yield t(
            "this side signs nothing until an officer here has accepted another key with three words that the other "
            "side reads: messages wait, alerts that cannot wait go over another channel"
        )
    else:
        yield t("this side signs with {others}", others=_others(found, links, key))
    for link in links:
        with suppress(UserError):
            outbox = ControlClient(found.control, link.id, ASK_WITHIN_S).get("status")["outbox"] or {"in_flight": 0}
            yield t.plural(
                "link {link}: {count} message without a receipt is signed again with the next key",
                "link {link}: {count} messages without a receipt are signed again with the next key",
                outbox["in_flight"],
                link=link.id,
            )
    yield t("its private file here is removed")


def _of_the_peer(links: Sequence[KeyedLink], key: Owned, t: Translator) -> Iterator[str]:
    party, digits = key[0], shown(key[1])[1]
    yield t(
        "frames of {party} that only this key signed are refused from now on, receipts as well; {party} sends them "
        "again once another key of it is accepted here, and nothing is lost",
        party=party,
    )
    for link in links:
        others = [each for each in keys_of(link.content)[party] if (party, each) in link.accepted and each != key[1]]
        if {each.algorithm for each in others} >= set(link.suite):
            names = listed((party, each) for each in others)
            yield t("link {link}: {party} still speaks with {others}", link=link.id, party=party, others=names)
        else:
            yield t(
                "link {link}: {party} has no other accepted key; nothing of it counts until it hands over a link file "
                "with a new one and an officer here accepts that",
                link=link.id,
                party=party,
            )
    yield t(
        "the watch takes frames of this key until it has removed it too: tell it and {party} now; its digits: {digits}",
        party=party,
        digits=digits,
    )


def after_revocation(
    found: ProcessSettings, links: Sequence[KeyedLink], key: Owned, contents: Mapping[Path, LinkFile], t: Translator
) -> Iterator[str]:
    """Yield what people do after the stolen `key` was revoked here, a line for each step."""
    party, name = key[0], listed({key})
    revoke = command_line("key", "revoke", "CONFIG", name)
    if party in {owner_of(found), WATCH}:
        yield t("everybody else revokes it at once: {command}", command=revoke)
        yield from next_steps(found, links, contents, t)
        return
    yield t("{party} and the watch revoke it at once: {command}", party=party, command=revoke)
    accept = command_line("link", "accept", found.path, "FILE")
    yield t("take over the link file that {party} then hands over: {command}", party=party, command=accept)
    yield t("leave the alarm keys_changed open until then")


def next_steps(
    found: ProcessSettings, links: Sequence[KeyedLink], contents: Mapping[Path, LinkFile], t: Translator
) -> Iterator[str]:
    """Yield what people do after the link files of `links` have become `contents`, a line for each step."""
    beside = [path for link in links for path in _beside(found, link)]
    for link in links:
        content, file = contents[link.file], shown_path(link.file)
        accept = command_line("link", "accept", "CONFIG", link.file.name)
        hand = t("hand {file} to the other side, then to the watch; each runs: {command}", file=file, command=accept)
        yield t("link {link}: {what}", link=link.id, what=hand) if len(found.links) > 1 else hand
        if link.begins:
            compare = _comparison(found, link)
            yield t("compare it by voice before the start: {command}", command=compare)
        elif owned(content.keys, content.watch_keys) == link.history.agreed():
            yield t("these are the keys that were agreed to: no officer has to accept anything")
        else:
            alarm = f"keys_changed/{content.digest[:SUBJECT_DIGITS]}"
            act = command_line("alarms", "acknowledge", found.path, alarm, *found.choosing(link.id), "--officer", "ID")
            yield t("accept it with the three words that the other side reads from its file: {command}", command=act)
            read = command_line("link", "fingerprint", file)
            yield t("read the other side the words that it asks for: {command}", command=read)
    for path in dict.fromkeys(beside):
        yield t("{config} reads the same file here: {command}", config=path, command=command_line("reload", path))


def _comparison(found: ProcessSettings, link: KeyedLink) -> str:
    """Return how the present link file is compared by voice: the watch confirms nothing."""
    if isinstance(found, EndpointSettings):
        return command_line("link", "confirm", found.path, *found.choosing(link.id), "--officer", "ID")
    return command_line("link", "fingerprint", shown_path(link.file), "--compare")


def retire_step(found: ProcessSettings, old: Sequence[Owned], link: str | None, t: Translator) -> Iterator[str]:
    """Yield when and how the keys that a new one replaces are retired, on `link` alone if it is given."""
    for _, key in old:
        command = command_line("key", "retire", found.path, shown(key)[0], *(["--link", link] if link else []))
        yield t("when both sides have accepted the new key: {command}", command=command)


def _others(found: ProcessSettings, links: Sequence[KeyedLink], key: Owned) -> str:
    own = owner_of(found)
    return listed(
        {(own, each) for link in links for keys in signing(found, link, without=key).values() for each in keys}
    )


def _silent(found: ProcessSettings, link: KeyedLink, key: Owned) -> bool:
    """Return whether this side cannot sign for a link without `key`."""
    return not link.begins and not all(signing(found, link, without=key).values())


def _beside(found: ProcessSettings, link: KeyedLink) -> Iterator[Path]:
    """Yield the configurations of other processes that `init` has laid beside this one."""
    for name in (*link.content.parties, WATCH):
        path = link.chosen.sibling(name, "watch.toml" if name == WATCH else "endpoint.toml")
        with suppress(OSError):
            if path.is_file() and not path.samefile(found.path):
                yield path
