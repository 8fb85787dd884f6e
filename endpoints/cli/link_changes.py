"""`deconflict link accept` and `deconflict link amend`: take over the other side's keys, and prepare changed terms."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.consent import EXIT_DECLINED, Yes, consented
from endpoints.cli.output import print_json, print_lines, say
from endpoints.cli.values import shown
from endpoints.errors import UserError
from protocol.phrases import phrase

if TYPE_CHECKING:
    from endpoints.config.link_file import LinkFile
    from endpoints.config.settings import LinkSettings, ProcessSettings
    from endpoints.texts.i18n import Translator

_NOBODY = "none"

TheirFile = Annotated[
    Path, Parameter(help="The link file that the other side, or the watch, has handed over.", negative="")
]
Replace = Annotated[bool, Parameter(negative="", help="Replace a file that is prepared for the next epoch already.")]
Edited = Annotated[
    Path | None, Parameter(help="An edited copy of the present link file, in place of options.", negative="")
]
Slots = Annotated[
    list[str] | None,
    Parameter(
        consume_multiple=True, negative="", help="When line tests are placed: `cron` expressions in quotation marks."
    ),
]
ZoneOf = Annotated[str | None, Parameter(name="--zone", help="The time zone of the line tests (IANA name).")]
Grace = Annotated[str | None, Parameter(help="How long after its slot a line test is in time, such as 15m.")]
AnswerWithin = Annotated[str | None, Parameter(help="How long the answer to a line test may take, such as 10m.")]
Handling = Annotated[
    list[str] | None,
    Parameter(
        consume_multiple=True,
        negative="",
        help="How long an alert may stay unacknowledged, such as flash=10m routine=6h.",
    ),
]
Categories = Annotated[
    list[str] | None,
    Parameter(name="--category", consume_multiple=True, negative="", help="All categories of the link's scope."),
]
FourEyes = Annotated[
    list[str] | None,
    Parameter(
        consume_multiple=True,
        negative="",
        help="The precedences that a second officer must release; `none` for nothing.",
    ),
]
Set = Annotated[
    list[str] | None,
    Parameter(
        name="--set",
        consume_multiple=True,
        negative="",
        help="Any field of the policy, as the link file names it: skew_limit=30s, handling.flash=5m, "
        "placed_by=officer.",
    ),
]


def link_accept(
    config: options.Config,
    file: TheirFile,
    /,
    *,
    replace: Replace = False,
    yes: Yes = False,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Take over what changed in the other side's link file: its keys, or the terms of the next epoch.

    Under the same epoch, only the other side's keys and those of the watch are taken; this side's stay. A file with a
    higher epoch is kept beside the present one until `deconflict epoch`.
    """
    from endpoints.config import link_change, settings
    from endpoints.texts.i18n import translator

    t, found = translator(lang), settings.load(config)
    theirs = link_change.load(file)
    chosen = _link_of(found, theirs, file)
    link_change.check_link(found, chosen.content, theirs, file)
    if theirs.terms.epoch > chosen.content.terms.epoch:
        return _prepare(found, chosen, theirs, file, t, replace=replace, yes=yes, as_json=as_json, own=False)
    if theirs.terms.epoch < chosen.content.terms.epoch:
        raise UserError(
            phrase(
                "{path}: epoch {epoch}, which is over: {file} has epoch {present}; give the other side this file",
                path=file,
                epoch=theirs.terms.epoch,
                file=shown(chosen.file),
                present=chosen.content.terms.epoch,
            )
        )
    if not link_change.same_terms(chosen.content, theirs):
        raise UserError(_amended_on_one_side(found, chosen, theirs, file, t))
    return _take_keys(found, chosen, theirs, t, yes=yes, as_json=as_json)


