"""Opening survives mutated wrappers, arbitrary expressions and arbitrary folders: it never raises, memory is bounded."""

from __future__ import annotations

import ast
import base64
import contextlib
import lzma
import zlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.report import Unreadable
from auditor.submission.decoders import MAX_DECODED_BYTES, DecodeError
from auditor.submission.entry import read_script
from auditor.submission.folding import Folder, UnfoldableError
from auditor.submission.text_methods import apply_method
from auditor.submission.unwrap import MAX_LAYERS, unwrap

UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
SOURCE = 'import os\nimport model\nprint(f"final val_bpb:{1.1205:.4f}")\n'
B85 = base64.b85encode(lzma.compress(SOURCE.encode())).decode()
B64 = base64.b64encode(zlib.compress(SOURCE.encode())).decode()
WRAPPERS = (
    f"import lzma as L,base64 as B\nexec(L.decompress(B.b85decode({B85!r})))\n",
    f"import os\nos.environ['A']='1'\n"
    f"exec(__import__('zlib').decompress(__import__('base64').b64decode({B64.encode()!r})))\n",
    f"import zlib,base64\nP=''\nP+={B64[:50]!r}\nP+={B64[50:]!r}\n"
    "c=compile(zlib.decompress(base64.b64decode(P)),'x','exec')\nexec(c)\n",
    "import zlib\nfrom pathlib import Path\n"
    "exec(zlib.decompress((Path(__file__).parent/'payload.bin').read_bytes()).decode())\n",
    "exec(open('model.py').read())\n",
)
FILES = {"payload.bin": zlib.compress(SOURCE.encode()), "model.py": b"import lzma\nfrom . import other\n"}

mutations = st.lists(
    st.tuples(
        st.sampled_from(["delete", "insert", "replace", "repeat"]),
        st.integers(0, 10_000),
        st.integers(0, 60),
        st.one_of(
            st.binary(max_size=8),
            st.sampled_from([b"(", b")", b"'", b'"""', b"\n", b"\\", b"\0", b"\xff\xfe", b"{", b"f'", b"exec(", b"[::-1]"]),
        ),
    ),
    max_size=6,
)


def mutated(data: bytes, changes: list[tuple[str, int, int, bytes]]) -> bytes:
    for kind, place, length, new in changes:
        start = place % (len(data) + 1)
        middle = {"delete": b"", "insert": new + data[start : start + length], "replace": new}.get(
            kind, data[start : start + length] * 2
        )
        data = data[:start] + middle + data[start + length :]
    return data


@settings(UNTIMED, max_examples=300)
@given(st.sampled_from(WRAPPERS), mutations)
def test_mutated_wrapper_is_unwrapped_or_says_why(script: str, changes: list[tuple[str, int, int, bytes]]) -> None:
    data = mutated(script.encode(), changes)
    result = unwrap("train_gpt.py", data, FILES.get)
    assert len(result.layers) <= MAX_LAYERS
    assert len(result.source) <= max(4 * len(data), MAX_DECODED_BYTES)
    assert result.packed == (bool(result.layers) or result.failure is not None)


@settings(UNTIMED, max_examples=100)
@given(st.binary(max_size=200), st.sampled_from(["lzma", "zlib", "bz2", "gzip", "brotli", "zstandard"]))
def test_arbitrary_payload_is_decoded_or_says_why(payload: bytes, module: str) -> None:
    script = f"import {module},base64\nexec({module}.decompress(base64.b85decode({base64.b85encode(payload).decode()!r})))"
    result = unwrap("train_gpt.py", script.encode(), FILES.get)
    assert bool(result.layers) != (result.failure is not None)


names = st.sampled_from(
    ["lzma", "zlib", "base64", "bytes", "str", "compile", "open", "Path", "os", "x", "__file__", "__import__"]
)
attributes = st.sampled_from(
    [
        *(
            "decompress",
            "b85decode",
            "b64decode",
            "fromhex",
            "decode",
            "encode",
            "join",
            "replace",
            "split",
            "hex",
            "strip",
        ),
        *("parent", "read", "read_bytes", "with_name", "joinpath", "path", "environ"),
        *("LZMADecompressor", "decompressobj", "FORMAT_RAW", "MAX_WBITS"),
    ]
)
constants = st.one_of(
    st.integers(-(2**70), 2**70), st.text(max_size=6), st.binary(max_size=6), st.booleans(), st.none(), st.floats()
).map(lambda value: ast.Constant(value))


