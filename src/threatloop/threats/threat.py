"""One threat of the catalogue: what the attacker does, what it needs, harms and rests on, and what measures it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from threatloop.core.access import Capability
from threatloop.core.catalogue import nearest
from threatloop.core.step import Direction
from threatloop.threats.ontology import Relation, Stage


class Access(StrEnum):
    """What an attacker must have. The first seven are the capabilities of a service, `Capability`."""

    LABELS = Capability.LABELS.value
    SCORES = Capability.SCORES.value
    LOGPROBS = Capability.LOGPROBS.value
    TEXT = Capability.TEXT.value
    GRADIENTS = Capability.GRADIENTS.value
    WEIGHTS = Capability.WEIGHTS.value
    TUNE = Capability.TUNE.value
    INPUTS = "inputs"
    """Hands inputs to the deployed model and need not see its answers."""
    DATA_CONTRIBUTION = "data contribution"
    """Has records of his own among those that are trained, tuned or adapted on."""
    FEEDBACK = "feedback"
    """Rates answers, or labels which of two is preferred."""
    RETRIEVED_CONTENT = "retrieved content"
    """Writes what the model reads by retrieval, browsing, tools or memory."""
    PUBLISHED_DATA = "published data"
    """Holds data that the owner released in a protected form: marked, encoded, anonymised or synthetic."""
    GENERATED_OUTPUT = "generated output"
    """Holds texts, images or vectors that the model made for others."""
    FEDERATED_CLIENT = "federated client"
    """Takes part in the rounds of federated or split training."""
    FEDERATED_SERVER = "federated server"
    """Runs, or listens to, the aggregation of federated or split training."""
    TRAINING_PIPELINE = "training pipeline"
    """Runs part of the training, or decides its order, without the victim's looking."""
    SUPPLY_CHAIN = "supply chain"
    """Publishes or replaces what the victim installs, downloads or builds on."""
    SOURCE_CODE = "source code"
    """Reads the victim's repository, images or notebooks."""
    NETWORK = "network"
    """Reaches an interface of the victim, or watches its encrypted traffic."""
    SHARED_HARDWARE = "shared hardware"
    """Runs a process, or sends requests, on the machine that serves the victim's model."""
    PHYSICAL = "physical"
    """Is near the device or within the scene that its sensors see."""


class Asset(StrEnum):
    """What is harmed."""

    TRAINING_DATA = "training data"
    """The confidentiality of the records that a model was trained or tuned on."""
    PUBLISHED_DATA = "published data"
    """The protection of data that were released: their mark, encoding or anonymity."""
    CONNECTED_DATA = "connected data"
    """Documents, messages and memory that a deployed model reads or can reach."""
    USER_INPUTS = "user inputs"
    """The confidentiality of what users send to a model and get from it."""
    SYSTEM_PROMPT = "system prompt"
    MODEL_BEHAVIOUR = "model behaviour"
    """The integrity of what a model answers or does."""
    MODEL = "model"
    """The confidentiality of weights, architecture and settings: the owner's property."""
    OWNERSHIP_EVIDENCE = "ownership evidence"
    """Marks that prove where a model or its output comes from."""
    SERVICE = "service"
    """Availability and cost."""
    HOST = "host"
    """Machines, accounts and credentials around the model."""


class System(StrEnum):
    """What kind of system a threat is about."""

    ANY = "any"
    IMAGES = "images"
    TABULAR = "tabular"
    LANGUAGE = "language"
    AUDIO = "audio"
    DIFFUSION = "diffusion"
    FEDERATED = "federated"
    AGENTS = "agents and retrieval"
    RECOMMENDER = "recommender"
    CODE_ASSISTANT = "code assistant"


