"""Fills in the table of figures from the reports of `make load`: `python -m load.figures FOLDER [DOCUMENT]`.

It writes FOLDER/figures.md, and with DOCUMENT also replaces what is between that document's two markers.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from endpoints.errors import UserError, os_reason
from protocol.phrases import phrase, worded

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
FILE = "figures.md"
NOTHING = "not measured"
EXIT_USAGE = 2
TOTALS = "totals.txt"
"""What `make simulate` prints, beside the load average before it."""
_TOTALS = re.compile(r"(\d+) events, .* in (\d+) s: no promise broken")
_FAULTS = ("lost", "doubled", "reordered", "refused", "unreceipted")
_WHOLE = ("/s", " us")
"""Units of figures without a fraction."""
_YARDSTICKS = ("floor", "paho", "aiomqtt", "skeleton")

Found = dict[str, Any]
Pick = Callable[[Found], float]


class FigureRow(Struct, frozen=True, kw_only=True):
    """One figure.

    Attributes:
        name: what it is.
        before: what it was when this table was first made, on the same kind of machine.
        run: the folder of the report that has it.
        judged: picks the value that must and goal are about.
        must, goal: the limits of that value; larger is better if the goal is larger.
        limit: writes the judged value and its limits.
        shown: writes what was measured, if that is not the judged value.
        beside: writes the same of a yardstick.
    """

    name: str
    before: str
    run: str
    judged: Pick
    must: float
    goal: float
    limit: str
    shown: Callable[[Found], str] | None = None
    beside: Callable[[Found], str] | None = None

    def verdict(self, value: float) -> str:
        """Return which limit the value reaches."""
        more = self.goal > self.must
        for limit, reached in ((self.goal, "goal"), (self.must, "must")):
            if value >= limit if more else value <= limit:
                return reached
        return "no"


def _at(*path: str) -> Pick:
    def pick(found: Found) -> float:
        value: Any = found
        for name in path:
            value = value[name]
        return float(value)

    return pick


def _median(name: str) -> Callable[[Found], str]:
    return lambda found: f"{found['median_ms'][name]:.3g} ms"


def _rate(found: Found) -> str:
    return f"{found['median_rate_per_s']:,.0f}/s"


def _exchanges(name: str, before: str, run: str, ratio_to: str, measure: str, must: float, goal: float) -> FigureRow:
    shown = _rate if measure == "rate" else _median(measure)
    judged = _at("ratio", ratio_to, measure)
    return _of(run, name, before, judged, must, goal, f"x {ratio_to}", shown=shown, beside=shown)


def _of(
    run: str,
    name: str,
    before: str,
    judged: str | Pick,
    must: float,
    goal: float,
    unit: str,
    shown: Callable[[Found], str] | None = None,
    beside: Callable[[Found], str] | None = None,
) -> FigureRow:
    """Return a row; `judged` may be the name of a figure."""
    return FigureRow(
        name=name,
        before=before,
        run=run,
        judged=_at("figures", judged) if isinstance(judged, str) else judged,
        must=must,
        goal=goal,
        limit=("{:,.0f}" if unit in _WHOLE else "{:.3g}") + unit,
        shown=shown,
        beside=beside,
    )


def _cpu(side: str, process: str, yardstick: str, before: str, must: float, goal: float) -> FigureRow:
    def beside(found: Found) -> str:
        return f"{found['cpu_us'].get(yardstick, 0):,.0f} us"

    name = f"64 in flight, CPU of an exchange at {side}"
    return _of("64-in-flight", name, before, _at("cpu_us", process), must, goal, " us", beside=beside)


def _many(name: str) -> Pick:
    """Return what picks the figure `name` of as many links as were measured."""
    return lambda found: float(found["figures"][name.format(_most_links(found))])


def _most_links(found: Found) -> int:
    counts = [re.fullmatch(r"p99_of_(\d+)_ms", name) for name in found["figures"]]
    return max(int(each[1]) for each in counts if each is not None)


def _links(found: Found) -> str:
    return f"{_most_links(found):,} links"


def _messages(found: Found) -> str:
    return f"after {found['figures']['messages']:,.0f}"


def _openssl(found: Found) -> str:
    return f"OpenSSL, one core: {found['figures']['openssl_on_one_core_per_s']:,.0f}/s"


def _through_the_core(found: Found) -> str:
    return f"through the core alone, one core: {found['figures']['core_records_per_s']:,.0f}/s"


ROWS = (
    _exchanges("one at a time, p50", "2.87 ms = 2.7x skeleton", "one-at-a-time", "skeleton", "p50", 2.2, 1.6),
    _exchanges("one at a time, p99", "4.33 ms = 2.1x skeleton", "one-at-a-time", "skeleton", "p99", 1.8, 1.5),
    _exchanges("64 in flight, exchanges", "4,845/s = 0.53x paho", "64-in-flight", "paho", "rate", 0.75, 1.0),
    _exchanges("256 in flight, exchanges", "5,652/s = 0.58x paho", "256-in-flight", "paho", "rate", 1.0, 1.25),
    _of("64-in-flight", "64 in flight, p99 of the worst second", "33 ms", _at("p99_of_worst_second_ms"), 15, 8, " ms"),
    _cpu("A", "eucom", "sender", "87 us", 60, 45),
    _cpu("B", "ndmc", "receiver", "165 us", 90, 65),
    _of("control", "through the control socket, p50 of an exchange", "30.9 ms", "exchange_p50_with_1_ms", 5, 5, " ms"),
    _of("control", "through the control socket, requests", "38/s", "requests_with_32_per_s", 300, 1_000, "/s"),
    _of("links", "many links in one endpoint: p99 / one link's", "10 to 34x", "p99_ratio", 2, 1.5, "x", _links),
    _of("links", "many links in one endpoint: first start", "7.3 s", _many("first_start_of_{}_s"), 3, 2, " s", _links),
    _of("backlog", "backlog of 10,000 after an outage", "1.7 to 2.5 s", "after_connecting_s", 1.2, 0.8, " s"),
    _of(
        "replay",
        "replay, records",
        "35,300/s through the core",
        "command_records_per_s",
        50_000,
        80_000,
        "/s",
        beside=_through_the_core,
    ),
    _of(
        "verify", "log verify, signatures", "7,500/s on one core", "signatures_per_s", 16e3, 18e3, "/s", beside=_openssl
    ),
    _of("startup", "start of an endpoint, last segment short", "0.67 s", "start_s", 0.45, 0.35, " s"),
    _of("startup", "start of an endpoint, last segment full", "1.0 s", "start_with_a_full_segment_s", 0.6, 0.5, " s"),
    _of("startup", "`status`", "0.34 s", "status_s", 0.20, 0.15, " s"),
    _of("startup", "`--help`", "0.26 s", "help_s", 0.16, 0.12, " s"),
    _of("startup", "memory of an endpoint, idle", "61.5 MiB", "memory_idle_mib", 55, 50, " MiB"),
    _of(
        "startup",
        "memory of an endpoint after many messages",
        "75 MiB after 100,000",
        "memory_after_messages_mib",
        65,
        60,
        " MiB",
        _messages,
    ),
    _of("simulate", "simulated events, two processes", "27,000/s", _at("events_per_s"), 40_000, 60_000, "/s"),
)


def table(reports: dict[str, Found]) -> Iterator[str]:
    """Yield the lines of the table, from the reports by the name of their folder."""
    yield "| figure | before | measured | floor / paho / aiomqtt / skeleton | must | goal | reached | run |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for row in ROWS:
        yield f"| {' | '.join([row.name, row.before, *_cells(row, reports.get(row.run)), row.run])} |"
    yield ""
    yield "| run | command | load average before it |"
    yield "| --- | --- | --- |"
    for name, found in reports.items():
        origin = found["provenance"]
        averages = " ".join(f"{each:.2f}" for each in origin["load_average"])
        yield f"| {name} | `{origin['command'].replace('|', '')}` | {averages} |"
    yield ""
    yield from _origin(reports)


def _cells(row: FigureRow, found: Found | None) -> list[str]:
    limits = [row.limit.format(row.must), row.limit.format(row.goal)]
    if found is None:
        return [NOTHING, "", *limits, ""]
    try:
        value = row.judged(found)
        measured = row.limit.format(value)
        if row.shown is not None:
            measured = f"{row.shown(found)} = {measured}"
        return [measured, _beside(row, found), *limits, row.verdict(value)]
    except (KeyError, TypeError, ValueError):
        # a report of another version, or without yardsticks
        return [NOTHING, "", *limits, ""]


def _beside(row: FigureRow, found: Found) -> str:
    if row.beside is None:
        return ""
    if row.run in {"replay", "verify"}:
        return row.beside(found)
    yardsticks = found["yardsticks"]
    return " / ".join("-" if yardsticks[name] is None else row.beside(yardsticks[name]) for name in _YARDSTICKS)


def _origin(reports: dict[str, Found]) -> Iterator[str]:
    for found in reports.values():
        origin = found["provenance"]
        if "machine" in origin:
            machine = origin["machine"]
            versions = ", ".join(f"{name} {number}" for name, number in origin["versions"].items())
            yield f"Measured at {origin['at']}, commit {origin['commit'] or '-'}, on {machine['processor']}, "
            yield f"{machine['cores']} cores, {machine['memory_mib']} MiB, journals on {machine['file_system']}; "
            yield f"{versions}."
            return


def read_reports(folder: Path) -> dict[str, Found]:
    """Return the reports in the folders of `folder`, in the order of the table. Raises UserError if there is none."""
    found: dict[str, Found] = {}
    try:
        for run in dict.fromkeys(row.run for row in ROWS):
            simulated = run == "simulate"
            report = _simulated(folder / run / TOTALS) if simulated else _report(folder / run / "summary.json")
            found |= {} if report is None else {run: report}
    except OSError as error:
        raise UserError(phrase("{path}: {reason}", path=error.filename, reason=os_reason(error))) from None
    except ValueError:
        raise UserError(phrase("{path}: a summary.json there is not a report", path=folder)) from None
    if not found:
        raise UserError(phrase("{path}: no report there; make load writes them", path=folder))
    return found


def _report(path: Path) -> Found | None:
    """Return a report; None if there is none, or its run failed or ended early. Raises OSError, ValueError."""
    if not path.exists():
        return None
    found = json.loads(path.read_bytes())
    if not isinstance(found, dict) or "provenance" not in found:
        raise ValueError("not a report")
    failed = not found.get("complete", True) or any(found.get(name) for name in _FAULTS)
    return None if failed else found


def _simulated(path: Path) -> Found | None:
    """Return the figures of a simulation: its load average, its command and its totals, a line each."""
    if not path.exists():
        return None
    text = path.read_text()
    match = _TOTALS.search(text)
    if match is None:
        return None
    average, command, *_ = text.splitlines()
    return {
        "events_per_s": int(match[1]) / max(1, int(match[2])),
        "provenance": {"command": command, "load_average": [float(each) for each in average.split()[:3]]},
    }


def insert(document: Path, lines: Sequence[str]) -> None:
    """Replace what is between the markers of a document. Raises UserError if they are missing."""
    try:
        text = document.read_text("utf-8")
        before, begin, rest = text.partition(BEGIN)
        _, end, after = rest.partition(END)
        if not begin or not end:
            raise UserError(phrase("{path}: expected the lines {begin} and {end}", path=document, begin=BEGIN, end=END))
        document.write_text("\n".join([before + begin, *lines, end + after]), "utf-8")
    except OSError as error:
        raise UserError(phrase("{path}: {reason}", path=document, reason=os_reason(error))) from None


def main() -> int:
    """Write the table. Returns the exit code."""
    folder, *documents = (Path(each) for each in sys.argv[1:])
    try:
        lines = list(table(read_reports(folder)))
        (folder / FILE).write_text("\n".join(lines) + "\n", "utf-8")
        for document in documents:
            insert(document, lines)
    except UserError as error:
        sys.stderr.write(f"{worded(error)}\n")
        return EXIT_USAGE
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
