"""Prints how long commands take that must not wait for torch: the best of several runs, and whether torch came along.

    python benchmarks/startup.py [--runs 5]

Target: `threatloop --help` in at most 0.5 s, without torch.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

COMMANDS = (("--help",), ("audit", "--help"), ("catalogue",), ("schema",))
TARGET_SECONDS = 0.5
CALL = """
import sys
from threatloop.cli.main import run
sys.argv = ["threatloop", *sys.argv[1:]]
try:
    run()
finally:
    print("torch" in sys.modules, file=sys.stderr)
"""


def timed(arguments: tuple[str, ...]) -> tuple[float, bool]:
    """Seconds of one call in a fresh interpreter, and whether it imported torch."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", CALL, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"threatloop {' '.join(arguments)} failed:\n{done.stderr}")
    return time.perf_counter() - started, done.stderr.split()[-1] == "True"


def main() -> None:
    """Print one line per command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    for arguments in COMMANDS:
        seconds, torch = zip(*(timed(arguments) for _ in range(runs)), strict=True)
        target = f"   target {TARGET_SECONDS} s" if arguments == ("--help",) else ""
        print(f"threatloop {' '.join(arguments):14} {min(seconds):.2f} s   torch imported: {any(torch)}{target}")


if __name__ == "__main__":
    main()
