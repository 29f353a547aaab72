"""The effective configuration: the value that each switch had in the submitted run, and where that value comes from.

A default is not the configuration. The script's configuration code is evaluated symbolically (`config.statements`) in the
environment that the sources give it: what the headline's run printed about itself decides, then what the script sets
itself, then the README's or run script's command, then the prelude of a packed script's wrapper, then what the README
names elsewhere, then the defaults. Sources that disagree are listed. The machine of a record is the contest's, 8 GPUs, even
where its log is from one; outside the record track it is the one that was used. Everything is seen from rank 0.

What a branch printed, or did not, is evidence of its own: `Configuration.printed`. Everything that cannot be told is None.
Not covered: values that depend on data or on measurements, configuration files in other formats, shells' own logic.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from auditor.finding import Confidence, Location
from auditor.headline import Headline
from auditor.source.config.arguments import COMMAND_LINE
from auditor.source.config.captures import gather_printed, lines_of
from auditor.source.config.commands import arguments_of, choose_command, find_mentions, variables_of
from auditor.source.config.environment import LAUNCHED, Environment, Origin
from auditor.source.config.expressions import Failure
from auditor.source.config.inference import Implied, LabelInference
from auditor.source.config.labels import PrintedLines
from auditor.source.config.lazy import LazyEvaluator, Reads, find_reads
from auditor.source.config.library import NUM_GPUS
from auditor.source.config.logged import Logged, Shown, gather_settings
from auditor.source.config.statements import Interpreter
from auditor.source.config.values import Value, is_plain
from auditor.source.prints import PrintSite
from auditor.source.scopes import Scope, Scopes
from auditor.submission.logs.model import Log, Run
from auditor.submission.readme import Readme, RunCommand
from auditor.submission.script import Script

__all__ = ["Configuration", "Disagreement", "Failure", "Origin", "Resolved", "resolve_configuration"]

_EXACT = 6  # ours: decimals from which two runs do not print the same score by chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A value and where it comes from: `location` is the log line, the command, or the place in the script."""

    value: object
    origin: Origin
    location: Location | None
    confidence: Confidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """Two sources give a switch different values; `chosen` is the one that counts."""

    name: str
    chosen: Resolved
    other: Resolved


