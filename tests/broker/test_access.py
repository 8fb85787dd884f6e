from __future__ import annotations

from typing import Literal

import pytest

from broker.access import grants
from broker.configuration import access_list

OURS = "deconfliction/v1/eucom-ndmc/eucom/message"
LIST = access_list({"eucom-ndmc": ("eucom", "ndmc")}, "watch")


@pytest.mark.parametrize(
    ("user", "right", "granted"),
    [
        ("eucom", "write", True),
        ("eucom", "read", False),
        ("ndmc", "read", True),
        ("ndmc", "write", False),
        ("watch", "read", True),
        ("watch", "write", False),
        ("stranger", "read", False),
    ],
)
def test_what_our_own_list_grants(user: str, right: Literal["read", "write"], granted: bool) -> None:
    """SPEC Q2.3"""
    assert grants(LIST, user, right, OURS) is granted


@pytest.mark.parametrize(
    ("line", "read", "write"),
    [
        ("topic a/b", True, True),
        ("topic readwrite a/b", True, True),
        ("topic read a/#", True, False),
        ("topic read #", True, False),
        ("topic write a/+", False, True),
        ("topic write +", False, False),
        ("topic read a/b/c", False, False),
        ("topic read a", False, False),
        ("topic deny a/b\ntopic a/#", False, False),
        ("topic a/#\ntopic deny a/b", False, False),
        ("# topic a/b", False, False),
        ("topic", False, False),
        ("user other\ntopic a/b", False, False),
        ("topic   read   a/b", True, False),
    ],
)
def test_each_kind_of_line(line: str, read: bool, write: bool) -> None:
    text = f"user me\n{line}\n"

    assert (grants(text, "me", "read", "a/b"), grants(text, "me", "write", "a/b")) == (read, write)


def test_a_pattern_counts_for_every_user() -> None:
    text = "pattern write a/%u\nuser you\ntopic read a/me\n"

    assert grants(text, "me", "write", "a/me")
    assert not grants(text, "you", "write", "a/me")
    assert grants(text, "you", "read", "a/me")
