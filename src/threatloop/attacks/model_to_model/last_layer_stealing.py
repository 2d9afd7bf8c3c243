"""How wide is a language model, and what is its last layer?"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.access import Capability
from threatloop.core.assets import Evidence
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench
from threatloop.core.defence import Adaptation
from threatloop.core.errors import NotAssessable
from threatloop.core.schema import Schema, TextSchema
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Step, Workload
from threatloop.numerics.undefined import Undefined


class LastLayerStealing(Probe[Service]):
    """The hidden width and the output projection, from log-probabilities of the next token behind random prompts.

    Threat model: black box. The attacker sees log-probabilities of the next token: all of them, or those of the ``top``
    likeliest where he may add a ``bias`` to logits. He knows the vocabulary and nothing else.

    Returns the arrays ``singular_values``, float64 (k,), descending, of the answers less their mean over the
    vocabulary; ``projection``, float32 (vocabulary, width), which is P W up to an invertible map, with
    P = I − 11ᵀ/vocabulary: softmax hides the rest of W; ``rotated``, float32 (vocabulary, m), the same up to a
    rotation, and ``centre``, float32 (vocabulary,). The last two need many queries: states behind a LayerNorm or
    RMSNorm lie on a sphere, which the answers show as an ellipsoid with width · (width + 3) / 2 unknowns (some 167,000
    for a width of 576, which is not tried); m is the width, less one behind a LayerNorm, and the norm's gain is part of
    the map. What was not found is empty, and the notes ``width`` (0 then), ``queries``, ``prompts``, ``why`` and
    ``why_not_rotated`` say why. Behind a LayerNorm whose shift is exactly 0 the width found is one too small.

    The width shows as a gap between singular values, once there are more queries than the width. One query per prompt,
    or (vocabulary − 1) / (top − 1) of them. Against the paper the gap must also be followed by what looks like noise,
    so that too few queries or rounded answers find nothing rather than something wrong.

    Carlini, Paleka, Dvijotham, et al. 2024, "Stealing Part of a Production Language Model", arXiv 2403.06634,
    sections 4.1, 4.2, 5.1 and appendix G (rotation).

    Attributes:
        queries: asked at most, ≥ 1; more than the width are needed.
        answers: ``full`` sees every log-probability, ``top`` the likeliest ones.
        top: how many those are, ≥ 2.
        bias: on the logits asked for, > 0; interfaces allow 100, but float32 answers lose digits to a larger one.

    Raises:
        NotAssessable: no query is left, or answers are withheld in a way that this form cannot see through.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Last-layer stealing",
        direction=Direction.MODEL_TO_MODEL,
        knowledge="the vocabulary",
        modalities=frozenset({"text"}),
        metrics=("projection_recovered",),
        paper="Carlini et al. 2024, Stealing Part of a Production Language Model, arXiv 2403.06634, section 4",
        baseline="projection_guess",
        needs=frozenset({Capability.LOGPROBS}),
        atlas=("AML.T0024.002", "AML.T0013"),
        sweep="queries",
    )

    queries: int = Field(default=1024, ge=1)
    answers: Literal["full", "top"] = "full"
    top: int = Field(default=5, ge=2)
    bias: float = Field(default=50.0, gt=0)

    def work(self, workload: Workload) -> dict[str, float]:  # noqa: ARG002
        """Short prompts, one pass each."""
        return {"scoring_passes": float(self.queries)}

    def problems(self, schema: Schema, records: int) -> list[str]:  # noqa: ARG002
        """Records that are too short for a random prompt."""
        if isinstance(schema, TextSchema) and schema.width < 4:
            return [f"last_layer_stealing: records of {schema.width} bytes leave no room for random prompts; need 4"]
        return []

    def adapted(self, to: frozenset[Adaptation]) -> tuple[Step[Any], ...]:
        """Through the keyhole of the likeliest tokens, where answers are withheld or falsified."""
        forms = super().adapted(to)
        if Adaptation.LABELS in to and self.answers == "full":
            return (*forms, self.model_copy(update={"answers": "top"}))
        return forms

    def examine(self, source: Service, bench: Bench) -> Evidence:
        """What can be told of the last layer."""
        left = self.queries if source.ledger.left is None else min(self.queries, source.ledger.left)
        if left < 1:
            raise NotAssessable("the query budget leaves nothing to ask")
        answers = self._asked(source, bench.streams.numpy("prompts"), left)
        found = _analysed(answers, left)
        bench.progress.keep(found)
        if left < self.queries:  # The budget ended it: the ledger says so.
            self._asked(source, bench.streams.numpy("prompts"), self.queries - left)
        return found

    def _asked(self, source: Service, rng: np.random.Generator, queries: int) -> npt.NDArray[np.float32]:
        """Log-probabilities, or logits less one of them, (prompts, vocabulary)."""
        from threatloop.algorithms.next_token_answers import queries_each, random_prompts, uncovered, whole

        assert isinstance(source.schema, TextSchema)
        width = source.schema.width
        if self.answers == "full":
            return whole(source, random_prompts(queries, width, rng))
        first = source.next_log_probs(random_prompts(1, width, rng))  # Its length is the vocabulary, which is public.
        each = queries_each(first.shape[1], self.top)
        prompts = random_prompts((queries - 1) // each, width, rng)
        return uncovered(source, prompts, first.shape[1], self.top, self.bias)


def _analysed(answers: npt.NDArray[np.float32], queries: int) -> Evidence:
    from threatloop.numerics.output_layer import centred, hidden_width, singular_values, span

    n, tokens = answers.shape
    columns = centred(answers)
    values = singular_values(columns) if n else np.zeros(0)
    width = hidden_width(values, tokens, n)
    empty = np.zeros((0, 0), np.float32)
    arrays: dict[str, npt.NDArray[Any]] = {"singular_values": values, "projection": empty}
    arrays |= {"rotated": empty, "centre": np.zeros(0, np.float32)}
    if isinstance(width, Undefined):
        return Evidence(arrays, {"width": 0, "queries": queries, "prompts": n, "why": width.reason})
    basis, sizes = span(columns, width)
    arrays["projection"] = (basis * (sizes / np.sqrt(n))).astype(np.float32)
    rotated = _rotated(columns, basis, width)
    notes = {"width": width, "queries": queries, "prompts": n}
    if isinstance(rotated, Undefined):
        return Evidence(arrays, {**notes, "why_not_rotated": rotated.reason})
    arrays["rotated"], arrays["centre"] = (part.astype(np.float32) for part in rotated)
    return Evidence(arrays, notes)


def _rotated(
    columns: npt.NDArray[np.float64], basis: npt.NDArray[np.float64], width: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | Undefined:
    """The linear part of the last layer up to a rotation, and the answer at the sphere's centre."""
    from threatloop.numerics.output_layer import hidden_width, singular_values
    from threatloop.numerics.sphere import ellipsoid, unfit

    tokens, n = columns.shape
    if (why := unfit(n, width - 1)) is not None:
        return why
    mean = columns.mean(axis=1)
    around = columns - mean[:, None]
    flat = hidden_width(singular_values(around), tokens, n)
    if isinstance(flat, Undefined) or flat not in (width, width - 1):
        return Undefined("answers less their mean show another width, as behind no norm")
    left, _, _ = np.linalg.svd(basis.T @ around, full_matrices=False)
    plane = basis @ left[:, :flat]
    found = ellipsoid((plane.T @ around).T)
    if isinstance(found, Undefined):
        return found
    return plane @ found.axes / np.sqrt(width), mean + plane @ found.centre
