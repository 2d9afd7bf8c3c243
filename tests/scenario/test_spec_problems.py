"""A bad spec: every problem at once, one clear line each, with the nearest allowed name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import tiny
from threatloop.core.errors import InputError, Problems
from threatloop.scenario.build import MAX_SPEC_BYTES, Audit, build, parse_spec, read_spec

CHAT = {"protocol": "openai", "url": "http://host", "model": "m", "authorised_by": "the test", "request_cap": 9}
CHAIN = ["watermark_removal", "badnets", "knockoff", "gradient_inversion"]


def checked(written: dict[str, Any] | str, *, allow_code: bool = False) -> Audit:
    text = written if isinstance(written, str) else yaml.safe_dump(written)
    return build(parse_spec(text, "spec", allow_code=allow_code), Path(), allow_code=allow_code)


def problems(written: dict[str, Any], *, allow_code: bool = False) -> str:
    with pytest.raises(Problems) as caught:
        checked(written, allow_code=allow_code)
    return str(caught.value)


def target(**changes: Any) -> dict[str, Any]:
    return tiny.spec(targets={"digits": {**tiny.DIGITS, **changes}})


def scenario(**content: Any) -> dict[str, Any]:
    return tiny.spec(scenarios={"one": content})


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({**tiny.spec(), "sedes": 3}, "sedes: unknown key (did you mean 'seeds'?)"),
        (target(shadow=2), "targets.digits.shadow: unknown key (did you mean 'shadows'?)"),
        (
            target(endpoint={**CHAT, "batch": 2}),
            "targets.digits.endpoint.batch: unknown key; allowed: url, authorised_by, request_cap, per_second, "
            "timeout, retries, token_env, protocol, model, offers, top_logprobs, vocabulary, turns, limit, parallel",
        ),
        (
            target(endpoint={**CHAT, "protocol": "grpc"}),
            "targets.digits.endpoint: needs a mapping with a `protocol` of",
        ),
        (target(endpoint={**CHAT, "turns": {"user": "x"}}), "targets.digits.endpoint.turns.user: needs {} once"),
        (target(endpoint={**CHAT, "turns": {"usr": "{}"}}), "endpoint.turns.usr: unknown key (did you mean 'user'?)"),
        (
            target(endpoint={**CHAT, "offers": ["chat", "tune"]}),
            "endpoint.offers.1: input should be 'chat', 'completions', 'logprobs' or 'echo' (got 'tune')",
        ),
        (target(recipe={"epoch": 2}), "targets.digits.recipe.epoch: unknown key (did you mean 'epochs'?)"),
        (target(data="digit"), "did you mean 'digits'?"),
        (target(data={"nzp": "x"}), "did you mean 'npz'?"),
        (target(defences=["watermark_gat"]), "unknown defence 'watermark_gat' (did you mean 'watermark_gate'?)"),
        (scenario(attack="knockof"), "scenarios.one.attack: unknown attack 'knockof' (did you mean 'knockoff'?)"),
        (scenario(attack={"name": "badnets", "rat": 0.2}), "rat: unknown key (did you mean 'rate'?)"),
        (scenario(attack={"name": "badnets", "rate": 2}), "(badnets): rate: input should be less than or equal to 1"),
        (
            scenario(attack={"name": "label_flip", "source": 1}),
            "scenarios.one.attack (label_flip): give both source and target for class-to-class flips",
        ),
        (scenario(attack={"rate": 0.2}), "scenarios.one.attack: needs a `name`"),
        (scenario(attack="badnets", targets=["digit"]), "unknown target 'digit' (did you mean 'digits'?)"),
        (scenario(attack="badnets", chain=CHAIN), "needs exactly one of `attack` and `chain`"),
        (scenario(), "needs exactly one of `attack` and `chain`"),
        (scenario(chain=["badnets"]), "needs at least two steps"),
        (scenario(chain=["knockoff", "badnets"]), "yields a model, but step 2 (BadNets, D→M) starts from data"),
        (scenario(chain=["lira", "badnets"]), "step 1 (Lira) is a probe: it ends a chain and nothing can follow"),
        (scenario(chain=["badnets", "knockoff"], laps=2), "2 needs a chain that starts from data and ends by"),
        (scenario(chain=["badnets", "lira"], laps=2), "2 needs a chain that starts from data and ends by"),
        (scenario(chain=["knockoff", "gradient_inversion"], laps=2), "2 needs a chain that starts from data"),
        (scenario(chain=CHAIN, laps=3), "scenarios.one.laps: input should be 1 or 2 (got 3)"),
        (tiny.spec(seeds=0), "seeds: input should be greater than or equal to 1 (got 0)"),
        ({**tiny.spec(), "version": 2}, "version: input should be 1 (got 2)"),
        ({**tiny.spec(), "scenarios": {}}, "scenarios: "),
        ({**tiny.spec(), "plugins": ["nobody-has-this"]}, "plugin 'nobody-has-this' is not installed"),
        (target(shadows=3), "targets.digits.shadows: input should be a multiple of 2 (got 3)"),
        (target(train="mine:fit"), "names code (mine:fit); read it, then allow it with --allow-code"),
        (target(model={"name": "mine:net"}), "names code (mine:net); read it, then allow it with --allow-code"),
        (target(weights="w.pt", model=None), "has `weights` but no `model`"),
        (target(members="m.npy"), "has `members` but no `weights`"),
        (target(shares={"own": 0.5, "contribution": 0.3, "pool": 0.16}), "own + contribution + pool is over 0.95"),
        (target(access=["labels", "everything"]), "targets.digits.access.1: input should be 'labels'"),
        (tiny.spec(targets={"a/b": tiny.DIGITS}), "targets.'a/b': is no name; use up to 64 letters"),
        (target(defences="rounding"), "targets.digits.defences: needs a list, such as [a, b] (got 'rounding')"),
        (target(defences=[["rounding"]]), "1 problem\n  - targets.digits.defences.0: needs a name or a mapping"),
        (target(data={"name": "digits"}), "targets.digits.data: none of the keys name names a source"),
        (tiny.spec(scenarios={"one": ["knockoff"]}), "scenarios.one: needs a mapping, such as {key: value}"),
    ],
)
def test_one_problem_one_clear_line(written: dict[str, Any], expected: str) -> None:
    message = problems(written)
    assert expected in message
    assert message.startswith("spec: 1 problem\n")
    assert len(message.splitlines()) == 2


def test_weights_and_train_exclude_each_other() -> None:
    both = target(weights="w.pt", train="mine:fit")
    assert "has both `weights` and `train`; keep one" in problems(both, allow_code=True)


def test_code_is_accepted_where_it_is_allowed() -> None:
    audit = checked(target(train="mine:fit", model={"name": "mine:net"}), allow_code=True)
    assert audit.allow_code
    assert audit.targets["digits"].spec.train == "mine:fit"


def test_all_problems_are_listed_at_once() -> None:
    written = {
        "sedes": 3,
        "seeds": 0,
        "targets": {
            "digits": {"data": "digit", "shadow": 2},
            "table": {"data": "breast_cancer", "train": "mine:fit", "defences": ["gate"]},
        },
        "scenarios": {
            "a": {"chain": ["knockoff", "badnets"], "targets": ["tables"]},
            "b": {"attack": {"name": "badnet"}},
            "c": {"attack": {"name": "badnets", "rate": 7, "targt": 1}},
        },
    }
    message = problems(written)
    for part in (
        "sedes: unknown key",
        "seeds: input should be greater",
        "shadow: unknown key",
        "unknown data set 'digit'",
        "targets.table: names code (mine:fit)",
        "unknown defence 'gate'",
        "yields a model, but step 2",
        "unknown target 'tables'",
        "unknown attack 'badnet'",
        "rate: input should be less",
        "targt: unknown key",
    ):
        assert part in message
    assert "11 problems" in message


def test_listing_everything_does_not_refuse_code_that_was_allowed() -> None:
    message = problems({**target(train="mine:fit"), "sedes": 1}, allow_code=True)
    assert "1 problem\n" in message


@pytest.mark.parametrize("attack", ["knockoff", "surrogate"])
def test_a_chain_that_composes_is_accepted(attack: str) -> None:
    audit = checked(scenario(chain=["watermark_removal", "badnets", attack, "gradient_inversion"], laps=2))
    assert [type(step).__name__ for step in audit.scenarios[0].steps][-1] == "GradientInversion"
    assert audit.scenarios[0].targets == ("digits",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("targets: [", "spec: not YAML at line 1, column"),
        ("name: x\nseeds: 3\n  targets: y\n", "spec: not YAML at line 3, column"),
        ("!!python/object/apply:os.system ['true']\n", "spec: not YAML at line 1"),
        ("- a\n- b\n", "spec: a spec is a mapping"),
        ("", "spec: a spec is a mapping"),
        ("just words", "spec: a spec is a mapping"),
    ],
)
def test_not_yaml(text: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_spec(text, "spec")
    assert expected in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(InputError, match="spec: not YAML"):
        parse_spec(b"name: \xff\xfa", "spec")


def test_a_spec_has_a_greatest_size(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" + b"x" * (2 * MAX_SPEC_BYTES))
    with pytest.raises(InputError, match="a spec has at most 1048576"):
        read_spec(path)
    path.write_bytes(yaml.safe_dump(tiny.spec()).encode() + b"#" + b"x" * 1000)
    assert read_spec(path).name == "tiny"


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_an_unreadable_spec_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"cannot be read .*; give the path of a spec file"):
        read_spec(tmp_path / name)
