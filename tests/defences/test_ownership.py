"""Verification: owners find their own models, and claim independent ones as seldom as the p-value says."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import stats

from threatloop.algorithms.entangled import soft_nearest_neighbour_loss
from threatloop.algorithms.ownership import PROOF, Lineup, matches_p, secret
from threatloop.algorithms.training import RecipeTraining
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.detection import Verification
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.core.serving import Respond
from threatloop.data.embedded import Embedded
from threatloop.defences.verification.backdoor_mark import BackdoorMark
from threatloop.defences.verification.backdoor_watermark import BackdoorWatermark
from threatloop.defences.verification.dataset_inference import DatasetInference
from threatloop.defences.verification.entangled_watermark import EntangledWatermark
from threatloop.defences.verification.radioactive_data import RadioactiveData
from threatloop.scenario.lifecycle import PROOF as LIFECYCLE_PROOF

STREAMS = Streams(3, ("seed0",))
MLP = Architecture(name="mlp", parameters={"hidden": (64,)})
TRAINING = RecipeTraining(MLP, Recipe(epochs=30))
FEW: dict[str, Any] = {"decoys": 99, "references": 2}
PROOFS: list[Verification] = [
    BackdoorWatermark(),
    EntangledWatermark(**FEW, epochs=2),
    BackdoorMark(**FEW),
    RadioactiveData(**FEW, rate=1, records=50),
    DatasetInference(references=8, permutations=999),
]


@cache
def parts() -> tuple[Dataset, Dataset, Dataset]:
    """The owner's records, another's, and nobody's."""
    data = Embedded(embedded="digits").read(Path()).dataset
    own, other, outside = np.split(np.random.default_rng(0).permutation(len(data)), [600, 1200])
    return data.take(own), data.take(other), data.take(outside)


@cache
def independent() -> Model:
    return TRAINING.fit(parts()[1], STREAMS.child("other"))


def p_value(proof: Verification, suspect: Respond, streams: Streams = STREAMS) -> float:
    own, _, outside = parts()
    return proof.claim(suspect, own, outside, TRAINING, streams.child(PROOF)).p_value


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: type(proof).__name__)
def test_the_owner_finds_his_model_and_leaves_another_alone(proof: Verification) -> None:
    own, _, outside = parts()
    model = proof.applied(TRAINING).fit(own, STREAMS.child("train"))
    service = TRAINING.serve(model)
    assert p_value(proof, service.log_probs) <= 0.01
    assert p_value(proof, TRAINING.serve(independent()).log_probs) > 0.01
    assert (service.labels(outside.x) == outside.y).mean() > 0.9


def test_marks_are_drawn_from_where_the_engine_looks_for_them() -> None:
    assert PROOF == LIFECYCLE_PROOF
    assert secret(STREAMS.child("train", "deeper")) == STREAMS.child(PROOF)


def test_models_trained_together_are_those_trained_alone() -> None:
    own, masks = parts()[0].take(slice(200)), np.zeros((2, 200), np.bool_)
    masks[0, :120], masks[1, 80:] = True, True
    training = BackdoorWatermark(triggers=10).applied(RecipeTraining(MLP, Recipe(epochs=2)))
    each = [STREAMS.child("a"), STREAMS.child("b")]
    together = training.fit_many(own, masks, each)
    alone = [training.fit(own.take(mask), one) for mask, one in zip(masks, each, strict=True)]
    for one, other in zip(together, alone, strict=True):
        for name in one.weights:
            np.testing.assert_allclose(one.weights[name], other.weights[name], atol=1e-4)


def test_whoever_trains_on_answers_plants_nothing() -> None:
    own = parts()[0].take(slice(100))
    soft = np.full((100, 10), 0.1, np.float32)
    marked = BackdoorMark().applied(RecipeTraining(MLP, Recipe(epochs=1)))
    plain = RecipeTraining(MLP, Recipe(epochs=1))
    assert marked.fit(own, STREAMS, soft_targets=soft).digest == plain.fit(own, STREAMS, soft_targets=soft).digest


