"""One stack for the tests of this folder: they run on it in order, and each leaves it healthy and connected."""

import sys
from collections.abc import Iterator

import pytest

from tests.stack.compose import OURS, Compose, clone, eventually, project
from tests.support.engine import EngineError, require_engine

LAST = "test_logs_of_the_stack.py"
"""Reads what all the others have left in the logs."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name == LAST)
    for item in items:
        if "running" in getattr(item, "fixturenames", ()):
            item.add_marker("shared_stack")


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """Yield a new stack; remove it afterwards, with its volumes."""
    require_engine()
    # a copy: after a change of the files meanwhile, `provision` would refuse the image
    with project(clone(tmp_path_factory.mktemp("stack") / "link")) as (compose, _):
        try:
            compose.up()
        except EngineError:
            sys.stderr.write(compose("logs", "--tail", "50"))
            raise
        yield compose


@pytest.fixture
def stack(running: Compose, request: pytest.FixtureRequest) -> Iterator[Compose]:
    """Yield the stack; after a failure, show its logs."""
    failed = request.session.testsfailed
    yield running
    if request.session.testsfailed > failed:
        sys.stderr.write(running("logs", "--tail", "30"))
    eventually(lambda: running.connected(*OURS), "everybody is back at the broker")
