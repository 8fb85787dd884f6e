"""Follows guides in fresh containers and prints every step: `python -m tests.guides.run [--keep] GUIDE...`.

The guides follow one another on the same machines. With --keep, the containers are left for a look around.
"""

import sys
from pathlib import Path

from tests.guides.guide import GuideError
from tests.guides.machines import Image, Machines
from tests.guides.walk import Walk

if __name__ == "__main__":
    keep = "--keep" in sys.argv[1:]
    with Image() as image, Machines(image, keep=keep) as machines:
        walk = Walk(machines, lambda line: print(line, flush=True))
        try:
            for name in sys.argv[1:]:
                if name != "--keep":
                    print(f"# --- {name}", flush=True)
                    walk.through(Path(name))
        except GuideError as error:
            sys.exit(str(error))
        if faults := machines.strangers_keys():
            sys.exit("\n".join(faults))
