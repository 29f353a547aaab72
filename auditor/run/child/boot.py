"""Entry point of the audited child: put the stand-ins in place, start the recorder, run the script as ``__main__``.

``python -I boot.py JOB`` where JOB is a JSON object: `script` (path), `events` (a file descriptor for each rank), `requote`
(path of the module that rewrites newer f-strings), `environment`, `validation` and `training` (shards), `record`, `swap`
(a folder of files to be read back, or None). The script's folder comes first on `sys.path`, as when Python runs a file;
this folder is never on it.
"""

# No __future__ imports here: code that the script compiles would inherit them.
import __future__

import ast
import builtins
import functools
import importlib.util
import json
import linecache
import operator
import os
import sys
import traceback
import types
from pathlib import Path

PACKAGE = "_pgolf_child"
EXIT_FAILED = 3  # the script raised
_FUTURE = functools.reduce(operator.or_, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names))


def load_package() -> types.ModuleType:
    """Import this folder under a name that no script uses."""
    here = Path(__file__).parent
    spec = importlib.util.spec_from_file_location(PACKAGE, here / "__init__.py", submodule_search_locations=[str(here)])
    package = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = package
    spec.loader.exec_module(package)
    return package


def load_file(path, name):
    """Import one file under a name."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Reader:
    """Compiles sources that this Python may be too old for; what was rewritten is told.

    `kept` has the script's modules instrumented, if it is there.
    """

    def __init__(self, requote, emit, kept=None):
        self.requote = requote
        self.emit = emit
        self.kept = kept
        self.compile = builtins.compile

    def read(self, source, filename, mode, flags=0, dont_inherit=False, optimize=-1, **options):
        """As `compile`; a source that does not parse is tried again with its f-strings rewritten."""
        if not dont_inherit:
            flags |= sys._getframe(1).f_code.co_flags & _FUTURE
        try:
            return self._compile(source, filename, mode, flags, optimize, **options)
        except SyntaxError:
            text = source.decode() if isinstance(source, bytes) else source
            rewritten = self.requote(text.replace("\r\n", "\n")) if isinstance(text, str) else None
            if rewritten is None or rewritten == text:
                raise
            code = self._compile(rewritten, filename, mode, flags, optimize, **options)
            self.emit({"t": "rewritten", "path": str(filename)})
            return code

    def _compile(self, source, filename, mode, flags, optimize, **options):
        """As `compile`, but a module of the script's own tells what its lines add up."""
        is_code = mode == "exec" and not flags & ast.PyCF_ONLY_AST and isinstance(source, str | bytes)
        if is_code and self.kept is not None and self.kept.may_instrument(source, filename):
            tree = self.compile(source, filename, mode, flags | ast.PyCF_ONLY_AST, True, optimize, **options)
            source = self.kept.instrument(tree)
        return self.compile(source, filename, mode, flags, True, optimize, **options)

    def install(self):
        """Let `exec` and `compile` of packed scripts, and imports of sibling modules, read newer sources."""
        run = builtins.exec

        def exec_(source, globals=None, locals=None, /, **options):
            if globals is None:
                frame = sys._getframe(1)
                globals, locals = frame.f_globals, frame.f_locals if locals is None else locals
            if isinstance(source, str | bytes):
                flags = sys._getframe(1).f_code.co_flags & _FUTURE
                source = self.read(source, "<string>", "exec", flags, True)
            return run(source, globals, globals if locals is None else locals, **options)

        builtins.exec, builtins.compile = exec_, self.read
        from importlib.machinery import SourceFileLoader

        reader = self

        def source_to_code(loader, data, path, **options):
            return reader.read(data, path, "exec", 0, True)

        SourceFileLoader.source_to_code = source_to_code


def run_script(path, reader, emit):
    """Run a file as ``__main__``; returns the exit status."""
    main = types.ModuleType("__main__")
    main.__file__ = path
    main.__builtins__ = builtins
    sys.modules["__main__"] = main
    sys.argv = [path]
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    source = Path(path).read_bytes()
    linecache.checkcache(path)
    try:
        exec(reader.read(source, path, "exec", 0, True), main.__dict__)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException as error:  # noqa: BLE001 - whatever the script raises is its result
        traceback.print_exc()
        frames = traceback.extract_tb(error.__traceback__)
        from _pgolf_child.places import is_foreign

        own = [frame for frame in frames if not is_foreign(frame.filename)]
        emit(
            {
                "t": "failed",
                "error": f"{type(error).__name__}: {error}"[:2000],
                "frames": [[frame.filename, frame.lineno, frame.name] for frame in own[-12:]],
            }
        )
        return EXIT_FAILED
    return 0


def main():
    """Prepare the process and run the job's script."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    load_package()
    from _pgolf_child.emit import Emitter, Tee, exchange, watch_system
    from _pgolf_child.launch import split

    size = len(job["events"])
    rank, meeting = split(size) if size > 1 else (0, None)
    emitter = Emitter(job["events"].pop(rank))
    for other in job["events"]:
        os.close(other)
    from _pgolf_child import attention, clock, compiling, cuda, distributed, kernels, ranks
    from _pgolf_child.kept import Kept

    kept = Kept(emitter.emit)
    sys.stdout = Tee(sys.stdout, emitter, kept.flush)
    try:
        world = distributed.Alone() if meeting is None else ranks.Ranks(rank, size, meeting, emitter.emit)
        cuda.install(size)
        compiling.install()
        distributed.install(world)
        attention.install()
        kernels.install(emitter.emit)
        if job["record"]:
            from _pgolf_child.record import Recorder

            world.recorder = Recorder(emitter.emit, job["validation"], job["training"], world.first_number)
            world.recorder.install()
            kernels.tell(world.recorder)
            kept.install()
        reader = Reader(
            load_file(job["requote"], f"{PACKAGE}.requote").requote, emitter.emit, kept if job["record"] else None
        )
        reader.install()
        watch_system(emitter.emit)
        if job["swap"]:
            exchange(job["swap"], emitter.emit)
        os.environ.update(job["environment"])
        clock.install()
        emitter.emit({"t": "ready"})
        status = run_script(job["script"], reader, emitter.emit)
        emitter.emit({"t": "end", "status": status})
    finally:
        sys.stdout.flush()
        emitter.close()
    os._exit(status)  # threads and exit hooks of the script are no part of the run


if __name__ == "__main__":
    main()
