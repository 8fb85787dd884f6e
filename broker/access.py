"""Reads a Mosquitto access list: what it grants a user, and how two of them differ."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Literal, NamedTuple

Access = Literal["read", "write"]

_GRANTS = {"read": ("read", "readwrite"), "write": ("write", "readwrite")}


_OF_A_LINK = re.compile(r"topic (?:read|write) deconfliction/v1/([a-z0-9-]+)/[a-z0-9-]+/(?:message|receipt|presence)")


class Rules(NamedTuple):
    """What an access list of ours consists of.

    Attributes:
        links: for each link, what each user may do on it.
        others: every line that is about no link: nothing of ours wrote it.
    """

    links: dict[str, dict[str, frozenset[str]]]
    others: tuple[str, ...]


def rules(access_list: str) -> Rules:
    """Return the rules of an access list, by link and user."""
    links: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    others, user = [], ""
    for line in filter(None, (each.strip() for each in access_list.splitlines())):
        if line.startswith("#"):
            continue
        if line.startswith("user "):
            user = line.removeprefix("user ").strip()
        elif user and (found := _OF_A_LINK.fullmatch(line)):
            links[found[1]][user].add(line)
        else:
            others.append(f"user {user}: {line}" if user else line)
    found_links = {link: {name: frozenset(lines) for name, lines in users.items()} for link, users in links.items()}
    return Rules(found_links, tuple(others))


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
