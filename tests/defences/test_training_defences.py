"""Training-stage defences: each does what its paper says, alone as beside others, one at a time as in company."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest

from threatloop.algorithms.language_training import LanguageTraining
from threatloop.algorithms.method_training import MethodTraining
from threatloop.algorithms.training import RecipeTraining, UserTraining
from threatloop.attacks.data_to_data.pgd import PGD
from threatloop.attacks.data_to_model.badnets import BadNets
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.bench import Bench, Progress, Resource
from threatloop.core.catalogue import DEFENCES
from threatloop.core.defence import Stage, TrainingDefence
from threatloop.core.errors import NotAssessable
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.core.training import Training
from training_world import alphabet, embedded, halves, mixed_table

ROWS = [
    name
    for name in DEFENCES.names()
    if DEFENCES.load(name).info.stage is Stage.TRAINING and "image" in DEFENCES.load(name).info.modalities
]
SMALL = RecipeTraining(Architecture(name="mlp", parameters={"hidden": [16]}), Recipe(epochs=3, batch_size=32))
USUAL = RecipeTraining(Architecture(name="mlp"), Recipe(epochs=20))
DIGITS = embedded("digits")
TRAIN, TEST = DIGITS.take(slice(0, 600)), DIGITS.take(slice(600, 1200))


def defended(training: Training, *names: str, **fields: Any) -> Training:
    for name in names:
        defence = DEFENCES.load(name)(**{**cheap(name), **fields})
        assert isinstance(defence, TrainingDefence)
        training = defence.applied(training)
    return training


def cheap(name: str) -> dict[str, Any]:
    return {"epochs": 3} if name == "contrastive_pretraining" else {}


def answers(training: Training, model: Model, data: Dataset) -> Any:
    return training.answers([model], data)[0]


def accuracy(training: Training, model: Model, data: Dataset) -> float:
    return float((answers(training, model, data).argmax(1) == data.y).mean())


@pytest.mark.parametrize("name", ROWS)
def test_models_trained_together_are_those_trained_alone(name: str) -> None:
    pool, rng = TRAIN.take(slice(0, 200)), np.random.default_rng(0)
    masks = rng.random((3, len(pool))) < 0.5
    masks[2, :] = False
    masks[2, :70] = True
    training = defended(SMALL, name)
    streams = [Streams(3, (f"model-{k}",)) for k in range(3)]
    together = training.fit_many(pool, masks, streams)
    for model, mask, own in zip(together, masks, streams, strict=True):
        alone = training.fit(pool.take(mask), own)
        gap = np.abs(answers(training, model, pool) - answers(training, alone, pool))
        assert float(np.median(gap)) < 1e-3
        assert training.fit(pool.take(mask), own).digest == alone.digest


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("kind", ["cnn", "table"])
def test_every_row_trains_images_and_tables(name: str, kind: str) -> None:
    if kind == "table":
        data, training = mixed_table(), SMALL
    else:
        parameters = {"channels": [4], "hidden": 8, "norm": "group"}
        data, training = halves(60), RecipeTraining(Architecture(name="cnn", parameters=parameters), SMALL.recipe)
    made = defended(training, name)
    model = made.fit(data, Streams(0))
    assert np.isfinite(answers(made, model, data)).all()
    again = made.fit(data, Streams(1), init=model)
    soft = np.full((len(data), 2), 0.5, np.float32)
    other = made.fit(data, Streams(1), soft_targets=soft, recipe=Recipe(epochs=1))
    assert again.digest != model.digest != other.digest
    assert made.serve(model).log_probs(data.x).shape == (len(data), 2)


@pytest.mark.parametrize(
    "names",
    [
        ("label_smoothing", "dp_sgd", "adversarial_training"),
        ("label_smoothing", "mixup", "trades"),
        ("anti_backdoor", "early_stopping", "adversarial_training"),
        ("contrastive_pretraining", "early_stopping", "mixup"),
        ("contrastive_pretraining", "anti_backdoor", "label_smoothing"),
    ],
)
def test_the_order_in_which_defences_are_named_changes_nothing(names: tuple[str, ...]) -> None:
    data = TRAIN.take(slice(0, 100))
    digests = {defended(SMALL, *order).fit(data, Streams(0)).digest for order in permutations(names)}
    assert len(digests) == 1
    parts = [defended(SMALL, *(name for name in names if name != one)).fit(data, Streams(0)).digest for one in names]
    assert digests.isdisjoint(parts)


def test_what_does_not_compose_excludes_each_other() -> None:
    for name in ROWS:
        for other in DEFENCES.load(name).info.excludes:
            assert other in ROWS
    assert {"mixup", "trades", "early_stopping"} < set(DEFENCES.load("dp_sgd").info.excludes)


@pytest.mark.parametrize("name", ROWS)
def test_a_function_of_the_users_own_is_left_alone(name: str) -> None:
    own = UserTraining(SMALL.architecture, SMALL.recipe, "cpu", True, "module:function")
    with pytest.raises(NotAssessable, match="module:function"):
        defended(own, name)


def robust(training: Training, data: Dataset) -> float:
    model = training.fit(TRAIN, Streams(0))
    service = training.serve(model)
    bench = Bench(streams=Streams(5), progress=Progress(), resources={Resource.VICTIM: service})
    moved = PGD(epsilon=0.1, steps=10, records=200).transform(data, bench)
    return float((service.log_probs(moved.x).argmax(1) == data.y).mean())


def test_adversarial_training_and_trades_withstand_more() -> None:
    data = TEST.take(slice(0, 200))
    plain = robust(USUAL, data)
    assert robust(defended(USUAL, "adversarial_training", epsilon=0.1), data) > plain + 0.15
    assert robust(defended(USUAL, "trades", epsilon=0.1), data) > plain + 0.15


def test_mixup_is_less_sure_of_what_it_was_trained_on() -> None:
    def sure(training: Training) -> float:
        return float(np.exp(answers(training, training.fit(TRAIN, Streams(0)), TRAIN)).max(axis=1).mean())

    assert sure(defended(USUAL, "mixup")) < sure(USUAL) - 0.1


def test_wrong_labels_are_not_learned_by_heart() -> None:
    """A fifth of the labels is wrong: plain training learns most of them, and these defences few."""
    rng = np.random.default_rng(0)
    some = TRAIN.take(slice(0, 400))
    wrong = rng.random(len(some)) < 0.2
    data = some.with_y(np.where(wrong, (some.y + 1 + rng.integers(0, 9, len(some))) % 10, some.y))
    training = RecipeTraining(USUAL.architecture, Recipe(epochs=80))

    def learned(made: Training) -> float:
        return accuracy(made, made.fit(data, Streams(0)), data.take(wrong))

    assert learned(training) > 0.6
    for name in ("dp_sgd", "early_stopping", "contrastive_pretraining"):
        assert learned(defended(training, name, **({"epochs": 20} if "contrast" in name else {}))) < 0.25, name


def test_early_stopping_holds_out_what_it_says() -> None:
    model = defended(USUAL, "early_stopping", held=0.2, patience=2).fit(TRAIN, Streams(0))
    assert model.notes["held_out"] == 120
    assert 1 <= model.notes["kept_epoch"] <= 20
    shorter = defended(USUAL, "early_stopping", share=0.25).fit(TRAIN, Streams(0))
    assert shorter.notes["epochs"] == 5


def test_anti_backdoor_learning_finds_the_poison_and_forgets_the_trigger() -> None:
    data = DIGITS.take(slice(0, 800))
    attack = BadNets(rate=0.1)
    poisoned = attack.craft(data, Bench(streams=Streams(1), progress=Progress(), resources={}))
    marked = set(data.ids[poisoned.y != data.y].tolist())
    others = TEST.take(TEST.y != 0)
    stamped = attack.stamp(others)
    training = RecipeTraining(USUAL.architecture, Recipe(epochs=40))
    rates = []
    for made in (training, defended(training, "anti_backdoor")):
        model = made.fit(poisoned, Streams(1))
        rates.append(float((answers(made, model, stamped).argmax(1) == 0).mean()))
        assert accuracy(made, model, TEST) > 0.88
    assert rates[0] > 0.9
    assert rates[1] < 0.5
    assert len(marked & set(model.notes["isolated"])) > 0.7 * len(model.notes["isolated"])


def test_pre_training_teaches_features_without_labels() -> None:
    taught = defended(USUAL, "contrastive_pretraining", epochs=40)
    untaught = defended(USUAL, "contrastive_pretraining", epochs=1)
    assert accuracy(taught, taught.fit(TRAIN, Streams(0)), TEST) > 0.8
    before, after = (made.fit(TRAIN, Streams(0)) for made in (untaught, taught))
    assert accuracy(taught, after, TEST) > accuracy(untaught, before, TEST) + 0.05
    # Labels change the head alone.
    relabelled = taught.fit(TRAIN.with_y((TRAIN.y + 1) % 10), Streams(0))
    assert all(np.array_equal(after.weights[n], relabelled.weights[n]) for n in after.weights if "layers.2" not in n)


def test_a_network_without_hidden_layers_cannot_be_pre_trained() -> None:
    linear = Architecture(name="mlp", parameters={"hidden": ()})
    defence = DEFENCES.load("contrastive_pretraining")()
    assert "hidden" in defence.unfit(DIGITS.schema, linear)[0]
    with pytest.raises(NotAssessable, match="hidden layer"):
        defended(RecipeTraining(linear, SMALL.recipe), "contrastive_pretraining").fit(TRAIN, Streams(0))


def test_texts_can_be_learned_in_private_only() -> None:
    training = LanguageTraining(Architecture(name="gpt", parameters={"width": 16, "layers": 1}), Recipe(epochs=1))
    assert defended(training, "dp_sgd").fit(alphabet(), Streams(0)).notes["epsilon"] <= 8
    with pytest.raises(NotAssessable, match="one label a record"):
        defended(training, "mixup").fit(alphabet(), Streams(0))


def test_a_table_stays_a_table_under_attack() -> None:
    made = defended(SMALL, "adversarial_training")
    assert isinstance(made, MethodTraining)
    data = embedded("breast_cancer")
    assert accuracy(made, made.fit(data, Streams(0)), data) > 0.9
