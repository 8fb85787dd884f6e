"""Errors of the network are said in words that can be translated."""

from __future__ import annotations

import errno
import logging
import socket
import ssl

import pytest

from endpoints.mqtt import failures
from endpoints.mqtt.failures import REASONS_MAX, ErrorLog, LossReport
from endpoints.name_lookup import HANGING_MAX, addresses
from endpoints.network_faults import fault, tls_fault
from protocol.phrases import Phrase


def caused(error: Exception, by: Exception) -> Exception:
    error.__cause__ = by
    return error


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "connection refused"),
        (OSError(errno.EHOSTUNREACH, "x"), "no route to the host"),
        (OSError(errno.EMFILE, "x"), "no file descriptor left"),
        (socket.gaierror(socket.EAI_NONAME, "x"), "does not resolve"),
        (socket.gaierror(socket.EAI_AGAIN, "x"), "name service"),
        (UnicodeError("label empty or too long"), "does not resolve"),
        (TimeoutError(), "no answer in time"),
        (ssl.SSLEOFError(), "broke off"),
        (ssl.SSLError(1, "[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED] x"), "TLS failed|has expired"),
        (caused(OSError("all attempts failed"), ConnectionRefusedError(errno.ECONNREFUSED, "x")), "connection refused"),
    ],
)
def test_what_is_known_is_a_phrase(error: Exception, says: str) -> None:
    found = fault(error)
    assert isinstance(found, Phrase)
    assert any(each in found for each in says.split("|"))


def test_what_is_unknown_is_one_line() -> None:
    assert fault(RuntimeError("a\nb\x1b[8m" + "x" * 999)) == ("a\\nb\\x1b[8m" + "x" * 999)[:120]
    assert fault(RuntimeError()) == "RuntimeError"
    assert fault(OSError(errno.EIO, "x")) == "Input/output error"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca (_ssl.c:2580)", "authority of our certificate"),
        ("[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED] x", "our certificate has expired"),
        ("[SSL: WRONG_VERSION_NUMBER] x", "does not speak TLS on this port"),
    ],
)
def test_an_alert_of_tls_is_said_in_words(code: str, says: str) -> None:
    assert says in (tls_fault(code) or "")
    noted: list[str] = []
    ErrorLog(noted.append).error("failed to receive on socket: %s", code)
    assert noted == [tls_fault(code)]


def test_what_paho_logs_is_one_line() -> None:
    noted: list[str] = []
    log = ErrorLog(noted.append)
    log.error("failed to receive on socket: %s", ConnectionResetError(errno.ECONNRESET, "x"))
    log.log(logging.ERROR, "odd\nthing")
    assert noted == ["the connection was reset by the other end or the network", "odd\\nthing"]


def test_each_reason_of_a_loss_is_reported_once_and_a_bounded_number() -> None:
    report = LossReport()
    assert [report.due(reason, was_up=False) for reason in "abab"] == [True, True, False, False]
    assert report.due("a", was_up=True)
    assert sum(report.due(str(number), was_up=False) for number in range(100)) == REASONS_MAX - 1


def test_a_foreign_word_of_the_broker_stays_on_its_line() -> None:
    assert failures.ended_by_broker(0x8B, "bye\nFINE").endswith("it shuts down (bye\\nFINE)")
    assert failures.meaning(0xF0) == "its reason code is 240"


async def test_names_are_looked_up_and_an_odd_one_is_an_error() -> None:
    assert "127.0.0.1" in await addresses("127.0.0.1", 80)
    for _ in range(2 * HANGING_MAX):
        with pytest.raises(socket.gaierror):
            await addresses("broker..example.org", 80)
