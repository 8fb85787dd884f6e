"""An installation as `deconflict init` makes it, for tests of its files and commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from endpoints.config import default_terms, provision
from protocol.wire.instants import Millis
from tests.support.broker_site import now


def installed(
    folder: Path,
    *,
    at: Millis | None = None,
    officers: Mapping[str, Sequence[str]] = default_terms.OFFICERS,
    port: int | None = None,
) -> Path:
    """Make both sides, the watch and the broker in `folder`, with certificates from `at` on; return the folder."""
    terms = default_terms.terms()
    provision.provision(
        folder,
        [terms],
        {side: default_terms.party(side) for side in (terms.caller, terms.answering)},
        at=now() if at is None else at,
        officers=officers,
        broker=provision.BrokerPlan() if port is None else provision.BrokerPlan(port=port),
    )
    return folder
