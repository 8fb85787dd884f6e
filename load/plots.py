"""Draws the plots of the report. matplotlib is imported here only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import pairwise
from typing import Any

from endpoints.texts.i18n import Translator
from load.histogram import Latencies
from load.measuring import LINK
from load.report_rows import SecondRow
from load.stages import BROKER, Stage

_SIZE = (9.0, 4.5)
_DPI = 110
_COLOURS = {LINK: "#c0392b", "floor": "#7f8c8d", "paho": "#2980b9", "aiomqtt": "#8e44ad", "skeleton": "#27ae60"}
_QUANTILES = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
_PAUSE_S = 1
_BAR_LABEL_MIN_SHARE = 0.04


class Figure:
    """One plot."""

    def __init__(self, title: str) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Drawing

        self._drawing: Any = Drawing(figsize=_SIZE, dpi=_DPI, layout="constrained")
        FigureCanvasAgg(self._drawing)
        self.axes: Any = self._drawing.add_subplot()
        self.axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
        for side in ("top", "right"):
            self.axes.spines[side].set_visible(False)
        self.axes.grid(visible=True, alpha=0.25)

    def log_latency(self) -> None:
        """Make the vertical axis logarithmic, with plain numbers."""
        from matplotlib.ticker import FuncFormatter, LogLocator

        plain = FuncFormatter(lambda value, _: f"{value:g}")
        self.axes.set_yscale("log")
        self.axes.yaxis.set_major_formatter(plain)
        self.axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        self.axes.yaxis.set_minor_formatter(plain)

    def png(self) -> bytes:
        """Return the picture."""
        out = BytesIO()
        self._drawing.savefig(out, format="png")
        return out.getvalue()


def spectrum(by_subject: Mapping[str, Latencies], t: Translator) -> bytes:
    """Return the percentile spectrum: latency over the share of exchanges that are faster."""
    figure = Figure(t("Percentile spectrum"))
    axes = figure.axes
    most = 10.0
    for name, latencies in by_subject.items():
        points = [(1 / (1 - quantile), ms) for quantile, ms in latencies.spectrum() if quantile < 1]
        if not points:
            continue
        # beyond one exchange in so many, nothing was measured
        points = [each for each in points if each[0] <= latencies.count] or points[:1]
        most = max(most, points[-1][0])
        axes.plot(
            *zip(*points, strict=True), label=t.term("subject", name), color=_COLOURS.get(name), drawstyle="steps-post"
        )
    shown = [quantile for quantile in _QUANTILES if 1 / (1 - quantile) <= most * 1.01]
    axes.set_xscale("log")
    figure.log_latency()
    axes.set_xticks([1 / (1 - quantile) for quantile in shown], [f"{quantile * 100:g} %" for quantile in shown])
    axes.set_xticks([], minor=True)
    axes.set_xlabel(t("share of exchanges that are faster"))
    axes.set_ylabel(t("latency, ms"))
    axes.legend(frameon=False)
    return figure.png()


def over_time(rows: Sequence[SecondRow], t: Translator) -> bytes:
    """Return latency over time, second by second."""
    figure = Figure(t("Latency over time"))
    axes = figure.axes
    # one line for each repeat: nothing is known of the pauses
    begins = [place for place, row in enumerate(rows) if not place or row.second - rows[place - 1].second > _PAUSE_S]
    pieces = [rows[begin:end] for begin, end in pairwise([*begins, len(rows)])]
    for field, label, style, colour in (
        ("p50_ms", "p50", "-", "C0"),
        ("p99_ms", "p99", "-", "C1"),
        ("max_ms", t("max"), ":", "C2"),
    ):
        for number, piece in enumerate(pieces):
            axes.plot(
                [row.second for row in piece],
                [getattr(row, field) for row in piece],
                style,
                color=colour,
                marker=".",
                label="" if number else label,
            )
    figure.log_latency()
    axes.set_xlabel(t("seconds since the first exchange; between repeats, the yardsticks ran"))
    axes.set_ylabel(t("latency, ms"))
    axes.legend(frameon=False)
    return figure.png()


def stacked(stages: Mapping[str, Stage], t: Translator) -> bytes:
    """Return the mean of each stage, one after another: together they are the mean latency."""
    figure = Figure(t("Where the time goes: the mean of each stage"))
    axes = figure.axes
    shown = {name: stage.mean for name, stage in stages.items() if name != BROKER}
    whole = sum(shown.values()) or 1.0
    left = 0.0
    for place, (name, mean) in enumerate(shown.items()):
        bars = axes.barh([0], [mean], left=left, color=f"C{place}", label=f"{t.term('stage', name)}  {mean:.3g}")
        if mean / whole >= _BAR_LABEL_MIN_SHARE:
            axes.bar_label(bars, labels=[f"{mean:.2g}"], label_type="center", color="white", fontsize=9)
        left += mean
    axes.set_yticks([])
    axes.set_xlabel(t("ms"))
    axes.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.18), fontsize=9)
    return figure.png()


def against(
    option: str, steps: Sequence[tuple[float, float, float, float]], knee: float | None, t: Translator
) -> bytes:
    """Return latency against the option that was swept.

    Args:
        option: its name.
        steps: value, rate reached, p50 and p99 (ms) of each step.
        knee: the value at the knee, None if there is none.
        t: the language.
    """
    figure = Figure(t("Latency against {option}", option=f"--{option}"))
    axes = figure.axes
    values = [value for value, _, _, _ in steps]
    axes.plot(values, [p50 for _, _, p50, _ in steps], marker="o", label="p50")
    axes.plot(values, [p99 for _, _, _, p99 in steps], marker="o", label="p99")
    axes.set_xscale("log")
    figure.log_latency()
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.set_xticks([], minor=True)
    axes.set_xlabel(f"--{option}")
    axes.set_ylabel(t("latency, ms"))
    rates = axes.twinx()
    rates.plot(values, [rate for _, rate, _, _ in steps], color="#7f8c8d", marker=".", linestyle="--")
    rates.set_ylabel(t("exchanges a second (dashed)"))
    rates.set_ylim(bottom=0)
    if knee is not None:
        axes.axvline(knee, color="black", linewidth=1, linestyle=":", label=t("knee: {value}", value=f"{knee:g}"))
    axes.legend(frameon=False, loc="upper left")
    return figure.png()
