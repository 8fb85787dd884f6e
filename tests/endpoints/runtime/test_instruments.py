from collections.abc import Sequence
from pathlib import Path

from endpoints.journal.store import FolderStore
from endpoints.mqtt.events import Arrived, TransportEvent
from endpoints.mqtt.topics import Topic
from endpoints.runtime.instruments import Instruments
from endpoints.runtime.ports import judge_of_keys
from endpoints.runtime.work_queue import WorkQueue
from protocol.wire.policy import EnrolledKey


class NoSigner:
    enrolled: tuple[EnrolledKey, ...] = ()

    def seal(self, payload_type: str, payload: bytes, accepted: Sequence[EnrolledKey] | None = None) -> bytes:
        del payload_type, accepted
        return payload


class Outlet:
    def publish(self, topic: Topic, payload: bytes, token: object) -> bool:
        del topic, payload, token
        return True

    def leave(self, link: str) -> None:
        """Do nothing."""


def test_without_a_load_test_every_port_is_as_it_is(tmp_path: Path) -> None:
    plain, store, signer, outlet = Instruments(), FolderStore(tmp_path), NoSigner(), Outlet()
    happened: list[TransportEvent] = []

    assert plain.store("a", store) is store
    assert plain.signer("a", signer) is signer
    assert plain.outlet(outlet) is outlet
    assert plain.judges("a") is judge_of_keys
    assert plain.beside({}, WorkQueue()) == ()
    plain.on_disk("a")([])
    arrived = Arrived(Topic("a", "eucom", "message"), b"", None)
    plain.happened(happened.append)(arrived)
    assert happened == [arrived]
