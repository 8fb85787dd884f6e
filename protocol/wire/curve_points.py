"""Points of Curve25519 in Edwards form, as far as the enrolment of a public key needs them (SPEC F5; RFC 8032, 5.1).

Enrolment happens once for each start: plain integers are fast enough, and nothing here touches a secret.
"""

from __future__ import annotations

from functools import lru_cache

_P = 2**255 - 19
_D = -121_665 * pow(121_666, -1, _P) % _P
_ORDER = 2**252 + 27_742_317_777_372_353_535_851_937_790_883_648_493
_SQRT_MINUS_ONE = pow(2, (_P - 1) // 4, _P)
_KEY_BYTES = 32

# extended coordinates X, Y, Z, T: x = X/Z, y = Y/Z, x*y = T/Z
_Point = tuple[int, int, int, int]
_IDENTITY: _Point = (0, 1, 1, 0)


@lru_cache(maxsize=64)  # an audit meets the same few keys again and again
def weakness(public: bytes) -> str | None:
    """Return what is wrong with an Ed25519 public key, or None for a canonically encoded point of prime order.

    A key of low order verifies one signature over many messages. An honest key is a multiple of the base point, so
    any component of low order betrays a key that nobody generated (SPEC F5.1).
    """
    if len(public) != _KEY_BYTES:
        return f"is {len(public)} bytes long, not {_KEY_BYTES}"
    encoded = int.from_bytes(public, "little")
    y, sign = encoded & ((1 << 255) - 1), encoded >> 255
    if y >= _P:
        return "is not canonically encoded"
    x = _x_of(y, sign)
    if x is None:
        return "is not a point of the curve, or not canonically encoded"
    point = (x, y, 1, x * y % _P)
    if _is_identity(_multiply(8, point)):
        return "is a point of low order"
    if not _is_identity(_multiply(_ORDER, point)):
        return "has a component of low order"
    return None


def _x_of(y: int, sign: int) -> int | None:
    """Return the x of the point (x, y) whose lowest bit is `sign`, or None if there is none."""
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _SQRT_MINUS_ONE % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    return x if x & 1 == sign else _P - x


def _add(left: _Point, right: _Point) -> _Point:
    a = (left[1] - left[0]) * (right[1] - right[0]) % _P
    b = (left[1] + left[0]) * (right[1] + right[0]) % _P
    c = 2 * left[3] * right[3] * _D % _P
    d = 2 * left[2] * right[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _multiply(scalar: int, point: _Point) -> _Point:
    result = _IDENTITY
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _is_identity(point: _Point) -> bool:
    return point[0] == 0 and (point[1] - point[2]) % _P == 0
