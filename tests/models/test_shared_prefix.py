"""Many continuations of one text: the way that reads it once, against reading everything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from threatloop.core.access import Capability, Ledger
from threatloop.core.assets import Architecture
from threatloop.core.errors import BudgetExhausted
from threatloop.core.schema import TextSchema
from threatloop.core.service import Service
from threatloop.models.build import build
from threatloop.models.language.language import Language
from threatloop.models.language.loading import language_of, public, pupil
from threatloop.models.network import dump
from threatloop.models.responder import local_service
from tiny_hub import save_tiny

SCHEMA = TextSchema(width=40)
GPT = Architecture(name="gpt", parameters={"width": 16, "layers": 1})
PREFIX = (5, 9, 7, 30, 2)
CPU = torch.device("cpu")


def small() -> Service:
    service = local_service(dump(build(GPT, SCHEMA, torch.Generator().manual_seed(3)), GPT, SCHEMA))
    return Service(service.responder, SCHEMA, frozenset({Capability.GRADIENTS}), Ledger(6))


def slow(language: Language, rows: torch.Tensor, prefix: tuple[int, ...] = PREFIX) -> torch.Tensor:
    """Row by row, all of it each time."""
    states = [language.hidden(torch.tensor([[*prefix, *row.tolist()]]))[0, len(prefix) :] for row in rows]
    return torch.stack(states).detach()


def rows(n: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(1, 60, (n, 6)))


def test_the_default_way_reads_everything() -> None:
    language = small().responder.differentiable()
    torch.testing.assert_close(language.behind(PREFIX, rows(4)), slow(language, rows(4)))
    torch.testing.assert_close(language.behind((), rows(4)), slow(language, rows(4), ()))


def test_every_text_that_is_read_is_charged_and_none_beyond_the_limit() -> None:
    service = small()
    language = service.differentiable()
    plain = service.responder.differentiable()
    torch.testing.assert_close(language.behind(PREFIX, rows(4)), plain.behind(PREFIX, rows(4)))
    torch.testing.assert_close(language.hidden(rows(1)), plain.hidden(rows(1)))
    language.project(torch.zeros(100, 16))
    assert service.ledger.spent == 5
    with pytest.raises(BudgetExhausted):
        language.hidden_of(language.embed(rows(2)))
    assert service.ledger.spent == 5


@pytest.fixture
def adapted(tmp_path: Path) -> Architecture:
    """A base of random weights in Hugging Face's format."""
    pytest.importorskip("transformers")
    pytest.importorskip("peft")
    from threatloop.models.language.bases import find_base

    save_tiny(tmp_path)
    return Architecture(name="causal_lm", parameters={"base": find_base(str(tmp_path), tmp_path).digest, "context": 64})


def test_a_cached_prefix_gives_the_same_states(adapted: Architecture) -> None:
    language = pupil(adapted, SCHEMA, torch.Generator().manual_seed(0), CPU, None)
    for seed in range(2):
        found = language.behind(PREFIX, rows(4, seed))
        torch.testing.assert_close(found, slow(language, rows(4, seed)), rtol=1e-4, atol=1e-5)
        vectors = language.embed(rows(4, seed)).detach().requires_grad_(True)
        from_vectors = language.hidden_of(vectors, PREFIX)
        torch.testing.assert_close(from_vectors, found, rtol=1e-4, atol=1e-5)
        whole = torch.cat([language.embed(torch.tensor([PREFIX])).detach().expand(4, -1, -1), vectors], 1)
        (slope,) = torch.autograd.grad(from_vectors.sum(), vectors)
        (obvious,) = torch.autograd.grad(language.hidden_of(whole)[:, len(PREFIX) :].sum(), vectors)
        torch.testing.assert_close(slope, obvious, rtol=1e-3, atol=1e-4)
    other = (1, 2, 3)
    torch.testing.assert_close(language.behind(other, rows(3)), slow(language, rows(3), other), rtol=1e-4, atol=1e-5)
    assert language.behind((), rows(3)).shape == (3, 6, 32)


