"""Prints the pages of `--help` in the reader's language."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from endpoints.texts.i18n import Translator

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from cyclopts.help.specs import ColumnSpec
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

_NO_DEFAULTS = (None, "False", "()")
"""Defaults that say no more than that an option was left out."""
_PLACEHOLDER = re.compile(r"\b[A-Z]{2,}([-_][A-Z]+)*\b")


class HelpPages:
    """A help formatter of cyclopts: its own pages, with its words and ours in one language.

    The texts are those of `Parameter(help=...)` and of the table of commands; what stands for a value, such as `PATH`,
    is a term of the kind `placeholder`.
    """

    def __init__(self, t: Translator) -> None:
        self._t = t

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print one panel of commands or parameters."""
        from attrs import evolve
        from cyclopts.help import DefaultFormatter

        entries = [
            evolve(
                entry,
                metavar=entry.metavar and self._placeholders(entry.metavar),
                positional_label=entry.positional_label and self._placeholders(entry.positional_label),
            )
            for entry in panel.entries
        ]
        translated = panel.copy(title=self._t.fixed(str(panel.title)), entries=entries)
        DefaultFormatter(column_specs=self._columns(panel.format))(console, options, translated)

    def render_usage(self, console: Console, _options: ConsoleOptions, usage: Any) -> None:
        """Print how the command is called."""
        from rich.text import Text

        t = self._t
        console.print(Text(t("Usage: {command}", command=self._placeholders(str(usage))), style="bold"))

    def _columns(self, panel: str) -> Any:
        from attrs import evolve
        from cyclopts.help.specs import get_default_command_columns, get_default_parameter_columns

        builder = get_default_command_columns if panel == "command" else get_default_parameter_columns

        def build(console: Console, options: ConsoleOptions, entries: list[HelpEntry]) -> tuple[ColumnSpec, ...]:
            *names, description = builder(console, options, entries)
            return (*names, evolve(description, renderer=self._description))

        return build

    def _description(self, entry: HelpEntry) -> Text:
        from rich.text import Text

        t = self._t
        described = getattr(entry.description, "primary_renderable", entry.description)
        parts = [Text(t.fixed(str(described or "")))]
        if entry.choices:
            parts.append(Text(t("[choices: {choices}]", choices=", ".join(entry.choices)), "cyclopts.choices"))
        if entry.env_var:
            parts.append(Text(t("[env var: {variables}]", variables=", ".join(entry.env_var)), "cyclopts.env_var"))
        if entry.default not in _NO_DEFAULTS:
            parts.append(Text(t("[default: {default}]", default=entry.default), "cyclopts.default"))
        if entry.required:
            parts.append(Text(t("[required]"), "cyclopts.required"))
        return Text(" ").join(part for part in parts if part)

    def _placeholders(self, text: str) -> str:
        return _PLACEHOLDER.sub(lambda word: self._t.term("placeholder", word[0]), text)
