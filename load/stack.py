"""What a load test needs of a stack: its own (`local_stack`), or one that runs already (`running_stack`)."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from msgspec import Struct

from endpoints.config.link_file import LinkFile
from load.alerts import Template
from load.channel import Row
from load.driver import Load, Slice, Told


class LoadedLink(Struct, frozen=True, kw_only=True):
    """One link under load.

    Attributes:
        file: the content of its link file.
        journals: the folders of the sender's and the receiver's journal.
    """

    file: LinkFile
    journals: tuple[Path, Path]

    @property
    def id(self) -> str:
        """The link's id."""
        return self.file.terms.link


class SliceOutcome(Struct, kw_only=True):
    """A slice of exchanges over a stack.

    Attributes:
        times: what the driver measured.
        seqs: the number of each exchange's message in its link's stream, 0 if it was never answered.
        answered_ns: when each request was answered with its reference, 0 if that was not timed.
    """

    times: Slice
    seqs: list[int]
    answered_ns: list[int]


class Stack(Protocol):
    """A sender, a receiver, and the links between them.

    Attributes:
        names: the ids of the sending and the receiving side.
        links: the links, which take turns.
        flushed: an exchange ends when the receipt is flushed at the sender; else when it is written.
        slice_max: the exchanges of one slice at most: each leaves an alert open until the slice is over.
    """

    names: tuple[str, str]
    links: tuple[LoadedLink, ...]
    flushed: bool
    slice_max: int

    @property
    def pids(self) -> dict[str, int]:
        """The processes whose processor time can be read, by name."""
        ...

    def template(self, run: str, size_bytes: int) -> Template:
        """Return the template of the run's alerts. Raises UserError."""
        ...

    async def exchange(self, load: Load, template: Template, first: int, told: Told) -> SliceOutcome:
        """Run one slice, whose first alert has the number `first`. Raises UserError."""
        ...

    def end_slice(self) -> None:
        """Begin no more exchanges of the slice that runs."""
        ...

    async def acknowledge(self, told: Told) -> int:
        """Acknowledge the alerts of load tests at the receiver; return how many were open. Raises UserError."""
        ...

    async def rows(self) -> tuple[list[Row], list[Row]]:
        """Return what the sender and the receiver have timed since the last call; nothing if they are not measured."""
        ...
