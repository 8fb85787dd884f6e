"""`deconflict cert renew` and `cert trust`: install a certificate, and change which authorities are trusted."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from broker.names import HEALTH
from endpoints.cli import options
from endpoints.cli.certificate_text import authority_rows, ending, field, name_of, tell
from endpoints.cli.consent import EXIT_DECLINED, Yes, consented
from endpoints.cli.output import print_json, print_lines, say
from endpoints.cli.spoken_words import first_word
from endpoints.errors import UserError
from protocol.phrases import phrase

if TYPE_CHECKING:
    from endpoints.config.certificate_change import CertificateChange
    from endpoints.config.tls_files import TlsFiles
    from endpoints.texts.i18n import Translator
    from protocol.wire.instants import Millis

CertificateFile = Annotated[Path, Parameter(help="The certificate that was handed back.")]
NewAuthorityFile = Annotated[
    Path | None,
    Parameter(
        name="--authority", help="The ca.crt of a new authority, which is trusted from now on beside the present ones."
    ),
]
AuthorityFile = Annotated[Path | None, Parameter(help="The ca.crt of the authority to trust.")]
SideIdentity = Annotated[
    str | None,
    Parameter(name="--identity", help="The side whose own authority it is; it must be restricted to this identity."),
]
Drop = Annotated[
    str | None,
    Parameter(
        name="--drop",
        help="The authority that is no longer trusted: at least eight digits of its SHA-256, from `cert show`.",
    ),
]


def cert_renew(
    config: options.Place,
    certificate: CertificateFile,
    /,
    *,
    authority: NewAuthorityFile = None,
    yes: Yes = False,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Install a certificate that was handed back, with the private key of its request."""
    from broker.identities import alternative_names
    from endpoints.clocks.clock import SystemClock
    from endpoints.config import certificate_change, tls_files
    from endpoints.keys.private_files import exists
    from endpoints.keys.process_memory import protect
    from endpoints.texts.i18n import translator

    protect()
    t = translator(lang)
    tls = tls_files.of(config)
    now, _ = SystemClock().now()
    change = certificate_change.renewal(tls, certificate, authority, now)
    assert change.certificate is not None
    assert change.issuer is not None
    if not _agreed(change, t, now, yes=yes):
        return EXIT_DECLINED
    first = not exists(tls.certificate)
    names = alternative_names(change.certificate.extensions)
    certificate_change.install(change)
    if as_json:
        print_json(_document(change))
    else:
        print_lines(
            [
                str(tls.certificate),
                field(t("identity"), tls.identity),
                *([field(t("names"), ", ".join(names))] if tls.purpose == "server" else []),
                field(t("issued by"), name_of(change.issuer.subject)),
                field(t("ends"), ending(change.certificate, t, now)),
            ]
        )
    _tell(change, t, first=first)
    return 0


def cert_trust(
    config: options.Place,
    authority: AuthorityFile = None,
    /,
    *,
    identity: SideIdentity = None,
    drop: Drop = None,
    yes: Yes = False,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Trust another authority, once its fingerprint was compared, or drop one."""
    from endpoints.cli.values import identifier
    from endpoints.clocks.clock import SystemClock
    from endpoints.config import certificate_change, tls_files
    from endpoints.keys.private_files import exists
    from endpoints.texts.i18n import translator

    t = translator(lang)
    if (authority is None) == (drop is None):
        raise UserError(phrase("give the ca.crt of an authority to trust, or one to drop: --drop SHA-256"))
    tls = tls_files.of(config)
    if identity is not None:
        identifier(identity, option="identity")
        if tls.purpose == "client" or drop is not None:
            raise UserError(phrase("--identity: only for an authority that the broker is to trust; leave it out"))
    now, _ = SystemClock().now()
    if authority is not None:
        change = certificate_change.addition(tls, authority, now, identity=identity)
    else:
        change = certificate_change.removal(tls, drop or "", now)
    if change.added is None and not change.dropped:
        tell(t("{file}: trusts this authority already", file=tls.authority))
    elif not _agreed(change, t, now, yes=yes):
        return EXIT_DECLINED
    else:
        first = not exists(tls.authority)
        certificate_change.install(change)
        _tell(change, t, first=first)
    if as_json:
        print_json(_document(change))
    return 0


def _agreed(change: CertificateChange, t: Translator, now: Millis, *, yes: bool) -> bool:
    """Show which authorities are trusted anew and which no longer, and ask. Raises UserError without a terminal."""
    if change.added is not None:
        title = t("{file} will trust this authority as well:", file=change.tls.authority)
        print_lines([title, *authority_rows(change.added, t, now)], stderr=True)
        if change.tls.purpose == "client":
            tell(t("Its holder decides which broker you speak to."))
        question = t("Did its holder read these words by voice, from word {start} on? Trust it?", start=first_word())
        if not consented(question, t, yes=yes):
            return False
    for each in change.dropped:
        title = t("{file} will no longer trust this authority:", file=change.tls.authority)
        print_lines([title, *authority_rows(each, t, now)], stderr=True)
    if change.names_lost:
        names = ", ".join(change.names_lost)
        tell(
            t(
                "{file}: the new certificate lacks host names of the present one: {names}",
                file=change.tls.certificate,
                names=names,
            )
        )
        return consented(t("Clients that connect to such a name refuse the broker. Install it?"), t, yes=yes)
    if change.dropped and change.added is None and change.certificate is None:
        return consented(_consequence(change, t), t, yes=yes)
    return True


def _consequence(change: CertificateChange, t: Translator) -> str:
    if change.tls.purpose == "server":
        return t("Clients with its certificates can connect no more. Drop it?")
    return t("If the broker's certificate is still its own, the line fails at the next connection. Drop it?")


def _tell(change: CertificateChange, t: Translator, *, first: bool) -> None:
    """Say what follows from a change that was installed; `first` if nothing could run before it."""
    tls = change.tls
    if tls.identity == HEALTH:
        tell(t("The next check of the broker uses it."))
        return
    if tls.bridge:
        tell(t("`deconflict broker` starts Mosquitto again for it within seconds. Restart any other broker yourself."))
        return
    if tls.purpose == "client":
        if not first:
            tell(t("A running process uses it at its next connection to the broker, without a restart."))
        tell(t("Check that the broker accepts it:"))
        say(f"  {shlex.join(['deconflict', 'doctor', str(tls.place)])}")
        return
    tell(t("`deconflict broker` starts Mosquitto again for it within seconds. Restart any other broker yourself."))
    if change.added is not None and change.certificate is not None:
        tell(t("Every side must trust the new authority before the broker uses its certificate:"))
        say(f"  {shlex.join(['deconflict', 'cert', 'trust', 'CONFIG', 'ca.crt'])}")


def _document(change: CertificateChange) -> dict[str, object]:
    from endpoints.config.certificate_change import fingerprint
    from endpoints.mqtt.certificates import ends
    from protocol.wire.instants import written

    tls: TlsFiles = change.tls
    installed = change.certificate
    return {
        "place": tls.place,
        "identity": tls.identity,
        "certificate": None if installed is None else tls.certificate,
        "fingerprint": None if installed is None else fingerprint(installed),
        "ends_at": None if installed is None else written(ends(installed)),
        "trusted": [fingerprint(each) for each in change.authorities],
        "added": None if change.added is None else fingerprint(change.added),
        "dropped": [fingerprint(each) for each in change.dropped],
        "names_lost": change.names_lost,
    }