def grown(smaller: st.SearchStrategy[ast.expr]) -> st.SearchStrategy[ast.expr]:
    items = st.lists(smaller, max_size=3)
    keywords = st.lists(
        st.builds(ast.keyword, arg=st.sampled_from(["format", "filters", "wbits", "data", "mode", None]), value=smaller),
        max_size=2,
    )
    return st.one_of(
        st.builds(lambda elts: ast.List(elts=elts), items),
        st.builds(lambda elts: ast.Tuple(elts=elts), items),
        st.builds(lambda pairs: ast.Dict(keys=pairs[::2], values=pairs[1::2]), items.map(lambda each: each + each[::-1])),
        st.builds(lambda value, attr: ast.Attribute(value=value, attr=attr), smaller, attributes),
        st.builds(lambda func, args, words: ast.Call(func=func, args=args, keywords=words), smaller, items, keywords),
        st.builds(
            lambda one, op, other: ast.BinOp(left=one, op=op, right=other),
            smaller,
            st.sampled_from([ast.Add(), ast.Sub(), ast.Mult(), ast.Div(), ast.BitOr(), ast.LShift()]),
            smaller,
        ),
        st.builds(lambda value, index: ast.Subscript(value=value, slice=index), smaller, smaller),
        st.builds(
            lambda value, lower, step: ast.Subscript(value=value, slice=ast.Slice(lower=lower, upper=None, step=step)),
            smaller,
            smaller,
            smaller,
        ),
        st.builds(lambda operand: ast.UnaryOp(op=ast.USub(), operand=operand), smaller),
    )


expressions = st.recursive(st.one_of(constants, names.map(lambda name: ast.Name(id=name))), grown, max_leaves=12)


@settings(UNTIMED, max_examples=500)
@given(st.lists(expressions, min_size=1, max_size=4))
def test_expression_has_a_value_or_a_reason(nodes: list[ast.expr]) -> None:
    folder = Folder(FILES.get, "train_gpt.py")
    for node in nodes:
        with contextlib.suppress(DecodeError):
            folder.bind("x", node)
        if isinstance(reason := folder.names.get("x"), UnfoldableError):
            assert str(reason)


def test_doubling_a_text_ends() -> None:
    script = "import zlib\nx = 'aaaaaaaaaaaaaaaa'\n" + "x += x\n" * 200 + "exec(zlib.decompress(x))\n"
    result = unwrap("train_gpt.py", script.encode(), FILES.get)
    assert result.failure is not None


@settings(UNTIMED, max_examples=200)
@given(
    st.one_of(st.text(max_size=5), st.binary(max_size=5)).map(lambda text: text * 3_000_000),
    st.sampled_from(["join", "replace", "split", "splitlines", "encode", "decode", "hex", "lower", "format", "__class__"]),
    st.lists(
        st.one_of(st.text(max_size=3), st.just("utf-8"), st.just("punycode"), st.lists(st.text(max_size=3))), max_size=3
    ),
)
def test_text_method_is_bounded(text: str | bytes, method: str, arguments: list[object]) -> None:
    try:
        made = apply_method(text, method, arguments)
    except (ValueError, TypeError, LookupError, AttributeError):
        return
    assert isinstance(made, str | bytes | list)
    assert len(made) <= max(2 * len(text), 4 * MAX_DECODED_BYTES)


class Files:
    """A submission folder in memory."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def paths(self) -> tuple[str, ...]:
        return tuple(sorted(self.files))

    def size(self, path: str) -> int:
        return len(self.files[path])

    def read(self, path: str) -> bytes:
        return self.files[path]

    def problems(self) -> tuple[Unreadable, ...]:
        return ()


file_names = st.sampled_from(
    ["train_gpt.py", "train.py", "model.py", "other.py", "pkg/__init__.py", "pkg/model.py", "\n.py"]
)
statements = st.sampled_from(
    [
        *("import model", "from . import other", "from ..pkg.model import x", "from .. import *", "import pkg.model as m"),
        *("exec(open('other.py').read())", "runpy.run_path('x.py')", "__import__('model')", "'pkg/model.py'", "def f(:"),
    ]
)
modules = st.one_of(
    st.sampled_from([wrapper.encode() for wrapper in WRAPPERS]),
    st.lists(statements).map(lambda lines: "\n".join(lines).encode()),
    st.binary(max_size=40),
)


@settings(UNTIMED, max_examples=300)
@given(st.dictionaries(file_names, st.builds(mutated, modules, mutations), max_size=6))
def test_any_folder_opens(files: dict[str, bytes]) -> None:
    script, problems = read_script(Files(files), None)
    if script is not None:
        paths = [module.path for module in script.modules]
        assert len(paths) == len(set(paths))
        assert set(paths) | set(script.side_files) <= set(files)
        assert not set(script.missing) & set(files)
        assert {module.path for module in script.modules if module.error} <= {problem.path for problem in problems}
