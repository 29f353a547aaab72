"""Lays fixture cases out as the submissions that they describe: marks stripped, generated files written.

A case is a folder ``fixtures/PG###_rule_name/{bad,good,hard,miss}_*/`` with a small submission and a ``case.toml``. The
expectation stands on the line that it is about, as an end-of-line mark ``# expect: PG201`` (``review`` or ``note`` after
the id for the lower severities, ``# expect-readme: ...`` for the readme ruleset). A mark is no part of the submission, so
a case must be laid out in a folder of its own before it can be audited. Bulk is described in ``[generate]``, not stored.

``case.toml``:

    why = "One sentence: what the case shows."
    path = "records/track_10min_16mb/2026-04-15_Name"   # in the repository; this is the default
    expect = ["PG201", "PG202 note"]                    # findings without a line
    expect_readme = [...]                               # the same under the readme ruleset
    outcome = "pass"                                    # what the rule comes to; default pass for good_ cases
    run_cannot_tell = "Why a run does not decide the case."   # see tools/run_fixtures.py
    [pull_request]
    changes = ["added records/...", "modified train_gpt.py"]
    [generate]
    "final_model.int8.ptz" = { bytes = 15_900_000 }     # so many zero bytes
    "train_gpt.py" = { pad_to = 48_000 }                # a text file of the case, padded with comment lines
    "train_gpt.py" = { pack = "readable.py.txt" }       # a self-extracting wrapper of a file of the case (not shipped);
                                                        # with pad_to as well, of a known size
    "train_gpt.py" = { append = "toy_base.py.txt" }     # a file of the case, followed by one of fixtures/shared: what
                                                        # stands in the case keeps its line numbers
    [record]                                            # how its log was made: see tools/record_fixtures.py

``python -m tools.lay_out_fixtures TARGET [CASE...]`` lays them out below TARGET. Not covered: git history; tests
that need a repository build their own.
"""

from __future__ import annotations

import argparse
import base64
import lzma
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
SHARED = FIXTURES / "shared"
KINDS = ("bad", "good", "hard", "miss")
DEFAULT_FOLDER = "records/track_10min_16mb/2026-04-15"

_MARK = re.compile(
    r"[ \t]*#[ ]expect(-readme)?:[ ](PG\d{3}(?:[ ](?:review|note))?(?:,[ ]PG\d{3}(?:[ ](?:review|note))?)*)[ \t]*$"
)
_SEVERITIES = {"": "error", "review": "warning", "note": "note"}


@dataclass(frozen=True, slots=True, order=True)
class Expected:
    """A finding that a case announces. `path` and `line` are None for a finding about the submission as a whole."""

    rule_id: str
    severity: str
    path: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One fixture case as described by its case.toml."""

    folder: Path
    why: str
    path: str
    expect: tuple[str, ...]
    expect_readme: tuple[str, ...]
    outcome: str | None
    changes: tuple[tuple[str, str], ...] | None
    generate: Mapping[str, Mapping[str, object]]
    record: Mapping[str, object] | None = None
    run_cannot_tell: str | None = None

    @property
    def rule_id(self) -> str:
        """The rule that the case belongs to."""
        return self.folder.parent.name.split("_", 1)[0]

    @property
    def kind(self) -> str:
        """bad, good, hard or miss."""
        return self.folder.name.split("_", 1)[0]

    @property
    def name(self) -> str:
        """The test id: ``PG201-bad_three_seeds``."""
        return f"{self.rule_id}-{self.folder.name}"


@dataclass(frozen=True, slots=True)
class LaidOut:
    """A case on disk: the submission's folder, and what is expected under each ruleset."""

    root: Path
    expected: frozenset[Expected]
    expected_readme: frozenset[Expected]


def find_cases(root: Path = FIXTURES) -> tuple[Case, ...]:
    """Every case below `root`, in path order. ValueError for a case.toml that says something unknown."""
    return tuple(load_case(path.parent) for path in sorted(root.glob("PG*/*/case.toml")))


def load_case(folder: Path) -> Case:
    """Read one case.toml. ValueError for an unknown key or kind, KeyError without `why`."""
    data = tomllib.loads((folder / "case.toml").read_text(encoding="utf-8"))
    known = {"why", "path", "expect", "expect_readme", "outcome", "run_cannot_tell", "pull_request", "generate", "record"}
    unknown = set(data) - known
    if unknown:
        raise ValueError(f"{folder}/case.toml: unknown keys {sorted(unknown)}")
    if folder.name.split("_", 1)[0] not in KINDS:
        raise ValueError(f"{folder}: a case is called {', '.join(f'{kind}_*' for kind in KINDS)}")
    changes = data.get("pull_request", {}).get("changes")
    return Case(
        folder=folder,
        why=data["why"],
        path=data.get("path", f"{DEFAULT_FOLDER}_{folder.name}"),
        expect=tuple(data.get("expect", ())),
        expect_readme=tuple(data.get("expect_readme", data.get("expect", ()))),
        outcome=data.get("outcome"),
        changes=None if changes is None else tuple(tuple(change.split(" ", 1)) for change in changes),
        generate=data.get("generate", {}),
        record=data.get("record"),
        run_cannot_tell=data.get("run_cannot_tell"),
    )


