"""Training on what others wrote, without a check between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from threatloop.core.step import Direction
from threatloop.supply_chain.code.facts import Call, Matcher
from threatloop.supply_chain.code.rule import Match, Module, Rule, Unsure
from threatloop.supply_chain.code.values import OUTSIDE, Origin, Value, union
from threatloop.supply_chain.result import Severity
from threatloop.threats.ontology import Stage

_METHODS: Final = Matcher("*.fit", "*.partial_fit", "*.fit_transform", "*.fit_generator", "*.train_on_batch",
                          "*.fit_resample",
                          "*.fit_predict", "*.learn_one", "xgboost.train", "lightgbm.train")  # fmt: skip
_TRAINERS: Final = Matcher("transformers.Trainer", "transformers.Seq2SeqTrainer", "trl.SFTTrainer", "trl.DPOTrainer",
                           "trl.RewardTrainer", "trl.PPOTrainer", "trl.GRPOTrainer",
                           "sentence_transformers.SentenceTransformerTrainer",
                           "setfit.Trainer", "setfit.SetFitTrainer")  # fmt: skip
_DATA: Final = ("train_dataset", "data", "x", "X", "train_data", "training_data", "train_set", "dtrain")
_TUNING: Final = Matcher("*.fine_tuning.jobs.create", "openai.FineTune.create", "*.fine_tunes.create")
_USERS: Final = frozenset({Origin.REQUEST, Origin.UPLOAD, Origin.COLLECTED})
_NO_TRAINING: Final = ("scaler", "vectorizer", "tokenizer", "encoder", "imputer", "pca", "tsne", "umap", "kmeans")


def _unverified(module: Module) -> Iterator[Match | Unsure]:
    for call, _ in module.facts.named(_METHODS):
        data = [*call.args[:2], *(call.keywords[name] for name in _DATA if name in call.keywords)]
        yield from _judge(call, data)
    for call, _ in module.facts.named(_TRAINERS):
        data = [call.keywords[name] for name in ("train_dataset",) if name in call.keywords]
        yield from _judge(call, data)
    for call, _ in module.facts.named(_TUNING):
        yield from _judge(call, list(call.keywords.values()))


def _judge(call: Call, data: list[Value]) -> Iterator[Match]:
    found = union(data) & OUTSIDE
    if not found:
        return
    words = " and ".join(sorted(str(origin) for origin in found))
    severity = Severity.HIGH if found & _USERS else Severity.MEDIUM
    yield Match(call.node, "", f"the training data comes from {words}, and no check of it is seen", severity)


RULES: Final = (
    Rule(
        id="unverified-training-data",
        title="A model is trained on unverified outside data",
        severity=Severity.HIGH,
        threat="unverified-training-data",
        direction=Direction.DATA_TO_MODEL,
        stage=Stage.DATA_PREPARATION,
        fix="screen submissions before they are used, limit what one source adds, pin a hash of downloads",
        reference="https://arxiv.org/abs/2302.10149",
        glimpse=(
            r"fit|Trainer|fine_tun|train_on_batch|learn_one|\.train\(",
            r"http|request|[Uu]pload|download|feedback|submi|scrape|crawl|streamlit|retriev|similarity|thumbs|conversations_log",
        ),
        check=_unverified,
    ),
)
