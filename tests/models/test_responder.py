"""A local network behind a Service: answers, access, counting."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from threatloop.core.access import BLACK_BOX, Capability
from threatloop.core.assets import Architecture, Model
from threatloop.core.errors import AccessError, BudgetExhausted, InputError
from threatloop.core.schema import Column, ImageSchema, TabularSchema, TextSchema
from threatloop.modality.conversation import write
from threatloop.models.build import build, load
from threatloop.models.device import bfloat16_is_fast, resolve
from threatloop.models.language.responder import LanguageResponder
from threatloop.models.network import dump
from threatloop.models.responder import LocalResponder, batch_size_for, local_service

SCHEMA = ImageSchema(classes=("0", "1", "2"), channels=1, height=8, width=8)


@pytest.fixture
def model() -> Model:
    architecture = Architecture(name="cnn", mean=(0.5,), std=(0.5,))
    return dump(build(architecture, SCHEMA, torch.Generator().manual_seed(0)), architecture, SCHEMA)


def records(n: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (n, 1, 8, 8), dtype=np.uint8)


def test_answers_are_log_probabilities_whatever_the_batch_size(model: Model) -> None:
    x = records(23)
    whole = LocalResponder(model).log_probs(x)
    with torch.no_grad():
        slow = torch.log_softmax(load(model)(torch.from_numpy(x).float() / 255), 1).numpy()
    assert whole.dtype == np.float32
    np.testing.assert_allclose(whole, slow, atol=1e-5)
    np.testing.assert_allclose(LocalResponder(model, batch_size=7).log_probs(x), whole, atol=1e-5)
    np.testing.assert_allclose(np.exp(whole).sum(1), 1, atol=1e-5)


def test_next_tokens_are_told_in_the_order_asked_whatever_the_batches() -> None:
    schema, architecture = TextSchema(width=100), Architecture(name="gpt", parameters={"width": 16, "layers": 1})
    speaker = LanguageResponder(
        dump(build(architecture, schema, torch.Generator().manual_seed(0)), architecture, schema)
    )
    x = write(["ab" * (5 + 7 * i % 41) + str(i) for i in range(45)], 100)
    assert (x != 0).sum() > 2048  # More than one batch.
    bias = [{i: 3.0} for i in range(45)]
    told = speaker.next_log_probs(x, bias)
    alone = [speaker.next_log_probs(one[None], [change])[0] for one, change in zip(x, bias, strict=True)]
    np.testing.assert_allclose(told, alone, atol=1e-5)
    assert speaker.next_log_probs(x[:0]).shape == (0, told.shape[1])


def test_what_was_read_before_is_not_read_again() -> None:
    schema, architecture = TextSchema(width=20), Architecture(name="gpt", parameters={"width": 16, "layers": 1})
    plain = LanguageResponder(dump(build(architecture, schema, torch.Generator().manual_seed(0)), architecture, schema))
    x = write(["first", "second", "third"], 20)
    slow, known = plain.log_probs(x), np.full((20, 3), -1, np.float32)
    told = replace(plain, told={x[1].tobytes(): known}).log_probs(x)
    np.testing.assert_array_equal(told[1], known)
    np.testing.assert_allclose(told[[0, 2]], slow[[0, 2]], atol=1e-6)


def test_a_memory_map_is_answered_batch_by_batch(model: Model, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", records(50))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(LocalResponder(model).log_probs(mapped), LocalResponder(model).log_probs(records(50)))


def test_read_only_records_are_answered_without_a_warning() -> None:
    schema = TabularSchema(classes=("0", "1"), columns=tuple(Column(name=n) for n in "ab"))
    architecture = Architecture(name="mlp")
    table = dump(build(architecture, schema, torch.Generator().manual_seed(0)), architecture, schema)
    rows = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    expected = LocalResponder(table).log_probs(rows.copy())
    rows.flags.writeable = False
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = LocalResponder(table).log_probs(rows)
    finally:
        torch.set_warn_always(False)
    np.testing.assert_array_equal(found, expected)


def test_batches_shrink_with_the_record() -> None:
    large = ImageSchema(classes=("0", "1"), channels=3, height=224, width=224)
    assert 1 <= batch_size_for(large) < 20 < batch_size_for(SCHEMA)


def test_gradients_reach_the_input_and_not_the_weights(model: Model) -> None:
    with torch.inference_mode():
        LocalResponder(model).log_probs(records(2))
    x = (torch.from_numpy(records(2)).float() / 255).requires_grad_()
    LocalResponder(model).differentiable()(x)[:, 0].sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert x.grad.abs().max() > 0
    assert all(p.grad is None for p in load(model).parameters())


def test_the_service_enforces_capabilities_and_counts(model: Model) -> None:
    service = local_service(model, BLACK_BOX, limit=10)
    assert service.architecture is None
    assert service.labels(records(4)).shape == (4,)
    service.narrowed([Capability.SCORES]).log_probs(records(5))
    assert service.ledger.spent == 9
    with pytest.raises(BudgetExhausted):
        service.labels(records(2))
    assert service.ledger.spent == 9
    for use in (service.differentiable, service.model):
        with pytest.raises(AccessError):
            use()
    with pytest.raises(AccessError):
        service.narrowed([Capability.WEIGHTS])


def test_the_owner_holds_everything(model: Model) -> None:
    service = local_service(model)
    assert service.model() is model
    assert service.architecture == model.architecture
    forward = service.differentiable()
    forward(torch.zeros(3, 1, 8, 8))
    assert service.ledger.spent == 3


def test_records_of_another_shape_get_one_line(model: Model) -> None:
    with pytest.raises(InputError, match=r"records of shape \(1, 9, 9\); the model reads \(1, 8, 8\)"):
        LocalResponder(model).log_probs(np.zeros((1, 1, 9, 9), np.uint8))


def test_devices_resolve_or_say_what_is_there() -> None:
    assert resolve("cpu").type == "cpu"
    assert resolve("auto").type in {"cpu", "cuda", "mps"}
    with pytest.raises(InputError, match="use auto, cpu, cuda or mps"):
        resolve("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="not available"):
            resolve("cuda")
    assert not bfloat16_is_fast("mps")
