"""`deconflict cert show`: lists the certificates of an installation, when they end, and what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.output import print_json, print_lines

if TYPE_CHECKING:
    from endpoints.config.certificate_survey import Listed, Survey
    from endpoints.texts.i18n import Translator
    from protocol.wire.instants import Millis

EXIT_WARNINGS = 1

Places = Annotated[
    list[Path],
    Parameter(
        help="Configurations (endpoint.toml, watch.toml), or folders of installations.",
        env_var=options.CONFIG_VARIABLE,
        negative="",
    ),
]


def cert_show(config: Places, /, *, lang: options.Lang = None, as_json: options.AsJson = False) -> int:
    """Show all certificates and open requests; return 1 if one needs attention, else 0."""
    from endpoints.clocks.clock import SystemClock
    from endpoints.config import tls_files
    from endpoints.config.certificate_survey import survey
    from endpoints.texts.i18n import translator

    t = translator(lang)
    now, _ = SystemClock().now()
    found = [survey(tls, now) for place in config for tls in tls_files.within(place)]
    if as_json:
        print_json({"ok": not any(each.warnings for each in found), "places": [_document(each, now) for each in found]})
    else:
        for each in found:
            print_lines(_page(each, t, now))
    return EXIT_WARNINGS if any(each.warnings for each in found) else 0


def _page(found: Survey, t: Translator, now: Millis) -> list[str]:
    from endpoints.cli.certificate_text import field, fingerprint_rows
    from protocol.wire.instants import written

    tls = found.tls
    lines = [f"{tls.place}: {tls.identity}"]
    for listed in found.certificates:
        lines += _rows(listed, t, now)
    if found.request is not None:
        made = found.request.made_at
        lines += [
            f"{t('open request')}: {tls.request}",
            field(t("made"), "-" if made is None else written(made)),
            field(t("key SHA-256"), found.request.fingerprint),
            *fingerprint_rows(found.request.fingerprint),
        ]
    return [*lines, *(t("warning: {warning}", warning=t.say(each)) for each in found.warnings), ""]


def _rows(listed: Listed, t: Translator, now: Millis) -> list[str]:
    from broker.constraints import permitted
    from broker.identities import alternative_names
    from endpoints.cli.certificate_text import ending, field, name_of
    from endpoints.config.certificate_change import fingerprint

    certificate, restricted = listed.certificate, permitted(listed.certificate)
    titles = {
        "own": t("own certificate"),
        "trusted": t("trusted authority"),
        "issuing": t("own authority"),
    }
    rows = [f"{titles[listed.whose]}: {listed.path}", field(t("issued to"), name_of(certificate.subject))]
    if restricted is not None:
        rows.append(field(t("issues for"), t("{identity} alone", identity=restricted)))
    if listed.whose == "own":
        names = ", ".join(alternative_names(certificate.extensions)) or "-"
        rows += [field(t("names"), names), field(t("issued by"), name_of(certificate.issuer))]
    return [*rows, field(t("ends"), ending(certificate, t, now)), field("SHA-256", fingerprint(certificate))]


def _document(found: Survey, now: Millis) -> dict[str, Any]:
    from endpoints.cli.certificate_text import request_document

    tls = found.tls
    return {
        "place": tls.place,
        "identity": tls.identity,
        "certificates": [_certificate(each, now) for each in found.certificates],
        "request": None if found.request is None else {"file": tls.request, **request_document(found.request)},
        "warnings": [str(each) for each in found.warnings],
    }


def _certificate(listed: Listed, now: Millis) -> dict[str, Any]:
    from broker.constraints import permitted
    from broker.identities import alternative_names
    from endpoints.cli.certificate_text import days_left, name_of
    from endpoints.config.certificate_change import fingerprint
    from endpoints.mqtt.certificates import begins, ends
    from protocol.wire.instants import written

    certificate = listed.certificate
    return {
        "whose": listed.whose,
        "file": listed.path,
        "issued_to": name_of(certificate.subject),
        "issued_by": name_of(certificate.issuer),
        "issues_for": permitted(certificate),
        "names": alternative_names(certificate.extensions),
        "begins_at": written(begins(certificate)),
        "ends_at": written(ends(certificate)),
        "days": days_left(ends(certificate), now),
        "fingerprint": fingerprint(certificate),
    }
