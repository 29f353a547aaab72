"""Methods of values that are no objects of the script: tensors, lists, dictionaries, texts, files, optimizers, modules."""

from __future__ import annotations

import ast
from typing import Any

from auditor.source.flow import files
from auditor.source.flow import values as v
from auditor.source.flow.machine import bind_method
from auditor.source.flow.tensors import COLLECTIONS, Tensors

_LIFECYCLE = frozenset(
    [
        "to",
        "eval",
        "train",
        "cuda",
        "cpu",
        "bfloat16",
        "float",
        "half",
        "double",
        "requires_grad_",
        "apply",
        "share_memory",
        "compile",
        "type",
    ]
)
_TEXT_METHODS = frozenset(
    [
        "lower",
        "upper",
        "strip",
        "lstrip",
        "rstrip",
        "split",
        "replace",
        "startswith",
        "endswith",
        "join",
        "format",
        "removeprefix",
        "removesuffix",
        "title",
        "rsplit",
        "isdigit",
        "encode",
    ]
)


class Methods(Tensors):
    """Evaluates method calls on a machine."""

    def call(self, method: v.Method, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        """Call a method."""
        receiver, name = method.receiver, method.name
        of_handle = None if arguments else self._of_handle(receiver, name)
        if of_handle is not None:
            return of_handle
        match receiver:
            case v.Data():
                return self._of_data(receiver, name, arguments, keywords, node)
            case v.Instance():
                return self._of_instance(receiver, name, arguments, keywords, node)
            case v.Optimizer():
                return self._of_optimizer(receiver, name, arguments, node)
            case v.Sequence():
                return self.containers.of_sequence(receiver, name, arguments, keywords, node)
            case v.Mapping():
                return self.containers.of_mapping(receiver, name, arguments, keywords, node)
            case v.File():
                return files.method(self.machine, receiver, name, arguments, node)
            case v.Const():
                return _of_text(receiver, name, arguments)
            case v.Method() if receiver.name == "super":
                return self._of_super(receiver.receiver, name, arguments, keywords, node)
            case _:
                return v.merged([receiver, *arguments, *keywords.values()])

    # ---- handles ----

    def _of_handle(self, receiver: v.Value, name: str) -> v.Value | None:
        """Of a hook's handle, ``remove()``; of a promise, ``result()``, which is what was promised."""
        if name == "remove" and self.hooked:
            return self._remove_hooks()
        return receiver if name == "result" and not isinstance(receiver, v.Instance) else None

    # ---- modules, optimizers ----

    def _of_instance(
        self, instance: v.Instance, name: str, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST
    ) -> v.Value:
        if instance.store is None:
            return v.merged([*arguments, *keywords.values()])
        store = instance.store
        data = v.module_data(store, alias=True)
        if name == "load_state_dict":
            self._load(store, v.merged(arguments[:1]), node)
            return v.NONE
        if name in ("forward", "__call__"):
            return self.expressions.calls.apply(instance, arguments, keywords, node)
        if name == "zero_grad":
            self.training.clear(frozenset((store,)))
            return v.NONE
        if name in COLLECTIONS | {"state_dict", "register_forward_hook", "register_forward_pre_hook"}:
            return self._of_data(data, name, arguments, keywords, node)
        if name in _LIFECYCLE:
            return instance
        return self.expressions.calls.forward(instance, arguments, keywords)

    def _load(self, store: v.Store, saved: v.Data, node: ast.AST) -> None:
        """The weights become what was saved; nothing is known of it if another run wrote it."""
        if not (saved.weights or saved.stores or saved.influences):
            self.machine.recorder.loaded.append(self.machine.recorder.here(node))
        self.training.load(store, saved)

    def _of_optimizer(self, optimizer: v.Optimizer, name: str, arguments: v.Arguments, node: ast.AST) -> v.Value:
        if name == "step":
            for closure in arguments:
                if isinstance(closure, v.Function):
                    self.expressions.calls.apply(closure, [], {}, node)
            self.training.step(optimizer, node)
        elif name == "zero_grad":
            self.training.clear(optimizer.stores)
        elif name == "load_state_dict":
            optimizer.moments = v.NO_NUMBERS
        elif name == "add_param_group":
            optimizer.stores |= v.stores_in(v.Sequence(arguments))
        return v.Data()

    def _of_super(
        self, receiver: v.Value, name: str, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST
    ) -> v.Value:
        if isinstance(receiver, v.Instance):
            for base in receiver.cls.bases:
                found = base.lookup(name) if isinstance(base, v.Class) else None
                if isinstance(found, v.Function):
                    return self.expressions.calls.enter(bind_method(found, receiver), arguments, keywords, node)
        return v.NONE


def _of_text(text: v.Const, name: str, arguments: v.Arguments) -> v.Value:
    constants: list[Any] = [a.value for a in arguments if isinstance(a, v.Const)]
    if isinstance(text.value, str) and name == "join" and arguments and isinstance(arguments[0], v.Sequence):
        items = arguments[0].items
        if arguments[0].exact and all(isinstance(item, v.Const) for item in items):
            return v.Const(text.value.join(str(item.value) for item in items if isinstance(item, v.Const)), text.switches)
    if isinstance(text.value, str) and name in _TEXT_METHODS and len(constants) == len(arguments):
        switches = text.switches.union(*(a.switches for a in arguments if isinstance(a, v.Const)))
        try:
            result = getattr(text.value, name)(*constants)
        except (TypeError, ValueError, LookupError):
            return v.Data(switches=switches)
        if isinstance(result, list):
            return v.Sequence([v.Const(item, switches) for item in result])
        return v.Const(result, switches)
    if isinstance(text.value, int | float | bool) and name == "item":
        return text
    return v.merged([text, *arguments])
