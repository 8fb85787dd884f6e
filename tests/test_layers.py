"""Every import contract in pyproject.toml can fail: lint-imports reports each one in a copy where it is violated."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
LINT = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache", "--config", "pyproject.toml"]


def one_of(layer: str) -> str:
    return layer.split("|", maxsplit=1)[0].strip()


def plant(tree: Path, module: str, imported: str) -> None:
    """Have `module` import `imported`, in the copy `tree`."""
    path = tree / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    with file.open("a", encoding="utf-8") as source:
        source.write(f"\nimport {imported}\n")


def violate(tree: Path, contract: dict[str, Any]) -> None:
    """Break one contract in the copy `tree`: by an upward import, a circle, or a forbidden module."""
    if contract["type"] == "layers":
        for container in contract.get("containers", [""]):
            top, bottom = (
                f"{container}.{one_of(layer)}".lstrip(".") for layer in (contract["layers"][0], contract["layers"][-1])
            )
            plant(tree, bottom, top)
    elif contract["type"] == "acyclic_siblings":
        for package in contract["ancestors"]:
            for module, other in (("one", "two"), ("two", "one")):
                (tree / package / f"planted_{module}.py").write_text(f"import {package}.planted_{other}\n")
    else:
        plant(tree, contract["source_modules"][0], contract["forbidden_modules"][0])


def lint(tree: Path) -> str:
    report = subprocess.run(LINT, cwd=tree, capture_output=True, text=True, timeout=60, check=False).stdout
    # long names are wrapped
    return " ".join(report.split())


def copied(folder: Path) -> Path:
    for package in LINTER["root_packages"]:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.mark.parametrize("circles", [False, True])
def test_a_violated_contract_is_reported(tmp_path: Path, circles: bool) -> None:
    tree = copied(tmp_path)
    # apart from the others, whose violations are circles too
    violated = [each for each in LINTER["contracts"] if (each["type"] == "acyclic_siblings") is circles]
    assert violated
    for contract in violated:
        violate(tree, contract)

    report = lint(tree)

    assert [contract["name"] for contract in violated if f"{contract['name']} BROKEN" not in report] == []
