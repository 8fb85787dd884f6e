"""Instruments of a measured endpoint: they wrap the ports of its links when the process is composed.

`Instruments` itself wraps nothing: `deconflict run` has the ports as they are. The load test times them (`load/`).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from endpoints.journal.store import SegmentStore
from endpoints.journal.writer import Batch, OnDisk
from endpoints.mqtt.events import TransportEvent
from endpoints.runtime.link_runner import AnyRunner
from endpoints.runtime.ports import FrameOutlet, FrameSigner, JudgeOfKeys, judge_of_keys
from endpoints.runtime.work_queue import WorkQueue
from protocol.wire.messages import Identifier

Happened = Callable[[TransportEvent], None]
"""Takes an event of the transport."""
Beside = Callable[[], Coroutine[Any, Any, None]]
"""What runs beside the loop until the process stops."""


class Instruments:
    """Returns each port as it is."""

    def store(self, link: Identifier, store: SegmentStore) -> SegmentStore:
        """Return the store of a link's journal."""
        del link
        return store

    def on_disk(self, link: Identifier) -> OnDisk:
        """Return what is called with each batch of a link's journal that is on disk."""
        del link
        return _ignore

    def signer(self, link: Identifier, signer: FrameSigner) -> FrameSigner:
        """Return the signer of a link's frames."""
        del link
        return signer

    def judges(self, link: Identifier) -> JudgeOfKeys:
        """Return what makes the judge of a link's frames."""
        del link
        return judge_of_keys

    def outlet(self, outlet: FrameOutlet) -> FrameOutlet:
        """Return what publishes frames."""
        return outlet

    def happened(self, happened: Happened) -> Happened:
        """Return what takes the events of the transport."""
        return happened

    def beside(self, runners: Mapping[str, AnyRunner], queue: WorkQueue) -> Sequence[Beside]:
        """Return what runs beside the loop, and may queue work for it."""
        del runners, queue
        return ()


def _ignore(_batch: Batch) -> None:
    """Take a batch, and do nothing with it."""
