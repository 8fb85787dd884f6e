"""Replaces link files for a command: all of them, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from broker.atomic_files import locked
from endpoints.cli.key_links import KeyedLink
from endpoints.config import former_files, link_file, toml_reader
from endpoints.config.link_file import LinkFile
from endpoints.config.new_folder import as_user_errors
from endpoints.config.owned_keys import owned
from endpoints.errors import UserError
from endpoints.keys.private_files import read_bytes
from protocol.phrases import phrase


class LinkFileChange:
    """Replaces link files: all of them, or none; `undo` puts them back."""

    def __init__(self) -> None:
        # what a file was, and what it was replaced by
        self._before: dict[Path, tuple[bytes, LinkFile]] = {}
        self._kept: list[Path] = []

    def replace(self, links: Sequence[KeyedLink], changes: Mapping[Path, LinkFile]) -> None:
        """Replace each file whose content changes; keep those that people agreed to among the former ones.

        Raises UserError, also for a file that another command has changed since `links` were read; all files are then
        as before.
        """
        try:
            self._kept += [copy for link in links if (copy := keep_agreed(link)) is not None]
            read = {link.file: link.content for link in links}
            read |= {link.next_file: link.prepared for link in links if link.prepared is not None}
            for path, content in changes.items():
                with as_user_errors(path), locked(path.parent):
                    self._replace(path, content, read.get(path))
        except BaseException:
            self.undo()
            raise

    def _replace(self, path: Path, content: LinkFile, expected: LinkFile | None) -> None:
        """Replace one file, unless it is not the `expected` one any more."""
        before = read_bytes(path, what=toml_reader.LINK_FILE, max_bytes=toml_reader.FILE_MAX_BYTES)
        present = link_file.load(path)
        if expected is not None and present != expected:
            raise UserError(phrase("{path}: was changed meanwhile; repeat the command", path=path))
        if present != content:
            link_file.save(content, path)
            self._before[path] = before, content

    def undo(self) -> None:
        """Put back what was replaced, unless another command has changed it since. Raises UserError."""
        for path, (before, content) in self._before.items():
            with as_user_errors(path), locked(path.parent):
                if link_file.load(path) == content:
                    link_file.restore(before, path)
        for copy in self._kept:
            copy.unlink(missing_ok=True)
        self._before.clear()
        self._kept.clear()


def keep_agreed(link: KeyedLink) -> Path | None:
    """Keep the present link file among the former ones if its keys are those that people agreed to; return the copy.

    Raises UserError.
    """
    content = link.content
    if link.begins or owned(content.keys, content.watch_keys) != link.history.agreed():
        return None
    return former_files.keep(link.file, link.id)