def link_amend(
    config: options.Config,
    file: Edited = None,
    /,
    *,
    slots: Slots = None,
    zone: ZoneOf = None,
    grace: Grace = None,
    answer_within: AnswerWithin = None,
    handling: Handling = None,
    category: Categories = None,
    four_eyes: FourEyes = None,
    set_: Set = None,
    replace: Replace = False,
    yes: Yes = False,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Prepare changed terms for the next epoch: a link file beside the present one, for both sides to compare.

    Nothing changes on the line before both sides have run `deconflict epoch`.
    """
    from endpoints.config import link_change, link_file, settings
    from endpoints.texts.i18n import translator

    t, found = translator(lang), settings.load(config)
    values = [
        *([("--slots", "slots", slots)] if slots else []),
        *([("--zone", "zone", zone)] if zone is not None else []),
        *([("--grace", "grace", grace)] if grace is not None else []),
        *([("--answer-within", "answer_within", answer_within)] if answer_within is not None else []),
        *(("--handling", f"handling.{name}", value) for name, value in map(_handling, handling or [])),
        *([("--category", "categories", category)] if category else []),
        *([("--four-eyes", "four_eyes", [] if four_eyes == [_NOBODY] else four_eyes)] if four_eyes else []),
        *(("--set", name, value) for name, value in map(_setting, set_ or [])),
    ]
    if bool(values) == (file is not None):
        raise UserError(
            phrase("give an edited copy of the link file, or what to change, such as --grace 10m --slots '0 9 * * *'")
        )
    if file is None:
        chosen = found.link(link)
        proposed = link_change.amended(chosen.content, values)
    else:
        copy = link_file.load(file)
        chosen = _link_of(found, copy, file)
        link_change.check_link(found, chosen.content, copy, file)
        proposed = link_change.edited(chosen.content, copy, file)
    if len(link_change.differences(chosen.content, proposed)) == 1:
        raise UserError(
            phrase(
                "nothing changes but the epoch; to open the next epoch under the same terms: {command}",
                command=shlex.join(["deconflict", "epoch", str(config), *found.choosing(chosen.id)]),
            )
        )
    return _prepare(found, chosen, proposed, file or shown(chosen.file), t, replace=replace, yes=yes, as_json=as_json)


def _link_of(found: ProcessSettings, content: LinkFile, path: Path) -> LinkSettings:
    """Return the link of these settings that the file `path` is of. Raises UserError if there is none."""
    for link in found.links:
        if link.id == content.terms.link:
            return link
    raise UserError(
        phrase(
            "{path}: link {link}, and {config} has no such link; its links: {ids}",
            path=path,
            link=content.terms.link,
            config=found.path,
            ids=", ".join(link.id for link in found.links),
        )
    )


def _take_keys(
    found: ProcessSettings, chosen: LinkSettings, theirs: LinkFile, t: Translator, *, yes: bool, as_json: bool
) -> int:
    """Replace the link file by one with the other side's keys. Return the exit code."""
    from endpoints.cli.key_links import keyed_links, listed
    from endpoints.cli.link_differences import key_names, rows_of, show_differences
    from endpoints.cli.link_file_change import LinkFileChange
    from endpoints.cli.reloading import reload_or_undo
    from endpoints.config import link_change
    from endpoints.config.owned_keys import owned

    present = chosen.content
    merged = link_change.with_their_keys(found, present, theirs)
    changes = link_change.differences(present, merged)
    missing, foreign = link_change.key_changes(
        link_change.own_keys(found, present), link_change.own_keys(found, theirs)
    )
    if missing:
        say(t("it does not have the keys of this side: {keys}; they stay here", keys=key_names(missing, t)))
    if foreign:
        say(t("it has keys of this side that are not in force here: {keys}; not taken", keys=key_names(foreign, t)))
    document = _document(merged, chosen.file)
    if not changes:
        say(t("{file}: has all of it already; nothing changes", file=shown(chosen.file)))
        _finish(document, [], as_json=as_json)
        return 0
    say(t("{file} changes under the same epoch:", file=shown(chosen.file)))
    show_differences(changes, t)
    (link,), change = keyed_links(found, chosen.id), LinkFileChange()
    after, agreed = owned(merged.keys, merged.watch_keys), link.history.agreed()
    if back := (after - owned(present.keys, present.watch_keys)) & agreed:
        # SPEC F5.4: until an officer acknowledges that they were removed
        keys = listed(back, digits=True)
        say(t("!!! {keys}: removed here before; counts again at once, and no words are asked !!!", keys=keys))
        say(t("if it was revoked as stolen, refuse: the other side hands over a file without it"))
    if not consented(t("take this over?"), t, yes=yes):
        return EXIT_DECLINED
    change.replace([link], {chosen.file: merged})
    reload_or_undo(found.path, change.undo, t)
    if after != agreed and any(each.field.endswith("keys") for each in changes):
        alarm = [f"keys_changed/{merged.digest[:16]}", *found.choosing(chosen.id)]
        acknowledge = ["deconflict", "alarms", "acknowledge", str(found.path), *alarm]
        if after - agreed:
            say(t("Added keys verify nothing until an officer accepts them, by three words that the other side reads:"))
        else:
            say(t("An officer accepts this with three words that the other side reads:"))
        say(f"  {shlex.join([*acknowledge, '--officer', 'ID'])}")
    _finish(document, rows_of(changes), as_json=as_json)
    return 0


def _prepare(
    found: ProcessSettings,
    chosen: LinkSettings,
    proposed: LinkFile,
    path: Path,
    t: Translator,
    *,
    replace: bool,
    yes: bool,
    as_json: bool,
    own: bool = True,
) -> int:
    """Write the file of the next epoch beside the present link file: this side's `own`, or the other side's.

    Return the exit code.
    """
    from endpoints.cli.link import print_fingerprint
    from endpoints.cli.link_differences import rows_of, show_differences
    from endpoints.config import link_change, link_file
    from endpoints.keys.private_files import exists

    link_change.check_next(found, chosen, proposed, path)
    ready = link_file.next_path(chosen.file)
    changes = link_change.differences(chosen.content, proposed)
    prepared = link_file.load(ready) if exists(ready) else None
    if prepared is not None and prepared.digest != proposed.digest and not replace:
        say(t("{file} is prepared already; against it, this changes:", file=shown(ready)))
        show_differences(link_change.differences(prepared, proposed), t)
        raise UserError(
            phrase(
                "{file}: another file is prepared for the next epoch already; replace it with --replace",
                file=shown(ready),
            )
        )
    say(
        t(
            "link {link}: epoch {epoch} is to change, against epoch {present}:",
            link=chosen.id,
            epoch=proposed.terms.epoch,
            present=chosen.content.terms.epoch,
        )
    )
    show_differences(changes, t)
    if proposed.terms.epoch > chosen.content.terms.epoch + 1:
        say(t("the epochs between are left out: find out why the other side is ahead"))
    if prepared is not None and prepared.digest == proposed.digest:
        say(t("{file}: has all of it already; nothing changes", file=shown(ready)))
    else:
        if not consented(t("prepare this for the next epoch?"), t, yes=yes):
            return EXIT_DECLINED
        link_file.save(proposed, ready)
        say(t("{file}: prepared. The present terms hold until `deconflict epoch`.", file=shown(ready)))
    _next_steps(found, chosen, ready, t, own=own)
    if as_json:
        _finish(_document(proposed, ready), rows_of(changes), as_json=as_json)
    else:
        print_fingerprint(proposed, t, as_json=False)
    return 0


def _next_steps(found: ProcessSettings, chosen: LinkSettings, ready: Path, t: Translator, *, own: bool) -> None:
    """Say what both sides do with a prepared file; who takes it over is known once, where it is this side's `own`."""
    from endpoints.config.settings import EndpointSettings

    config, link = str(found.path), found.choosing(chosen.id)
    if isinstance(found, EndpointSettings):
        compare = ["deconflict", "link", "confirm", config, *link, "--officer", "ID"]
    else:
        compare = ["deconflict", "link", "fingerprint", str(shown(ready)), "--compare"]
    taken = (t("the other side and the watch take it over:"), ["deconflict", "link", "accept", "CONFIG", ready.name])
    steps = (
        *((taken,) if own else ()),
        (t("compare it by voice:"), compare),
        (t("then on both sides in one call:"), ["deconflict", "epoch", config, *link]),
    )
    for what, command in steps:
        print_lines([f"  {what} {shlex.join(command)}"], stderr=True)


def _amended_on_one_side(
    found: ProcessSettings, chosen: LinkSettings, theirs: LinkFile, path: Path, t: Translator
) -> str:
    """Return which side has changed its terms under the present epoch, and what that side should do."""
    from endpoints.cli.link_differences import difference_words
    from endpoints.cli.present_state import present_state
    from endpoints.config import link_change
    from protocol.errors import LinkError
    from protocol.wire.digests import policy_digest

    present = chosen.content
    changed = [each for each in link_change.differences(present, theirs) if not each.field.endswith("keys")]
    say(t("its terms are not those of {file}, under the same epoch:", file=shown(chosen.file)))
    for each in changed:
        print_lines([f"  {difference_words(each, t)}"], stderr=True)
    try:
        state = present_state(found, chosen)
    except LinkError:
        state = None
    named = {"path": path, "epoch": present.terms.epoch, "file": shown(chosen.file)}
    known = None if state is None or state.epoch != present.terms.epoch else state.policy
    if known == policy_digest(present.terms):
        return phrase(
            "{path}: amended on the other side alone: epoch {epoch} was opened with the terms of {file}; the other "
            "side puts its file back, and prepares the change with: deconflict link amend",
            **named,
        )
    if known == policy_digest(theirs.terms):
        return phrase(
            "{file}: amended on this side alone: epoch {epoch} was opened with the terms of {path}; put the file back, "
            "and prepare the change with: deconflict link amend",
            **named,
        )
    return phrase(
        "{path}: amended on one side alone: it and {file} have other terms under epoch {epoch}; agree which is right, "
        "and prepare the other with: deconflict link amend",
        **named,
    )


def _handling(text: str) -> tuple[str, str]:
    """Return the precedence and the duration in `flash=10m`. Raises UserError."""
    name, separator, value = text.partition("=")
    if not separator:
        raise UserError(
            phrase(
                "--handling: expected a precedence and a time such as flash=10m, found {found}", found=repr(text[:40])
            )
        )
    return name, value


def _setting(text: str) -> tuple[str, Any]:
    """Return the field and the value in `grace=15m`: a TOML value, else the text itself. Raises UserError."""
    name, separator, value = text.partition("=")
    if not (separator and name):
        raise UserError(
            phrase("--set: expected a field and its value such as grace=15m, found {found}", found=repr(text[:40]))
        )
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value


def _document(content: LinkFile, path: Path) -> dict[str, Any]:
    terms = content.terms
    return {"link": terms.link, "epoch": terms.epoch, "file": str(shown(path)), "digest": content.digest}


def _finish(document: dict[str, Any], changes: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json({**document, "differences": changes})
