"""docs/console-security.md names each requirement of ASVS 5.0 level 2 once, and tests that exist; rules of its own."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.test_threat_model import citations_in

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "console-security.md"
CONSOLE = ROOT / "endpoints" / "console"
VENDORED = {"idiomorph.min.js"}
REQUIREMENTS = """
1.1.1-2 1.2.1-9 1.3.1-11 1.4.1-3 1.5.1-2 2.1.1-3 2.2.1-3 2.3.1-4 2.4.1 3.2.1-2 3.3.1-4 3.4.1-6 3.5.1-5 3.7.1-2
4.1.1-3 4.2.1 4.3.1-2 4.4.1-4 5.1.1 5.2.1-3 5.3.1-2 5.4.1-3 6.1.1-3 6.2.1-12 6.3.1-4 6.4.1-4 6.5.1-5 6.6.1-3
6.8.1-4 7.1.1-3 7.2.1-4 7.3.1-2 7.4.1-5 7.5.1-2 7.6.1-2 8.1.1-2 8.2.1-3 8.3.1 8.4.1 9.1.1-3 9.2.1-4 10.1.1-2
10.2.1-2 10.3.1-4 10.4.1-11 10.5.1-5 10.6.1-2 10.7.1-3 11.1.1-2 11.2.1-3 11.3.1-3 11.4.1-4 11.5.1 11.6.1
12.1.1-3 12.2.1-2 12.3.1-4 13.1.1 13.2.1-5 13.3.1-2 13.4.1-5 14.1.1-2 14.2.1-4 14.3.1-3 15.1.1-3 15.2.1-3
15.3.1-7 16.1.1 16.2.1-5 16.3.1-4 16.4.1-3 16.5.1-3 17.1.1 17.2.1-4 17.3.1-2
"""
"""The requirements of levels 1 and 2, as OWASP ASVS 5.0.0 numbers them."""


def every() -> list[str]:
    """Return the number of each requirement, in the standard's order."""
    found = []
    for section in REQUIREMENTS.split():
        first, _, last = section.partition("-")
        chapter, _, number = first.rpartition(".")
        found += [f"{chapter}.{each}" for each in range(int(number), int(last or number) + 1)]
    return found


def rows() -> list[tuple[list[str], str]]:
    """Return each row of the document: the requirements that it answers, and the answer."""
    order, found = every(), []
    for line in DOCUMENT.read_text().splitlines():
        if not re.match(r"\| \d", line):
            continue
        named, _, answer = (cell.strip() for cell in line.strip("|").split(" | "))
        numbers = []
        for part in named.split(", "):
            first, _, last = part.partition("-")
            numbers += order[order.index(first) : order.index(last or first) + 1]
        found.append((numbers, answer))
    return found


def sources(ending: str, folder: Path = CONSOLE) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.rglob(f"*.{ending}") if path.name not in VENDORED}


def test_each_requirement_stands_there_once() -> None:
    assert len(every()) == 253
    assert [number for numbers, _ in rows() for number in numbers] == sorted(
        every(), key=[number for numbers, _ in rows() for number in numbers].index
    )
    assert sorted(number for numbers, _ in rows() for number in numbers) == sorted(every())


def test_each_answer_names_a_test_or_says_why_not() -> None:
    assert not [answer for _, answer in rows() if not re.search(r"::test_|does not apply: \w|\*\*not met\*\*", answer)]
    assert not [answer for _, answer in rows() if answer.startswith("met") and "::test_" not in answer]


def test_every_test_that_is_named_exists() -> None:
    named = citations_in(DOCUMENT)
    assert len(named) > 100
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not (ROOT / file).is_file()
        or not re.search(rf"^(?:async )?def {test}\b", (ROOT / file).read_text(), re.MULTILINE)
    ]
    assert not missing


def test_no_template_switches_escaping_off() -> None:
    found = {name: re.findall(r"\|\s*safe\b|autoescape|Markup", text) for name, text in sources("html").items()}
    assert not {name: each for name, each in found.items() if each}
    # in Python, only the pages know what is markup already
    makers = [name for name, text in sources("py").items() if "Markup" in text]
    assert makers == ["pages.py"]
    assert "Markup(" not in sources("py")["pages.py"]


def test_no_script_evaluates_text() -> None:
    """No text becomes a script or markup, and no message of another window is heard."""
    forbidden = re.compile(
        r"\beval\(|new Function|innerHTML|outerHTML\s*=|insertAdjacentHTML|document\.write|setTimeout\(\s*[\"'`]"
        r"|window\.(?:onmessage|addEventListener\(\"message\")|\bimport\("
    )
    scripts = sources("js")
    assert "page.js" in scripts
    assert not {name: forbidden.findall(text) for name, text in scripts.items() if forbidden.search(text)}


def test_no_child_process_has_a_shell() -> None:
    for name, text in sources("py").items():
        for node in ast.walk(ast.parse(text)):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert not called.endswith(("create_subprocess_shell", "os.system", "popen")), f"{name}: {called}"
            if isinstance(node, ast.Call):
                assert not [each for each in node.keywords if each.arg == "shell"], f"{name}: {called}"


def test_each_credential_is_masked_and_may_be_pasted() -> None:
    fields = [
        field
        for text in sources("html").values()
        for field in re.findall(r"<input[^>]*>", text)
        if "credential" in field and "hidden" not in field
    ]
    assert len(fields) > 1
    for field in fields:
        assert 'type="password"' in field
        assert 'autocomplete="current-password"' in field
    assert not [name for name, text in sources("js").items() if re.search(r"[\"']paste[\"']", text)]


def test_what_others_wrote_in_static_has_its_licence() -> None:
    for name in VENDORED:
        assert (CONSOLE / "static" / f"{name.partition('.')[0]}.LICENSE.txt").is_file()
