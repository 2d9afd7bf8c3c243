"""What is run that should not be: a language model's output, and code that was just downloaded."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from threatloop.core.step import Direction
from threatloop.supply_chain.code.facts import Call, Matcher
from threatloop.supply_chain.code.rule import Match, Module, Rule, Unsure, on_calls
from threatloop.supply_chain.code.values import Origin
from threatloop.supply_chain.result import Severity
from threatloop.threats.ontology import Stage

_CODE: Final = ("builtins.eval", "builtins.exec", "builtins.compile", "builtins.execfile", "pandas.eval",
                "*.DataFrame().eval", "runpy.run_path", "runpy.run_module",
                "code.InteractiveInterpreter().runcode")  # fmt: skip
_SHELL: Final = ("os.system", "os.popen", "subprocess.run", "subprocess.Popen", "subprocess.call",
                 "subprocess.check_output", "subprocess.check_call", "subprocess.getoutput", "commands.getoutput",
                 "asyncio.create_subprocess_shell", "asyncio.create_subprocess_exec",
                 "paramiko.SSHClient().exec_command")  # fmt: skip
_SQL: Final = ("*.execute", "*.executemany", "*.executescript", "pandas.read_sql", "pandas.read_sql_query",
               "sqlalchemy.text",
               "duckdb.sql", "duckdb.query")  # fmt: skip
_SINKS: Final = Matcher(*_CODE, *_SHELL, *_SQL)
_AGENTS: Final = (
    "langchain_experimental.utilities.PythonREPL", "langchain_experimental.tools.PythonREPLTool",
    "langchain_experimental.tools.PythonAstREPLTool", "langchain.tools.PythonREPLTool",
    "langchain.utilities.PythonREPL",
    "langchain_community.tools.ShellTool", "langchain.tools.ShellTool", "langchain_community.utilities.BashProcess",
    "langchain_experimental.tools.python.tool.PythonREPLTool", "langchain_experimental.utilities.python.PythonREPL",
    "langchain_experimental.pal_chain.PALChain.from_math_prompt", "llama_index.core.query_engine.PandasQueryEngine",
    "langchain.chains.LLMMathChain",
)  # fmt: skip


def _outputs(module: Module) -> Iterator[Match | Unsure]:
    for call, name in module.facts.named(_SINKS):
        first = call.args[0] if call.args else call.first()
        if Origin.MODEL_TEXT not in first.origins:
            continue
        what = _runs(name)
        if Origin.UNTRUSTED_PROMPT in first.origins:
            detail = f"outside text is in the prompt, and the answer is run as {what}: whoever writes that text runs it"
            yield Match(call.node, "", detail, Severity.CRITICAL)
        else:
            yield Match(call.node, "", f"the answer of a language model is run as {what}", Severity.HIGH)


def _runs(name: str) -> str:
    if name in _CODE or name.endswith(".eval"):
        return "Python"
    return "a command" if name in _SHELL else "SQL"


def _agents(call: Call, name: str, module: Module) -> Match | None:  # noqa: ARG001
    return Match(call.node, "", f"{name.rpartition('.')[2]} runs what a language model writes")


def _allowed(module: Module) -> Iterator[Match | Unsure]:
    yield from on_calls(_agents, *_AGENTS)(module)
    for call in module.facts.calls.values():
        given = call.keywords.get("allow_dangerous_code")
        if given is not None and given.only() is True:
            yield Match(call.node, "", "allow_dangerous_code=True lets the model's Python run in this process")


def _downloaded(module: Module) -> Iterator[Match | Unsure]:
    sinks = Matcher(*_CODE, *_SHELL)
    for call, name in module.facts.named(sinks):
        first = call.args[0] if call.args else call.first()
        if Origin.DOWNLOAD in first.origins and Origin.MODEL_TEXT not in first.origins and _whole(call, name):
            yield Match(call.node, "", f"what was downloaded is run as {_runs(name)}")


def _whole(call: Call, name: str) -> bool:
    """Of commands, only those in one text: a downloaded path as one of several arguments is no command."""
    return name in _CODE or not (call.node.args and isinstance(call.node.args[0], ast.List | ast.Tuple))


_LANGUAGE: Final = (
    r"openai|anthropic|litellm|ollama|langchain|llama|vllm|cohere|replicate|dspy|genai|transformers|completions|decode|"
    r"generate_content|InferenceClient|messages\.create|responses\.create|invoke_model|converse"
)
"""How a file looks that asks a language model."""

RULES: Final = (
    Rule(
        id="model-output-run",
        title="The output of a language model is run",
        severity=Severity.HIGH,
        threat="generated-code-execution",
        direction=Direction.DATA_TO_MODEL,
        stage=Stage.INFERENCE,
        fix="let the model choose among fixed actions with checked arguments, bind SQL parameters, sandbox the rest",
        reference="https://arxiv.org/abs/2302.12173",
        glimpse=(_LANGUAGE, r"\beval\(|exec|subprocess|os\.|popen|compile|read_sql|duckdb|sqlalchemy"),
        check=_outputs,
    ),
    Rule(
        id="code-running-agent",
        title="An agent may run code or commands",
        severity=Severity.HIGH,
        threat="generated-code-execution",
        direction=Direction.DATA_TO_MODEL,
        stage=Stage.INFERENCE,
        fix="run it in a sandbox without network and secrets, or drop the tool",
        reference="https://arxiv.org/abs/2302.12173",
        glimpse=(
            r"Python(Ast)?REPL|ShellTool|BashProcess|PALChain|PandasQueryEngine|LLMMathChain|allow_dangerous_code",
        ),
        check=_allowed,
    ),
    Rule(
        id="downloaded-code-run",
        title="Downloaded text is run as code",
        severity=Severity.CRITICAL,
        threat="remote-code-in-model-repository",
        direction=None,
        stage=Stage.SYSTEM_DEVELOPMENT,
        fix="vendor the code, or pin and check its hash before anything of it runs",
        reference="https://cwe.mitre.org/data/definitions/494.html",
        glimpse=(
            r"urlopen|requests|httpx|download|urlretrieve|aiohttp|get_file",
            r"\b(eval|exec|compile)\(|subprocess|system|popen|runpy",
        ),
        check=_downloaded,
    ),
)  # fmt: skip
