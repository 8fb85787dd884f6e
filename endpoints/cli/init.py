"""`deconflict init` and `deconflict enrol`: make the files that everything else works on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.output import print_json, say
from endpoints.cli.values import identifier
from endpoints.config import default_terms
from endpoints.errors import UserError

Folder = Annotated[Path, Parameter(help="A new folder, or an empty one.", negative="")]
LinkId = Annotated[str, Parameter(name="--link", help="The link's id.")]
Caller = Annotated[str, Parameter(name="--caller", help="The side that places the line tests.")]
Answering = Annotated[str, Parameter(name="--answering", help="The side that answers them.")]
BrokerHost = Annotated[str, Parameter(name="--broker-host", help="Where the broker is found.")]
Port = Annotated[int, Parameter(name="--port", help="The broker's port.")]
Listen = Annotated[str, Parameter(help="The address that the broker listens at; 0.0.0.0 is every one.")]

SideId = Annotated[str, Parameter(name="--side", help="The side's id.")]
OfficerIds = Annotated[
    list[str] | None,
    Parameter(name="--officer", negative="", help="An officer, who gets a fresh credential; once for each."),
]
Site = Annotated[str | None, Parameter(help="Where the headquarters is.")]
Zone = Annotated[str | None, Parameter(help="Time zone of its wall clocks (IANA).")]
Suite = Annotated[
    Literal["ed25519", "ed25519+ml-dsa-65"],
    Parameter(help="The signature suite: one key is made for each of its algorithms."),
]
LinkIds = Annotated[
    list[str] | None, Parameter(name="--link", negative="", help="A link that this side shall run; once for each.")
]
AuthorityFolder = Annotated[
    Path | None,
    Parameter(name="--authority", help="The broker's authority, where it is at hand: it issues the certificate."),
]


def init(
    folder: Folder,
    /,
    *,
    link: LinkId = default_terms.LINK,
    caller: Caller = default_terms.CALLER,
    answering: Answering = default_terms.ANSWERING,
    status: options.LinkStatus = "exercise",
    broker_host: BrokerHost = "127.0.0.1",
    port: Port = 8883,
    listen: Listen = "127.0.0.1",
    as_json: options.AsJson = False,
) -> None:
    """Make both sides, the watch and the broker on one machine: for trying and for tests."""
    from endpoints.clocks.clock import SystemClock
    from endpoints.config.provision import BrokerPlan, provision

    for option, value in (("link", link), ("caller", caller), ("answering", answering)):
        identifier(value, option=option)
    terms = default_terms.terms(link, caller, answering, status)
    sides = (caller, answering)
    at, _ = SystemClock().now()
    (content,) = provision(
        folder,
        [terms],
        {side: default_terms.party(side) for side in sides},
        at=at,
        officers={side: default_terms.officers(side) for side in sides},
        broker=BrokerPlan(host=broker_host, port=port, listen=listen),
    )
    if as_json:
        print_json({"link": link, "file": folder / "link.toml", "digest": content.digest, "sides": sides})
        return
    say(f"{folder}: link {link} between {caller} (calls) and {answering} (answers), status {status}")
    for side in sides:
        names = ", ".join(default_terms.officers(side))
        say(f"  officers of {side}: {names}; their credentials: {folder}/{side}/keys/officers/")
    say("Each in a terminal of its own:")
    say(f"  deconflict broker {folder}")
    for side in sides:
        say(f"  deconflict run {folder}/{side}/endpoint.toml")
    say(f"  deconflict watch {folder}/watch/watch.toml")


def enrol(
    folder: Folder,
    /,
    *,
    side: SideId,
    officer: OfficerIds = None,
    name: options.Texts = None,
    site: Site = None,
    zone: Zone = None,
    suite: Suite = "ed25519",
    link: LinkIds = None,
    broker_host: BrokerHost = "127.0.0.1",
    port: Port = 8883,
    authority: AuthorityFolder = None,
    as_json: options.AsJson = False,
) -> None:
    """Make one side's keys and officers; print what the other side needs.

    On a side that is enrolled already, it adds the officers that are named.
    """
    from endpoints.clocks.clock import SystemClock
    from endpoints.config import provision, side_file
    from endpoints.config.link_file import zone as check_zone

    identifier(side, option="side")
    for each in officer or ():
        identifier(each, option="officer")
    for each in link or ():
        identifier(each, option="link")
    if len(set(officer or ())) < len(officer or ()):
        raise UserError("--officer: the same officer twice")
    own = folder / side
    if (own / "endpoint.toml").exists():
        _add(own, side, officer)
        return
    party = default_terms.party(side)
    party = msgspec.structs.replace(
        party, name=options.texts("name", name) or party.name, site=site or party.site, zone=zone or party.zone
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
        broker=provision.BrokerPlan(host=broker_host, port=port),
        authority=authority,
        at=at,
    )
    say(f"{own}: made; its private keys stay there. Officers' credentials: {own}/keys/officers/")
    if authority is None:
        say(f"The broker's people issue its certificate: ca.crt, client.crt and client.key belong into {own}/tls/")
    say("The other side needs this, as a file, for: deconflict link make")
    if as_json:
        print_json({"side": side, **msgspec.to_builtins(party)})
    else:
        print(side_file.dump(side, party).decode(), end="")


def _add(own: Path, side: str, officer: list[str] | None) -> None:
    from endpoints.config.provision import add_officers

    if not officer:
        raise UserError(f"{own}: {side} is enrolled already; --officer ID adds an officer, and there is nothing else")
    add_officers(own, officer)
    say(f"{own}/endpoint.toml: {', '.join(officer)} added; credentials in {own}/keys/officers/")
    say("A running endpoint knows them after its next start.")
