"""Pull requests and changes of a contest repository as submissions, read straight from git objects.

A pull request is what its head adds to the merge base with the default branch. For one that was merged, the head is part of
the default branch; the base then is taken from the merge commit that brought it in. When a pull request adds several
submission folders, one is its headline: folders that claim a number go before folders that do not, those with a training
script before those without; then the one that the newest commit touches, since branches are stacked on older submissions. A
log, a later date in the name and a better claim decide among equals. The report says which was taken and why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path

from auditor.report import Unreadable
from auditor.submission.entry import choose_entry
from auditor.submission.errors import SubmissionError
from auditor.submission.folders import find_submission_folders, folder_of, is_training_script
from auditor.submission.git import Git, GitTree
from auditor.submission.logs.reader import is_log_path
from auditor.submission.metadata import read_metadata
from auditor.submission.submission import Change, Submission
from auditor.submission.tree import FileTree

_DEFAULT_BRANCHES = ("refs/remotes/origin/main", "refs/heads/main", "refs/heads/master", "HEAD")
_PULL_REF = re.compile(r"refs/(?:remotes/[^/]+/)?(?:pull|pr)/(\d+)(?:/head)?$")
_KINDS = {"A": "added", "M": "modified", "D": "deleted", "T": "modified"}
_DATE = re.compile(r"20\d\d[-_]?\d\d[-_]?\d\d")


class RestrictedTree:
    """Only some files of another tree: what a change touches, where it adds no submission folder of its own."""

    def __init__(self, files: FileTree, paths: Sequence[str]) -> None:
        self.files = files
        self._paths = tuple(sorted(set(paths) & set(files.paths())))

    def paths(self) -> tuple[str, ...]:
        """The files, sorted."""
        return self._paths

    def size(self, path: str) -> int:
        """Size in bytes."""
        if path not in self._paths:
            raise KeyError(path)
        return self.files.size(path)

    def read(self, path: str) -> bytes:
        """A file's bytes, bounded."""
        return self.files.read(path)

    def problems(self) -> tuple[Unreadable, ...]:
        """What was passed over among the files."""
        return ()


class WithRootFiles:
    """A submission folder without a script or a log, and those that the same change puts at the repository's root.

    `names` are the root's files by the names that they have as seen from the folder.
    """

    def __init__(self, folder: FileTree, root: FileTree, names: Mapping[str, str]) -> None:
        self._folder = folder
        self._root = root
        self._names = names

    def paths(self) -> tuple[str, ...]:
        """The files, sorted."""
        return tuple(sorted((*self._folder.paths(), *self._names)))

    def size(self, path: str) -> int:
        """Size in bytes."""
        return self._root.size(self._names[path]) if path in self._names else self._folder.size(path)

    def read(self, path: str) -> bytes:
        """A file's bytes, bounded."""
        return self._root.read(self._names[path]) if path in self._names else self._folder.read(path)

    def problems(self) -> tuple[Unreadable, ...]:
        """What was passed over in the folder."""
        return self._folder.problems()


