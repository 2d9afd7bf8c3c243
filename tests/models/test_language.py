"""Language models: tokens that count, scores against a slow reading, and writing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from threatloop.core.assets import Architecture, Model
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.schema import Column, TabularSchema, TextSchema
from threatloop.modality.conversation import MARK, asked, write
from threatloop.models.build import build
from threatloop.models.language.byte_level import ByteLanguage
from threatloop.models.language.codecs import ByteCodec
from threatloop.models.language.language import LastNorm
from threatloop.models.language.loading import language_of
from threatloop.models.language.scoring import batches, token_scores
from threatloop.models.language.writing import Style, continued
from threatloop.models.network import dump
from threatloop.models.responder import local_service

SCHEMA = TextSchema(width=40)
GPT = Architecture(name="gpt", parameters={"width": 16, "layers": 1})
CODEC = ByteCodec()


def model() -> Model:
    return dump(build(GPT, SCHEMA, torch.Generator().manual_seed(3)), GPT, SCHEMA)


def language() -> ByteLanguage:
    found = language_of(model(), torch.device("cpu"))
    assert isinstance(found, ByteLanguage)
    return found


def test_of_a_document_all_tokens_but_the_first_count() -> None:
    assert CODEC.tokens("abc").counted == (False, True, True)


def test_of_a_conversation_what_the_assistant_says_counts_and_its_end() -> None:
    tokens = CODEC.tokens((*asked("Why?", "So."), *asked("And?", "No.")))
    assert bytes(i for i, counts in zip(tokens.ids, tokens.counted, strict=True) if counts) == b"So.\x1eNo.\x1e"
    assert not any(CODEC.tokens(asked("Why?")).counted)
    assert CODEC.text([*CODEC.prompt(asked("Why?"))]).endswith("a")
    whole = CODEC.tokens(asked("Why?", "So."))
    assert whole.ids[: len(CODEC.prompt(asked("Why?")))] == CODEC.prompt(asked("Why?"))


def test_scores_are_those_of_a_slow_reading() -> None:
    reader = language()
    tokens = [CODEC.tokens(record) for record in ("hello world", asked("Why?", "So."), "ab")]
    scores = token_scores(reader, tokens, SCHEMA.width)
    for one, found in zip(tokens, scores, strict=True):
        slow = []
        for place in range(1, len(one.ids)):
            if one.counted[place]:
                logits = reader.project(reader.hidden(torch.tensor([one.ids[:place]])))[0, -1]
                log_p = torch.log_softmax(logits, 0).detach().numpy().astype(np.float64)
                mean = (np.exp(log_p) * log_p).sum()
                spread = np.sqrt((np.exp(log_p) * (log_p - mean) ** 2).sum())
                slow.append([log_p[one.ids[place]], mean, spread])
        np.testing.assert_allclose(found[: len(slow)], slow, atol=1e-4)
        assert np.isnan(found[len(slow) :]).all()


def test_batches_hold_every_text_once() -> None:
    lengths = [3, 50, 7, 7, 200, 1]
    found = list(batches(lengths, 60))
    assert sorted(row for rows in found for row in rows) == list(range(6))
    assert all(len(rows) == 1 or len(rows) * max(lengths[i] for i in rows) <= 60 for rows in found)


def test_writing_goes_on_with_the_likeliest_token() -> None:
    reader = language()
    prompts = [CODEC.prompt(asked("Why?")), CODEC.prompt("abc")]
    for prompt, found in zip(prompts, continued(reader, prompts, Style(6)), strict=True):
        ids = list(prompt)
        for _ in range(6):
            best = int(reader.project(reader.hidden(torch.tensor([ids])))[0, -1].argmax())
            if best in CODEC.ends:
                break
            ids.append(best)
        assert found == ids[len(prompt) :]


def test_drawn_texts_follow_the_seed_and_the_bias() -> None:
    reader, prompts = language(), [CODEC.prompt("abc")] * 3

    def drawn(seed: int) -> list[list[int]]:
        return continued(reader, prompts, Style(8, 1.0), torch.Generator().manual_seed(seed))

    assert drawn(1) == drawn(1) != drawn(2)

    def only_b(_: object, logits: torch.Tensor) -> torch.Tensor:
        logits[:, ord("b")] += 100
        return logits

    assert continued(reader, prompts[:1], Style(3, 1.0, change=only_b), torch.Generator())[0] == [ord("b")] * 3


def test_a_prompt_that_fills_the_context_is_refused() -> None:
    with pytest.raises(InputError, match="prompt 0 has 40 tokens"):
        continued(language(), [[97] * 40], Style(3))


def test_a_service_answers_scores_and_replies() -> None:
    service = local_service(model())
    x = write(["hello world", asked("Why?", "So.")], SCHEMA.width)
    assert service.log_probs(x).shape == (2, 40, 3)
    replies = service.replies(write([asked("Why?")], SCHEMA.width), 5)
    assert len(replies) == 1
    assert chr(MARK) not in replies[0]
    following = service.next_log_probs(x[:1], [{ord("z"): 50.0}])
    assert following.shape == (1, 256)
    assert following[0].argmax() == ord("z")
    assert service.ledger.spent == 4


def test_a_classifier_writes_nothing() -> None:
    schema, mlp = TabularSchema(classes=("no", "yes"), columns=(Column(name="a"),)), Architecture(name="mlp")
    service = local_service(dump(build(mlp, schema, torch.Generator()), mlp, schema))
    with pytest.raises(NotAssessable, match="writes no text"):
        service.replies(np.zeros((1, 1), np.float32), 5)


def test_records_beyond_the_context_are_counted() -> None:
    with pytest.raises(InputError, match="2 records are longer than the model's context of 40 tokens"):
        token_scores(language(), [CODEC.tokens("a" * n) for n in (30, 41, 50)], 60)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("width", [8, 9])
def test_the_last_norm_is_read_from_what_it_does(centred: bool, width: int) -> None:
    norm: nn.Module = nn.LayerNorm(width) if centred else nn.RMSNorm(width, eps=1e-6)
    generator = torch.Generator().manual_seed(1)
    for parameter in norm.parameters():
        parameter.data = torch.randn(width, generator=generator)
    found = LastNorm.of(norm, width)
    assert found is not None
    assert found.centred == centred
    torch.testing.assert_close(found.gain, norm.weight.data, rtol=1e-4, atol=1e-4)
    shift = norm.bias.data if centred else torch.zeros(width)
    torch.testing.assert_close(found.shift, shift, rtol=1e-4, atol=1e-4)
    assert LastNorm.of(nn.Identity(), width) is None