@pytest.mark.parametrize("shared", [0, 1, 30, 40])
def test_a_shared_beginning_changes_no_state_and_no_gradient(adapted: Architecture, shared: int) -> None:
    language = pupil(adapted, SCHEMA, torch.Generator().manual_seed(0), CPU, None)
    language.train(True)
    for number, weights in enumerate(language.learning().values()):
        torch.nn.init.normal_(weights, std=0.1, generator=torch.Generator().manual_seed(number))
    ids = torch.from_numpy(np.random.default_rng(1).integers(1, 60, (5, 40)))
    ids[:, :shared] = ids[0, :shared]
    together = language.hidden(ids)
    alone = torch.cat([language.hidden(row[None]) for row in ids])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    weighted = torch.linspace(-1, 1, alone.numel()).reshape(alone.shape)
    slopes = [
        torch.autograd.grad((states * weighted).sum(), list(language.learning().values()))
        for states in (together, alone)
    ]
    for ours, slow_one in zip(*slopes, strict=True):
        torch.testing.assert_close(ours, slow_one, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shared", [0, 1, 30])
def test_prompts_that_begin_alike_are_answered_as_each_alone(adapted: Architecture, shared: int) -> None:
    language = pupil(adapted, SCHEMA, torch.Generator().manual_seed(0), CPU, None)
    rng = np.random.default_rng(2)
    start = rng.integers(1, 60, shared).tolist()
    prompts = [[*start, *rng.integers(1, 60, length).tolist()] for length in (1, 7, 3, 12)]
    following = [5, 6, 7, 8]
    with torch.inference_mode():
        reading, told = language.begin(prompts)
        later = language.go_on(reading, following)
        for row, (prompt, one) in enumerate(zip(prompts, following, strict=True)):
            alone, first = language.begin([prompt])
            torch.testing.assert_close(told[row], first[0], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(later[row], language.go_on(alone, [one])[0], rtol=1e-4, atol=1e-5)
            slow_one = language.project(language.hidden(torch.tensor([[*prompt, one]])))[0, -1]
            torch.testing.assert_close(later[row], slow_one, rtol=1e-4, atol=1e-5)


def test_what_was_read_in_rounded_numbers_does_not_reach_exact_ones(adapted: Architecture) -> None:
    language = pupil(adapted, SCHEMA, torch.Generator().manual_seed(0), CPU, None)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = language.behind(PREFIX, rows(4))
    exact = language.behind(PREFIX, rows(4))
    torch.testing.assert_close(exact, slow(language, rows(4)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(rounded.float(), exact, rtol=0.1, atol=0.1)


def test_a_cached_prefix_is_forgotten_when_the_weights_change(adapted: Architecture) -> None:
    language = pupil(adapted, SCHEMA, torch.Generator().manual_seed(0), CPU, None)
    before = language.behind(PREFIX, rows(2))
    language.train(True)
    with torch.no_grad():
        for weights in language.learning().values():
            weights.add_(0.3)
    changed = language.behind(PREFIX, rows(2))
    language.train(False)
    assert not torch.allclose(before, changed)
    torch.testing.assert_close(language.behind(PREFIX, rows(2)), slow(language, rows(2)), rtol=1e-4, atol=1e-5)


def test_the_public_model_is_the_base_without_an_adapter(adapted: Architecture) -> None:
    model = public(adapted, SCHEMA)
    assert model is not None
    fresh = pupil(adapted, SCHEMA, torch.Generator().manual_seed(0), CPU, None)
    states = language_of(model, CPU).hidden(rows(2)).detach()
    torch.testing.assert_close(states, fresh.hidden(rows(2)).detach())
    assert public(GPT, SCHEMA) is None


def test_zeros_are_skipped_and_nobody_elses_adapter_with_them(adapted: Architecture) -> None:
    fresh = pupil(adapted, SCHEMA, torch.Generator().manual_seed(0), CPU, None)
    plain = fresh.hidden(rows(2)).detach()
    tuned = pupil(adapted, SCHEMA, torch.Generator().manual_seed(1), CPU, None)
    tuned.train(True)
    with torch.no_grad():
        for weights in tuned.learning().values():
            weights.add_(0.3)
    tuned.train(False)
    changed = tuned.hidden(rows(2)).detach()
    assert not torch.allclose(plain, changed)
    torch.testing.assert_close(fresh.hidden(rows(2)).detach(), plain)
    torch.testing.assert_close(tuned.hidden(rows(2)).detach(), changed)
    fresh.train(True)
    learning = fresh.learning()
    slopes = torch.autograd.grad(fresh.hidden(rows(2)).square().sum(), list(learning.values()), allow_unused=True)
    moved = {name for name, slope in zip(learning, slopes, strict=True) if slope is not None and slope.any()}
    assert moved == {name for name in learning if ".lora_B." in name}
