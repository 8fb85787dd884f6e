"""`deconflict init` and `deconflict enrol`: make keys, certificates, settings and the link file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.first_certificates import enrol_broker, tell_first_certificate
from endpoints.cli.link_status import roles
from endpoints.cli.output import print_json, say
from endpoints.cli.values import PORT_MAX, check_port, identifier
from endpoints.config import default_terms
from endpoints.config.host_name import check_host
from endpoints.config.settings_tables import ADDRESSES_MAX
from endpoints.errors import UserError
from endpoints.inputs.texts import texts
from protocol.phrases import phrase

if TYPE_CHECKING:
    from endpoints.config.provision import BrokerPlan
    from endpoints.texts.i18n import Translator

BROKER = "broker"
_HOST = "127.0.0.1"

NewFolder = Annotated[Path, Parameter(help="A new or empty folder.", negative="")]
HomeFolder = Annotated[
    Path, Parameter(help="The folder in which a new folder for the side is made, such as `.`.", negative="")
]
Caller = Annotated[str, Parameter(name="--caller", help="The side that makes the line tests.")]
Answering = Annotated[str, Parameter(name="--answering", help="The side that answers them.")]
BrokerHosts = Annotated[
    list[str] | None,
    Parameter(
        name="--broker-host",
        negative="",
        help="A host where clients reach the broker, 127.0.0.1 by default. Repeat it for each node of a cluster: "
        "clients use all of them. The broker's certificate has these names.",
    ),
]
BrokerPort = Annotated[int, Parameter(name="--port", help="The broker's port.")]
Listen = Annotated[str, Parameter(help="The address that the broker listens at; 0.0.0.0 for all.")]

Bridged = Annotated[
    bool,
    Parameter(
        name="--bridged",
        negative="",
        help="Make a broker for each side, with a bridge between them, instead of one for both. `--broker-host` then "
        "names the caller's and the answering side's; on one machine, the latter's port is the next one.",
    ),
]
SideId = Annotated[
    str, Parameter(name="--side", help="The side's id; `watch` for the independent watch, `broker` for the broker.")
]
OfficerIds = Annotated[
    list[str] | None,
    Parameter(name="--officer", negative="", help="An officer, who gets a new credential; repeat it for several."),
]
Site = Annotated[str | None, Parameter(help="The place of the headquarters.")]
Zone = Annotated[str | None, Parameter(help="The headquarters' time zone (IANA name).")]
Suite = Annotated[
    Literal["ed25519", "ed25519+ml-dsa-65"],
    Parameter(help="The signature suite; a key is made for each of its algorithms."),
]
LinkIds = Annotated[
    list[str] | None,
    Parameter(name="--link", negative="", help="A link that this side will run; repeat it for several."),
]
OwnAuthority = Annotated[
    bool,
    Parameter(
        name="--own-authority",
        negative="",
        help="Make an authority of the side's own, restricted to its identity, instead of a certificate request.",
    ),
]
AuthorityFolder = Annotated[
    Path | None,
    Parameter(
        name="--authority", help="The folder of the broker's authority, if it is here; it issues the certificate."
    ),
]


def init(
    folder: NewFolder,
    /,
    *,
    link: options.NewLinkId = default_terms.LINK,
    caller: Caller = default_terms.CALLER,
    answering: Answering = default_terms.ANSWERING,
    status: options.LinkStatus = "exercise",
    broker_host: BrokerHosts = None,
    port: BrokerPort = 8883,
    listen: Listen = "127.0.0.1",
    bridged: Bridged = False,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Make both sides, the watch and the broker on one machine, for trials and tests."""
    from endpoints.clocks.clock import SystemClock
    from endpoints.config.provision import BROKERS, WATCH, BrokerPlan, provision
    from endpoints.keys.process_memory import protect
    from endpoints.texts.i18n import translator

    protect()
    for option, value in (("link", link), ("caller", caller), ("answering", answering)):
        identifier(value, option=option)
    hosts = _addressed(broker_host)
    check_host(listen, at="--listen")
    check_port(port, option="port")
    terms = default_terms.terms(link, caller, answering, status)
    sides = (caller, answering)
    at, _ = SystemClock().now()
    broker, second = BrokerPlan(hosts=hosts or (_HOST,), names=hosts, port=port, listen=listen), None
    if bridged:
        broker, second = _two_brokers(hosts, port, listen)
    (content,) = provision(
        folder,
        [terms],
        {side: default_terms.party(side) for side in sides},
        at=at,
        officers={side: default_terms.officers(side) for side in (*sides, WATCH)},
        broker=broker,
        second=second,
    )
    if as_json:
        print_json({"link": link, "file": folder / "link.toml", "digest": content.digest, "sides": sides})
        return
    t = translator(lang)
    say(f"{folder}: {roles(terms, t)}")
    for side in (*sides, WATCH):
        names = ", ".join(default_terms.officers(side))
        where = f"{folder}/{side}/keys/officers/"
        told = t("officers of {side}: {names}; their credentials: {folder}", side=side, names=names, folder=where)
        say(f"  {told}")
    say(t("Run each in its own terminal:"))
    running = [("run", folder / side / "endpoint.toml") for side in sides]
    brokers = [("broker", folder / BROKERS / side) for side in sides] if bridged else [("broker", folder)]
    for command, path in (*brokers, *running, ("watch", folder / WATCH / "watch.toml")):
        say(f"  {shlex.join(['deconflict', command, str(path)])}")


