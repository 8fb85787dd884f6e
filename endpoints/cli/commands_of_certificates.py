"""The commands that request, sign, install and show certificates, for the table of the commands."""

from __future__ import annotations

from endpoints.cli.command import Command

CERTIFICATES = (
    Command(
        "cert show",
        "endpoints.cli.cert_show:cert_show",
        "Show certificates, when they end, and open requests.",
        "cert show try",
        "Of each place: its own certificate, the authorities that it trusts for the other end, and an authority of "
        "its own. Warns 30 and 7 days before an end.",
    ),
    Command(
        "cert request",
        "endpoints.cli.cert_request:cert_request",
        "Make a new private key and a certificate request.",
        "cert request try/eucom/endpoint.toml",
        "The private key stays here. The present certificate stays in use until `cert renew`. The operator of the "
        "authority signs the request: `cert sign`.",
    ),
    Command(
        "cert sign",
        "endpoints.cli.cert_request:cert_sign",
        "Issue the certificate that a request asks for.",
        "cert sign try/authority eucom.csr --identity eucom",
        "Shows the request and asks: have its holder read the words of its key by voice. A certificate never "
        "outlasts its authority. Requests of more than 30 days are refused.",
    ),
    Command(
        "cert renew",
        "endpoints.cli.cert_renew:cert_renew",
        "Install a certificate that was signed; the line goes on.",
        "cert renew try/eucom/endpoint.toml eucom.crt",
        "It must be for the private key of the last request or the present one, and for the same identity and "
        "purpose. A running process takes it over by itself.",
    ),
    Command(
        "cert trust",
        "endpoints.cli.cert_renew:cert_trust",
        "Trust another authority, or drop one.",
        "cert trust try eucom-ca.crt --identity eucom",
        "The broker may trust the authority of a side only if X.509 name constraints restrict it to the side's "
        "identity. A side trusts only authorities of the broker.",
    ),
    Command(
        "cert authority",
        "endpoints.cli.cert_request:cert_authority",
        "Make a certificate authority: a side's own, or the broker's next one.",
        "cert authority eucom/authority --identity eucom",
    ),
)
