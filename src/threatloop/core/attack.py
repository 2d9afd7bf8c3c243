"""Attacks: frozen, validated configurations. Two type parameters type composition; four bases fix the call."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, TypeVar

from threatloop.core.assets import Dataset, Evidence
from threatloop.core.bench import Bench
from threatloop.core.service import Service
from threatloop.core.step import S, Step

T = TypeVar("T")
U = TypeVar("U")


class Attack(Step[S], Generic[S, T]):
    """An arrow from S to T. ``a >> b`` composes where a's target is b's source; mypy rejects the rest."""

    def __rshift__(self, then: Attack[T, U]) -> Chain[S, U]:
        return Chain((self, then))


class DataToData(Attack[Dataset, Dataset]):
    """Protected data in, unprotected data out."""

    @abstractmethod
    def transform(self, data: Dataset, bench: Bench) -> Dataset: ...

    def _act(self, source: Any, bench: Bench) -> Dataset:
        return self.transform(source, bench)


class DataToModel(Attack[Dataset, Service]):
    """Crafts data; the victim's own lifecycle turns it into a Service."""

    @abstractmethod
    def craft(self, data: Dataset, bench: Bench) -> Dataset: ...

    @property
    def crafts(self) -> bool:
        """What it returns is trained on."""
        return True

    def aimed_classes(self) -> tuple[int, ...]:
        """Classes whose other records it may expose to later attacks; empty where it aims at none in particular."""
        return ()

    def _act(self, source: Any, bench: Bench) -> Dataset:
        return self.craft(source, bench)


class ModelToData(Attack[Service, Dataset]):
    """Recovers training data, or likenesses of it, from a model."""

    @abstractmethod
    def recover(self, service: Service, bench: Bench) -> Dataset: ...

    def _act(self, source: Any, bench: Bench) -> Dataset:
        return self.recover(source, bench)


class ModelToModel(Attack[Service, Service]):
    """Makes an equivalent model that the attacker owns with full access."""

    @abstractmethod
    def steal(self, service: Service, bench: Bench) -> Service: ...

    def _act(self, source: Any, bench: Bench) -> Service:
        return self.steal(source, bench)


class Probe(Step[S], Generic[S]):
    """Answers a question about its source, such as membership, or shows what a served model can be brought to say.

    It ends a chain and cannot be composed. One that starts from data holds the victim as `Resource.VICTIM`.
    """

    @abstractmethod
    def examine(self, source: S, bench: Bench) -> Evidence: ...

    def _act(self, source: Any, bench: Bench) -> Evidence:
        return self.examine(source, bench)


@dataclass(frozen=True)
class Chain(Generic[S, T]):
    """Attacks in sequence, checked to compose when they are written with ``>>``."""

    steps: tuple[Attack[Any, Any], ...]

    def __rshift__(self, then: Attack[T, U]) -> Chain[S, U]:
        return Chain((*self.steps, then))


def composition_problems(steps: tuple[Step[Any], ...]) -> list[str]:
    """Every place where a sequence of steps does not compose; empty when it does. For chains that come from a file."""
    problems = []
    for i, (first, then) in enumerate(pairwise(steps), start=1):
        name, after = type(first).__name__, type(then).__name__
        if isinstance(first, Probe):
            problems.append(f"step {i} ({name}) is a probe: it ends a chain and nothing can follow it")
        elif first.info.direction.target != then.info.direction.source:
            ends, begins = first.info.direction, then.info.direction
            problems.append(
                f"step {i} ({name}, {ends}) yields {_asset(ends.target)}, but step {i + 1} ({after}, {begins}) starts "
                f"from {_asset(begins.source)}"
            )
    return problems


def _asset(letter: str) -> str:
    return {"D": "data", "M": "a model"}[letter]
