"""Every rule names a threat of the catalogue, with a direction and a stage that the catalogue gives it."""

from __future__ import annotations

import pytest

from threatloop.core.step import Direction
from threatloop.supply_chain.code.families import RULES as CODE_RULES
from threatloop.supply_chain.code.scan import scan_bytes
from threatloop.supply_chain.matching import THREAT
from threatloop.supply_chain.model_files.rules import RULES as MODEL_RULES
from threatloop.threats.catalogue.load import threat
from threatloop.threats.ontology import Stage

ROWS: list[tuple[str, str, Direction | None, Stage]] = [
    *((rule.id, rule.threat, rule.direction, rule.stage) for rule in CODE_RULES),
    *((name, rule.threat, None, rule.stage) for name, rule in MODEL_RULES.items()),
    ("vulnerable-dependency", THREAT, None, Stage.SYSTEM_DEVELOPMENT),
    ("extra-package-index", "threat:dependency-confusion", None, Stage.SYSTEM_DEVELOPMENT),
]


@pytest.mark.parametrize(("rule", "slug", "direction", "stage"), ROWS, ids=[row[0] for row in ROWS])
def test_a_rule_agrees_with_the_catalogue(rule: str, slug: str, direction: Direction | None, stage: Stage) -> None:
    known = threat(slug.removeprefix("threat:"))
    assert stage in known.stages, f"{rule}: {stage} is none of {known.stages}"
    assert direction == known.direction, f"{rule}: {direction} is not {known.direction}"


CODE = b"""
import numpy, pickle, requests, torch
from datasets import load_dataset
from transformers import AutoModel
load_dataset("org/data")
AutoModel.from_pretrained("org/net")
pickle.loads(requests.get("https://models.example.org/rules.pkl").content)
numpy.load("a.npy", allow_pickle=True)
torch.load(requests.get("https://models.example.org/net.pt").raw, weights_only=False)
"""


def test_so_does_a_finding_whose_place_asks_for_another_threat() -> None:
    found = scan_bytes(CODE, "a.py").findings
    assert {one.rule for one in found} >= {"unpinned-artefact", "pickle-load", "numpy-pickle", "torch-load"}
    for one in found:
        test_a_rule_agrees_with_the_catalogue(one.rule, one.threat, one.direction, one.stage)
