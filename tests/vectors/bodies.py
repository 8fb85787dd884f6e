"""Lists message bodies for the test vectors: valid ones, and refused ones with the reason."""

from typing import Any

Body = dict[str, Any]

HEARTBEAT: Body = {
    "type": "heartbeat",
    "status": "exercise",
    "language": "ru",
    "text": "Проверка линии. Как слышите?",
    "challenge": ["абажур", "автобус", "ящик"],
    "slot": "2022-11-29T08:00:00.000Z",
}
ANSWER: Body = {
    "type": "heartbeat_answer",
    "of": {"sender": "eucom", "epoch": 1, "seq": 1},
    "officer": "volkov",
    "language": "ru",
    "text": "Слышу вас хорошо.",
    "read_back": ["абажур", "автобус", "ящик"],
}
AREA: Body = {"name": "Энергодар", "latitude_udeg": 47_512_000, "longitude_udeg": 34_586_000, "radius_m": 5_000}
ALERT: Body = {
    "type": "alert",
    "status": "exercise",
    "category": "critical_infrastructure",
    "precedence": "priority",
    "event_at": "2022-11-29T07:55:00.000Z",
    "expires_at": "2022-11-29T10:00:00.000Z",
    "text": {"en": "Strikes near the Zaporizhzhia plant.", "ru": "Удары вблизи Запорожской АЭС."},
    "released_by": ["miller"],
    "area": AREA,
}
FLASH: Body = ALERT | {"precedence": "flash", "released_by": ["miller", "jones"]}
CANCELLATION: Body = ALERT | {
    "text": {"en": "This cancels our earlier message.", "ru": "Отменяем наше предыдущее сообщение."},
    "change": {"of": {"sender": "eucom", "epoch": 1, "seq": 2}, "kind": "cancellation"},
}
ACKNOWLEDGEMENT: Body = {
    "type": "acknowledgement",
    "of": {"sender": "eucom", "epoch": 1, "seq": 2},
    "officer": "volkov",
    "decision": "will_reply",
    "text": {"ru": "Выясняем."},
}
REFUSAL: Body = {
    "type": "refusal",
    "of": {"sender": "eucom", "epoch": 1, "seq": 2},
    "by": "officer",
    "officer": "volkov",
    "reason": "out_of_scope",
    "referral": "defence-ministers",
    "text": {"en": "Please use the ministers' line."},
}
OTHER_CATEGORY: Body = {"category": "air_pursuit"}
GERMAN: Body = {"text": {"de": "x"}}
FUTURE: Body = {"type": "position_report", "track": [1, 2, 3], "friendly": True}


def without(body: Body, *fields: str) -> Body:
    """Return `body` without some fields."""
    return {field: body[field] for field in body if field not in fields}


VALID: list[tuple[str, str, Body]] = [
    ("line test of a slot", "eucom", HEARTBEAT),
    ("unscheduled line test of the calling side", "eucom", without(HEARTBEAT, "slot")),
    ("unscheduled line test of the answering side", "ndmc", without(HEARTBEAT, "slot")),
    ("answer by an officer", "ndmc", ANSWER),
    ("alert", "eucom", ALERT),
    ("alert of the answering side", "ndmc", ALERT | {"released_by": ["volkov"]}),
    ("alert without an area", "eucom", without(ALERT, "area")),
    ("alert that is a test", "eucom", ALERT | {"status": "test"}),
    ("alert in one language", "eucom", ALERT | {"text": {"ru": "Внимание.\nВторая строка."}}),
    (
        "first and last instant",
        "eucom",
        ALERT | {"event_at": "0001-01-01T00:00:00.000Z", "expires_at": "9999-12-31T23:59:59.999Z"},
    ),
    ("flash alert, released by two", "eucom", FLASH),
    ("cancellation", "eucom", CANCELLATION),
    ("cancellation of a flash alert, by one officer", "eucom", CANCELLATION | {"precedence": "flash"}),
    ("acknowledgement", "ndmc", ACKNOWLEDGEMENT),
    ("acknowledgement without words", "ndmc", without(ACKNOWLEDGEMENT, "text")),
    ("refusal by an officer, with a referral", "ndmc", REFUSAL),
    ("refusal by the service", "ndmc", without(REFUSAL, "officer", "referral", "text") | {"by": "service"}),
]
"""Name, sender, body."""

