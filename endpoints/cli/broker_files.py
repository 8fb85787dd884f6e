"""Makes the broker's files anew from link files (`deconflict broker --configure`), or prints them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from broker import access, cluster, configuration
from broker.bridges import Bridges
from broker.configuration import PORT, Listener
from broker.definitions import definitions
from broker.names import BROKER, HEALTH
from endpoints.cli import broker_bridges
from endpoints.cli.broker_bridges import AskedBridges
from endpoints.cli.consent import EXIT_DECLINED, consented
from endpoints.cli.output import print_json, print_lines
from endpoints.config import link_file
from endpoints.config.new_folder import as_user_errors
from endpoints.errors import UserError
from endpoints.keys.private_files import exists
from protocol.phrases import phrase

if TYPE_CHECKING:
    from endpoints.texts.i18n import Translator

Printed = Literal["acl", "conf", "rabbitmq"]
RESERVED = (BROKER, "authority", HEALTH)
"""No party of a link has such a name: folders beside those of the sides, and an identity without rights."""
_FILES = {"acl": "acl", "conf": "mosquitto.conf"}


class BrokerLinks(Struct, frozen=True, kw_only=True):
    """What a broker is to serve, from link files.

    Attributes:
        links: the two endpoints of each link.
        statuses: the status of each link.
        watch: the watch's identity.
        listener: where Mosquitto listens.
        bridges: how it is bridged to the brokers of the other sides; None if it serves all sides.
    """

    links: dict[str, tuple[str, str]]
    statuses: dict[str, str]
    watch: str
    listener: Listener
    bridges: Bridges | None = None

    @property
    def files(self) -> dict[str, str]:
        """The text of each of Mosquitto's files. Raises UserError."""
        address, port = self.listener
        with as_user_errors(Path()):
            return configuration.files(self.links, watch=self.watch, address=address, port=port, bridges=self.bridges)


def plan(
    own: Path,
    files: Sequence[Path],
    watch: str,
    address: str | None,
    port: int | None,
    asked: AskedBridges,
) -> BrokerLinks:
    """Return what is to be served from the broker's folder `own` from link files.

    What is not given is as in the present configuration. Raises UserError if the link files contradict each other.
    """
    links: dict[str, tuple[str, str]] = {}
    statuses: dict[str, str] = {}
    where: dict[str, Path] = {}
    for file in files:
        terms = link_file.load(file).terms
        endpoints = (terms.caller, terms.answering)
        for name in endpoints:
            if name in RESERVED:
                raise UserError(
                    phrase("{path}: {side}: this name is reserved; choose another id", path=file, side=name)
                )
        if terms.link in links and set(links[terms.link]) != set(endpoints):
            raise UserError(
                phrase(
                    "{path}: link {link} is between {parties}, and in {other} between {others}; give one of the files",
                    path=file,
                    link=terms.link,
                    parties=", ".join(endpoints),
                    other=where[terms.link],
                    others=", ".join(links[terms.link]),
                )
            )
        links[terms.link], statuses[terms.link], where[terms.link] = endpoints, terms.policy.status, file
    with as_user_errors(own):
        present = configuration.present_listener(own) or Listener("127.0.0.1", configuration.PORT)
    listener = Listener(address or present.address, port or present.port)
    return BrokerLinks(
        links=links, statuses=statuses, watch=watch, listener=listener, bridges=broker_bridges.bridges(own, asked)
    )


def configure(own: Path, made: BrokerLinks, t: Translator, *, yes: bool, as_json: bool) -> int:
    """Show what changes for whom, ask, and write the files. Return the exit code. Raises UserError."""
    if not (exists(own) and own.is_dir()):
        raise UserError(
            phrase("{folder}: no such folder; deconflict init or deconflict enrol --side broker makes it", folder=own)
        )
    files = made.files
    before = {name: _text(own / name) for name in files}
    old, new = access.rules(before["acl"] or ""), access.rules(files["acl"])
    changes = _changes(old, new)
    # before the first configuration nothing can run
    restarts = before["mosquitto.conf"] is not None and before != files
    with as_user_errors(own):
        bridged_before = configuration.present_bridges(own)
    address, port = made.listener
    print_lines(_shown(own, made, old, new, t), stderr=True)
    print_lines(broker_bridges.shown(made.bridges, bridged_before, made.links, t), stderr=True)
    document: dict[str, Any] = {
        "folder": str(own),
        "address": address,
        "port": port,
        "links": {link: sorted({*made.links[link], made.watch}) for link in made.links},
        "statuses": made.statuses,
        "changes": changes,
        "dropped": list(old.others),
        "restart": restarts,
        **broker_bridges.document(made.bridges),
    }
    if before != files:
        if not consented(t("write these files?"), t, yes=yes):
            return EXIT_DECLINED
        with as_user_errors(own):
            configuration.write(own, made.links, watch=made.watch, address=address, port=port, bridges=made.bridges)
        print_lines([_taken_over(t, restarts=restarts)], stderr=True)
    else:
        print_lines([t("{folder}: has all of it already; nothing changes", folder=own)], stderr=True)
    broker_bridges.tell(broker_bridges.prepare(own, made.bridges), t)
    if as_json:
        print_json({**document, "written": before != files})
    return 0