class Repository:
    """A clone, mirror or worktree of the contest repository."""

    def __init__(self, path: Path) -> None:
        self.git = Git(path)

    @cached_property
    def default_branch(self) -> str:
        """The commit that pull requests are held against."""
        commit = self.git.resolve(*_DEFAULT_BRANCHES)
        if commit is None:
            raise SubmissionError(str(self.git.path), "has no commit on a default branch")
        return commit

    @cached_property
    def _pull_refs(self) -> dict[int, str]:
        found: dict[int, str] = {}
        for line in self.git.run("for-each-ref", "--format=%(refname)").splitlines():
            if match := _PULL_REF.fullmatch(line):
                found.setdefault(int(match[1]), line)
        return found

    @cached_property
    def _merges(self) -> dict[str, str]:
        """For commits that a merge commit on the default branch brought in: the branch as it was before that merge."""
        merges: dict[str, str] = {}
        for line in self.git.run("log", "--first-parent", "--merges", "--format=%P", self.default_branch).splitlines():
            before, *merged = line.split()
            merges |= dict.fromkeys(merged, before)
        return merges

    def all_pull_requests(self) -> tuple[int, ...]:
        """Every pull request whose head the repository holds, in order."""
        return tuple(sorted(self._pull_refs))

    def pull_request(self, number: int, folder: str | None = None) -> Submission | Unreadable:
        """The headline submission of a pull request (or the one in `folder`), or why there is none."""
        ref = self._pull_refs.get(number)
        head = self.git.resolve(ref) if ref else None
        if head is None:
            broken = f": {ref} names no commit that is there" if ref else ""
            reason = f"{self.git.path} holds no head of pull request {number}{broken}"
            return Unreadable(path=f"#{number}", reason=reason, fatal=True)
        change = ChangeSet(self.git, self._base(head), head)
        if folder is not None:
            if folder not in change.folders:
                held = ", ".join(change.folders) or "none"
                return Unreadable(path=f"#{number}", reason=f"adds no folder {folder}; its folders: {held}", fatal=True)
            return change.submission(folder, None, "the folder named", pr=number)
        chosen = change.headline()
        if chosen is None:
            return Unreadable(path=f"#{number}", reason="adds no submission folder and no script", fatal=False)
        return change.submission(*chosen, pr=number)

    def against(self, base: str) -> ChangeSet:
        """What HEAD adds to its merge base with `base`. SubmissionError if one of them, or the merge base, is not held."""
        head, tip = self.git.resolve("HEAD"), self.git.resolve(base, f"refs/remotes/origin/{base}")
        if head is None or tip is None:
            missing = "HEAD" if head is None else base
            raise SubmissionError(str(self.git.path), f"no commit is called {missing}{self._shallow()}")
        try:
            start = self.git.run("merge-base", tip, head).strip()
        except SubmissionError as error:
            if told := self._shallow():
                reason = f"HEAD and {base} have no common commit{told}"
                raise SubmissionError(str(self.git.path), reason) from error
            start = _EMPTY_TREE  # unrelated histories: everything in the head is new
        return ChangeSet(self.git, start, head, trusted=tip)

    def staged(self) -> ChangeSet:
        """What a commit of the index would add to HEAD."""
        head = self.git.resolve("HEAD")
        return ChangeSet(self.git, head or _EMPTY_TREE, self.git.index_tree(), trusted=head)

    def uncommitted(self) -> tuple[str, ...]:
        """Paths of the work tree that differ from HEAD or are not tracked, sorted; told by size and time alone."""
        if self.git.run("rev-parse", "--is-inside-work-tree").strip() != "true":
            return ()
        edited = self.git.run("diff-index", "-z", "--name-only", "--no-relative", "HEAD")
        top = Git(Path(self.git.run("rev-parse", "--show-toplevel").removesuffix("\n")))
        untracked = top.run("ls-files", "-z", "--others", "--exclude-standard")
        return tuple(sorted({path for path in f"{edited}{untracked}".split("\0") if path}))

    def _shallow(self) -> str:
        """What to do about a shallow clone, in words; nothing where the clone is whole."""
        if self.git.run("rev-parse", "--is-shallow-repository").strip() != "true":
            return ""
        return (
            "; this clone is shallow and holds only the newest commits: run `git fetch --unshallow`, "
            "or check out with fetch-depth: 0"
        )

    def _base(self, head: str) -> str:
        base = self._merge_base(self.default_branch, head)
        if base != head:
            return base
        return self._merge_base(self._merges[head], head) if head in self._merges else f"{head}^"

    def _merge_base(self, one: str, other: str) -> str:
        try:
            return self.git.run("merge-base", one, other).strip()
        except SubmissionError:  # unrelated histories: everything in the head is new
            return _EMPTY_TREE


_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"  # git's own constant for the tree without entries


