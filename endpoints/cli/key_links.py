"""The links of a configuration with their keys: in the link files, in the journals, in the keys folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from endpoints.config import link_file
from endpoints.config.link_file import LinkFile
from endpoints.config.owned_keys import Owned, keys_of, owned, owner_of, shown, with_keys
from endpoints.config.settings import LinkSettings, ProcessSettings, load
from endpoints.errors import UserError
from endpoints.journal.key_history import KeyHistory, key_history
from endpoints.keys import key_files
from endpoints.keys.private_files import exists
from protocol.phrases import phrase
from protocol.wire.envelope import SUITE_ALGORITHMS
from protocol.wire.policy import EnrolledKey

if TYPE_CHECKING:
    from endpoints.texts.i18n import Translator

KeyState = Literal["first_start", "accepted", "waiting", "not_read", "removed", "removal_not_read"]
"""Whether a key counts: from the next start, now, once accepted, once the file is read; not, or until it is read."""
_FOUND_MAX = 80


class KeyedLink:
    """One link of a process.

    Attributes:
        chosen: its settings.
        id: its id.
        file, content: the present link file.
        next_file, prepared: the link file of the next epoch, None if none is prepared.
        history: the keys by the journal.
        begins: the next start takes the keys of the file as they are: it is the first one, or has a new epoch.
    """

    def __init__(self, chosen: LinkSettings, history: KeyHistory) -> None:
        self.chosen, self.history = chosen, history
        self.id, self.file, self.content = chosen.id, chosen.file, chosen.content
        self.next_file = link_file.next_path(chosen.file)
        self.prepared = link_file.load(self.next_file) if exists(self.next_file) else None
        known = history.terms
        self.begins = known is None or self.content.terms.epoch > known.epoch or not history.keys.agreed

    @property
    def suite(self) -> tuple[str, ...]:
        """The algorithms that the policy requires."""
        return SUITE_ALGORITHMS[self.content.terms.policy.suite]

    @property
    def named(self) -> set[Owned]:
        """The keys of the present link file and of a prepared one."""
        files = [self.content, *([self.prepared] if self.prepared else [])]
        return {each for content in files for each in owned(content.keys, content.watch_keys)}

    @property
    def accepted(self) -> set[Owned]:
        """The keys that count once the service has read the present link file, before any officer accepts another."""
        file = owned(self.content.keys, self.content.watch_keys)
        return file if self.begins else file & self.history.agreed()

    def needs(self, key: Owned) -> bool:
        """Return whether the private file of a key may still be needed: a file names it, or people agreed to it."""
        known = self.named | self.history.agreed() | self.history.read()
        return (key[0], key[1].public) in {(owner, each.public) for owner, each in known}

    def state(self, key: Owned) -> KeyState:
        """Return what a key counts for, of the file or of the journal."""
        if key in owned(self.content.keys, self.content.watch_keys):
            if self.begins:
                return "first_start"
            if key in self.history.accepted():
                return "accepted"
            return "waiting" if key in self.history.read() - self.history.agreed() else "not_read"
        return "removal_not_read" if key in self.history.read() else "removed"

    def rows(self) -> dict[str, tuple[EnrolledKey, ...]]:
        """Return the keys of the file and then those that only the journal has, by owner."""
        listed = keys_of(self.content)
        for owner, key in sorted(self.history.agreed() | self.history.read(), key=lambda each: each[1].id):
            if not self.begins and owner in listed and key not in listed[owner]:
                listed[owner] = (*listed[owner], key)
        return listed


def keyed_links(settings: ProcessSettings, link: str | None, *, whole: bool = False) -> list[KeyedLink]:
    """Return the links of a configuration, or only `link`, each with its keys. Raises UserError.

    `whole` reads the whole journal of each, for the times.
    """
    chosen = settings.links if link is None else (settings.link(link),)
    return [KeyedLink(each, key_history(each.journal, each.id, settings.side, whole=whole)) for each in chosen]


def find(links: Sequence[KeyedLink], wanted: str, owner: str | None = None) -> Owned | None:
    """Return the key that `wanted` names in the link files, None if there is none.

    Args:
        links: where.
        wanted: a key id, `party/key id`, or the 16 digits of a key.
        owner: the owner of the keys to look at; by default all.

    Raises UserError if it names several keys.
    """
    found = {
        (party, key)
        for link in links
        for party, key in link.named
        if owner in {None, party} and wanted in _names(party, key)
    }
    if len(found) > 1:
        raise UserError(
            phrase(
                "{wanted}: names several keys; name one: {keys}",
                wanted=repr(wanted[:_FOUND_MAX]),
                keys=listed(found, digits=True),
            )
        )
    return next(iter(found), None)


def listed(keys: Iterable[Owned], *, digits: bool = False) -> str:
    """Return keys as `party/key id`, or with their digits as well."""
    named = sorted(f"{party}/{' '.join(shown(key)) if digits else shown(key)[0]}" for party, key in keys)
    return ", ".join(named) or phrase("none")


def all_keys(links: Sequence[KeyedLink], owner: str | None = None) -> set[Owned]:
    """Return the keys that the link files name, of one owner or of all."""
    return {(party, key) for link in links for party, key in link.named if owner in {None, party}}


def signing(settings: ProcessSettings, link: KeyedLink, without: Owned | None = None) -> dict[str, list[EnrolledKey]]:
    """Return this side's keys that sign, by algorithm of the suite: accepted, with a private file here."""
    here, own = public_here(settings), owner_of(settings)
    return {
        algorithm: [
            key
            for key in keys_of(link.content)[own]
            if key.algorithm == algorithm
            and (own, key) in link.accepted
            and (own, key) != without
            and key.public in here
        ]
        for algorithm in link.suite
    }


