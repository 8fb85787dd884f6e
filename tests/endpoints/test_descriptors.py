"""A process raises its limit of open files as far as its links need it, and says when that is not allowed."""

import subprocess
import sys

import pytest

TRY = """
import resource, sys
soft, hard, links = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
from endpoints.descriptors import allow_for
from endpoints.errors import UserError
try:
    allow_for(links)
except UserError as error:
    print(error)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "links", "raised"),
    [(256, 4_096, 1, 518), (1_024, 4_096, 1, 1_024), (256, 1_000, 100, 1_000), (1_024, 4_096, 100, 1_112)],
)
def test_the_limit_rises_to_what_the_links_need(soft: int, hard: int, links: int, raised: int) -> None:
    assert _tried(soft, hard, links) == [str(raised)]


def test_a_limit_that_is_too_low_is_an_error() -> None:
    said, limit = _tried(256, 1_024, 1_000)
    assert said == (
        "1000 links need 6512 open files, and this process may have 1024; allow more: LimitNOFILE=6512 in its systemd "
        "unit, or ulimit -n 6512"
    )
    assert limit == "256"


def _tried(*limits: int) -> list[str]:
    ran = subprocess.run(
        [sys.executable, "-c", TRY, *map(str, limits)], check=True, capture_output=True, text=True, timeout=30
    )
    return ran.stdout.splitlines()
