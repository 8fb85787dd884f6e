"""Says in words why a connection could not be made or was lost."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl

from endpoints.texts.printable import one_line
from protocol.phrases import Phrase, phrase

_VERIFY = {
    9: phrase("the server's certificate is not valid yet: compare the clocks"),
    10: phrase("the server's certificate has expired"),
    18: phrase("the server's certificate is from an unknown authority"),
    19: phrase("the server's certificate is from an unknown authority"),
    20: phrase("the server's certificate is from an unknown authority"),
    21: phrase("the server's certificate is from an unknown authority"),
    62: phrase("the server's certificate is for another name"),
    64: phrase("the server's certificate is for another address"),
}
"""Results of OpenSSL's verification (X509_V_ERR_...)."""
_ALERTS = {
    "CERTIFICATE_EXPIRED": phrase("the server says that our certificate has expired"),
    "CERTIFICATE_REVOKED": phrase("the server says that our certificate was revoked"),
    "CERTIFICATE_REQUIRED": phrase("the server demands a certificate of ours"),
    "CERTIFICATE_UNKNOWN": phrase("the server refuses our certificate"),
    "BAD_CERTIFICATE": phrase("the server refuses our certificate"),
    "UNSUPPORTED_CERTIFICATE": phrase("the server refuses our certificate"),
    "UNKNOWN_CA": phrase("the server does not know the authority of our certificate"),
    "ACCESS_DENIED": phrase("the server refuses our certificate"),
    "DECRYPT_ERROR": phrase("the server refuses our certificate"),
    "PROTOCOL_VERSION": phrase("the server does not speak TLS 1.3"),
    "UNSUPPORTED_PROTOCOL": phrase("the server does not speak TLS 1.3"),
    "HANDSHAKE_FAILURE": phrase("the server and we have no way of encryption in common"),
    "WRONG_VERSION_NUMBER": phrase("the server does not speak TLS on this port"),
    "HTTP_REQUEST": phrase("the server does not speak TLS on this port"),
    "UNEXPECTED_EOF_WHILE_READING": phrase("the connection broke off"),
}
"""Ends of the reasons of OpenSSL's errors."""
_NAME_TRIED_AGAIN = {socket.EAI_AGAIN, getattr(socket, "EAI_SYSTEM", socket.EAI_AGAIN)}
_SYSTEM = {
    errno.ECONNREFUSED: phrase("connection refused: nothing listens there"),
    errno.EHOSTUNREACH: phrase("no route to the host"),
    errno.ENETUNREACH: phrase("no route to the network"),
    errno.ENETDOWN: phrase("the network is down"),
    errno.ETIMEDOUT: phrase("no answer: the connection timed out"),
    errno.ECONNRESET: phrase("the connection was reset by the other end or the network"),
    errno.EPIPE: phrase("the connection broke off"),
    errno.EMFILE: phrase("this process has no file descriptor left"),
    errno.ENFILE: phrase("this machine has no file descriptor left"),
}
_REASON_MAX = 120


def fault(error: BaseException) -> str:
    """Return the reason for a failed or lost connection in words, a phrase unless the system worded it."""
    for each in _with_causes(error):
        if (known := _known(each)) is not None:
            return known
    return one_line(str(error))[:_REASON_MAX] or type(error).__name__


def _with_causes(error: BaseException) -> list[BaseException]:
    """Return `error` with what caused it, the first cause first."""
    chain = [error]
    while (cause := chain[0].__cause__ or chain[0].__context__) is not None and cause not in chain:
        chain.insert(0, cause)
    return chain


def _known(error: BaseException) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        known = _VERIFY.get(error.verify_code)
        return known or phrase("the server's certificate is not valid: {why}", why=str(error.verify_message))
    if isinstance(error, ssl.SSLEOFError):
        return _ALERTS["UNEXPECTED_EOF_WHILE_READING"]
    if isinstance(error, ssl.SSLError):
        return tls_fault(getattr(error, "reason", None) or str(error)) or phrase(
            "TLS failed: {why}", why=one_line(str(error))[:_REASON_MAX]
        )
    if isinstance(error, socket.gaierror | UnicodeError):
        if isinstance(error, socket.gaierror) and error.errno in _NAME_TRIED_AGAIN:
            return phrase("the name service does not answer")
        return phrase("the name of the server does not resolve")
    if isinstance(error, OSError) and error.errno in _SYSTEM:
        return _SYSTEM[error.errno]
    if isinstance(error, TimeoutError):
        return phrase("no answer in time")
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return None


def tls_fault(text: str) -> Phrase | None:
    """Return the reason that `text`, an error of OpenSSL, names by its code, None if it names none that is known."""
    for name in re.findall(r"[A-Z0-9_]{6,}", text):
        for end, known in _ALERTS.items():
            if name.endswith(end):
                return known
    return None