REFUSED: list[tuple[str, str, Body, str]] = [
    ("no type", "eucom", {}, "unsupported"),
    ("type of the future", "eucom", FUTURE, "unsupported"),
    ("type as a number", "eucom", HEARTBEAT | {"type": 1}, "unsupported"),
    ("field of the future", "eucom", ALERT | {"colour": "red"}, "unsupported"),
    ("field missing", "eucom", without(ALERT, "expires_at"), "unsupported"),
    ("category of the future", "eucom", ALERT | {"category": "cyber"}, "unsupported"),
    ("precedence of the future", "eucom", ALERT | {"precedence": "override"}, "unsupported"),
    ("status of the future", "eucom", ALERT | {"status": "drill"}, "unsupported"),
    ("decision of the future", "ndmc", ACKNOWLEDGEMENT | {"decision": "maybe"}, "unsupported"),
    ("reason of the future", "ndmc", REFUSAL | {"reason": "busy"}, "unsupported"),
    ("change of the future", "eucom", ALERT | {"change": {"of": ANSWER["of"], "kind": "extension"}}, "unsupported"),
    ("instant that is none", "eucom", ALERT | {"expires_at": "2022-11-31T10:00:00.000Z"}, "unsupported"),
    ("instant in the year 0", "eucom", ALERT | {"event_at": "0000-01-01T00:00:00.000Z"}, "unsupported"),
    ("slot that is no instant", "eucom", HEARTBEAT | {"slot": "2022-11-29T08:00:00Z"}, "unsupported"),
    ("two words for three", "eucom", HEARTBEAT | {"challenge": ["абажур", "автобус"]}, "unsupported"),
    ("empty text", "eucom", ALERT | {"text": {"en": ""}}, "unsupported"),
    ("no text", "eucom", ALERT | {"text": {}}, "unsupported"),
    ("text of 4,001 characters", "eucom", ALERT | {"text": {"ru": "я" * 4_001}}, "unsupported"),
    ("five languages", "eucom", ALERT | {"text": dict.fromkeys(("en", "ru", "de", "fr", "it"), "x")}, "unsupported"),
    (
        "latitude beyond the pole",
        "eucom",
        ALERT | {"area": ALERT["area"] | {"latitude_udeg": 90_000_001}},
        "unsupported",
    ),
    ("coordinates as text", "eucom", ALERT | {"area": ALERT["area"] | {"latitude_udeg": "47.5"}}, "unsupported"),
    ("released by nobody", "eucom", ALERT | {"released_by": []}, "unsupported"),
    ("reference to seq 0", "ndmc", ANSWER | {"of": {"sender": "eucom", "epoch": 1, "seq": 0}}, "unsupported"),
    ("refusal by an officer without a name", "ndmc", without(REFUSAL, "officer"), "unsupported"),
    ("refusal by a service that has a name", "ndmc", REFUSAL | {"by": "service"}, "unsupported"),
    ("actual alert on an exercise link", "eucom", ALERT | {"status": "actual"}, "not_permitted"),
    ("actual line test on an exercise link", "eucom", HEARTBEAT | {"status": "actual"}, "not_permitted"),
    ("test of a slot by the answering side", "ndmc", HEARTBEAT, "not_permitted"),
    ("answer by a service where officers answer", "ndmc", without(ANSWER, "officer"), "not_permitted"),
    ("category that the policy does not admit", "eucom", ALERT | {"category": "air_pursuit"}, "out_of_scope"),
    ("flash alert, released by one", "eucom", FLASH | {"released_by": ["miller"]}, "not_authorised"),
    ("flash alert, released by one twice", "eucom", FLASH | {"released_by": ["miller", "miller"]}, "not_authorised"),
    ("language that the policy does not admit", "eucom", ALERT | {"text": {"de": "Achtung"}}, "unintelligible"),
    ("line test in another language", "eucom", HEARTBEAT | {"language": "de"}, "unintelligible"),
    ("answer in another language", "ndmc", ANSWER | {"language": "de"}, "unintelligible"),
    ("acknowledgement in another language", "ndmc", ACKNOWLEDGEMENT | {"text": {"de": "Ja."}}, "unintelligible"),
    ("refusal in another language", "ndmc", REFUSAL | {"text": {"de": "Nein."}}, "unintelligible"),
    ("referral to an unknown channel", "ndmc", REFUSAL | {"referral": "nobody"}, "unknown_reference"),
    # two faults: the first one gives the reason (SPEC M7.2)
    ("a field, then the status", "eucom", ALERT | {"status": "actual", "colour": "red"}, "unsupported"),
    ("the status, then the category", "eucom", ALERT | OTHER_CATEGORY | {"status": "actual"}, "not_permitted"),
    ("the category, then the language", "eucom", ALERT | OTHER_CATEGORY | GERMAN, "out_of_scope"),
    ("the language, then one officer of two", "eucom", FLASH | GERMAN | {"released_by": ["miller"]}, "unintelligible"),
    ("the status, then the slot of the caller", "ndmc", HEARTBEAT | {"status": "actual"}, "not_permitted"),
    ("the slot of the caller, then the language", "ndmc", HEARTBEAT | {"language": "de"}, "not_permitted"),
    ("the language, then no officer", "ndmc", without(ANSWER, "officer") | {"language": "de"}, "unintelligible"),
    ("no officer's name, then the language", "ndmc", without(REFUSAL, "officer") | GERMAN, "unsupported"),
    ("the language, then the referral", "ndmc", REFUSAL | GERMAN | {"referral": "nobody"}, "unintelligible"),
]
"""Name, sender, body, and the reason for which the service refuses it."""
