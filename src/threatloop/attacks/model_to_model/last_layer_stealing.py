"""How wide is a language model, and what is its last layer?"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

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

if TYPE_CHECKING:
    from threatloop.algorithms.last_layer import Layer


class LastLayerStealing(Probe[Service]):
    """The hidden width and the output projection, from log-probabilities of the next token behind random prompts.

    Threat model: black box. The attacker sees log-probabilities of the next token: all of them, or those of the ``top``
    likeliest where he may add a ``bias`` to logits. He knows the vocabulary and nothing else.

    Returns the arrays ``singular_values``, float64 (k,), descending, of the answers less their mean over the
    vocabulary; ``projection``, float32 (vocabulary, width), which is P W up to an invertible map, with
    P = I − 11ᵀ/vocabulary: softmax hides the rest of W; ``rotated``, float32 (vocabulary, m), the same up to a
    rotation, and ``centre``, float32 (vocabulary,). The last two need many queries: states behind a LayerNorm or
    RMSNorm lie on a sphere, which the answers show as an ellipsoid with width · (width + 3) / 2 unknowns (some 167,000
    for a width of 576, which take 281,000 queries); m is the width, less one behind a LayerNorm, and the norm's gain is
    part of the map. What was not found is empty, and the notes ``width`` (0 then), ``queries``, ``prompts``, ``why``
    and ``why_not_rotated`` say why. Behind a LayerNorm whose shift is exactly 0 the width found is one too small.

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
        atlas=("AML.T0024.002", "AML.T0014"),
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
        found = self._found(source, bench, left)
        bench.progress.keep(found)
        if left < self.queries:  # The budget ended it: the ledger says so.
            self._found(source, bench, self.queries - left)
        return found

    def _found(self, source: Service, bench: Bench, queries: int) -> Evidence:
        from threatloop.algorithms.last_layer import layer_behind
        from threatloop.algorithms.next_token_answers import queries_each, random_prompts, uncovered, whole

        assert isinstance(source.schema, TextSchema)
        width, rng = source.schema.width, bench.streams.numpy("prompts")
        if self.answers == "full":
            layer = layer_behind(partial(whole, source), random_prompts(queries, width, rng))
            return _told(layer, queries, bench.device)
        first = source.next_log_probs(random_prompts(1, width, rng))  # Its length is the vocabulary, which is public.
        tokens = first.shape[1]
        prompts = random_prompts((queries - 1) // queries_each(tokens, self.top), width, rng)
        ask = partial(uncovered, source, tokens=tokens, top=self.top, bias=self.bias)
        return _told(layer_behind(ask, prompts), queries, bench.device)


def _told(layer: Layer, queries: int, device: str) -> Evidence:
    from threatloop.algorithms.last_layer import rotated

    empty = np.zeros((0, 0), np.float32)
    arrays: dict[str, npt.NDArray[Any]] = {"singular_values": layer.values, "projection": empty}
    arrays |= {"rotated": empty, "centre": np.zeros(0, np.float32)}
    notes = {"queries": queries, "prompts": len(layer.coordinates)}
    if isinstance(layer.width, Undefined):
        return Evidence(arrays, {"width": 0, **notes, "why": layer.width.reason})
    arrays["projection"] = layer.projection
    turned = rotated(layer, device)
    notes = {"width": layer.width, **notes}
    if isinstance(turned, Undefined):
        return Evidence(arrays, {**notes, "why_not_rotated": turned.reason})
    arrays["rotated"], arrays["centre"] = (part.astype(np.float32) for part in turned)
    return Evidence(arrays, notes)
