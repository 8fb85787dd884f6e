"""What the parts of the broker's certificates are named: identities, purposes, and files.

It imports no cryptography, so that a command which only names these files starts fast.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

IDENTITY = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
"""An identity is a common name, an MQTT user and a topic level: no character is special in an ACL file or topic."""
BROKER = "broker"
"""The identity in the broker's own certificate, which no client may have."""
HEALTH = "health"
"""The identity of the client that checks whether the broker serves clients. The access list gives it no rights."""
Purpose = Literal["client", "server"]
"""What a certificate is for."""


def next_of(key: Path) -> Path:
    """Return the path of the private key that an open request has made beside `key`."""
    return key.with_name(key.name + ".next")
