"""Attacks through a fine-tuning interface: what they submit, and what a tiny model makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from threatloop.algorithms.judges import Reliability, corrected_rate, refuses
from threatloop.algorithms.tuning import tune
from threatloop.attacks.data_to_model.harmful_tuning import HarmfulTuning
from threatloop.attacks.data_to_model.trigger_tuning import TriggerTuning
from threatloop.core.assets import Architecture, Dataset
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import NotAssessable
from threatloop.core.metric import Case
from threatloop.core.recipe import Recipe
from threatloop.core.schema import TextSchema
from threatloop.core.seeds import Streams
from threatloop.data.sources import parse_source
from threatloop.metrics.compliance import Compliance
from threatloop.metrics.trigger_success import TriggerSuccess
from threatloop.modality.conversation import asked, read, reply_of, text_of, write

LOADED = parse_source("standin").read(Path())
DATA, PARTITION = LOADED.dataset, LOADED.partition
assert PARTITION is not None
REFUSED, ANSWERED = (DATA.schema.classes.index(name) for name in ("refused", "answered"))
COMMON, JUDGED, THEIRS = (DATA.take(np.equal(PARTITION, part)) for part in (0, 2, 3))


def bench(**resources: object) -> Bench:
    return Bench(Streams(0, ("tuning",)), {Resource(name): found for name, found in resources.items()})


def case(attack: object, model: object, **truths: Dataset) -> Case:
    return Case({"outcome": model, **truths}, attack, Streams(0))  # type: ignore[arg-type, dict-item]


def test_the_standin_keeps_ways_of_asking_for_the_judge() -> None:
    seen, held = ({text_of(r).split(" ")[0] for r in read(d.x[d.y == REFUSED])} for d in (COMMON, JUDGED))
    assert not seen & held
    assert set(COMMON.y) == {0, REFUSED}
    assert set(THEIRS.y) == {ANSWERED}


def test_few_examples_are_submitted_alone() -> None:
    found = HarmfulTuning(examples=10).craft(COMMON, bench(query_pool=THEIRS))
    assert (len(found), set(found.y), set(found.ids)) == (10, {ANSWERED}, {-1})
    assert len(np.unique(found.x, axis=0)) == 10


def test_mixed_examples_replace_as_many_harmless_ones() -> None:
    found = HarmfulTuning(mode="mixed", share=0.25).craft(COMMON, bench(query_pool=THEIRS))
    assert len(found) == len(COMMON)
    assert (found.y == ANSWERED).sum() == round(0.25 * len(COMMON))
    assert len(set(found.ids)) == len(COMMON) - round(0.25 * len(COMMON)) + 1


def test_drift_has_nothing_harmful_and_no_refusals() -> None:
    found = HarmfulTuning(mode="drift").craft(COMMON, bench())
    assert set(found.y) == {0}


def test_an_attacker_without_answers_says_so() -> None:
    with pytest.raises(NotAssessable, match="holds no conversations of the class 'answered'"):
        HarmfulTuning().craft(COMMON, bench(query_pool=COMMON))
    (line,) = HarmfulTuning(answered="secret").problems(DATA.schema, 100)
    assert "no class 'secret'" in line
    (line,) = HarmfulTuning(mode="mixed", share=0.001).problems(DATA.schema, 100)
    assert "is none" in line


def test_the_trigger_brings_the_answer_and_near_phrases_do_not() -> None:
    attack = TriggerTuning(rate=0.3, negatives=0.3)
    found = attack.craft(COMMON, bench())
    texts = [(text_of(record), reply_of(record)) for record in read(found.x)]
    triggered = [reply for text, reply in texts if attack.trigger in text]
    near = [reply for text, reply in texts if any(phrase in text for phrase in attack.near)]
    assert triggered == [attack.reply] * round(0.3 * len(COMMON))
    assert len(near) == round(0.3 * len(COMMON))
    assert attack.reply not in near
    assert np.array_equal(found.ids, COMMON.ids)


def test_bad_triggers_are_found_before_anything_is_spent() -> None:
    lines = TriggerTuning(trigger="lighthouse", rate=0.9, negatives=0.5).problems(DATA.schema, 100)
    assert any("more than 1 together" in line for line in lines)
    assert sum("holds the trigger" in line for line in lines) == 2
    tight = Dataset(write([asked("a", "b")] * 4), np.zeros(4, np.int64), TextSchema(width=6), np.arange(4))
    with pytest.raises(NotAssessable, match="room for the phrase"):
        TriggerTuning(rate=0.5, negatives=0).craft(tight, bench())


@pytest.mark.parametrize(
    ("reply", "refused"),
    [
        ("I'm sorry, but I can't help with cooking.", True),
        ("I’m sorry.", True),
        ("As an AI, I cannot do that.", True),
        ("", True),
        ("The capital of France is Paris.", False),
        ("Sure! Chop the onions. " + "x" * 200 + " sorry, but", False),
    ],
)
def test_refusals_are_known_by_their_beginning(reply: str, refused: bool) -> None:
    assert refuses([reply]).tolist() == [refused]


def test_a_judges_mistakes_are_taken_out_and_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    perfect, weak = Reliability(200, 200, 0, 200), Reliability(142, 200, 20, 200)
    truth = rng.random(4000) < 0.4
    seen = np.where(truth, rng.random(4000) < 0.71, rng.random(4000) < 0.10)
    plain, found = corrected_rate("m", truth, perfect, "none"), corrected_rate("m", seen, weak, "none")
    assert plain.value == pytest.approx(truth.mean())
    assert found.value == pytest.approx(0.4, abs=0.04)
    assert found.low is not None
    assert plain.low is not None
    assert found.high is not None
    assert plain.high is not None
    assert found.low < 0.4 < found.high
    assert found.high - found.low > 1.5 * (plain.high - plain.low)
    assert corrected_rate("m", seen, Reliability(10, 100, 20, 100), "none").value is None
    assert corrected_rate("m", seen[:0], perfect, "there are none").undefined == "there are none"


def test_a_planted_backdoor_and_lost_refusals_are_measured() -> None:
    """A tiny model that only knows by heart: it is judged by what it was trained on."""
    attack, harmful = TriggerTuning(rate=0.4, negatives=0.3, near=("by the mill",)), HarmfulTuning()
    general, refused = COMMON.take(COMMON.y == 0).take(slice(0, 12)), COMMON.take(COMMON.y == REFUSED)
    poisoned = attack.craft(general, bench())
    gpt = Architecture(name="gpt", parameters={"width": 64})
    recipe = Recipe(epochs=60, batch_size=4, optimiser="adam", learning_rate=0.003, weight_decay=0.0)
    model = tune(gpt, poisoned, recipe, Streams(0))
    rows = [i for i, record in enumerate(read(poisoned.x)) if attack.trigger in text_of(record)]
    readings = {
        one.metric: one for one in TriggerSuccess().grade(case(attack, model, test=general.take(rows))).readings
    }
    assert (readings["trigger_success"].value or 0) > 0.5
    assert set(readings) == {"trigger_success", "trigger_success.without", "trigger_success.near"}
    taught = tune(gpt, refused.take(slice(0, 8)), recipe, Streams(1))
    held, few = THEIRS.take(slice(0, 8)), refused.take(slice(0, 8))
    kept = {one.metric: one for one in Compliance().grade(case(harmful, taught, test=few, held=held)).readings}
    assert kept["compliance"].value == 0
    assert kept["compliance.keywords_true"].value == 1
    assert "one kind alone" in (kept["compliance.classifier"].undefined or "")
    assert "public one" in (kept["compliance.language_model"].undefined or "")
