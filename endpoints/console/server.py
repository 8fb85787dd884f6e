"""Serves the console to browsers, on an address or behind a proxy, with limits of time and number."""

from __future__ import annotations

import ssl

from starlette.types import ASGIApp

from endpoints.control.connections import Listening, connections_max
from endpoints.control.limited_server import LimitedServer, TimeLimits

LIMITS = TimeLimits(request_s=10.0, idle_s=75.0, read_s=20.0)


def console_server(
    application: ASGIApp,
    listening: Listening,
    tls: ssl.SSLContext | None = None,
    limits: TimeLimits = LIMITS,
) -> LimitedServer:
    """Return a server of the console. Without `tls`, `listening` is for this machine or a proxy."""
    return LimitedServer(application, listening, limits, logs=False, tls=tls, most=connections_max() + 1)
