"""A language model behind defences and monitors still writes; a defence may change what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

import chat_world as chat
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.errors import NotAssessable
from threatloop.core.seeds import Streams
from threatloop.core.service import Service, Speaking
from threatloop.core.serving import Respond, TextFilter
from threatloop.defences.monitor.query_budget import QueryBudget
from threatloop.engine.operations.serve import Front
from threatloop.models.responder import responder_of
from threatloop.scenario.lifecycle import DefendedTraining
from threatloop.scenario.served import served


@dataclass(frozen=True)
class _Loud:
    inner: Speaking
    ending: str

    def replies(self, x: npt.NDArray[Any], tokens: int, temperature: float = 0.0, seed: int | None = None) -> list[str]:
        return [reply + self.ending for reply in self.inner.replies(x, tokens, temperature, seed)]

    def next_log_probs(
        self, x: npt.NDArray[Any], bias: Sequence[Mapping[int, float]] | None = None
    ) -> npt.NDArray[np.float32]:
        return self.inner.next_log_probs(x, bias)


class Loud(TextFilter):
    """Ends every reply with a mark."""

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Loud", stage=Stage.SERVING, modalities=frozenset({"text"}), paper="none"
    )
    ending: str = "!"

    def voiced(self, speaking: Speaking, scores: Respond, own: Any, streams: Streams) -> Speaking:  # noqa: ARG002
        return _Loud(speaking, self.ending)


def test_a_served_model_writes_through_its_defences_the_first_named_outermost() -> None:
    x = chat.prompts(chat.offered())
    bare = responder_of(chat.model(), "cpu")
    behind = served(bare, (Loud(ending="1"), Loud(ending="2")), chat.own(), chat.STREAMS)
    said = Service(behind, chat.SCHEMA).replies(x, 8)
    assert said == [one + "21" for one in chat.service(chat.model()).replies(x, 8)]
    own = Service(behind, chat.SCHEMA)
    np.testing.assert_array_equal(own.next_log_probs(x), chat.service(chat.model()).next_log_probs(x))
    np.testing.assert_array_equal(own.log_probs(chat.own().x), chat.service(chat.model()).log_probs(chat.own().x))
    imitator = DefendedTraining(chat.TRAINING, (Loud(),), chat.own(), chat.STREAMS).serve(chat.model())
    assert imitator.replies(x[:1], 8)[0].endswith("!")


def test_a_watched_model_writes_and_its_prompts_are_remembered() -> None:
    x = chat.prompts(chat.offered())
    front = Front((QueryBudget(), Loud()), chat.own(), None, chat.STREAMS, informed=True)
    watched = Service(front.watched(responder_of(chat.model(), "cpu")), chat.SCHEMA)
    assert all(one.endswith("!") for one in watched.replies(x, 8))
    watched.next_log_probs(x[:2])
    assert [len(part) for part in front.asked] == [len(x), 2]


def test_what_writes_nothing_says_so_behind_defences_too() -> None:
    class Mute:
        def log_probs(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            return np.zeros((len(x), 2), np.float32)

        def differentiable(self) -> Any: ...

        def model(self) -> Any: ...

    behind = Service(served(Mute(), (Loud(),), chat.own(), chat.STREAMS), chat.SCHEMA)
    with pytest.raises(NotAssessable, match="writes no text"):
        behind.replies(chat.own().x, 4)
