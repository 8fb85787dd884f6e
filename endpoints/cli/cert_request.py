"""`deconflict cert request`, `cert sign` and `cert authority`: ask for certificates, and issue them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.certificate_text import (
    authority_rows,
    field,
    name_of,
    request_document,
    request_rows,
    tell,
)
from endpoints.cli.consent import EXIT_DECLINED, Yes, consented
from endpoints.cli.output import print_json, print_lines, say
from endpoints.cli.spoken_words import first_word, words_of
from endpoints.errors import UserError
from protocol.phrases import phrase

if TYPE_CHECKING:
    from broker.pki import Authority
    from broker.requests import CertificateRequest
    from endpoints.config.tls_files import TlsFiles
    from endpoints.texts.i18n import Translator
    from protocol.wire.instants import Millis

Names = Annotated[
    list[str] | None,
    Parameter(
        name="--name",
        negative="",
        help="A host name or address of the broker; repeat it for several. By default its present ones.",
    ),
]
NewAuthority = Annotated[Path, Parameter(help="A new folder for the authority.", negative="")]
AuthorityFolder = Annotated[Path, Parameter(help="The folder of the authority, with ca.crt and ca.key.", negative="")]
RequestFile = Annotated[Path, Parameter(help="The certificate request that was handed over.")]
OnlyIdentity = Annotated[
    str | None,
    Parameter(
        name="--identity",
        help="The one identity that it may issue certificates for, as a side's own authority. By default any, as the "
        "authority of the broker's operator.",
    ),
]
ExpectedIdentity = Annotated[
    str | None, Parameter(name="--identity", help="The identity that the request must be for; required with --yes.")
]
Days = Annotated[int | None, Parameter(name="--days", help="How many days the certificate is valid; 824 at most.")]
Out = Annotated[
    Path | None,
    Parameter(name="--out", help="The file of the certificate. By default that of the request, ending in .crt."),
]


def cert_request(
    config: options.Place,
    /,
    *,
    name: Names = None,
    yes: Yes = False,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Make a new private key and a certificate request; the present certificate stays in use."""
    from endpoints.clocks.clock import SystemClock
    from endpoints.config import certificate_change, tls_files
    from endpoints.config.host_name import check_host
    from endpoints.keys.private_files import exists
    from endpoints.keys.process_memory import protect
    from endpoints.texts.i18n import translator

    protect()
    t = translator(lang)
    tls = tls_files.of(config)
    for each in name or ():
        check_host(each, at="--name")
    names = _names(tls, name)
    if exists(tls.request):
        tell(t("{file}: this request is open. A new one makes its certificate useless.", file=tls.request))
        if not consented(t("Make a new request?"), t, yes=yes):
            return EXIT_DECLINED
    at, _ = SystemClock().now()
    made = certificate_change.prepare_request(tls, names, at)
    if as_json:
        print_json({"request": tls.request, **request_document(made)})
    else:
        print_lines(request_rows(made, t))
    tell_request(tls, t)
    return 0


def tell_request(tls: TlsFiles, t: Translator, *, first: bool = False) -> None:
    """Say to whom a request goes, and what follows when its certificate is back; `first` if there is none yet."""
    name = str(tls.request) if tls.of_operator else f"{tls.identity}.csr"
    sign = ["deconflict", "cert", "sign", "authority", name, "--identity", tls.identity]
    install = ["deconflict", "cert", "renew", str(tls.place), f"{tls.identity}.crt"]
    if tls.of_operator:
        sign[3] = str(tls.installation / "authority")
        tell(t("{file}: the request. Sign it with the authority:", file=tls.request))
        sign += ["--out", f"{tls.identity}.crt"]
    else:
        tell(t("{file}: the certificate request, without the private key.", file=tls.request))
        tell(
            t(
                "Hand it to the broker's operator as {name}, and read them the words of its key by voice. They run:",
                name=name,
            )
        )
    say(f"  {shlex.join(sign)}")
    if first:
        tell(t("When the certificate and the broker's ca.crt are here, install both:"))
        install += ["--authority", "ca.crt"]
    else:
        tell(t("When the certificate is here, install it:"))
    say(f"  {shlex.join(install)}")


def _names(tls: TlsFiles, given: list[str] | None) -> list[str]:
    """Return the server names to ask for. Raises UserError."""
    from broker.identities import alternative_names
    from endpoints.config.certificate_change import load_all
    from endpoints.keys.private_files import exists

    if tls.purpose == "client":
        if given:
            raise UserError(phrase("--name: only the broker's certificate has host names; leave it out"))
        return []
    if given:
        return list(dict.fromkeys(given))
    found = alternative_names(load_all(tls.certificate)[0].extensions) if exists(tls.certificate) else ()
    if not found:
        raise UserError(phrase("--name: give the host names under which the sides reach the broker, each with --name"))
    return list(found)


