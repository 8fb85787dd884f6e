"""The certificates of `deconflict enrol`: what each one hands to whom, and the broker's own."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from broker import configuration
from endpoints.cli.certificate_text import authority_rows, request_rows, tell
from endpoints.cli.output import print_json, print_lines, say
from endpoints.cli.spoken_words import words_of
from endpoints.errors import UserError
from protocol.phrases import phrase

if TYPE_CHECKING:
    from endpoints.texts.i18n import Translator

_THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}


def tell_first_certificate(config: Path, t: Translator) -> None:
    """Say what a side that was just enrolled hands to the broker's operator, and what comes back. Raises UserError."""
    from endpoints.cli.cert_request import tell_own_authority, tell_request
    from endpoints.clocks.clock import SystemClock
    from endpoints.config import certificate_change, tls_files

    tls = tls_files.of(config)
    say("")
    if own := tls.issuers[1:]:
        at, _ = SystemClock().now()
        tell(t("{file}: the side's own authority. ca.key never leaves its folder.", file=own[0]))
        print_lines(authority_rows(certificate_change.load_one(own[0]), t, at), stderr=True)
        tell_own_authority(own[0], tls.identity, t)
        trust = shlex.join(["deconflict", "cert", "trust", str(config), "ca.crt"])
        tell(t("When the broker's ca.crt is here, compare its words and trust it:"))
        say(f"  {trust}")
    else:
        print_lines(request_rows(certificate_change.load_request(tls.request), t), stderr=True)
        tell_request(tls, t, first=True)
    say("")


def enrol_broker(
    folder: Path, names: Sequence[str], port: int, authority: Path | None, t: Translator, *, as_json: bool
) -> None:
    """Make the broker's authority and certificate, and say what its operator does next. Raises UserError."""
    from endpoints.clocks.clock import SystemClock
    from endpoints.config import first_certificates
    from endpoints.config.certificate_change import fingerprint

    if not names:
        raise UserError(
            phrase("--broker-host: name the hosts under which the sides reach the broker, each with --broker-host")
        )
    at, _ = SystemClock().now()
    made = first_certificates.enrol_broker(folder, names, authority=authority, at=at)
    place = authority or folder / first_certificates.AUTHORITY
    if as_json:
        digest = fingerprint(made.certificate)
        print_json(
            {
                "side": "broker",
                "names": names,
                "authority": place / "ca.crt",
                "fingerprint": digest,
                "words": words_of(digest),
            }
        )
    else:
        print_lines(authority_rows(made.certificate, t, at))
    tell(t("{folder}: made, with a certificate for {names}.", folder=folder / "broker", names=", ".join(names)))
    tell(t("{folder}: the authority. ca.key never leaves it.", folder=place))
    tell(t("Hand {file} to each side and to the watch, and read them its words by voice.", file=place / "ca.crt"))
    tell(t("Sign what they hand you:"))
    say(f"  {shlex.join(['deconflict', 'cert', 'sign', str(place), 'eucom.csr', '--identity', 'eucom'])}")
    tell(t("Trust a side's own authority instead:"))
    say(f"  {shlex.join(['deconflict', 'cert', 'trust', str(folder), 'eucom-ca.crt', '--identity', 'eucom'])}")
    tell(t("Once the link file is here, make the broker's configuration, then run it:"))
    listener = [] if set(names) <= _THIS_MACHINE else ["--listen", "0.0.0.0"]  # noqa: S104 - its clients are on other machines
    listener += [] if port == configuration.PORT else ["--port", str(port)]
    say(f"  {shlex.join(['deconflict', 'broker', str(folder), '--configure', 'link.toml', *listener])}")
    say(f"  {shlex.join(['deconflict', 'broker', str(folder)])}")
