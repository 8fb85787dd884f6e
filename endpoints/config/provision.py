"""Makes the files of an installation: both sides with watch and broker, or one side or the watch alone.

```
DIR/link.toml            public; with several links: DIR/<link>.toml
DIR/eucom/endpoint.toml  keys/ (with officers/)  tls/  journal/<link>/      private to one side (0600/0700)
DIR/ndmc/...             DIR/watch/watch.toml  keys/  tls/  journal/<link>/
DIR/broker/              mosquitto.conf acl tls/ data/  health/ (a client without rights, for health checks)
DIR/authority/           the authority that issued every certificate: to issue more; the broker does not need it
```

With a broker for each side, `DIR/brokers/eucom` and `DIR/brokers/ndmc` have a `broker` and an `authority` each, in
place of those above.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w
from msgspec import Struct, structs

from broker import configuration
from broker.bridges import FOLDER as BRIDGE
from broker.bridges import Bridges, Remote, identity
from broker.pki import SERVER_NAMES, Authority
from endpoints.config import default_terms, link_file, settings
from endpoints.config.broker_settings import Address
from endpoints.config.control_socket import check_socket
from endpoints.config.first_certificates import AUTHORITY, certify, issue_health
from endpoints.config.link_file import LinkFile, Party, WatchEntry
from endpoints.config.new_folder import as_user_errors, new_folder
from endpoints.config.roster import CREDENTIALS
from endpoints.config.settings_tables import CONTROL, WATCH_IDENTITY
from endpoints.config.side_file import RESERVED
from endpoints.config.toml_edit import editing
from endpoints.errors import UserError
from endpoints.keys import credentials, signer
from endpoints.keys.private_files import (
    FOLDER_MODE,
    PUBLIC_FOLDER_MODE,
    exists,
    make_private_folder,
    write_private,
)
from endpoints.texts.i18n import LANGUAGES
from protocol.phrases import phrase
from protocol.wire.instants import Millis
from protocol.wire.policy import EnrolledKey, Terms

WATCH = WATCH_IDENTITY
BROKERS = "brokers"
"""The folder of the brokers of two sides: for each a folder that `deconflict broker` takes."""


class BrokerPlan(Struct, frozen=True, kw_only=True):
    """The broker's address, for its clients and for itself.

    Attributes:
        hosts: where clients connect: the hosts of its nodes.
        names: the host names and addresses in the broker's certificate; without any, SERVER_NAMES and the hosts.
        port: the port that clients connect to, and that it listens at.
        listen: the address that it listens at.
    """

    # not localhost, which may resolve to ::1, where this broker does not listen
    hosts: tuple[str, ...] = ("127.0.0.1",)
    names: tuple[str, ...] = ()
    port: int = configuration.PORT
    listen: str = "127.0.0.1"


def provision(
    folder: Path,
    links: Sequence[Terms],
    parties: Mapping[str, Party],
    *,
    at: Millis,
    officers: Mapping[str, Sequence[str]],
    broker: BrokerPlan = BrokerPlan(),  # noqa: B008 - frozen
    second: BrokerPlan | None = None,
    exercise_clock: Path | None = None,
) -> tuple[LinkFile, ...]:
    """Make an installation for links between two parties on one machine, or nothing; return the link files.

    Args:
        folder: a new folder, or one without files.
        links: the terms of each link; all between the same two parties.
        parties: both, by id; their `keys` are made here.
        at: now (ms since 1970), from which the certificates are valid.
        officers: ids of each side's officers, and of the watch's; each gets a credential in
            `keys/officers/<id>.credential`.
        broker: the broker's address.
        second: the address of a second broker, for the answering side and the watch; the calling side's broker, with
            the address `broker`, is bridged to it.
        exercise_clock: the exercise's table, which all processes read; None outside exercises.

    Raises UserError if the folder has files, its path is too long for a control socket, or the terms are inconsistent.
    """
    if not links:
        raise UserError(phrase("no link was given; name at least one"))
    sides = (links[0].caller, links[0].answering)
    if sides[0] == sides[1]:
        raise UserError(phrase("{side}: the same party calls and answers; name two parties", side=sides[0]))
    for terms in links:
        if {terms.caller, terms.answering} != set(sides):
            raise UserError(
                phrase(
                    "link {link}: its parties differ; all links here must be between {sides}",
                    link=terms.link,
                    sides=", ".join(sides),
                )
            )
    for side in (*sides, *(terms.link for terms in links)):
        if side in (*RESERVED, BROKERS):
            raise UserError(phrase("{side}: this name is reserved; choose another id", side=side))
    home = folder.absolute()
    for side in (*sides, WATCH):
        _check_socket(home / side)
    names = _link_files([terms.link for terms in links])
    with new_folder(home, PUBLIC_FOLDER_MODE) as staging, as_user_errors(home):
        enrolled = {}
        for side in sides:
            make_private_folder(staging / side)
            enrolled[side] = structs.replace(parties[side], keys=_make_keys(staging / side, links[0].policy.suite))
        make_private_folder(staging / WATCH)
        watch = WatchEntry(keys=_make_keys(staging / WATCH, links[0].policy.suite))
        contents = tuple(LinkFile(terms=terms, parties=enrolled, watch=watch) for terms in links)
        for content in contents:
            link_file.check(content)
            link_file.save(content, staging / names[content.terms.link])
        plans, authorities = _make_brokers(staging, links, broker, second, at)
        for side in (*sides, WATCH):
            own = staging / side
            _make_folders(own, names)
            authorities[side].issue_client(side, own / "tls", at)
            table = _common(names, plans[side], exercise_clock)
            if side == WATCH:
                _make_watch(own, table, officers.get(WATCH, ()))
            else:
                for terms, link in zip(links, table["links"], strict=True):
                    link.update(default_terms.words(parties[side].site, (terms.policy.test_language,)))
                _make_endpoint(own, side, table, officers[side])
    return contents


def enrol(
    folder: Path,
    side: str,
    party: Party,
    *,
    officers: Sequence[str],
    suite: str,
    links: Sequence[str],
    broker: BrokerPlan,
    authority: Path | None,
    at: Millis,
    own_authority: bool = False,
) -> Party:
    """Make `folder/side` for one side alone, or nothing; return the party with its keys, for the other side.

    `authority` is the folder of the broker's authority, if it is on this machine: it issues the certificate. With
    `own_authority`, an authority of the side's own does, in `folder/side/authority`. Otherwise a request for the
    certificate is made, `folder/side/tls/client.csr`.

    Raises UserError if `folder/side` has files, its path is too long for a control socket, or `authority` cannot be
    used.
    """
    if side in RESERVED:
        raise UserError(phrase("{side}: this name is reserved; choose another id", side=side))
    home = folder.absolute() / side
    _check_socket(home)
    names = _link_files(links)
    with new_folder(home, FOLDER_MODE) as own, as_user_errors(home):
        keys = _make_keys(own, suite)
        _make_folders(own, names)
        certify(own, side, authority, at, own_authority=own_authority)
        table = _common(names, broker, None)
        for link in table["links"]:
            # the policy is not agreed yet: words in each language that there are words in
            link.update(default_terms.words(party.site, LANGUAGES))
        _make_endpoint(own, side, table, officers)
    return structs.replace(party, keys=keys)


def enrol_watch(
    folder: Path,
    *,
    officers: Sequence[str],
    suite: str,
    links: Sequence[str],
    broker: BrokerPlan,
    authority: Path | None,
    at: Millis,
    own_authority: bool = False,
) -> WatchEntry:
    """Make `folder/watch` for the watch alone, or nothing; return its entry for the link file.

    The arguments are those of `enrol`. Raises UserError as `enrol` does.
    """
    home = folder.absolute() / WATCH
    _check_socket(home)
    names = _link_files(links)
    with new_folder(home, FOLDER_MODE) as own, as_user_errors(home):
        keys = _make_keys(own, suite)
        _make_folders(own, names)
        certify(own, WATCH, authority, at, own_authority=own_authority)
        _make_watch(own, _common(names, broker, None), officers)
    return WatchEntry(keys=keys)


def add_watch_keys(own: Path, suite: str) -> WatchEntry:
    """Make keys for the watch in `own`, which has none; return its entry for the link file. Raises UserError."""
    path, keys = own / "watch.toml", own / "keys"
    if settings.load_watch(path).keys is not None:
        raise UserError(phrase("{path}: keys: already there; the watch has a key", path=path))
    officers_alone = exists(keys) and [each.name for each in keys.iterdir()] == [CREDENTIALS]
    if exists(keys) and not officers_alone:
        raise UserError(phrase("{path}: already exists; remove it first if it is no longer used", path=keys))
    try:
        with editing(path) as document, as_user_errors(own):
            made = signer.generate(keys, suite) if officers_alone else _make_keys(own, suite)
            document["keys"] = "keys"
    except BaseException:
        for each in keys.iterdir() if exists(keys) else ():
            if each.name != CREDENTIALS:
                each.unlink()
        if not officers_alone:
            shutil.rmtree(keys, ignore_errors=True)
        raise
    return WatchEntry(keys=made)


# --- parts --------------------------------------------------------------------------------------------------------

_ENDPOINT_HEADER = """\
# One side's endpoint. Private: mode 0600. Paths are relative to this folder.
# Check it: deconflict doctor FILE
"""
_WATCH_HEADER = """\
# The independent watch: reads both directions, publishes nothing. Its key signs the heads of its journals.
# Its officers acknowledge its alarms. Private: mode 0600.
# Paths are relative to this folder.
# To be alerted when the watch itself is down, add: [dead_man] url = "https://..." every = "1m"
"""


def _link_files(links: Sequence[str]) -> dict[str, str]:
    """Return the name of each link's file."""
    return {link: "link.toml" if len(links) == 1 else f"{link}.toml" for link in links}


