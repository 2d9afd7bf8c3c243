"""The small transformer: it sees what came before, and how far away it is."""

from __future__ import annotations

import pytest
import torch

from threatloop.models.gpt import GPT, _turned


def test_no_position_sees_a_later_one() -> None:
    network, ids = GPT(50, 20, 2, 2, 16), torch.randint(50, (3, 12), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(network(ids)[:, :5], network(ids[:, :5]))


def test_how_two_positions_attend_depends_on_their_distance_alone() -> None:
    query, key = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    queries, keys = (_turned(one.expand(1, 1, 9, 8))[0, 0] for one in (query, key))
    scores = queries @ keys.T
    for away in range(-5, 6):
        assert scores.diagonal(away).std() < 1e-5
    assert scores[0].std() > 0.1
    assert float(queries.norm(dim=1).std()) == pytest.approx(0, abs=1e-5)
