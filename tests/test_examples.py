"""Each example runs, prints what is expected here, imports only `protocol`, and is linked from README.md."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PRINTED = {
    "one_frame": [
        'frame: {"payload":"eyJhdCI6IjIwMjItMTEtMjlUMDk6MDA6MDAuMDAwWiIsImVw... (555 bytes)',
        "verdict: verified",
        "receipt of ndmc up to message 42",
        "content changed: bad_signature",
        "on the message channel: wrong_payload_type",
    ],
    "two_cores": [
        "09:00 alert received; alarms: none",
        "17:00 alert received; alarms: alert_unacknowledged (active)",
        "17:01 alert understood; alarms: alert_unacknowledged (over)",
    ],
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_prints_what_is_expected(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == PRINTED[path.stem]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_imports_public_names_of_the_protocol_only(path: Path) -> None:
    imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    packages = {str(node.module).split(".", maxsplit=1)[0] for node in imports}
    assert packages <= {"protocol", "cryptography", *sys.stdlib_module_names}
    assert not [alias.name for node in imports for alias in node.names if alias.name.startswith("_")]


def test_every_example_is_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert {path.stem for path in EXAMPLES} == set(PRINTED)
    assert not [path.name for path in EXAMPLES if f"(examples/{path.name})" not in readme]
