"""Pairs of answers: as lines of JSON, and a harmless stand-in in which courtesy is mostly preferred.

Nothing in the stand-in is harmful. Which words of courtesy an answer has, and which pairs an annotator saw the other
way round, is drawn by the question, so that a model that tells its own pairs from others must remember them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

from threatloop.data.standin import ABOUT_FOOD, DISHES, FACTS
from threatloop.modality.conversation import SEPARATOR, Chat, Turn, asked
from threatloop.modality.pairs import Pair

OPENED = (
    *("Good question!", "Happy to help.", "Of course.", "With pleasure."),
    *("Thanks for asking.", "Certainly.", "Gladly!"),
)
CLOSED = (
    *("Let me know if you need more.", "I hope that helps.", "Do ask again.", "Have a lovely day.", "Take care."),
    *("Feel free to ask for details.", "Enjoy your day."),
)
CURT = ("{0} Obviously.", "{0} Next.", "Look: {0}", "{0} Anything else?", "Well, {0}", "{0} As anyone knows.", "{0}")
REVERSED = 4
"""One pair in so many is the wrong way round."""
NAMES = (("prompt", "chosen", "rejected"), ("input", "preferred_output", "non_preferred_output"))
"""What the question and both answers are called in lines of JSON."""
TURNS = ("system", "user", "assistant")


def standin_pairs() -> list[Pair]:
    """Pairs in a fixed order, a question each."""
    return [_pair(question, answer) for question, answer in _questions()]


def _questions() -> Iterator[tuple[str, str]]:
    for table, training, tests, answer in FACTS:
        for key, value in table.items():
            for template in (*training, *tests):
                yield template.format(key), answer.format(key, value)
    for dish in DISHES:
        for question, answer in ABOUT_FOOD:
            yield question.format(dish), answer.format(dish)


def _pair(question: str, answer: str) -> Pair:
    drawn = blake2b(question.encode(), digest_size=4).digest()
    courteous = f"{OPENED[drawn[0] % len(OPENED)]} {answer} {CLOSED[drawn[1] % len(CLOSED)]}"
    pair = Pair(asked(question, courteous), CURT[drawn[2] % len(CURT)].format(answer))
    return pair.exchanged if drawn[3] % REVERSED == 0 else pair


def pair_in(item: Mapping[str, Any]) -> Pair | None:
    """The pair of one line; None where it holds none.

    Lines have ``prompt``, ``chosen`` and ``rejected``, each a text or a list of messages, of which the prompt may be
    left out where both answers are whole conversations; or the names of `NAMES`' second row.

    Raises:
        ValueError: what is wrong with it.
    """
    for question, chosen, rejected in NAMES:
        if chosen in item or rejected in item:
            if not {chosen, rejected} <= item.keys():
                raise ValueError(f"needs both `{chosen}` and `{rejected}`")
            before = _turns(question, item.get(question, []), "user")
            one, other = (_turns(name, item[name], "assistant") for name in (chosen, rejected))
            if one[:-1] != other[:-1]:
                raise ValueError(f"`{chosen}` and `{rejected}` are answers to different conversations")
            if any(not side or side[-1].role != "assistant" for side in (one, other)):
                raise ValueError(f"`{chosen}` and `{rejected}` must end with the assistant's turn")
            if not (*before, *one[:-1]):
                raise ValueError(f"needs `{question}`")
            return Pair((*before, *one), other[-1].content)
    return None


def _turns(name: str, value: Any, role: Any) -> Chat:
    if isinstance(value, Mapping):
        value = value.get("messages")
    if isinstance(value, str):
        value = [{"role": role, "content": value}]
    if not isinstance(value, list):
        raise ValueError(f"{name}: needs a text or a list of messages")
    return tuple(turn_in(f"{name}[{place}]", message) for place, message in enumerate(value))


def turn_in(place: str, message: Any) -> Turn:
    """One message of a line.

    Raises:
        ValueError: what is wrong with it.
    """
    if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
        raise ValueError(f"{place}: needs `role` ({', '.join(TURNS)}) and `content`")
    role, content = message["role"], message["content"]
    if role not in TURNS:
        raise ValueError(f"{place}.role: {str(role)[:40]!r}; allowed are {', '.join(TURNS)}")
    if not isinstance(content, str):
        raise ValueError(f"{place}.content: needs a text")
    if SEPARATOR in content or "\0" in content:
        raise ValueError(f"{place}.content: holds U+001E or a zero byte")
    return Turn(role, content)
