"""Generates the vectors of what both sides hold alike: a link file, and the slots of a schedule."""

import json

from endpoints.clocks.slots import plan
from protocol.wire.canonical import encode
from protocol.wire.instants import parsed
from tests.vectors.terms import EPOCH_1, Vector, enrolled

LINK_FILE = f"""\
# A link file: comments, order and spelling of durations decide nothing.
epoch = 1
link = "eucom-ndmc"
caller = "eucom"
answering = "ndmc"

[policy]
status = "exercise"
slots = ["0 9,17 * * *"]
zone = "Europe/Berlin"
grace = "900s"
answer_within = "10m"
categories = ["critical_infrastructure", "stray_munition", "airspace_transit"]
languages = ["en", "ru"]
test_language = "ru"
test_text = "Проверка линии. Как слышите?"
answer_text = "Слышу вас хорошо."
channels = [{{ id = "defence-ministers", name = {{ ru = "Министры обороны", en = "Defence ministers" }} }}]

[policy.handling]
immediate = "30m"
routine = "6h"

[parties.ndmc]
site = "Moscow"
zone = "Europe/Moscow"
name = {{ en = "National Defence Management Centre", ru = "Национальный центр управления обороной" }}
keys = [{{ id = "ndmc-1", algorithm = "ed25519", public = "{enrolled("ndmc").public}" }}]

[parties.eucom]
site = "Wiesbaden"
zone = "Europe/Berlin"
name = {{ en = "US European Command", ru = "Европейское командование США" }}
keys = [{{ id = "eucom-1", algorithm = "ed25519", public = "{enrolled("eucom").public}" }}]
"""

SCHEDULES = [
    ("Europe/Berlin", "0 9,17 * * *", "2022-11-29T00:00:00.000Z", "2022-11-30T12:00:00.000Z"),
    ("Europe/Moscow", "0 9 * * 1-5", "2022-12-01T00:00:00.000Z", "2022-12-06T00:00:00.000Z"),
    ("Europe/Berlin", "30 2 * * *", "2022-03-26T00:00:00.000Z", "2022-03-28T12:00:00.000Z"),
    ("Europe/Berlin", "0,30 2,3 * * *", "2022-03-27T00:00:00.000Z", "2022-03-28T00:00:00.000Z"),
    ("Europe/Berlin", "30 2 * * *", "2022-10-29T00:00:00.000Z", "2022-10-31T12:00:00.000Z"),
    ("UTC", "0 12 13 * fri", "2022-11-01T00:00:00.000Z", "2022-12-01T00:00:00.000Z"),
    ("UTC", "0 12 */2 * 5", "2022-11-01T00:00:00.000Z", "2022-11-30T00:00:00.000Z"),
    ("UTC", "0 6-20/6 * nov 0", "2022-11-01T00:00:00.000Z", "2022-11-15T00:00:00.000Z"),
    ("UTC", "0 6 * * 7", "2022-11-01T00:00:00.000Z", "2022-11-15T00:00:00.000Z"),
    ("UTC", "0 0 29 2 *", "2022-11-01T00:00:00.000Z", "2028-12-01T00:00:00.000Z"),
]
"""Zone, expression, and the instants after and up to which slots are computed."""


def link_file() -> Vector:
    """Return a link file, with the terms that it holds."""
    return {"toml": LINK_FILE, "terms": json.loads(encode(EPOCH_1))}


def slots() -> list[Vector]:
    """Return schedules with their slots."""
    return [
        {"zone": zone, "expression": expression, "after": after, "until": until}
        | {"slots": plan([expression], zone, parsed(after), parsed(until))}
        for zone, expression, after, until in SCHEDULES
    ]
