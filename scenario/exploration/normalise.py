"""Recognises states that differ only in names: in the present instant, in hashes, or in parties that behave alike.

A state is written as canonical bytes in which instants count from now, ages from the present age, and each hash stands
for the content that it was made from. A name that a symmetry exchanges is written as the other one.
"""

from __future__ import annotations

import re
from base64 import b64decode
from hashlib import blake2b
from typing import Any

import msgspec

from protocol.wire.instants import Millis, parsed
from scenario.exploration import promises
from scenario.exploration.small_world import SmallWorld, Symmetry
from scenario.exploration.steps import NO_BUDGET, RECIPIENTS, Situation
from scenario.exploration.transitions import Transitions

Key = tuple[Any, ...]
_TOKENS = (
    rb'"frame":"(?P<frame>[A-Za-z0-9+/=]+)"',
    rb"(?P<instant>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z)",
    rb"(?<![0-9a-f])(?P<hash>[0-9a-f]{64}|[0-9a-f]{16})(?![0-9a-f])",
    rb"(?<![0-9.])(?P<millis>1[67][0-9]{11})(?![0-9])",
    # the jitter of a resend derives from the frame's bytes; only whether it is due counts
    rb'"tries":(?P<tries>[0-9]+),"due_age":(?P<resend>[0-9]+)',
    rb'age":(?P<age>[0-9]+)',
    rb'"mono":(?P<mono>[0-9]+)',
)
_DEADLINES = re.compile(rb'"deadlines":\{"at":([0-9]+),"mono":([0-9]+),"age":([0-9]+)')


class Normaliser:
    """Writes the keys by which a search recognises states."""

    def __init__(
        self, world: SmallWorld, transitions: Transitions, *, symmetric: bool = True, plain: bool = False
    ) -> None:
        """Take the world and its transitions.

        Args:
            world: the world.
            transitions: what numbers its states and frames.
            symmetric: whether names are exchanged as the world's symmetries say.
            plain: whether states are compared as they are, without any normalisation.
        """
        self._world = world
        self._transitions = transitions
        self._plain = plain
        exchanges = (Symmetry({}), *(world.symmetries if symmetric else ()))
        self._views = [_View(world, transitions, each) for each in exchanges]

    def key(self, situation: Situation, *, future: bool = True) -> Key:
        """Return the key of a state; without `future`, regardless of what may still happen."""
        if not future:
            left = NO_BUDGET._replace(foreign=situation.left.foreign)
            situation = situation._replace(done=(), left=left)
        if self._plain:
            return (*situation[:-1], tuple(situation.left))
        keys = [view.key(situation) for view in self._views]
        return keys[0] if len(keys) == 1 else min(keys)


