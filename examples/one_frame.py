"""Makes one signed frame, verifies it as its receiver does, and shows that a changed frame is refused.

Run it: `.venv/bin/python examples/one_frame.py`. The clauses are those of protocol/SPEC.md.
"""

from base64 import b64encode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.wire import canonical, envelope
from protocol.wire.keyring import Keyring
from protocol.wire.messages import RECEIPT_TYPE, ReceiptPayload
from protocol.wire.payloads import read_receipt_payload
from protocol.wire.policy import EnrolledKey

# Both sides enrol each other's public key in the link file (F5). Only the sender holds the private one.
private = Ed25519PrivateKey.generate()
public = EnrolledKey("ndmc-1", "ed25519", b64encode(private.public_key().public_bytes_raw()).decode())
keyring = Keyring({"ndmc": (public,)}, suite="ed25519")

# The payload (R1.1): ndmc confirms that eucom's stream is on its disk up to message 42.
receipt = ReceiptPayload(
    link="eucom-ndmc",
    epoch=1,
    sender="ndmc",
    recipient="eucom",
    policy="0" * 64,
    upto=42,
    head="1" * 64,
    at="2022-11-29T09:00:00.000Z",
)

# The sender signs the canonical bytes (F4) under their payload type (F1.2) and wraps them in an envelope (F1.1).
payload = canonical.encode(receipt)
signature = private.sign(envelope.pae(RECEIPT_TYPE, payload))
frame = envelope.seal(RECEIPT_TYPE, payload, [(public.id, signature)])
print(f"frame: {frame[:60].decode()}... ({len(frame)} bytes)")

# The receiver verifies first and decodes only the bytes that were verified (F3.5, F3.6).
print("verdict:", keyring.judge("receipt", "ndmc", frame))
received = read_receipt_payload(keyring.open("ndmc", RECEIPT_TYPE, frame))
print(f"receipt of {received.sender} up to message {received.upto}")

# The same signature does not cover other content, and the payload type is signed as well.
changed = envelope.seal(RECEIPT_TYPE, payload.replace(b"42", b"43"), [(public.id, signature)])
print("content changed:", keyring.judge("receipt", "ndmc", changed))
print("on the message channel:", keyring.judge("message", "ndmc", frame))
