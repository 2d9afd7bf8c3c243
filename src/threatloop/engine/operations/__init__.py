"""The operations that tasks name. An explicit table of dotted paths: a task can name nothing else."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from threatloop.engine.products import Product
from threatloop.engine.task import Task

Operation = Callable[[Task, Mapping[str, Product]], Product]

_HERE = "threatloop.engine.operations"

OPERATIONS: dict[str, str] = {
    "load": f"{_HERE}.load:load",
    "split": f"{_HERE}.split:split",
    "protect": f"{_HERE}.protect:protect",
    "targets": f"{_HERE}.targets:targets",
    "skewed": f"{_HERE}.targets:skewed",
    "prompts": f"{_HERE}.prompts:prompts",
    "canaries": f"{_HERE}.canaries:canaries",
    "train": f"{_HERE}.train:train",
    "match": f"{_HERE}.match:match",
    "given": f"{_HERE}.train:given",
    "base": f"{_HERE}.train:base",
    "endpoint": f"{_HERE}.train:endpoint",
    "fit": f"{_HERE}.train:fit",
    "shadows": f"{_HERE}.shadows:shadows",
    "answers": f"{_HERE}.answers:answers",
    "act": f"{_HERE}.act:act",
    "like": f"{_HERE}.laps:like",
    "prior": f"{_HERE}.laps:prior",
    "quality": f"{_HERE}.quality:quality",
    "exchangeability": f"{_HERE}.checks:exchangeability",
    "planted_leak": f"{_HERE}.checks:planted_leak",
    "grade": f"{_HERE}.grade:grade",
}


def module_of(operation: str) -> str:
    """The module that implements an operation."""
    return OPERATIONS[operation].partition(":")[0]


def find(operation: str) -> Operation:
    """The function behind an operation's name."""
    module, _, name = OPERATIONS[operation].partition(":")
    found: Operation = getattr(importlib.import_module(module), name)
    return found


def value(inputs: Mapping[str, Product], name: str) -> Any:
    """The value of an input."""
    return inputs[name].value