class ChangeSet:
    """What lies between two commits (or a commit and a tree to be committed), sorted by submission folder.

    `trusted` is the commit whose files the maintainers stand for: the tip that the change is made against.
    """

    def __init__(self, git: Git, base: str, head: str, trusted: str | None = None) -> None:
        self.git = git
        self.base = base
        self.head = head
        self.trusted = trusted

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """Every path that differs, in git's order; a rename is a deletion and an addition."""
        fields = self.git.run(
            "diff-tree", "-r", "-z", "--no-renames", "--no-relative", "--name-status", self.base, self.head
        ).split("\0")
        return tuple(_changes(iter(fields)))

    @cached_property
    def folders(self) -> tuple[str, ...]:
        """Submission folders that the change adds files to or modifies, sorted."""
        touched = [change.path for change in self.changes if change.kind != "deleted"]
        parents = sorted({path.rsplit("/", 1)[0] for path in touched if "/" in path})
        here = [path for path in self._listed(parents) if path.startswith("records/")] if parents else []
        folders = find_submission_folders([*here, *(path for path in touched if "/" in path)])
        return tuple(
            folder for folder in folders if folder and any(folder_of(path, (folder,)) is not None for path in touched)
        )

    @cached_property
    def reduced(self) -> tuple[str, ...]:
        """Submission folders that only lose files, and are still there."""
        lost = self._deleted
        folders = find_submission_folders(self._listed([path.rsplit("/", 1)[0] for path in lost]))
        return tuple(f for f in folders if f not in self.folders and any(folder_of(path, (f,)) for path in lost))

    @cached_property
    def removed(self) -> tuple[str, ...]:
        """Submission folders below records/ that are there no more."""
        lost = find_submission_folders(path for path in self._deleted if path.startswith("records/"))
        left = tuple(self._listed(lost))
        return tuple(folder for folder in lost if not any(path.startswith(f"{folder}/") for path in left))

    @property
    def _deleted(self) -> list[str]:
        return [change.path for change in self.changes if change.kind == "deleted"]

    def _listed(self, folders: Sequence[str]) -> Iterator[str]:
        tops = sorted({"/".join(folder.split("/")[:3]) for folder in folders if folder.startswith("records/")})
        for top in tops:
            tree = self.git.run("ls-tree", "-r", "-z", "--name-only", "--full-tree", self.head, f"{top}/")
            yield from (path for path in tree.split("\0") if path)

    def submissions(self) -> Iterator[Submission]:
        """Every submission that the change adds to, modifies or takes files from."""
        for folder in sorted((*self.folders, *self.reduced)):
            num_touched = sum(change.path.startswith(f"{folder}/") for change in self.changes)
            yield self.submission(folder, None, f"the change touches {num_touched} of its files")

    def read_trusted(self, path: str) -> bytes | None:
        """A file of the whole repository as the tip has it that the change is made against; None if it holds none."""
        if self.trusted is None:
            return None
        root = GitTree(self.git, self.trusted, "")
        return root.read(path) if path in root.paths() else None

    def path_inside(self, path: Path) -> str | None:
        """`path` relative to the repository's work tree; None if it lies outside, or if there is no work tree."""
        git_dir = Path(self.git.run("rev-parse", "--absolute-git-dir").removesuffix("\n"))
        if self.git.run("rev-parse", "--is-inside-work-tree").strip() == "true":
            top = Path(self.git.run("rev-parse", "--show-toplevel").removesuffix("\n"))
        elif git_dir.name == ".git":
            top = git_dir.parent
        else:
            return None
        resolved = path.resolve()
        return resolved.relative_to(top.resolve()).as_posix() if resolved.is_relative_to(top.resolve()) else None

    def headline(self) -> tuple[str, str | None, str] | None:
        """The folder (or root script) that the change is about, and why; None if there is nothing to audit."""
        if len(self.folders) == 1:
            return self.folders[0], None, "the only submission folder that the change touches"
        if self.folders:
            ranked = sorted(self.folders, key=self._rank, reverse=True)
            return ranked[0], None, f"of {len(ranked)} submission folders {self._reason(ranked[0])}"
        entry = self._root_script()
        if entry:
            return "", entry, "the change touches no submission folder, only this script at the repository's root"
        return None

    def _root_script(self) -> str | None:
        """The script that the change adds or modifies at the repository's root, training scripts first."""
        scripts = [c.path for c in self.changes if c.kind != "deleted" and c.path.endswith(".py") and "/" not in c.path]
        scripts = [path for path in scripts if path.startswith("train")] or scripts
        return min(scripts, key=lambda path: (path != "train_gpt.py", path), default=None)

    def _root_logs(self) -> tuple[str, ...]:
        """The logs that the change puts at the root or in its ``logs`` folder, as the reference script does.

        None where the change touches several submission folders: they may be of any of them.
        """
        if len(self.folders) > 1:
            return ()
        touched = (change.path for change in self.changes if change.kind != "deleted")
        return tuple(path for path in touched if "/" not in path.removeprefix("logs/") and is_log_path(path))

    def _rank(self, folder: str) -> tuple[bool, bool, bool, bool, int, bool, str, float, str]:
        tree = GitTree(self.git, self.head, folder)
        added = any(c.kind != "modified" for c in self.changes if c.path.startswith(f"{folder}/"))
        claim = _claimed_number(tree)
        match = _DATE.search(folder)
        day = re.sub(r"[-_]", "", match.group()) if match else ""
        return (
            added,
            claim is not None,
            any(is_training_script(path) for path in tree.paths()),
            "submission.json" in tree.paths(),
            -self._age(folder),
            any(is_log_path(path) for path in tree.paths()),
            day,
            -(claim or 0.0),
            folder,
        )

    def _age(self, folder: str) -> int:
        for age, paths in enumerate(self._history):
            if any(path.startswith(f"{folder}/") for path in paths):
                return age
        return len(self._history)

    @cached_property
    def _history(self) -> tuple[tuple[str, ...], ...]:
        """Paths touched by each commit of the change, newest first."""
        if self.base == _EMPTY_TREE:
            return ()
        log = self.git.run("log", "-z", "--no-renames", "--name-only", "--format=%x01", f"{self.base}..{self.head}")
        return tuple(tuple(commit.strip("\n\0").split("\0")) for commit in log.split("\x01")[1:])

    def _reason(self, folder: str) -> str:
        if _claimed_number(GitTree(self.git, self.head, folder)) is not None:
            return "the one with a numeric claim that the newest commit touches"
        return "the one that the newest commit touches; none claims a number"

    def submission(self, folder: str, entry: str | None, because: str, pr: int | None = None) -> Submission:
        """The submission in a folder of the change's head; a root script comes with the files that the change touches."""
        files: FileTree = GitTree(self.git, self.head, folder)
        if not folder:
            files = RestrictedTree(files, [change.path for change in self.changes])
        else:
            up = "../" * (folder.count("/") + 1)
            script = self._root_script() if choose_entry(files.paths())[0] is None else None
            logs = () if any(is_log_path(path) for path in files.paths()) else self._root_logs()
            if script:
                entry = f"{up}{script}"
                because += f"; its script is the {script} that the change puts at the repository's root"
            if logs:
                because += f"; its {len(logs)} logs are those that the change puts at the repository's root"
            if added := [path for path in (script, *logs) if path]:
                files = WithRootFiles(files, GitTree(self.git, self.head, ""), {f"{up}{path}": path for path in added})
        commit = self.git.resolve(self.head)  # None for what is only staged
        return Submission(
            folder or ".",
            files,
            pr=pr,
            commit=commit,
            committed=self._day(commit) if commit else None,
            changes=self.changes,
            other_folders=tuple(other for other in self.folders if other != folder),
            chosen_because=because,
            entry=entry,
        )

    def _day(self, commit: str) -> date:
        return date.fromisoformat(self.git.run("log", "-1", "--no-patch", "--format=%cs", commit).strip())


def _changes(fields: Iterator[str]) -> Iterator[Change]:
    for status in fields:
        if not status:
            continue
        yield Change(path=next(fields), kind=_KINDS.get(status[0], "modified"))


def _claimed_number(files: FileTree) -> float | None:
    """The score that a folder's submission.json claims, None if it claims none or cannot be read."""
    metadata, _ = read_metadata(files)
    return metadata.val_bpb.value if metadata and metadata.val_bpb else None
