"""Endpoints: what they give away with each answer, and what holds a caller back."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from threatloop.core.step import Direction
from threatloop.supply_chain.code.facts import Function
from threatloop.supply_chain.code.rule import Match, Module, Rule, Unsure
from threatloop.supply_chain.code.values import Origin
from threatloop.supply_chain.result import Severity
from threatloop.threats.ontology import Stage

_LIMITERS: Final = ("slowapi", "flask_limiter", "fastapi_limiter", "limits", "ratelimit", "django_ratelimit",
                    "aiolimiter",
                    "fastapi_throttle", "asgi_ratelimit", "pyrate_limiter", "throttled",
                    "starlette_limiter")  # fmt: skip
_LIMIT_WORDS: Final = ("ratelimit", "rate_limit", "limiter", "throttle", "quota", "max_requests", "semaphore")
_AUTH_WORDS: Final = ("auth", "api_key", "apikey", "login_required", "verify_token", "bearer", "oauth", "jwt",
                      "current_user", "permission", "security(", "require_token", "check_token")  # fmt: skip


def _guards(function: Function, module: Module) -> tuple[bool, bool]:
    """Whether a rate limit and a proof of identity are seen at this function, or at its whole application."""
    node = function.node
    near = ""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        near = " ".join([*(ast.unparse(one) for one in node.decorator_list), ast.unparse(node.args)]).lower()
    apps = " ".join(
        ast.unparse(call.node).lower()
        for call in module.facts.calls.values()
        if any(_is_application(name) for name in call.callee.names)
    )
    inside = {
        name.lower() for call in module.facts.calls.values() if call.function is function for name in call.callee.names
    }
    seen = f"{near} {apps} {' '.join(sorted(inside))}"
    limited = bool(module.facts.imports & set(_LIMITERS)) or any(word in seen for word in _LIMIT_WORDS)
    return limited, any(word in seen for word in _AUTH_WORDS)


def _is_application(name: str) -> bool:
    return name.endswith((".FastAPI", ".APIRouter", ".Flask", ".add_middleware", ".launch", ".before_request",
                          ".Blueprint",
                          ".queue", ".bentoml.service", ".Sanic", ".Starlette"))  # fmt: skip


def _scores(module: Module) -> Iterator[Match | Unsure]:
    for function in _served(module):
        given = function.returns.origins if function.returns is not None else frozenset()
        if Origin.SCORES not in given:
            continue
        limited, known = _guards(function, module)
        holds = [name for name, there in (("rate limit", limited), ("proof of identity", known)) if there]
        missing = [name for name, there in (("rate limit", limited), ("proof of identity", known)) if not there]
        detail = f"served by {function.handler}; the full scores are returned"
        detail += f"; no {' and no '.join(missing)} is seen in this file" if missing else ""
        detail += "; scores also tell members of the training data from others"
        severity = (Severity.HIGH, Severity.MEDIUM, Severity.LOW)[len(holds)]
        yield Match(function.node, _named(function), detail, severity)


def _unlimited(module: Module) -> Iterator[Match | Unsure]:
    for function in _served(module):
        predicts = any(
            call.function is function and _predicts(name)
            for call in module.facts.calls.values()
            for name in call.callee.names
        )
        given = function.returns.origins if function.returns is not None else frozenset()
        predicts = predicts or bool(given & {Origin.PREDICTION, Origin.MODEL_TEXT})
        limited, known = _guards(function, module)
        if not predicts or limited or Origin.SCORES in given:
            continue
        detail = f"served by {function.handler}; no rate limit is seen in this file"
        detail += "" if known else ", and no proof of identity"
        yield Match(function.node, _named(function), detail, Severity.LOW if known else Severity.MEDIUM)


def _predicts(name: str) -> bool:
    from threatloop.supply_chain.code.knowledge import effect_of

    effect = effect_of(name)
    return effect is not None and Origin.PREDICTION in effect.gives


def _served(module: Module) -> Iterator[Function]:
    return (function for function in module.facts.functions if function.handler)


def _named(function: Function) -> str:
    return f"{function.name} ({function.handler})"


_SERVERS: Final = (
    r"fastapi|flask|gradio|bentoml|Triton|BaseHandler|LitAPI|starlette|sanic|litestar|bottle|tornado|quart|"
    r"@\w+\.(get|post)\("
)
"""How a file looks that serves something."""

RULES: Final = (
    Rule(
        id="full-score-endpoint",
        title="An endpoint returns full scores",
        severity=Severity.HIGH,
        threat="model-stealing-by-scores",
        direction=Direction.MODEL_TO_MODEL,
        stage=Stage.INFERENCE,
        fix="return the label, or rounded scores of the top classes, behind a rate limit per caller",
        reference="https://arxiv.org/abs/1609.02943",
        glimpse=(_SERVERS, r"softmax|proba|sigmoid|expit|decision_function|logits|pipeline"),
        check=_scores,
    ),
    Rule(
        id="unlimited-endpoint",
        title="An endpoint answers without limit",
        severity=Severity.MEDIUM,
        threat="unlimited-inference-api",
        direction=Direction.MODEL_TO_MODEL,
        stage=Stage.INFERENCE,
        fix="limit requests per caller, and log who asks how much; a gateway may do so, then accept this with its name",
        reference="https://arxiv.org/abs/1609.02943",
        glimpse=(_SERVERS, r"predict|generate|create|invoke|complet|softmax|pipeline|\.(run|chat|query)\("),
        check=_unlimited,
    ),
)
