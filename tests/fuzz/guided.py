"""Runs one target under atheris: `python -m tests.fuzz.guided TARGET CORPUS... [-libfuzzer-option=value ...]`."""

import sys

import atheris

INSTRUMENTED = ["protocol", "endpoints", "scenario", "tests.fuzz", "tomllib", "cronsim"]


def main() -> None:
    """Fuzz until a limit in libFuzzer's options is reached."""
    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.targets import TARGETS
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
