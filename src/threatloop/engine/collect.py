"""From artefacts in the store to the rows, curves, records and pictures of a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from threatloop.core.measurement import (
    ADAPTIVE,
    ATTACK,
    BASELINE,
    MATCHED,
    REFERENCE,
    WITHOUT,
    GalleryItem,
    Measurement,
    Notice,
)
from threatloop.core.metric import Graded
from threatloop.core.text_item import TextItem
from threatloop.engine.figures import Figure, not_computed
from threatloop.engine.plan import Plan
from threatloop.engine.products import NotAssessed, Product, decode
from threatloop.engine.self_checks import NO_QUERY, exchangeability, more_access_is_no_weaker, self_checks
from threatloop.engine.storage.store import Store
from threatloop.engine.texts import in_gallery, said_of, said_without
from threatloop.runs.folder import CURVES_SCHEMA, RECORDS_SCHEMA

CURVE_POINTS = 200
"""A curve is thinned to about so many points: more than a plot shows."""
RECORD_ARMS = (ATTACK,)


@dataclass
class Collected:
    """Everything of a run folder that comes out of the store."""

    rows: list[Measurement] = field(default_factory=list)
    curves: list[pa.Table] = field(default_factory=list)
    records: list[pa.Table] = field(default_factory=list)
    gallery: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    items: list[GalleryItem] = field(default_factory=list)
    texts: list[TextItem] = field(default_factory=list)
    not_assessed: list[Notice] = field(default_factory=list)
    lost: list[Notice] = field(default_factory=list)
    self_checks: list[Notice] = field(default_factory=list)


def collect(plan: Plan, store: Store, run: str, failed: Mapping[str, str]) -> Collected:
    """Read every graded step that is in the store.

    Raises:
        CorruptArtefact: one does not match its manifest.
    """
    found, products = Collected(), _graded(plan, store, failed)
    baselines, before = _baselines(plan, products), said_without(plan.figures, products)
    for target, figure in plan.figures:
        product = products.get(figure.grade.key)
        if product is None:
            found.lost.append(_lost(target, figure, plan, failed))
            continue
        if isinstance(product.value, NotAssessed) and figure.arm.startswith(MATCHED):
            # The attack was assessed; what it is compared with says seed by seed why it cannot be had.
            product = not_computed(figure, product.value.reason)
        if isinstance(product.value, NotAssessed):
            notice = Notice(
                target=target, scenario=figure.scenario, seed=figure.seed, what=_what(figure), why=product.value.reason
            )
            found.not_assessed.append(notice)
            continue
        checks = [products[ref.key] for ref in figure.checks if ref.key in products]
        _add_rows(found, target, figure, product, checks, baselines, run)
        if not figure.condition:
            _add_tables(found, target, figure, product.value)
            _add_gallery(found, plan, target, figure, product.value)
            if in_gallery(figure):
                found.texts += said_of(target, figure, product.value, before, plan.facts[target])
        found.self_checks += self_checks(target, figure, product, checks)
    found.self_checks += exchangeability(found.rows)
    found.self_checks += more_access_is_no_weaker(plan.audit.scenarios, found.rows)
    return found


def _graded(plan: Plan, store: Store, failed: Mapping[str, str]) -> dict[str, Product]:
    keys = {ref.key for _, figure in plan.figures for ref in (figure.grade, *figure.checks)} - set(failed)
    return {key: decode(store.get(key)) for key in sorted(store.present(keys))}


_BaselineKey = tuple[str, str, str, int, int, str]


def _baselines(plan: Plan, products: Mapping[str, Product]) -> dict[_BaselineKey, float | None]:
    """The value where that very step was replaced by its baseline."""
    found: dict[_BaselineKey, float | None] = {}
    for target, figure in plan.figures:
        product = products.get(figure.grade.key)
        replaced = figure.arm == BASELINE or figure.arm == f"{WITHOUT}{figure.step}"
        if product is not None and replaced and isinstance(product.value, Graded):
            for reading in product.value.readings:
                found[_baseline_key(target, figure, reading.metric)] = reading.value
    return found


def _baseline_key(target: str, figure: Figure, metric: str) -> _BaselineKey:
    return target, figure.scenario, figure.condition, figure.seed, figure.step, metric


def _add_rows(
    found: Collected,
    target: str,
    figure: Figure,
    product: Product,
    checks: Sequence[Product],
    baselines: Mapping[_BaselineKey, float | None],
    run: str,
) -> None:
    facts, graded = product.facts, product.value
    contents = facts.get("contents", {})
    # The oracle's victim is not the one that the baselines ran against.
    compared = figure.arm.startswith((ATTACK, ADAPTIVE, REFERENCE))
    of_split = [one for check in checks for one in check.value.readings if one.metric == NO_QUERY]
    for reading in (*graded.readings, *of_split):
        found.rows.append(
            Measurement(
                run=run,
                target=target,
                scenario=figure.scenario,
                step=figure.step,
                steps=figure.steps,
                lap=figure.lap,
                arm=figure.arm,
                attack=figure.attack,
                direction=figure.direction,
                defences=",".join(figure.defences),
                condition=figure.condition,
                by_proxy=figure.by_proxy,
                seed=figure.seed,
                metric=reading.metric,
                value=reading.value,
                low=reading.low,
                high=reading.high,
                n=reading.n,
                baseline=baselines.get(_baseline_key(target, figure, reading.metric)) if compared else None,
                undefined=reading.undefined,
                queries=int(facts.get("queries", 0)),
                stop_reason=str(facts.get("stop_reason", "finished")),
                seconds=float(facts.get("attack_seconds", 0.0)),
                gate=str(facts.get("gate", "")),
                dataset=figure.source.key,
                model=contents.get("victim", ""),
                outcome=contents.get("outcome", ""),
                by_labels=reading.metric.split(".")[0] in facts.get("by_labels", ()),
            )
        )


def _place(target: str, figure: Figure, n: int) -> dict[str, Any]:
    values = {
        "target": target,
        "scenario": figure.scenario,
        "arm": figure.arm,
        "step": figure.step,
        "lap": figure.lap,
        "seed": figure.seed,
    }
    return {name: pa.repeat(pa.scalar(value), n) for name, value in values.items()}


def _add_tables(found: Collected, target: str, figure: Figure, graded: Graded) -> None:
    """Curves of every arm; per-record values of the attack's own arm."""
    metric = graded.readings[0].metric if graded.readings else ""
    for name, curve in graded.curves.items():
        (x_name, x), (y_name, y) = list(curve.items())[:2]
        keep = thinned(np.asarray(x, np.float64))
        n = len(keep)
        columns = {
            **_place(target, figure, n),
            "metric": pa.repeat(metric, n),
            "curve": pa.repeat(name, n),
            "x_name": pa.repeat(x_name, n),
            "y_name": pa.repeat(y_name, n),
            "x": np.asarray(x, np.float64)[keep],
            "y": np.asarray(y, np.float64)[keep],
        }
        found.curves.append(pa.table(columns, schema=CURVES_SCHEMA))
    if figure.arm not in RECORD_ARMS or not graded.records:
        return
    ids = graded.records.get("record")
    for name, column in graded.records.items():
        if name == "record":
            continue
        numbers = np.arange(len(column)) if ids is None else np.asarray(ids)
        columns = {
            **_place(target, figure, len(column)),
            "record": numbers.astype(np.int64),
            "name": pa.repeat(name, len(column)),
            "value": np.asarray(column, np.float64),
        }
        found.records.append(pa.table(columns, schema=RECORDS_SCHEMA))


