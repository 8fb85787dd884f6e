"""Renders everything that rich prints: escaped, and each text as one row that no text within it can imitate."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment
from rich.text import Text

from endpoints.texts.printable import HANGING, one_line, printable


class Harmless(RenderHook):
    """Escapes text after its layout and before its colouring, and keeps each text that is printed by itself one row."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Return the renderables, each wrapped so that its text is escaped."""
        return [_Cleaned(_Row(each) if isinstance(each, Text) else each) for each in renderables]


class _Row:
    """A text as one row: its line breaks are spelt out, and what does not fit continues below it, indented."""

    def __init__(self, text: Text) -> None:
        plain = one_line(text.plain)
        # where a character is spelt out, the places of the styles are no longer known
        self._text = text if plain == text.plain else Text(plain, text.style)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text = self._text
        if options.no_wrap or text.cell_len <= options.max_width:
            yield text
            return
        lead = len(text.plain) - len(text.plain.lstrip(" "))
        begin, rest = text[:lead], text[lead:]
        for line in rest.wrap(console, max(options.max_width - lead - HANGING, 1)):
            yield begin + line
            begin = Text(" " * (lead + HANGING))


class _Cleaned:
    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from _clean(console.render(self._inner, options))


def _clean(segments: Iterable[Segment]) -> Iterable[Segment]:
    for segment in segments:
        # control segments are rich's own codes, not text
        yield segment if segment.control else Segment(printable(segment.text), segment.style)