def _make_folders(own: Path, links: Iterable[str]) -> None:
    """Make the folders of one process: its certificate's, and a journal's for each link."""
    make_private_folder(own / "tls")
    make_private_folder(own / "journal")
    for link in links:
        make_private_folder(own / "journal" / link)


def _make_endpoint(own: Path, side: str, table: dict[str, Any], officers: Iterable[str]) -> None:
    table = {"side": side, **table, "officers": _make_officers(own, officers)}
    write_private(own / "endpoint.toml", _render(_ENDPOINT_HEADER, table))


def _make_watch(own: Path, table: dict[str, Any], officers: Iterable[str]) -> None:
    table = {"identity": WATCH, "keys": "keys", **table, "officers": _make_officers(own, officers)}
    write_private(own / "watch.toml", _render(_WATCH_HEADER, table))


def _make_keys(own: Path, suite: str) -> tuple[EnrolledKey, ...]:
    make_private_folder(own / "keys")
    return signer.generate(own / "keys", suite)


def _make_officers(own: Path, names: Iterable[str]) -> dict[str, dict[str, str]]:
    folder = own / "keys" / CREDENTIALS
    make_private_folder(folder)
    table = {}
    for name in names:
        credential = credentials.generate()
        write_private(folder / f"{name}.credential", credential.encode() + b"\n")
        table[name] = {"name": name, "credential": credentials.hash_credential(credential)}
    return table