def thinned(x: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Positions to keep of a curve: corners first, then evenly in the logarithm of x, where ROC curves are read."""
    if len(x) <= CURVE_POINTS:
        return np.arange(len(x))
    corners = np.flatnonzero((np.diff(x, prepend=x[0] - 1) != 0) & (np.diff(x, append=x[-1] + 1) != 0))
    positive = x[x > 0]
    grid = np.geomspace(positive.min(), positive.max(), CURVE_POINTS // 2) if len(positive) else np.array([0.0])
    steps = np.searchsorted(x, grid).clip(0, len(x) - 1)
    even = np.linspace(0, len(x) - 1, CURVE_POINTS // 2).astype(np.int64)
    few = corners if len(corners) <= CURVE_POINTS // 4 else corners[:: max(1, len(corners) // (CURVE_POINTS // 4))]
    kept: npt.NDArray[np.int64] = np.unique(np.concatenate([[0, len(x) - 1], steps, even, few]))
    return kept


def _add_gallery(found: Collected, plan: Plan, target: str, figure: Figure, graded: Graded) -> None:
    """Pictures of the first seed, of the arms in which something is attacked."""
    if not in_gallery(figure):
        return
    for name, batch in graded.gallery.items():
        arm = figure.arm.replace(":", "-")
        file = f"{target}/{figure.scenario}/{arm}-{figure.step}-{name}.png".replace(" ", "-")
        found.gallery[file] = np.asarray(batch, np.float32)
        private = not plan.facts[target].public
        found.items.append(
            GalleryItem(
                target=target,
                scenario=figure.scenario,
                arm=figure.arm,
                step=figure.step,
                lap=figure.lap,
                seed=figure.seed,
                name=name,
                file=file,
                private=private,
            )
        )


def _lost(target: str, figure: Figure, plan: Plan, failed: Mapping[str, str]) -> Notice:
    """An error for a figure that is missing, so that its scenario and attack never read as clean."""
    cause = failed.get(figure.grade.key, "its artefact is not in the store")
    why = f"no figure: {cause}" if figure.grade.key in plan.tasks else "no figure: it was not planned"
    return Notice(target=target, scenario=figure.scenario, seed=figure.seed, what=_what(figure), why=why)


def _what(figure: Figure) -> str:
    under = f" under {figure.condition}" if figure.condition else ""
    return f"{figure.attack} (step {figure.step}, {figure.arm}){under}"
