"""Passes everything that rich prints through `printable`."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

from endpoints.texts.printable import printable


class Harmless(RenderHook):
    """Escapes text after its layout and before its colouring."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Return the renderables, each wrapped so that its text is escaped."""
        return [_Cleaned(each) for each in renderables]


class _Cleaned:
    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from _clean(console.render(self._inner, options))


def _clean(segments: Iterable[Segment]) -> Iterable[Segment]:
    for segment in segments:
        # control segments are rich's own codes, not text
        yield segment if segment.control else Segment(printable(segment.text), segment.style)
