"""Loading that runs what a file says: pickles and their relatives, YAML with tags, Keras layers with code."""

from __future__ import annotations

from typing import Final

from threatloop.supply_chain.code.facts import Call
from threatloop.supply_chain.code.rule import Match, Module, Rule, Unsure, on_calls
from threatloop.supply_chain.code.values import OUTSIDE, Origin
from threatloop.supply_chain.result import Severity
from threatloop.threats.ontology import Stage

LOCAL: Final = "malicious-model-file"
FETCHED: Final = "unsafe-download-deserialisation"

_PICKLES: Final = (
    "pickle.load", "pickle.loads", "pickle.Unpickler().load", "_pickle.load", "_pickle.loads", "cPickle.load",
    "cPickle.loads", "cPickle.Unpickler().load", "dill.load", "dill.loads", "cloudpickle.load", "cloudpickle.loads",
    "joblib.load", "sklearn.externals.joblib.load", "pandas.read_pickle", "shelve.open", "jsonpickle.decode",
    "pickle5.load", "pickle5.loads", "compress_pickle.load", "torch.package.PackageImporter", "marshal.load",
    "marshal.loads", "six.moves.cPickle.load", "six.moves.cPickle.loads", "numpy.lib.format.read_array",
)  # fmt: skip
_SAFE_YAML: Final = ("SafeLoader", "CSafeLoader", "BaseLoader", "CBaseLoader")
_FULL_YAML: Final = ("FullLoader", "CFullLoader")


def _loaded(call: Call, severity: Severity, detail: str) -> Match:
    """A match whose severity and threat follow where the file comes from."""
    outside = call.origins | call.callee.origins
    found = sorted(str(origin) for origin in outside & OUTSIDE)
    if found:
        why = f"what is loaded comes from {' and '.join(found)}"
        return Match(call.node, "", f"{why}; {detail}" if detail else why, Severity.CRITICAL, FETCHED)
    return Match(call.node, "", detail, severity, LOCAL)


def _torch(call: Call, name: str, module: Module) -> Match | Unsure | None:  # noqa: ARG001
    given = call.flag("weights_only", default=None)
    if given is True or _own(call):
        return None
    if given is False:
        return _loaded(call, Severity.HIGH, "weights_only=False asks for the unrestricted unpickler")
    if call.argument(None, "weights_only") is not None:
        return Unsure(call.node, "torch.load: weights_only is decided at run time")
    if call.open:
        return Unsure(call.node, "torch.load: further arguments come by ** and are not known")
    if call.argument(2, "pickle_module") is not None:
        return _loaded(call, Severity.HIGH, "a pickle_module needs the unrestricted unpickler")
    if module.safe_torch is True:
        return None
    if module.safe_torch is False:
        return _loaded(
            call, Severity.HIGH, "the repository allows torch before 2.6, which unpickles anything by default"
        )
    said = "torch before 2.6 unpickles anything by default; the repository does not say which version it uses"
    return _loaded(call, Severity.MEDIUM, said)


def _from_url(call: Call, name: str, module: Module) -> Match | Unsure | None:  # noqa: ARG001
    given = call.flag("weights_only", 6)
    if given is True:
        return None
    if given is None:
        return Unsure(call.node, "load_state_dict_from_url: weights_only is decided at run time")
    checked = call.flag("check_hash", 4) is True
    detail = "weights_only is off by default here, in every version of torch"
    more = "; the first digits of its hash are checked" if checked else ""
    return Match(call.node, "", detail + more, Severity.MEDIUM if checked else Severity.HIGH, FETCHED)


def _own(call: Call) -> bool:
    """Whether what is loaded was pickled by the same code just before, as for a deep copy."""
    return Origin.OWN_PICKLE in call.origins and not call.origins & OUTSIDE


def _pickle(call: Call, name: str, module: Module) -> Match | None:  # noqa: ARG001
    return None if _own(call) else _loaded(call, Severity.MEDIUM, f"{name} runs what the file says")


def _numpy(call: Call, name: str, module: Module) -> Match | Unsure | None:  # noqa: ARG001
    given = call.flag("allow_pickle", 2)
    if given:
        return _loaded(call, Severity.MEDIUM, "allow_pickle=True lets an array file hold a pickle")
    return Unsure(call.node, "numpy.load: allow_pickle is decided at run time") if given is None else None


def _yaml(call: Call, name: str, module: Module) -> Match | Unsure | None:  # noqa: ARG001
    if "unsafe_load" in name:
        return _loaded(call, Severity.HIGH, "the unsafe loader builds any Python object")
    loader = call.argument(1, "Loader")
    if loader is None:
        return (
            Unsure(call.node, "yaml.load: the loader is not known")
            if call.open
            else _loaded(call, Severity.MEDIUM, "without a Loader, PyYAML before 6 builds any Python object")
        )
    kinds = {one.removesuffix("()").rpartition(".")[2] for one in loader.names}
    if kinds & set(_SAFE_YAML):
        return None
    if kinds & set(_FULL_YAML):
        return _loaded(call, Severity.LOW, "FullLoader was escaped from before PyYAML 5.4")
    if any(one.startswith("yaml.") for one in loader.names):
        return _loaded(call, Severity.HIGH, "this loader builds any Python object")
    return Unsure(call.node, "yaml.load: what its Loader allows is not known")