@dataclass(eq=False)
class Configuration:
    """Answers what a switch was. `command` is the run command taken, `runs` the runs whose logs were asked."""

    command: RunCommand | None
    runs: tuple[Run, ...]
    disagreements: tuple[Disagreement, ...]
    _interpreter: Interpreter
    _lazy: LazyEvaluator
    _printed: PrintedLines
    _attributes: dict[str, list[tuple[str, Value]]] = field(default_factory=dict)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Operations of the configuration code that raise in this configuration (``int('False')``)."""
        return tuple(self._interpreter.failures.values())

    def environment(self, name: str) -> Resolved | None:
        """The text that the script sees in a variable; None if it is unset without a default, or cannot be told."""
        environment = self._interpreter.environment
        variable = environment.variables.get(name)
        if variable is not None:
            known = isinstance(variable.text, str)
            return self._made(variable.text, variable.origin, variable.location) if known else None
        default, location = environment.defaults.get(name, (None, None))
        if default is None or default.data is None or not is_plain(default.data):
            return None
        origin, place = environment.origin_of(default.reads)
        return self._made(default.data, origin, place or location)

    @property
    def unread(self) -> tuple[str, ...]:
        """Variables that the command sets, or the README names, and that nothing in the script reads."""
        environment = self._interpreter.environment
        given = (Origin.COMMAND, Origin.README, Origin.PRELUDE)
        named = (name for name, variable in environment.variables.items() if variable.origin in given)
        known = (*environment.defaults, *environment.asked, *LAUNCHED)
        return tuple(name for name in named if name not in known)

    @property
    def scopes(self) -> Scopes:
        """The functions whose expressions `evaluate` takes."""
        return self._lazy.scopes

    def names(self) -> tuple[str, ...]:
        """Every environment variable that the script reads or that a source sets."""
        return tuple(name for name in self._interpreter.environment.names() if not name.startswith("log "))

    def knows(self, name: str) -> bool:
        """Does the script configure itself by this name: a variable that it reads, an attribute, an argument, a global?"""
        return name.lower() in self._known

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(name.lower() for name in (*self._attributes, *self._interpreter.environment.defaults))

    def attribute(self, owner: str | None, name: str) -> Resolved | None:
        """The value of ``owner.name`` (a hyper-parameter, a dataclass field, a parsed argument) or of a global `name`.

        `owner` is the expression before the dot as written (``args``, ``h``, ``config.eval``); it decides only where
        objects that hold the name differ. What a single method sets ``self.name`` to counts as well. None if nothing
        holds the name, or if the value cannot be told.
        """
        found = self._attributes.get(name, [])
        if owner and not _agree(found):
            last = owner.rpartition(".")[2].lower()
            found = [
                (holder, value) for holder, value in found if last in holder.lower() or holder.lower() in last
            ] or found
        if not found:
            own = self._lazy.own_attribute(name)
            return self._resolved(own) if own is not None else None
        return self._resolved(found[0][1]) if _agree(found) else None

    def evaluate(self, node: ast.expr, scope: Scope, local: Callable[[str], object] | None = None) -> Resolved | None:
        """The value of any expression in a function or module of the script.

        Names are looked up through `local` first where it is given (it returns a constant, or raises KeyError), then among
        the bindings of the function if there is only one, then globally. None if the value cannot be told.
        """
        return self._resolved(self._lazy.value_of(node, scope, local))

    def printed(self, path: str, first_line: int, last_line: int) -> bool | None:
        """Did the headline's runs print anything from the print sites in these lines of the script?

        `path` is the source path of findings (``train_gpt.py!decoded``). True: a line that nothing else prints. False: a
        site there that prints whenever its lines are reached left none, in a log that goes on beyond. None: not told.
        """
        return self._printed.printed(path, first_line, last_line)

    def _resolved(self, value: Value) -> Resolved | None:
        if not is_plain(value.data):
            return None
        if COMMAND_LINE in value.reads and self.command is not None:
            return self._made(value.data, Origin.COMMAND, Location(path=self.command.path, line=self.command.line))
        origin, location = self._interpreter.environment.origin_of(value.reads)
        return self._made(value.data, origin, location or value.location)

    def _made(self, data: object, origin: Origin, location: Location | None) -> Resolved:
        told = self.command is not None or any(run.settings for run in self.runs)
        sure = origin in (Origin.LOG, Origin.SCRIPT, Origin.COMMAND, Origin.PRELUDE) or (origin is Origin.DEFAULT and told)
        confidence = Confidence.HIGH if sure else Confidence.MEDIUM
        return Resolved(value=data, origin=origin, location=location, confidence=confidence)


def resolve_configuration(
    script: Script | None,
    scopes: Scopes,
    logs: Sequence[Log],
    readme: Readme | None,
    headline: Headline,
    print_sites: Sequence[PrintSite],
    is_record: bool = True,
) -> Configuration:
    """Evaluate the script's configuration code in the environment of the submitted run.

    Once with what names and values the sources give, and again if the labels of the log contradict a switch.
    """
    runs = _runs_of(headline, logs)
    lines = lines_of(runs, logs)
    settings = gather_settings(runs) | gather_printed(print_sites, lines)
    sources = _Sources(
        script=script,
        scopes=scopes,
        readme=readme,
        runs=runs,
        settings=settings,
        command=choose_command(readme, script, settings) if script else None,
        reads=find_reads(scopes),
        printed=PrintedLines(lines, print_sites, scopes, _is_foreign(headline)),
        is_record=is_record,
    )
    configuration = sources.configuration(())
    implied = tuple(LabelInference(configuration._printed, configuration._lazy).contradictions())
    return sources.configuration(implied) if implied else configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sources:
    """Everything that tells about the configuration."""

    script: Script | None
    scopes: Scopes
    readme: Readme | None
    runs: tuple[Run, ...]
    settings: Mapping[str, Shown]
    command: RunCommand | None
    reads: Reads
    printed: PrintedLines
    is_record: bool

    @property
    def logged_world_size(self) -> int | None:
        """The number of GPUs that the log names."""
        return next((run.world_size for run in self.runs if run.world_size), None)

    def configuration(self, implied: Sequence[Implied]) -> Configuration:
        """The configuration, given what labels imply."""
        modules = self.script.modules if self.script else ()
        shown = {each.name.lower(): Shown(each.text, each.location) for each in implied if not each.is_variable}
        interpreter = Interpreter(
            self._environment(implied),
            sources={module.path: module for module in modules},
            logged=Logged({**self.settings, **shown}, self.logged_world_size),
            command_line=arguments_of(self.command),
        )
        for module in modules:
            interpreter.load(module)
        attributes = _attributes(interpreter)
        lazy = LazyEvaluator(interpreter, self.scopes, attributes)
        interpreter.find_attribute = lazy.attribute_of
        lazy.note_reads(self.reads)
        made = Configuration(self.command, self.runs, (), interpreter, lazy, self.printed, attributes)
        made.disagreements = tuple(_disagreements(made, interpreter))
        return made

    def _environment(self, implied: Sequence[Implied]) -> Environment:
        used = self.logged_world_size or (self.command.num_processes if self.command else None)
        environment = Environment(NUM_GPUS if self.is_record or not used else used)
        place = Location(path=self.command.path, line=self.command.line) if self.command else None
        if self.command is not None:
            environment.set_if_absent(Origin.COMMAND, variables_of(self.command), place)
        environment.launch(place)
        for layer in self.script.layers if self.script else ():
            location = Location(path=layer.outer_path, line=layer.outer_line)
            environment.set_if_absent(Origin.PRELUDE, layer.environment, location)
        for name, mention in find_mentions(self.readme, self.reads.names).items():
            location = Location(path=self.readme.path if self.readme else "", line=mention.line)
            environment.set_if_absent(Origin.README, {name: mention.value}, location)
        for each in implied:
            if each.is_variable:
                environment.infer(each.name, each.text, each.location)
        return environment


def _runs_of(headline: Headline, logs: Sequence[Log]) -> tuple[Run, ...]:
    """The runs that carry the headline, each in every log that was kept of it; every run if none does.

    A script's own log file and its console's text are two logs of one run, and each may show what the other lacks. They
    are told by the headline's line, which stands in both word for word with the same seed.
    """
    runs = [run for log in logs if log.duplicate_of is None for run in log.runs]
    places = {(line.metric.log, line.metric.run) for line in headline.lines}
    printed = {(line.metric.label, line.metric.val_bpb) for line in headline.lines if line.metric.num_decimals >= _EXACT}
    carrying = [run for run in runs if (run.log, run.index) in places]
    seeds = {run.seed for run in carrying}
    copies = [
        run
        for run in runs
        if (run.log, run.index) not in places
        and (run.seed is None or run.seed in seeds or seeds == {None})
        and any((metric.label, metric.val_bpb) in printed for metric in run.metrics)
    ]
    return tuple([*carrying, *copies] or runs)


def _is_foreign(headline: Headline) -> bool:
    """Was the headline's line printed by something else than the shipped script?"""
    return bool(headline.lines) and all(line.printable is False for line in headline.lines)