class _View:
    """The state as it is after one exchange of names."""

    def __init__(self, world: SmallWorld, transitions: Transitions, symmetry: Symmetry) -> None:
        self._transitions = transitions
        self._names = {name.encode(): other.encode() for name, other in symmetry.names.items()}
        places = {name: place for place, name in enumerate(world.processes)}
        # the place from which each place takes its process
        self._from = [places[symmetry.names.get(name, name)] for name in world.processes]
        self._to = [self._from.index(place) for place in range(len(self._from))]
        self._scripts = _exchanged_scripts(world, symmetry)
        tokens = list(_TOKENS)
        if self._names:
            tokens.append(rb"(?<![\w-])(?P<name>" + b"|".join(self._names) + rb")(?![\w-])")
        self._pattern = re.compile(b"|".join(tokens))
        # what a link file says at length
        self._short = [
            pair
            for place, file in enumerate(transitions.files)
            for pair in (
                (b'"terms":' + msgspec.json.encode(file.terms), b'"terms":%d' % place),
                (msgspec.json.encode(file.keys), b'"keys %d"' % place),
            )
        ]
        self._process_keys: dict[tuple[int, Millis], bytes] = {}
        self._frame_keys: dict[tuple[int, Millis], bytes] = {}
        self._hash_keys: dict[tuple[str, Millis], bytes] = {}
        self._prefixes: dict[str, str] = {}
        self._prefixed = 0

    def key(self, situation: Situation) -> Key:
        now, processes, network, done, left = situation
        wire = sorted(
            [self._frame(entry // RECIPIENTS, now) + b"%d" % self._to[entry % RECIPIENTS] for entry in network]
        )
        crashes = left.crashes and tuple([left.crashes[place] for place in self._from])
        return (
            tuple([self._process(processes[place], now) for place in self._from]),
            tuple(wire),
            done and tuple([done[script] for script in self._scripts]),
            (*left[:-1], crashes),
        )

    def _process(self, number: int, now: Millis) -> bytes:
        known = self._process_keys.get((number, now))
        if known is None:
            state = self._transitions.states[number]
            text = state.core
            for long, short in self._short:
                text = text.replace(long, short)
            clocks = _DEADLINES.search(text)
            assert clocks is not None, "every core has deadlines"
            _, mono, age = map(int, clocks.groups())
            own = [
                promises.facts(state.observed),
                state.up,
                state.connected,
                state.restored,
                state.file,
                state.skew,
                [self._frame(frame, now).hex() for frame in state.held],
                state.opened,
            ]
            age += state.mono(now) - mono if mono else 0
            written = self._written(text, now, age) + self._written(msgspec.json.encode(own), now, age)
            known = self._process_keys[number, now] = blake2b(written, digest_size=12).digest()
        return known

    def _frame(self, number: int, now: Millis) -> bytes:
        known = self._frame_keys.get((number, now))
        if known is None:
            frame = self._transitions.wire.frames[number]
            content = self._written(frame.sender.encode() + (frame.payload or frame.frame), now, 0)
            if not frame.payload or frame.label.startswith("!"):
                content += frame.label.encode()
            known = self._frame_keys[number, now] = blake2b(content, digest_size=12).digest()
        return known

    def _written(self, text: bytes, now: Millis, age: Millis) -> bytes:
        return self._pattern.sub(lambda found: self._token(found, now, age), text)

    def _token(self, found: re.Match[bytes], now: Millis, age: Millis) -> bytes:
        kind = found.lastgroup
        assert kind is not None, "every token is named"
        what = found[kind]
        match kind:
            case "name":
                return self._names[what]
            case "instant":
                return b"@%d" % (parsed(what.decode()) - now)
            case "millis":
                return b"@%d" % (int(what) - now)
            case "resend":
                return b'"tries":%b,"due":%d' % (found["tries"], int(what) <= age)
            case "age":
                return b'age":%d' % (int(what) - age)
            case "mono":
                return b""
            case "frame":
                return self._sealed(b64decode(what), now)
            case _:
                return self._hash(what.decode(), now)

    def _sealed(self, frame: bytes, now: Millis) -> bytes:
        for sender in self._transitions.world.parties:
            number = self._transitions.wire.known(sender, "message", frame)
            if number is not None:
                return self._frame(number, now).hex().encode()
        return frame

    def _hash(self, digest: str, now: Millis) -> bytes:
        """Return what a hash stands for: the beginning of a stream, or a message."""
        known = self._hash_keys.get((digest, now))
        if known is not None:
            return known
        wire = self._transitions.wire
        full = wire.in_full(digest)
        if full in wire.beginnings:
            party, epoch = wire.beginnings[full]
            content = f"beginning of {party} in epoch {epoch}".encode()
        elif full in wire.messages:
            party, epoch, message = wire.messages[full]
            content = b"%b %d " % (party.encode(), epoch) + msgspec.json.encode(message, order="sorted")
        else:
            return digest.encode()
        known = blake2b(self._written(content, now, 0), digest_size=12).hexdigest().encode()
        self._hash_keys[digest, now] = known
        return known


def _exchanged_scripts(world: SmallWorld, symmetry: Symmetry) -> list[int]:
    """Return for each script the one that the same requests of the exchanged names stand in."""
    sides = [script[0].side for script in world.scripts]
    names = [[request.name for request in script] for script in world.scripts]
    exchanged = []
    for place, side in enumerate(sides):
        other = symmetry.names.get(side, side)
        wanted = [" ".join(symmetry.names.get(word, word) for word in name.split()) for name in names[place]]
        exchanged.append(
            next(at for at in range(len(sides)) if sides[at] == other and names[at] == wanted and at not in exchanged)
        )
    return exchanged
