"""Draws the picture in docs/architecture.md from the import contracts: `python -m tests.support.layer_picture`."""

import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"


def contracts() -> list[dict[str, Any]]:
    """Return import-linter's contracts of the kind `layers`."""
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [each for each in configuration["tool"]["importlinter"]["contracts"] if each["type"] == "layers"]


def picture(contracts: list[dict[str, Any]]) -> str:
    """Return a mermaid flow chart: a box for each package, inside it a node for each of its layers, top to bottom."""
    (outer,) = (each for each in contracts if "containers" not in each)
    layers = {container: each["layers"] for each in contracts for container in each.get("containers", ())}
    rows = [[package.strip() for package in row.split("|")] for row in outer["layers"]]
    lines = [line for row in rows for package in row for line in _box(package, layers.get(package, []))]
    for above, below in pairwise(rows):
        lines += [f"    {upper} --> {lower}" for upper in above for lower in below]
    exceptions = [exception.split(" -> ") for exception in outer.get("ignore_imports", ())]
    return "\n".join(
        [
            "```mermaid",
            '%%{init: {"flowchart": {"rankSpacing": 20}}}%%',
            "flowchart LR",
            *lines,
            "```",
            *(f"\nException: `{importer}` imports `{_package(imported)}`." for importer, imported in exceptions),
        ]
    )


def _box(package: str, layers: list[str]) -> list[str]:
    if not layers:
        return [f"    {package}[{package}/]"]
    names = [f"{package}_{number}" for number in range(1, len(layers) + 1)]
    nodes = [f'        {name}["{layer.replace(" | ", ", ")}"]' for name, layer in zip(names, layers, strict=True)]
    return [
        f"    subgraph {package}[{package}/]",
        "        direction TB",
        *nodes,
        f"        {' --> '.join(names)}",
        "    end",
    ]


def _package(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def renewed(text: str) -> str:
    """Return the text of the page with the picture drawn anew between its marks."""
    before, mark, rest = text.partition("<!-- layers -->\n")
    after = rest.partition("<!-- end -->")[2]
    return f"{before}{mark}{picture(contracts())}\n<!-- end -->{after}"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