def _keras(call: Call, name: str, module: Module) -> Match | Unsure | None:  # noqa: ARG001
    if name.endswith("enable_unsafe_deserialization"):
        return Match(call.node, "", "turns the check off for the whole process", Severity.HIGH, LOCAL)
    given = call.argument(None, "safe_mode")
    if given is None:
        return Unsure(call.node, "load_model: further arguments come by ** and are not known") if call.open else None
    if given.only() is False:
        return _loaded(call, Severity.HIGH, "safe_mode=False runs the Python code of Lambda layers")
    return None if given.only() is True else Unsure(call.node, "load_model: safe_mode is decided at run time")


def _dangerous(call: Call, name: str, module: Module) -> Match | Unsure | None:  # noqa: ARG001
    given = call.argument(None, "allow_dangerous_deserialization")
    if given is None or given.only() is False:
        return None
    if given.only() is True:
        return _loaded(call, Severity.HIGH, "the index is a pickle, and the switch that guards it is on")
    return Unsure(call.node, "allow_dangerous_deserialization is decided at run time")


_KERAS: Final = ("keras.models.load_model", "tensorflow.keras.models.load_model", "keras.saving.load_model",
                 "tensorflow.keras.saving.load_model", "keras.config.enable_unsafe_deserialization",
                 "tensorflow.keras.config.enable_unsafe_deserialization")  # fmt: skip

RULES: Final = (
    Rule(
        id="torch-load",
        title="torch.load may run code from the file",
        severity=Severity.HIGH,
        threat=LOCAL,
        direction=None,
        stage=Stage.SYSTEM_DEVELOPMENT,
        fix="pass weights_only=True, or keep weights as safetensors",
        reference="https://docs.pytorch.org/docs/stable/generated/torch.load.html",
        glimpse=(r"torch", r"\bload\b"),
        check=on_calls(_torch, "torch.load", "torch.serialization.load"),
    ),
    Rule(
        id="torch-load-from-url",
        title="Weights from a URL are unpickled without restriction",
        severity=Severity.HIGH,
        threat=FETCHED,
        direction=None,
        stage=Stage.SYSTEM_DEVELOPMENT,
        fix="pass weights_only=True and check_hash=True, or download safetensors of a known hash",
        reference="https://docs.pytorch.org/docs/stable/hub.html",
        glimpse=(r"load_state_dict_from_url|load_url",),
        check=on_calls(
            _from_url,
            "torch.hub.load_state_dict_from_url",
            "torch.utils.model_zoo.load_url",
            "torchvision.models.utils.load_state_dict_from_url",
            "torchvision._internally_replaced_utils.load_state_dict_from_url",
        ),
    ),
    Rule(
        id="pickle-load",
        title="Unpickling runs code from the file",
        severity=Severity.MEDIUM,
        threat=LOCAL,
        direction=None,
        stage=Stage.SYSTEM_DEVELOPMENT,
        fix="use a format without code (safetensors, ONNX, JSON, skops), or check a known hash before loading",
        reference="https://docs.python.org/3/library/pickle.html",
        glimpse=(
            r"[Pp]ickle|dill|joblib|shelve|marshal|PackageImporter|read_array",
            r"load|open|decode|read_|Impor",
        ),
        check=on_calls(_pickle, *_PICKLES),
    ),
    Rule(
        id="numpy-pickle",
        title="numpy.load may unpickle",
        severity=Severity.MEDIUM,
        threat=LOCAL,
        direction=None,
        stage=Stage.SYSTEM_DEVELOPMENT,
        fix="store plain arrays and drop allow_pickle=True",
        reference="https://numpy.org/doc/stable/reference/generated/numpy.load.html",
        glimpse=("allow_pickle",),
        check=on_calls(_numpy, "numpy.load"),
    ),
    Rule(
        id="unsafe-yaml",
        title="YAML is read by a loader that builds Python objects",
        severity=Severity.HIGH,
        threat=LOCAL,
        direction=None,
        stage=Stage.SYSTEM_DEVELOPMENT,
        fix="use yaml.safe_load, or Loader=yaml.CSafeLoader",
        reference="https://cwe.mitre.org/data/definitions/502.html",
        glimpse=("yaml", "load"),
        check=on_calls(_yaml, "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.unsafe_load_all"),
    ),
    Rule(
        id="unsafe-keras",
        title="Keras loads layers with Python code",
        severity=Severity.HIGH,
        threat=LOCAL,
        direction=None,
        stage=Stage.SYSTEM_DEVELOPMENT,
        fix="leave safe_mode on, and write custom layers as registered classes",
        reference="https://keras.io/api/models/model_saving_apis/model_saving_and_loading/",
        glimpse=("safe_mode|enable_unsafe_deserialization",),
        check=on_calls(_keras, *_KERAS),
    ),
    Rule(
        id="unsafe-index",
        title="A vector index is unpickled",
        severity=Severity.HIGH,
        threat=LOCAL,
        direction=None,
        stage=Stage.DEPLOYMENT,
        fix="rebuild the index from its documents, or load only what nobody but this system can write",
        reference="https://cwe.mitre.org/data/definitions/502.html",
        glimpse=("allow_dangerous_deserialization",),
        check=on_calls(_dangerous, "*.load_local", "*.from_disk", "*.load"),
    ),
)
