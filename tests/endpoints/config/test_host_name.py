from __future__ import annotations

import re

import pytest

from endpoints.config.host_name import check_host
from endpoints.errors import UserError


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "broker.example.org",
        "BROKER-1.example.org",
        "xn--90adear.xn--p1ai",
        "broker_1",
        "127.0.0.1",
        "::1",
        "2001:db8::7",
        "a" * 63 + ".org",
        ".".join(["a" * 49] * 5),
    ],
)
def test_a_host_that_a_certificate_can_name(host: str) -> None:
    assert check_host(host, at="--host") == host


@pytest.mark.parametrize(
    ("host", "what"),
    [
        ("", "expected a host name such as broker.example.org or an IP address, found ''"),
        (".", "expected a host name such as"),
        ("broker..example.org", "expected a host name such as"),
        (".example.org", "expected a host name such as"),
        ("broker.example.org.", "give the host name without the dot at its end"),
        ("127.0.0.1.", "without the dot at its end"),
        ("a" * 64 + ".org", "a host name has at most 253 characters, and 63 between two dots"),
        ("a." * 200 + "org", "at most 253 characters"),
        ("brok\0er", "expected a host name such as"),
        ("broker example", "expected a host name such as"),
        ("-broker", "expected a host name such as"),
        ("broker-", "expected a host name such as"),
        ("broker:8883", "expected a host name such as"),
        ("mqtts://broker", "expected a host name such as"),
        ("[::1]", "give the IPv6 address without brackets, such as ::1, and the port separately"),
        ("[::1]:8883", "without brackets"),
        ("fe80::1%eth0", "give the IPv6 address without its scope: fe80::1, found"),
        ("брокер.рф", "in its encoded form (xn--...)"),
        ("broker\N{FULLWIDTH FULL STOP}org", "in its encoded form (xn--...)"),
        ("1.2.3", "expected a host name such as"),
        ("256.1.1.1", "expected a host name such as"),
        ("\ud800", "in its encoded form"),
    ],
)
def test_what_names_no_host_is_one_line(host: str, what: str) -> None:
    with pytest.raises(UserError, match=re.escape(what)) as refused:
        check_host(host, at="--host")
    assert str(refused.value).startswith("--host: ")
    assert "\n" not in str(refused.value)
