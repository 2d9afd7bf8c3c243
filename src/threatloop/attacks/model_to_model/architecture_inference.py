"""Which architecture answers like this?"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.algorithms.candidates import chosen, written
from threatloop.core.access import Capability
from threatloop.core.assets import Architecture, Dataset, Evidence, concatenate
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.schema import Schema
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Workload
from threatloop.core.training import Training
from threatloop.modality import of

SMALLEST_SHARE = 0.4
"""Of the pool: models train on random parts from this share to the whole, since the size of the victim's training set
is not known and must not be taken for a trait of its architecture."""


class ArchitectureInference(Probe[Service]):
    """KENNEN-o: models of every candidate architecture are trained, and a classifier on answers says which one answers.

    Threat model: black box. The attacker holds labelled records of the victim's kind, none of them a member, knows the
    recipe, and guesses that the architecture is one of the candidates. He asks the same records of all models: up to
    half from his pool, the rest random valid ones, on which architectures differ most.

    Returns the array ``probability``, float64 (candidates,), sums to 1; the note ``candidates`` names them in order, as
    JSON. Near 1/candidates each says that the answers fit none or all of them. One query per record.

    Against the paper: features are agreement with each candidate's average answers and the distribution of margins and
    entropies, instead of the raw answers, and the classifier is a Gaussian one with an unknown covariance: a handful of
    models per candidate cannot train a network of thousands of weights. On digits, with 18 victims on which features
    were chosen too, the true one of five candidates got probability .61 from scores and .43 from labels (guess: .20);
    perceptrons were never taken for convolutional networks there. From labels alone it is not to be relied on: of a
    perceptron and a convolutional network, trained for 10 epochs, it gave .98 and .47 to the truth (from scores .84 and
    1.00), and families are confused where the victim saw many more records than the attacker holds. A low figure from
    labels is no sign of safety.

    Oh, Augustin, Schiele, Fritz 2018, "Towards Reverse-Engineering Black-Box Neural Networks", arXiv 1711.01768,
    section 3.2 (KENNEN-o).

    Attributes:
        candidates: at least two architectures; empty for a handful that suits the records.
        models: trained per candidate, ≥ 2.
        queries: records asked, ≥ 1.
        answers: look at class probabilities (``soft``) or at the most likely class (``hard``).

    Raises:
        NotAssessable: no query is left.
        InputError: a candidate does not read such records.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Architecture inference (KENNEN-o)",
        direction=Direction.MODEL_TO_MODEL,
        knowledge="labelled records of the victim's kind, its recipe, and candidate architectures",
        modalities=frozenset({"image", "tabular"}),
        metrics=("architecture_inference",),
        paper="Oh, Augustin, Schiele, Fritz 2018, Towards Reverse-Engineering Black-Box Neural Networks, "
        "arXiv 1711.01768, section 3.2",
        baseline="architecture_guess",
        needs=frozenset({Capability.SCORES, Capability.LABELS}),
        resources=frozenset({Resource.QUERY_POOL, Resource.LIFECYCLE}),
        atlas=("AML.T0014",),
        sweep="queries",
    )

    candidates: tuple[Architecture, ...] = ()
    models: int = Field(default=6, ge=2)
    queries: int = Field(default=500, ge=1)
    answers: Literal["soft", "hard"] = "soft"

    def required(self) -> frozenset[Capability]:
        """Scores for soft answers, labels for hard ones; never both."""
        return frozenset({Capability.SCORES if self.answers == "soft" else Capability.LABELS})

    def problems(self, schema: Schema, records: int) -> list[str]:  # noqa: ARG002
        """One candidate alone."""
        if len(self.candidates) == 1:
            return ["candidates: one architecture alone leaves nothing to tell apart; name at least two, or none"]
        return []

    def work(self, workload: Workload) -> dict[str, float]:
        """Training of all models on parts of the pool, which is at most half of the records."""
        models = self.models * max(5, len(self.candidates))
        passes = models * 0.7 * workload.records / 2 * workload.recipe.epochs
        return {"training_passes": passes, "scoring_passes": float((models + 1) * self.queries)}

    def examine(self, source: Service, bench: Bench) -> Evidence:
        """The probability of each candidate."""
        from threatloop.algorithms.answer_style import styles
        from threatloop.algorithms.meta_classifier import posterior

        candidates = chosen(self.candidates, source.schema)
        left = self.queries if source.ledger.left is None else source.ledger.left
        if left <= 0:
            raise NotAssessable("the query budget leaves nothing to ask")
        asked = self._asked(bench.data(Resource.QUERY_POOL), bench)
        within = asked.take(slice(left))
        victim = self._answers(source, within)
        own = self._shadows(candidates, within, bench)
        groups = np.repeat(np.arange(len(candidates)), self.models)
        near = within.ids >= 0
        found = styles(np.concatenate([own, victim[None]]), np.append(groups, -1), (near, ~near))
        probability = posterior(found[:-1], groups, found[-1], len(candidates))
        evidence = Evidence({"probability": probability}, {"candidates": written(candidates)})
        bench.progress.keep(evidence)
        if len(within) < len(asked):
            self._answers(source, asked.take(slice(left, None)))
        return evidence

    def _asked(self, pool: Dataset, bench: Bench) -> Dataset:
        """Records of the pool and random valid ones in turn, so that any part of them has both."""
        rng = bench.streams.numpy("queries")
        near = pool.take(rng.permutation(len(pool))[: -(-self.queries // 2)])
        n = self.queries - len(near)
        if n == 0:
            return near
        try:
            far = of(pool.schema).noise_records(pool.schema, n, rng)
        except (InputError, NotAssessable):
            return pool.take(rng.permutation(len(pool))[: self.queries])
        both = concatenate([near, Dataset(far, np.zeros(n, np.int64), pool.schema, np.full(n, -1, np.int64))])
        return both.take(rng.permutation(len(both)))

    def _shadows(self, candidates: tuple[Architecture, ...], asked: Dataset, bench: Bench) -> npt.NDArray[np.float32]:
        """Answers (candidates · models, records, classes) of the attacker's own models."""
        training: Training = bench.resource(Resource.LIFECYCLE)
        pool, answers = bench.data(Resource.QUERY_POOL), []
        for i, candidate in enumerate(candidates):
            for k in range(self.models):
                streams = bench.streams.child(f"candidate-{i}", str(k))
                share = SMALLEST_SHARE + (1 - SMALLEST_SHARE) * k / (self.models - 1)
                rows = streams.numpy("part").permutation(len(pool))[: max(2, round(share * len(pool)))]
                model = training.fit(pool.take(rows), streams, architecture=candidate, recipe=training.recipe)
                answers.append(self._answers(training.serve(model), asked))
            bench.progress.report((i + 1) / len(candidates))
        return np.stack(answers)

    def _answers(self, service: Service, asked: Dataset) -> npt.NDArray[np.float32]:
        """Log-probabilities (records, classes); of labels 0 and −30."""
        if self.answers == "soft":
            return service.log_probs(asked.x)
        hot = np.eye(asked.n_classes, dtype=np.float32)[service.labels(asked.x)]
        return np.where(hot > 0, np.float32(0), np.float32(-30))
