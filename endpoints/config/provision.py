"""Makes the files of both sides, the watch and the broker; of one side alone; and adds officers.

```
DIR/link.toml            public; with several links: DIR/<link>.toml
DIR/eucom/endpoint.toml  keys/ (with officers/)  tls/  journal/<link>/      private to one side (0600/0700)
DIR/ndmc/...             DIR/watch/...
DIR/broker/              mosquitto.conf acl tls/ data/, and the authority that issued every certificate
```
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli_w
from msgspec import Struct, structs

from broker import configuration
from broker.errors import BrokerError
from broker.pki import SERVER_NAMES, Authority
from endpoints.config import link_file, settings
from endpoints.config.link_file import LinkFile, Party
from endpoints.errors import UserError
from endpoints.keys import credentials, signer
from endpoints.keys.private_files import make_private_folder, write_private
from protocol.wire.instants import Millis
from protocol.wire.policy import EnrolledKey, Terms

WATCH = settings.WATCH_IDENTITY
_RESERVED = (WATCH, "broker")
"""Folders beside the two sides', and identities at the broker."""


class BrokerPlan(Struct, frozen=True, kw_only=True):
    """Where the broker is, for its clients and for itself.

    Attributes:
        host: where the clients find it; its certificate is valid for it.
        port: there.
        listen: the address that it listens at.
    """

    # not localhost, which is ::1 too, where this broker does not listen
    host: str = "127.0.0.1"
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
    exercise_clock: Path | None = None,
) -> tuple[LinkFile, ...]:
    """Make the whole tree for links between two parties on one machine, or nothing; return the link files' content.

    Args:
        folder: a new folder, or one in which there is no file yet.
        links: the terms of each link; all between the same two parties.
        parties: both, by id; their `keys` are made here.
        at: now, for the certificates' validity.
        officers: ids of each side's officers; each gets a credential in `keys/officers/<id>.credential`.
        broker: where the broker is.
        exercise_clock: the exercise's table that all processes shall read, if there is one.

    Raises UserError: the folder has files, or is too deep for a control socket; the terms do not hold together.
    """
    if not links:
        raise UserError("at least one link is needed")
    sides = (links[0].caller, links[0].answering)
    if sides[0] == sides[1]:
        raise UserError(f"{sides[0]}: the same party calls and answers; a link has two")
    for terms in links:
        if {terms.caller, terms.answering} != set(sides):
            raise UserError(f"link {terms.link}: all links of one installation are between {' and '.join(sides)}")
    for side in (*sides, *(terms.link for terms in links)):
        if side in _RESERVED:
            raise UserError(f"{side}: this name is taken: choose another id")
    home = folder.absolute()
    for side in (*sides, WATCH):
        _check_socket(home / side)
    names = {terms.link: "link.toml" if len(links) == 1 else f"{terms.link}.toml" for terms in links}
    with _all_or_nothing(home) as staging, _plainly():
        enrolled = {}
        for side in sides:
            make_private_folder(staging / side)
            enrolled[side] = structs.replace(parties[side], keys=_make_keys(staging / side, links[0].policy.suite))
        contents = tuple(LinkFile(terms=terms, parties=enrolled) for terms in links)
        for content in contents:
            link_file.check(content)
            link_file.save(content, staging / names[content.terms.link])
        authority = _make_broker(staging / "broker", home / "broker", links, broker, at)
        make_private_folder(staging / WATCH)
        for side in (*sides, WATCH):
            own = staging / side
            make_private_folder(own / "tls")
            authority.issue_client(side, own / "tls", at)
            table = _common(names, broker, exercise_clock)
            make_private_folder(own / "journal")
            for link in names:
                make_private_folder(own / "journal" / link)
            if side == WATCH:
                write_private(own / "watch.toml", _render(_WATCH_HEADER, {"identity": WATCH, **table}))
            else:
                table["officers"] = _make_officers(own, officers[side])
                write_private(own / "endpoint.toml", _render(_ENDPOINT_HEADER, {"side": side, **table}))
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
) -> Party:
    """Make `folder/side` for one side alone, or nothing; return what the other side needs: the party with its keys.

    `authority` is the folder of the broker's authority, where it is at hand: it issues the certificate. Elsewhere the
    broker's people issue it, and `ca.crt`, `client.crt`, `client.key` belong into `folder/side/tls`.

    Raises UserError: `folder/side` has files, or is too deep for a control socket; the authority is none.
    """
    if side in _RESERVED:
        raise UserError(f"{side}: this name is taken: choose another id")
    home = folder.absolute() / side
    _check_socket(home)
    with _all_or_nothing(home) as own, _plainly():
        keys = _make_keys(own, suite)
        make_private_folder(own / "tls")
        if authority is not None:
            Authority.load(authority).issue_client(side, own / "tls", at)
        make_private_folder(own / "journal")
        for link in links:
            make_private_folder(own / "journal" / link)
        names = {link: "link.toml" if len(links) == 1 else f"{link}.toml" for link in links}
        table = {"side": side, **_common(names, broker, None), "officers": _make_officers(own, officers)}
        write_private(own / "endpoint.toml", _render(_ENDPOINT_HEADER, table))
    return structs.replace(party, keys=keys)