def test_the_p_value_of_a_trigger_set_is_the_binomial_tail() -> None:
    labels = np.random.default_rng(0).integers(4, size=(20_000, 12))
    drawn = (labels == 0).sum(axis=1)
    for matches in (1, 3, 6):
        assert matches_p(matches, 12, 4) == pytest.approx(float((drawn >= matches).mean()), abs=0.012)
    assert matches_p(0, 12, 4) == 1


def test_false_claims_of_trigger_sets_are_no_more_frequent_than_stated() -> None:
    respond, own = TRAINING.serve(independent()).log_probs, parts()
    proof = BackdoorWatermark(triggers=30)
    found = [proof.claim(respond, own[0], own[2], TRAINING, Streams(k, ("seed0", PROOF))).p_value for k in range(300)]
    assert stats.kstest(found, "uniform", alternative="greater").pvalue > 0.001
    assert np.mean(np.array(found) <= 0.05) <= 0.09


def test_the_rank_among_decoys_is_uniform_for_who_knows_no_secret() -> None:
    """A reaction that is mostly the secret's own, as natural patterns have it, and a little the model's."""

    def react(model: Respond, streams: Streams) -> float:
        weight = float(model(np.zeros((1, 1, 8, 8), np.float32))[0, 0])
        return streams.numpy("natural").standard_normal() + weight * streams.numpy("planted").standard_normal()

    def suspect(weight: float) -> Respond:
        return lambda x: np.full((len(x), 1), weight, np.float32)

    lineup, found = Lineup(99, 1), []
    small = parts()[0].take(slice(60))
    known = (small, RecipeTraining(MLP, Recipe(epochs=1)))
    for k in range(30):
        found.append(lineup.claim(react, suspect(0.5), known, Streams(k, ("seed0", PROOF))).p_value)
    assert min(found) >= 0.01
    assert stats.kstest(found, "uniform", alternative="greater").pvalue > 0.001


def test_dataset_inference_claims_no_more_models_than_stated() -> None:
    """Suspects whose answers have nothing to do with who owns a record."""
    proof, (own, _, outside) = DatasetInference(references=4, permutations=199), parts()
    training = RecipeTraining(MLP, Recipe(epochs=2))
    own, outside = own.take(slice(150)), outside.take(slice(200))

    def noise(k: int) -> Respond:
        def respond(x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            logits = np.random.default_rng(k).standard_normal((len(x), 10))
            return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)), np.float32)

        return respond

    found = [proof.claim(noise(k), own, outside, training, Streams(k, ("seed0",))).p_value for k in range(40)]
    assert stats.kstest(found, "uniform", alternative="greater").pvalue > 0.001


def test_the_soft_nearest_neighbour_loss_is_that_of_single_pairs() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((7, 3)), np.array([0, 0, 1, 1, 0, 1, 0])
    apart = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    scale = apart[~np.eye(7, dtype=bool)].mean()
    slow = 0.0
    for i in range(7):
        weight = {j: np.exp(-apart[i, j] / scale) for j in range(7) if j != i}
        slow -= np.log(sum(w for j, w in weight.items() if y[j] == y[i]) / sum(weight.values())) / 7
    found = soft_nearest_neighbour_loss(torch.from_numpy(x), torch.from_numpy(y))
    assert float(found) == pytest.approx(slow, rel=1e-5)


def test_entangling_brings_the_classes_together() -> None:
    """The loss between marks and records of their class is larger where it was maximised."""
    from threatloop.algorithms.entangled import Entanglement, _hidden
    from threatloop.modality import of
    from threatloop.models.build import load

    own = parts()[0]
    proof = EntangledWatermark()
    marked = proof._plant(own, secret(STREAMS))
    added = len(marked) - len(own)
    plain = TRAINING.fit(marked, STREAMS)
    found = []
    for weight in (1e-6, 5.0):
        model = Entanglement(weight, 5).finish(plain, marked, added, TRAINING, secret(STREAMS))
        network = load(model)
        kept = marked.take(np.r_[np.flatnonzero(own.y == marked.y[-1])[:50], np.arange(len(own), len(marked))[:50]])
        with _hidden(network) as layers, torch.no_grad():
            network(torch.from_numpy(np.array(of(kept.schema).encode(kept.x, kept.schema))))
            found.append(float(soft_nearest_neighbour_loss(layers[0], torch.arange(len(kept)) < 50)))
    assert found[1] > found[0] + 0.02
