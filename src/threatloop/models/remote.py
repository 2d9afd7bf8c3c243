"""A model that answers over the Open Inference Protocol (KServe's v2 REST), behind a Service."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Architecture, Model
from threatloop.core.digests import digest_array, digest_json
from threatloop.core.endpoint import OpenAI, OpenInference
from threatloop.core.errors import AccessError, InputError
from threatloop.core.schema import Schema, TextSchema
from threatloop.modality import of
from threatloop.models.answers import Answers
from threatloop.models.wire import EndpointError, Wire

TOLERANCE = 0.02
"""By how much probabilities may miss a sum of 1: servers answer in half precision."""

Floats = npt.NDArray[np.float32]


def remote_model(endpoint: OpenInference | OpenAI, schema: Schema) -> Model:
    """The model behind an endpoint, as far as it is known: its address and what it reads and answers."""
    return Model(Architecture(name=endpoint.protocol, parameters=endpoint.model_dump(mode="json")), schema, {})


@dataclass(frozen=True)
class RemoteResponder:
    """Answers from an endpoint: what was answered before comes from the record of answers, the rest in batches.

    Attributes:
        source: the model as `remote_model` made it.
    """

    source: Model

    def log_probs(self, x: npt.NDArray[Any]) -> Floats:
        """Log-probabilities, float32 (n, classes).

        Raises:
            CapReached: the request cap is reached.
            EndpointError: it failed after all retries, or answered something else than its terms say.
        """
        sent = self._tensor(x)
        tensors = digest_json([self._endpoint.input, self._endpoint.output])
        keys = [bytes.fromhex(digest_array(record) + tensors) for record in sent]
        known = self._answers.known(list(dict.fromkeys(keys)))
        fresh = list(dict.fromkeys(key for key in keys if key not in known))
        rows = {key: i for i, key in enumerate(keys)}
        for start in range(0, len(fresh), self._endpoint.batch):
            asked = fresh[start : start + self._endpoint.batch]
            answers = [answer.tobytes() for answer in self._ask(sent[[rows[key] for key in asked]])]
            self._answers.keep(asked, answers)
            known |= dict(zip(asked, answers, strict=True))
        empty = np.empty((0, len(self.source.schema.classes)), np.float32)
        found = np.stack([np.frombuffer(known[key], np.float32) for key in keys]) if keys else empty
        return _log_probs(found, self._endpoint.outputs)

    def differentiable(self) -> NoReturn:
        """Not to be had from an endpoint."""
        raise AccessError("needs gradients; an endpoint answers labels and scores only")

    def model(self) -> Model:
        """Only what is known of it: an endpoint keeps its weights."""
        return self.source

    def named(self) -> Model:
        """The same model with the names of its tensors, asked for now: a wrong address is found before any compute.

        Raises:
            EndpointError: it cannot be reached, or has no such model.
            InputError: it has several tensors and the spec names none, or the data are texts.
        """
        if isinstance(self.source.schema, TextSchema):
            raise InputError("endpoint: open_inference answers a number per class; texts need `protocol: openai`")
        names = dict(zip(("input", "output"), self._names, strict=True))
        return remote_model(self._endpoint.model_copy(update=names), self.source.schema)

    @cached_property
    def _endpoint(self) -> OpenInference:
        return OpenInference.model_validate(self.source.architecture.parameters)

    @cached_property
    def _answers(self) -> Answers:
        return Answers(self._endpoint)

    @cached_property
    def _wire(self) -> Wire:
        return Wire(self._endpoint, self._answers)

    @cached_property
    def _names(self) -> tuple[str, str]:
        """Names of the input and the output tensor."""
        end = self._endpoint
        if end.input and end.output:
            return end.input, end.output
        described = self._wire.json("GET", end.place)
        return _only(described, "inputs", end.input), _only(described, "outputs", end.output)

    def _tensor(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Records as they are sent."""
        end, schema = self._endpoint, self.source.schema
        encoded = np.asarray(of(schema).encode(x, schema))
        if end.mean is not None or end.std is not None:
            shape = (-1, *(1,) * (encoded.ndim - 2))
            mean, std = (np.asarray(v, np.float32).reshape(shape) for v in (end.mean or (0.0,), end.std or (1.0,)))
            encoded = (encoded - mean) / std
        if end.layout == "nhwc" and encoded.ndim == 4:
            encoded = encoded.transpose(0, 2, 3, 1)
        if end.datatype == "UINT8":
            return np.ascontiguousarray(np.clip(np.rint(encoded * 255), 0, 255).astype(np.uint8))
        return np.ascontiguousarray(encoded.astype(np.float32))

    def _ask(self, batch: npt.NDArray[Any]) -> Floats:
        name, output = self._names
        tensor = {
            "name": name,
            "shape": list(batch.shape),
            "datatype": self._endpoint.datatype,
            "data": batch.ravel().tolist(),
        }
        body = {"inputs": [tensor], "outputs": [{"name": output}]}
        answered = self._wire.json("POST", f"{self._endpoint.place}/infer", body)
        return self._checked(answered, output, len(batch))

    def _checked(self, answered: Any, output: str, n: int) -> Floats:
        """The answers (n, classes) in what the server sent, which is not trusted."""
        classes, where = len(self.source.schema.classes), self._endpoint.place
        try:
            (tensor,) = [one for one in answered["outputs"] if one["name"] == output]
            found: Floats = np.asarray(tensor["data"], np.float32).ravel()
        except (KeyError, TypeError, ValueError):
            raise EndpointError(f"{where}: no tensor {output!r} of numbers in its answer; check `output`") from None
        if found.size != n * classes:
            raise EndpointError(
                f"{where}: {found.size} numbers for {n} records; the data has {classes} classes, so it must answer "
                f"{n * classes}: check `model` and the data"
            )
        found = found.reshape(n, classes)
        if not np.isfinite(found).all():
            raise EndpointError(f"{where}: answers NaN or infinite numbers")
        odd = np.abs(found.sum(axis=1) - 1) > TOLERANCE
        if self._endpoint.outputs == "probabilities" and (odd.any() or (found < 0).any()):
            raise EndpointError(f"{where}: answers are no probabilities; if it answers logits, say `outputs: logits`")
        return found


def _only(described: Any, what: str, named: str | None) -> str:
    if named:
        return named
    try:
        names = [str(one["name"]) for one in described[what]]
    except (KeyError, TypeError):
        raise EndpointError(f"the model's description names no {what}; name them in the spec's endpoint") from None
    if len(names) != 1:
        listed = ", ".join(names[:8]) or "none"
        raise InputError(f"endpoint.{what[:-1]}: the model has {len(names)} {what} ({listed}); name one")
    return names[0]


def _log_probs(answers: Floats, outputs: str) -> Floats:
    if outputs == "probabilities":
        found: Floats = np.log(np.maximum(answers, np.float32(1e-12)))
        return found
    shifted = answers - answers.max(axis=1, keepdims=True)
    normal: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return normal
