"""What is wrong with the broker's files or with the machine it shall run on."""

from __future__ import annotations


class BrokerError(Exception):
    """One line for a person: what is wrong, where, and what would be right."""
