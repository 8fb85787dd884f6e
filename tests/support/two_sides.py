"""Two sides and the watch, each with a link file of its own, as on machines that share nothing; nothing runs."""

from pathlib import Path

import pytest
from msgspec import structs

from endpoints.cli import main as cli
from endpoints.config import default_terms, link_file
from endpoints.config.link_file import LinkFile, Party
from protocol.wire.policy import EnrolledKey
from tests.support.installation import provisioned

SIDES = ("eucom", "ndmc")
PLACES = (*SIDES, "watch")


class TwoSides:
    """An installation in `folder`: `folder/eucom/link.toml` and so on, which begin alike."""

    def __init__(self, folder: Path, *links: str, status: str = "exercise") -> None:
        self.folder = folder
        names = links or (default_terms.LINK,)
        provisioned(
            folder,
            [default_terms.terms(link, status="actual" if status == "actual" else "exercise") for link in names],
            {side: default_terms.party(side) for side in SIDES},
            officers={side: default_terms.officers(side) for side in PLACES},
        )
        for place in PLACES:
            for file in ("link.toml",) if len(names) == 1 else [f"{link}.toml" for link in names]:
                (folder / place / file).write_bytes((folder / file).read_bytes())
                (folder / place / file).chmod(0o644)
            config = self.config(place)
            config.write_bytes(config.read_bytes().replace(b'file = "../', b'file = "'))
        for path in folder.glob("*.toml"):
            path.unlink()

    def config(self, place: str) -> Path:
        return self.folder / place / ("watch.toml" if place == "watch" else "endpoint.toml")

    def file(self, place: str, name: str = "link.toml") -> Path:
        return self.folder / place / name

    def content(self, place: str, name: str = "link.toml") -> LinkFile:
        return link_file.load(self.file(place, name))

    def hand_over(self, content: LinkFile, name: str = "theirs.toml") -> Path:
        """Write a file that another side hands over."""
        link_file.save(content, self.folder / name)
        return self.folder / name


def fresh_key(folder: Path, name: str) -> EnrolledKey:
    """Return the public half of a key that is made in `folder`."""
    from endpoints.keys.signer import generate

    folder.mkdir(mode=0o700)
    (key,) = generate(folder, "ed25519")
    return structs.replace(key, id=name)


def with_keys(content: LinkFile, **keys: tuple[EnrolledKey, ...]) -> LinkFile:
    """Return a link file with other keys of some parties."""
    parties: dict[str, Party] = {
        party: structs.replace(each, keys=keys.get(party, each.keys)) for party, each in content.parties.items()
    }
    return structs.replace(content, parties=parties)


def with_policy(content: LinkFile, epoch: int | None = None, **changed: object) -> LinkFile:
    """Return a link file with a changed policy, and another epoch."""
    terms = content.terms
    policy = structs.replace(terms.policy, **changed)
    return structs.replace(content, terms=structs.replace(terms, policy=policy, epoch=epoch or terms.epoch))


def run(*words: str | Path) -> int:
    """Run a command in this process; return its exit code."""
    with pytest.raises(SystemExit) as exited:
        cli.main([str(word) for word in words])
    assert isinstance(exited.value.code, int)
    return exited.value.code
