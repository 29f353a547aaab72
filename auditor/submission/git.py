"""Reading git objects without a checkout, through git's own plumbing.

Blobs come through one `git cat-file --batch` process that stays open; everything else is a short plumbing command. No work
tree is touched, no hook, filter, external diff or fetch runs, and the system's and user's configuration is left out, so
that a hostile repository can at most show us bytes. Links and submodules in a tree are reported, never followed.
"""

from __future__ import annotations

import os
import subprocess
import weakref
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from auditor.report import Unreadable
from auditor.submission.errors import SubmissionError
from auditor.submission.tree import check_size

_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C",
}
_OPTIONS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.devnull, "-c", "safe.directory=*")
_NOT_HELD = "the repository does not hold this file's content"
_PASSED_OVER = {"120000": "a symbolic link; links are not followed", "160000": "a submodule; submodules are not read"}


class Git:
    """One git directory (bare, checkout or worktree)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._blobs: subprocess.Popen[bytes] | None = None
        self.run("rev-parse", "--git-dir")

    def run(self, *arguments: str) -> str:
        """Output of a git command; SubmissionError with git's own words if it fails."""
        return self._output(self._started(arguments), arguments[0])

    def _output(self, done: subprocess.CompletedProcess[bytes], command: str) -> str:
        if done.returncode:
            words = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise SubmissionError(str(self.path), words[-1] if words else f"git {command} failed")
        return done.stdout.decode("utf-8", "surrogateescape")

    def _started(
        self, arguments: tuple[str, ...], extra: Mapping[str, str] = MappingProxyType({})
    ) -> subprocess.CompletedProcess[bytes]:
        if not self.path.exists():
            raise SubmissionError(str(self.path), "no such file or directory")
        try:
            environment = {**self._environment, **extra}
            return subprocess.run(self._command(arguments), capture_output=True, env=environment, check=False)
        except FileNotFoundError as error:
            raise SubmissionError(str(self.path), "git is not installed") from error

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return ["git", "-C", str(self.path), *_OPTIONS, *arguments]

    @cached_property
    def _environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | _ENVIRONMENT

    def resolve(self, *names: str) -> str | None:
        """The commit that the first existing of `names` means, or None."""
        for name in names:
            done = self._started(("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"))
            if done.returncode == 0:
                return done.stdout.decode().strip()
        return None

    def index_tree(self) -> str:
        """The tree that a commit would have now; SubmissionError where conflicts are unresolved.

        Git tells a hook by GIT_INDEX_FILE which index that is (``git commit -a`` makes one of its own).
        """
        index = os.environ.get("GIT_INDEX_FILE")
        done = self._started(("write-tree",), {"GIT_INDEX_FILE": os.path.abspath(index)} if index else {})
        return self._output(done, "write-tree").strip()

    def blob(self, digest: str, path: str) -> bytes:
        """A blob's bytes; `path` only names it in errors."""
        if self._blobs is None or self._blobs.poll() is not None:
            self._blobs = subprocess.Popen(
                self._command(("cat-file", "--batch")),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._environment,
            )
            weakref.finalize(self, _end, self._blobs)
        content = _ask(self._blobs, digest, path)
        if content is None:
            self._blobs = None
            raise SubmissionError(path, "git could not read this file's content; the repository is damaged")
        return content


def _ask(process: subprocess.Popen[bytes], digest: str, path: str) -> bytes | None:
    """A blob's bytes from `git cat-file --batch`; None where git gave up on it, as it does on a damaged object."""
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:
        raise SubmissionError(path, "git did not open its pipes")
    try:
        stdin.write(digest.encode() + b"\n")
        stdin.flush()
    except BrokenPipeError:
        return None
    header = stdout.readline().split()
    if len(header) == 2:
        raise SubmissionError(path, _NOT_HELD)
    if not header:
        return None
    content = stdout.read(int(header[2]))
    return content if stdout.read(1) == b"\n" else None


def _end(process: subprocess.Popen[bytes]) -> None:
    process.communicate()


class GitTree:
    """The files below a folder of a commit.

    A partial clone may lack the content of some (large models, mostly). They are listed all the same, and only who asks for
    the content or the size of one is told that it is not there.
    """

    def __init__(self, git: Git, commit: str, folder: str) -> None:
        self.git = git
        self.commit = commit
        self.folder = folder

    @cached_property
    def _listing(self) -> tuple[dict[str, tuple[str, int | None]], tuple[Unreadable, ...]]:
        treeish = f"{self.commit}:{self.folder}" if self.folder else self.commit
        blobs: dict[str, tuple[str, int | None]] = {}
        problems: list[Unreadable] = []
        for entry in self.git.run("ls-tree", "-r", "-l", "-z", "--full-tree", treeish).split("\0"):
            if not entry:
                continue
            facts, path = entry.split("\t", 1)
            mode, _, digest, size = facts.split()
            if mode in _PASSED_OVER:
                problems.append(Unreadable(path=path, reason=_PASSED_OVER[mode]))
            else:
                blobs[path] = digest, int(size) if size.isdigit() else None
        return dict(sorted(blobs.items())), tuple(problems)

    def paths(self) -> tuple[str, ...]:
        """Every regular file below the folder, sorted."""
        return tuple(self._listing[0])

    def size(self, path: str) -> int:
        """Size in bytes."""
        size = self._listing[0][path][1]
        if size is None:
            raise SubmissionError(path, _NOT_HELD)
        return size

    def read(self, path: str) -> bytes:
        """A file's bytes, bounded."""
        check_size(path, self.size(path))
        return self.git.blob(self._listing[0][path][0], path)

    def problems(self) -> tuple[Unreadable, ...]:
        """What was passed over."""
        return self._listing[1]
