"""Score provenance: which log line carries the submitted val_bpb, and what in the shipped script can print it."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.finding import Location
from auditor.source.prints import PrintSite
from auditor.submission.logs.model import Log, Metric
from auditor.submission.metadata import Metadata
from auditor.submission.readme import Readme
from auditor.submission.script import Script


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierLine:
    """A log line that carries the submitted number, or one seed's share of it.

    `printable`: can a print site of the shipped script produce this line? None when that could not be told.
    `print_site` is that site, `evaluation` the call that computes the value printed there.
    """

    metric: Metric
    seed: int | None
    val_bpb: float
    printable: bool | None
    print_site: Location | None = None
    evaluation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """Where the submitted number comes from.

    `kind`: ``single`` (one line), ``mean`` (mean over the seeds in `lines`), ``best`` (the best of several seeds although
    more were run), ``none`` (no numeric claim), ``unlocated`` (no log line carries it), ``no-log``. `explanation` is
    one sentence that a maintainer can verify.
    """

    val_bpb: float | None
    claimed_in: str | None
    kind: str
    lines: tuple[CarrierLine, ...]
    explanation: str


def trace_headline(
    metadata: Metadata | None,
    readme: Readme | None,
    logs: tuple[Log, ...],
    script: Script | None,
    print_sites: tuple[PrintSite, ...],
) -> Headline:
    """Follow the submitted val_bpb from where it is claimed to the log lines that carry it and the code that prints it."""
    return Headline(val_bpb=None, claimed_in=None, kind="none", lines=(), explanation="no headline was looked for")
