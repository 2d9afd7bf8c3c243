"""Prints what the scan of model files finds in generated malicious and benign files, beside third-party scanners.

    python benchmarks/model_files.py [--modelaudit EXECUTABLE] [--wide] [--cases]

Bars: nothing missed that either third-party scanner finds, and at most two false alarms in at least 40 benign files. A
hit is a finding of at least medium severity; of a file on which every loader fails, an error counts as well. Fickling
and modelaudit-picklescan are asked about whole files and read pickles and zip archives only; with `--modelaudit` all
of modelaudit is asked too, from an environment of its own. The benign corpus is ours, so `--wide` adds files that
nobody chose: every scikit-learn estimator and torch.nn module by default. Intervals: Clopper-Pearson, 95 %.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

import corpus_wide
from model_corpus import Case, Scanned, benign, malicious
from scanner_verdicts import intervals, modelaudit, verdicts
from threatloop.supply_chain.model_files import scan_model_file, scan_model_files

OURS = "threatloop"
Hits = dict[str, dict[str, bool]]


def ours(cases: list[Case], paths: dict[str, Path]) -> dict[str, bool]:
    """By path, whether our scan objects."""
    scanned = Scanned(cases, paths, scan_model_files(list(paths.values())))
    return {
        str(paths[case.name]): bool(scanned.findings(case) or (case.broken and scanned.open_points(case)))
        for case in cases
    }


def judged(cases: list[Case], folder: Path, executable: Path | None) -> tuple[dict[str, Path], Hits]:
    """The files, and by scanner and path whether it objects."""
    paths = {case.name: case.write(folder) for case in cases}
    started = time.perf_counter()
    hits = {OURS: ours(cases, paths)}
    seconds = time.perf_counter() - started
    print(f"{len(cases)} files scanned in {seconds:.1f} s, all opinions included ({seconds / len(cases):.3f} s each)")
    hits |= verdicts(list(paths.values()))
    if executable:
        hits["modelaudit"] = modelaudit(executable, folder, list(paths.values()))
    return paths, hits


def table(title: str, cases: list[Case], paths: dict[str, Path], hits: Hits) -> None:
    """Hits by group and scanner."""
    print(f"\n{title}\n{'':16} {'n':>4} " + " ".join(f"{scanner:>22}" for scanner in hits))
    for group in dict.fromkeys(case.group for case in cases):
        members = [str(paths[case.name]) for case in cases if case.group == group]
        counts = " ".join(f"{sum(said[path] for path in members):>22}" for said in hits.values())
        print(f"{group:16} {len(members):>4} {counts}")
    for scanner, line in intervals({name: (sum(said.values()), len(said)) for name, said in hits.items()}).items():
        print(f"  {scanner:24} {line}")


def differences(cases: list[Case], paths: dict[str, Path], hits: Hits) -> None:
    """What others find and we do not, and the other way about."""
    for scanner in [name for name in hits if name != OURS]:
        only = [c.name for c in cases if hits[scanner][str(paths[c.name])] and not hits[OURS][str(paths[c.name])]]
        more = sum(hits[OURS][path] and not hits[scanner][path] for path in hits[OURS])
        print(f"  found by {scanner} alone: {', '.join(only) or 'nothing'}; by threatloop and not by it: {more}")


def speed(folder: Path) -> None:
    """Seconds for one small file, with and without the process of the other scanners."""
    from threatloop.supply_chain.model_files.limits import Limits

    path = folder / "speed.pkl"
    path.write_bytes(b"cos\nsystem\n(Vtrue\ntR.")
    for what, limits in (("own pass alone", Limits(opinion_bytes=0)), ("all opinions", Limits())):
        times = []
        for _ in range(5):
            started = time.perf_counter()
            scan_model_file(path, limits)
            times.append(time.perf_counter() - started)
        print(f"one small pickle, {what}: {min(times):.3f} s (best of {len(times)})")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modelaudit", type=Path, metavar="EXECUTABLE")
    parser.add_argument("--wide", action="store_true", help="add every estimator and module of two libraries")
    parser.add_argument("--cases", action="store_true", help="print every case")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="Stochastic Optimizer")
    corpora = [("malicious: objections", malicious()), ("benign: false alarms", benign())]
    if options.wide:
        corpora.append(("benign, not chosen: false alarms", corpus_wide.cases()))
    for title, cases in corpora:
        with tempfile.TemporaryDirectory() as folder:
            paths, hits = judged(cases, Path(folder), options.modelaudit)
            table(title, cases, paths, hits)
            if cases is corpora[0][1]:
                differences(cases, paths, hits)
            if options.cases:
                for case in cases:
                    print(
                        f"    {case.name:40} " + ", ".join(name for name in hits if hits[name][str(paths[case.name])])
                    )
    with tempfile.TemporaryDirectory() as folder:
        speed(Path(folder))


if __name__ == "__main__":
    main()
