"""Findings from a chat template. It is parsed to a tree with jinja2 and never rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from threatloop.supply_chain.model_files.templates.instructions import instructions
from threatloop.supply_chain.model_files.templates.tree import escapes, parse, unknown

if TYPE_CHECKING:
    from threatloop.supply_chain.model_files.job import Job


def check_template(text: str, place: str, name: str, job: Job) -> None:
    """Look for what leaves the sandbox, what is not known, and what speaks to the model.

    Args:
        text: the template.
        place: of the file it stands in.
        name: of the template in it.
    """
    if len(text) > job.limits.text:
        job.notes.skip(place, f"{name}: a template of more than {job.limits.text} characters")
        return
    try:
        tree = parse(text)
    except (ValueError, RecursionError) as error:
        job.notes.failed(place, f"{name}: no template that can be parsed: {error}")
        _judge_words(text, place, name, job)
        return
    for what in dict.fromkeys(escapes(tree)):
        job.notes.found("template-escape", place, f"{name}: {what}", subject=f"{name}: {what}")
    odd = list(dict.fromkeys(unknown(tree)))
    if odd:
        title = f"{name}: uses what chat templates do not: {', '.join(odd[:6])}"
        job.notes.found("template-unknown", place, title, subject=name)
    for what in dict.fromkeys(instructions(tree)):
        job.notes.found("template-instructions", place, f"{name}: {what}", subject=f"{name}: {what}")


def _judge_words(text: str, place: str, name: str, job: Job) -> None:
    """Of a template that cannot be parsed, at least the words that no template needs."""
    for word in ("__class__", "__globals__", "__subclasses__", "__builtins__", "__import__", "|attr"):
        if word in text.replace(" ", ""):
            job.notes.found("template-escape", place, f"{name}: holds {word}", subject=f"{name}: {word}")
