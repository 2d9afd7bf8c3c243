"""What a chat template's syntax tree uses, beside what such templates are known to use."""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import Environment, TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_GADGETS = _words(
    "mro func_globals func_code gi_frame gi_code cr_frame cr_code ag_frame f_globals f_builtins f_locals "
    "f_back tb_frame co_consts format_map"
)
_FUNCTIONS = _words(
    "raise_exception strftime_now range dict namespace zip enumerate caller render_content tojson len min max"
)
_METHODS = _words(
    "strip lstrip rstrip split rsplit splitlines join replace startswith endswith upper lower title capitalize "
    "items keys values get append insert extend pop update index find rfind count copy isdigit isalpha isspace "
    "removeprefix removesuffix strftime"
)
_FILTERS = _words(
    "abs batch capitalize count d default dictsort escape e first float forceescape format indent int items join last "
    "length list lower map max min reject rejectattr replace reverse round safe select selectattr slice sort string "
    "striptags sum title tojson trim truncate unique upper wordcount groupby from_json"
)
_OBJECTS = _words("lipsum cycler joiner self config request")
_LOOP = 1_000_000


class _Generation(Extension):
    """``{% generation %}``, with which tokenizers mark the assistant's tokens."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


_ENVIRONMENT = Environment(extensions=[loopcontrols, _Generation], trim_blocks=True, lstrip_blocks=True)


def parse(text: str) -> nodes.Template:
    """The syntax tree.

    Raises:
        ValueError: no template, or a tag that chat templates do not have.
        RecursionError: nested too deep.
    """
    try:
        return _ENVIRONMENT.parse(text)
    except TemplateError as error:
        raise ValueError(f"line {getattr(error, 'lineno', '?')}: {error.message}") from error


def escapes(tree: nodes.Template) -> Iterator[str]:
    """Ways out of the sandbox: private attributes, access by computed name, other templates, endless loops."""
    for node in tree.find_all(nodes.Node):
        if isinstance(node, nodes.Getattr) and _private(node.attr):
            yield f"reaches for the attribute {node.attr}"
        elif isinstance(node, nodes.Getitem):
            yield from _by_key(node.arg)
        elif isinstance(node, nodes.Filter | nodes.Test):
            yield from _by_filter(node)
        elif isinstance(node, nodes.Import | nodes.FromImport | nodes.Include | nodes.Extends):
            yield f"takes in another template ({type(node).__name__.lower()})"
        elif isinstance(node, nodes.Const) and isinstance(node.value, str) and "__" in node.value:
            yield f"holds the text {node.value[:60]!r}"
        elif isinstance(node, nodes.Call):
            yield from _by_call(node)


def _private(name: str) -> bool:
    return name.startswith("_") or name in _GADGETS


def _by_key(key: nodes.Expr) -> Iterator[str]:
    if isinstance(key, nodes.Const) and isinstance(key.value, str) and _private(key.value):
        yield f"reaches for the item {key.value!r}"
    if isinstance(key, nodes.Concat | nodes.Filter):
        yield "reaches for an item whose name it puts together"


def _by_filter(node: nodes.Filter | nodes.Test) -> Iterator[str]:
    if node.name == "attr":
        yield "reaches for an attribute through the filter attr"
    for given in (*(node.args or ()), *(pair.value for pair in node.kwargs or ())):
        path = given.value if isinstance(given, nodes.Const) else None
        if isinstance(path, str) and any(_private(part) for part in path.split(".")):
            yield f"reaches for {path!r} through {node.name}"


def _by_call(node: nodes.Call) -> Iterator[str]:
    target = node.node
    if isinstance(target, nodes.Getattr) and target.attr == "format" and isinstance(target.node, nodes.Const):
        text = str(target.node.value)
        if "." in text or "[" in text:
            yield f"formats {text[:60]!r}, which reaches into its arguments"
    if isinstance(target, nodes.Name) and target.name == "range":
        for value in node.args:
            if _large(value):
                yield "loops more than a million times"


def _large(value: nodes.Expr) -> bool:
    if isinstance(value, nodes.Const):
        return isinstance(value.value, int) and value.value > _LOOP
    return isinstance(value, nodes.Pow)


def unknown(tree: nodes.Template) -> Iterator[str]:
    """Functions, methods and filters that chat templates do not use."""
    own = {macro.name for macro in tree.find_all(nodes.Macro)} | set(_assigned(tree))
    for node in tree.find_all(nodes.Filter):
        if node.name not in _FILTERS and node.name != "attr":
            yield f"the filter {node.name}"
    for call in tree.find_all(nodes.Call):
        target = call.node
        if isinstance(target, nodes.Name):
            if target.name not in _FUNCTIONS | own:
                yield f"{target.name}()"
        elif isinstance(target, nodes.Getattr):
            if target.attr not in _METHODS and not _private(target.attr):
                yield f".{target.attr}()"
        else:
            yield "a call of something computed"
    for name in tree.find_all(nodes.Name):
        if name.name in _OBJECTS:
            yield f"the object {name.name}"


def _assigned(tree: nodes.Template) -> Iterator[str]:
    for node in tree.find_all(nodes.Assign):
        yield from (name.name for name in [node.target, *node.find_all(nodes.Name)] if isinstance(name, nodes.Name))
