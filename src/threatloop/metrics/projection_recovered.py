"""How much of a language model's last layer was recovered."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Evidence, Model
from threatloop.core.errors import NotAssessable
from threatloop.core.metric import Case, Graded, Metric, MetricInfo, Reading

if TYPE_CHECKING:
    from threatloop.models.language.language import Language, LastNorm

NAME = "projection_recovered"


class ProjectionRecovered(Metric):
    """1 less the relative error of the projection under the best linear map, where a random guess counts as 0.

    The truth is the victim's own matrix less its mean over the vocabulary, which is all that answers can show. An error
    counts in both directions: the recovered columns must span the true ones, and nothing else.

    Further readings: ``width_exact``, 1 or 0; ``linear_error``, that relative Frobenius error; ``rotation_error``, the
    same after the best orthogonal map alone, of the matrix with the last norm's gain in it. No interval: the attack
    meets one matrix.
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        title="Last layer recovered",
        unit="rate",
        worst=1.0,
        margin=0.05,
        needs=frozenset({"outcome", "victim"}),
        meaning="Share of the output projection that is recovered up to an invertible map; a random guess counts as 0.",
    )

    def grade(self, case: Case) -> Graded:
        from threatloop.models.language.language import projection_of
        from threatloop.numerics.output_layer import BEYOND, linear_error

        found = case.get("outcome", Evidence)
        language = _language(case)
        true = projection_of(language)
        tokens, width = true.shape
        prompts, told = int(found.notes["prompts"]), int(found.notes["width"])
        values = np.asarray(found.arrays["singular_values"])
        curves = {NAME: {"rank": np.arange(1, len(values) + 1), "singular_value": values}} if len(values) else {}
        if found.notes["queries"] and not told and min(prompts, tokens - 1) < width + BEYOND:
            why = f"{prompts} prompts over {tokens} tokens cannot show a width of {width}; {width + BEYOND} could"
            names = ("", ".width_exact", ".linear_error", ".rotation_error")
            return Graded(tuple(Reading(NAME + name, None, 0, undefined=why) for name in names), curves)
        exact = Reading(f"{NAME}.width_exact", float(told == width), 1)
        projection = np.asarray(found.arrays["projection"], np.float32)
        if projection.shape[0] != tokens:
            why = str(found.notes.get("why", "nothing was recovered"))
            errors = [Reading(NAME + name, None, 0, undefined=why) for name in (".linear_error", ".rotation_error")]
            return Graded((Reading(NAME, 0.0, 1), exact, *errors), curves)
        error = linear_error(true, projection)
        chance = np.sqrt(max(0.0, 1 - width / (tokens - 1)))
        share = float(np.clip(1 - error / chance, 0, 1)) if chance > 0 else 0.0
        readings = (Reading(NAME, share, 1), exact, Reading(f"{NAME}.linear_error", error, 1))
        return Graded((*readings, _rotation(found, true, language.last_norm())), curves)


def _language(case: Case) -> Language:
    """The victim, whose weights are the truth."""
    from threatloop.models.device import resolve
    from threatloop.models.language.loading import LANGUAGES, language_of

    victim = case.get("victim", Model)
    if victim.architecture.name not in LANGUAGES:
        raise NotAssessable("the true weights are not at hand, so that nothing can be compared with them")
    return language_of(victim, resolve(case.device))


def _rotation(found: Evidence, plain: npt.NDArray[np.float32], norm: LastNorm | None) -> Reading:
    from threatloop.numerics.output_layer import rotation_error

    name, rotated = f"{NAME}.rotation_error", np.asarray(found.arrays["rotated"], np.float64)
    if not rotated.size:
        return Reading(name, None, 0, undefined=str(found.notes.get("why_not_rotated", "it was not attempted")))
    if norm is None:
        return Reading(name, None, 0, undefined="the norm before this model's last layer is not known")
    return Reading(name, rotation_error(norm.into(plain), rotated), 1)
