"""`deconflict run` and `deconflict watch`: run an endpoint or the independent watch in the foreground."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from endpoints.cli import options

if TYPE_CHECKING:
    from endpoints.config.settings import ProcessSettings
    from endpoints.process import Process


def run(config: options.EndpointConfig, /, *, lang: options.Lang = None) -> None:
    """Run one side's endpoint until SIGTERM or Ctrl-C. Its structured log goes to standard output."""
    from endpoints.config.settings import load_endpoint
    from endpoints.service import endpoint

    del lang  # main() reads it, for help and errors
    settings = load_endpoint(config)
    _protect(settings)
    _run(endpoint(settings))


def watch(config: options.WatchConfig, /, *, lang: options.Lang = None) -> None:
    """Run the independent watch until SIGTERM or Ctrl-C. Its structured log goes to standard output."""
    from endpoints.config.settings import load_watch
    from endpoints.watchdog import watch as watch_process

    del lang  # as in run
    settings = load_watch(config)
    _protect(settings)
    _run(watch_process(settings))


def _protect(settings: ProcessSettings) -> None:
    """Protect this process's memory before it holds a private key, unless an exercise allows to look into it."""
    from endpoints.keys.process_memory import protect

    if not settings.allow_ptrace:
        protect()


def _run(process: Process[Any]) -> None:
    import asyncio

    from endpoints import failpoints

    failpoints.arm(os.environ.get(failpoints.VARIABLE, ""))
    asyncio.run(process.run())