def _make_brokers(
    folder: Path, links: Sequence[Terms], first: BrokerPlan, second: BrokerPlan | None, at: Millis
) -> tuple[dict[str, BrokerPlan], dict[str, Authority]]:
    """Make one broker for all, or two with a bridge; return the plan and the authority of each client's broker."""
    caller, answering = links[0].caller, links[0].answering
    if second is None:
        authority = Authority.make(folder / AUTHORITY, at)
        _make_broker(folder / "broker", authority, links, first, at)
        every = (caller, answering, WATCH)
        return dict.fromkeys(every, first), dict.fromkeys(every, authority)
    plans, authorities = {}, {}
    remotes = {answering: Remote(second.hosts[0], second.port)}
    make_private_folder(folder / BROKERS)
    for side, plan, bridges in ((caller, first, remotes), (answering, second, {})):
        home = folder / BROKERS / side
        make_private_folder(home)
        plans[side], authorities[side] = plan, Authority.make(home / AUTHORITY, at)
        _make_broker(home / "broker", authorities[side], links, plan, at, Bridges(side, bridges))
    place = folder / BROKERS / caller / "broker" / BRIDGE / answering
    make_private_folder(place.parent)
    make_private_folder(place)
    authorities[answering].issue_client(identity(caller), place, at)
    plans[WATCH], authorities[WATCH] = plans[answering], authorities[answering]
    return plans, authorities


def _make_broker(
    own: Path,
    authority: Authority,
    links: Sequence[Terms],
    plan: BrokerPlan,
    at: Millis,
    bridges: Bridges | None = None,
) -> None:
    make_private_folder(own)
    make_private_folder(own / "tls")
    authority.issue_server(own / "tls", at, plan.names or tuple(dict.fromkeys((*SERVER_NAMES, *plan.hosts))))
    issue_health(authority, own, at)
    configuration.write(
        own,
        {terms.link: (terms.caller, terms.answering) for terms in links},
        watch=WATCH,
        address=plan.listen,
        port=plan.port,
        bridges=bridges,
    )


def _common(names: Mapping[str, str], broker: BrokerPlan, exercise_clock: Path | None) -> dict[str, Any]:
    """Return the settings that an endpoint and the watch have in common."""
    clock = {} if exercise_clock is None else {"exercise_clock": str(exercise_clock.absolute())}
    return {
        **clock,
        "links": [{"file": f"../{file}", "journal": f"journal/{link}"} for link, file in names.items()],
        "broker": {
            **_addresses(broker),
            "authority": "tls/ca.crt",
            "certificate": "tls/client.crt",
            "key": "tls/client.key",
        },
        "notifications": {"log": True},
    }


def _addresses(broker: BrokerPlan) -> dict[str, Any]:
    if len(broker.hosts) == 1:
        return {"host": broker.hosts[0], "port": broker.port}
    return {"addresses": [str(Address(host, broker.port)) for host in broker.hosts]}


def _render(header: str, table: dict[str, Any]) -> bytes:
    return (header + "\n" + tomli_w.dumps(table)).encode()


def _check_socket(own: Path) -> None:
    """Refuse a folder whose control socket would have too long a path."""
    check_socket(own / CONTROL, at=str(own))
