"""Run as a program of its own: asks fickling and modelaudit-picklescan about pickles, or h5py about an HDF5 file.

It imports nothing of threatloop, is started with ``python -I -S`` and an empty environment, bounds its own memory and
time, and never loads a pickle: both scanners are static. Of what is installed it sees the scanners alone, so that
their answers do not depend on the rest: modelaudit-picklescan would read the sources of every module that a pickle
names, which takes half a minute for one estimator; without sources it goes by its lists of names. Tasks come as one
JSON document on standard input; each answer is one line of JSON on standard output, written as soon as it is known.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TextIO

_PARTIAL = ("incomplete", "exceeded", "truncated", "timeout", "budget")
"""How codes of modelaudit-picklescan's notices end where it did not see everything."""
_FICKLING = ("", "low", "low", "medium", "high", "high")
"""Of fickling's levels, from likely safe to overtly malicious."""


def main() -> None:
    """Answer every task, each scanner in turn."""
    order = json.load(sys.stdin)
    out = _own_output()
    _bound(order["memory"])
    sys.path[:0] = order["path"]
    signal.signal(signal.SIGALRM, _late)
    for scanner in order["scanners"]:
        try:
            judge = _SCANNERS[scanner](order)
        except Exception as error:  # not installed, or not able to start here
            _say(out, scanner=scanner, missing=f"{type(error).__name__}: {error}"[:300])
            continue
        for task in order["tasks"]:
            if task.get("done", {}).get(scanner):
                continue
            _say(out, scanner=scanner, task=task["id"], **_answer(judge, task["path"], order["seconds"]))


def _answer(judge: Callable[[str], dict[str, Any]], path: str, seconds: float) -> dict[str, Any]:
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        return judge(path)
    except _Late:
        return {"failed": f"it took more than {seconds:g} seconds"}
    except Exception as error:  # whatever a third-party scanner raises on a hostile file is its answer
        return {"failed": f"{type(error).__name__}: {error}"[:300]}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _fickling(order: dict[str, Any]) -> Callable[[str], dict[str, Any]]:  # noqa: ARG001
    from fickling.analysis import check_safety
    from fickling.fickle import StackedPickle

    def judge(path: str) -> dict[str, Any]:
        remarks: dict[tuple[str, str], None] = {}
        with open(path, "rb") as file:
            for pickled in StackedPickle.load(file, fail_on_decode_error=False):
                for result in check_safety(pickled).results:
                    severity = _FICKLING[result.severity.severity]
                    if severity:
                        remarks[severity, str(result)[:400]] = None
        return {"remarks": [{"severity": severity, "text": text} for severity, text in remarks][:200]}

    return judge


def _picklescan(order: dict[str, Any]) -> Callable[[str], dict[str, Any]]:
    from modelaudit_picklescan import PickleScanner, ScanOptions, ScanStatus

    scanner = PickleScanner(options=ScanOptions(timeout_s=order["seconds"]))
    scanner.scan_bytes(b"N.")
    sys.path.clear()

    def judge(path: str) -> dict[str, Any]:
        with open(path, "rb") as file:
            report = scanner.scan_bytes(file.read(), source="pickle")
        remarks = [
            {
                "severity": _graded(found.severity.value, found.rule_code or ""),
                "text": f"{found.rule_code}: {found.message}"[:400],
            }
            for found in report.findings[:200]
        ]
        answer: dict[str, Any] = {"remarks": remarks}
        told = [note for note in report.notices if (note.code or "").endswith(_PARTIAL)]
        if report.status is not ScanStatus.COMPLETE and (told or report.errors):
            messages = [error.message for error in report.errors] + [note.message for note in told]
            answer["incomplete"] = "; ".join(dict.fromkeys(messages))[:300]
        return answer

    return judge


def _graded(severity: str, rule: str) -> str:
    """An object that the loader must supply, and what is only odd, is not what runs code."""
    return "high" if severity == "critical" and rule.startswith(("DANGEROUS", "MALFORMED", "EXTENSION")) else "medium"


def _h5py(order: dict[str, Any]) -> Callable[[str], dict[str, Any]]:  # noqa: ARG001
    import h5py

    def judge(path: str) -> dict[str, Any]:
        found: dict[str, Any] = {"texts": {}, "links": []}
        with h5py.File(path, "r") as file:
            for name in ("model_config", "training_config"):
                value = file.attrs.get(name)
                if value is not None:
                    found["texts"][name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
            found["links"] = list(_links(h5py, file))[:200]
        return found

    return judge


def _links(h5py: Any, file: Any) -> Iterator[str]:
    """Names that lead to another file: external links and external raw data."""
    seen: set[int] = set()
    pending = [("", file)]
    while pending:
        path, group = pending.pop()
        if group.id.__hash__() in seen or len(seen) > 100_000:
            continue
        seen.add(group.id.__hash__())
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                yield f"{path}/{name} → {link.filename}"
                continue
            if isinstance(link, h5py.SoftLink):
                continue
            item = group.get(name)
            if isinstance(item, h5py.Group):
                pending.append((f"{path}/{name}", item))
            elif isinstance(item, h5py.Dataset):
                yield from (f"{path}/{name} → {entry[0]}" for entry in item.external or ())


_SCANNERS: dict[str, Callable[[dict[str, Any]], Callable[[str], dict[str, Any]]]] = {
    "fickling": _fickling,
    "modelaudit-picklescan": _picklescan,
    "h5py": _h5py,
}


def _own_output() -> TextIO:
    """Standard output for the answers alone: what a scanner prints of a file must not pass as one."""
    own = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return own


def _say(out: TextIO, **answer: Any) -> None:
    out.write(json.dumps(answer) + "\n")
    out.flush()


class _Late(BaseException):
    """No Exception: scanners catch those, and would give what they have seen so far for the whole."""


def _late(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise _Late


def _bound(memory: int) -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        return


if __name__ == "__main__":
    main()
