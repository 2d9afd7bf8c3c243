"""Base models of Hugging Face's format: tokens that count, a cache that changes nothing, adapters that share a base."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="the llm extra is not installed")
pytest.importorskip("peft", reason="the llm extra is not installed")

from threatloop.algorithms.tuning import tune
from threatloop.algorithms.written_training import training_of
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.errors import InputError, Problems
from threatloop.core.recipe import Recipe
from threatloop.core.schema import TextSchema
from threatloop.core.seeds import Streams
from threatloop.defences.training.dp_sgd import DPSGD
from threatloop.modality.conversation import asked, write
from threatloop.modality.pairs import Pair, write_pairs
from threatloop.models.language import bases
from threatloop.models.language.bases import find_base, folder_of
from threatloop.models.language.hub import HubLanguage
from threatloop.models.language.hub_base import Adapter
from threatloop.models.language.loading import check_language, language_of
from threatloop.models.language.scoring import token_scores
from threatloop.models.language.writing import Style, continued
from threatloop.models.responder import local_service
from tiny_hub import save_tiny

RECIPE = Recipe(epochs=30, batch_size=4, optimiser="adam", learning_rate=0.02, weight_decay=0.0)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return find_base(str(save_tiny(tmp_path_factory.mktemp("base"))), Path()).digest


def adapted(base: str, **more: object) -> Architecture:
    return Architecture(name="causal_lm", parameters={"base": base, "context": 96, **more})


def chats(*pairs: tuple[str, str]) -> Dataset:
    x = write([asked(question, answer) for question, answer in pairs], 40)
    return Dataset(x, np.zeros(len(x), np.int64), TextSchema(width=40), np.arange(len(x)))


LESSON = chats(("abc?", "yes"), ("xyz?", "no"), ("klm?", "yes"), ("uvw?", "no"))


def plain(base: str) -> HubLanguage:
    language = HubLanguage(Adapter(base=base, context=96), CPU)
    language.adopt({})
    return language


def test_the_assistants_words_and_their_end_count(base: str) -> None:
    codec = plain(base).codec
    tokens = codec.tokens((*asked("Why?", "So.", "Be brief."), *asked("And?", "No.")))
    counted = [i for i, counts in zip(tokens.ids, tokens.counted, strict=True) if counts]
    assert codec.text(counted) == "So.No."
    assert sum(i in codec.ends for i in counted) == 2
    assert tokens.ids[: len(codec.prompt(asked("Why?", None, "Be brief.")))] == codec.prompt(
        asked("Why?", None, "Be brief.")
    )
    assert codec.tokens("abc").counted == (False, True, True)


def test_a_fresh_adapter_changes_nothing_and_the_cache_neither(base: str) -> None:
    language = plain(base)
    prompts = [language.codec.prompt(asked("Why?")), language.codec.prompt(asked("A longer question, is it?"))]
    before = continued(language, prompts, Style(6))
    for prompt, found in zip(prompts, before, strict=True):
        ids = list(prompt)
        for _ in range(6):
            with torch.inference_mode():
                best = int(language.project(language.hidden(torch.tensor([ids])))[0, -1].argmax())
            if best in language.codec.ends:
                break
            ids.append(best)
        assert found == ids[len(prompt) :]
    language.draw(torch.Generator().manual_seed(1))
    assert continued(language, prompts, Style(6)) == before


def test_states_lie_on_the_sphere_of_the_last_norm(base: str) -> None:
    language = plain(base)
    norm = language.last_norm()
    assert norm is not None
    with torch.no_grad():
        states = language.hidden(torch.arange(5, 25)[None])[0]
    assert (((states - norm.shift) / norm.gain).square().mean(dim=1) - 1).abs().max() < 0.01


def test_scores_are_those_of_a_slow_reading(base: str) -> None:
    language = plain(base)
    tokens = [language.codec.tokens(record) for record in ("hello", asked("Why?", "So."))]
    scores = token_scores(language, tokens, 20)
    for one, found in zip(tokens, scores, strict=True):
        with torch.inference_mode():
            log_p = torch.log_softmax(language.project(language.hidden(torch.tensor([one.ids])))[0], -1).numpy()
        slow = [log_p[t - 1, one.ids[t]] for t in range(1, len(one.ids)) if one.counted[t]]
        np.testing.assert_allclose(found[: len(slow), 0], slow, atol=1e-4)


def test_an_adapter_learns_and_two_share_one_base(base: str) -> None:
    first = tune(adapted(base), LESSON, RECIPE, Streams(0))
    second = tune(adapted(base), chats(("abc?", "never"), ("xyz?", "never")), RECIPE, Streams(0))
    assert first.notes["train_accuracy"] > 0.95
    assert all(".lora_" in name for name in first.weights)
    asking = write([asked("abc?"), asked("xyz?")], 40)
    one, two = (local_service(model) for model in (first, second))
    assert one.replies(asking, 8) == ["yes", "no"]
    assert two.replies(asking, 8) == ["never", "never"]
    assert one.replies(asking, 8) == ["yes", "no"]
    kept, other = (language_of(model, CPU) for model in (first, second))
    with torch.inference_mode():
        before = kept.project(kept.hidden(torch.tensor([[5, 6, 7]])))
        other.hidden(torch.tensor([[5, 6, 7]]))
        assert torch.equal(before, kept.project(kept.hidden(torch.tensor([[5, 6, 7]]))))


def test_what_is_learned_survives_a_look_at_another_adapter(base: str) -> None:
    language, other = plain(base), plain(base)
    language.draw(torch.Generator().manual_seed(0))
    language.train(True)
    for parameter in language.learning().values():
        parameter.data += 0.5
    other.hidden(torch.tensor([[5, 6]]))
    assert all((array >= 0.3).all() for name, array in language.weights().items() if ".lora_B." in name)


def test_same_streams_same_adapter_and_training_goes_on(base: str) -> None:
    short = RECIPE.model_copy(update={"epochs": 2})
    state = torch.get_rng_state()
    one, same, other = (tune(adapted(base), LESSON, short, Streams(seed)) for seed in (1, 1, 2))
    assert one.digest == same.digest != other.digest
    assert torch.equal(state, torch.get_rng_state())
    again = tune(adapted(base), LESSON, Recipe(epochs=1, learning_rate=1e-9), Streams(3), init=one)
    for name, weights in one.weights.items():
        np.testing.assert_allclose(again.weights[name], weights, atol=1e-6)


def test_an_adapter_can_be_trained_in_private(base: str) -> None:
    training = training_of({"architecture": adapted(base), "recipe": RECIPE, "device": "cpu"}, {})
    notes = DPSGD(epsilon=4.0).applied(training).fit(LESSON, Streams(0)).notes
    assert notes["epsilon"] <= 4


def test_bases_that_are_none_are_named(tmp_path: Path, base: str) -> None:
    with pytest.raises(InputError, match=r"no model there; give smollm2"):
        find_base("nowhere", tmp_path)
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text("{}")
    (pickled / "pytorch_model.bin").write_bytes(b"no")
    with pytest.raises(InputError, match="pickles are not read"):
        find_base("pickled", tmp_path)
    (tmp_path / "odd.gguf").write_bytes(b"GGUF" + bytes(60))
    with pytest.raises(InputError, match="GGUF file cannot be read"):
        folder_of(find_base("odd.gguf", tmp_path).digest)
    with pytest.raises(InputError, match="not known on this machine"):
        folder_of("0" * 32)
    strange = save_tiny(tmp_path / "strange")
    about = json.loads((strange / "config.json").read_text())
    (strange / "config.json").write_text(json.dumps({**about, "model_type": "unheard_of"}))
    digest = find_base("strange", tmp_path).digest
    with pytest.raises(InputError, match="cannot be loaded"):
        HubLanguage(Adapter(base=digest), CPU)
    assert folder_of(base).is_dir()


def test_bad_parameters_are_listed_and_a_context_beyond_the_base_refused(base: str) -> None:
    with pytest.raises(Problems, match=r"rank.*(?s:.)*heads"):
        check_language(adapted(base, rank=0, heads=3), TextSchema(width=8))
    with pytest.raises(InputError, match="context 500 is beyond the base model's 128"):
        check_language(adapted(base, context=500), TextSchema(width=8))
    check_language(adapted(base), TextSchema(width=8))
    with pytest.raises(InputError, match="layers"):
        HubLanguage(Adapter(base=base, layers=("nothing_of_this_name",)), CPU)


def test_an_adapter_of_another_base_is_refused(base: str) -> None:
    model = tune(adapted(base), LESSON, RECIPE.model_copy(update={"epochs": 1}), Streams(0))
    wider = HubLanguage(Adapter(base=base, rank=4, context=96), CPU)
    with pytest.raises(InputError, match="does not fit the base model"):
        wider.adopt(model.weights)


def test_a_tokenizer_without_template_reads_documents_alone(tmp_path: Path) -> None:
    digest = find_base(str(save_tiny(tmp_path / "bare", template=None)), Path()).digest
    codec = plain(digest).codec
    assert codec.tokens("abc").counted == (False, True, True)
    with pytest.raises(InputError, match="no template for conversations"):
        codec.tokens(asked("Why?", "So."))


def test_a_folder_that_moves_keeps_its_digest(tmp_path: Path) -> None:
    one, two = (find_base(str(save_tiny(tmp_path / name)), Path()) for name in ("a", "b"))
    assert one.digest == two.digest
    assert find_base(str(save_tiny(tmp_path / "c", seed=1)), Path()).digest != one.digest


@pytest.mark.slow
def test_the_embedded_base_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    try:
        found = find_base("smollm2", Path())
    except InputError as reason:
        pytest.skip(str(reason))
    bases._places[found.digest] = found.path
    language = HubLanguage(Adapter(base=found.digest), CPU)
    language.adopt({})
    assert (language.width, language.codec.size) == (576, 49152)
    ids = continued(language, [language.codec.prompt(asked("What is the capital of France?"))], Style(8))
    assert "Paris" in language.codec.text(ids[0])


def test_an_adapter_learns_preferences_from_its_base(base: str) -> None:
    pairs = [Pair(asked(f"q{a}?", f"yes {a}"), f"no {a}") for a in "abcdefgh"]
    x = write_pairs([*pairs, *(pair.exchanged for pair in pairs)], 48)
    sides = [x[: len(pairs)], x[len(pairs) :]]
    data = Dataset(sides[0], np.zeros(len(pairs), np.int64), TextSchema(width=48), np.arange(len(pairs)))
    recipe = Recipe(epochs=20, batch_size=4, optimiser="adam", learning_rate=0.01, objective="dpo", beta=0.5)
    tuned = tune(adapted(base), data, recipe, Streams(0))
    assert tuned.notes["train_accuracy"] == 1
    before, after = (
        np.diff([np.nansum(local_service(model).log_probs(side)[..., 0], axis=1) for side in sides], axis=0)
        for model in (Model(tuned.architecture, tuned.schema, {}), tuned)
    )
    assert (after < before - 1).all()
