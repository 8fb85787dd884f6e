"""Checks the files of an installation: who may read and change them, keys, officers, the exercise's clock."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Sequence
from pathlib import Path

from endpoints.clocks.exercise_table import ExerciseTable
from endpoints.config.settings import EndpointSettings, ProcessSettings, WatchSettings
from endpoints.control.server import check_folder
from endpoints.doctor.findings import Report
from endpoints.errors import UserError
from endpoints.journal.segments import locked
from endpoints.keys.private_files import chmod
from endpoints.keys.signer import Signer
from protocol.phrases import phrase
from protocol.wire.policy import EnrolledKey

_OTHERS = 0o077
FOUR_EYES = 2


def check_folders(settings: ProcessSettings, found: Report) -> None:
    """Private folders must exist, and be private."""
    journals = {link.journal for link in settings.links}
    private = {settings.broker.key.parent, *journals, *([] if settings.keys is None else [settings.keys])}
    for folder in sorted(private):
        if not folder.is_dir():
            # the first start creates the journal's folder; the check of the keys reports theirs
            if folder not in journals and folder != settings.keys:
                found.add(folder, phrase("no such folder"), phrase("`deconflict init` or `enrol` makes it"))
        elif (mode := stat.S_IMODE(folder.stat().st_mode)) & _OTHERS:
            remedy = phrase("make it private: {command}", command=chmod("700", folder))
            found.add(folder, phrase("open to others (mode {mode})", mode=f"{mode:04o}"), remedy)


def check_trust(settings: ProcessSettings, found: Report) -> None:
    """Nobody else may change what the process trusts."""
    for line in settings.changeable():
        with found.trying(settings.path):
            raise UserError(line)


def check_separation(settings: ProcessSettings, found: Report) -> None:
    """Give hints where one user of this machine has what belongs to several, as `init` lays it out."""
    user = settings.path.stat().st_uid
    apart = phrase("an intruder in one has both; for more than a trial, give each a user of its own")
    keep = phrase("for more than a trial, keep it elsewhere")
    issuing = phrase(
        "this key issues certificates for anybody, and belongs to the same user as the files of {side}",
        side=settings.side,
    )
    same = phrase("belongs to the same user as the files of {side}", side=settings.side)
    for link in settings.links:
        for party in link.content.parties:
            if party != settings.side:
                _hint(link.sibling(party, "endpoint.toml"), user, same, apart, found)
        _hint(link.sibling("broker", "mosquitto.conf"), user, same, apart, found)
        for folder in (("authority",), ("broker", "authority")):
            _hint(link.sibling(*folder, "ca.key"), user, issuing, keep, found)


def _hint(path: Path, user: int, what: str, remedy: str, found: Report) -> None:
    """Give a hint if `path` exists and `user` owns it."""
    try:
        shared = path.stat().st_uid == user
    except OSError:
        return
    if shared:
        found.add(path, what, remedy, severity="hint")


def check_clock(settings: ProcessSettings, found: Report) -> None:
    """The exercise's table, if there is one, must be readable."""
    del found
    if settings.exercise_clock is not None:
        ExerciseTable.read(settings.exercise_clock)


def check_keys(settings: EndpointSettings, found: Report) -> None:
    """The link file must enrol a key of each algorithm that an endpoint has."""
    for link in settings.links:
        with found.trying(link.file):
            held = Signer.load(settings.keys, link.content.terms.policy.suite)
            algorithm = held.lacking(link.content.keys[settings.side])
            if algorithm is not None:
                found.add(
                    link.file,
                    phrase(
                        "parties.{side}.keys: no {algorithm} key of {folder} is enrolled there, so the other side will "
                        "refuse every frame",
                        side=settings.side,
                        algorithm=algorithm,
                        folder=settings.keys,
                    ),
                    phrase("enrol the key, or use the enrolled one"),
                )
    _check_leftovers(settings, [key for link in settings.links for key in link.content.keys[settings.side]], found)


def check_watch_keys(settings: WatchSettings, found: Report) -> None:
    """The link file must enrol the key of the watch, and the settings must name it."""
    for link in settings.links:
        enrolled = link.content.watch_keys
        with found.trying(link.file):
            if settings.keys is None and enrolled:
                found.add(
                    settings.path,
                    phrase(
                        "keys: none, but {file} enrols a key for the watch, so no audit accepts its unsigned journal",
                        file=link.file,
                    ),
                    phrase('name the folder of its key: keys = "keys"'),
                )
            elif settings.keys is not None:
                held = Signer.load(settings.keys, link.content.terms.policy.suite)
                algorithm = held.lacking(enrolled)
                if algorithm is not None:
                    found.add(
                        link.file,
                        phrase(
                            "watch.keys: no {algorithm} key of {folder} is enrolled there, so no audit accepts what "
                            "the watch signs",
                            algorithm=algorithm,
                            folder=settings.keys,
                        ),
                        phrase("enrol the key, or use the enrolled one"),
                    )
    _check_leftovers(settings, [key for link in settings.links for key in link.content.watch_keys], found)


def _check_leftovers(settings: ProcessSettings, enrolled: Sequence[EnrolledKey], found: Report) -> None:
    """Give a hint for each private key that no link file enrols: it signs nothing."""
    named = {key.public for key in enrolled}
    if settings.keys is None or not named:
        return
    try:
        held = Signer.load(settings.keys, settings.links[0].content.terms.policy.suite).enrolled
    except UserError:
        # reported for its link
        return
    for key in held if any(key.public in named for key in held) else ():
        if key.public not in named:
            found.add(
                settings.keys,
                phrase("the private key {key} is enrolled in no link file, so it signs nothing", key=key.id),
                phrase("enrol its public key, or remove the file if its key is retired"),
                severity="hint",
            )


def check_officers(settings: ProcessSettings, found: Report) -> None:
    """Somebody must be able to act, and two where the policy has the four-eyes rule."""
    if isinstance(settings, WatchSettings):
        if not settings.officers:
            found.add(
                settings.path,
                phrase("officers: none, so nobody can acknowledge an alarm of the watch"),
                phrase("add one: {command}", command=_officer_add(settings.path)),
                severity="warning",
            )
        return
    strict = [link.id for link in settings.links if link.content.terms.policy.four_eyes]
    if strict and len(settings.officers) < FOUR_EYES:
        found.add(
            settings.path,
            phrase(
                "officers: link {link} has the four-eyes rule, and one officer cannot release their own alert",
                link=strict[0],
            ),
            phrase("add another: {command}", command=_officer_add(settings.path)),
        )


def _officer_add(config: Path) -> str:
    return shlex.join(["deconflict", "officer", "add", str(config), "ID"])


def check_control(settings: ProcessSettings, found: Report) -> None:
    """The control socket needs a private folder, and must be there while the service runs."""
    control, folder = settings.control, settings.control.parent
    if not folder.is_dir():
        found.add(folder, phrase("no such folder"), phrase("the control socket needs it"))
        return
    with found.trying(folder):
        check_folder(control)
    if not os.access(folder, os.W_OK | os.X_OK):
        found.add(folder, phrase("this user may not write here"), phrase("the control socket needs it"))
    elif control.exists() and not control.is_socket():
        found.add(control, phrase("not a socket"), phrase("remove the file, or configure another path"))
    elif running(settings) and not control.is_socket():
        found.add(control, phrase("no such socket, although the service runs"), phrase("restart the service"))


def running(settings: ProcessSettings) -> bool:
    """Return whether a process writes one of the journals now."""
    return any(locked(link.journal) for link in settings.links)
