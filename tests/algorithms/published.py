"""LiRA and RMIA as their papers write them, one record at a time: slow on purpose."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def phi(log_probs: Floats, label: int) -> float:
    """log(p / (1 − p)) of the label (Carlini et al. 2022, equation 4)."""
    p = [math.exp(value) for value in log_probs]
    return math.log(p[label]) - math.log(sum(p) - p[label])


def normal(value: float, mean: float, variance: float) -> float:
    return math.exp(-((value - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)


def lira(victim: Floats, shadows: Floats, masks: Bools, labels: npt.NDArray[np.int64], fixed: bool) -> list[float]:
    """log Λ of algorithm 1, from log-probabilities (n, classes) and (K, n, classes); ``fixed``: section VI-B."""
    groups = []
    for j, label in enumerate(labels):
        own = [phi(shadows[k, j], label) for k in range(len(shadows))]
        groups.append([[own[k] for k in range(len(own)) if masks[k, j] == kind] for kind in (True, False)])
    found = []
    for j, label in enumerate(labels):
        density = []
        for kind in (0, 1):
            group = groups[j][kind]
            mean = sum(group) / len(group)
            if fixed:
                squares = [(v - sum(one[kind]) / len(one[kind])) ** 2 for one in groups for v in one[kind]]
                variance = sum(squares) / sum(len(one[kind]) - 1 for one in groups)
            else:
                variance = sum((v - mean) ** 2 for v in group) / (len(group) - 1)
            density.append(normal(phi(victim[j], label), mean, variance))
        found.append(math.log(density[0]) - math.log(density[1]))
    return found


def rmia(
    x: Floats, z: Floats, shadows_x: Floats, shadows_z: Floats, masks: Bools, gamma: float, a: float | None
) -> list[float]:
    """Algorithm 1 of Zarifzadeh et al. 2024 on probabilities of the labels: (n,), (m,), (K, n), (K, m).

    ``a`` None: online; else the offline p(x) of its equation.
    """
    found = []
    for j in range(len(x)):
        inside = [shadows_x[k, j] for k in range(len(masks)) if masks[k, j]]
        outside = [shadows_x[k, j] for k in range(len(masks)) if not masks[k, j]]
        out = sum(outside) / len(outside)
        px = (sum(inside) / len(inside) + out) / 2 if a is None else ((1 + a) * out + (1 - a)) / 2
        count = 0
        for i in range(len(z)):
            pz = sum(shadows_z[k, i] for k in range(len(masks))) / len(masks)
            count += (x[j] / px) / (z[i] / pz) >= gamma
        found.append(count / len(z))
    return found
