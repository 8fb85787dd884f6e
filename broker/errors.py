"""Errors in the broker's files, or of the machine that it runs on."""

from __future__ import annotations


class BrokerError(Exception):
    """The broker cannot be configured or run. The message is one line: what is wrong, where, what would be right."""
