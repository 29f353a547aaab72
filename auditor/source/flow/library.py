"""Calls of libraries: where tokens come from, what trains, what is transparent, what is printed, what leaves the machine.

A library function that is not listed gives a value that depends on everything it was given. Names are matched by their
last part, whatever they were imported as.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from auditor.source.flow import files
from auditor.source.flow import values as v
from auditor.source.flow.builtins_ import Builtins, opened_path
from auditor.source.flow.expressions import Expressions
from auditor.source.flow.machine import Machine
from auditor.source.flow.processes import Processes
from auditor.source.flow.tensor_functions import TensorFunctions

if TYPE_CHECKING:
    from auditor.source.flow.calls import Calls

_TRANSPARENT = frozenset(
    [
        "compile",
        "DistributedDataParallel",
        "DDP",
        "DataParallel",
        "script",
        "disable",
        "allow_in_graph",
        "tqdm",
        "as_completed",
        "wraps",
        "lru_cache",
        "cache",
        "jit",
        "njit",
        "FullyShardedDataParallel",
        "fully_shard",
        "contiguous",
        "no_grad_wrapper",
    ]
)
LOSSES = frozenset({"cross_entropy", "nll_loss", "CrossEntropyLoss", "liger_cross_entropy"})
_TOKEN_FILES = frozenset({"fromfile", "memmap", "load", "from_file", "open_memmap", "loadtxt"})
_COLLECTIVES = frozenset(
    {
        "all_gather",
        "gather",
        "all_gather_object",
        "gather_object",
        "all_gather_into_tensor",
        "all_gather_into_tensor_coalesced",
    }
)
_TRUE = frozenset({"torch.cuda.is_available", "torch.distributed.is_available", "torch.distributed.is_initialized",
                   "dist.is_available", "dist.is_initialized"})  # fmt: skip
_RANK = frozenset({"get_rank", "get_node_local_rank"})
_NUM_RANKS = frozenset({"get_world_size", "device_count"})
_ROOTS = sys.stdlib_module_names | {"builtins", "torch", "numpy", "scipy", "mlx", "jax"}  # what they give is what they got
_NETWORK_CALLS = re.compile(
    r"(?:^|\.)(?:urlopen|urlretrieve|hf_hub_download|snapshot_download|create_connection|load_dataset|HfApi)$|^requests\.|^gdown\."
)
_SHELLS = re.compile(r"^(?:subprocess\.\w+|os\.(?:system|popen|exec\w+))$")

_RENAMES = frozenset({"os.replace", "os.rename", "shutil.move", "shutil.copy", "shutil.copyfile"})
_COMPILED = "compiled library"
_LOADERS = re.compile(r"(?:^|\.)(?:CDLL|PyDLL|LoadLibrary|load_library|load_inline|dlopen|cpp_extension\.load)$")
_POINTERS = frozenset({"c_void_p", "cast", "byref", "pointer", "addressof", "from_buffer", "as_ctypes"})
_IS_POINTER = re.compile(r"(?:^|\.)(?:ctypes|ctypeslib|ffi)\.|^(?:c_void_p|byref)$")
FACTORY = "dataclasses.factory"
_MAX_NAMED = 2  # ours: enough to know where to look


class LibraryCalls(TensorFunctions):
    """Evaluates calls of library functions on a machine."""

    def __init__(self, machine: Machine, expressions: Expressions, calls: Calls) -> None:
        super().__init__(machine, expressions, calls)
        self.processes = Processes(machine, calls)
        self.builtins = Builtins(machine, expressions, calls)
        self._special: Mapping[str, Callable[..., v.Value]] = {
            "glob": self._glob,
            "iglob": self._glob,
            "Path": self._path,
            "getenv": lambda args, keywords, node: self.environment(args[0], args[1] if len(args) > 1 else None),
            "save": self.save,
            "dump": self.save,
            "savez": self.save,
            "savez_compressed": self.save,
            "partial": self._partial,
            "deepcopy": self._deepcopy,
            "copy": lambda args, keywords, node: args[0] if args else v.Data(),
            "grad": self._gradient,
            "Parameter": self._parameter,
            "Thread": self.processes.thread,
            **dict.fromkeys(("Queue", "SimpleQueue"), lambda args, keywords, node: v.Sequence([], exact=False)),
            "run_path": self.processes.run_path,
            "run_module": self.processes.run_path,
            "import_module": self.builtins.import_module,
            "spec_from_file_location": self.processes.module_of_file,
            "module_from_spec": lambda args, keywords, node: args[0] if args else v.Data(),
            "join": self._join,
            "no_grad": lambda args, keywords, node: v.Data(name="no_grad"),
            "inference_mode": lambda args, keywords, node: v.Data(name="inference_mode"),
            "SimpleNamespace": self._namespace,
            "islice": lambda args, keywords, node: v.Sequence(v.parts_of(args[0]), exact=False) if args else v.Data(),
            "where": self._where,
            "ZipFile": lambda args, keywords, node: self.builtins.call("open", args, keywords, node),
            "info": self._logged,
            "warning": self._logged,
            "field": self._field,
        }

    def call(self, function: v.Library, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        """Call a library function."""
        name, last = function.name, function.name.rsplit(".", 1)[-1]
        if name.startswith("builtins."):
            return self.builtins.call(last, arguments, keywords, node)
        if name in ("os.environ.get", "os.environ.setdefault"):
            return self.environment(arguments[0], arguments[1] if len(arguments) > 1 else keywords.get("default"))
        if name in _TRUE or last in _RANK:
            return v.Const(0 if last in _RANK else True)
        if last in _NUM_RANKS:
            return v.Const(int(self.machine.settings.environment("WORLD_SIZE") or 8))
        if name.startswith(_COMPILED):
            return _compiled([*arguments, *keywords.values()])
        if _LOADERS.search(name):
            return v.Library(_COMPILED)
        if _NETWORK_CALLS.search(name):
            self.machine.recorder.connect(node, name)
            return v.Data()
        if name in _RENAMES and len(arguments) > 1:
            return self._moved(arguments, node)
        if _SHELLS.match(name):
            return self.processes.shell(name, arguments, keywords, node)
        result = self._by_last_name(name, last, arguments, keywords, node)
        return result if name.split(".", 1)[0] in _ROOTS else self._from_elsewhere(result, name, last, arguments, node)

    def _from_elsewhere(self, result: v.Value, name: str, last: str, arguments: v.Arguments, node: ast.AST) -> v.Value:
        """What a function of a module gives that is neither shipped nor known."""
        if last == "main":
            self.machine.recorder.elsewhere(node, f"{name} is called here, which is neither shipped nor followed")
        if isinstance(result, v.Data) and not any(result is given for given in arguments):
            result.foreign |= {name}
        return result

    def _by_last_name(self, name: str, last: str, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        if last in _TOKEN_FILES:
            return self._read(arguments, keywords, node)
        if last in self._special:
            return self._special[last](arguments, keywords, node)
        if last in _TRANSPARENT or (last in _POINTERS and _IS_POINTER.search(name)):
            return arguments[0] if arguments else v.Data()
        if last in LOSSES and len(arguments) + len(keywords) >= 2:
            return self._loss(arguments, keywords)
        if ".optim" in f".{name}" and "lr_scheduler" not in name and last[0].isupper():
            given = v.stores_in(v.Sequence([*arguments, *keywords.values()]))
            return v.Optimizer(given, last, has_moments=last != "SGD" or _has_momentum(arguments, keywords))
        if last in ("defaultdict", "OrderedDict", "Counter"):
            return v.Mapping(rest=v.Data(born=self.machine.recorder.turns))
        if last == "deque":
            return v.Sequence(list(v.parts_of(arguments[0])) if arguments else [], exact=not arguments)
        if last in _COLLECTIVES and (last != "gather" or "dist" in name):
            return self._gathered(arguments, keywords)
        if name.endswith("add.at") and len(arguments) >= 2:
            return self._add_at(arguments, node)
        return self._tensor(name, last, arguments, keywords, node)

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

    def _path(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        result = opened_path(arguments[0], "r") if arguments else files.file(".")
        for part in arguments[1:]:
            if isinstance(result, v.File):
                result = files.file(f"{result.path}/{getattr(part, 'value', chr(0))}")
        return result

    def _join(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        pieces = [
            str(a.value) if isinstance(a, v.Const) else a.path if isinstance(a, v.File) else v.summary(a).text or "\0"
            for a in arguments
        ]
        switches = frozenset[str]().union(*(a.switches for a in arguments if isinstance(a, v.Const)))
        return v.Const("/".join(pieces), switches)

    def _glob(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        found = opened_path(arguments[0], "r") if arguments else v.Data()
        return v.Sequence([found], exact=False)

    def _read(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        count = keywords.get("count")
        if isinstance(count, v.Const) and isinstance(count.value, int) and 0 <= count.value <= 1024:
            return v.Data()  # a header
        source = arguments[0] if arguments else v.Data()
        if isinstance(source, v.Data) and not source.files:
            return v.derived(source)
        opened = opened_path(source, "rb")
        return files.read(self.machine, opened, node) if isinstance(opened, v.File) else v.Data()

    def _moved(self, arguments: v.Arguments, node: ast.AST) -> v.Value:
        source, target = (opened_path(argument, "r") for argument in arguments[:2])
        if isinstance(source, v.File) and isinstance(target, v.File):
            files.move(self.machine, source, target)
        return v.NONE

    def save(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        """A library writes values into a file or buffer."""
        places = [a for a in arguments if isinstance(a, v.File) or (isinstance(a, v.Const) and isinstance(a.value, str))]
        values = v.merged([a for a in arguments if a not in places] + list(keywords.values()))
        if places:
            opened = opened_path(places[0], "wb")
            assert isinstance(opened, v.File)
            files.write(self.machine, opened, values, node)
        elif len(arguments) > 1 and isinstance(arguments[1], v.Data):
            saved = v.summary(arguments[0])
            arguments[1].absorb(saved)
            if saved.weights and not (saved.losses or saved.scores):
                self.machine.recorder.write(node, "a buffer", saved, in_memory=True)
        return v.NONE

    # ---- objects ----

    def _partial(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
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

    def _deepcopy(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        value = arguments[0] if arguments else v.Data()
        if isinstance(value, v.Instance) and value.store is not None:
            store = self.machine.new_store(value.store.root.name + " copy")
            store.influences, store.tokens = value.store.influences, value.store.tokens
            return v.Instance(value.cls, dict(value.attributes), store)
        return v.derived(value) if isinstance(value, v.Data) else value

    def _namespace(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        mapping = v.Environment(self.machine.recorder.frames[-1].module, dict(keywords))
        return v.ModuleValue(mapping)

    def _logged(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        self.report(v.merged(arguments), node, arguments)
        return v.NONE

    def _field(self, arguments: v.Arguments, keywords: v.Keywords, node: ast.AST) -> v.Value:
        """A dataclass field: its default, or the factory that makes one for each object."""
        if "default_factory" in keywords:
            return v.Library(FACTORY, keywords["default_factory"])
        return keywords.get("default", v.Data())

    # ---- outputs, processes ----

    def report(self, value: v.Data, node: ast.AST, arguments: v.Arguments) -> None:
        """Something is printed."""
        texts = [
            a.text or "" if isinstance(a, v.Data) else str(a.value) for a in arguments if isinstance(a, v.Data | v.Const)
        ]
        label = re.sub(r"\s+", " ", " ".join(texts).replace("\0", "..")).strip()[:160]
        is_metric = value.per_byte or re.search(r"bpb|bits_per_byte", label, re.IGNORECASE) is not None
        origin = next((a.origin for a in arguments if isinstance(a, v.Data) and a.origin), None)
        if is_metric and self.machine.recorder.counts_anew(value):
            value = v.derived(value)
            value.scores |= {self.machine.recorder.score(node, value, origin)}
        if is_metric and value.foreign and not value.scores:
            named = ", ".join(sorted(value.foreign)[:_MAX_NAMED])
            told = f"the number that is printed here comes by {named}, which is neither shipped nor followed"
            self.machine.recorder.elsewhere(node, told, origin)
        if value.scores:
            self.machine.recorder.report(node, label, value, is_metric, origin)


def _has_momentum(arguments: v.Arguments, keywords: v.Keywords) -> bool:
    """Is SGD given a momentum that may differ from zero?"""
    momentum = keywords.get("momentum", arguments[2] if len(arguments) > 2 else v.Const(0))
    return not isinstance(momentum, v.Const) or bool(momentum.value)


def _compiled(arguments: v.Arguments) -> v.Value:
    """A call into compiled code: what it returns, and what it writes into its arguments, is not read here.

    What it makes of losses are losses still, whatever it does to them.
    """
    given = [v.summary(argument) for argument in arguments]
    result = v.derived(*(data for data in given if data.losses), v.Data(native=True))
    for argument in arguments:
        if isinstance(argument, v.Data) and not argument.tokens:
            argument.absorb(result)
    return result
