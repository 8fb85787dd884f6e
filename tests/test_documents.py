"""Documents name files, classes and functions that exist, and the picture of the layers is up to date."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.layer_picture import PAGE, contracts, picture, renewed

ROOT = Path(__file__).parent.parent
PACKAGES = ("protocol", "broker", "endpoints", "scenario", "load")
DOCUMENTS = sorted(
    [
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("docs/console/*.md"),
        *ROOT.glob("docs/contracts/*.md"),
        *ROOT.glob("docs/reference/*.md"),
        *ROOT.glob("docs/guides/*.md"),
        *ROOT.glob("docs/reliability/*.md"),
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "protocol/SPEC.md")),
    ]
)
TOP_LEVEL = {path.name for path in ROOT.iterdir()}
_CODE = re.compile(r"`([^`\n]+)`")
_FILE = re.compile(r"[\w.*-]+(?:/[\w.*-]+)+/?|[\w-]+\.(?:py|md|toml|json)")
_CLASS = re.compile(r"[A-Z]\w*[a-z]\w*(?:\.\w+)?")
_LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


def prose(path: Path) -> str:
    """Return a document without its blocks of code, which show commands and what they print."""
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def files_named(text: str) -> Iterator[str]:
    """Yield what a document names in code spans as a path from the repository's top."""
    for span in _CODE.findall(text):
        name = span.partition("::")[0]
        if _FILE.fullmatch(name) and name.split("/", maxsplit=1)[0] in TOP_LEVEL:
            yield name


def definitions() -> set[str]:
    """Return the names of all classes and functions of the packages, methods as `Class.method`."""
    found: set[str] = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef):
                    found.add(node.name)
                    found |= {
                        f"{node.name}.{each.name}"
                        for each in node.body
                        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
                    }
                elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    found.add(node.name)
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_file_that_a_document_names_exists(path: Path) -> None:
    missing = [name for name in files_named(prose(path)) if not any(ROOT.glob(name.rstrip("/")))]
    assert not missing


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_of_a_document_leads_to_a_file(path: Path) -> None:
    missing = [target for target in _LINK.findall(prose(path)) if not (path.parent / target).exists()]
    assert not missing


def test_every_class_and_function_that_the_architecture_names_is_defined() -> None:
    named = {span for span in _CODE.findall(prose(PAGE)) if _CLASS.fullmatch(span)}
    assert len(named) > 40
    assert not named - definitions()


def test_the_module_to_start_with_is_in_its_package() -> None:
    rows = re.findall(r"^\| (`.+?`) \| .+? \| (`.*?`|) ?\|$", PAGE.read_text(), re.MULTILINE)
    assert len(rows) > 15
    for packages, modules in rows:
        folder = ROOT / _CODE.findall(packages)[0]
        missing = [
            name
            for name in _CODE.findall(modules)
            if not any((place / name).exists() for place in (folder, folder.parent, ROOT))
        ]
        assert not missing


def test_every_package_has_its_row() -> None:
    rows = " ".join(re.findall(r"^\| (`.+?`) \|", PAGE.read_text(), re.MULTILINE))
    packages = {
        path.parent.relative_to(ROOT).as_posix() for name in PACKAGES for path in (ROOT / name).rglob("__init__.py")
    }
    inner = {"protocol", "endpoints", "endpoints/texts/i18n"}
    assert not [package for package in packages - inner if f"`{package}/`" not in rows]


def test_the_picture_of_the_layers_is_up_to_date() -> None:
    assert renewed(PAGE.read_text()) == PAGE.read_text(), "stale: python -m tests.support.layer_picture"


def test_the_picture_shows_every_layer_once_and_the_exception() -> None:
    drawn = picture(contracts())
    layers = [layer for contract in contracts() for layer in contract["layers"] if contract.get("containers")]
    assert [drawn.count(f'["{layer.replace(" | ", ", ")}"]') for layer in set(layers)] == [
        layers.count(layer) for layer in set(layers)
    ]
    assert "Exception: `endpoints.cli.demo` imports `scenario`." in drawn
