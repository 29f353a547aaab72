"""Packed scripts in the shapes that submissions ship, each packed here and unwrapped without being run."""

from __future__ import annotations

import base64
import bz2
import lzma
import tracemalloc
import zlib
from collections.abc import Callable, Mapping

import brotli
import pytest
import zstandard

from auditor.submission.decoders import MAX_DECODED_BYTES
from auditor.submission.unwrap import MAX_LAYERS, Unwrapped, unwrap

SOURCE = 'import os\n\nprint(f"final val_bpb:{1.1205:.4f}")\n' * 20
RAW_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 1 << 20}]


def b85(data: bytes) -> str:
    return base64.b85encode(data).decode()


def in_pieces(text: str) -> list[str]:
    return [text[start : start + 70] for start in range(0, len(text), 70)]


LZMA = b85(lzma.compress(SOURCE.encode()))
ZLIB = base64.b64encode(zlib.compress(SOURCE.encode(), 9)).decode()
BROTLI = b85(brotli.compress(SOURCE.encode()))
ZSTD = b85(zstandard.ZstdCompressor().compress(SOURCE.encode()))
BZ2 = b85(bz2.compress(SOURCE.encode()))
PAYLOADS = {
    "$LZMA": repr(LZMA),
    "$ZLIB": repr(ZLIB),
    "$BROTLI": repr(BROTLI),
    "$ZSTD": repr(ZSTD),
    "$BZ2": repr(BZ2),
    "$RAW": repr(b85(lzma.compress(SOURCE.encode(), lzma.FORMAT_RAW, filters=RAW_FILTERS))),
    "$ALONE": repr(b85(lzma.compress(SOURCE.encode(), lzma.FORMAT_ALONE))),
    "$DEFLATE": repr(b85(zlib.compress(SOURCE.encode(), 9)[2:-4])),
    "$HEX": repr(zlib.compress(SOURCE.encode()).hex()),
    "$INTEGERS": repr(list(zlib.compress(SOURCE.encode()))),
    "$BYTES": repr(LZMA.encode()),
    "$LIST": repr(in_pieces(LZMA)),
    "$ADJACENT": " ".join(map(repr, in_pieces(LZMA))),
    "$FIRST": repr(ZLIB[:40]),
    "$REST": repr(ZLIB[40:]),
    "$BACKWARDS": repr(ZLIB[::-1]),
    "$LINES": "\n".join(in_pieces(ZLIB)),
}