def require_no_next(link: KeyedLink) -> None:
    """Raise UserError while the next epoch of a link is prepared: its keys were compared already."""
    if link.prepared is not None:
        raise UserError(
            phrase(
                "{file}: the next epoch of link {link} is prepared with the keys of now; open it first, or remove the "
                "file",
                file=link.next_file,
                link=link.id,
            )
        )


def require_others(settings: ProcessSettings, link: KeyedLink, key: Owned) -> None:
    """Raise UserError unless this side can sign without `key`, as the suite of the link requires."""
    own, algorithm = owner_of(settings), key[1].algorithm
    if signing(settings, link, key).get(algorithm, True):
        return
    named = {"key": listed({key}), "link": link.id, "algorithm": algorithm}
    others = [each for each in keys_of(link.content)[own] if each.algorithm == algorithm and each != key[1]]
    if not others:
        raise UserError(
            phrase(
                "{key}: the only {algorithm} key of this side in link {link}; make another first: deconflict key add",
                **named,
            )
        )
    waiting = [each for each in others if (own, each) not in link.accepted]
    if waiting:
        raise UserError(
            phrase(
                "{key}: no officer here has accepted {other} for link {link} yet; acknowledge the alarm keys_changed "
                "first",
                **named,
                other=listed({(own, waiting[0])}),
            )
        )
    raise UserError(
        phrase(
            "{key}: the private file of {other} is not in {folder}, so nothing could sign for link {link}",
            **named,
            other=listed({(own, others[0])}),
            folder=settings.keys,
        )
    )


def left_without(settings: ProcessSettings, links: Sequence[KeyedLink], key: Owned) -> list[str]:
    """Return the algorithms in which this side has no other key with a private file, for a suite that needs one."""
    own = owner_of(settings)
    here = public_here(settings)
    return [
        algorithm
        for algorithm in dict.fromkeys(name for link in links for name in link.suite)
        if any(
            algorithm in link.suite
            and not any(
                each.algorithm == algorithm and each != key[1] and each.public in here
                for each in keys_of(link.content)[own]
            )
            for link in links
        )
    ]


def changed(
    content: LinkFile, owner: str, *, add: Sequence[EnrolledKey] = (), without: Owned | None = None
) -> LinkFile:
    """Return `content` with `add` as further keys of `owner`, and without the key `without`. Raises UserError."""
    if without is not None:
        kept = [key for key in keys_of(content)[without[0]] if key != without[1]]
        content = with_keys(content, without[0], kept)
    return with_keys(content, owner, [*keys_of(content)[owner], *add]) if add else content


def remove_retired(settings: ProcessSettings) -> tuple[str, ...]:
    """Remove the private files of retired keys that no link needs any more; return their ids.

    The link files are read anew. Raises UserError.
    """
    marked = () if settings.keys is None else key_files.retired(settings.keys)
    if settings.keys is None or not marked:
        return ()
    links, stored, gone = keyed_links(load(settings.path), None), key_files.stored(settings.keys), []
    for key_id in marked:
        key = stored.get(key_id)
        if key is None or not still_needed(settings, links, key):
            key_files.remove(settings.keys, key_id)
            gone.append(key_id)
    return tuple(gone)


def removed_lines(removed: Iterable[str], settings: ProcessSettings, t: Translator) -> list[str]:
    """Return a line for each private file that was removed."""
    return [t("{key}: its private file in {folder} is removed", key=each, folder=settings.keys) for each in removed]


def still_needed(settings: ProcessSettings, links: Sequence[KeyedLink], key: EnrolledKey) -> list[KeyedLink]:
    """Return the links that may still need the private file of a key."""
    return [link for link in links if link.needs((owner_of(settings), key))]


def _names(party: str, key: EnrolledKey) -> set[str]:
    word, digits = shown(key)
    return {key.id, word, digits, f"{party}/{key.id}", f"{party}/{word}"}


def public_here(settings: ProcessSettings) -> set[str]:
    """Return the public keys whose private files are here."""
    return set() if settings.keys is None else {key.public for key in key_files.stored(settings.keys).values()}
