"""Which version of the script printed a run: what the log says about the script, held against what is shipped.

Four independent marks: the size of its code that the run logged, the source that it printed, the lines that only some
script can print, and the hyper-parameters that it dumped. None of them needs to be there. What is not covered: two
versions of equal length that print the same lines (an edited default) cannot be told apart unless the log holds the source.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from auditor.source.prints import PrintSite, find_printer, find_printer_of, is_cut_off
from auditor.submission.logs.model import EmbeddedSource, LogFact, Run, Setting, Size, SizeKind
from auditor.submission.script import Script

_LEAST_SIMILARITY = 0.5  # ours: below, naming the nearest print site would mislead
_COUNTS_BYTES = re.compile(r"len\(\s*\w*(?:code|source|src)\w*\.encode\(|getsize\(|read_bytes\(|st_size")
_NAMES_THE_RUN = re.compile(r"seed|CUDA_VISIBLE_DEVICES", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSize:
    """The size in bytes that a run logged for its own code, and the shipped text that comes nearest.

    `shipped_as` says which text that is (``train_gpt.py``, ``train_gpt.py decoded``), `shipped_bytes` its size.
    """

    size: Size
    shipped_as: str
    shipped_bytes: int

    @property
    def difference_bytes(self) -> int:
        """Logged minus shipped."""
        return self.size.num_bytes - self.shipped_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedLines:
    """The distinct metric and size lines of a run (all numbers alike), and those that nothing shipped prints.

    `cut_off` are unprintable lines that are the beginning of a printable one: a log trimmed by hand. Only the lines from
    `first_line` to `last_line` were compared.
    """

    first_line: int
    last_line: int
    num_shapes: int
    unprintable: tuple[LogFact, ...]
    cut_off: tuple[LogFact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSizes:
    """Every size in bytes that code of the submission can be said to have, by name of the text; the plain size first.

    `own` are the texts of the script and of what it uses. `others` are further files and sums: a logged size may equal one
    of them, but that it is near to one means nothing.
    """

    own: Mapping[str, tuple[int, ...]]
    others: Mapping[str, tuple[int, ...]]

    def equal_to(self, num_bytes: float, slack_bytes: int = 0) -> str | None:
        """The name of the first text that has the size; None if none has."""
        named = (*self.own.items(), *self.others.items())
        return next((name for name, sizes in named if any(abs(num_bytes - size) <= slack_bytes for size in sizes)), None)

    def nearest_to(self, num_bytes: float) -> tuple[str, int]:
        """The name and size of the own text whose plain size is nearest."""
        name = min(self.own, key=lambda name: abs(num_bytes - self.own[name][0]))
        return name, self.own[name][0]


def code_sizes(script: Script, other_sizes: Mapping[str, int]) -> CodeSizes:
    """The sizes of the shipped code. `other_sizes` are further Python files of the submission, in bytes.

    A text also has a size with the other line ends and, unless the script is seen to count bytes, one in characters
    (``len(code)`` is logged as bytes).
    """
    in_bytes = any(_COUNTS_BYTES.search(module.source) for module in script.modules)
    sizes: dict[str, tuple[int, ...]] = {script.path: (script.num_bytes,)}
    for layer in script.layers:
        name = f"{layer.outer_path} decoded"
        sizes[name] = sizes.get(name, ()) + _lengths(layer.source, in_bytes)
    for module in script.modules:
        name = module.path if module.source_path == module.path else f"{module.path} decoded"
        sizes[name] = sizes.get(name, ()) + _lengths(module.source, in_bytes)
    if len(script.modules) > 1:
        siblings = sum(_num_bytes(module.source) for module in script.modules[1:])
        sizes[f"{script.path} with what it imports"] = (script.num_bytes + siblings,)
    return CodeSizes(own=sizes, others={path: (size,) for path, size in other_sizes.items() if path not in sizes})


def _lengths(source: str, in_bytes: bool) -> tuple[int, ...]:
    unix = source.replace("\r\n", "\n")
    sizes = [_num_bytes(source), _num_bytes(unix)] if in_bytes else [_num_bytes(source), _num_bytes(unix), len(unix)]
    return (*sizes, *(size + unix.count("\n") for size in sizes[1:]))


def _num_bytes(source: str) -> int:
    return len(source.encode("utf-8", "surrogateescape"))


def compare_code_size(run: Run, sizes: CodeSizes, sites: Sequence[PrintSite]) -> CodeSize | None:
    """The code size that `run` logged beside the shipped one it equals or is nearest to; None if it logged none.

    Where no code size is printed, totals that exceed their models by one and the same number tell it.
    A script may print the size of a wrapper that it makes of itself. Unless that wrapper is what is shipped, such a size
    tells nothing about the shipped text.
    """
    logged = run.size(SizeKind.CODE) or _code_in_totals(run)
    if logged is None:
        return None
    if same := sizes.equal_to(logged.num_bytes):
        return CodeSize(size=logged, shipped_as=same, shipped_bytes=logged.num_bytes)
    printable, site = find_printer(sites, logged.text)
    if printable and site is not None and site.compresses:
        return None
    nearest, num_bytes = sizes.nearest_to(logged.num_bytes)
    return CodeSize(size=logged, shipped_as=nearest, shipped_bytes=num_bytes)


def _code_in_totals(run: Run) -> Size | None:
    """The code size of a run that prints none: what its totals leave beside their models, if two or more leave the same."""
    exact = [size for size in run.sizes if size.resolution == 1]
    if any(size.kind in (SizeKind.CODE, SizeKind.CODE_COMPRESSED) for size in exact):
        return None
    pairs: dict[tuple[int, int], Size] = {}
    model = 0
    for size in exact:
        if size.kind in (SizeKind.MODEL, SizeKind.MODEL_RAW):
            model = size.num_bytes
        elif size.kind in (SizeKind.TOTAL, SizeKind.TOTAL_RAW) and model:
            pairs[model, size.num_bytes] = size
    left = {total - model for model, total in pairs}
    if len(pairs) < 2 or len(left) != 1 or min(left) <= 0:
        return None
    return replace(next(iter(pairs.values())), kind=SizeKind.CODE, label="total less model", num_bytes=left.pop())


def count_different_lines(embedded: EmbeddedSource, script: Script) -> int:
    """How many lines of the source that a run printed differ from the nearest shipped text.

    Blank lines, line ends and missing lines at the two ends do not count (logs start late and break off), nor do lines
    that name a seed or a device: they say which run it was, not what was run.
    """
    texts = [module.source for module in script.modules] + [layer.source for layer in script.layers]
    return min(_count_different(embedded.text, text) for text in texts)


def _code_lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip() and not _NAMES_THE_RUN.search(line)]


@lru_cache(maxsize=32)  # several questions about a run rest on it
def _count_different(printed_text: str, shipped_text: str) -> int:
    printed, shipped = _code_lines(printed_text), _code_lines(shipped_text)
    matcher = difflib.SequenceMatcher(None, printed, shipped, autojunk=False)
    blocks = [block for block in matcher.get_matching_blocks() if block.size]
    if not blocks:
        return max(len(printed), len(shipped))
    same = sum(block.size for block in blocks)
    covered = blocks[-1].b + blocks[-1].size - blocks[0].b
    return max(len(printed), covered) - same


def compare_lines(run: Run, lines: Sequence[str], sites: Sequence[PrintSite]) -> PrintedLines:
    """Which of the run's metric and size lines the sites can print; `lines` are those of the log.

    Only what stands between the first and the last line that the script printed counts: launchers and wrappers add theirs
    before and after. Where the script printed no line at all, every line counts.
    """
    sites = [site for site in sites if not site.quotes]
    first, last = _printed_span(run, lines, sites)
    shapes: dict[str, LogFact] = {}
    for fact in (*run.metrics, *run.sizes):
        if first <= fact.line <= last:
            shapes.setdefault(re.sub(r"\d+", "0", fact.text), fact)
    unprintable = [fact for fact in shapes.values() if find_printer_of(sites, fact, lines)[0] is False]
    cut_off = tuple(fact for fact in unprintable if is_cut_off(sites, fact.text))
    return PrintedLines(
        first_line=first,
        last_line=last,
        num_shapes=len(shapes),
        unprintable=tuple(fact for fact in unprintable if fact not in cut_off),
        cut_off=cut_off,
    )


def find_unknown_settings(
    run: Run, printed: PrintedLines, script: Script, sites: Sequence[PrintSite], knows: Callable[[str], bool]
) -> tuple[Setting, ...]:
    """The hyper-parameters that the run dumped and that no word of the script names; `printed` tells the script's lines.

    Only a dump of the configuration by the script itself tells: lines between those that the script surely printed,
    printed by one bare print of variables, at least half of whose names the configuration `knows`. Measured values are
    printed by such prints as well, under names that are put together at run time, but not among settings.
    """
    words = frozenset().union(*(_words_of(module.source) for module in script.modules))
    sites = [site for site in sites if not site.quotes]
    dumps: dict[PrintSite, list[Setting]] = {}
    for setting in (run.settings or {}).values():
        is_printable, site = find_printer(sites, setting.text)
        if site is not None and is_printable is None and printed.first_line < setting.line < printed.last_line:
            dumps.setdefault(site, []).append(setting)
    settings = [dump for dump in dumps.values() if 2 * sum(knows(setting.name) for setting in dump) >= len(dump)]
    return tuple(setting for dump in settings for setting in dump if setting.name.lower() not in words)


@lru_cache(maxsize=32)
def _words_of(source: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORD.findall(source))


def _printed_span(run: Run, lines: Sequence[str], sites: Sequence[PrintSite]) -> tuple[int, int]:
    """The first and the last line number of the run whose text some site surely printed; the whole run if none is."""
    telling = [site for site in sites if not site.opaque]
    numbers = range(run.first_line, min(run.last_line, len(lines)) + 1)
    first = next((number for number in numbers if find_printer(telling, lines[number - 1])[0]), None)
    if first is None:
        return run.first_line, run.last_line
    return first, next(number for number in reversed(numbers) if find_printer(telling, lines[number - 1])[0])


def find_nearest_site(sites: Iterable[PrintSite], line: str) -> PrintSite | None:
    """The site whose words are most like those of `line`, the spelling deciding between equals; None if none is similar."""
    words = _WORD.findall(line)
    best, nearest = (_LEAST_SIMILARITY, 0.0), None
    for site in sites:
        literal = _WORD.findall(" ".join(part for part in site.parts if isinstance(part, str)))
        similarity = _similarity(words, literal)
        if similarity < best[0]:
            continue
        both = similarity, _similarity(" ".join(words), " ".join(literal))
        if both > best:
            best, nearest = both, site
    return nearest


def _similarity(one: Sequence[str], other: Sequence[str]) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def find_missing_labels(sites: Iterable[PrintSite], lines: Sequence[str]) -> dict[str, PrintSite]:
    """The labels under which the script prints a val_bpb and that stand on no line, each with a site that prints it."""
    measured = (site for site in sites if not site.opaque and site.evaluation is not None and site.label)
    missing: dict[str, PrintSite] = {}
    for site in measured:
        if not any(site.label in line for line in lines):
            missing.setdefault(site.label, site)
    return missing
