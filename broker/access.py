"""Reads a Mosquitto access list: what it grants a user."""

from __future__ import annotations

from typing import Literal

Access = Literal["read", "write"]

_GRANTS = {"read": ("read", "readwrite"), "write": ("write", "readwrite")}


def grants(access_list: str, user: str, access: Access, topic: str) -> bool:
    """Return whether the text of an access list grants `user` to read or write `topic`.

    As in Mosquitto: `topic` lines count below their `user` line, `pattern` lines for every user, with `%u` and `%c` for
    the user, who has that client id here; `deny` prevails; without a right named, both are granted.
    """
    granted, section = False, ""
    for line in access_list.splitlines():
        words = line.split(maxsplit=1)
        if len(words) != 2 or words[0].startswith("#"):  # noqa: PLR2004 - a keyword and its value
            continue
        keyword, value = words[0], words[1].strip()
        if keyword == "user":
            section = value
            continue
        if keyword == "pattern":
            value = value.replace("%u", user).replace("%c", user)
        elif keyword != "topic" or section != user:
            continue
        right, _, named = value.partition(" ")
        if right not in {"read", "write", "readwrite", "deny"} or not named:
            right, named = "readwrite", value
        if not _matches(named.strip(), topic):
            continue
        if right == "deny":
            return False
        granted = granted or right in _GRANTS[access]
    return granted


def _matches(filter_: str, topic: str) -> bool:
    """Return whether an MQTT topic filter matches `topic`."""
    wanted, levels = filter_.split("/"), topic.split("/")
    for index, each in enumerate(wanted):
        if each == "#":
            return True
        if index >= len(levels) or each not in {"+", levels[index]}:
            return False
    return len(wanted) == len(levels)