# name -> script; the names in capitals stand for payloads
SHAPES = {
    "one literal": "import lzma, base64\nexec(lzma.decompress(base64.b85decode($LZMA)))",
    "bytes literal": "import lzma as L, base64 as B\nexec(L.decompress(B.b85decode($BYTES)))",
    "names from modules": "from lzma import decompress as d\nfrom base64 import b85decode as b\nexec(d(b($LZMA)))",
    "import in place": "exec(__import__('zlib').decompress(__import__('base64').b64decode($ZLIB)))",
    "adjacent literals": "import lzma, base64\nexec(lzma.decompress(base64.b85decode($ADJACENT)))",
    "added literals": "import zlib, base64\nP = ''\nP += $FIRST\nP += $REST\nexec(zlib.decompress(base64.b64decode(P)))",
    "joined list": "import lzma, base64\nexec(lzma.decompress(base64.b85decode(''.join($LIST))))",
    "joined string in parentheses": "import lzma, base64\nD = ($ADJACENT)\n"
    "exec(lzma.decompress(base64.b85decode(''.join(D))))",
    "joined names": "import zlib, base64\nA = $FIRST\nB = $REST\nexec(zlib.decompress(base64.b64decode(''.join((A, B)))))",
    "bytes with newlines": 'import zlib, base64\nD = b"""\n$LINES\n"""\nexec(zlib.decompress(base64.b64decode(D)))',
    "newlines replaced": 'import zlib, base64\nD = """\n$LINES\n""".replace(\'\\n\', \'\')\n'
    "exec(zlib.decompress(base64.b64decode(D)))",
    "decoded to text": "import lzma, base64\nsrc = lzma.decompress(base64.b85decode($LZMA)).decode('utf-8')\nexec(src)",
    "compiled": "import lzma, base64\n"
    "c = compile(lzma.decompress(base64.b85decode($LZMA)), 'train_gpt.py', 'exec')\nexec(c, globals())",
    "raw lzma2": "import lzma as L, base64 as B\nF = [{'id': L.FILTER_LZMA2, 'preset': 9, 'dict_size': 1 << 20}]\n"
    "exec(L.decompress(B.b85decode($RAW), format=L.FORMAT_RAW, filters=F))",
    "raw lzma2 by position": "import lzma, base64\nF = [{'id': 0x21, 'dict_size': 1048576}]\n"
    "exec(lzma.decompress(base64.b85decode($RAW), lzma.FORMAT_RAW, None, F))",
    "raw lzma2 by an object": "import lzma, base64\n"
    "d = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[{'id': lzma.FILTER_LZMA2}])\n"
    "exec(d.decompress(base64.b85decode($RAW)))",
    "lzma alone": "import lzma, base64\nexec(lzma.decompress(base64.b85decode($ALONE), format=lzma.FORMAT_ALONE))",
    "raw deflate": "import zlib, base64\nexec(zlib.decompress(base64.b85decode($DEFLATE), -15))",
    "raw deflate by an object": "import zlib, base64\n"
    "exec(zlib.decompressobj(wbits=-15).decompress(base64.b85decode($DEFLATE)))",
    "decompressor object": "import lzma, base64\nexec(lzma.LZMADecompressor().decompress(base64.b85decode($LZMA)))",
    "brotli": "import brotli, base64\nexec(brotli.decompress(base64.b85decode($BROTLI)))",
    "zstandard": "import zstandard, base64\nexec(zstandard.ZstdDecompressor().decompress(base64.b85decode($ZSTD)))",
    "bz2": "import bz2, base64\nexec(bz2.decompress(base64.b85decode($BZ2)))",
    "hex": "import zlib\nexec(zlib.decompress(bytes.fromhex($HEX)))",
    "integers": "import zlib\nexec(zlib.decompress(bytes($INTEGERS)))",
    "backwards": "import zlib, base64\nexec(zlib.decompress(base64.b64decode($BACKWARDS[::-1])))",
    "renamed exec": "import zlib, base64\nrun = exec\nrun(zlib.decompress(base64.b64decode($ZLIB)))",
    "under a main guard": "import zlib, base64\n"
    "if __name__ == '__main__':\n    exec(zlib.decompress(base64.b64decode($ZLIB)))",
    "assigned in a tuple": "import zlib as z, base64 as b\nd, p = z.decompress, $ZLIB\nexec(d(b.b64decode(p)))",
    "byte order mark and crlf": "\ufeffimport zlib, base64\r\nexec(zlib.decompress(base64.b64decode($ZLIB)))\r\n",
}


def packed(shape: str) -> str:
    script = SHAPES[shape]
    for name, payload in PAYLOADS.items():
        script = script.replace(name, payload)
    return script


def unwrapped(script: str, files: Mapping[str, bytes] | None = None) -> Unwrapped:
    return unwrap("train_gpt.py", script.encode(), (files or {}).get)


@pytest.mark.parametrize("shape", SHAPES)
def test_shape_is_unwrapped(shape: str) -> None:
    result = unwrapped(packed(shape))
    assert result.failure is None
    assert result.source == SOURCE
    assert result.packed
    assert len(result.layers) == 1


def test_method_line_and_environment_are_told() -> None:
    prelude = (
        "import os\nos.environ['SEED'] = '42'\nos.environ.setdefault('TTT_ENABLED', '1')\n"
        "os.environ.update(LR='0.02', EPOCHS=str(3))\n"
    )
    layer = unwrapped(prelude + packed("one literal")).layers[0]
    assert layer.method == "exec(lzma(b85))"
    assert (layer.outer_path, layer.outer_line) == ("train_gpt.py", 6)
    assert layer.environment == {"SEED": "42", "TTT_ENABLED": "1", "LR": "0.02", "EPOCHS": "3"}


