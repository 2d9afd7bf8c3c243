"""A network from a model's scores back to records."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from threatloop.algorithms.autoencoder import LEARNING_RATE, shuffled
from threatloop.algorithms.batches import Records, learning_rate
from threatloop.algorithms.generator import Floats, generator, swift
from threatloop.algorithms.record_features import channel_scale
from threatloop.core.assets import Dataset
from threatloop.core.seeds import Streams
from threatloop.models.shapes import input_shape

Labels = npt.NDArray[np.int64]
LOG_FLOOR = -30.0
"""Log-probabilities below this are noise of rounding."""


def truncated(log_probs: Floats, top: int | None) -> Floats:
    """Scores as log-odds around their mean (n, classes), with all but the ``top`` largest levelled.

    The rest of the probability is shared equally among the others, so that what the network learns from is what a
    service shows that answers its largest scores only. Yang et al. 2019, arXiv 1902.08552, section 4.3.
    """
    scores = np.maximum(log_probs.astype(np.float64), LOG_FLOOR)
    if top is not None and top < scores.shape[1]:
        order = np.argsort(-scores, axis=1, kind="stable")
        rest = np.log(np.maximum(np.exp(np.take_along_axis(scores, order[:, top:], axis=1)).mean(axis=1), 1e-13))
        np.put_along_axis(scores, order[:, top:], rest[:, None], axis=1)
    return np.asarray(scores - scores.mean(axis=1, keepdims=True), dtype=np.float32)


def prototypes(scores: Floats, y: Labels, per_class: int, confident: float, rng: np.random.Generator) -> Floats:
    """Scores (classes × per_class, classes) that a typical record of each class gets, from scores (n, classes).

    Each is the mean of a bootstrap sample of the share ``confident`` of the records that the model gives to the class
    with the widest margin. A class that it gives to no record is represented by the records labelled ``y``; one
    without those by a one-hot vector of the usual height.
    """
    classes = scores.shape[1]
    given, rows = scores.argmax(axis=1), []
    height = float(scores.max(axis=1).mean())
    for label in range(classes):
        own = scores[given == label] if (given == label).any() else scores[y == label]
        if not len(own):
            hot = np.full((per_class, classes), -height / (classes - 1), np.float32)
            hot[:, label] = height
            rows.append(hot)
            continue
        margin = own[:, label] - np.delete(own, label, axis=1).max(axis=1)
        best = own[np.argsort(-margin, kind="stable")[: max(1, round(confident * len(own)))]]
        rows.append(best[rng.integers(len(best), size=(per_class, len(best)))].mean(axis=1))
    return np.concatenate(rows).astype(np.float32)


class ScoreInverter:
    """The network, trained on records and the scores (n, classes) that the model gives them.

    Yang, Zhang, Chang, Liang 2019, "Neural Network Inversion in Adversarial Setting via Background Knowledge
    Alignment", arXiv 1902.08552, section 4.

    Attributes:
        loss: mean squared error, in units of the data's spread, over the first and the last tenth of training.
    """

    def __init__(self, data: Dataset, scores: Floats, steps: int, width: int, streams: Streams) -> None:
        self._mean, self._std = scores.mean(axis=0), np.maximum(scores.std(axis=0), 1e-6)
        self._network = generator(data.schema, scores.shape[1], streams.integer("weights"), data, width)
        self.loss = self._fit(data, self._standard(scores), steps, streams)
        self._network.eval()

    def __call__(self, scores: Floats) -> Floats:
        """Encoded records (n, *shape) of these scores (n, classes)."""
        with torch.no_grad():
            return np.asarray(self._network(self._standard(scores)).numpy())

    def _standard(self, scores: Floats) -> torch.Tensor:
        return torch.from_numpy(((scores - self._mean) / self._std).astype(np.float32))

    def _fit(self, data: Dataset, inputs: torch.Tensor, steps: int, streams: Streams) -> tuple[float, float]:
        optimiser = torch.optim.Adam(self._network.parameters(), LEARNING_RATE, fused=True)
        records, losses = Records.of(data), []
        scale = torch.from_numpy(channel_scale(data)).reshape(input_shape(data.schema))
        body, head = swift(self._network.body, input_shape(data.schema)), self._network.head
        for step, rows in enumerate(shuffled(len(data), steps, streams.numpy("order"))):
            made = head(body(inputs[torch.from_numpy(rows)]))
            loss = ((records.take(rows) - made) / scale).square().mean()
            optimiser.param_groups[0]["lr"] = learning_rate(LEARNING_RATE, step, steps)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
        tenth = max(1, steps // 10)
        return float(np.mean(losses[:tenth])), float(np.mean(losses[-tenth:]))
