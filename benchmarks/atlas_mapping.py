"""Prints how well case-study steps are mapped to their ATLAS technique, cross-validated by case study.

    python benchmarks/atlas_mapping.py ATLAS.yaml [--folds 10] [--resamples 10000] [--no-embeddings] [--raw]

Every step is ranked by mappers that saw no step of its case study: neither as example nor for the weights of the
fusion, which are learnt in folds of the training studies. A step's own technique name is taken out of its text
(``--raw``: stays in). Intervals are 95 %, percentile bootstrap over case studies, seed 0. Bar: top-1 of the fusion
minus that of BM25 over the same texts has an interval that excludes zero.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupKFold

from threatloop.core.errors import ThreatloopError
from threatloop.threats.evidence.corpus import Corpus, Example, read_corpus
from threatloop.threats.evidence.mapper import Mapper
from threatloop.threats.evidence.signals import CLASSIFIER, DESCRIPTION, KEYWORDS, MEANING, Embedder

Floats = npt.NDArray[np.float64]
FUSION, BM25 = "fusion", "BM25"
BARE, WORDS = "BM25, descriptions only", "fusion without embeddings"
ALONE = {KEYWORDS: BM25, MEANING: "embeddings", CLASSIFIER: "linear classifier"}
BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def masked(corpus: Corpus) -> tuple[Corpus, int]:
    """The corpus with each step's own technique name taken out of its text, and how many steps had it."""
    own = {one.id: one.own for one in corpus.techniques}
    kept = [dataclasses.replace(one, text=_without(one.text, own[one.technique])) for one in corpus.examples]
    changed = sum(before.text != after.text for before, after in zip(corpus.examples, kept, strict=True))
    return dataclasses.replace(corpus, examples=tuple(kept)), changed


def _without(text: str, name: str) -> str:
    return " ".join(re.sub(rf"\b{re.escape(name)}\b", " ", text, flags=re.IGNORECASE).split())


def scored(corpus: Corpus, folds: int, embedder: Embedder | None) -> tuple[dict[str, Floats], list[dict[str, float]]]:
    """Scores (steps, techniques) by method, each step held out with its study; and the weights of every fold."""
    steps, found, weights = corpus.examples, dict[str, Floats](), list[dict[str, float]]()
    groups = [one.study for one in steps]
    for inside, outside in GroupKFold(folds).split(steps, groups=groups):
        training = dataclasses.replace(corpus, examples=tuple(steps[i] for i in inside))
        texts = [steps[i].text for i in outside]
        mapper = Mapper(training, embedder)
        weights.append(mapper.weights)
        parts = {ALONE[name]: one for name, one in mapper.signals(texts).items() if name in ALONE}
        bare = Mapper(dataclasses.replace(corpus, examples=()), embedder).signals(texts)
        parts[BARE] = bare[KEYWORDS]
        if embedder is not None:
            parts["embeddings, descriptions only"] = bare[DESCRIPTION]
            parts[WORDS] = Mapper(training).scores(texts)
        parts[FUSION] = mapper.scores(texts)
        for name, part in parts.items():
            found.setdefault(name, np.zeros((len(steps), part.shape[1])))[outside] = part
    return found, weights


class Grades:
    """What every method got right, and bootstrap weights of the case studies, the same for all of them."""

    def __init__(self, corpus: Corpus, resamples: int) -> None:
        number = {one.id: row for row, one in enumerate(corpus.techniques)}
        names = sorted({one.study for one in corpus.examples})
        self.labels = np.array([number[one.technique] for one in corpus.examples])
        self._studies = np.array([names.index(one.study) for one in corpus.examples])
        self._techniques, self._count = len(number), len(names)
        drawn = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), resamples)
        self._draws = np.vstack([np.ones(len(names)), drawn]).astype(float)

    def ranks(self, scores: Floats) -> npt.NDArray[np.int64]:
        """Techniques in front of the right one; ties count against it."""
        right = scores[np.arange(len(self.labels)), self.labels][:, None]
        return np.asarray((scores >= right).sum(1) - 1)

    def accuracy(self, scores: Floats, most: int) -> Floats:
        """Share with the right one among the first, of the whole (first) and of every resample."""
        hits = np.bincount(self._studies, self.ranks(scores) < most, self._count)
        sizes = np.bincount(self._studies, minlength=self._count)
        return np.asarray(self._draws @ hits / (self._draws @ sizes))

    def macro_f1(self, scores: Floats) -> Floats:
        """Mean F1 over the techniques that some step of the (re)sample has, of the whole and of every resample."""
        said = scores.argmax(1)
        shape = (self._count, self._techniques)
        true, predicted, both = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        np.add.at(true, (self._studies, self.labels), 1)
        np.add.at(predicted, (self._studies, said), 1)
        np.add.at(both, (self._studies, self.labels), said == self.labels)
        true, predicted, both = (self._draws @ part for part in (true, predicted, both))
        f1 = 2 * both / np.maximum(true + predicted, 1)
        return np.asarray((f1 * (true > 0)).sum(1) / (true > 0).sum(1))


