"""HTML pages that are one file each: no network, and no script but their own."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from threatloop.core.unseen import visible


def page(template: str, styles: Sequence[str], script: str = "", **values: Any) -> str:
    """A page from a template. Every value is escaped, and spelled out where it would not be seen.

    The page's content security policy allows style and script by their digests, and nothing else: what a text of the
    graph might smuggle in does not run.

    Args:
        template: name among the package's templates.
        styles: names of style sheets.
        script: name of the script; none by default.
        values: for the template.
    """
    css, code = "".join(map(_text, styles)), _text(script) if script else ""
    policy = f"default-src 'none'; img-src data:; style-src {_digest(css)}"
    policy += f"; script-src {_digest(code)}" if code else ""
    rendered: str = (
        environment()
        .get_template(template)
        .render(policy=Markup(policy), style=Markup(css), script=Markup(code), **values)
    )
    return rendered


@cache
def environment() -> Environment:
    """Where the templates are."""
    return Environment(
        loader=PackageLoader("threatloop.threats.exporters"),
        autoescape=True,
        finalize=_seen,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _text(name: str) -> str:
    environment_ = environment()
    assert environment_.loader is not None
    return environment_.loader.get_source(environment_, name)[0]


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _seen(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