def enrol(
    folder: HomeFolder,
    /,
    *,
    side: SideId,
    officer: OfficerIds = None,
    name: options.Texts = None,
    site: Site = None,
    zone: Zone = None,
    suite: Suite = "ed25519",
    link: LinkIds = None,
    broker_host: BrokerHosts = None,
    port: BrokerPort = 8883,
    authority: AuthorityFolder = None,
    own_authority: OwnAuthority = False,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Make one side's keys and officers; print the side file for the other side.

    For the watch, make its key and its officers, who acknowledge its alarms, and print its entry for the link file.
    For the broker, make its authority and certificate.
    """
    from endpoints.clocks.clock import SystemClock
    from endpoints.config import provision, side_file
    from endpoints.config.link_file import zone as check_zone
    from endpoints.keys.private_files import exists
    from endpoints.keys.process_memory import protect
    from endpoints.texts.i18n import translator

    protect()
    t = translator(lang)
    identifier(side, option="side")
    for each in officer or ():
        identifier(each, option="officer")
    for each in link or ():
        identifier(each, option="link")
    check_port(port, option="port")
    if own_authority and authority is not None:
        raise UserError(phrase("--own-authority: --authority names another one already; give one of them"))
    if side == BROKER:
        given = {
            "name": name,
            "site": site,
            "zone": zone,
            "officer": officer,
            "link": link,
            "own-authority": own_authority,
        }
        for option in (option for option, value in given.items() if value):
            raise UserError(phrase("--{option}: the broker has none; leave it out", option=option))
        enrol_broker(folder, _hosts(broker_host), port, authority, t, as_json=as_json)
        return
    if len(set(officer or ())) < len(officer or ()):
        raise UserError(phrase("--officer: the same officer twice; name each once"))
    hosts = _addressed(broker_host)
    own = folder / side
    plan = provision.BrokerPlan(hosts=hosts or (_HOST,), port=port)
    if side == provision.WATCH:
        given = {"name": name, "site": site, "zone": zone}
        for option in (option for option, value in given.items() if value):
            raise UserError(phrase("--{option}: the watch has none; leave it out", option=option))
        if officer and exists(own / "watch.toml"):
            raise _enrolled(side, own / "watch.toml", officer)
        _enrol_watch(
            own,
            officer,
            suite,
            link or [default_terms.LINK],
            plan,
            authority,
            t,
            own_authority=own_authority,
            as_json=as_json,
        )
        return
    if exists(own / "endpoint.toml"):
        raise _enrolled(side, own / "endpoint.toml", officer)
    party = default_terms.party(side)
    party = msgspec.structs.replace(
        party, name=texts("name", name) or party.name, site=site or party.site, zone=zone or party.zone
    )
    check_zone(party.zone, at="--zone")
    at, _ = SystemClock().now()
    party = provision.enrol(
        folder,
        side,
        party,
        officers=officer or default_terms.officers(side),
        suite=suite,
        links=link or [default_terms.LINK],
        broker=plan,
        authority=authority,
        own_authority=own_authority,
        at=at,
    )
    say(t("{folder}: made. The private keys never leave it.", folder=own))
    say(t("Officers' credentials: {folder}", folder=f"{own}/keys/officers/"))
    if authority is None:
        tell_first_certificate(own / "endpoint.toml", t)
    say(t("Send this to the other side as a file; it is needed for: deconflict link make"))
    if as_json:
        print_json({"side": side, **msgspec.to_builtins(party)})
    else:
        print(side_file.dump(side, party).decode(), end="")


def _enrol_watch(
    own: Path,
    officers: list[str] | None,
    suite: str,
    links: list[str],
    broker: BrokerPlan,
    authority: Path | None,
    t: Translator,
    *,
    own_authority: bool,
    as_json: bool,
) -> None:
    """Make the watch in `own`, or a key for one without; print its entry for the link file. Raises UserError."""
    from endpoints.clocks.clock import SystemClock
    from endpoints.config import provision, side_file
    from endpoints.keys.private_files import exists

    if exists(own / "watch.toml"):
        entry = provision.add_watch_keys(own, suite)
        config = f"{own}/watch.toml"
        say(t("{file}: a key was added. Restart a running watch once the link file has the entry below.", file=config))
    else:
        at, _ = SystemClock().now()
        entry = provision.enrol_watch(
            own.parent,
            officers=officers or default_terms.officers(provision.WATCH),
            suite=suite,
            links=links,
            broker=broker,
            authority=authority,
            own_authority=own_authority,
            at=at,
        )
        say(t("{folder}: made. The private keys never leave it.", folder=own))
        say(t("Officers' credentials: {folder}", folder=f"{own}/keys/officers/"))
        if authority is None:
            tell_first_certificate(own / "watch.toml", t)
    say(t("Give this to the one who makes the link file: deconflict link make --watch FILE, or append it to the file."))
    if as_json:
        print_json({"watch": msgspec.to_builtins(entry)})
    else:
        print(side_file.dump_watch(entry).decode(), end="")


def _two_brokers(hosts: tuple[str, ...], port: int, listen: str) -> tuple[BrokerPlan, BrokerPlan]:
    """Return the plans of the caller's broker and the answering side's. Raises UserError."""
    from endpoints.config.provision import BrokerPlan

    if len(hosts) not in {0, 2}:
        raise UserError(
            phrase("--bridged: give two hosts with --broker-host, the caller's and the answering side's, or none")
        )
    if hosts:
        first, second = (BrokerPlan(hosts=(host,), port=port, listen=listen) for host in hosts)
        return first, second
    # the answering side's broker has the next one
    check_port(port, option="port", port_max=PORT_MAX - 1)
    plan = BrokerPlan(hosts=(_HOST,), port=port, listen=listen)
    return plan, msgspec.structs.replace(plan, port=port + 1)


def _hosts(given: list[str] | None) -> tuple[str, ...]:
    """Return the values of `--broker-host`, each once. Raises UserError."""
    for each in given or ():
        check_host(each, at="--broker-host")
    return tuple(dict.fromkeys(given or ()))


def _addressed(given: list[str] | None) -> tuple[str, ...]:
    """Return the values of `--broker-host` as the addresses that a client has. Raises UserError if they are many."""
    hosts = _hosts(given)
    if len(hosts) > ADDRESSES_MAX:
        raise UserError(phrase("{at}: {limit} addresses at most", at="--broker-host", limit=ADDRESSES_MAX))
    return hosts


def _enrolled(side: str, config: Path, officers: list[str] | None) -> UserError:
    """Return that a side is enrolled already, and how to add an officer to it."""
    return UserError(
        phrase(
            "{config}: {side} is enrolled already; to add an officer: {command}",
            config=config,
            side=side,
            command=shlex.join(["deconflict", "officer", "add", str(config), *(officers or ["ID"])[:1]]),
        )
    )
