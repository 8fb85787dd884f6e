"""Describes certificates and requests for people, with the words of their fingerprints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from endpoints.cli.spoken_words import word_rows, words_of
from endpoints.texts.printable import one_line

if TYPE_CHECKING:
    from cryptography import x509

    from broker.requests import CertificateRequest
    from endpoints.texts.i18n import Translator
    from protocol.wire.instants import Millis

_LABEL_WIDTH = 14
DAY_MS: Millis = 86_400_000


def tell(line: str) -> None:
    """Print a line for people on standard error; on a terminal, a long one continues below itself."""
    from endpoints.cli.output import print_lines

    print_lines([line], stderr=True)


def field(label: str, value: str) -> str:
    """Return a row with a label and a value, which may be foreign text."""
    return f"  {label:<{_LABEL_WIDTH}}{one_line(value)}"


def fingerprint_rows(digest: str) -> list[str]:
    """Return rows with the words of a fingerprint, below the fields."""
    return [f"  {row}" for row in word_rows(digest)]


def request_rows(request: CertificateRequest, t: Translator) -> list[str]:
    """Return the rows that describe a request."""
    from protocol.wire.instants import written

    made = t("the request does not say when it was made") if request.made_at is None else written(request.made_at)
    return [
        field(t("identity"), request.identity),
        field(t("for"), purpose(request.purpose, t)),
        field(t("names"), ", ".join(request.names)),
        field(t("made"), made),
        field(t("key SHA-256"), request.fingerprint),
        *fingerprint_rows(request.fingerprint),
    ]


def purpose(wanted: str, t: Translator) -> str:
    """Return what a certificate is for, in words."""
    return t("the broker, as the server") if wanted == "server" else t("a client of the broker")


def request_document(request: CertificateRequest) -> dict[str, Any]:
    """Return the JSON object of a request."""
    from protocol.wire.instants import written

    return {
        "identity": request.identity,
        "purpose": request.purpose,
        "names": request.names,
        "made_at": None if request.made_at is None else written(request.made_at),
        "key_fingerprint": request.fingerprint,
        "words": words_of(request.fingerprint),
    }


def name_of(name: x509.Name) -> str:
    """Return the name in a certificate in one line: its common name, or the whole of another kind of name."""
    from cryptography.x509.oid import NameOID

    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    whole = str(common[0].value) if len(common) == 1 == len(list(name)) else name.rfc4514_string()
    return one_line(whole)[:_SHOWN_MAX]


_SHOWN_MAX = 80


def days_left(ends: Millis, now: Millis) -> int:
    """Return how many whole days are left until `ends`; negative once it has ended."""
    return (ends - now) // DAY_MS


def authority_rows(authority: x509.Certificate, t: Translator, now: Millis) -> list[str]:
    """Return the rows that describe the certificate of an authority, with its fingerprint."""
    from broker.constraints import permitted
    from endpoints.config.certificate_change import fingerprint

    restricted = permitted(authority)
    issues = t("any identity") if restricted is None else t("{identity} alone", identity=restricted)
    return [
        field(t("authority"), name_of(authority.subject)),
        field(t("issues for"), issues),
        field(t("ends"), ending(authority, t, now)),
        field("SHA-256", fingerprint(authority)),
        *fingerprint_rows(fingerprint(authority)),
    ]


def ending(certificate: x509.Certificate, t: Translator, now: Millis) -> str:
    """Return when a certificate ends: its date, and in days."""
    from endpoints.mqtt.certificates import ends

    days = days_left(ends(certificate), now)
    date = certificate.not_valid_after_utc.date().isoformat()
    if days < 0:
        return t("{date}: expired", date=date)
    return f"{date}, {t.plural('in {count} day', 'in {count} days', days)}"