def lay_out(case: Case, target: Path) -> LaidOut:
    """Write the case's submission to `target` (created) and return what is expected of it."""
    marks: list[tuple[bool, Expected]] = []
    packed = {str(entry["pack"]): name for name, entry in case.generate.items() if "pack" in entry}
    for source in sorted(path for path in case.folder.rglob("*") if path.is_file() and path.name != "case.toml"):
        name = source.relative_to(case.folder).as_posix()
        content, found = strip_marks(f"{packed[name]}!decoded" if name in packed else name, source.read_bytes())
        marks += found
        if name not in packed:
            _write(target / name, content)
    for name, entry in case.generate.items():
        _generate(case, target, name, entry)
    return LaidOut(
        root=target,
        expected=frozenset(_from_toml(case.expect)) | {mark for readme, mark in marks if not readme},
        expected_readme=frozenset(_from_toml(case.expect_readme)) | _under_readme(marks),
    )


def strip_marks(name: str, content: bytes) -> tuple[bytes, list[tuple[bool, Expected]]]:
    """A file's content without its marks, and the marks as (for readme?, expectation) in line order."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return content, []
    marks: list[tuple[bool, Expected]] = []
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        while match := _MARK.search(line):
            line = line[: match.start()]
            marks += [(bool(match[1]), _expected(word, name, number)) for word in match[2].split(", ")]
        lines[number - 1] = line
    return "\n".join(lines).encode(), marks


def _under_readme(marks: Iterable[tuple[bool, Expected]]) -> set[Expected]:
    """A line's readme marks replace its other marks; a line without them is expected to read the same."""
    marks = list(marks)
    own = {(mark.path, mark.line) for readme, mark in marks if readme}
    return {mark for readme, mark in marks if readme or (mark.path, mark.line) not in own}


def _from_toml(words: Iterable[str]) -> set[Expected]:
    return {_expected(word, None, None) for word in words}


def _expected(word: str, path: str | None, line: int | None) -> Expected:
    rule_id, _, severity = word.partition(" ")
    if severity not in _SEVERITIES:
        raise ValueError(f"expectation {word!r}: severity is 'review', 'note' or nothing")
    return Expected(rule_id, _SEVERITIES[severity], path, line)


def _generate(case: Case, target: Path, name: str, entry: Mapping[str, object]) -> None:
    match entry:
        case {"bytes": int(size)}:
            _write(target / name, bytes(size))
        case {"pack": str(source), **rest}:
            content, _ = strip_marks(source, (case.folder / source).read_bytes())
            wrapper = _wrapper(content)
            size = rest.get("pad_to", len(wrapper))
            _write(target / name, _padded(case, wrapper, int(str(size))))
        case {"append": str(shared)}:
            _write(target / name, (target / name).read_bytes() + (SHARED / shared).read_bytes())
        case {"pad_to": int(size)}:
            _write(target / name, _padded(case, (target / name).read_bytes(), size))
        case _:
            raise ValueError(f"{case.name}: cannot generate {name} from {dict(entry)}")


def _wrapper(source: bytes) -> bytes:
    payload = base64.b85encode(lzma.compress(source)).decode()
    return f'import lzma as L,base64 as B\nexec(L.decompress(B.b85decode("{payload}")))\n'.encode()


def _padded(case: Case, content: bytes, size: int) -> bytes:
    """`content` followed by comment lines, `size` bytes in all."""
    missing = size - len(content)
    if missing < 0:
        raise ValueError(f"{case.name}: the file has {len(content)} bytes, more than {size}")
    lines, rest = divmod(missing, 80)
    return content + (b"#" * 79 + b"\n") * lines + (b"#" * (rest - 1) + b"\n" if rest else b"")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def main(argv: Sequence[str] | None = None) -> int:
    """Lay the named cases (all by default) out below a folder and print where they are."""
    parser = argparse.ArgumentParser(description="Lay fixture cases out as submissions that can be audited.")
    parser.add_argument("target", type=Path)
    parser.add_argument("cases", nargs="*", help="test ids such as PG201-bad_three_seeds; all by default")
    arguments = parser.parse_args(argv)
    for case in find_cases():
        if not arguments.cases or case.name in arguments.cases:
            print(lay_out(case, arguments.target / case.rule_id / case.folder.name / case.path).root)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