def print_file(own: Path, printed: Printed, made: BrokerLinks | None) -> None:
    """Print one of the broker's files: as `made` has it, or as it is now. Raises UserError."""
    if printed == "rabbitmq":
        if made is not None and made.bridges is not None:
            raise UserError(
                phrase("--print rabbitmq: RabbitMQ is not bridged here; give --no-bridges instead of --serve")
            )
        if made is None:
            raise UserError(phrase("--print rabbitmq: needs the link files: --configure LINK_FILE..."))
        with as_user_errors(own):
            text = json.dumps(definitions(made.links, made.watch), indent=2) + "\n"
    elif made is not None:
        text = made.files[_FILES[printed]]
    else:
        found = _text(own / _FILES[printed])
        if found is None:
            raise UserError(
                phrase("{path}: no such file; --configure LINK_FILE... makes it", path=own / _FILES[printed])
            )
        text = found
    sys.stdout.write(text)


def print_node_configuration(own: Path, nodes: Sequence[str] | None, address: str | None, port: int | None) -> None:
    """Print RabbitMQ's configuration for a cluster of `nodes`.

    Raises UserError, also if a broker's certificates in `own` trust a side's own authority: RabbitMQ does not restrict
    it to that side.
    """
    _check_authorities(own / "tls" / "ca.crt")
    every = "0.0.0.0"  # noqa: S104 - a node has a machine or a container of its own
    with as_user_errors(Path()):
        text = cluster.node_configuration(nodes or cluster.NODES, address=address or every, port=port or PORT)
    sys.stdout.write(text)


def _check_authorities(path: Path) -> None:
    from broker.constraints import permitted
    from endpoints.config.certificate_change import load_all

    if not exists(path):
        return
    for authority in load_all(path):
        if (side := permitted(authority)) is not None:
            raise UserError(
                phrase(
                    "{path}: trusts the own authority of {side}; RabbitMQ would accept certificates of the other side "
                    "from it: sign the request of {side} with the broker's authority instead (deconflict cert sign)",
                    path=path,
                    side=side,
                )
            )


def _changes(old: access.Rules, new: access.Rules) -> list[dict[str, Any]]:
    """Return for each link who gains and who loses what."""
    rows = []
    for link in dict.fromkeys((*old.links, *new.links)):
        before, after = old.links.get(link, {}), new.links.get(link, {})
        if before != after:
            users = sorted({*before, *after})
            gained = {user: sorted(after.get(user, frozenset()) - before.get(user, frozenset())) for user in users}
            lost = {user: sorted(before.get(user, frozenset()) - after.get(user, frozenset())) for user in users}
            rows.append(
                {
                    "link": link,
                    "gained": {user: lines for user, lines in gained.items() if lines},
                    "lost": {user: lines for user, lines in lost.items() if lines},
                }
            )
    return rows


def _shown(own: Path, made: BrokerLinks, old: access.Rules, new: access.Rules, t: Translator) -> Iterator[str]:
    address, port = made.listener
    yield t("{folder}: Mosquitto listens at {address}:{port}", folder=own, address=address, port=port)
    for link, endpoints in made.links.items():
        who = ", ".join((*endpoints, made.watch))
        status = t.term("status", made.statuses[link])
        if link not in old.links:
            yield f"  + {t('link {link}, {status}: added, for {users}', link=link, status=status, users=who)}"
        elif old.links[link] == new.links[link]:
            yield f"    {t('link {link}, {status}: as before, for {users}', link=link, status=status, users=who)}"
        else:
            before = ", ".join(old.links[link])
            named = {"link": link, "status": status, "users": who, "before": before}
            yield f"  * {t('link {link}, {status}: for {users} in place of {before}', **named)}"
    for link in old.links:
        if link not in new.links:
            users = ", ".join(old.links[link])
            yield f"  - {t('link {link}: removed; {users} can no longer use its topics', link=link, users=users)}"
    for line in old.others:
        yield f"  - {t('a rule that is of no link goes: {line}', line=line)}"


def _taken_over(t: Translator, *, restarts: bool) -> str:
    if restarts:
        return t("written; a running `deconflict broker` starts Mosquitto again: clients are back within seconds")
    return t("the files are written")


def _text(path: Path) -> str | None:
    """Return the text of a file of the broker's, None if it is missing. Raises UserError."""
    if not exists(path):
        return None
    with as_user_errors(path):
        return path.read_text("utf-8", errors="replace")
