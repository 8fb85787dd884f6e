"""`deconflict officer`: adds, removes and lists the officers of an endpoint or of the watch; gives new credentials."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from endpoints.cli import consent, options
from endpoints.cli.output import print_json, print_lines, say
from endpoints.errors import UserError, os_reason
from protocol.phrases import phrase

if TYPE_CHECKING:
    from endpoints.cli.reloading import NotKnown
    from endpoints.config.settings_tables import EndpointTable, WatchTable
    from endpoints.texts.i18n import Translator

NAME_MAX = 80

Officer = Annotated[str, Parameter(help="The officer's id.", negative="")]
Name = Annotated[
    str | None, Parameter(help="The officer's name, for lists; by default the id.", allow_leading_hyphen=True)
]
Choose = Annotated[
    bool,
    Parameter(
        negative="",
        help="Ask for the credential, twice, instead of generating one; without a terminal, read it from standard "
        "input.",
    ),
]
NewFile = Annotated[
    Path | None,
    Parameter(
        name="--credential-file",
        help="A new file (mode 0600) for the credential, which is not printed then.",
    ),
]


def officer_add(
    config: options.Config,
    officer: Officer,
    /,
    *,
    name: Name = None,
    choose: Choose = False,
    credential_file: NewFile = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Add an officer, and print the credential that was made for them, this once."""
    from endpoints.cli.settings_change import change_settings
    from endpoints.config import roster, settings
    from endpoints.texts.i18n import translator

    t = translator(lang)
    _check_id(officer)
    named = _checked_name(officer if name is None else name)
    raw = settings.read_form(config)
    roster.require_new(config, officer, raw.officers)

    def save(hashed: str) -> None:
        change_settings(config, lambda document: roster.add(config, document, officer, named, hashed), t)

    given, open_end = _give(officer, _known(officer, named, raw), save, t, choose=choose, file=credential_file)
    say(t("{config}: officer {officer} was added", config=config, officer=officer))
    _tell(officer, given, credential_file, t, as_json=as_json)
    if open_end is not None:
        raise open_end


