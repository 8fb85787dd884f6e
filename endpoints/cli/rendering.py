"""The last step before a terminal: whatever is printed through rich has passed `printable`."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

from endpoints.texts.printable import printable


class Harmless(RenderHook):
    """Cleans text after it has been laid out and before it is coloured."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Return them wrapped."""
        return [_Cleaned(each) for each in renderables]


class _Cleaned:
    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from _clean(console.render(self._inner, options))


def _clean(segments: Iterable[Segment]) -> Iterable[Segment]:
    for segment in segments:
        # rich's own control codes are none of the text
        yield segment if segment.control else Segment(printable(segment.text), segment.style)
