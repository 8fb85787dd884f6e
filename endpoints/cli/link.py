"""`deconflict link`: makes and shows the link file, and its fingerprint to read aloud."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.link_status import roles
from endpoints.cli.output import console, print_json, print_lines, say
from endpoints.cli.values import identifier
from endpoints.config import default_terms
from endpoints.errors import UserError
from protocol.phrases import phrase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from endpoints.config.link_file import LinkFile
    from endpoints.texts.i18n import Translator
    from protocol.wire.policy import EnrolledKey


File = Annotated[Path, Parameter(help="The link file.", negative="")]
CallerFile = Annotated[Path, Parameter(help="The side file that `deconflict enrol` printed at the calling side.")]
AnsweringFile = Annotated[Path, Parameter(help="The side file of the answering side.")]


def link_make(
    file: File,
    caller_file: CallerFile,
    answering_file: AnsweringFile,
    /,
    *,
    watch: Annotated[
        Path | None, Parameter(help="The entry that `deconflict enrol --side watch` printed: the key of the watch.")
    ] = None,
    link: options.NewLinkId = default_terms.LINK,
    status: options.LinkStatus = "actual",
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Make the public link file from two side files: first the caller's, then the answering side's.

    It gets the default schedule and policy; change the file before both sides agree on it.
    """
    from endpoints.config import link_file, side_file
    from endpoints.config.link_file import LinkFile
    from endpoints.keys.private_files import exists
    from endpoints.texts.i18n import translator

    identifier(link, option="link")
    if exists(file):
        raise UserError(
            phrase(
                "{file}: already exists; a link file may be in use and is not overwritten: name a new file", file=file
            )
        )
    caller, calling_party = side_file.load(caller_file)
    answering, answering_party = side_file.load(answering_file)
    if caller == answering:
        raise UserError(
            phrase(
                "{file}: the same side as {other} ({side}); name the other side's file",
                file=answering_file,
                other=caller_file,
                side=caller,
            )
        )
    entry = None if watch is None else side_file.load_watch(watch)
    _require_own_keys(
        [
            (caller_file, calling_party.keys),
            (answering_file, answering_party.keys),
            *([(watch, entry.keys)] if watch is not None and entry is not None else []),
        ]
    )
    terms = default_terms.terms(link, caller, answering, status)
    policy = msgspec.structs.replace(terms.policy, zone=calling_party.zone)
    content = LinkFile(
        terms=msgspec.structs.replace(terms, policy=policy),
        parties={caller: calling_party, answering: answering_party},
        watch=entry,
    )
    link_file.check(content)
    link_file.check_keys(content)
    link_file.save(content, file)
    t = translator(lang)
    say(t("{file}: made. Give both sides this file, and compare its fingerprint by voice before use.", file=file))
    # the order of two file names decides about it
    say(f"  {roles(content.terms, t)}")
    print_fingerprint(content, t, as_json=as_json)


def _require_own_keys(files: Iterable[tuple[Path, Iterable[EnrolledKey]]]) -> None:
    """Raise UserError if two of the files have a key in common (SPEC F5.2)."""
    owners: dict[str, Path] = {}
    for file, keys in files:
        for key in keys:
            if (other := owners.setdefault(key.public, file)) != file:
                raise UserError(
                    phrase(
                        "{file}: key {key} is in {other} as well; each side makes keys of its own: deconflict enrol",
                        file=file,
                        key=repr(key.id),
                        other=other,
                    )
                )


def link_show(file: File, /, *, lang: options.Lang = None, as_json: options.AsJson = False) -> None:
    """Show the content of a link file."""
    from rich.table import Table
    from rich.text import Text

    from endpoints.config import durations, link_file
    from endpoints.texts.i18n import translator
    from endpoints.texts.printable import one_line

    content = link_file.load(file)
    terms, policy = content.terms, content.terms.policy
    if as_json:
        parties, watch = msgspec.to_builtins(content.parties), msgspec.to_builtins(content.watch)
        print_json({**msgspec.to_builtins(terms), "parties": parties, "watch": watch, "digest": content.digest})
        return
    t = translator(lang)
    table = Table(show_header=False, box=None, pad_edge=False)
    rows: list[tuple[str, Any]] = [
        (t("link"), f"{terms.link}, {t('epoch {epoch}', epoch=terms.epoch)}, {t.term('status', policy.status)}"),
    ]
    for label, side in ((t("calls"), terms.caller), (t("answers"), terms.answering)):
        party = content.parties[side]
        keys = ", ".join(key.id for key in party.keys) or t("no key")
        rows.append((label, f"{side}: {_in(party.name, t.language)}, {party.site} ({party.zone}); {keys}"))
    rows += [
        (t("watch"), ", ".join(key.id for key in content.watch_keys) or t("no key")),
        (t("line tests"), f"{'; '.join(policy.slots)} ({policy.zone})"),
        (t("grace"), durations.write_s(policy.grace_s)),
        (t("answer within"), durations.write_s(policy.answer_within_s)),
        (t("scope"), ", ".join(t.term("category", each) for each in policy.categories)),
        (t("four eyes"), ", ".join(t.term("precedence", each) for each in policy.four_eyes) or "-"),
        (t("other channels"), "; ".join(f"{each.id}: {_in(each.name, t.language)}" for each in policy.channels) or "-"),
    ]
    for label, value in rows:
        # names, sites and channels are foreign text: none may begin another row
        table.add_row(Text(label, style="bold"), Text(one_line(value)))
    console().print(table)


def link_fingerprint(
    file: File,
    /,
    *,
    compare: Annotated[
        bool, Parameter(help="Ask for the words that the other side reads, from a random one on.", negative="")
    ] = False,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Show a link file's fingerprint as words to read aloud, or compare it with what the other side reads.

    Equal words mean equal files. Two files that share the first words are found in seconds, so all words count, from
    a random one on.
    """
    from endpoints.cli.fingerprint import compare as compare_words
    from endpoints.config import link_file
    from endpoints.texts.i18n import translator

    content = link_file.load(file)
    if compare:
        return compare_words(content, lang, as_json=as_json)
    print_fingerprint(content, translator(lang), as_json=as_json)
    return 0


def print_fingerprint(content: LinkFile, t: Translator, *, as_json: bool) -> None:
    """Print a link file's fingerprint as words in both languages, or as JSON."""
    from endpoints.cli.spoken_words import word_rows, words_of

    terms, digest = content.terms, content.digest
    if as_json:
        print_json({"link": terms.link, "epoch": terms.epoch, "digest": digest, "words": words_of(digest)})
        return
    print_lines([f"{t('link')} {terms.link}, {t('epoch {epoch}', epoch=terms.epoch)}: {digest}"])
    for row in word_rows(digest):
        print(row)


def _in(names: dict[str, str], language: str) -> str:
    return names.get(language) or next(iter(names.values()))
