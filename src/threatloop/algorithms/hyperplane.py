"""The nearest point of a box that lies on a hyperplane, exactly, for many records at once."""

from __future__ import annotations

import torch

from threatloop.modality.space import Norm


def to_hyperplane(
    x: torch.Tensor, normal: torch.Tensor, offset: torch.Tensor, low: torch.Tensor, high: torch.Tensor, norm: Norm
) -> torch.Tensor:
    """argmin ‖z − x‖ over low ≤ z ≤ high with ⟨normal, z⟩ + offset = 0; where there is none, the box's nearest corner.

    Every cell moves towards the plane by t (linf) or t · |normal| (l2) until its bound stops it. What the cells gain is
    piecewise linear and rises with t, so sorting the bounds gives t without a search.

    Croce & Hein 2020, arXiv 1907.02044, section 2.2 and appendix (the same projections).

    Args:
        x: (n, d), inside the box.
        normal: (n, d).
        offset: (n,).
        low, high: broadcast to (n, d); infinite where there is no bound.
        norm: of the distance.
    """
    value = (normal * x).sum(dim=1) + offset
    slope = normal.abs()
    towards = -normal.sign() * value.sign()[:, None]
    room = torch.where(towards > 0, high - x, x - low).clamp_min(0)
    room = torch.where(slope > 0, room, torch.zeros_like(room))
    speed = torch.ones_like(slope) if norm == "linf" else slope
    t = _time(room / speed.clamp_min(torch.finfo(x.dtype).tiny), slope * speed, value.abs())
    return x + towards * torch.minimum(t[:, None] * speed, room)


def _time(stops: torch.Tensor, rates: torch.Tensor, need: torch.Tensor) -> torch.Tensor:
    """The smallest t ≥ 0 with Σ rates · min(t, stops) = need; the last finite stop where the sum stays below it."""
    order = stops.argsort(dim=1)
    stops, rates = stops.gather(1, order), rates.gather(1, order)
    ended = torch.where(stops.isfinite(), stops, torch.zeros_like(stops)) * rates
    before = ended.cumsum(dim=1) - ended
    running = rates.flip(1).cumsum(dim=1).flip(1)
    reached = torch.where(stops.isfinite(), before + stops * running, torch.inf) >= need[:, None]
    first = reached.to(torch.uint8).argmax(dim=1, keepdim=True)
    t = (need[:, None] - before.gather(1, first)) / running.gather(1, first).clamp_min(torch.finfo(need.dtype).tiny)
    last = torch.where(stops.isfinite(), stops, torch.zeros_like(stops)).amax(dim=1)
    return torch.where(reached.any(dim=1), t[:, 0].clamp_min(0), last)
