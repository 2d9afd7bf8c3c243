"""Build ``report.html``, ``report.json`` and ``junit.xml`` from a run folder. Needs neither torch nor the network."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup

from threatloop.analysis.summary import Summary, summarise
from threatloop.analysis.thresholds import ThresholdResult
from threatloop.core.files import write_texts
from threatloop.core.unseen import visible
from threatloop.report import numbers, plots
from threatloop.report.advice_view import advise_all, panels
from threatloop.report.machine import as_json, as_junit
from threatloop.report.matrix_view import matrix_view, probability_of
from threatloop.report.texts_view import Shown
from threatloop.report.threats_view import ThreatsView, threats_view
from threatloop.report.view import Page, page
from threatloop.report.words import against_baseline, between_arms
from threatloop.runs.folder import RunFolder, read_run_folder
from threatloop.threats.exporters.heat_map import MARKS

HTML: Final = "report.html"
JSON: Final = "report.json"
JUNIT: Final = "junit.xml"
_MAPS: Final = PackageLoader("threatloop.threats.exporters")


def build(
    run_folder: Path | RunFolder,
    out: Path | None = None,
    show_records: bool = False,
    show_outputs: bool = False,
    fail_on: Sequence[ThresholdResult] = (),
    summary: Summary | None = None,
) -> Path:
    """Write the three files of a report and return the path of the HTML one.

    Args:
        run_folder: as ``write_run_folder`` left it, or as it was read.
        out: the folder to write to; the run folder itself by default.
        show_records: show recovered records of targets that are not public; else they are blurred and hashed.
        show_outputs: show what a model said to sensitive prompts; what an attacker made of these is never shown.
        fail_on: judged thresholds, to be shown on top and as failures in JUnit.
        summary: of this very run, where the caller has it already.

    Raises:
        InputError: the run folder cannot be read, or the output cannot be written; one line.
    """
    folder = run_folder if isinstance(run_folder, RunFolder) else read_run_folder(run_folder)
    summary = summary or summarise(folder.record, folder.rows)
    advice = advise_all(folder)
    view = replace(
        page(folder, summary, fail_on, Shown(show_records, show_outputs)), advice=panels(folder.record, advice)
    )
    threats = threats_view(folder.record, summary)
    texts = {
        HTML: render(view, threats),
        JSON: as_json(folder.record, summary, view.opening, fail_on, advice, threats),
        JUNIT: as_junit(folder.record, summary, fail_on),
    }
    place = folder.path if out is None else out
    write_texts(place, texts)
    return place / HTML


def render(view: Page, threats: ThreatsView) -> str:
    """The HTML text. Every value is escaped, and spelled out where it would not be seen.

    Names, reasons and what models say come from specs and data.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("threatloop.report"), PrefixLoader({"threats": _MAPS})]),
        autoescape=True,
        finalize=_seen,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": numbers.number,
        "mean": numbers.mean,
        "span": _unbroken(numbers.span),
        "full": _unbroken(numbers.with_interval),
        "span_of": _unbroken(numbers.interval),
        "difference": _unbroken(numbers.difference),
        "probability": numbers.probability,
        "duration": numbers.duration,
        "facts": numbers.facts,
        "count": numbers.count,
    }
    tools = {"verdict": against_baseline, "between": between_arms, "value_range": plots.value_range, "plot": plots}
    matrix = matrix_view(view.record, view.summary.matrix)
    about = {"threats": threats, "marks": MARKS, "titles": {name: view.title(name) for name in view.record.attacks}}
    return environment.get_template("report.html.j2").render(
        page=view,
        record=view.record,
        matrix=matrix,
        of_effect=probability_of,
        claims=view.summary.claims,
        **tools,
        **about,
    )


def _seen(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _unbroken(show: Callable[..., str]) -> Callable[..., str]:
    """The same text, with intervals that do not break over two lines."""

    def shown(*args: Any) -> str:
        return re.sub(r"\[(\S+), (\S+)\]", "[\\1,\u00a0\\2]", show(*args))

    return shown
