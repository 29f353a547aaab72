"""What one run of a submission established: frozen plain data for rules, reports and tables.

`submission.run` is None where no run was asked for. A run that did not reach its end says why in `failure` and establishes
nothing; then every question of a rule is answered by silence. `comparisons` hold what the probes found, empty where none
ran; each names its probe.

All positions count in the toy validation stream, all times are those of the machine at hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from auditor.finding import Location
from auditor.run.comparison import Comparison
from auditor.run.judge import Coverage
from auditor.run.overrides import Override
from auditor.timeline import Timeline


class Via(StrEnum):
    """What carried the influence of a token to its own score."""

    PARAMETERS = "parameters"  # of a model or adapter
    FREE_TENSOR = "a free tensor"  # no parameter: a delta, a bias
    UNKNOWN = "numbers"  # no optimizer stepped in between


@dataclass(frozen=True, slots=True, kw_only=True)
class Offence:
    """Positions of one line that were scored with numbers which gradients of their own losses had changed before.

    `first` is the first of them in the order of scoring, `how` and `place` the last update before that score. `again`:
    their first score was counted in another reported line, in the very pass that then trained on them. `beneath`: that
    update was one of parameters, and a free tensor, which an offence of its own tells of, was fitted to them afterwards.
    """

    num_positions: int
    first: int
    via: Via
    how: str
    place: Location | None
    again: bool
    beneath: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Positions that were first trained on together: `first` to `last`, of which `num_positions` are meant.

    `num_scored_before` of them were scored, and counted in the line, before the first gradient that used them; of these,
    `num_unordered` by one rank while another trained on them, with no collective between: in which order is unknown, but
    nothing of it can have come before the score. `with_gradient` says whether autograd was on while they were scored.
    `num_updates` backward passes used them in this turn. `scored_at` (the latest) and `trained_at` (the first) are event
    numbers of the run.
    """

    first: int
    last: int
    num_positions: int
    num_scored_before: int
    num_unordered: int = 0
    with_gradient: bool
    num_updates: int
    scored_at: int | None
    trained_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptNumbers:
    """Plain numbers that the script kept at `place`, added up, appended or stored, and that are a printed score.

    They give it to its last digit, one for each of `num_numbers` `unit` (tokens or bytes) of the stream; `is_ordered`: a
    variable there held these in turn.
    """

    place: Location | None
    unit: str
    num_numbers: int
    is_ordered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """One score that the run printed as a result.

    `coverage` is None where the recorded losses do not add up to what was printed (`is_reconciled` is False): then nothing
    is claimed about it, but `byte_ratio`, which is what its printed val_bpb was divided by over our own count of bytes
    where the printed loss alone could be followed. `is_headline`: it carries the label of the submitted number. `chunks`
    are those of a score-first adaptation, in order. `num_free_fits`: steps that changed a free tensor while this line was
    scored. `num_unordered`: positions that one rank scored while another trained on them, with no collective between: in
    which order is unknown, but nothing of it had reached the score. `kept`: of a line that is not
    reconciled, the plain numbers that it was added up from. `repeats` is the index of the first line that is made of the
    same losses (printed twice, with more digits), if there is one.
    """

    label: str
    text: str
    at: int
    val_bpb: float
    is_headline: bool
    is_reconciled: bool
    recomputed_bpb: float | None = None
    num_bytes: int | None = None
    byte_ratio: float | None = None
    coverage: Coverage | None = None
    offences: tuple[Offence, ...] = ()
    num_early_bos: int = 0
    num_left: int = 0
    with_gradient: bool = False
    chunks: tuple[Chunk, ...] = ()
    num_free_fits: int = 0
    num_unordered: int = 0
    kept: KeptNumbers | None = None
    repeats: int | None = None

    @property
    def num_early(self) -> int:
        """Positions that were trained on before they were scored."""
        return sum(each.num_positions for each in self.offences if not each.beneath)

    @property
    def is_score_first(self) -> bool:
        """Was it scored chunk by chunk, each before the training that used it?"""
        return bool(self.chunks) and not self.offences and all(c.num_scored_before == c.num_positions for c in self.chunks)


@dataclass(frozen=True, slots=True, kw_only=True)
class RankFacts:
    """What one of several ranks did: how many positions, and which (half-open ranges, the narrowest gaps closed).

    `scored` are those whose loss went into a reported score.
    """

    rank: int
    num_scored: int
    scored: tuple[tuple[int, int], ...]
    num_trained: int
    trained: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Something outside that the script reached for: `what`, and whether a reported score was computed before."""

    what: str
    after_scoring: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What a run of the shipped script at toy scale showed.

    `needed` says what would let a run that failed reach its end. `num_located` losses of validation tokens were seen, and
    `num_unlocated` targets of unknown origin. `left_out` are files of the submission whose content was not there.
    `training_reads` are training shards that were opened after the first loss behind the last reported line; `connections`
    are attempts to use the network. `num_discarded` positions had gradients before their first counted score, but nothing
    of them reached a score. `ranks` are the processes, empty where there was one; `num_collectives` put them in order.
    """

    script: str | None
    failure: str | None
    needed: str | None = None
    overrides: tuple[Override, ...] = ()
    isolation: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    rewritten: bool = False
    left_out: tuple[str, ...] = ()
    num_positions: int = 0
    num_located: int = 0
    num_unlocated: int = 0
    lines: tuple[RunLine, ...] = ()
    num_trained_validation: int = 0
    num_trained_unlocated: int = 0
    num_discarded: int = 0
    training_reads: tuple[str, ...] = ()
    connections: tuple[Reach, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    timeline: Timeline | None = None
    ranks: tuple[RankFacts, ...] = ()
    num_collectives: int = 0

    @property
    def headline(self) -> RunLine | None:
        """The last line that carries the submitted number's label."""
        return next((line for line in reversed(self.lines) if line.is_headline), None)
