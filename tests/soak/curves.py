"""Draws a soak's samples as one SVG with three panels: memory, file descriptors and disk."""

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from msgspec import Struct

from tests.soak.gauge import Sample

_WIDTH, _PANEL, _LEFT, _RIGHT, _TOP, _GAP = 960, 200, 70, 20, 50, 46
_COLOURS = ("#1b5e9e", "#b3402a", "#3d7d3a")
_TICKS = 4
_POINTS_MAX = 700


class _Panel(Struct, frozen=True):
    title: str
    field: str
    # how many of the field's units make one of the title's units
    unit: float


_PANELS = (
    _Panel("memory (resident), MiB", "rss_kib", 1_024),
    _Panel("file descriptors", "descriptors", 1),
    _Panel("disk (endpoints: journal; broker: data), MiB", "disk_kib", 1_024),
)


def draw(samples: Sequence[Sample], calm_s: float, title: str, path: Path) -> None:
    """Write the picture to `path`; the calm, which starts at `calm_s`, is shaded."""
    names = list(dict.fromkeys(each.name for each in samples))
    end_s = max((each.at_s for each in samples), default=1.0) or 1.0
    height = _TOP + len(_PANELS) * (_PANEL + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        _text(_LEFT, 20, title, size=14),
    ]
    for place, name in enumerate(names):
        parts.append(_text(_LEFT + 120 * place, 40, name, colour=_COLOURS[place % len(_COLOURS)]))
    for row, panel in enumerate(_PANELS):
        parts += _panel(samples, names, panel, _TOP + row * (_PANEL + _GAP) + 16, end_s, calm_s)
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")


def _panel(
    samples: Sequence[Sample], names: Sequence[str], panel: _Panel, top: float, end_s: float, calm_s: float
) -> list[str]:
    most = _ceiling(max((getattr(each, panel.field) for each in samples), default=1) / panel.unit)
    width, bottom = _WIDTH - _LEFT - _RIGHT, top + _PANEL - 20

    def x(at_s: float) -> float:
        return _LEFT + width * at_s / end_s

    def y(value: float) -> float:
        return bottom - (bottom - top) * value / most

    calm = max(0.0, x(end_s) - x(calm_s))
    parts = [
        _text(_LEFT, top - 6, panel.title),
        f'<rect x="{x(calm_s):.1f}" y="{top}" width="{calm:.1f}" height="{bottom - top}" fill="#eef3e6"/>',
    ]
    for tick in range(_TICKS + 1):
        value = most * tick / _TICKS
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#ccc"/>'
        )
        parts.append(_text(_LEFT - 6, y(value) + 4, f"{value:g}", anchor="end"))
        at_s = end_s * tick / _TICKS
        parts.append(_text(x(at_s), bottom + 16, f"{at_s / 60:.1f} min", anchor="middle"))
    for place, name in enumerate(names):
        of_it = [each for each in samples if each.name == name]
        step = max(1, len(of_it) // _POINTS_MAX)
        points = " ".join(
            f"{x(each.at_s):.1f},{y(getattr(each, panel.field) / panel.unit):.1f}" for each in of_it[::step]
        )
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{_COLOURS[place % len(_COLOURS)]}" stroke-width="1.2"/>'
        )
    return parts


def _ceiling(value: float) -> float:
    """Return a round number not below `value`."""
    step = 1.0
    while step * 10 < value:
        step *= 10
    return next(step * each for each in (1, 2, 4, 5, 8, 10, 20) if step * each >= value)


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = "#222", size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}">{escape(text)}</text>'
    )
