"""Small worlds of streams: messages, receipts, losses, duplicates and crashes."""

from __future__ import annotations

from msgspec import structs

from endpoints.config import default_terms
from endpoints.config.link_file import LinkFile
from protocol.core.events import OfficerRaisedAlert, Request
from protocol.core.snapshot import Snapshot
from protocol.wire.instants import written
from protocol.wire.messages import Precedence
from protocol.wire.policy import Terms
from scenario.exploration.small_world import Asking, Bounds, PlannedRequest, SmallWorld, Symmetry
from scenario.simulation.signatures import enrolled

CALLER, ANSWERING = default_terms.CALLER, default_terms.ANSWERING
HOUR = 3_600_000
FAULTS = frozenset({"undelivered", "policy_mismatch"})


def link_file(epoch: int = 1, **policy: object) -> LinkFile:
    """Return the link file of an epoch, whose policy differs from the usual one in `policy`."""
    usual = default_terms.terms()
    terms: Terms = structs.replace(usual, epoch=epoch, policy=structs.replace(usual.policy, **policy))
    keys = enrolled((CALLER, ANSWERING))
    parties = {name: structs.replace(default_terms.party(name), keys=keys[name]) for name in (CALLER, ANSWERING)}
    return LinkFile(terms=terms, parties=parties)


def alert(side: str, number: int, officer: str = "duty-1", precedence: Precedence = "routine") -> PlannedRequest:
    """Return a request for an alert."""

    def make(_view: Snapshot, asked: Asking) -> Request:
        return OfficerRaisedAlert(
            at=asked.at,
            mono=asked.mono,
            request=asked.request,
            officer=officer,
            category="air_pursuit",
            precedence=precedence,
            event_at=written(asked.at),
            expires_at=written(asked.at + HOUR),
            text={"en": f"alert {number}"},
        )

    return PlannedRequest(f"{side} alert {number}", side, make)


SWAPPED = Symmetry({CALLER: ANSWERING, ANSWERING: CALLER})


def smallest() -> SmallWorld:
    """Return the world in which every reduction is switched off once."""
    return _streams("smallest", each=1, crashes=(0, 0), losses=1, duplicates=0, deadlines=1)


def small() -> SmallWorld:
    """Return the world of `make test`."""
    return _streams("streams-small", each=1, crashes=(1, 1), losses=1, duplicates=1)


def batches() -> SmallWorld:
    """Return a world in which batches have two events: a crash loses both."""
    return _streams("batches", each=1, crashes=(1, 1), losses=1, duplicates=1, batch=2)


def streams() -> SmallWorld:
    """Return the world of two streams and their receipts."""
    return _streams("streams", each=2, crashes=(1, 1), losses=2, duplicates=1)


def _streams(
    name: str, *, each: int, crashes: tuple[int, int], losses: int, duplicates: int, batch: int = 1, deadlines: int = 0
) -> SmallWorld:
    return SmallWorld(
        name=name,
        about=(
            f"messages each way: {each}, crashes: {crashes[0]} and {crashes[1]}, "
            f"losses: {losses}, duplicates: {duplicates}"
        ),
        files=(link_file(),),
        scripts=tuple(tuple(alert(side, number + 1) for number in range(each)) for side in (CALLER, ANSWERING)),
        bounds=Bounds(
            deadlines=deadlines,
            losses=losses,
            duplicates=duplicates,
            crashes=dict(zip((CALLER, ANSWERING), crashes, strict=True)),
            batch=batch,
        ),
        explained=FAULTS,
        symmetries=(SWAPPED,),
    )