class Strict(BaseModel):
    """Base of what is read from the catalogue's files: frozen, strict, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Line = Annotated[str, Field(min_length=3, pattern=r"^\S.*\S$")]
Reason = Annotated[str, Field(pattern=r"^because \S.*\S$")]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Technique = Annotated[str, Field(pattern=r"^AML\.T\d{4}(\.\d{3})?$")]
AtlasMitigation = Annotated[str, Field(pattern=r"^AML\.M\d{4}$")]
Weakness = Annotated[str, Field(pattern=r"^CWE-[1-9]\d*$")]


class Reference(Strict):
    """A paper, or a report where there is no paper.

    Attributes:
        authors: family names, or the organisation.
        year: of the first public version; of a case study, that of the incident.
        title: in full.
        arxiv: its arXiv id, where it has one.
        venue: where it was published, for those that have none.
    """

    authors: Line
    year: Annotated[int, Field(ge=1985, le=2100)]
    title: Line
    arxiv: Annotated[str, Field(pattern=r"^(\d{4}\.\d{4,5}|cs/\d{7})$")] | None = None
    venue: Line | None = None

    @model_validator(mode="after")
    def _findable(self) -> Self:
        if (self.arxiv is None) == (self.venue is None):
            raise ValueError("give arxiv, or venue for what is not on arXiv")
        return self

    def __str__(self) -> str:
        place = f"arXiv {self.arxiv}" if self.arxiv else self.venue
        return f"{self.authors} {self.year}, {self.title}, {place}"


def _look_up(key: object, info: ValidationInfo) -> object:
    known: Mapping[str, Reference] = (info.context or {}).get("references", {})
    if not isinstance(key, str):
        return key
    if key not in known:
        raise ValueError(f"no reference {key!r} in references.yaml{nearest(key, known)}")
    return known[key]


Cited = Annotated[Reference, BeforeValidator(_look_up)]


class Relationship(Strict):
    """What one threat does for another.

    Attributes:
        relation: ``enables``, ``amplifies`` or ``precedes``.
        threat: id of the other.
        why: how, in one line.
        source: the paper that shows it; nothing where the catalogue's authors say so.
    """

    relation: Relation
    threat: Slug
    why: Line
    source: Cited | None = None

    @model_validator(mode="after")
    def _between_threats(self) -> Self:
        if self.relation not in (Relation.ENABLES, Relation.AMPLIFIES, Relation.PRECEDES):
            raise ValueError("relation: must be enables, amplifies or precedes")
        return self


def _direction(value: object) -> object:
    return None if value == "none" else value


class Threat(Strict):
    """One entry of the catalogue.

    Attributes:
        id: slug; its node is ``threat:slug``.
        name: a short title.
        description: what the attacker does and what is harmed, in one to three sentences.
        direction: the arrow between data and models; ``none`` in the file where it is none of the four.
        no_direction: why it is none.
        stages: of the victim's lifecycle in which it is prepared or carried out, in their order.
        access: what he must have.
        assets: what is harmed.
        systems: what it is about.
        techniques: MITRE ATLAS technique ids.
        no_technique: why there is none.
        weaknesses: CWE ids.
        mitigations: MITRE ATLAS mitigation ids.
        defences: names in the catalogue of defences that counter it.
        references: who described it; the first is the one to read.
        measured_by: names in the catalogue of attacks that measure it.
        controls: names in the same catalogue of their baselines and matched controls.
        not_measurable: why no attack of the catalogue measures it.
        relations: to other threats.
    """

    id: Slug
    name: Line
    description: Line
    direction: Annotated[Direction | None, BeforeValidator(_direction)]
    no_direction: Reason | None = None
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    access: Annotated[frozenset[Access], Field(min_length=1)]
    assets: Annotated[tuple[Asset, ...], Field(min_length=1)]
    systems: Annotated[tuple[System, ...], Field(min_length=1)]
    techniques: tuple[Technique, ...] = ()
    no_technique: Reason | None = None
    weaknesses: tuple[Weakness, ...] = ()
    mitigations: tuple[AtlasMitigation, ...] = ()
    defences: tuple[str, ...] = ()
    references: Annotated[tuple[Cited, ...], Field(min_length=1)]
    measured_by: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    not_measurable: Reason | None = None
    relations: tuple[Relationship, ...] = ()

    @property
    def node(self) -> str:
        """Its id in the graph."""
        return f"threat:{self.id}"

    @property
    def year(self) -> int:
        """Of the earliest of its references."""
        return min(reference.year for reference in self.references)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        order = list(Stage)
        problems = [
            *_either("direction", self.direction is not None, "no_direction", self.no_direction),
            *_either("techniques", bool(self.techniques), "no_technique", self.no_technique),
            *_either("measured_by", bool(self.measured_by), "not_measurable", self.not_measurable),
        ]
        if self.controls and not self.measured_by:
            problems.append("controls: stand beside attacks, and measured_by names none")
        if list(self.stages) != sorted(set(self.stages), key=order.index):
            problems.append("stages: each once, in the lifecycle's order")
        if problems:
            raise ValueError("; ".join(problems))
        return self


def _either(name: str, given: bool, instead: str, reason: str | None) -> list[str]:
    return [f"give {name}, or {instead} with the reason; not both"] if given is (reason is not None) else []
