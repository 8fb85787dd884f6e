"""Checks each link: its file, its journal, the one against the other, and what the running service reports."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from endpoints.clocks import slots
from endpoints.config.settings import EndpointSettings, LinkSettings, ProcessSettings, WatchSettings
from endpoints.control.client import ControlClient
from endpoints.doctor.findings import Report
from endpoints.journal.last_segment import last_segment, read_segment
from endpoints.journal.segments import locked, segments
from endpoints.journal.space_watch import SPACE_LOW_BYTES
from endpoints.mqtt.intervals import Intervals
from endpoints.runtime.start_checks import check_restored, check_terms, frame_signer, head_signer
from protocol.core.alarms import AlarmCode
from protocol.core.link import Link
from protocol.errors import LinkError
from protocol.phrases import phrase, rephrased
from protocol.record.journal import Record
from protocol.record.replay import at_end
from protocol.record.zone_data import ZoneData
from protocol.wire.instants import Millis, written
from protocol.wire.keyring import Keyring

_DAY_MS = 86_400_000


def check_link(link: LinkSettings, found: Report, at: Millis) -> None:
    """The link file must have usable keys and a schedule."""
    policy = link.content.terms.policy
    with found.trying(link.file):
        Keyring(link.content.keys, policy.suite)
    if not slots.plan(policy.slots, policy.zone, at, at + 366 * _DAY_MS):
        what = phrase("policy.slots: no line test within a year")
        found.add(link.file, what, phrase("correct the cron expressions"))


def check_journal(
    settings: EndpointSettings | WatchSettings, link: LinkSettings, found: Report, now: Callable[[], Millis]
) -> None:
    """The journal must be writable, intact, not from the future, and agree with the link file."""
    folder = link.journal
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        found.add(existing, phrase("this user may not write here"), phrase("the journal needs it"))
        return
    free = shutil.disk_usage(existing).free
    if free < SPACE_LOW_BYTES:
        low = SPACE_LOW_BYTES >> 20
        what = phrase("{free} MiB free; below {low} MiB new alerts are refused", free=free >> 20, low=low)
        found.add(folder, what, phrase("free some space"))
    with found.trying(folder):
        check_restored(settings, link)
    records = last_segment(link.journal, link.id, settings.side)
    if not records:
        found.add(
            folder,
            phrase("this journal is empty"),
            phrase("if this side ran on this link before, copy its journal here, or open a new epoch on both sides"),
            severity="hint",
        )
        return
    last, at = max(record.entry.at for record in records), now()
    # read after the journal: a running service writes on
    if settings.exercise_clock is None and last > at:
        what = phrase("its last record is from {last}, later than now ({now})", last=written(last), now=written(at))
        found.add(folder, what, phrase("check the machine's clock"))
    _check_start(settings, link, records, found)
    _check_zone_data(settings, link, records, found)


def _check_start(settings: ProcessSettings, link: LinkSettings, records: tuple[Record, ...], found: Report) -> None:
    """Report why the next start would refuse the link file or the keys, and which alarms are open."""
    core = at_end(records)
    with found.trying(link.file):
        check_terms(link.content.terms, core.terms)
    if not any(each.check == "keys" for each in found.findings):
        with found.trying(link.file):
            if isinstance(settings, EndpointSettings) and isinstance(core, Link):
                frame_signer(settings, link, core)
            elif isinstance(settings, WatchSettings):
                head_signer(settings, link)
    if core.terms is None:
        return
    content = link.content
    if content.terms.epoch == core.terms.epoch and core.keys.differ(content.keys, content.digest, content.watch_keys):
        found.add(
            link.file,
            phrase("it has other keys than the journal: they count once an officer has accepted them"),
            phrase("after the next start or reload, acknowledge the alarm keys_changed"),
            severity="hint",
        )
    if not locked(link.journal):
        alarms = [
            msgspec.to_builtins(alarm)
            for alarm in core.snapshot().alarms
            # the check of the broker finds that by itself
            if alarm.active and alarm.severity != "warning" and alarm.code is not AlarmCode.BROKER_UNREACHABLE
        ]
        _report(settings, link, alarms, found, since_stop=True)


def _check_zone_data(settings: ProcessSettings, link: LinkSettings, records: tuple[Record, ...], found: Report) -> None:
    """Report other versions of the time zone data: in this journal, and in those of others on this machine."""
    installed = slots.tzdata_version()
    own = _planned(records)
    if own and own != installed:
        found.add(
            link.journal,
            phrase(
                "its slots were planned with time zone data {own}, and {installed} is installed",
                own=own,
                installed=installed,
            ),
            phrase("restart the service, and see that the other side and the watch have the same version"),
            severity="hint",
        )
    for other in (*link.content.parties, "watch"):
        folder = link.sibling(other, "journal", link.id)
        if other == settings.side or not own:
            continue
        try:
            paths = segments(folder)
            theirs = _planned(read_segment(paths[-1], link.id, other)) if paths else ""
        except (OSError, LinkError):
            # another machine's, another user's, or damaged: the doctor reports it there
            continue
        if theirs and theirs != own:
            found.add(
                folder,
                phrase(
                    "its slots are planned with time zone data {theirs}, and those of {side} with {own}",
                    theirs=theirs,
                    side=settings.side,
                    own=own,
                ),
                phrase("install the same version at both sides and the watch, then restart them"),
                severity="warning",
            )


def _planned(records: tuple[Record, ...]) -> str:
    """Return the version that the slots were last planned with; empty if the records do not say."""
    used = ZoneData()
    for record in records:
        used.take(record)
    return used.last


def check_service(settings: ProcessSettings, link: LinkSettings, found: Report) -> None:
    """Ask the running service what it reports; nothing is asked of one that does not run."""
    if not locked(link.journal):
        return
    view = ControlClient(settings.control, link.id).get("status")
    # of a link that has failed, the alarm says why
    for reason in (each for each in view["reasons"] if each["code"] == "not_connected"):
        what = phrase("the running service reports: {reason}", reason=rephrased(reason["text"], reason.get("said")))
        remedy = phrase(
            "it tries again within {seconds} s: repeat this check, or see: {command}",
            seconds=f"{Intervals().back_off_max_s:.0f}",
            command=_command(settings, (), "status"),
        )
        found.add(", ".join(map(str, settings.broker.addresses)), what, remedy)
    alarms = [alarm for alarm in view["alarms"] if not alarm.get("cleared_at")]
    _report(settings, link, alarms, found, since_stop=False)


def _report(
    settings: ProcessSettings, link: LinkSettings, alarms: list[dict[str, Any]], found: Report, *, since_stop: bool
) -> None:
    """Report open alarms: `status` would be alarm for all but warnings."""
    for alarm in alarms:
        code, subject, detail = str(alarm["code"]), alarm["subject"], alarm.get("detail") or "-"
        detail = rephrased(detail, alarm.get("said"))
        named = {"code": code, "subject": subject, "detail": detail}
        if since_stop:
            what: str = phrase("alarm {code}/{subject} was open when the service stopped: {detail}", **named)
            remedy: str = phrase("start the service and see whether it clears")
        else:
            what = phrase("alarm {code}/{subject} is open: {detail}", **named)
            remedy = _see(settings, settings.choosing(link.id), "alarms", "list")
        found.add(link.id, what, remedy, severity="hint" if alarm["severity"] == "warning" else "error")


def _see(settings: ProcessSettings, chosen: Sequence[str], *words: str) -> str:
    return phrase("see: {command}", command=_command(settings, chosen, *words))


def _command(settings: ProcessSettings, chosen: Sequence[str], *words: str) -> str:
    return shlex.join(["deconflict", *words, str(settings.path), *chosen])