def interval(values: Floats, form: str = ".3f") -> str:
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return f"{values[0]:{form}} [{low:{form}}, {high:{form}}]"


def ceiling(examples: tuple[Example, ...]) -> int:
    """Steps whose technique no other study contains: out of reach for what learns from steps alone."""
    seen: dict[str, set[str]] = {}
    for one in examples:
        seen.setdefault(one.technique, set()).add(one.study)
    return sum(len(seen[one.technique]) == 1 for one in examples)


def calibration(probabilities: Floats, labels: npt.NDArray[np.int64]) -> list[str]:
    top, right = probabilities.max(1), probabilities.argmax(1) == labels
    place = np.digitize(top, BINS[1:-1])
    return [
        f"{BINS[i]:.1f}-{BINS[i + 1]:.1f}: said {top[place == i].mean():.2f}, right {right[place == i].mean():.2f} "
        f"(n {int((place == i).sum())})"
        for i in range(len(BINS) - 1)
        if (place == i).any()
    ]


def sentences() -> Embedder | None:
    """The sentence encoder, each text embedded once."""
    from threatloop.algorithms.similarity import embeddings

    known: dict[str, Floats] = {}

    def embedder(texts: list[str]) -> Floats:
        fresh = [text for text in dict.fromkeys(texts) if text not in known]
        known.update(zip(fresh, embeddings(fresh), strict=True))
        return np.stack([known[text] for text in texts]) if texts else np.empty((0, 0))

    try:
        embedder(["one"])
    except ThreatloopError as error:
        print(f"embeddings: not computed, because {error}")
        return None
    return embedder  # type: ignore[return-value]


def show(corpus: Corpus, folds: int, resamples: int, embedder: Embedder | None) -> None:
    started = time.perf_counter()
    scores, weights = scored(corpus, folds, embedder)
    grades, steps = Grades(corpus, resamples), len(corpus.examples)
    measures = {
        "top-1": lambda one: grades.accuracy(one, 1),
        "top-5": lambda one: grades.accuracy(one, 5),
        "macro-F1": grades.macro_f1,
    }
    values = {name: {what: measure(one) for what, measure in measures.items()} for name, one in scores.items()}
    for name, row in values.items():
        print(f"{name:<30}" + "  ".join(f"{what} {interval(value)}" for what, value in row.items()))
    for other in (BM25, BARE, WORDS):
        if other in values:
            pairs = ((what, values[FUSION][what] - values[other][what]) for what in measures)
            print(
                f"{'fusion − ' + other:<36}" + "  ".join(f"{what} {interval(value, '+.3f')}" for what, value in pairs)
            )
    alone = ceiling(corpus.examples)
    print(
        f"ceiling of a classifier of steps: {1 - alone / steps:.3f} ({alone} of {steps} have a technique of one study)"
    )
    mean = {name: np.mean([one[name] for one in weights]) for name in weights[0]}
    print("weights, mean over folds: " + ", ".join(f"{name} {value:.2f}" for name, value in mean.items()))
    print("probability of the best: " + "; ".join(calibration(scores[FUSION], grades.labels)))
    print(f"{time.perf_counter() - started:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("atlas", type=Path)
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--no-embeddings", action="store_true")
    parser.add_argument("--raw", action="store_true", help="leave a step's own technique name in its text")
    given = parser.parse_args()
    corpus, changed = masked(read_corpus(given.atlas))
    if given.raw:
        corpus = read_corpus(given.atlas)
    studies = len({one.study for one in corpus.examples})
    print(f"{corpus.version}: {len(corpus.examples)} steps, {studies} studies, {len(corpus.techniques)} techniques")
    print(f"own technique name {'left' if given.raw else 'taken out'} in {changed} steps; {given.folds} folds by study")
    show(corpus, given.folds, given.resamples, None if given.no_embeddings else sentences())


if __name__ == "__main__":
    main()
