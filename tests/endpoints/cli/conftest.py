"""What several tests of commands use."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import structlog

from endpoints.cli.main import main


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """Undo what a command has configured: its standard error is closed after the test."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Return what runs a command: its exit code, and what it has printed on both streams."""

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as raised:
            main([str(word) for word in words])
        said = capsys.readouterr()
        assert isinstance(raised.value.code, int)
        return raised.value.code, said.out, said.err

    return run