def cert_authority(
    folder: NewAuthority,
    /,
    *,
    identity: OnlyIdentity = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Make a certificate authority in a new folder."""
    from broker.pki import Authority
    from endpoints.cli.values import identifier
    from endpoints.clocks.clock import SystemClock
    from endpoints.config.certificate_change import fingerprint
    from endpoints.config.new_folder import as_user_errors, new_folder
    from endpoints.keys.private_files import FOLDER_MODE
    from endpoints.keys.process_memory import protect
    from endpoints.texts.i18n import translator

    protect()
    t = translator(lang)
    if identity is not None:
        identifier(identity, option="identity")
    at, _ = SystemClock().now()
    with new_folder(folder.absolute(), FOLDER_MODE) as staging, as_user_errors(folder):
        made = Authority.make_in(staging, at, identity)
    if as_json:
        digest = fingerprint(made.certificate)
        print_json(
            {"authority": folder / "ca.crt", "identity": identity, "fingerprint": digest, "words": words_of(digest)}
        )
    else:
        print_lines(authority_rows(made.certificate, t, at))
    tell(t("{folder}: made. ca.key never leaves it; ca.crt is public.", folder=folder))
    if identity is not None:
        tell_own_authority(folder / "ca.crt", identity, t)


def tell_own_authority(file: Path, identity: str, t: Translator) -> None:
    """Say to whom the certificate of a side's own authority goes."""
    trust = shlex.join(["deconflict", "cert", "trust", "FOLDER", f"{identity}-ca.crt", "--identity", identity])
    tell(
        t(
            "Hand {file} to the broker's operator as {name}, and read them its words by voice. They run:",
            file=file,
            name=f"{identity}-ca.crt",
        )
    )
    say(f"  {trust}")


def cert_sign(
    authority: AuthorityFolder,
    request: RequestFile,
    /,
    *,
    identity: ExpectedIdentity = None,
    days: Days = None,
    out: Out = None,
    yes: Yes = False,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Show a certificate request, ask, and issue the certificate."""
    from broker import atomic_files, files
    from broker.pki import LEAF_DAYS, Authority
    from endpoints.cli.values import identifier
    from endpoints.clocks.clock import SystemClock
    from endpoints.config import certificate_change
    from endpoints.config.new_folder import as_user_errors
    from endpoints.keys.private_files import exists, require_private
    from endpoints.keys.process_memory import protect
    from endpoints.texts.i18n import translator
    from protocol.wire.instants import written

    protect()
    t = translator(lang)
    longest = LEAF_DAYS - 1
    if days is not None and not 1 <= days <= longest:
        raise UserError(phrase("--days: expected 1 to {limit}, found {days}", limit=longest, days=days))
    if identity is not None:
        identifier(identity, option="identity")
    elif yes:
        raise UserError(phrase("--yes: give --identity as well, the identity that the request must be for"))
    with as_user_errors(authority):
        issuing = Authority.load(authority)
    require_private(authority / "ca.key", what=phrase("private key"))
    at, _ = SystemClock().now()
    asked = certificate_change.load_request(request)
    with as_user_errors(request):
        asked.check_age(at, at=request)
    if identity not in {None, asked.identity}:
        raise UserError(
            phrase(
                "{path}: asks for {found}, not for {identity}", path=request, found=asked.identity, identity=identity
            )
        )
    target = out or request.with_suffix(".crt")
    if exists(target) or target.is_symlink():
        raise UserError(phrase("{file}: already exists; name a new file: --out FILE", file=target))
    with as_user_errors(authority / "ca.crt"):
        certificate = issuing.sign(asked, at, days or longest)
    _show(request, asked, issuing, at, days or longest, t)
    if not consented(
        t(
            "Did {identity} read these words by voice, from word {start} on? Sign?",
            identity=asked.identity,
            start=first_word(),
        ),
        t,
        yes=yes,
    ):
        return EXIT_DECLINED
    with as_user_errors(target):
        atomic_files.replace(target, files.pem(certificate), atomic_files.PUBLIC_MODE)
    ends = written(int(certificate.not_valid_after_utc.timestamp()) * 1_000)
    if as_json:
        print_json(
            {
                "certificate": target,
                "ends_at": ends,
                "fingerprint": certificate_change.fingerprint(certificate),
                "request": request_document(asked),
            }
        )
    else:
        print_lines([str(target)])
    tell(
        t(
            "Hand it back to {identity}, with {file} if they do not have it yet.",
            identity=asked.identity,
            file=authority / "ca.crt",
        )
    )
    return 0


def _show(path: Path, asked: CertificateRequest, issuing: Authority, at: Millis, days: int, t: Translator) -> None:
    """Show what is asked for, and what will be issued."""
    left = issuing.last_day(at)
    until = t.plural("{count} day", "{count} days", min(days, left))
    if left < days:
        until = t("{days}, because the authority ends then", days=until)
    print_lines(
        [
            t("{file} asks for a certificate:", file=path),
            *request_rows(asked, t),
            field(t("authority"), name_of(issuing.certificate.subject)),
            field(t("valid for"), until),
        ],
        stderr=True,
    )
