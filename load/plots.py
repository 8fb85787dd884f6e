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
_DOTS_MAX = 60
"""Points of a line that each have a dot."""
_QUANTILES = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
_PAUSE_S = 1
_BAR_LABEL_MIN_SHARE = 0.04
_WHOLE_FROM_MS = 10


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

    def legend(self) -> None:
        """Name the lines above the plot, where they cover nothing."""
        self.axes.legend(
            frameon=False, ncols=6, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0, fontsize=9
        )

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
        # beyond one exchange in so many, nothing was measured
        points = [each for each in points if each[0] <= latencies.count] or [(1.0, latencies.ms(100))]
        most = max(most, points[-1][0])
        axes.plot(
            *zip(*points, strict=True),
            label=t.term("subject", name),
            color=_COLOURS.get(name),
            drawstyle="steps-post",
            marker="" if len(points) > 1 else "o",
        )
    shown = [quantile for quantile in _QUANTILES if 1 / (1 - quantile) <= most * 1.01]
    axes.set_xscale("log")
    axes.set_xlim(0.9, most * 1.3)
    figure.log_latency()
    axes.set_xticks([1 / (1 - quantile) for quantile in shown], [f"{quantile * 100:g} %" for quantile in shown])
    axes.set_xticks([], minor=True)
    axes.set_xlabel(t("share of exchanges that are faster"))
    axes.set_ylabel(t("latency, ms"))
    figure.legend()
    return figure.png()


def over_time(rows: Sequence[SecondRow], t: Translator) -> bytes:
    """Return latency over time, second by second; a line divides repeats, between which yardsticks ran."""
    figure = Figure(t("Latency over time"))
    axes = figure.axes
    begins = [place for place, row in enumerate(rows) if not place or row.second - rows[place - 1].second > _PAUSE_S]
    dot = "." if len(rows) <= _DOTS_MAX else ""
    for field, label, style, colour in (
        ("max_ms", t("max"), ":", "C2"),
        ("p99_ms", "p99", "-", "C1"),
        ("p50_ms", "p50", "-", "C0"),
    ):
        for begin, end in pairwise([*begins, len(rows)]):
            axes.plot(
                range(begin, end),
                [getattr(row, field) for row in rows[begin:end]],
                style,
                color=colour,
                linewidth=1.2,
                marker=dot if end - begin > 1 else "o",
                label="" if begin else label,
            )
    for begin in begins[1:]:
        axes.axvline(begin - 0.5, color="#95a5a6", linewidth=0.8)
    axes.set_xlim(-0.5, max(len(rows) - 0.5, 0.5))
    if len(rows) > 1:
        axes.xaxis.get_major_locator().set_params(integer=True)
    else:
        axes.set_xticks([0])
    figure.log_latency()
    axes.set_xlabel(t("second of the measurement; vertical lines divide the repeats"))
    axes.set_ylabel(t("latency, ms"))
    figure.legend()
    return figure.png()


def stacked(by_run: Mapping[str, Mapping[str, Stage]], t: Translator, option: str = "") -> bytes:
    """Return the mean of each stage, one after another: together they are the mean latency.

    One bar for each run; with several, `option` is what differs.
    """
    figure = Figure(t("Where the time goes: the mean of each stage"))
    axes = figure.axes
    alone = len(by_run) == 1
    longest = max(_whole(stages) for stages in by_run.values())
    for row, stages in enumerate(by_run.values()):
        left = 0.0
        for place, (name, mean) in enumerate(_following(stages).items()):
            label = t.term("stage", name) + (f"  {_short(mean)}" if alone else "")
            bars = axes.barh([row], [mean], left=left, color=f"C{place}", label="" if row else label)
            if mean / longest >= _BAR_LABEL_MIN_SHARE:
                axes.bar_label(bars, labels=[_short(mean)], label_type="center", color="white", fontsize=9)
            left += mean
    axes.set_yticks([] if alone else range(len(by_run)), None if alone else list(by_run))
    axes.set_ylabel(option)
    axes.set_xlabel(t("ms"))
    axes.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.18), fontsize=9)
    return figure.png()


def _following(stages: Mapping[str, Stage]) -> dict[str, float]:
    return {name: stage.mean for name, stage in stages.items() if name != BROKER}


def _whole(stages: Mapping[str, Stage]) -> float:
    return sum(_following(stages).values()) or 1.0


def _short(ms: float) -> str:
    return f"{ms:.0f}" if ms >= _WHOLE_FROM_MS else f"{ms:.2g}"


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
    figure.legend()
    return figure.png()
