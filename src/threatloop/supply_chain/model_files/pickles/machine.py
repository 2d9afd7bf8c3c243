"""The unpickler's stack machine, followed without importing, calling or building anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from threatloop.supply_chain.model_files.pickles.opcodes import Blob, Broken, Op
from threatloop.supply_chain.model_files.pickles.values import Box, Made, Name, Other, Value, called, render
from threatloop.supply_chain.model_files.pickles.walk import Use, Walk

_NEWEST = 5
_DEEPEST = 1_000_000
HEADS = (b"PK", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x93NUMPY", b"c", b"(", b"\x80")
"""How a byte string begins that is worth a look inside."""


class Machine:
    """The stack, the memo and the marks.

    Args:
        walk: what is seen is written there.
    """

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.stack: list[Value] = []
        self.marks: list[list[Value]] = []
        self.memo: dict[int, Value] = {}
        self._protocols = 0

    def step(self, op: Op) -> None:
        """Follow one opcode.

        Raises:
            Broken: the unpickler would fail here.
        """
        handler = _HANDLERS.get(op.name)
        if handler is None:
            self._push(op.argument if not isinstance(op.argument, tuple) else None)
            self._keep(op)
        else:
            handler(self, op)
        if len(self.stack) > _DEEPEST:
            raise Broken(f"more than {_DEEPEST} values on the stack at byte {op.at}")

    def pop(self, op: Op) -> Value:
        if not self.stack:
            raise Broken(f"{op.name} at byte {op.at}: nothing on the stack")
        return self.stack.pop()

    def _push(self, value: Value) -> None:
        self.stack.append(value)

    def _keep(self, op: Op) -> None:
        data = op.argument
        if isinstance(data, str) and data[:1] in ("P", "\x80", "\x1f"):
            data = data.encode("latin-1", "replace")
        if isinstance(data, Blob) or (isinstance(data, bytes) and data.startswith(HEADS)):
            self.walk.blobs.append((op.at, data))

    def _marked(self, op: Op) -> list[Value]:
        if not self.marks:
            raise Broken(f"{op.name} at byte {op.at}: no mark on the stack")
        items, self.stack = self.stack, self.marks.pop()
        return items

    def _top(self, op: Op) -> Value:
        if not self.stack:
            raise Broken(f"{op.name} at byte {op.at}: nothing on the stack")
        return self.stack[-1]

    def _use(self, name: Name, op: Op, call: str = "", given: Value = None) -> None:
        self.walk.uses.append(Use(name, op.at, call, given))

    def _call(self, function: Value, arguments: Value, op: Op) -> None:
        name = called(function)
        if name is not None:
            self._use(name, op, f"{op.name} {render(Made(function, arguments))}", arguments)
        else:
            self.walk.odd.append((op.at, f"{op.name} calls {render(function)}, which is no global"))
        self._push(Made(function, arguments))

    def proto(self, op: Op) -> None:
        self._protocols += 1
        if isinstance(op.argument, int) and op.argument > _NEWEST:
            raise Broken(f"protocol {op.argument}, the newest is {_NEWEST}")
        if self._protocols > 1 or op.at != self.walk.start:
            self.walk.odd.append((op.at, "PROTO is not the first opcode, or stands there twice"))

    def mark(self, op: Op) -> None:  # noqa: ARG002
        self.marks.append(self.stack)
        self.stack = []

    def put(self, op: Op) -> None:
        key = op.argument if isinstance(op.argument, int) else len(self.memo)
        self.memo[key] = self._top(op)

    def get(self, op: Op) -> None:
        if not isinstance(op.argument, int) or op.argument not in self.memo:
            raise Broken(f"{op.name} at byte {op.at}: nothing under {op.argument!r} in the memo")
        self._push(self.memo[op.argument])

    def drop(self, op: Op) -> None:
        self._thrown([self.stack.pop()] if self.stack else self._marked(op), op)

    def _thrown(self, gone: list[Value], op: Op) -> None:
        """A call whose result nobody takes is made for what it does."""
        for value in gone:
            if isinstance(value, Made):
                self.walk.odd.append((op.at, f"the result of {render(value.function)} is thrown away"))

    def dup(self, op: Op) -> None:
        self._push(self._top(op))

    def drop_marked(self, op: Op) -> None:
        self._thrown(self._marked(op), op)

    def named(self, op: Op) -> None:
        if isinstance(op.argument, tuple):
            name = Name(*op.argument)
            self._use(name, op)
            self._push(name)

    def named_by_stack(self, op: Op) -> None:
        name, module = self.pop(op), self.pop(op)
        if isinstance(name, str) and isinstance(module, str):
            found = Name(module, name)
            self._use(found, op)
            self._push(found)
            return
        self.walk.computed.append((op.at, f"{render(module)}.{render(name)}"))
        self._push(Other("a global of computed name"))

    def inst(self, op: Op) -> None:
        items = self._marked(op)
        if isinstance(op.argument, tuple):
            self._call(Name(*op.argument), Box("tuple", items[:64]), op)

    def obj(self, op: Op) -> None:
        items = self._marked(op)
        if not items:
            raise Broken(f"OBJ at byte {op.at}: no class on the stack")
        self._call(items[0], Box("tuple", items[1:65]), op)

    def reduce(self, op: Op) -> None:
        arguments, function = self.pop(op), self.pop(op)
        self._call(function, arguments, op)

    def reduce_with_keywords(self, op: Op) -> None:
        keywords, arguments, function = self.pop(op), self.pop(op), self.pop(op)
        self._call(function, Box("tuple", [arguments, keywords]), op)

    def build(self, op: Op) -> None:
        state, target = self.pop(op), self._top(op)
        if isinstance(target, Made):
            target.state = state
        elif isinstance(target, Name):
            self.walk.odd.append((op.at, f"BUILD sets the state of the global {target} itself"))

    def extension(self, op: Op) -> None:
        self.walk.extensions.append(op.argument if isinstance(op.argument, int) else -1)
        self._push(Other(f"extension {op.argument!r}"))

    def persistent(self, op: Op) -> None:
        identity = op.argument if op.name == "PERSID" else self.pop(op)
        self.walk.persistent += 1
        if isinstance(identity, Box):
            self.walk.storages.append(identity)
            if len(identity.items) > 1 and identity.items[0] == "module":
                self._push(identity.items[1])
                return
        self._push(Other("a persistent object"))

    def empty(self, op: Op) -> None:
        self._push(Box(op.name.removeprefix("EMPTY_").lower()))

    def gather(self, op: Op) -> None:
        box = Box(op.name.lower())
        box.add(self._marked(op))
        self._push(box)

    def gather_few(self, op: Op) -> None:
        items = [self.pop(op) for _ in range(int(op.name[-1]))]
        self._push(Box("tuple", items[::-1]))

    def add(self, op: Op) -> None:
        items = self._marked(op)
        self._into(op, items)

    def add_few(self, op: Op) -> None:
        items = [self.pop(op) for _ in range(2 if op.name == "SETITEM" else 1)]
        self._into(op, items[::-1])

    def _into(self, op: Op, items: list[Value]) -> None:
        target = self._top(op)
        if isinstance(target, Box):
            target.add(items)

    def stop(self, op: Op) -> None:
        self.walk.top = self.pop(op)
        if self.stack or self.marks:
            self.walk.odd.append((op.at, "values are left on the stack at STOP"))

    def constant(self, op: Op) -> None:
        self._push({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[op.name])

    def buffer(self, op: Op) -> None:
        if op.name == "NEXT_BUFFER":
            self._push(Other("an out-of-band buffer"))

    def nothing(self, op: Op) -> None:
        """FRAME only groups bytes."""


_HANDLERS: Mapping[str, Callable[[Machine, Op], None]] = {
    "PROTO": Machine.proto,
    "FRAME": Machine.nothing,
    "MARK": Machine.mark,
    "POP": Machine.drop,
    "POP_MARK": Machine.drop_marked,
    "DUP": Machine.dup,
    "GLOBAL": Machine.named,
    "STACK_GLOBAL": Machine.named_by_stack,
    "INST": Machine.inst,
    "OBJ": Machine.obj,
    "REDUCE": Machine.reduce,
    "NEWOBJ": Machine.reduce,
    "NEWOBJ_EX": Machine.reduce_with_keywords,
    "BUILD": Machine.build,
    "SETITEM": Machine.add_few,
    "APPEND": Machine.add_few,
    "STOP": Machine.stop,
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), Machine.extension),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), Machine.get),
    **dict.fromkeys(("PERSID", "BINPERSID"), Machine.persistent),
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_TUPLE", "EMPTY_DICT", "EMPTY_SET"), Machine.empty),
    **dict.fromkeys(("LIST", "TUPLE", "DICT", "FROZENSET"), Machine.gather),
    **dict.fromkeys(("TUPLE1", "TUPLE2", "TUPLE3"), Machine.gather_few),
    **dict.fromkeys(("SETITEMS", "APPENDS", "ADDITEMS"), Machine.add),
    **dict.fromkeys(("NONE", "NEWTRUE", "NEWFALSE"), Machine.constant),
    **dict.fromkeys(("NEXT_BUFFER", "READONLY_BUFFER"), Machine.buffer),
}
