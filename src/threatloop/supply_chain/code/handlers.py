"""Which functions are served to others, and which of their parameters the others fill."""

from __future__ import annotations

import ast
from typing import Final

from threatloop.supply_chain.code.facts import Function
from threatloop.supply_chain.code.imports import roots
from threatloop.supply_chain.code.values import NOWHERE, Origin, Origins, Value

_VERBS: Final = frozenset({"get", "post", "put", "patch", "delete", "api_route", "route", "websocket", "options"})
_FRAMEWORKS: Final = {
    "fastapi": "FastAPI", "flask": "Flask", "quart": "Quart", "starlette": "Starlette", "sanic": "Sanic",
    "litestar": "Litestar", "bottle": "Bottle", "falcon": "Falcon", "robyn": "Robyn", "blacksheep": "BlackSheep",
}  # fmt: skip
_DECORATORS: Final = {"bentoml.api": "BentoML", "litestar.post": "Litestar", "litestar.get": "Litestar",
                      "bottle.route": "Bottle", "bottle.post": "Bottle", "bottle.get": "Bottle"}  # fmt: skip
_METHODS: Final = {
    "execute": ("TritonPythonModel", "Triton"),
    "handle": ("BaseHandler", "TorchServe"),
    "postprocess": ("BaseHandler", "TorchServe"),
    "inference": ("BaseHandler", "TorchServe"),
    "predict": ("LitAPI", "LitServe"),
    "post": ("RequestHandler", "Tornado"),
    "get": ("RequestHandler", "Tornado"),
}
"""Methods that a server calls, by name: a part of the name of their class or its base, and the server."""
_GRADIO: Final = frozenset({"Interface", "ChatInterface", "click", "submit", "upload", "change"})
_ROUTERS: Final = frozenset({"add_api_route", "add_url_rule", "add_route", "add_post", "add_get"})
_UPLOADS: Final = ("UploadFile", "FileStorage", "UploadedFile")
_OWN: Final = frozenset({"self", "cls", "db", "session", "background_tasks", "settings", "model", "config", "context",
                         "ctx", "response", "user", "current_user", "logger", "service"})  # fmt: skip


def registered(tree: ast.Module) -> dict[str, str]:
    """Names of functions that are handed to a server, with the server: ``gr.Interface(fn=predict)``."""
    imports: set[str] = set()
    handed: list[tuple[str, ast.Call]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports |= roots(node)
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in _GRADIO or name in _ROUTERS:
                handed.append((name, node))
    found: dict[str, str] = {}
    for name, node in handed:
        server = "a router" if name in _ROUTERS else "Gradio" if "gradio" in imports else ""
        if server:
            given = [one.value for one in node.keywords if one.arg not in {"inputs", "outputs"}]
            found |= {value.id: server for value in (*node.args, *given) if isinstance(value, ast.Name)}
    return found


def served_by(
    node: ast.FunctionDef | ast.AsyncFunctionDef,
    decorators: tuple[Value, ...],
    bases: frozenset[str],
    handed_over: dict[str, str],
) -> str:
    """The server that calls this function for others, or an empty text."""
    for decorator in decorators:
        for name in decorator.names:
            bare = name.removesuffix("()")
            if bare in _DECORATORS:
                return _DECORATORS[bare]
            root, last = bare.partition(".")[0], bare.rpartition(".")[2]
            if last in _VERBS and root in _FRAMEWORKS:
                return _FRAMEWORKS[root]
            # ``@app.post(...)`` or ``@router.get(...)`` where the object comes from elsewhere in the repository.
            if last in _VERBS and name.endswith("()") and _looks_like_app(node):
                return "a web framework"
    part, server = _METHODS.get(node.name, ("", ""))
    if part and any(part in base for base in bases):
        return server
    return handed_over.get(node.name, "")


def _looks_like_app(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    for decorator in node.decorator_list:
        inner = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name):
            path = decorator.args[0] if isinstance(decorator, ast.Call) and decorator.args else None
            is_path = isinstance(path, ast.Constant) and isinstance(path.value, str) and path.value.startswith("/")
            if is_path and inner.value.id.lower().endswith(("app", "router", "api", "blueprint", "bp", "server")):
                return True
    return False


def parameter_origins(function: Function, parameter: ast.arg, annotation: Value) -> Origins:
    """Where a parameter comes from: of a served function, from a request."""
    if not function.handler or parameter.arg in _OWN:
        return NOWHERE
    written = ast.unparse(parameter.annotation) if parameter.annotation is not None else ""
    if "Depends" in written or "Session" in written or "BackgroundTasks" in written:
        return NOWHERE
    if _given_by_framework(function, parameter):
        return NOWHERE
    uploads = any(kind in written for kind in _UPLOADS) or any(
        name.rpartition(".")[2] in _UPLOADS for name in annotation.names
    )
    return frozenset({Origin.REQUEST, Origin.UPLOAD}) if uploads else frozenset({Origin.REQUEST})


def _given_by_framework(function: Function, parameter: ast.arg) -> bool:
    """Whether the default is ``Depends(…)`` or ``Security(…)``."""
    node = function.node
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    names = [*node.args.posonlyargs, *node.args.args]
    pairs = [*zip(reversed(names), reversed(node.args.defaults), strict=False)]
    pairs += [(a, d) for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if d is not None]
    for one, default in pairs:
        if one is parameter and isinstance(default, ast.Call):
            name = default.func.attr if isinstance(default.func, ast.Attribute) else getattr(default.func, "id", "")
            return name in {"Depends", "Security"}
    return False
