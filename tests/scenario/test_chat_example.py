"""The example of chains on a chat model holds together; claims about text stand on a target of their own."""

from __future__ import annotations

from pathlib import Path

from threatloop.analysis.ledger import ledger
from threatloop.core.attack import composition_problems
from threatloop.scenario.build import build, parse_spec
from threatloop.scenario.studies import study
from threatloop.study.claims import claim_cells

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_chains_go_all_the_way_round() -> None:
    audit = build(parse_spec((EXAMPLES / "chat-interactions.yaml").read_text(encoding="utf-8"), "example"), EXAMPLES)
    whole = next(one for one in audit.scenarios if one.name == "whole-way")
    assert composition_problems(whole.steps) == []
    assert [step.info.direction.value for step in whole.steps] == ["D→D", "D→M", "M→M", "M→D"]
    assert {"dp", "realigned"} <= {one.name for one in audit.conditions}


def test_claims_about_text_have_a_target_and_leave_the_others_alone() -> None:
    audit = build(parse_spec(study("claims"), "claims"), Path())
    about = [one for one in ledger() if one.target == "chat"]
    assert len(about) == 3
    cells = {cell for one in about for cell in claim_cells(one, audit)}
    assert {target for target, _, _ in cells} == {"chat"}
    runs = {(target, one.name) for one in audit.scenarios for target in one.targets}
    assert {(target, scenario) for target, scenario, _ in cells} <= runs
    assert ("chat", "lira") not in runs
    assert ("digits", "canaries") not in runs
