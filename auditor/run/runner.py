"""Runs a submission's script in a child process of its own, and collects what it tells.

The child works in a folder of its own that holds the submission's files, byte for byte, and ``data/``. It sees a scrubbed
environment, its own HOME and TMPDIR, and limits on time, memory, file size and open files. Where the system lets us
(Linux with user namespaces; told by `Outcome.isolation`) it has no network, a read-only root file system, a ``/tmp`` of its
own, and its own process numbers, so that whatever it starts ends with it. Events come through a pipe.

Not covered: without namespaces the child can reach the network and read and write what the user can; it can always read
the user's files, and write to other file systems that are mounted beside the root one; a script that attacks the recorder
inside its own process can silence it, which only the probes notice.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import posixpath
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from auditor.run.ranks import Event, merge
from auditor.source import requote
from auditor.submission.errors import SubmissionError
from auditor.submission.submission import Submission

_BOOT = Path(__file__).parent / "child" / "boot.py"
_TOOLS = Path(__file__).parent / "child" / "bin"
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of linux/prctl.h
_GIB = 1024**3
NO_TIME = "did not end within"  # how the failure of a run that took too long begins
_INSIDE = "/mnt"  # where the fenced child finds its folder
_FENCE = f"""
set -e
mount --bind "$1" {_INSIDE}
[ "$2" = hide ] && mount --bind {_INSIDE}/tmp /tmp
mount -o remount,bind,ro /
cd {_INSIDE}/work
shift 2
exec "$@"
"""  # inside new namespaces: the root file system is read-only but for the run's folder, at a place that is always the same
_UNSHARE = ("unshare", "--map-root-user", "--net", "--mount", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run may take: `seconds` of wall time, `cpu_seconds` of computing."""

    seconds: float = 600.0
    cpu_seconds: int = 300
    memory_bytes: int = 12 * _GIB
    file_bytes: int = 2 * _GIB
    open_files: int = 1024
    processes: int = 512
    event_bytes: int = 1 * _GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run went.

    `failure` is None if the script ran to its end; `log` is what it printed; `left_out` are files of the submission whose
    content was not there to be laid out.
    """

    events: tuple[Event, ...]
    failure: str | None
    seconds: float
    cpu_seconds: float
    isolation: str
    log: str
    left_out: tuple[str, ...] = ()


@functools.cache
def can_isolate() -> bool:
    """Whether the system gives an ordinary process namespaces of its own."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        for name in ("tmp", "work"):
            (Path(folder) / name).mkdir()
        command = [*_UNSHARE, "sh", "-c", _FENCE, "sh", folder, "hide", "true"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def placed(submission: Submission, path: str) -> str:
    """Where a file of a submission lies in the run's folder.

    A script may lie above the submission's folder, as where a change edits the repository's own: then the run's folder
    stands for the one that holds it, and the submission lies below.
    """
    above = max((name.split("/").count("..") for name in submission.files.paths()), default=0)
    below = submission.path.strip("/").split("/")[-above:] if above else []
    return posixpath.normpath("/".join([*below, path]))


def lay_out(submission: Submission, folder: Path) -> tuple[str, ...]:
    """Write the submission's files below a folder, byte for byte; those whose content is not there (returned) are left out.

    ValueError for a path that leads out of the folder.
    """
    left_out = []
    for path in submission.files.paths():
        target = folder / placed(submission, path)
        if not target.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{path}: leads out of the submission")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.write_bytes(submission.files.read(path))
        except SubmissionError:  # a large file that a partial clone does not hold, say; most scripts write their own
            target.unlink(missing_ok=True)
            left_out.append(path)
    return tuple(left_out)


def run_child(
    script: str,
    work: Path,
    environment: Mapping[str, str],
    *,
    python: Path,
    limits: Limits,
    record: bool = True,
    num_ranks: int = 1,
) -> Outcome:
    """Run `script` (relative to ``work/work``, which holds the submission and its data) and collect its events.

    Of several ranks each is a process; their events are merged (`ranks.merge`). ValueError if the events are damaged.
    """
    for name in ("tmp", "home"):
        (work / name).mkdir(exist_ok=True)
    reading, writing = zip(*(os.pipe() for _ in range(num_ranks)), strict=True)
    _write_job(work, script, writing, environment, record)
    command: list[str] = [str(python), "-I", "-u", str(_BOOT), "../job.json"]
    isolated = can_isolate()
    if isolated:
        hides = "keep" if _needs_tmp(python) else "hide"
        command = [*_UNSHARE, "sh", "-c", _FENCE, "sh", str(work), hides, *command]
    started, computed = time.monotonic(), _computed()
    with (work / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=work / "work",
            env=_environment(work, python),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=writing,
            start_new_session=True,
            preexec_fn=functools.partial(_limit, limits),
        )
    for descriptor in writing:
        os.close(descriptor)
    collectors = [_Collector(descriptor, limits.event_bytes // num_ranks) for descriptor in reading]
    for collector in collectors:
        collector.start()
    timed_out = _wait(process, limits.seconds)
    for collector in collectors:
        collector.join(timeout=10)
    events = merge([tuple(collector.events) for collector in collectors])
    text = (work / "log.txt").read_bytes().decode("utf-8", "backslashreplace")
    return Outcome(
        events=events,
        failure=_without_folder(_failure(events, process.returncode, timed_out, limits, text), work, isolated),
        seconds=time.monotonic() - started,
        cpu_seconds=_computed() - computed,
        isolation="no network, read-only file system, own processes" if isolated else "none but the limits",
        log=text,
    )


def _needs_tmp(python: Path) -> bool:
    """Whether we ourselves live below /tmp, so that the child cannot do without it."""
    return any(path.is_relative_to("/tmp") for path in (python, _BOOT))


def _write_job(work: Path, script: str, events: Sequence[int], environment: Mapping[str, str], record: bool) -> None:
    data = work / "work" / "data" / "datasets"
    shards = sorted(path for path in data.glob("*/fineweb_*.bin") if "_bytes_" not in path.name)
    job = {
        "script": script,
        "events": list(events),
        "record": record,
        "environment": dict(environment),
        "requote": requote.__file__,
        "swap": "../swap" if (work / "swap").is_dir() else None,
        "validation": [_relative(path, work) for path in shards if "_val_" in path.name],
        "training": [_relative(path, work) for path in shards if "_train_" in path.name],
    }
    (work / "job.json").write_text(json.dumps(job), encoding="utf-8")


def _relative(path: Path, work: Path) -> str:
    return str(path.relative_to(work / "work"))


def _environment(work: Path, python: Path) -> dict[str, str]:
    """What the process starts with; the variables chosen for the script are set inside, where they steer no loader."""
    return {
        "PATH": os.pathsep.join([str(_TOOLS), str(python.parent), "/usr/local/bin", "/usr/bin", "/bin"]),
        "HOME": f"{_INSIDE}/home" if can_isolate() else str(work / "home"),
        "TMPDIR": f"{_INSIDE}/tmp" if can_isolate() else str(work / "tmp"),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TRITON_INTERPRET": "1",
        "CUDA_VISIBLE_DEVICES": "0",
    }


def _computed() -> float:
    """Seconds that children which have ended spent computing."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _limit(limits: Limits) -> None:
    for kind, value in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, limits.processes),
    ):
        _, hard = resource.getrlimit(kind)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (bound, bound))
    os.nice(5)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for the end, or bring it about; True if the time ran out."""
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


class _Collector(threading.Thread):
    """Reads events until the pipe closes; more than the bound are read and dropped."""

    def __init__(self, descriptor: int, max_bytes: int) -> None:
        super().__init__(daemon=True)
        self.events: list[Event] = []
        self._descriptor = descriptor
        self._max_bytes = max_bytes

    def run(self) -> None:
        """Read the pipe."""
        num_bytes = 0
        with os.fdopen(self._descriptor, "r", encoding="utf-8", errors="backslashreplace") as pipe:
            for line in pipe:
                num_bytes += len(line)
                if num_bytes > self._max_bytes:
                    continue
                try:
                    event = json.loads(line)
                except ValueError:
                    event = {"t": "garbled"}
                self.events.append(event if isinstance(event, dict) else {"t": "garbled"})


def _without_folder(failure: str | None, work: Path, isolated: bool) -> str | None:
    """A failure with the submission's own paths as it ships them: where a run's folder lies is nobody's concern."""
    folder = f"{_INSIDE}/work/" if isolated else f"{work}/work/"
    return failure and failure.replace(folder, "")


def _failure(events: Sequence[Event], status: int, timed_out: bool, limits: Limits, log: str) -> str | None:
    if timed_out:
        return f"{NO_TIME} {limits.seconds:.0f} s"
    for event in events:
        if event.get("t") == "failed":
            return str(event["error"])
    if not any(event.get("t") == "end" for event in events):
        last = next((line for line in reversed(log.splitlines()) if line.strip()), "nothing printed")
        return f"ended with status {status} before its end: {last.strip()[:300]}"
    return None if status == 0 else f"ended with status {status}"
