"""Small worlds of streams: messages, receipts, losses, duplicates and crashes."""

from __future__ import annotations

from scenario.exploration.small_world import Bounds, SmallWorld
from scenario.exploration.world_parts import ANSWERING, CALLER, NEW_EPOCH, PARTIES, SWAPPED, alert, link_file


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
        scripts=tuple(tuple(alert(side, number + 1) for number in range(each)) for side in PARTIES),
        bounds=Bounds(
            deadlines=deadlines,
            losses=losses,
            duplicates=duplicates,
            crashes=dict(zip(PARTIES, crashes, strict=True)),
            batch=batch,
        ),
        explained=NEW_EPOCH,
        symmetries=(SWAPPED,),
    )


def resends() -> SmallWorld:
    """Return the world of a message that is sent again and again, while the peer comes and goes."""
    return SmallWorld(
        name="resends",
        about="an alert, 3 losses, 4 deadlines, a cut, 2 changes of the peer's presence",
        files=(link_file(),),
        scripts=((alert(CALLER, 1),),),
        bounds=Bounds(losses=3, deadlines=4, cuts=1, presence=2),
        explained=NEW_EPOCH,
    )


def outbox() -> SmallWorld:
    """Return the world of a full outbox: eight frames are not receipted, and more messages wait."""
    return SmallWorld(
        name="outbox",
        about="8 frames on the wire and not receipted, 2 more alerts and a message of the peer, a cut, a loss",
        files=(link_file(),),
        scripts=((alert(CALLER, 9), alert(CALLER, 10)), (alert(ANSWERING, 1),)),
        bounds=Bounds(losses=1, cuts=1, crashes={CALLER: 1}),
        prepared=tuple(alert(CALLER, number) for number in range(1, 9)),
        explained=NEW_EPOCH,
    )


def watched() -> SmallWorld:
    """Return the world of two streams that the independent watch reads."""
    return SmallWorld(
        name="watched",
        about="2 and 1 messages under the watch's eyes, a crash of the watch, a loss",
        files=(link_file(),),
        scripts=((alert(CALLER, 1), alert(CALLER, 2)), (alert(ANSWERING, 1),)),
        bounds=Bounds(losses=1, crashes={"watch": 1}),
        watched=True,
        explained=NEW_EPOCH,
    )