def test_two_levels_are_both_undone() -> None:
    inner = packed("brotli")
    outer = f"import lzma,base64\nexec(lzma.decompress(base64.b85decode({b85(lzma.compress(inner.encode()))!r})))"
    result = unwrapped(outer)
    assert result.source == SOURCE
    assert [layer.method for layer in result.layers] == ["exec(lzma(b85))", "exec(brotli(b85))"]
    assert result.layers[1].outer_path == "train_gpt.py!decoded"


def test_endless_packing_ends() -> None:
    script = SOURCE
    for _ in range(MAX_LAYERS + 2):
        script = f"import zlib,base64\nexec(zlib.decompress(base64.b85decode({b85(zlib.compress(script.encode()))!r})))"
    result = unwrapped(script)
    assert len(result.layers) == MAX_LAYERS
    assert result.source.startswith("import zlib")


@pytest.mark.parametrize(
    "script",
    [
        "import zlib\nexec(zlib.decompress(open('payload.bin', 'rb').read()))",
        "import zlib\nfrom pathlib import Path\n"
        "exec(zlib.decompress((Path(__file__).parent / 'payload.bin').read_bytes()))",
        "import os,zlib\nd=os.path.dirname(os.path.abspath(__file__))\n"
        "with open(os.path.join(d,'payload.bin'),'rb') as f:\n exec(zlib.decompress(f.read()))",
        "import zlib\nfrom pathlib import Path\n"
        "exec(zlib.decompress(Path(__file__).with_name('payload.bin').read_bytes()))",
    ],
)
def test_payload_in_a_file_beside(script: str) -> None:
    result = unwrapped(script, {"payload.bin": zlib.compress(SOURCE.encode())})
    assert result.source == SOURCE
    assert result.layers[0].method == "exec(zlib(file payload.bin))"
    missing = unwrapped(script)
    assert missing.packed
    assert missing.failure is not None
    assert "payload.bin is not shipped" in missing.failure


@pytest.mark.parametrize(
    "runs",
    [
        "p = os.path.join(tempfile.mkdtemp(), 'inner.py')\nopen(p, 'wb').write(c)\nrunpy.run_path(p, run_name='__main__')",
        "p = os.path.join(os.path.dirname(os.path.abspath(__file__)), '_inner.py')\n"
        "with open(p, 'wb') as f: f.write(c)\nrunpy.run_path(p)",
        "p = '/tmp/inner.py'\nif not os.path.exists(p):\n    with open(p, 'wb') as f: f.write(c)\n"
        "s = importlib.util.spec_from_file_location('__main__', p)\ns.loader.exec_module(s)",
        "with tempfile.NamedTemporaryFile(suffix='.py') as f:\n    f.write(c)\n"
        "    subprocess.run([sys.executable, f.name])",
        "p = pathlib.Path('/tmp') / 'inner.py'\np.write_bytes(c)\nos.execv(sys.executable, [sys.executable, str(p)])",
        "open('inner.py', 'w').write(c.decode())\nexec(open('inner.py').read())",
    ],
)
def test_payload_that_is_written_to_a_file_and_run(runs: str) -> None:
    decoding = packed("one literal").replace("exec(", "c = (")
    result = unwrapped(f"import os, sys, runpy, tempfile, pathlib\n{decoding}\n{runs}")
    assert result.failure is None
    assert result.source == SOURCE
    assert result.layers[0].method.endswith("(lzma(b85))")
    assert result.layers[0].files == {}


def test_plain_texts_that_are_written_and_run_in_place_of_the_script() -> None:
    files = {"pipeline.py": "import tools.model\n", "tools/model.py": "x = 1\n"}
    script = (
        f"import runpy\nfrom pathlib import Path\nROOT = Path(__file__).resolve().parent\nFILES = {files!r}\n"
        "for name, text in FILES.items():\n    path = ROOT / name\n"
        "    if not path.exists():\n        path.write_text(text)\n"
    )
    layer = unwrapped(f"{script}runpy.run_path(str(ROOT / 'pipeline.py'), run_name='__main__')\n").layers[0]
    assert (layer.method, layer.source) == ("run_path(text)", files["pipeline.py"])
    assert layer.files == {"tools/model.py": files["tools/model.py"]}
    beside = f"import subprocess, sys\n{script}subprocess.run([sys.executable, 'pipeline.py'])\nprint('b85decode')\n"
    assert unwrapped(beside).layers == (), "a program that runs beside the script does not replace it"


