"""The table of commands: the console, and the sessions of those who read it."""

from __future__ import annotations

from endpoints.cli.command import Command

CONSOLE = (
    Command(
        "console",
        "endpoints.cli.console:console",
        "Serve the duty officer's screens in a browser.",
        "console try/eucom/endpoint.toml try/watch/watch.toml",
    ),
    Command(
        "console board-link",
        "endpoints.cli.console:board_link",
        "Print a one-time link to the board for a wall display, or to everything for an investigator.",
        "console board-link try/eucom/endpoint.toml",
        "The link opens a read-only session in one browser, once, within ten minutes.",
    ),
    Command(
        "console end-sessions",
        "endpoints.cli.console:end_sessions",
        "End the sessions of every browser, wall displays included.",
        "console end-sessions try/eucom/endpoint.toml",
        "Works whether or not the console runs. Links that were not used yet end as well.",
    ),
)
