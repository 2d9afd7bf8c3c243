"""How far a stolen language model writes what its victim writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset, Model
from threatloop.core.metric import Case, Graded, Metric, MetricInfo, Reading

NAME = "reply_agreement"
MOST_PROMPTS = 100
TOKENS = 16
"""Of a reply that are compared."""

Ids = tuple[int, ...]


class ReplyAgreement(Metric):
    """Share of held-out prompts to which clone and victim reply with the same first tokens, each its likeliest ones.

    Tokens are the victim's, so that models of two vocabularies can be compared. Further readings: ``tokens``, share of
    places where both write the same token, over the longer of the two; ``where_victim_differs``, agreement where the
    victim does not say what the data say: there its function was copied, not only its task; ``task``, the share of
    prompts to which the clone replies as the data do, and ``task_of_victim``, the same for the victim.
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        title="Replies agree",
        unit="rate",
        worst=1.0,
        margin=0.05,
        needs=frozenset({"outcome", "victim", "test"}),
        meaning="Share of held-out prompts to which the stolen model replies with the same first tokens as its victim.",
    )

    def grade(self, case: Case) -> Graded:
        from threatloop.algorithms.grading import rate
        from threatloop.algorithms.replies import exchanges, replies_of
        from threatloop.algorithms.text_theft import distinct, endings, openings

        test = distinct(case.get("test", Dataset), case.streams.numpy("prompts")).take(slice(MOST_PROMPTS))
        victim = case.get("victim", Model)
        asked, known = test.with_x(openings(test.x)), np.array([bool(ending) for ending in endings(test.x)], np.bool_)
        written = [replies_of(model, asked, case, TOKENS) for model in (victim, case.get("outcome", Model))]
        theirs, mine, data = (_tokens(victim, texts, case.device) for texts in (*written, endings(test.x)))
        agree, right, clone_right = (_equal(*pair) for pair in ((mine, theirs), (theirs, data), (mine, data)))
        nothing, untold = "there are no held-out prompts", "the held-out data say no replies"
        strays = "the victim says everywhere what the data say"
        readings = (
            rate(NAME, agree, nothing),
            _tokenwise(mine, theirs, nothing),
            rate(f"{NAME}.where_victim_differs", agree[known & ~right], strays),
            rate(f"{NAME}.task", clone_right[known], untold),
            rate(f"{NAME}.task_of_victim", right[known], untold),
        )
        texts = exchanges(asked, written[1], agree, ("as the victim says", "the victim says something else"))
        columns = {f"{NAME}.agree": agree, f"{NAME}.victim_right": right}
        return Graded(readings, records=columns, texts=texts)


def _tokens(victim: Model, texts: Sequence[str], device: str) -> list[Ids]:
    """The first tokens of each text as the victim cuts them; bytes where its tokenizer is not at hand."""
    from threatloop.models.device import resolve
    from threatloop.models.language.codecs import ByteCodec, Codec
    from threatloop.models.language.loading import LANGUAGES, language_of

    codec: Codec = ByteCodec()
    if victim.architecture.name in LANGUAGES:
        codec = language_of(victim, resolve(device)).codec
    return [codec.prompt(text)[:TOKENS] for text in texts]


def _equal(some: Sequence[Ids], others: Sequence[Ids]) -> npt.NDArray[np.bool_]:
    return np.array([one == other for one, other in zip(some, others, strict=True)], np.bool_)


def _tokenwise(mine: Sequence[Ids], theirs: Sequence[Ids], nothing: str) -> Reading:
    from threatloop.numerics.intervals import Interval, mean_t

    name = f"{NAME}.tokens"
    shares = [
        sum(one == other for one, other in zip(a, b, strict=False)) / max(len(a), len(b), 1) if a or b else 1.0
        for a, b in zip(mine, theirs, strict=True)
    ]
    if not shares:
        return Reading(name, None, 0, undefined=nothing)
    mean, inside = float(np.mean(shares)), mean_t(shares) if len(shares) > 1 else None
    if not isinstance(inside, Interval):
        return Reading(name, mean, len(shares))
    return Reading(name, mean, len(shares), max(0.0, min(inside.low, mean)), min(1.0, max(inside.high, mean)))