def _agree(found: Sequence[tuple[str, Value]]) -> bool:
    """Are all values that a name has the same?"""
    return len(found) < 2 or len({repr(value.data) for _, value in found}) == 1


def _attributes(interpreter: Interpreter) -> dict[str, list[tuple[str, Value]]]:
    """Every attribute and global by name, with the class (or module) that holds it."""
    found: dict[str, list[tuple[str, Value]]] = {}
    for holder, name, value in _held(interpreter):
        found.setdefault(name, []).append((holder, value))
    return found


def _held(interpreter: Interpreter) -> Iterator[tuple[str, str, Value]]:
    overlaid: set[tuple[str, str]] = set()
    for instance in interpreter.instances:
        for name, value in instance.attributes.items():
            holder = instance.of.name if instance.of else ""
            overlaid.add((holder, name))
            yield holder, name, value
    for made in interpreter.classes:
        for name, value in made.body.names.items():
            if not made.is_foreign and (made.name, name) not in overlaid:
                yield made.name, name, value
    for module in interpreter.modules.values():
        for name, value in module.names.items():
            if is_plain(value.data) and not name.startswith("__"):
                yield "", name, value


def _disagreements(configuration: Configuration, interpreter: Interpreter) -> Iterator[Disagreement]:
    for found in interpreter.logged.contradictions.values():
        chosen, other = (
            configuration._resolved(found.logged),
            configuration._made(found.computed.data, *found.computed_from),
        )
        if chosen is not None:
            yield Disagreement(name=found.name, chosen=chosen, other=other)
    for name, after, before in interpreter.environment.overridden:
        if isinstance(after.text, str) and isinstance(before.text, str) and after.origin is not Origin.LOG:
            chosen = configuration._made(after.text, after.origin, after.location)
            yield Disagreement(
                name=name, chosen=chosen, other=configuration._made(before.text, before.origin, before.location)
            )
