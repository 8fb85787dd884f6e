"""Writes the report of a run into a folder: figures, series, histograms, plots, and one page with all of it."""

from __future__ import annotations

import csv
import os
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, select_autoescape
from msgspec import structs

from endpoints.errors import UserError, os_reason
from endpoints.texts.i18n import Translator
from load.histogram import Latencies
from load.measuring import LINK
from load.provenance import Provenance
from load.report_rows import SecondRow, by_second
from load.session import RunOutcome
from load.summary import Summary
from load.table import result_lines
from protocol.phrases import phrase

SUMMARY = "summary.json"
_TEMPLATE = Path(__file__).with_name("report.html")


def write_report(folder: Path, outcome: RunOutcome, summary: Summary, t: Translator) -> None:
    """Write the report of a run into `folder`, which is empty. Raises UserError if the folder can't take it."""
    rows = list(by_second(outcome.series))
    measured = {name: repeats for name, repeats in outcome.repeats.items() if repeats}
    merged = {name: Latencies.merged(each.latencies for each in repeats) for name, repeats in measured.items()}
    pictures = _pictures(merged, rows, summary, t)
    with written_to(folder):
        write_json(folder / SUMMARY, summary)
        write_csv(folder / "series.csv", SecondRow.__struct_fields__, map(structs.astuple, rows))
        for name, latencies in merged.items():
            latencies.write_hgrm(folder / f"{name}.hgrm")
        write_page(
            folder,
            t("Load test of the link"),
            list(result_lines(summary, t)),
            origin_rows(summary.provenance, t),
            pictures,
            t,
        )


@contextmanager
def written_to(folder: Path) -> Iterator[None]:
    """Have a report written into `folder`. Raises UserError if the folder can't take it.

    If root writes it, as the container does, it belongs to the owner of the folder that the report's folder lies in.
    """
    try:
        yield
        if not os.geteuid():
            owner = folder.absolute().parent.stat()
            for each in (folder, *folder.iterdir()):
                os.chown(each, owner.st_uid, owner.st_gid)
    except OSError as error:
        raise UserError(
            phrase("--report: {path}: can't be written: {reason}", path=folder, reason=os_reason(error)), exit_code=1
        ) from None


def write_json(path: Path, document: object) -> None:
    """Write a document as indented JSON. Raises OSError."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


def write_csv(path: Path, names: Sequence[str], rows: Any) -> None:
    """Write a table with a row of names. Raises OSError."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(names)
        table.writerows(rows)


def write_page(
    folder: Path,
    title: str,
    lines: Sequence[str],
    origin: Mapping[str, str],
    pictures: Mapping[str, bytes],
    t: Translator,
) -> None:
    """Write `report.html`, which needs no other file, and each picture. Raises OSError."""
    for name, png in pictures.items():
        (folder / f"{name}.png").write_bytes(png)
    environment = Environment(autoescape=select_autoescape(default=True), trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(_TEMPLATE.read_text("utf-8")).render(
        language=t.language,
        title=title,
        lines=lines,
        origin=origin,
        origin_title=t("Where the figures come from"),
        pictures=[(captions(t)[name], b64encode(png).decode()) for name, png in pictures.items()],
    )
    (folder / "report.html").write_text(page, "utf-8")


def _pictures(
    merged: Mapping[str, Latencies], rows: Sequence[SecondRow], summary: Summary, t: Translator
) -> dict[str, bytes]:
    """Return the plots, by the name of their file."""
    from load import plots

    found = {"spectrum": plots.spectrum(merged, t), "over_time": plots.over_time(rows, t)}
    if summary.stages:
        found["stages"] = plots.stacked({LINK: summary.stages}, t)
    return found


def captions(t: Translator) -> dict[str, str]:
    """Return what each plot shows, in plain words, by the name of its file."""
    return {
        "spectrum": t(
            "How many exchanges are faster than a latency: at 99 %, one exchange in a hundred is slower. "
            "Steep ends are rare pauses, such as a flush that the disk delays."
        ),
        "over_time": t("The latencies of each second. Single peaks are pauses; a rising line is a queue that grows."),
        "stages": t(
            "The stages of an exchange, one after another. Together they are the mean latency; "
            "docs/load-test.md says where each begins and ends."
        ),
        "sweep": t(
            "Latency and rate at each value. "
            "Beyond the knee, latency runs away, or more requests bring no more exchanges."
        ),
    }


def origin_rows(origin: Provenance, t: Translator) -> dict[str, str]:
    """Return where figures come from, by the name of the row."""
    machine = origin.machine
    return {
        t("command"): origin.command,
        t("at"): origin.at,
        t("commit"): origin.commit or "-",
        t("seed"): str(origin.seed),
        t("versions"): ", ".join(f"{name} {number}" for name, number in origin.versions.items()),
        t("machine"): f"{machine.processor}, {machine.cores} x, {machine.memory_mib} MiB, {machine.system}",
        t("journals on"): machine.file_system or "-",
        t("load average"): ", ".join(f"{each:.2f}" for each in origin.load_average),
    }
