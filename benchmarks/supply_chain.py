"""Scans the dependencies of generated repositories, and of one repository in a fresh process.

    python benchmarks/supply_chain.py shared/data/pypa_advisories_2024-10.zip [--repositories 854] [--workers 2]

Targets: 854 repositories in at most 60 s on two cores and 1 GiB; one repository in at most 2 s, in a fresh process,
with and without the cache of the advisories. Seconds are of the clock, so the machine should be idle; those of the
processor stand beside them. Memory is the largest sum of the resident sets of all processes that scan, looked at every
50 ms; pages that they share count for each.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from made_repositories import Maker
from memory import Peak

from threatloop.threats.advisories import read_advisories

TARGET_REPOSITORIES, TARGET_SECONDS, TARGET_MIB, TARGET_ONE_SECONDS = 854, 60.0, 1024.0, 2.0
CORPUS = """
import sys
from collections import Counter
from pathlib import Path
from threatloop.supply_chain.corpus import listed_repositories, scan_corpus, write_corpus
from threatloop.threats.advisories import read_advisories
if __name__ == "__main__":
    repositories, advisories, out, workers = sys.argv[1:]
    found = scan_corpus(listed_repositories(Path(repositories)), read_advisories(advisories), workers=int(workers))
    count = Counter()
    for one in write_corpus(found, Path(out)):
        for name in ("findings", "errors", "skipped", "read"):
            count[name] += len(getattr(one.result, name))
        count["vulnerabilities of exact versions"] += len(one.record["vulnerabilities"])
        count["packages"] += len(one.record["packages"])
    print(dict(count))
"""
ONE = """
import sys
from pathlib import Path
from threatloop.supply_chain.dependencies.scan import read_dependencies
from threatloop.supply_chain.matching import Matcher
from threatloop.threats.advisories import read_advisories
path, advisories, cache = sys.argv[1:]
matcher = Matcher(read_advisories(advisories, Path(cache) if cache else None))
print(len(matcher.match(read_dependencies([path]).dependencies).findings))
"""


class Run(NamedTuple):
    """What a command printed; its seconds of the clock and of the processor; the most MiB that its processes held."""

    printed: str
    seconds: float
    processor: float
    memory: float


def watched(command: list[str]) -> Run:
    """Run a command to its end."""
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = Peak(process.pid, every=0.05)
    printed, _ = process.communicate()
    memory = peak.stop() / 2**20
    if process.returncode:
        sys.exit(f"the scan failed with status {process.returncode}")
    seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(printed.strip(), seconds, processor, memory)


def verdict(value: float, target: float) -> str:
    """Whether a target is met, in words."""
    return f"target {target:g}: {'met' if value <= target else 'MISSED'}"


def one_repository(repositories: list[Path], advisories: Path, cache: Path) -> None:
    """Print the seconds of scanning single repositories in fresh processes: the largest, and one in the middle."""
    by_size = sorted(
        repositories, key=lambda one: sum(file.stat().st_size for file in one.rglob("*") if file.is_file())
    )
    for name, path in (("median", by_size[len(by_size) // 2]), ("largest", by_size[-1])):
        for words, folder in (
            ("without the cache", ""),
            ("filling the cache", str(cache)),
            ("from the cache", str(cache)),
        ):
            command = [sys.executable, "-c", ONE, str(path), str(advisories), folder]
            runs = sorted(
                (watched(command) for _ in range(1 if words.startswith("filling") else 5)), key=lambda run: run.seconds
            )
            middle, worst = runs[len(runs) // 2], runs[-1]
            print(
                f"one repository ({name}), {words}: median {middle.seconds:.2f} s of {len(runs)}, worst "
                f"{worst.seconds:.2f} s (processor {middle.processor:.2f} s), {middle.memory:.0f} MiB, "
                f"{middle.printed} findings; {verdict(worst.seconds, TARGET_ONE_SECONDS)}"
            )
        for file in cache.glob("*"):
            file.unlink()


def main() -> None:
    """Make the repositories, scan them, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("advisories", type=Path)
    parser.add_argument("--repositories", type=int, default=TARGET_REPOSITORIES)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="where the corpus goes (JSON lines); thrown away where not given")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        maker = Maker(read_advisories(options.advisories), options.seed)
        repositories = [folder / "repositories" / f"made-{number:04}" for number in range(options.repositories)]
        sizes = sorted(maker.repository(one) for one in repositories)
        files = Counter(file.name for one in repositories for file in one.rglob("*") if file.is_file())
        print(
            f"{len(sizes)} repositories, seed {options.seed}; packages: median {sizes[len(sizes) // 2]}, "
            f"most {sizes[-1]}"
        )
        print(", ".join(f"{name} {count}" for name, count in files.most_common()))
        out = options.out or folder / "corpus.jsonl"
        (folder / "corpus_scan.py").write_text(CORPUS, encoding="utf-8")
        command = [
            sys.executable,
            str(folder / "corpus_scan.py"),
            str(folder / "repositories"),
            str(options.advisories),
        ]
        run = watched([*command, str(out), str(options.workers)])
        print(f"{run.printed}; the corpus has {out.stat().st_size / 2**20:.1f} MiB")
        print(
            f"{options.workers} workers, {os.cpu_count()} cores: {run.seconds:.1f} s (processor {run.processor:.1f} s)"
        )
        print(f"{verdict(run.seconds, TARGET_SECONDS)}; memory {run.memory:.0f} MiB, {verdict(run.memory, TARGET_MIB)}")
        one_repository(repositories, options.advisories.resolve(), folder / "cache")


if __name__ == "__main__":
    main()
