"""The interaction matrix on one victim, both stages, every open cell with all the seeds that it may have.

    python benchmarks/interactions.py digits|breast_cancer [--store DIR] [--out DIR]
    python benchmarks/interactions.py pneumonia|cifar FOLDER     (FOLDER holds pneumoniamnist.npz, cifar10_jpeg.zip)

Bars: ≥ 150 cells on each of digits and breast_cancer, ≥ 60 on PneumoniaMNIST, ≥ 40 on a part of CIFAR-10; each is
resolved, or had 30 fresh seeds and has a 90 % half-width ≤ δ. Cells that miss this are listed. Margins and families
are those of the code and of the spec, both older than any run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from threatloop import api
from threatloop.analysis.matrix import Interaction
from threatloop.analysis.side_effects import SideEffect
from threatloop.cli.study import lines
from threatloop.engine.run import Options
from threatloop.numerics.undefined import Undefined
from threatloop.scenario.studies import study
from threatloop.study.cost import spent

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
BARS = {"digits": 150, "breast_cancer": 150, "pneumonia": 60, "cifar": 40}
IMPOSSIBLE = {"breast_cancer": ("top_k",)}
"""Not on two classes."""


def spec_of(victim: str, folder: Path | None) -> dict[str, Any]:
    """The shipped study on one of its targets, or an example with the data of this folder."""
    if victim in ("digits", "breast_cancer"):
        found: dict[str, Any] = yaml.safe_load(study("interactions"))
        found["targets"] = {victim: found["targets"][victim]}
        found["defences"] = {k: v for k, v in found["defences"].items() if k not in IMPOSSIBLE.get(victim, ())}
        return found
    if folder is None:
        raise SystemExit(f"{victim}: name the folder that holds its data")
    name, key = {"pneumonia": ("pneumoniamnist", "npz"), "cifar": ("cifar10", "images")}[victim]
    found = yaml.safe_load((EXAMPLES / f"{name}-interactions.yaml").read_text(encoding="utf-8"))
    for target in found["targets"].values():
        target["data"][key] = str(folder.resolve() / target["data"][key])
    return found


def say(line: str) -> None:
    """Which stage begins, and when."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def advance(done: int, total: int, _label: str) -> None:
    """A line every thousand tasks."""
    if done % 1000 == 0:
        say(f"{done} of {total} tasks")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("victim", choices=BARS)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--store", default=None)
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    place = given.out or Path(tempfile.mkdtemp())
    store, out = given.store or str(place / "store"), place / "run"
    checked = api.load_spec(spec_of(given.victim, given.folder))
    result = api.execute_study(checked, Options(store, out), api.Hooks(stage=say, advance=advance), exhaust=True)
    cells = result.summary.matrix.cells
    found = spent(result.record, cells)
    print(f"{given.victim}: {found.cells} assessed cells of {len(cells)} (bar: {BARS[given.victim]})")
    for line in lines(found):
        print(f"  {line}")
    print("  " + ", ".join(f"{count} {word}" for word, count in found.words.items() if count))
    tell_misses(cells)
    tell_effects(cells)
    tell_costs(result.summary.matrix.side_effects)
    print(f"run folder: {result.out}")


def tell_misses(cells: Sequence[Interaction]) -> None:
    """Assessed cells that are neither resolved nor known to within their margin at the most seeds."""
    missed = [one for one in cells if one.verdict != "not assessed" and not (one.resolved or one.at_limit)]
    print(f"  neither resolved nor at the most seeds within δ: {len(missed)}")
    for one in missed:
        width = "–" if isinstance(one.half_width, Undefined) else f"{one.half_width:.3f}"
        why = "; ".join(one.suspect) or one.why
        print(f"    {one.row} × {one.column}: half-width {width}, δ {one.delta}, {one.tested} fresh seeds; {why}")
    reasons = Counter(one.why for one in cells if one.verdict == "not assessed")
    for why, count in reasons.items():
        print(f"  not assessed, {count}: {why}")


def tell_effects(cells: Sequence[Interaction]) -> None:
    """Every effect, the largest first."""
    for word in ("amplifies", "weakens"):
        chosen = [one for one in cells if one.resolved and one.verdict == word]
        for one in sorted(chosen, key=lambda one: -abs(mean_of(one))):
            effect = one.effect
            interval = "" if isinstance(effect, Undefined) else effect.interval
            print(f"  {word}: {one.row} × {one.column} ({one.metric}, {one.arm}) {mean_of(one):+.3f} {interval}")


def mean_of(cell: Interaction) -> float:
    """The mean difference of harm; 0 where there is none."""
    effect = cell.effect
    return 0.0 if isinstance(effect, Undefined) or isinstance(effect.mean, Undefined) else effect.mean


def tell_costs(effects: Sequence[SideEffect]) -> None:
    """Which sets cost the victim its use."""
    unusable = [one.condition for one in effects if not one.usable]
    print(f"  not usable: {', '.join(unusable) or 'none'}")


if __name__ == "__main__":
    main()
