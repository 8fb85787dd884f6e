"""An installation as `deconflict init` makes it, for tests of its files and commands."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from endpoints.config import default_terms, provision
from endpoints.config.link_file import Party
from protocol.wire.instants import Millis
from protocol.wire.policy import Terms
from tests.support.broker_site import now

_STARTED = now()
_kept = tempfile.TemporaryDirectory(prefix="installations-")
_made: dict[bytes, Path] = {}
"""The installations that are copied: to make one costs keys, certificates and a slow hash for each officer."""


def installed(
    folder: Path,
    *,
    at: Millis = _STARTED,
    officers: Mapping[str, Sequence[str]] = default_terms.OFFICERS,
    port: int | None = None,
) -> Path:
    """Make both sides, the watch and the broker in `folder`, with certificates from `at` on; return the folder."""
    terms = default_terms.terms()
    return provisioned(
        folder,
        [terms],
        {side: default_terms.party(side) for side in (terms.caller, terms.answering)},
        at=at,
        officers=officers,
        broker=provision.BrokerPlan() if port is None else provision.BrokerPlan(port=port),
    )


def provisioned(
    folder: Path,
    links: Sequence[Terms],
    parties: Mapping[str, Party],
    *,
    at: Millis = _STARTED,
    officers: Mapping[str, Sequence[str]],
    broker: provision.BrokerPlan = provision.BrokerPlan(),  # noqa: B008 - frozen
) -> Path:
    """Make an installation in `folder`, as `provision` does; return the folder.

    It is a copy: installations of one test process that are made with the same arguments have the same keys.
    """
    key = msgspec.json.encode([links, parties, at, officers, broker])
    if key not in _made:
        made = Path(tempfile.mkdtemp(dir=_kept.name)) / "made"
        provision.provision(made, links, parties, at=at, officers=officers, broker=broker)
        _made[key] = made
    shutil.copytree(_made[key], folder, dirs_exist_ok=True)
    return folder
