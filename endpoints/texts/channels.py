"""Names the other channels between the two states, for a person whom this line does not help any more."""

from __future__ import annotations

from collections.abc import Iterable

from endpoints.texts.i18n import Translator
from endpoints.texts.printable import one_line
from protocol.wire.policy import Channel


def channel_name(channel: Channel, t: Translator) -> str:
    """Return a channel's id and its name in the reader's language, else in the first one, on one line."""
    name = channel.name.get(t.language) or next(iter(channel.name.values()))
    return f"{channel.id} ({one_line(name)})"


def other_channels(channels: Iterable[Channel], t: Translator) -> str:
    """Return one line that names the channels of the policy; empty if it has none."""
    named = "; ".join(channel_name(channel, t) for channel in channels)
    return t("other channels: {channels}", channels=named) if named else ""
