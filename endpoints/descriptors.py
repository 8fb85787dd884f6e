"""Makes sure that a process may open as many files as its links need."""

from __future__ import annotations

import resource
import sys

from endpoints.errors import UserError
from protocol.phrases import phrase

OF_A_LINK = 6
"""Its journal's segment and lock, two in reserve for the next segment, and what standard output is printed from."""
OF_THE_PROCESS = 512
"""Clients of the control socket, connections, libraries; with fewer, fewer clients are accepted."""
_LEAST = 32
"""Without these, the process itself can't run."""


def allow_for(links: int) -> None:
    """Raise this process's limit of open files as far as `links` links need it.

    Raises UserError if the limit that the user may not exceed is too low for them.
    """
    wanted = OF_A_LINK * links + OF_THE_PROCESS
    soft, hard = (_number(each) for each in resource.getrlimit(resource.RLIMIT_NOFILE))
    if hard < OF_A_LINK * links + _LEAST:
        raise UserError(
            phrase(
                "{links} links need {wanted} open files, and this process may have {limit}; allow more: "
                "LimitNOFILE={wanted} in its systemd unit, or ulimit -n {wanted}",
                links=links,
                wanted=wanted,
                limit=hard,
            )
        )
    if soft < wanted:
        # not to the highest value: programs that are started to notify somebody inherit it
        _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), limit))


def _number(limit: int) -> int:
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit
