"""``threatloop recommend``."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from threatloop.cli.console import console
from threatloop.core.errors import InputError
from threatloop.report import advice_words as words

if TYPE_CHECKING:
    from threatloop.analysis.recommendation.advice import Advice, Option

DIRECTIONS = ("D→D", "D→M", "M→M", "M→D")


@dataclass(frozen=True)
class Request:
    """What the user asked for on the command line."""

    run: Path
    target: str | None
    min_accuracy: float | None
    max_train_cost: str | None
    max_delay: str | None
    max_size: int | None
    out: Path | None
    json: bool


def run(request: Request) -> int:
    """Print the front, the recommended set and how far to trust it; the spec to a file where asked."""
    from threatloop.api import recommend
    from threatloop.report.machine import advice_json

    if request.out is not None:
        _check(request.out)
    found = recommend(
        request.run,
        target=request.target,
        min_accuracy=request.min_accuracy,
        max_train_cost=cost(request.max_train_cost),
        max_delay=cost(request.max_delay, "max-delay", "time to answer"),
        max_size=request.max_size,
        folder=Path() if request.out is None else request.out.parent,
    )
    if request.out is not None:
        _save(request.out, found.yaml)
    if request.json:
        print(advice_json(found.advice))
        return 0
    _tell(found.advice)
    if request.out is not None:
        console().print(f"spec: {escape(str(request.out))}")
    elif found.advice.chosen.spec:
        console().print("[bold]the recommended spec, on fresh seeds[/] (--out saves it):")
        print(found.yaml, end="")
    if code := _code(found.yaml):
        console().print(escape(f"the spec names code ({', '.join(code)}): save it in the folder that this lies in"))
    return 0


def _code(text: str) -> list[str]:
    """Names of the user's own code in a spec; they are imported from beside it."""
    import yaml

    targets = yaml.safe_load(text)["targets"].values()
    names = [name for one in targets for name in (one.get("train"), (one.get("model") or {}).get("name"))]
    return [name for name in names if name and ":" in name]


def cost(text: str | None, option: str = "max-train-cost", of: str = "training time") -> float | None:
    """``3x`` and ``3`` as a number.

    Raises:
        InputError: anything else.
    """
    if text is None:
        return None
    if re.fullmatch(r"\d+(\.\d+)?[x×]?", text.strip()) is None:
        raise InputError(f"{option} {text!r}: needs a multiple of the {of} without defences, such as 3x")
    return float(text.strip().rstrip("x×"))


def front_table(advice: Advice) -> Table:
    """The Pareto front, the recommended set first."""
    table = Table(
        title=f"{escape(advice.target)}: sets that no other beats in every respect",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("defences", overflow="fold", ratio=1)
    for direction in DIRECTIONS:
        table.add_column(f"risk {direction}", justify="right")
    for name in ("accuracy", "train cost", "delay", ""):
        table.add_column(name, justify="right" if name else "left")
    for option in advice.front:
        table.add_row(*_row(option), style="bold" if option is advice.chosen else None)
    if not any(option.label == advice.undefended.label for option in advice.front):
        table.add_section()
        table.add_row(*_row(advice.undefended))
    return table


def _row(option: Option) -> tuple[str, ...]:
    return (
        escape(option.label),
        *(words.risk(option, direction) for direction in DIRECTIONS),
        words.short(option.accuracy, 3),
        words.short(option.cost, 2, "×"),
        words.short(option.delay, 1, "×"),
        "measured" if option.measured else "predicted",
    )


def _tell(advice: Advice) -> None:
    out = console()
    out.print(front_table(advice))
    if advice.size > len(advice.front):
        out.print(f"… and {advice.size - len(advice.front)} more on the front")
    if any(option.unresolved for option in advice.front):
        out.print(
            f"{words.OPEN} unresolved: no attacker who knows the defences was measured; the risk without them is kept"
        )
    out.print(Text.assemble(("recommended: ", "bold"), words.headline(advice)))
    for line in words.details(advice) if advice.chosen.spec else ():
        out.print(Padding(Text(line), (0, 0, 0, 2)))
    out.print(Text(words.scope(advice)))
    for found in advice.validations:
        out.print(Text(words.trust(found)))


def _check(path: Path) -> None:
    """Before anything is computed: the spec can be put there, and nothing of the user's is lost."""
    from threatloop.analysis.recommendation.spec import HEAD

    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder, and the spec needs a file; choose another --out")
        if path.exists() and not path.read_bytes().startswith(HEAD.encode()):
            raise InputError(f"{path}: exists and is no recommended spec, so it is left alone; choose another --out")
        parent = next(folder for folder in path.absolute().parents if folder.exists())
        if not parent.is_dir():
            raise InputError(f"{path}: {parent.name} is a file, not a folder; choose another --out")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); choose another --out") from error


def _save(path: Path, text: str) -> None:
    """Whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); choose another --out") from error
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
