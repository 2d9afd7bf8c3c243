"""Endpoint: a victim that is reached over the network, and the terms on which it may be asked."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter, field_validator

from threatloop.core.access import Capability

REMOTE = frozenset({"open_inference", "openai"})
"""Names of the architectures of models of which only the endpoint is known: its protocol."""
TERMS = frozenset({"request_cap", "batch", "parallel", "per_second", "timeout", "retries"})
"""Fields of an endpoint that change how often it is asked, not what it answers."""
FOUND = frozenset({"input", "output", "offers"})
"""Fields that are asked for where the spec leaves them out; they change no answer."""
CHAT: Final = "chat"
COMPLETIONS: Final = "completions"
LOGPROBS: Final = "logprobs"
ECHO: Final = "echo"
Offer = Literal["chat", "completions", "logprobs", "echo"]


class Terms(BaseModel):
    """Where a model is, and what its owner allows.

    Attributes:
        url: of the server, http or https, without credentials.
        authorised_by: who allowed this audit; goes into the report.
        request_cap: requests that may be sent in all, over all runs on this authorisation, retries included.
        per_second: requests per second at most, over all workers.
        timeout: seconds to wait for an answer.
        retries: how often a failed request is repeated, with growing pauses or as long as the server asks.
        token_env: name of the environment variable whose value is sent as bearer token.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    capabilities: ClassVar[tuple[Capability, ...]] = ()
    """What such an endpoint can grant at most: it answers, and shows neither gradients nor weights."""

    url: str
    authorised_by: str = Field(min_length=3, max_length=200)
    request_cap: int = Field(ge=1)
    per_second: float = Field(default=10.0, gt=0, le=10_000)
    timeout: float = Field(default=30.0, gt=0, le=600)
    retries: int = Field(default=4, ge=0, le=10)
    token_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")

    @field_validator("url")
    @classmethod
    def _plain_http(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("needs an http:// or https:// address with a host")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("holds credentials or a query; name the variable of a token as `token_env` instead")
        return url.rstrip("/")

    @property
    def place(self) -> str:
        """Address of the model, for requests and messages."""
        return self.url

    def refusal(self, capability: Capability) -> str:  # noqa: ARG002
        """Why a capability that such an endpoint could grant is not granted; empty where it is, or may be."""
        return ""


class OpenInference(Terms):
    """A model behind the Open Inference Protocol, version 2, over REST (KServe, Triton, MLServer, …).

    Attributes:
        protocol: ``open_inference``, or left out.
        url: of the server; ``/v2/models/MODEL/infer`` is added.
        model: the model's name on the server.
        version: of the model; None for the server's choice.
        input, output: names of the tensors; None where the server has just one.
        outputs: what it answers: ``logits`` or ``probabilities``, one number per class.
        datatype: of what is sent: ``FP32`` in [0, 1] or table units, or ``UINT8`` 0-255 (images).
        layout: of images: ``nchw`` or ``nhwc``.
        mean, std: subtracted and divided per channel or column before sending; None for nothing.
        batch: records per request.
    """

    capabilities: ClassVar[tuple[Capability, ...]] = (Capability.LABELS, Capability.SCORES)

    protocol: Literal["open_inference"] = "open_inference"
    model: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")
    version: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    input: str | None = None
    output: str | None = None
    outputs: Literal["logits", "probabilities"] = "probabilities"
    datatype: Literal["FP32", "UINT8"] = "FP32"
    layout: Literal["nchw", "nhwc"] = "nchw"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    batch: int = Field(default=64, ge=1, le=4096)

    @property
    def place(self) -> str:
        """Path of the model below the server's address."""
        version = f"/versions/{self.version}" if self.version else ""
        return f"{self.url}/v2/models/{self.model}{version}"


class Turns(BaseModel):
    """How a model's template writes a turn of each role, with ``{}`` where its text stands; None for unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str | None = None
    user: str | None = None
    assistant: str | None = None

    @field_validator("*")
    @classmethod
    def _one_place(cls, written: str | None) -> str | None:
        if written is not None and written.count("{}") != 1:
            raise ValueError("needs {} once, where the text stands")
        return written


class OpenAI(Terms):
    """A language model behind OpenAI's chat and completions protocol (vLLM, SGLang, llama.cpp, hosted APIs, …).

    Attributes:
        protocol: ``openai``.
        url: as an OpenAI client takes it, such as ``https://host/v1``; ``/v1`` is added to a bare host.
        model: the model's name on the server.
        offers: what it gives, of ``chat``, ``completions`` (goes on with raw text), ``logprobs`` (of the likeliest
            next tokens) and ``echo`` (of the tokens of a given text, on completions); None to try each once.
        top_logprobs: of how many likeliest tokens log-probabilities are asked for; servers refuse too many.
        vocabulary: size of the vocabulary, for servers that name tokens by number (``return_tokens_as_token_ids``, as
            vLLM does) and show all of them; None for any other.
        turns: how the model's own template writes a turn of each role, with ``{}`` where its text stands; needed to
            score conversations, since completions read raw text.
        limit: the parameter that bounds a reply: ``max_tokens``, or ``max_completion_tokens`` for newer models.
        parallel: requests in flight at once.
    """

    capabilities: ClassVar[tuple[Capability, ...]] = (
        *(Capability.LABELS, Capability.SCORES),
        *(Capability.TEXT, Capability.LOGPROBS),
    )

    protocol: Literal["openai"]
    model: str = Field(pattern=r"^[A-Za-z0-9~@][A-Za-z0-9_.:/@+~-]{0,199}$")
    offers: tuple[Offer, ...] | None = None
    top_logprobs: int = Field(default=5, ge=1, le=1 << 20)
    vocabulary: int | None = Field(default=None, ge=2, le=1 << 20)
    turns: Turns | None = None
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    parallel: int = Field(default=4, ge=1, le=64)

    @field_validator("offers")
    @classmethod
    def _in_order(cls, offers: tuple[Offer, ...] | None) -> tuple[Offer, ...] | None:
        return None if offers is None else tuple(one for one in get_args(Offer) if one in offers)

    @field_validator("url")
    @classmethod
    def _versioned(cls, url: str) -> str:
        return url if urlsplit(url).path else f"{url}/v1"

    def refusal(self, capability: Capability) -> str:
        """By what it offers; see `Terms.refusal`."""
        offers = frozenset(self.offers or ())
        if self.offers is None or capability not in self.capabilities:
            return ""
        if capability is Capability.TEXT:
            return "" if offers & {CHAT, COMPLETIONS} else "the endpoint writes nothing"
        if capability is Capability.LOGPROBS:
            return "" if LOGPROBS in offers else "the endpoint refused logprobs"
        return "" if ECHO in offers else "the endpoint scores no given texts (completions with echo and logprobs)"


def _protocol(written: Any) -> Any:
    """Specs that name no protocol are of the first one."""
    found = written.get("protocol", "open_inference") if isinstance(written, dict) else None
    return getattr(written, "protocol", found)


Endpoint = Annotated[
    Annotated[OpenInference, Tag("open_inference")] | Annotated[OpenAI, Tag("openai")],
    Discriminator(
        _protocol,
        custom_error_type="protocol",
        custom_error_message="needs a mapping with a `protocol` of open_inference (or none) or openai",
    ),
]
ENDPOINT: TypeAdapter[OpenInference | OpenAI] = TypeAdapter(Endpoint)
