import re
import subprocess
import sys
from pathlib import Path

import pytest

from endpoints import failpoints
from endpoints.errors import UserError

ROOT = Path(__file__).parents[2]


def test_every_place_is_somewhere_in_the_sources_and_no_other() -> None:
    calls = re.compile(r'failpoint\("(\w+)"\)')
    found = {place for path in (ROOT / "endpoints").rglob("*.py") for place in calls.findall(path.read_text())}

    assert found == set(failpoints.PLACES)
    assert len(found) >= 20


@pytest.mark.parametrize(
    ("armed", "passes", "code"),
    [
        ("after_append", 1, failpoints.EXIT_CODE),
        ("after_append:3", 3, failpoints.EXIT_CODE),
        ("after_append:3", 2, 0),
        ("before_append", 3, 0),
        ("", 3, 0),
    ],
)
def test_an_armed_place_ends_the_process_at_its_count(armed: str, passes: int, code: int) -> None:
    script = (
        "import atexit; from endpoints.failpoints import arm, failpoint\n"
        "atexit.register(print, 'cleaned up')\n"
        f"arm({armed!r})\n"
        f"[failpoint('after_append') for _ in range({passes})]\n"
    )

    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, timeout=30, check=False)

    assert ended.returncode == code
    assert (ended.stdout == b"") == bool(code)


@pytest.mark.parametrize("wrong", ["after_lunch", "after_append:x", "after_append:-1", ":2"])
def test_a_place_that_there_is_not_is_refused(wrong: str) -> None:
    with pytest.raises(UserError, match=failpoints.VARIABLE):
        failpoints.arm(wrong)