def officer_reset(
    config: options.Config,
    officer: Officer,
    /,
    *,
    choose: Choose = False,
    credential_file: NewFile = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Give an officer a new credential, and print it, this once; the old one is refused from then on."""
    from endpoints.cli.settings_change import change_settings
    from endpoints.config import roster, settings
    from endpoints.texts.i18n import translator

    t = translator(lang)
    raw = settings.read_form(config)
    roster.require_enrolled(config, officer, raw.officers)
    left = roster.left_credential(config, officer)

    def save(hashed: str) -> None:
        change_settings(config, lambda document: roster.reset(config, document, officer, hashed), t)

    known = _known(officer, raw.officers[officer].name, raw)
    given, open_end = _give(officer, known, save, t, choose=choose, file=credential_file, replaces=left)
    say(t("{config}: officer {officer} has a new credential", config=config, officer=officer))
    if credential_file is None or not (left.exists() and left.samefile(credential_file)):
        _forget(config, officer, t)
    _tell(officer, given, credential_file, t, as_json=as_json)
    if open_end is not None:
        raise open_end


def officer_remove(
    config: options.Config, officer: Officer, /, *, yes: consent.Yes = False, lang: options.Lang = None
) -> int:
    """Remove an officer, who can do nothing from then on; say first what follows, and ask."""
    from endpoints.cli.officer_history import consequences
    from endpoints.cli.reloading import NotKnown
    from endpoints.cli.settings_change import change_settings
    from endpoints.config import roster, settings
    from endpoints.config.settings_tables import EndpointTable
    from endpoints.texts.i18n import translator

    t = translator(lang)
    raw = settings.read_form(config)
    roster.require_removable(config, officer, raw.officers, endpoint=isinstance(raw, EndpointTable))
    print_lines([*consequences(config, officer, raw, t)], stderr=True)
    if not consent.consented(t("remove officer {officer}?", officer=officer), t, yes=yes):
        return consent.EXIT_DECLINED
    open_end = None
    try:
        change_settings(config, lambda document: roster.remove(config, document, officer), t)
    except NotKnown as error:
        open_end = error
    say(t("{config}: officer {officer} was removed", config=config, officer=officer))
    _forget(config, officer, t)
    if open_end is not None:
        raise open_end
    return 0


def officer_list(config: options.Config, /, *, lang: options.Lang = None, as_json: options.AsJson = False) -> None:
    """List the officers, since when each is enrolled, and who has the watch."""
    from endpoints.cli.link_status import link_words
    from endpoints.cli.officer_history import officer_rows
    from endpoints.config import settings
    from endpoints.texts.i18n import translator

    t = translator(lang)
    found = settings.load(config)
    rows = officer_rows(found, t)
    if as_json:
        print_json({"side": found.side, "officers": rows})
    else:
        labels = {
            link.id: link_words(link.id, link.content.terms.policy.status if len(found.links) > 1 else None, t)
            for link in found.links
        }
        print_lines(_listed(rows, labels, t) if rows else [t("no officer is enrolled here")])


# --- parts ----------------------------------------------------------------------------------------------------------


def _check_id(officer: str) -> None:
    import msgspec

    from protocol.wire.messages import Identifier

    try:
        msgspec.convert(officer, Identifier)
    except msgspec.ValidationError:
        raise UserError(
            phrase(
                "{officer}: not an officer's id, which has at most 32 lower-case letters, digits and hyphens",
                officer=repr(officer[:60]),
            )
        ) from None


def _checked_name(name: str) -> str:
    if not (name.strip() and name.isprintable() and len(name) <= NAME_MAX):
        raise UserError(
            phrase(
                "--name: expected 1 to {limit} visible characters in one line, found {name}",
                limit=NAME_MAX,
                name=repr(name[:60]),
            )
        )
    return name


def _known(officer: str, name: str, raw: EndpointTable | WatchTable) -> tuple[str, ...]:
    """Return words of which a credential must not consist, since everybody here knows them."""
    from endpoints.config.settings_tables import EndpointTable

    return officer, *name.split(), raw.side if isinstance(raw, EndpointTable) else raw.identity, "deconflict"


def _give(
    officer: str,
    known: tuple[str, ...],
    save: Callable[[str], None],
    t: Translator,
    *,
    choose: bool,
    file: Path | None,
    replaces: Path | None = None,
) -> tuple[str | None, NotKnown | None]:
    """Make a credential and save its hash; return it, unless it was chosen or is in `file`, to be printed.

    Returns also the error that remains to be raised if a running process has not answered. Raises UserError, and then
    nothing has changed.
    """
    from endpoints.cli import new_credential
    from endpoints.cli.reloading import NotKnown
    from endpoints.config.roster import credential_file
    from endpoints.keys.credentials import generate, hash_credential
    from endpoints.keys.process_memory import protect

    protect()
    credential = new_credential.choose(officer, known, t) if choose else generate()
    hashed, open_end = hash_credential(credential), None
    with nullcontext() if file is None else credential_file(file, credential, replaces=replaces):
        try:
            save(hashed)
        except NotKnown as error:
            open_end = error
    return None if choose or file is not None else credential, open_end


def _tell(officer: str, credential: str | None, file: Path | None, t: Translator, *, as_json: bool) -> None:
    """Print the credential on standard output, or say where it is."""
    if file is not None:
        say(t("credential of {officer}: {file}", officer=officer, file=file))
    try:
        if as_json:
            print_json({"officer": officer, **({} if credential is None else {"credential": credential})})
        elif credential is not None:
            say(t("credential of {officer}, shown this once:", officer=officer))
            print(credential, flush=True)
    except OSError as error:
        raise UserError(
            phrase(
                "the credential of {officer} could not be printed ({reason}) and is lost; give them another: "
                "deconflict officer reset CONFIG ID",
                officer=officer,
                reason=os_reason(error),
            )
        ) from None


def _forget(config: Path, officer: str, t: Translator) -> None:
    """Delete the old credential that `init` or `enrol` left; it is not valid any more, so an error is only said."""
    from endpoints.config import roster

    if why := roster.forget_credential(config, officer):
        left = roster.left_credential(config, officer)
        say(t("{path}: cannot be deleted: {reason}; it is not valid any more", path=left, reason=why))


def _listed(rows: list[dict[str, Any]], labels: Mapping[str, str], t: Translator) -> Iterator[str]:
    """Yield a line for each officer."""
    from protocol.wire.instants import parsed

    width = max(len(row["officer"]) for row in rows)
    for row in rows:
        what = [row["name"]] if row["name"] not in ("", row["officer"]) else []
        if row["since"]:
            what.append(t("enrolled since {when} UTC", when=t.instant(parsed(row["since"]), "UTC")))
        else:
            what.append(t("enrolled since before the journal") if row["in_journal"] else t("not in the journal yet"))
        if row["on_watch"]:
            what.append(t("has the watch: {links}", links=", ".join(labels[link] for link in row["on_watch"])))
        yield f"{row['officer']:<{width}}  {'; '.join(what)}"
