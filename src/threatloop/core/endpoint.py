"""Endpoint: a victim that is reached over the network, and the terms on which it may be asked."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

REMOTE = "open_inference"
"""Name of the architecture of a model of which only the endpoint is known."""
CAPABILITIES = ("labels", "scores")
"""What an endpoint can grant: it answers, and shows neither gradients nor weights."""
TERMS = frozenset({"request_cap", "batch", "per_second", "timeout", "retries"})
"""Fields of an endpoint that change how often it is asked, not what it answers."""


class Endpoint(BaseModel):
    """A model behind the Open Inference Protocol, version 2, over REST (KServe, Triton, MLServer, …).

    Attributes:
        url: of the server, http or https, without credentials; ``/v2/models/MODEL/infer`` is added.
        model: the model's name on the server.
        version: of the model; None for the server's choice.
        authorised_by: who allowed this audit; goes into the report.
        request_cap: requests that may be sent in all, over all runs on this authorisation, retries included.
        input, output: names of the tensors; None where the server has just one.
        outputs: what it answers: ``logits`` or ``probabilities``, one number per class.
        datatype: of what is sent: ``FP32`` in [0, 1] or table units, or ``UINT8`` 0-255 (images).
        layout: of images: ``nchw`` or ``nhwc``.
        mean, std: subtracted and divided per channel or column before sending; None for nothing.
        batch: records per request.
        per_second: requests per second at most, over all workers.
        timeout: seconds to wait for an answer.
        retries: how often a failed request is repeated, with growing pauses or as long as the server asks.
        token_env: name of the environment variable whose value is sent as bearer token.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    url: str
    model: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")
    version: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    authorised_by: str = Field(min_length=3, max_length=200)
    request_cap: int = Field(ge=1)
    input: str | None = None
    output: str | None = None
    outputs: Literal["logits", "probabilities"] = "probabilities"
    datatype: Literal["FP32", "UINT8"] = "FP32"
    layout: Literal["nchw", "nhwc"] = "nchw"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    batch: int = Field(default=64, ge=1, le=4096)
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
        """Path of the model below the server's address."""
        version = f"/versions/{self.version}" if self.version else ""
        return f"{self.url}/v2/models/{self.model}{version}"
