"""How long the threat graph takes: an ATLAS release in, a large graph from its file, paths through it.

    python benchmarks/threat_graph.py [--atlas ATLAS.yaml] [--nodes 60000] [--edges 220000] [--pairs 40] [--seed 0]

The graph is generated: targets are drawn so that few nodes have most edges, as in real dependency graphs, levels of
evidence and effects at random. Of the paths, the first question of a process is told apart.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from threatloop.threats.graph import ThreatGraph
from threatloop.threats.graph_file import load_graph, save_graph
from threatloop.threats.importers.atlas import read_atlas
from threatloop.threats.ontology import Edge, Effect, Evidence, Kind, Node, Relation
from threatloop.threats.queries.columns import of_file, of_graph
from threatloop.threats.queries.paths import PathIndex

LIMIT_ATLAS, LIMIT_PATHS = 2.0, 1.0
K = 5


def generated(nodes: int, edges: int, rng: np.random.Generator) -> ThreatGraph:
    """Threats with edges between them."""
    graph = ThreatGraph(Node(f"threat:{i}", Kind.THREAT, f"generated threat {i}", "text " * 12) for i in range(nodes))
    sources = rng.integers(0, nodes, edges)
    targets = rng.permutation(nodes)[(nodes * rng.random(edges) ** 3).astype(np.int64)]
    relations, levels = ((Relation.PRECEDES, Relation.ENABLES, Relation.AMPLIFIES), tuple(Evidence))
    said, level = rng.integers(0, len(relations), edges), rng.integers(0, len(levels), edges)
    values = rng.normal(0.1, 0.1, edges)
    for i in range(edges):
        measured = levels[level[i]] is Evidence.MEASURED
        effect = Effect(values[i], values[i] - 0.08, values[i] + 0.08, 12, "auc") if measured else None
        ends = (f"threat:{sources[i]}", relations[said[i]], f"threat:{targets[i]}")
        graph.connect(Edge(*ends, f"source {i}", levels[level[i]], effect))
    return graph


def asked(index: PathIndex, nodes: int, pairs: int, rng: np.random.Generator) -> Iterator[tuple[float, int]]:
    """Seconds and number of paths of random pairs."""
    for source, target in (rng.choice(nodes, 2, replace=False) for _ in range(pairs)):
        start = time.perf_counter()
        found = index.paths(f"threat:{source}", f"threat:{target}", K)
        yield time.perf_counter() - start, len(found)


def seconds_of_atlas(path: Path) -> None:
    start = time.perf_counter()
    graph = ThreatGraph()
    read_atlas(path).add_to(graph)
    edges = sum(1 for _ in graph.edges())
    _say("import of ATLAS", time.perf_counter() - start, f"{len(graph)} nodes, {edges} edges; bar {LIMIT_ATLAS} s")


def seconds_of_command(file: Path) -> None:
    """The whole command, from the start of Python on."""
    code = "from threatloop.cli.main import run; run()"
    command = [
        sys.executable,
        "-c",
        code,
        "threats",
        "paths",
        "--from",
        "1",
        "--to",
        "2",
        "--graph",
        str(file),
        "--json",
    ]
    took = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        took.append(time.perf_counter() - start)
    _say("`threatloop threats paths`, all in all", min(took), f"least of {len(took)}; most {max(took):.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--atlas", type=Path)
    for name, usual in (("nodes", 60_000), ("edges", 220_000), ("pairs", 40), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    options = parser.parse_args()
    if options.atlas is not None:
        seconds_of_atlas(options.atlas)
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "graph.parquet"
        save_graph(generated(options.nodes, options.edges, rng), file)
        print(f"graph of {options.nodes:,} nodes and {options.edges:,} edges, {file.stat().st_size / 2**20:.1f} MiB")
        start = time.perf_counter()
        index = PathIndex(of_file(file))
        _say("ready for paths, from the file", time.perf_counter() - start)
        first = next(asked(index, options.nodes, 1, rng))[0]
        times, counts = zip(*asked(index, options.nodes, options.pairs, rng), strict=True)
        about = f"first {first:.3f} s, median {statistics.median(times):.3f} s, n = {len(times)} pairs"
        _say(
            f"{K} paths, slowest",
            max(times),
            f"{about}, {sum(n == 0 for n in counts)} without any; bar {LIMIT_PATHS} s",
        )
        seconds_of_command(file)
        start = time.perf_counter()
        graph = load_graph(file)
        _say("load of the whole graph", time.perf_counter() - start)
        start = time.perf_counter()
        PathIndex(of_graph(graph))
        _say("ready for paths, from the graph", time.perf_counter() - start)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB, generating included")


def _say(what: str, seconds: float, about: str = "") -> None:
    print(f"{what:<40} {seconds:7.3f} s  {about}".rstrip())


if __name__ == "__main__":
    main()
