"""One stack with a RabbitMQ cluster for the tests of this folder: they run on it in order, and each leaves it whole."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.cluster.rabbit_stack import HOSTS, OVERLAY, RabbitStack
from tests.stack.compose import clone, project, require_image
from tests.support.engine import EngineError, require_engine


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitStack]:
    """Yield a new stack; remove it afterwards, with its volumes."""
    require_engine()
    require_image("rabbitmq:4")
    folder = clone(tmp_path_factory.mktemp("cluster") / "link")
    files = ("--file", str(folder / "docker-compose.yml"), "--file", str(folder / OVERLAY))
    with project(folder, ("docker", "compose"), *files) as (compose, _):
        try:
            compose.up()
        except EngineError:
            sys.stderr.write(compose("logs", "--tail", "50"))
            raise
        yield RabbitStack(compose)


@pytest.fixture
def cluster(started: RabbitStack, request: pytest.FixtureRequest) -> Iterator[RabbitStack]:
    """Yield the stack; after a failure, show its logs."""
    started.ready()
    failed = request.session.testsfailed
    yield started
    if request.session.testsfailed > failed:
        sys.stderr.write(started.compose("logs", "--tail", "20", *HOSTS))
