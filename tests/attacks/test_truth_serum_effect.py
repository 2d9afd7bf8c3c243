"""Privacy poisoning exposes its targets; the same poison aimed at others does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from m2d_world import TRAINING, digits
from sklearn.metrics import roc_auc_score

from threatloop import modality
from threatloop.algorithms.shadow_scoring import lira_online
from threatloop.attacks.data_to_model.mislabelled_noise import MislabelledNoise
from threatloop.attacks.data_to_model.truth_serum import TruthSerum
from threatloop.core.assets import Dataset, Evidence, concatenate
from threatloop.core.bench import Bench, Resource
from threatloop.core.metric import Case
from threatloop.core.seeds import Streams
from threatloop.engine.operations.shadows import balanced_masks
from threatloop.metrics.membership import Membership

STREAMS = Streams(3, ("serum",))
MODELS, TARGETS = 16, 20
RECORDS = digits().take(STREAMS.numpy("split").permutation(1797))
CANDIDATES, OFFERED = RECORDS.take(slice(0, 600)), RECORDS.take(slice(600, 700))


def exposure(added: Dataset) -> float:
    """AUC over all pairs of model and target, each model attacked with the others as shadows."""
    n = len(CANDIDATES)
    masks = balanced_masks(MODELS, n, STREAMS)
    pool = concatenate([CANDIDATES, added])
    rows = np.concatenate([masks, np.ones((MODELS, len(added)), np.bool_)], axis=1)
    models = TRAINING.fit_many(pool, rows, [STREAMS.child(f"model-{k}") for k in range(MODELS)])
    targets = CANDIDATES.take(slice(0, TARGETS))
    kind = modality.of(targets.schema)
    signals = np.stack([kind.membership_signal(one, targets) for one in TRAINING.answers(models, targets)])
    rest = [np.arange(MODELS) != k for k in range(MODELS)]
    member = masks[:, :TARGETS]
    scores = np.stack([lira_online(signals[k], signals[rest[k]], member[rest[k]]) for k in range(MODELS)])
    return float(roc_auc_score(member.ravel(), scores.ravel()))


def test_the_targets_are_exposed_and_matched_noise_does_not_do_it() -> None:
    bench = Bench(STREAMS, {Resource.TARGETS: CANDIDATES.take(slice(0, TARGETS))})
    attacks = TruthSerum(targets=TARGETS, replicas=4), MislabelledNoise(targets=TARGETS, replicas=4)
    aimed, noise = (exposure(attack.run(OFFERED, bench).result) for attack in attacks)
    honest = exposure(OFFERED)
    assert aimed > honest + 0.2
    assert aimed > noise + 0.2
    assert noise < honest + 0.1


def test_targets_have_a_figure_of_their_own_and_none_in_the_main_one() -> None:
    members, targets = CANDIDATES.take(slice(0, 300)), CANDIDATES.take(slice(290, 310))
    member = np.arange(600) < 300
    rng = np.random.default_rng(0)
    score = rng.random(600)
    score[290:310] = member[290:310]
    truths: dict[str, Any] = {
        "outcome": Evidence({"score": score}),
        "candidates": CANDIDATES,
        "members": members,
        "targets": targets,
    }
    case = Case(truths, TruthSerum(), STREAMS, facts={"touched": targets.ids.tolist()})
    found = {reading.metric: reading for reading in Membership().grade(case).readings}
    assert found["membership.targets"].value == 1
    assert found["membership.targets"].n == 20
    assert found["membership"].n == 580
    untouched = np.r_[0:290, 310:600]
    assert found["membership"].value == pytest.approx(roc_auc_score(member[untouched], score[untouched]))


def test_targets_of_one_kind_have_no_area_and_say_so() -> None:
    truths: dict[str, Any] = {
        "outcome": Evidence({"score": np.arange(600.0)}),
        "candidates": CANDIDATES,
        "members": CANDIDATES.take(slice(0, 300)),
        "targets": CANDIDATES.take(slice(400, 410)),
    }
    found = {reading.metric: reading for reading in Membership().grade(Case(truths, TruthSerum(), STREAMS)).readings}
    assert found["membership.targets"].value is None
    assert found["membership.targets"].undefined
