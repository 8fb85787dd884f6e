"""Checks an installation before start-up, or beside a running service, and changes nothing.

While the service does not run, the broker is tried under its identity, as `broker_probe` says.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from endpoints.config.settings import EndpointSettings, WatchSettings
from endpoints.doctor import files, links, network
from endpoints.doctor.comparison import check_comparison
from endpoints.doctor.console import check_console
from endpoints.doctor.findings import Finding, Report
from protocol.wire.instants import Millis


class Examination:
    """Checks what `settings` name. `now` reads the machine's wall clock (ms since 1970)."""

    def __init__(self, settings: EndpointSettings | WatchSettings, now: Callable[[], Millis]) -> None:
        self._settings = settings
        self._now = now
        self._found = Report()

    @property
    def report(self) -> Report:
        """All that was found, and what was checked."""
        return self._found

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, in the order in which start-up needs the parts."""
        return tuple(self._found.findings)

    @property
    def hints(self) -> tuple[Finding, ...]:
        """What is in order for a trial, and not in earnest."""
        return tuple(self._found.hints)

    @property
    def checked(self) -> tuple[str, ...]:
        """The names of the checks that have run."""
        return tuple(self._found.checked)

    def run(self) -> tuple[Finding, ...]:
        """Run every check; return the findings."""
        settings, found = self._settings, self._found
        checks: list[tuple[str, Path, Callable[[], None]]] = []

        def add(name: str, check: Callable[[], None], where: Path = settings.path) -> None:
            checks.append((name, where, check))

        add("folders", partial(files.check_folders, settings, found))
        add("trust", partial(files.check_trust, settings, found))
        add("clock", partial(files.check_clock, settings, found))
        if isinstance(settings, EndpointSettings):
            add("keys", partial(files.check_keys, settings, found))
        else:
            add("keys", partial(files.check_watch_keys, settings, found))
        add("officers", partial(files.check_officers, settings, found))
        for link in settings.links:
            at = self._now()
            add(f"link/{link.id}", partial(links.check_link, link, found, at), link.file)
            add(f"journal/{link.id}", partial(links.check_journal, settings, link, found, self._now), link.journal)
            if isinstance(settings, EndpointSettings):
                add(f"comparison/{link.id}", partial(check_comparison, settings, link, found), link.file)
        add("certificates", partial(network.check_certificates, settings, found, self._now()))
        add("authorities", partial(network.check_broker_trust, settings, found, self._now()))
        add("access", partial(network.check_access, settings, found))
        add("broker", partial(network.check_broker, settings, found, self._now()))
        add("health", partial(network.check_health, settings, found))
        add("console", partial(check_console, settings, found, self._now()))
        add("control", partial(files.check_control, settings, found))
        for link in settings.links:
            add(f"service/{link.id}", partial(links.check_service, settings, link, found), settings.control)
        add("notifications", partial(network.check_notifications, settings, found))
        add("separation", partial(files.check_separation, settings, found))
        for name, where, check in checks:
            with found.checking(name, where):
                check()
        return self.findings
