"""What calls do to data: which bring it in from outside, which are predictions, which leave nothing of their input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from threatloop.supply_chain.code.values import NOWHERE, Origin, Origins

O = Origin  # noqa: E741


@dataclass(frozen=True)
class Effect:
    """What a call gives.

    Attributes:
        gives: origins of its result.
        keeps: whether the result also comes from where the arguments come from.
    """

    gives: Origins = NOWHERE
    keeps: bool = False


DOWNLOADED: Final = Effect(frozenset({O.DOWNLOAD}))
_UPLOADED = Effect(frozenset({O.UPLOAD}))
_ASKED = Effect(frozenset({O.REQUEST}))
_FOUND = Effect(frozenset({O.RETRIEVED}))
_PREDICTED = Effect(frozenset({O.PREDICTION}))
_SCORED = Effect(frozenset({O.PREDICTION, O.SCORES}))
SAID: Final = Effect(frozenset({O.PREDICTION, O.MODEL_TEXT}))
_CLEAN = Effect()


def _each(effect: Effect, *names: str) -> dict[str, Effect]:
    return dict.fromkeys(names, effect)


CALLS: Final[Mapping[str, Effect]] = (
    _each(DOWNLOADED, *(f"requests.{verb}" for verb in ("get", "post", "request")))
    | _each(DOWNLOADED, *(f"{client}().{verb}" for client in ("requests.Session", "httpx.Client", "httpx.AsyncClient",
            "aiohttp.ClientSession") for verb in ("get", "post", "request", "stream")))
    | _each(DOWNLOADED, "httpx.get", "httpx.post", "httpx.stream", "urllib.request.urlopen", "urllib.urlopen",
            "urllib2.urlopen", "urllib3.PoolManager().request", "urllib3.request", "wget.download", "gdown.download",
            "gdown.cached_download", "pooch.retrieve", "tf.keras.utils.get_file", "tensorflow.keras.utils.get_file",
            "keras.utils.get_file", "torch.hub.load_state_dict_from_url", "huggingface_hub.hf_hub_download",
            "huggingface_hub.snapshot_download", "huggingface_hub.cached_download", "kagglehub.dataset_download",
            "kagglehub.model_download", "torch.hub.download_url_to_file", "urllib.request.urlretrieve",
            "urllib.urlretrieve", "feedparser.parse", "newspaper.Article")
    | _each(_UPLOADED, "streamlit.file_uploader", "streamlit.sidebar.file_uploader", "streamlit.camera_input")
    | _each(_ASKED, "streamlit.text_input", "streamlit.text_area", "streamlit.chat_input",
            "streamlit.sidebar.text_input", "streamlit.sidebar.text_area")
    | _each(_SCORED, "torch.softmax", "torch.nn.functional.softmax", "torch.nn.functional.log_softmax",
            "torch.log_softmax", "scipy.special.softmax", "tensorflow.nn.softmax", "torch.nn.Softmax()()",
            "jax.nn.softmax", "torch.sigmoid", "torch.nn.functional.sigmoid", "tensorflow.nn.sigmoid",
            "scipy.special.expit", "transformers.pipeline(scores)")
    | _each(SAID, "openai.ChatCompletion.create", "openai.Completion.create", "openai.ChatCompletion.acreate",
            "litellm.completion", "litellm.acompletion", "litellm.text_completion", "ollama.chat", "ollama.generate",
            "llama_cpp.Llama()()", "vllm.LLM().generate", "vllm.LLM().chat", "cohere.Client().chat",
            "cohere.Client().generate", "replicate.run", "transformers.pipeline(texts)", "dspy.Predict()()",
            "dspy.ChainOfThought()()")
    | _each(Effect(frozenset({O.OWN_PICKLE})), "pickle.dumps", "cloudpickle.dumps", "dill.dumps", "pickle.dump",
            "torch.save", "joblib.dump")
    | _each(_CLEAN, "builtins.int", "builtins.len", "builtins.bool", "builtins.isinstance", "builtins.type",
            "builtins.round", "numpy.argmax", "torch.argmax", "numpy.round", "numpy.around", "torch.round",
            "builtins.hash", "builtins.id", "builtins.range", "hashlib.sha256", "ast.literal_eval", "builtins.hasattr",
            "tensorflow.argmax", "tensorflow.math.argmax", "torch.topk", "torch.max", "numpy.argsort",
            "os.path.exists", "os.path.isfile", "logging.getLogger", "re.escape", "shlex.quote")
)  # fmt: skip
"""By full name."""

ENDINGS: Final[Mapping[str, Effect]] = (
    _each(_SCORED, "predict_proba", "predict_log_proba", "decision_function", "softmax", "log_softmax", "sigmoid")
    | _each(_PREDICTED, "generate", "predict", "predict_on_batch", "predict_step")
    | _each(_FOUND, "similarity_search", "similarity_search_with_score", "get_relevant_documents",
            "max_marginal_relevance_search", "as_retriever()().invoke", "retrieve")
    | _each(SAID, "chat.completions.create", "responses.create", "messages.create", "generate_content",
            "create_chat_completion", "create_completion", "text_generation", "chat_completion", "completions.create",
            "chat.complete", "invoke_model", "converse", "batch_decode")
    | _each(_CLEAN, "argmax", "round", "topk", "argsort", "hexdigest", "item_id")
    | _each(DOWNLOADED, "download_to_filename", "download_as_bytes", "download_as_string", "download_blob",
            "hf_hub_download", "snapshot_download", "load_state_dict_from_url")
)  # fmt: skip
"""By the end of a dotted name, of up to three parts."""

ATTRIBUTES: Final[Mapping[str, Origins]] = {
    "flask.request": frozenset({O.REQUEST}),
    "flask.request.files": frozenset({O.REQUEST, O.UPLOAD}),
    "quart.request": frozenset({O.REQUEST}),
    "bottle.request": frozenset({O.REQUEST}),
}
"""Of attributes that hold data from outside."""

ATTRIBUTE_ENDINGS: Final[Mapping[str, Origins]] = {
    "logits": frozenset({O.PREDICTION, O.SCORES}),
    "FILES": frozenset({O.UPLOAD}),
}

WRITES: Final[Mapping[str, tuple[int, tuple[str, ...]]]] = {
    "urllib.request.urlretrieve": (1, ("filename",)),
    "urllib.urlretrieve": (1, ("filename",)),
    "torch.hub.download_url_to_file": (1, ("dst",)),
    "wget.download": (1, ("out",)),
    "gdown.download": (1, ("output",)),
    "?.download_file": (2, ("Filename",)),
    "?.download_to_filename": (0, ("filename",)),
}
"""Calls that download to a path: the position and the names of the argument that holds it."""

LANGUAGE_MODELS: Final = ("langchain", "langchain_openai", "langchain_community", "langchain_anthropic", "llama_index",
                          "langchain_core", "langchain_ollama", "langchain_huggingface")  # fmt: skip
CHAIN_METHODS: Final = frozenset({"invoke", "ainvoke", "run", "arun", "predict", "call", "query", "complete", "chat"})
TEXT_TASKS: Final = frozenset({"text-generation", "text2text-generation", "summarization", "conversational",
                               "image-to-text", "image-text-to-text", "question-answering"})  # fmt: skip
DOWNLOAD_WORDS: Final = ("download", "fetch_url")
CHECKING_WORDS: Final = ("validate", "sanitis", "sanitiz", "verify", "moderate", "quarantine", "approve", "screen_")


@lru_cache(maxsize=8192)
def effect_of(name: str) -> Effect | None:
    """What is known of calling this name."""
    found = CALLS.get(name)
    if found is not None:
        return found
    parts = name.split(".")
    for length in (3, 2, 1):
        if len(parts) > length - 1:
            found = ENDINGS.get(".".join(parts[-length:]))
            if found is not None:
                return found
    return _by_word(name, parts)


def _by_word(name: str, parts: list[str]) -> Effect | None:
    last = parts[-1].lower()
    if parts[0] in LANGUAGE_MODELS and last in CHAIN_METHODS and "()" in name:
        return _FOUND if "etriever" in name else SAID
    if last.startswith(DOWNLOAD_WORDS) or last.endswith("_download"):
        return DOWNLOADED
    if any(word in last for word in CHECKING_WORDS):
        return _CLEAN
    return None
