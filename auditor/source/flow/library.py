"""Calls of libraries: where tokens come from, what trains, what is transparent, what is printed, what leaves the machine.

A library function that is not listed gives a value that depends on everything it was given. Names are matched by their
last part, whatever they were imported as.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from auditor.events import validation
from auditor.source.flow import files
from auditor.source.flow import values as v
from auditor.source.flow.builtins_ import Builtins, is_true, opened_path
from auditor.source.flow.expressions import Expressions, merged
from auditor.source.flow.machine import Machine

if TYPE_CHECKING:
    from auditor.source.flow.calls import Calls

_TRANSPARENT = frozenset(
    """compile DistributedDataParallel DDP DataParallel script disable allow_in_graph tqdm wraps lru_cache cache jit njit
    FullyShardedDataParallel fully_shard contiguous no_grad_wrapper""".split()
)
_LOSSES = frozenset({"cross_entropy", "nll_loss", "CrossEntropyLoss", "liger_cross_entropy"})
_NEW_TENSORS = frozenset(
    """zeros ones full empty rand randn randint zeros_like ones_like full_like empty_like randn_like tensor as_tensor
    from_numpy array asarray ascontiguousarray arange linspace frombuffer""".split()
)
_LIKE = frozenset({"zeros_like", "ones_like", "full_like", "empty_like", "randn_like", "rand_like"})
_TOKEN_FILES = frozenset({"fromfile", "memmap", "load", "from_file", "open_memmap", "loadtxt"})
_COLLECTIVES = frozenset(
    {"all_gather", "gather", "all_gather_object", "gather_object", "all_gather_into_tensor", "all_gather_into_tensor_coalesced"}
)
_HISTOGRAMS = frozenset({"bincount", "unique", "histc"})
_TRUE = frozenset({"torch.cuda.is_available", "torch.distributed.is_available", "torch.distributed.is_initialized",
                   "dist.is_available", "dist.is_initialized"})  # fmt: skip
_KNOWN_NUMBERS = {"get_world_size": 8, "get_rank": 0, "device_count": 8}
_NETWORK = re.compile(
    r"\bpip3?\b.*\binstall\b|\b(?:curl|wget|huggingface-cli)\b|\bgit\b\W+clone|\bapt(?:-get)?\b.*\binstall\b|\bconda\b.*\binstall\b"
)
_NETWORK_CALLS = re.compile(
    r"(?:^|\.)(?:urlopen|urlretrieve|hf_hub_download|snapshot_download|create_connection|load_dataset|HfApi)$|^requests\.|^gdown\."
)
_SHELLS = re.compile(r"^(?:subprocess\.\w+|os\.(?:system|popen|exec\w+))$")

FACTORY = "dataclasses.factory"

Arguments = list[v.Value]
Keywords = dict[str, v.Value]


class LibraryCalls:
    """Evaluates calls of library functions on a machine."""

    def __init__(self, machine: Machine, expressions: Expressions, calls: Calls) -> None:
        self.machine = machine
        self.expressions = expressions
        self.calls = calls
        self.builtins = Builtins.__new__(Builtins)
        calls.library = self
        self.builtins.__init__(machine, expressions, calls)  # type: ignore[misc]
        self._special: Mapping[str, Callable[..., v.Value]] = {
            "glob": self._glob,
            "iglob": self._glob,
            "Path": self._path,
            "getenv": lambda args, keywords, node: self.environment(args[0], args[1] if len(args) > 1 else None),
            "save": self._save,
            "dump": self._save,
            "savez": self._save,
            "savez_compressed": self._save,
            "partial": self._partial,
            "deepcopy": self._deepcopy,
            "copy": lambda args, keywords, node: args[0] if args else v.Data(),
            "grad": self._gradient,
            "Parameter": self._parameter,
            "run_path": self._run_path,
            "run_module": self._run_path,
            "import_module": self.builtins._import,
            "join": self._join,
            "no_grad": lambda args, keywords, node: v.Data(name="no_grad"),
            "inference_mode": lambda args, keywords, node: v.Data(name="inference_mode"),
            "SimpleNamespace": self._namespace,
            "where": self._where,
            "field": self._field,
        }

    def call(self, function: v.Library, arguments: Arguments, keywords: Keywords, node: ast.AST) -> v.Value:
        """Call a library function."""
        name, last = function.name, function.name.rsplit(".", 1)[-1]
        if name.startswith("builtins."):
            return self.builtins.call(last, arguments, keywords, node)
        if name in ("os.environ.get", "os.environ.setdefault"):
            return self.environment(arguments[0], arguments[1] if len(arguments) > 1 else keywords.get("default"))
        if name in _TRUE or last in _KNOWN_NUMBERS:
            return v.Const(_KNOWN_NUMBERS.get(last, True))
        if _NETWORK_CALLS.search(name):
            self.machine.recorder.connect(node, name)
            return v.Data()
        if _SHELLS.match(name):
            return self._shell(name, arguments, keywords, node)
        return self._by_last_name(name, last, arguments, keywords, node)

    def _by_last_name(
        self, name: str, last: str, arguments: Arguments, keywords: Keywords, node: ast.AST
    ) -> v.Value:
        if last in _TOKEN_FILES:
            return self._read(arguments, keywords, node)
        if last in self._special:
            return self._special[last](arguments, keywords, node)
        if last in _TRANSPARENT:
            return arguments[0] if arguments else v.Data()
        if last in _LOSSES and len(arguments) + len(keywords) >= 2:
            return self._loss(arguments, keywords)
        if ".optim" in f".{name}" and last[0].isupper():
            return v.Optimizer(v.stores_in(v.Sequence([*arguments, *keywords.values()])), last)
        if last in ("defaultdict", "OrderedDict", "Counter"):
            return v.Mapping(rest=v.Data(born=self.machine.recorder.turns))
        if last == "deque":
            return v.Sequence(list(v.parts_of(arguments[0])) if arguments else [], exact=not arguments)
        if last in _COLLECTIVES and (last != "gather" or "dist" in name):
            return self._gathered(arguments, keywords)
        if name.endswith("add.at") and len(arguments) >= 2:
            return self._add_at(arguments, node)
        if last in ("info", "debug", "warning"):
            self.report(merged(arguments), node, arguments)
            return v.NONE
        return self._tensor(name, last, arguments, keywords, node)

    def _tensor(self, name: str, last: str, arguments: Arguments, keywords: Keywords, node: ast.AST) -> v.Value:
        born = self.machine.recorder.turns
        if last in _LIKE:
            return self._new(v.Data(born=born), arguments, keywords)
        result = merged([*arguments, *keywords.values()])
        if last in _NEW_TENSORS:
            result.born = born
            return self._new(result, arguments, keywords)
        if last in ("logaddexp", "logsumexp", "maximum"):
            self.expressions.methods.training.mixture(result, map(v.summary, arguments), node)
        if last in _HISTOGRAMS:
            result.counted = True
        data = next((a for a in arguments if isinstance(a, v.Data)), None)
        if data is not None:
            result.span, result.mask = data.span, data.mask
            if last in ("maximum", "minimum", "clamp", "clip"):
                result.table_word = data.table_word
            if last in ("maximum", "minimum", "clamp", "clip", "int64", "int32", "uint64", "sort", "pad"):
                result.shift, result.table = data.shift, False
        if last in ("gather", "take_along_axis", "take_along_dim") and data is not None:
            return self.expressions.methods.call(v.Method(data, "gather"), arguments[1:], keywords, node)
        if (last.endswith("_") or last == "scatter_add_") and data is not None and last in ("add_",):
            self.expressions.methods.in_place(data, result, node, ast.Add())
        return result

    def _new(self, result: v.Data, arguments: Arguments, keywords: Keywords) -> v.Value:
        first = arguments[0] if arguments else v.NONE
        if isinstance(first, v.Data):
            result.shift, result.mask = first.shift, first.mask
        elif isinstance(first, v.Const) and len(arguments) > 1 and isinstance(arguments[1], v.Data):
            result.shift = arguments[1].shift
        if is_true(keywords.get("requires_grad")):
            return self._free(result, arguments)
        return result

    def _free(self, values: v.Data, shape: Arguments) -> v.Data:
        """A free tensor that an optimizer can change."""
        sizes = shape[0].items if shape and isinstance(shape[0], v.Sequence) else shape
        first = sizes[0] if sizes else v.NONE
        shared = isinstance(first, v.Const) and first.value == 1 and len(sizes) > 1
        store = v.Store("delta", is_tensor=True, shared_by_batch=shared)
        store.influences = values.influences
        return v.Data(stores=frozenset((store,)), alias=store, gradient=True)

    def _parameter(self, arguments: Arguments, keywords: Keywords, node: ast.AST) -> v.Value:
        return self._free(merged(arguments), [])

    # ---- settings and files ----

    def environment(self, name: v.Value, default: v.Value | None) -> v.Value:
        """``os.environ.get(name, default)`` under the effective configuration."""
        if not isinstance(name, v.Const):
            return default or v.Data()
        switch = str(name.value)
        known = self.machine.settings.environment(switch)
        switches = frozenset((switch,))
        if known is not None:
            return v.Const(known, frozenset() if switch in ("RANK", "WORLD_SIZE", "LOCAL_RANK") else switches)
        if isinstance(default, v.Const):
            return v.Const(default.value, default.switches | switches)
        return default if default is not None else v.Data(switches=switches)

    def opened(self, value: v.Value, mode: str) -> v.Value:
        """``open(value, mode)``."""
        return opened_path(value, mode)

    def _path(self, arguments: Arguments, keywords: Keywords, node: ast.AST) -> v.Value:
        result = opened_path(arguments[0], "r") if arguments else files.file(".")
        for part in arguments[1:]:
            if isinstance(result, v.File):
                result = files.file(f"{result.path}/{getattr(part, 'value', chr(0))}")
        return result

    def _join(self, arguments: Arguments, keywords: Keywords, node: ast.AST) -> v.Value:
        pieces = [
            str(a.value) if isinstance(a, v.Const) else a.path if isinstance(a, v.File) else v.summary(a).text or "\0"
            for a in arguments
        ]
        switches = frozenset[str]().union(*(a.switches for a in arguments if isinstance(a, v.Const)))
        return v.Const("/".join(pieces), switches)

    def _glob(self, arguments: Arguments, keywords: Keywords, node: ast.AST) -> v.Value:
        found = opened_path(arguments[0], "r") if arguments else v.Data()
        return v.Sequence([found], exact=False)

    def _read(self, arguments: Arguments, keywords: Keywords, node: ast.AST) -> v.Value:
        count = keywords.get("count")
        if isinstance(count, v.Const) and isinstance(count.value, int) and 0 <= count.value <= 1024:
            return v.Data()  # a header
        source = arguments[0] if arguments else v.Data()
        if isinstance(source, v.Data) and not source.files:
            return v.derived(source)
        opened = opened_path(source, "rb")
        return files.read(self.machine, opened, node) if isinstance(opened, v.File) else v.Data()

    def _save(self, arguments: Arguments, keywords: Keywords, node: ast.AST) -> v.Value:
        places = [a for a in arguments if isinstance(a, v.File) or (isinstance(a, v.Const) and isinstance(a.value, str))]
        values = merged([a for a in arguments if a not in places] + list(keywords.values()))
        if places:
            opened = opened_path(places[0], "wb")
            assert isinstance(opened, v.File)
            files.write(self.machine, opened, values, node)
        elif len(arguments) > 1 and isinstance(arguments[1], v.Data):
            arguments[1].absorb(v.summary(arguments[0]))
        return v.NONE

    # ---- objects ----

    def _partial(self, arguments: Arguments, keywords: Keywords, node: ast.AST) -> v.Value:
        function = arguments[0] if arguments else v.Data()
        if isinstance(function, v.Function):
            return v.Function(
                function.node,
                function.environment,
                function.defaults,
                function.bound,
                (*function.arguments, *arguments[1:]),
                {**function.keywords, **keywords},
            )
        return function

    def _deepcopy(self, arguments: Arguments, keywords: Keywords, node: ast.AST) -> v.Value:
        value = arguments[0] if arguments else v.Data()
        if isinstance(value, v.Instance) and value.store is not None:
            store = v.Store(value.store.root.name + " copy")
            store.influences, store.tokens = value.store.influences, value.store.tokens
            return v.Instance(value.cls, dict(value.attributes), store)
        return v.derived(value) if isinstance(value, v.Data) else value

    def _namespace(self, arguments: Arguments, keywords: Keywords, node: ast.AST) -> v.Value:
        mapping = v.Environment(self.machine.recorder.frames[-1].module, dict(keywords))
        return v.ModuleValue(mapping)

    def _field(self, arguments: Arguments, keywords: Keywords, node: ast.AST) -> v.Value:
        """A dataclass field: its default, or the factory that makes one for each object."""
        if "default_factory" in keywords:
            return v.Library(FACTORY, keywords["default_factory"])
        return keywords.get("default", v.Data())

    def _gradient(self, arguments: Arguments, keywords: Keywords, node: ast.AST) -> v.Value:
        if not arguments:
            return v.Data()
        return self.expressions.methods.training.gradient(v.summary(arguments[0]), merged(arguments[1:]))

    def _gathered(self, arguments: Arguments, keywords: Keywords) -> v.Value:
        """Every rank's values arrive in the list or tensor that is given for them."""
        given = [*arguments, *keywords.values()]
        lists = [value for value in given if isinstance(value, v.Sequence) and not value.is_tuple]
        if lists:
            rest = [value for value in given if value is not lists[0] and not isinstance(value, v.Const)]
            if rest:
                lists[0].items, lists[0].exact = rest[:1], False
        elif len(given) > 1 and isinstance(given[0], v.Data):
            given[0].absorb(v.summary(given[1]))
        return v.NONE

    def _loss(self, arguments: Arguments, keywords: Keywords) -> v.Value:
        logits = arguments[0] if arguments else keywords.get("input", v.Data())
        target = arguments[1] if len(arguments) > 1 else keywords.get("target", v.Data())
        targets = v.summary(target)
        result = v.derived(v.summary(logits), targets)
        result.losses = targets.tokens
        result.gradient = self.machine.no_grad == 0
        return result

    def _where(self, arguments: Arguments, keywords: Keywords, node: ast.AST) -> v.Value:
        result = merged(arguments)
        if len(arguments) > 1:
            inside = [v.summary(argument) for argument in arguments[1:]]
            result.shift = next((data.shift for data in inside if data.shift is not None), None)
            result.mask = all(data.mask for data in inside)
        return result

    def _add_at(self, arguments: Arguments, node: ast.AST) -> v.Value:
        table, key = arguments[0], v.summary(arguments[1])
        if isinstance(table, v.Data) and validation(key.tokens):
            self.calls.assignments.write_table(table, key, merged(arguments[2:]), node)
        return v.NONE

    # ---- outputs, processes ----

    def report(self, value: v.Data, node: ast.AST, arguments: Arguments) -> None:
        """Something is printed."""
        texts = [a.text or "" if isinstance(a, v.Data) else str(a.value) for a in arguments if isinstance(a, v.Data | v.Const)]
        label = re.sub(r"\s+", " ", " ".join(texts).replace("\0", "..")).strip()[:160]
        is_metric = value.per_byte or re.search(r"bpb|bits_per_byte", label, re.IGNORECASE) is not None
        origin = next((a.origin for a in arguments if isinstance(a, v.Data) and a.origin), None)
        if is_metric and self.machine.recorder.counts_anew(value):
            value = v.derived(value)
            value.scores |= {self.machine.recorder.score(node, value, origin)}
        if value.scores:
            self.machine.recorder.report(node, label, value, is_metric, origin)

    def _shell(self, name: str, arguments: Arguments, keywords: Keywords, node: ast.AST) -> v.Value:
        words = [str(c.value) for c in _constants(v.Sequence([*arguments, *keywords.values()]))]
        command = " ".join(words)
        if _NETWORK.search(command):
            self.machine.recorder.connect(node, command[:120])
        for word in words:
            for module in self.machine.script.modules[1:]:
                if word.endswith(".py") and module.path.endswith(word.lstrip("./")):
                    self.calls.run_module(module, as_main=True)
        return v.Data()

    def _run_path(self, arguments: Arguments, keywords: Keywords, node: ast.AST) -> v.Value:
        path = arguments[0] if arguments else v.NONE
        name = path.path if isinstance(path, v.File) else str(path.value) if isinstance(path, v.Const) else ""
        return self._run_named(name, node)

    def _run_named(self, name: str, node: ast.AST) -> v.Value:
        stem = name.rsplit("/", 1)[-1].removesuffix(".py")
        for module in self.machine.script.modules:
            if stem and module.path.rsplit("/", 1)[-1].removesuffix(".py") == stem:
                return self.calls.run_module(module, as_main=True)
        self.machine.recorder.unknown(node, name or "a script", "runs code that is not shipped or not named")
        return v.Data()

    def execute(self, arguments: Arguments, keywords: Keywords, node: ast.AST) -> v.Value:
        """``exec(code)``: of a sibling's source, if that is what it is."""
        siblings = self.machine.script.modules[1:]
        if len(siblings) == 1:
            return self.calls.run_module(siblings[0], as_main=True)
        self.machine.recorder.unknown(node, "exec", "runs code that is made at run time")
        return v.Data()


def _constants(value: v.Value, depth: int = 0) -> list[v.Const]:
    if isinstance(value, v.Const):
        return [value]
    return [c for part in v.parts_of(value) for c in _constants(part, depth + 1)] if depth < 4 else []
