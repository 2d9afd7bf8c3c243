"""Every comparison with public implementations, one after the other, each in an environment that its peers accept.

    python benchmarks/parity.py DATA_FOLDER ENVIRONMENTS [--only evasion,blackbox,backdoor,...] [--quick]

DATA_FOLDER holds `pneumoniamnist.npz` and `cifar10_jpeg.zip`. Environments are made below ENVIRONMENTS where they are
not there yet: `art` (adversarial-robustness-toolbox), `attacks` (torchattacks, foolbox and ART) and `amulet`, all with
the CPU build of torch that `constraints.txt` names. Tables come from the scripts named `parity_*.py`, which say what
they compare and can be run alone. Without `--quick` this takes hours on two cores.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONSTRAINTS = HERE.parent / "constraints.txt"
OURS = ("-c", str(CONSTRAINTS), str(HERE.parent))
"""threatloop itself, which both sides of a comparison run on."""
NEEDS: dict[str, list[tuple[str, ...]]] = {
    "art": [(*OURS, "adversarial-robustness-toolbox", "packaging")],
    # torchattacks asks for torchvision, which would replace torch by another build; it runs without.
    "attacks": [
        (*OURS, "adversarial-robustness-toolbox", "packaging", "eagerpy", "gitpython", "multiprocess", "requests"),
        ("--no-deps", "torchattacks", "foolbox"),
    ],
    # Amulet pins old numpy and scipy, of which it uses nothing that newer ones lack.
    "amulet": [OURS, ("--no-deps", "amuletml")],
}
KINDS = ("evasion", "blackbox", "backdoor", "targeted", "theft", "membership")


def interpreter(folder: Path, name: str) -> str:
    """The python of an environment, made now where it is missing."""
    place = folder / name
    python = place / "bin" / "python"
    if not python.is_file():
        print(f"making {place}", flush=True)
        venv.create(place, with_pip=True)
        for arguments in NEEDS[name]:
            subprocess.run([str(python), "-m", "pip", "install", "-q", *arguments], check=True)
    return str(python)


def commands(kind: str, data: Path, folder: Path, quick: bool) -> list[list[str]]:
    """What to run for one kind of attack."""
    few = {
        "evasion": ["--quick", "--records", "64"],
        "blackbox": ["--records", "20"],
        "backdoor": ["--seeds", "2"],
        "targeted": ["--seeds", "2", "--targets", "1"],
        "theft": ["--seeds", "2", "--queries", "500"],
        "membership": ["--epochs", "10"],
    }
    more = few[kind] if quick else []
    script = str(HERE / f"parity_{kind}.py")
    if kind == "evasion":
        return [[sys.executable, script, str(data), "--peers", interpreter(folder, "attacks"), *more]]
    if kind == "blackbox":
        return [[interpreter(folder, "attacks"), script, str(data), *more]]
    if kind == "backdoor":
        return [[interpreter(folder, "art"), script, str(data / "pneumoniamnist.npz"), *more]]
    if kind in {"targeted", "theft"}:
        return [[interpreter(folder, "art"), script, str(data), *more]]
    alone = [sys.executable, script, "--shadows", "64", "--epochs", "20", "--hidden", "64", "64"]
    return [[sys.executable, script, "--peer", interpreter(folder, "amulet"), *more], alone]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("environments", type=Path)
    parser.add_argument("--only", default=",".join(KINDS))
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    wanted = arguments.only.split(",")
    if unknown := sorted(set(wanted) - set(KINDS)):
        parser.error(f"unknown: {', '.join(unknown)}; allowed: {', '.join(KINDS)}")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    failed = []
    for kind in wanted:
        for command in commands(kind, arguments.data.resolve(), arguments.environments.resolve(), arguments.quick):
            print(f"\n== {kind}: {' '.join(command[1:])}", flush=True)
            if subprocess.run(command, env=environment, check=False).returncode:
                failed.append(kind)
    print(f"\n{len(wanted) - len(set(failed))} of {len(wanted)} comparisons ran" + f"; failed: {failed}" * bool(failed))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