def test_several_files_unpacked_in_a_loop() -> None:
    files = {"_runner.py": "import train_gpt\n", "train_gpt.py": "import kernels.fast\n", "kernels/fast.py": "x = 1\n"}
    payload = b85(zlib.compress("\n# ===\n".join(files.values()).encode()))
    script = (
        f"import zlib, base64, tempfile, os\nwhole = zlib.decompress(base64.b85decode({payload!r}))\n"
        "parts = whole.decode().split('\\n# ===\\n')\n"
        f"d = tempfile.mkdtemp()\nfor name, text in zip({list(files)!r}, parts):\n"
        "    p = os.path.join(d, name)\n    os.makedirs(os.path.dirname(p), exist_ok=True)\n    open(p, 'w').write(text)\n"
        "os.environ.update(TTT_EPOCHS='3')\nexec(open(os.path.join(d, '_runner.py')).read())\n"
    )
    layer = unwrapped(script).layers[0]
    assert layer.source == files.pop("_runner.py")
    assert layer.files == files
    assert layer.environment == {"TTT_EPOCHS": "3"}


@pytest.mark.parametrize(
    "script",
    [
        SOURCE,
        "exec(open('model.py').read())",
        "model.eval()\nimport base64\nprint(base64.b64decode('aGk='))",
        "exec(f'x = {1 + 1}')\n# zlib.decompress is used elsewhere",
        "import zlib\nblob = zlib.decompress(open('model.ptz', 'rb').read())\nexec('x = 1')",
        "def train(:\n    exec(zlib.decompress(b''))",
    ],
)
def test_what_is_not_packed_stays_as_it_is(script: str) -> None:
    result = unwrapped(script, {"model.py": b"x = 1\n"})
    assert (result.source, result.packed, result.failure, result.layers) == (script, False, None, ())


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (packed("one literal").replace(LZMA[-40:], ""), "truncated"),
        (packed("brotli").replace(BROTLI, BROTLI[:60]), "truncated"),
        (packed("zstandard").replace(ZSTD, ZSTD[:40]), "zstd"),
        (packed("import in place").replace(ZLIB, ZLIB[:40]), "truncated"),
        (packed("one literal").replace(LZMA, "~~~~~"), "base85"),
        (packed("import in place").replace(ZLIB, "AAAA"), "zlib"),
        (f"import zlib,base64,os\nexec(zlib.decompress(base64.b64decode(os.environ['P'] + {ZLIB!r})))", "line 2"),
        ("exec(__import__('zlib').decompress(bytes([300])))", "bytes of a list"),
        ("exec(__import__('zlib').decompress({[]: b''}[0]))", "a table"),
        (packed("import in place").replace("exec(", "exec(__import__('marshal').loads(") + ")", "marshal.loads"),
    ],
)
def test_packing_that_cannot_be_undone_says_why(script: str, reason: str) -> None:
    result = unwrapped(script)
    assert result.packed
    assert result.failure is not None
    assert reason in result.failure
    assert result.source == script


def bomb(compress: Callable[[bytes], bytes]) -> bytes:
    return compress(b"#" * (3 * MAX_DECODED_BYTES))


@pytest.mark.parametrize(
    ("shape", "payload", "compress"),
    [
        ("one literal", LZMA, lzma.compress),
        ("brotli", BROTLI, brotli.compress),
        ("zstandard", ZSTD, zstandard.ZstdCompressor().compress),
        ("bz2", BZ2, bz2.compress),
    ],
    ids=["lzma", "brotli", "zstandard", "bz2"],
)
def test_bomb_is_not_decoded_beyond_the_bound(shape: str, payload: str, compress: Callable[[bytes], bytes]) -> None:
    script = packed(shape).replace(payload, b85(bomb(compress)))
    tracemalloc.start()
    result = unwrapped(script)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.failure is not None
    assert "not decoded further" in result.failure
    assert peak < 4 * MAX_DECODED_BYTES
