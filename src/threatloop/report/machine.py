"""What machines read: ``report.json`` and JUnit XML. Their fields are documented in ``docs/run-folder.md``."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Final
from xml.etree import ElementTree as ET

from pydantic import BaseModel

from threatloop.analysis.compare import Comparison
from threatloop.analysis.estimates import Paired
from threatloop.analysis.findings import Figure
from threatloop.analysis.recommendation.advice import Advice
from threatloop.analysis.summary import Summary
from threatloop.analysis.thresholds import ThresholdResult
from threatloop.core.measurement import Notice, RunRecord
from threatloop.numerics.undefined import Undefined
from threatloop.report import numbers
from threatloop.report.threats_view import ThreatsView, threats_json, threats_view
from threatloop.report.words import Sentence, against_baseline

REPORT_VERSION: Final = 1
_OF_SUMMARY: Final = ("scores", "arms", "gates", "enablements", "loops", "sweeps")
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_json(
    record: RunRecord,
    summary: Summary,
    opening: Sequence[Sentence],
    fail_on: Sequence[ThresholdResult],
    advice: Mapping[str, Advice | Undefined],
    threats: ThreatsView | None = None,
) -> str:
    """The text of ``report.json``; what is not computed is ``{"not_computed": reason}``, never a number."""
    threats = threats or threats_view(record, summary)
    report = {
        "version": REPORT_VERSION,
        "run": record.run,
        "name": record.name,
        "seeds": record.seeds,
        "opening": [f"{sentence.lead}: {sentence.text}" for sentence in opening],
        "thresholds": [plain(result) for result in fail_on],
        "findings": [
            plain(figure) | {"reading": against_baseline(figure).phrase, "threats": threats.ids(figure.attack)}
            for figure in summary.figures
        ],
        "threats": threats_json(threats),
        **{name: plain(getattr(summary, name)) for name in _OF_SUMMARY},
        "recommendation": plain(advice),
        "interactions": [plain(cell) for cell in summary.matrix.cells],
        "side_effects": [plain(one) for one in summary.matrix.side_effects],
        "claims": [plain(one) for one in summary.claims],
        "study": record.study.model_dump() if record.study else None,
        **{name: [n.model_dump() for n in getattr(record, name)] for name in ("errors", "not_assessed", "self_checks")},
        **{name: plain(getattr(record, name)) for name in ("targets", "tasks", "environment")},
    }
    return json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False, default=str) + "\n"


def comparison_json(found: Comparison) -> str:
    """Two runs compared, as one JSON object; numbers that do not exist as in ``report.json``."""
    return json.dumps(plain(found), indent=1, ensure_ascii=False, allow_nan=False, default=str)


def advice_json(found: Advice) -> str:
    """A recommendation as one JSON object."""
    return json.dumps(plain(found), indent=1, ensure_ascii=False, allow_nan=False, default=str)


def as_junit(record: RunRecord, summary: Summary, fail_on: Sequence[ThresholdResult]) -> str:
    """JUnit XML: one case per target, scenario and headline figure, and one per threshold.

    A crossed threshold is a failure, an error of the run an error; what was not assessed or computed is skipped.
    """
    root = ET.Element("testsuites", name=_xml(f"threatloop: {record.name}"))
    _suite(root, "figures", [_figure_case(figure) for figure in summary.figures if figure.headline])
    _suite(root, "thresholds", [_threshold_case(result) for result in fail_on])
    _suite(root, "errors", [_notice_case(notice, "error") for notice in record.errors])
    _suite(root, "not assessed", [_notice_case(notice, "skipped") for notice in record.not_assessed])
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def plain(value: Any) -> Any:
    """The value as JSON has it."""
    if isinstance(value, Undefined):
        return {"not_computed": value.reason}
    if isinstance(value, BaseModel):
        return plain(value.model_dump(mode="json"))
    if is_dataclass(value) and not isinstance(value, type):
        shown = (f for f in fields(value) if not isinstance(getattr(value, f.name), Paired))
        return {f.name: plain(getattr(value, f.name)) for f in shown}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"not_computed": f"the value is {value}"}
    return value


def _suite(root: ET.Element, name: str, cases: Sequence[ET.Element]) -> None:
    counts = {kind: sum(case.find(tag) is not None for case in cases) for kind, tag in _KINDS.items()}
    suite = ET.SubElement(root, "testsuite", {"name": name, "tests": str(len(cases))})
    suite.attrib.update({kind: str(count) for kind, count in counts.items()})
    suite.extend(cases)


_KINDS: Final = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def _figure_case(figure: Figure) -> ET.Element:
    side = f" (gate {figure.gate})" if figure.gate else ""
    case = _case(f"{figure.target}.{figure.scenario}", f"{figure.metric} at step {figure.step}{side}")
    if isinstance(figure.value.mean, Undefined):
        why = "; ".join(f"{reason} ({n} seeds)" for reason, n in figure.missing) or str(figure.value.mean)
        ET.SubElement(case, "skipped", message=_xml(f"not computed: {why}"))
    else:
        out = f"{numbers.with_interval(figure.value)}, {against_baseline(figure).phrase}"
        ET.SubElement(case, "system-out").text = _xml(out)
    return case


def _threshold_case(result: ThresholdResult) -> ET.Element:
    case = _case("threatloop.fail-on", result.expression)
    if result.crossed:
        ET.SubElement(case, "failure", message=_xml(result.why), type="threshold crossed")
    else:
        ET.SubElement(case, "system-out").text = _xml(result.why)
    return case


def _notice_case(notice: Notice, tag: str) -> ET.Element:
    seed = "" if notice.seed is None else f" (seed {notice.seed})"
    case = _case(f"{notice.target or 'run'}.{notice.scenario or 'run'}", f"{notice.what}{seed}")
    ET.SubElement(case, tag, message=_xml(notice.why))
    return case


def _case(classname: str, name: str) -> ET.Element:
    return ET.Element("testcase", classname=_xml(classname), name=_xml(name))


def _xml(text: str) -> str:
    return _NOT_XML.sub("�", text)
