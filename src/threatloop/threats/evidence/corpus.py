"""What passages are mapped to: the techniques of an ATLAS release, and its case-study steps as labelled examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from threatloop.core.errors import InputError
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.importers.atlas_schema import read_release
from threatloop.threats.keywords import plain
from threatloop.threats.ontology import Kind


@dataclass(frozen=True)
class Technique:
    """One technique.

    Attributes:
        id: such as ``AML.T0043.002``.
        name: with the parent's in front where it is a sub-technique: ``Craft Adversarial Data: Black-Box Transfer``.
        own: the name alone.
        text: its description, plain.
    """

    id: str
    name: str
    own: str
    text: str


@dataclass(frozen=True)
class Example:
    """A step of a case study, plain text, and the technique it is labelled with."""

    study: str
    technique: str
    text: str


@dataclass(frozen=True)
class Corpus:
    """Techniques in the release's order, and examples whose technique is among them."""

    version: str
    techniques: tuple[Technique, ...]
    examples: tuple[Example, ...] = ()


def read_corpus(path: Path) -> Corpus:
    """Techniques and labelled steps of an ATLAS release file (``ATLAS.yaml``).

    Raises:
        InputError, Problems: as `read_release`.
    """
    release = read_release(path)
    names = {one.id: one.name for one in release.techniques}
    techniques = tuple(
        _technique(one.id, one.name, names.get(one.parent or ""), one.description) for one in release.techniques
    )
    steps = ((study.id, step) for study in release.case_studies for step in study.procedure)
    examples = (Example(study, step.technique, plain(step.description)) for study, step in steps)
    return Corpus(f"ATLAS {release.version}", techniques, tuple(one for one in examples if one.text))


def corpus_of(graph: ThreatGraph) -> Corpus:
    """The ATLAS techniques that a graph describes; it keeps no steps, so nothing can be learnt from them.

    Raises:
        InputError: it has none.
    """
    nodes = [node for node in graph.nodes(Kind.TECHNIQUE) if node.id.startswith("AML.T") and node.text]
    names = {node.id: node.name for node in nodes}
    techniques = tuple(_technique(node.id, node.name, names.get(_parent(node.id)), node.text) for node in nodes)
    if not techniques:
        raise InputError(
            "there is nothing to map to: the graph describes no ATLAS technique; give a release by --atlas FILE"
        )
    return Corpus("the graph's techniques", techniques)


def studies(examples: Sequence[Example]) -> list[str]:
    """The case studies of these examples, each once, in their order."""
    return list(dict.fromkeys(one.study for one in examples))


def _technique(id_: str, own: str, parent: str | None, text: str) -> Technique:
    return Technique(id_, f"{parent}: {own}" if parent else own, own, plain(text))


def _parent(id_: str) -> str:
    """``AML.T0043`` of ``AML.T0043.002``; nothing of one without a parent."""
    return id_.rpartition(".")[0] if id_.count(".") == 2 else ""