def add_officers(own: Path, names: Sequence[str]) -> None:
    """Add officers to the endpoint in the folder `own`, each with a fresh credential, or none. Raises UserError."""
    path = own / "endpoint.toml"
    table = settings.read_endpoint(path)
    for name in names:
        if name in table.get("officers", {}):
            raise UserError(f"{path}: officers.{name}: stands there already")
        if (credential := own / "keys" / "officers" / f"{name}.credential").exists():
            raise UserError(f"{credential}: is there already; an officer has one credential")
    before = path.read_bytes()
    made = [own / "keys" / "officers" / f"{name}.credential" for name in names]
    try:
        with _plainly():
            added = {"officers": _make_officers(own, names, fresh=False)}
        # appended, not rewritten: remarks that people wrote into the file stay there
        with path.open("ab") as file:
            file.write(b"\n" + tomli_w.dumps(added).encode())
        settings.read_endpoint(path)
    except BaseException:
        path.write_bytes(before)
        for credential in made:
            credential.unlink(missing_ok=True)
        raise


# --- parts --------------------------------------------------------------------------------------------------------

_ENDPOINT_HEADER = """\
# One side's endpoint. Private: mode 0600. Paths are relative to this folder.
# Check it: deconflict doctor FILE
"""
_WATCH_HEADER = """\
# The independent watch: reads both directions, writes nothing, holds no signing key. Paths are relative to this folder.
# To be called for help when it is dead, add: [dead_man] url = "https://..." every = "1m"
"""


def _make_keys(own: Path, suite: str) -> tuple[EnrolledKey, ...]:
    make_private_folder(own / "keys")
    return signer.generate(own / "keys", suite)


def _make_officers(own: Path, names: Iterable[str], *, fresh: bool = True) -> dict[str, dict[str, str]]:
    folder = own / "keys" / "officers"
    if fresh or not folder.exists():
        make_private_folder(folder)
    table = {}
    for name in names:
        credential = credentials.generate()
        write_private(folder / f"{name}.credential", credential.encode() + b"\n")
        table[name] = {"name": name, "credential": credentials.hash_credential(credential)}
    return table


def _make_broker(own: Path, home: Path, links: Sequence[Terms], plan: BrokerPlan, at: Millis) -> Authority:
    make_private_folder(own)
    make_private_folder(own / "tls")
    authority = Authority.make(own / "authority", at)
    authority.issue_server(own / "tls", at, tuple(dict.fromkeys((*SERVER_NAMES, plan.host))))
    configuration.write(
        own,
        {terms.link: (terms.caller, terms.answering) for terms in links},
        watch=WATCH,
        address=plan.listen,
        port=plan.port,
        files=home,
    )
    return authority


def _common(names: Mapping[str, str], broker: BrokerPlan, exercise_clock: Path | None) -> dict[str, Any]:
    """Return what the settings of an endpoint and of the watch share."""
    clock = {} if exercise_clock is None else {"exercise_clock": str(exercise_clock.absolute())}
    return {
        **clock,
        "links": [{"file": f"../{file}", "journal": f"journal/{link}"} for link, file in names.items()],
        "broker": {
            "host": broker.host,
            "port": broker.port,
            "authority": "tls/ca.crt",
            "certificate": "tls/client.crt",
            "key": "tls/client.key",
        },
        "notifications": {"log": True},
    }


def _render(header: str, table: dict[str, Any]) -> bytes:
    return (header + "\n" + tomli_w.dumps(table)).encode()


def _check_socket(own: Path) -> None:
    """Refuse a folder in which the control socket would have too long a name: before anything is made."""
    settings.check_socket(own / settings.CONTROL, at=str(own))


@contextmanager
def _plainly() -> Iterator[None]:
    """Say in one line what the file system or the broker's files have against it."""
    try:
        yield
    except BrokerError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}") from None


@contextmanager
def _all_or_nothing(home: Path) -> Iterator[Path]:
    """Yield a folder to build in; its content becomes `home`'s in the end, or nothing is left of it.

    `home` may be there with empty folders in it: volumes of containers are mounted so.
    """
    if home.is_symlink() or (home.exists() and not home.is_dir()):
        raise UserError(f"{home}: is there and is not a folder")
    with _plainly():
        for path in _files(home) if home.exists() else ():
            raise UserError(f"{home}: not empty ({path.relative_to(home)} is there); name a new folder")
        made = [each for each in (home, *home.parents) if not each.exists()]
        home.mkdir(parents=True, exist_ok=True)
        staging = home / ".making"
        make_private_folder(staging)
    moved: list[Path] = []
    try:
        yield staging
        with _plainly():
            _settle(staging, home, moved)
    except BaseException:
        for path in reversed(moved):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.rmtree(staging, ignore_errors=True)
        for folder in made:
            folder.rmdir()
        raise


def _files(folder: Path) -> Iterator[Path]:
    """Yield all files below `folder`, its own first. Raises OSError where rglob() would skip a folder."""
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path)):
        if not path.is_dir():
            yield path
        elif not path.is_symlink():
            yield from _files(path)


def _settle(source: Path, target: Path, moved: list[Path]) -> None:
    """Move all that is in `source` into `target`; what is a folder on both sides is joined."""
    for path in sorted(source.iterdir()):
        final = target / path.name
        if path.is_dir() and final.is_dir():
            _settle(path, final, moved)
        else:
            shutil.move(path, final)
            moved.append(final)
    source.rmdir()
