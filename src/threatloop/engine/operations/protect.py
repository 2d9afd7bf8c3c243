"""The data owner protects his records, by the key that only the engine and the gate hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from threatloop.core.assets import Dataset
from threatloop.core.catalogue import DEFENCES
from threatloop.core.errors import NotAssessable
from threatloop.core.protection import Marker, Protection, Registration, WrittenMark
from threatloop.core.seeds import Streams
from threatloop.engine.products import Product
from threatloop.engine.task import Task

OWNER = "owner"
"""Role of the stream that the owner's key comes from."""
WRITER = "writer"
"""Input: the model that the owner writes with, for protections that are in what it writes."""


def protect(task: Task, inputs: Mapping[str, Product]) -> Product:
    """The records under the protection in the configuration."""
    data: Dataset = inputs["data"].value
    return Product(protection_in(task, inputs).protect(data, owner_key(task.streams)))


def protection_in(task: Task, inputs: Mapping[str, Product]) -> Protection:
    """The protection in a configuration as its owner holds it: with the model that he writes with, if he needs one."""
    found = protection_of(task.config["protection"])
    if not isinstance(found, WrittenMark) or WRITER not in inputs:
        return found
    from threatloop.models.responder import responder_of

    device, allow_code = task.config.get("device", "cpu"), bool(task.local.get("allow_code"))
    return found.written_by(responder_of(inputs[WRITER].value, device, allow_code=allow_code))


def protection_of(written: Mapping[str, Any]) -> Protection:
    """A protection from its catalogue name and parameters."""
    found = DEFENCES.load(written["name"]).model_validate(written["parameters"])
    if not isinstance(found, Protection):
        raise TypeError(f"{written['name']} is no protection")
    return found


def owner_key(streams: Streams) -> bytes:
    """The key of this seed's data owner, whichever task of the seed asks."""
    return streams.of_seed().child("mark").key(OWNER)


def owner_of(task: Task, inputs: Mapping[str, Product], reference: Dataset) -> Registration:
    """What the data owner can recognise his mark by.

    Raises:
        NotAssessable: his protection is no mark.
    """
    marker = protection_in(task, inputs)
    if not isinstance(marker, Marker):
        raise NotAssessable(f"{marker.info.title} leaves no mark that could be detected")
    return Registration(owner_key(task.streams), reference, marker)
