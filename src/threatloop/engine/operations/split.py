"""Divide the records of one seed into roles. Roles never overlap, except that `candidates` and `all` gather others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from threatloop.core.errors import InputError
from threatloop.engine.products import Loaded, Product, Split
from threatloop.engine.task import Task

Rows = npt.NDArray[np.int64]
SMALLEST_ROLE = 10


def split(task: Task, inputs: Mapping[str, Product]) -> Product:
    """Roles of this seed, each class in proportion.

    ``own``: the victim's own members. ``contribution``: third-party records that it is offered. ``pool``: what the
    attacker holds. ``test``: what nobody trains on. ``nonmembers``: as many of pool and test as there are members.
    ``candidates``: own, contribution and nonmembers, in random order. ``all``: everything.

    Where the victim was brought and its members are named, ``own`` are these, whatever the seed; the other records are
    then those that could have reached it (1), the judge's alone (2) or the attacker's alone (3). Where nobody named
    them, the roles are those of whatever is trained in the victim's place.

    Raises:
        InputError: too few records for a role.
    """
    loaded: Loaded = inputs["data"].value
    y, shares, rng = loaded.data.y, task.config["shares"], task.streams.numpy("split")
    if task.config["fixed_members"]:
        own = np.flatnonzero(loaded.partition == 0)
        if task.config.get("divided"):
            others = np.where(loaded.partition == 1, 0, np.where(loaded.partition == 0, -1, loaded.partition))
            _, contribution, pool, test = _divided(y, others, {**shares, "own": 0.0}, rng)
        else:
            rest = np.flatnonzero(loaded.partition != 0)
            left = 1 - shares["own"]
            parts = stratified(y[rest], (shares["contribution"] / left, shares["pool"] / left), rng)
            contribution, pool, test = (rest[part] for part in parts)
        if not len(own) or not len(contribution):
            raise InputError("every record is named as a member, or none is; `members:` must leave some for attackers")
        members = own
    elif task.config.get("divided"):
        own, contribution, pool, test = _divided(y, loaded.partition, shares, rng)
        members = np.concatenate([own, contribution])
    else:
        own, contribution, pool, test = stratified(y, (shares["own"], shares["contribution"], shares["pool"]), rng)
        members = np.concatenate([own, contribution])
    roles = {"own": own, "contribution": contribution, "pool": pool, "test": test}
    for name, rows in roles.items():
        if len(rows) < SMALLEST_ROLE:
            raise InputError(
                f"{len(y)} records leave {len(rows)} for {name}; every role needs {SMALLEST_ROLE}: bring more data"
            )
    # Where the data say whom a record may reach, only what could have reached the victim is exchangeable with members.
    outside = np.concatenate([pool, test])
    common = 1 if task.config["fixed_members"] else 0
    outside = rng.permutation(outside[loaded.partition[outside] == common] if task.config.get("divided") else outside)
    size = min(len(members), len(outside))
    nonmembers, held_in = outside[:size], rng.permutation(members)[:size]
    candidates = rng.permutation(np.concatenate([held_in, nonmembers]))
    everything = np.arange(len(y), dtype=np.int64)
    roles |= {"nonmembers": nonmembers, "members": members, "candidates": candidates, "all": everything}
    return Product(Split(roles, task.inputs["data"].key))


def _divided(
    y: Rows, partition: npt.NDArray[np.int8], shares: Mapping[str, float], rng: np.random.Generator
) -> list[Rows]:
    """The same roles where the source says whom a record may reach (see `threatloop.data.chat.Chats`)."""
    common, judged, theirs = (np.flatnonzero(partition == part) for part in (0, 2, 3))
    parts = ("own", "contribution", "pool")
    whole = sum(shares[name] for name in parts)
    own, contribution, pool = (
        common[rows] for rows in stratified(y[common], [shares[name] / whole for name in parts[:2]], rng)
    )
    return [own, contribution, rng.permutation(np.concatenate([pool, theirs])), rng.permutation(judged)]


def stratified(y: Rows, shares: Sequence[float], rng: np.random.Generator) -> list[Rows]:
    """Positions in random order for each share, every class in proportion; the rest comes last.

    Counts are rounded over all classes together, so that small classes do not all round the same way.
    """
    order = rng.permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    # Systematic sampling: neighbours in class order go to the parts in turn, so each class is divided in proportion.
    position = (np.arange(len(y)) + rng.random()) * 0.6180339887498949 % 1.0
    edges = np.cumsum([0.0, *shares])
    parts = [order[(position >= low) & (position < high)] for low, high in pairwise(edges)]
    parts.append(order[position >= edges[-1]])
    return [rng.permutation(part).astype(np.int64) for part in parts]
