"""`deconflict run` and `deconflict watch`: run an endpoint or the independent watch in the foreground."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from endpoints.cli import options

if TYPE_CHECKING:
    from endpoints.process import Process


def run(config: options.EndpointConfig, /) -> None:
    """Run one side's endpoint until SIGTERM or Ctrl-C. Its structured log goes to standard output."""
    from endpoints.config.settings import load_endpoint
    from endpoints.service import endpoint

    _run(endpoint(load_endpoint(config)))


def watch(config: options.WatchConfig, /) -> None:
    """Run the independent watch until SIGTERM or Ctrl-C. Its structured log goes to standard output."""
    from endpoints.config.settings import load_watch
    from endpoints.watchdog import watch as watch_process

    _run(watch_process(load_watch(config)))


def _run(process: Process[Any]) -> None:
    import asyncio

    from endpoints import failpoints

    failpoints.arm(os.environ.get(failpoints.VARIABLE, ""))
    asyncio.run(process.run())
