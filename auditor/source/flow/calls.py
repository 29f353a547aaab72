"""Evaluates calls: the script's functions are entered, its network modules summarised, everything else is the library's.

A network module is not entered: whatever its forward pass does, its result depends on its parameters and on what it is
given, and given both inputs and targets it is a loss of the targets. Entered all the same are modules whose methods
train or step something, because then the order inside matters."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable

from auditor.events import View
from auditor.source.flow import values as v
from auditor.source.flow.assignments import Assignments
from auditor.source.flow.expressions import Expressions
from auditor.source.flow.library import FACTORY, LOSSES, LibraryCalls
from auditor.source.flow.machine import MAX_DEPTH, Machine, bind_method, default_names
from auditor.source.flow.methods import Methods
from auditor.source.flow.statements import Outcome, StatementEvaluator
from auditor.source.parse import Answers, last_name, names_in, walk
from auditor.submission.script import Module

_MAX_RECURSION = 2
_TRAINING_CALLS = frozenset({"backward", "step"})


class Calls:
    """Evaluates calls on a machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._answers = Answers()
        self.expressions = Expressions(machine)
        self.methods = Methods(machine, self.expressions)
        self.assignments = Assignments(machine, self.expressions)
        self.statements = StatementEvaluator(machine, self.expressions, self.assignments)
        self.library = LibraryCalls(machine, self.expressions, self)
        self.expressions.calls, self.expressions.methods = self, self.methods

    # ---- call expressions ----

    def call(self, node: ast.Call, env: v.Environment) -> v.Value:
        """Evaluate a call expression."""
        if isinstance(node.func, ast.Name) and node.func.id == "super":
            return self._super(env)
        function = self.callee(node.func, env)
        arguments, keywords = self.arguments(node, env)
        return self.apply(function, arguments, keywords, node)

    def _super(self, env: v.Environment) -> v.Value:
        self_value = self.machine.lookup("self", env)
        return v.Method(self_value, "super") if self_value else v.Data()

    def callee(self, node: ast.expr, env: v.Environment) -> v.Value:
        """What a call calls."""
        if not isinstance(node, ast.Attribute):
            return self.expressions.value(node, env)
        receiver = self.expressions.value(node.value, env)
        found = [self._method(option, node) for option in v.options(receiver)]
        return found[0] if len(found) == 1 else v.Choice(tuple(found))

    def _method(self, receiver: v.Value, node: ast.Attribute) -> v.Value:
        if isinstance(receiver, v.Library | v.ModuleValue | v.Class):
            return self.expressions.attribute(receiver, node.attr, node)
        if isinstance(receiver, v.Instance):
            known = node.attr in receiver.attributes or receiver.cls.lookup(node.attr)
            return self.expressions.attribute(receiver, node.attr, node) if known else v.Method(receiver, node.attr)
        return v.Method(receiver, node.attr)

    def arguments(self, node: ast.Call, env: v.Environment) -> tuple[v.Arguments, v.Keywords]:
        """The values that a call hands over, by position and by name."""
        arguments: v.Arguments = []
        for argument in node.args:
            value = self.expressions.value(argument, env)
            if isinstance(argument, ast.Starred) and isinstance(value, v.Sequence):
                arguments.extend(value.items)
            else:
                arguments.append(value)
        keywords: v.Keywords = {}
        for keyword in node.keywords:
            value = self.expressions.value(keyword.value, env)
            if keyword.arg is not None:
                keywords[keyword.arg] = value
            elif isinstance(value, v.Mapping):
                keywords.update({str(name): inner for name, inner in value.entries.items()})
        return arguments, keywords

    # ---- applying ----

    def apply(self, function: v.Value, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        """Call a value."""
        match function:
            case v.Function():
                return self._apply_function(function, arguments, keywords, node)
            case v.Class():
                return self.instantiate(function, arguments, keywords, node)
            case v.Library():
                return self.library.call(function, arguments, keywords, node)
            case v.Method():
                return self.methods.call(function, arguments, keywords, node)
            case v.Instance():
                return self._apply_instance(function, arguments, keywords, node)
            case v.Choice():
                return self._apply_choice(function, arguments, keywords, node)
            case _:
                return v.merged([function, *arguments, *keywords.values()])

    def _apply_choice(self, function: v.Choice, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        able = [option for option in function.options if not _is_none(option)]
        with self.machine.condition(frozenset()):
            return v.choice(self.apply(option, arguments, keywords, node) for option in able) if able else v.Data()

    def _apply_function(self, function: v.Function, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        arguments = [*function.arguments, *arguments]
        keywords = {**function.keywords, **keywords}
        bound = function.bound
        if isinstance(bound, v.Instance) and bound.store and self._is_forward(function):
            return self.forward(bound, arguments, keywords, function.node)
        if isinstance(function.node, ast.AsyncFunctionDef | ast.FunctionDef) and self._answers.of(
            _is_custom_kernel, function.node
        ):
            return v.merged([*arguments, *keywords.values()])
        return self.enter(function, arguments, keywords, node)

    def enter(
        self,
        function: v.Function,
        arguments: v.Arguments,
        keywords: v.Keywords,
        node: ast.AST,
        on_yield: Callable[[v.Value], None] | None = None,
    ) -> v.Value:
        """Evaluate the body of a function of the script; `on_yield` is told each value that it yields, when it does."""
        machine = self.machine
        if len(machine.running) >= MAX_DEPTH or machine.running.count(function.node) >= _MAX_RECURSION:
            given = v.merged([*arguments, *keywords.values()])
            if given.tokens or given.losses or given.stores:
                machine.recorder.unknown(node, function.name, "calls nest too deeply to be followed")
            return given
        env = v.Environment(function.environment.module, {}, function.environment)
        if function.bound is not None:
            arguments = [function.bound, *arguments]
        self._bind_parameters(function, arguments, keywords, env)
        machine.running.append(function.node)
        try:
            with machine.frame(function.name, env.module, node) as activation:
                activation.on_yield = on_yield
                if isinstance(function.node, ast.Lambda):
                    return self.expressions.value(function.node.body, env)
                without = self._answers.of(_runs_without_gradient, function.node)
                machine.no_grad += without
                ended = self.statements.block(function.node.body, env)
                machine.no_grad -= without
        finally:
            machine.running.pop()
        if activation.yielded:
            return v.Sequence(activation.yielded, exact=False)
        returned = activation.returned if ended is Outcome.LEAVE else [*activation.returned, v.NONE]
        result = v.choice(returned) if returned else v.NONE
        machine.recorder.statistics(node, function.name, v.summary(result))
        return result

    def _bind_parameters(
        self, function: v.Function, arguments: v.Arguments, keywords: v.Keywords, env: v.Environment
    ) -> None:
        parameters = function.node.args
        positional = [argument.arg for argument in (*parameters.posonlyargs, *parameters.args)]
        names = env.names
        names.update(function.defaults)
        names.update(zip(positional, arguments, strict=False))
        known = {*positional, *(argument.arg for argument in parameters.kwonlyargs)}
        names.update({name: value for name, value in keywords.items() if name in known})
        if parameters.vararg:
            names[parameters.vararg.arg] = v.Sequence(arguments[len(positional) :], is_tuple=True)
        if parameters.kwarg:
            names[parameters.kwarg.arg] = v.Mapping({k: value for k, value in keywords.items() if k not in known})
        for name in known:
            names.setdefault(name, v.Data())

    def _is_forward(self, function: v.Function) -> bool:
        """A forward pass is summarised, unless something is trained in it."""
        return function.name.startswith(("forward", "__call__")) and not self._answers.of(_trains, function.node)

    # ---- objects ----

    def instantiate(self, cls: v.Class, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        """Make an object of a class of the script."""
        if cls.is_optimizer:
            return v.Optimizer(v.stores_in(v.Sequence([*arguments, *keywords.values()])), cls.name)
        if cls.is_module and not self._answers.of(_trains, cls.node):
            instance = v.Instance(cls, store=self.machine.new_store(cls.name))
            instance.attributes.update({name: value for name, value in keywords.items() if isinstance(value, v.Const)})
            return instance
        instance = v.Instance(cls, store=self.machine.new_store(cls.name) if cls.is_module else None)
        init = cls.lookup("__init__")
        if isinstance(init, v.Function):
            self.enter(bind_method(init, instance), arguments, keywords, node)
        else:
            for name, value in cls.attributes.items():
                if isinstance(value, v.Library) and value.name == FACTORY and value.bound is not None:
                    instance.attributes[name] = self.apply(value.bound, [], {}, node)
            fields = [s.target.id for s in cls.node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)]
            instance.attributes.update(zip(fields, arguments, strict=False))
            instance.attributes.update(keywords)
            post = cls.lookup("__post_init__")
            if isinstance(post, v.Function):
                self.enter(bind_method(post, instance), [], {}, node)
        return instance

    def _apply_instance(self, instance: v.Instance, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        if instance.store is not None:
            forward = instance.cls.lookup("forward")
            if not (isinstance(forward, v.Function) and self._answers.of(_trains, forward.node)):
                return self.forward(instance, arguments, keywords, getattr(forward, "node", None))
            return self.enter(bind_method(forward, instance), arguments, keywords, node)
        return self.expressions.call_method(instance, "__call__", arguments, keywords, node)

    def forward(
        self, instance: v.Instance, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST | None = None
    ) -> v.Data:
        """The result of a network's forward pass (`node`): logits, or the loss of the targets that it is given."""
        assert instance.store is not None
        store = instance.store.root
        given = [v.summary(value) for value in (*arguments, *keywords.values())]
        for hook in list(store.hooks):
            inside = v.derived(v.module_data(store), *given)
            self.apply(hook, [v.Data(), inside, inside], {}, instance.cls.node)
        result = v.derived(v.module_data(store), *given)
        result.gradient = self.machine.no_grad == 0
        result.losses = _targets(given)
        if not result.losses and isinstance(node, ast.FunctionDef):
            result.losses = self._targets_within(node, arguments, keywords)
        return result

    def _targets_within(self, node: ast.FunctionDef, arguments: v.Arguments, keywords: v.Keywords) -> v.Regions:
        """The tokens of which a forward pass computes the loss itself, if it takes its targets out of what it is given."""
        names = self._answers.of(_target_names, node)
        parameters = [argument.arg for argument in node.args.args][1:]
        given = {**dict(zip(parameters, arguments, strict=False)), **keywords}
        used = [v.summary(value) for name, value in given.items() if name in names]
        return frozenset(region for data in used if not data.losses for region in data.tokens)

    # ---- modules ----

    def imported(self, name: str) -> v.ModuleValue | None:
        """A module of the submission by its import name; None if it is not the submission's."""
        path = name.lstrip(".").replace(".", "/")
        here = self.machine.recorder.frames[-1].module  # a loader may have the name of what it unpacks
        for module in self.machine.script.modules:
            named = module.path.endswith((f"/{path}.py", f"/{path}/__init__.py")) or module.path == f"{path}.py"
            if named and module is not here:
                return self.run_module(module, as_main=False)
        return None

    def run_module(self, module: Module, as_main: bool) -> v.ModuleValue:
        """Evaluate a module of the submission, once."""
        key = f"{module.path} {as_main}"
        if key in self.machine.modules:
            return self.machine.modules[key]
        env = v.Environment(module, dict(default_names(module)))
        if not as_main:
            env.names["__name__"] = v.Const(module.path.removesuffix(".py"))
        value = v.ModuleValue(env)
        self.machine.modules[key] = value
        if module.tree is not None:
            with self.machine.frame("<module>", module, None):
                self.statements.block(module.tree.body, env)
        return value


def _is_none(value: v.Value) -> bool:
    receiver = value.receiver if isinstance(value, v.Method) else value
    return isinstance(receiver, v.Const) and receiver.value is None


def _targets(given: Iterable[v.Data]) -> v.Regions:
    """The tokens whose loss a forward pass with these inputs gives: the targets among them, if there are any."""
    with_tokens = [data for data in given if data.tokens and not data.losses]
    found = frozenset(r for data in with_tokens for r in data.tokens if r.view is View.TARGET)
    if found:
        return found
    return with_tokens[1].tokens if len(with_tokens) > 1 else v.NO_REGIONS


def _target_names(forward: ast.FunctionDef) -> set[str]:
    """The names that the targets of the losses in a function's body are made of, through its assignments."""
    calls = [node for node in walk(forward) if isinstance(node, ast.Call) and last_name(node.func) in LOSSES]
    targets = [call.args[1] for call in calls if len(call.args) > 1]
    targets += [keyword.value for call in calls for keyword in call.keywords if keyword.arg == "target"]
    assignments = [node for node in walk(forward) if isinstance(node, ast.Assign)]
    found = set(names_in(*targets))
    while True:
        made = [node.value for node in assignments if not found.isdisjoint(names_in(*node.targets))]
        reached = found.union(names_in(*made))
        if reached == found:
            return found
        found = reached


def _trains(node: ast.AST) -> bool:
    """Does a body train something?"""
    return any(
        isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute) and inner.func.attr in _TRAINING_CALLS
        for inner in walk(node)
    )


def _is_custom_kernel(node: ast.AST) -> bool:
    """A function for a device compiler: its body is no Python to be followed."""
    decorators = getattr(node, "decorator_list", [])
    return any("triton.jit" in ast.unparse(decorator) or "custom_op" in ast.unparse(decorator) for decorator in decorators)


def _runs_without_gradient(node: ast.AST) -> bool:
    decorators = getattr(node, "decorator_list", [])
    return any("no_grad" in ast.unparse(d) or "inference_mode" in ast.unparse(d) for d in decorators)
