"""What rules ask of a run, each question as a function that `confront` is handed.

A question is about reported lines that could be made of recorded losses; where one could not, the answer is silence. What a
run at toy scale cannot show stands in the words of the answer and in ``docs/running.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from auditor.events import Update, UpdateKind
from auditor.rule import Status
from auditor.run.comparison import Comparison
from auditor.run.facts import Offence, RunFacts, RunLine, Via
from auditor.submission.submission import Submission
from rules.confront import SILENT, Answer, Observed

_MAX_LABELS = 3
_WINDOW = 256  # tokens: the sequence length of a run
_PARTIAL = 0.9  # of the stream: windows and chunks of a toy stream leave less than a tenth
_SAME_BYTES = 1e-3  # relative: other than by the last digit
_FEW_BYTES = 0.01  # relative: what is counted for each document is more in the short ones of a toy stream than in real ones


def trained_before_score(submission: Submission, run: RunFacts) -> Answer:
    """Were positions scored with parameters that their own gradients had changed?"""
    return _influenced(run, lambda offence: not _is_free(submission, offence) and not offence.again)


def fitted_before_score(submission: Submission, run: RunFacts) -> Answer:
    """Were positions scored with a free tensor that their own gradients had changed?"""
    return _influenced(run, lambda offence: _is_free(submission, offence) and not offence.again)


def scored_again(submission: Submission, run: RunFacts) -> Answer:
    """Were positions scored again by what a pass had left that had scored and reported them?

    As for the source, this matters only where it reaches the submitted number.
    """
    answer = _influenced(run, lambda offence: offence.again)
    if not answer.observed and (early := _reached_early(submission, run, lambda offence: True)):
        return Answer(observed=early, only_confirms=True)  # whether there was a first score, the source tells
    if not answer.observed:  # tables leave no gradients: only the probe speaks for them
        return answer if answer.doubts else SILENT
    is_aside = run.headline is not None and not any(line.is_headline for each in answer.observed for line in each.lines)
    status = Status.NOTE if is_aside else None
    return Answer(observed=tuple(replace(each, status=status) for each in answer.observed))


def fitted_to_context(submission: Submission, run: RunFacts) -> Answer:
    """Did a free tensor change while a line was scored, though never by the tokens that it then scored?

    That is a delta learned on scored chunks as well as one fitted to a window's context: only the source tells them apart.
    """
    fitted = [line for line in _results(run) if line.num_free_fits and not line.offences]
    if fitted:
        steps = sum(line.num_free_fits for line in fitted)
        text = f"{steps:,} steps changed a free tensor while {_labels(fitted)} was scored, none by the tokens then scored"
        return Answer(observed=(Observed(text=text, lines=tuple(fitted)),), only_confirms=True)
    if not _all_followed(run) or any(line.num_free_fits for line in run.lines):
        return SILENT
    clean = "no free tensor was fitted while a reported score was computed"
    return Answer(clean=clean, whole=is_whole(run), doubts=_is_undisturbed(run))


def later_tokens_reach(submission: Submission, run: RunFacts) -> Answer:
    """Did replacing later tokens change earlier losses, other than through training that was seen anyway?"""
    observed = []
    for line in _results(run):
        changed = [each for each in _probed(run, line, "suffix") if each.num_changed]
        changed += [each for each in _probed(run, line, "target") if each.num_changed and each.is_own_distribution]
        if changed and not line.offences:
            status = Status.REVIEW if all(each.probe == "target" for each in changed) else None
            worst = max(changed, key=lambda each: each.num_changed)
            observed.append(Observed(text=_reaching(worst, line), lines=(line,), status=status))
    if observed:
        return Answer(observed=tuple(observed))
    if not is_whole(run):
        return SILENT
    cuts = len({each.cut for each in run.comparisons if each.probe == "suffix"})
    return Answer(clean=f"replacing all later tokens at {cuts} cuts left every earlier loss identical", whole=True)


def _reaching(found: Comparison, line: RunLine) -> str:
    if found.is_own_distribution:
        return f"another token is scored with another distribution ({found.num_changed} replaced tokens of `{line.label}`)"
    return (
        f"replacing the tokens after {found.cut:.0%} of the evaluation changed {found.num_changed:,} of "
        f"{found.num_compared:,} earlier losses of `{line.label}`, first at position {found.first_changed}"
    )


def trained_at_all(submission: Submission, run: RunFacts) -> Answer:
    """Did gradients of validation tokens go into the scored weights? Or did anything of later tokens reach earlier losses?

    The second is what calibration without gradients leaves, and so does a model that looks ahead: only the source tells.
    """
    if early := _reached_early(submission, run, lambda offence: offence.via is Via.PARAMETERS):
        return Answer(observed=early, only_confirms=True)
    if run.num_trained_validation or run.num_trained_unlocated or not _all_followed(run):
        return SILENT
    return Answer(clean="no gradient of a validation token was computed", doubts=False)


def training_data_late(submission: Submission, run: RunFacts) -> Answer:
    """Were training shards opened while the last reported score was computed?"""
    if run.training_reads:
        files = ", ".join(run.training_reads[:_MAX_LABELS])
        last = tuple(line for line in run.lines if line.is_reconciled)[-1:]
        text = f"training shards ({files}) were opened after the first loss of the last reported score"
        return Answer(observed=(Observed(text=text, lines=last),))
    headline = run.headline
    unpaid = _probed(run, headline, "artifact") if headline is not None else []
    if headline is not None and any(each.num_changed for each in unpaid):
        text = f"`{headline.label}` follows the training data, not only the files that the script wrote and read back"
        return Answer(observed=(Observed(text=text, lines=(headline,), status=Status.REVIEW),))
    if not _all_followed(run):
        return SILENT
    return Answer(clean="no training shard was opened after the first loss of the last reported score", doubts=False)


def reached_out(submission: Submission, run: RunFacts) -> Answer:
    """Did the script try to use the network? There is none, so what would have come is not known."""
    if run.connections:
        first = next((each for each in run.connections if each.after_scoring), run.connections[0])
        status = None if first.after_scoring else Status.REVIEW
        text = f"the script reached for the network ({first.what})"
        return Answer(observed=(Observed(text=text, lines=run.lines if first.after_scoring else (), status=status),))
    return Answer(clean="no connection was attempted, and no download tool was started", doubts=False)


def bytes_counted(submission: Submission, run: RunFacts) -> Answer:
    """Were the printed bits per byte divided by other bytes than the text has?"""
    return _bytes(run, lambda ratio: abs(ratio - 1) > _SAME_BYTES)


def bytes_overcounted(submission: Submission, run: RunFacts) -> Answer:
    """Were the printed bits per byte divided by more bytes than the text has, by so many as there are spaces?"""
    answer, headline = _bytes(run, lambda ratio: ratio > 1 + _FEW_BYTES), run.headline
    if answer == SILENT and headline is not None and headline.byte_ratio is not None:
        return Answer(clean=f"the bytes of `{headline.label}` are not those of doubled spaces", doubts=False)
    return answer


def _bytes(run: RunFacts, is_wrong: Callable[[float], bool]) -> Answer:
    wrong = [line for line in _results(run) if line.byte_ratio is not None and is_wrong(line.byte_ratio)]
    if wrong:
        ratio = wrong[-1].byte_ratio or 1.0
        text = f"the val_bpb of {_labels(wrong)} was divided by {ratio:.4f} times the bytes that its tokens decode to"
        status = Status.REVIEW if abs(ratio - 1) < _FEW_BYTES else None
        return Answer(observed=(Observed(text=text, lines=tuple(wrong), status=status),))
    headline = run.headline
    if headline is None or not headline.is_reconciled:
        return SILENT
    return Answer(
        clean=f"the val_bpb of `{headline.label}` follows to its last digit from the recorded losses and the "
        f"{headline.num_bytes:,} bytes that the scored tokens decode to",
        whole=is_covered(run, headline),
        doubts=False,
    )


def part_scored(submission: Submission, run: RunFacts) -> Answer:
    """Does the submitted number's line count only a part of the stream? A limit beyond the toy stream is not seen."""
    headline = run.headline
    if headline is None or headline.coverage is None:
        return SILENT
    counted = headline.coverage.num_once + headline.coverage.num_repeated
    told = f"`{headline.label}` counts {counted:,} of {run.num_positions - 1:,} positions of the toy stream"
    if counted < _PARTIAL * run.num_positions:
        text = f"{told}; the first one that is missing is {headline.coverage.first_missing}"
        return Answer(observed=(Observed(text=text, lines=(headline,), status=Status.REVIEW),))
    return Answer(clean=f"{told}, each at least once", doubts=False)


def warmed_up(submission: Submission, run: RunFacts) -> Answer:
    """Did something stay in the score of what validation tokens were trained on before it?

    That any early training, not only a warm-up, does: only the source tells them apart.
    """
    if touched := _touched(run, lambda offence: True):
        return Answer(observed=(_observed(touched),), only_confirms=True)
    if not _all_followed(run):
        return SILENT
    clean = "no validation token was trained on before a score of its own"
    if run.num_discarded:
        clean = f"{run.num_discarded:,} positions were trained on before a score of theirs, which nothing of that reached"
    return Answer(clean=clean, whole=is_whole(run), doubts=_is_undisturbed(run))


def trained_in_epochs(submission: Submission, run: RunFacts) -> Answer:
    """Were positions scored after an epoch on them? That it is a later one of several, only the source tells."""
    answer = _influenced(run, lambda offence: True)
    return replace(answer, only_confirms=True)


def corrected_by_token(submission: Submission, run: RunFacts) -> Answer:
    """Does it depend on a token itself whether the loss that the model gave for it was corrected, or its distribution?

    A correction that favours a class of tokens and is normalised over it looks the same, so a person must look.
    """
    text = "whether the loss that the model gave was corrected depends on the very token in {} of {} replacements on {}"
    clean = "replacing single tokens decided neither whether their own losses were corrected nor their distributions"
    corrected = _by_probe(run, "target", Status.REVIEW, text, clean)
    return _either(corrected, _own_distribution(run))


def _own_distribution(run: RunFacts) -> Answer:
    """Is a token scored with another distribution if it is another token, though no loss before it changed?"""
    observed = []
    for line in _results(run):
        changed = [each for probe in ("suffix", "target") for each in _probed(run, line, probe) if each.num_changed]
        own = [each for each in changed if each.is_own_distribution]
        is_explained = bool(line.offences) or any(each not in own and each.probe == "suffix" for each in changed)
        if own and not is_explained:
            text = f"another token is scored with another distribution in {len(own)} probes of `{line.label}`"
            observed.append(Observed(text=text, lines=(line,), status=Status.REVIEW))
    return Answer(observed=tuple(observed))


def corrected_by_lookup(submission: Submission, run: RunFacts) -> Answer:
    """As `corrected_by_token`, where the source says that it is a table that was asked under the token.

    Tokens that share a key share their counts, so the answers add up to more than one, which the bound shows.
    """
    answer = _either(corrected_by_token(submission, run), cheaper_than_possible(submission, run))
    return replace(answer, only_confirms=True)


def _either(*answers: Answer) -> Answer:
    """What any of several questions observed; else what all of them that could be told saw in order."""
    if observed := tuple(each for answer in answers for each in answer.observed):
        return Answer(observed=observed)
    clean = "; ".join(answer.clean for answer in answers if answer.clean)
    return Answer(clean=clean, doubts=False) if clean else SILENT


def cheaper_than_possible(submission: Submission, run: RunFacts) -> Answer:
    """Is a stream of known random source coded in fewer nats than any normalised prediction from the past needs?

    Or do the probabilities add up to more than one, where the script makes them and takes a token's own from them?
    Training on the stream, or looking ahead in it, does the same and is told by other questions; these lines are left
    out.
    """
    bound = "a stream of known random source cost less than any normalised prediction can ({} of {} tokens) on {}"
    mass = "what a token's probability was taken from adds up to more than one at {} of {} positions of {}"
    return _either(
        _by_probe(run, "mass", None, mass, "what probabilities were taken from adds up to at most one"),
        _by_probe(run, "bound", None, bound, "a stream of known random source cost no less than it must"),
    )


def mixed_cheaply(submission: Submission, run: RunFacts) -> Answer:
    """As `cheaper_than_possible`, where the source says what kind of mixture it is."""
    return replace(cheaper_than_possible(submission, run), only_confirms=True)


def _by_probe(run: RunFacts, probe: str, status: Status | None, text: str, clean: str) -> Answer:
    """What a probe found on lines that nothing else explains; `text` takes two counts and a label.

    Which tokens a line counts that is not reconciled is not known, nor by which bytes, so a person must look.
    """
    observed, num_compared = [], 0
    for line in _results(run):
        is_explained = bool(line.offences) or any(each.num_changed for each in _probed(run, line, "suffix"))
        for each in _probed(run, line, probe):
            num_compared += each.num_compared
            if each.num_changed and not each.is_own_distribution and not is_explained:
                told = text.format(f"{each.num_changed:,}", f"{each.num_compared:,}", f"`{line.label}`")
                observed.append(Observed(text=told, lines=(line,), status=status if line.is_reconciled else Status.REVIEW))
    if observed:
        return Answer(observed=tuple(observed))
    return Answer(clean=clean, doubts=False) if num_compared and _all_followed(run) else SILENT


def is_whole(run: RunFacts) -> bool:
    """Was all that stands behind the submitted number looked at?

    Its line was made of recorded losses of every position but an incomplete last window, nothing of unknown origin was
    trained on, and the probe found earlier losses identical at every cut.
    """
    headline = run.headline
    if headline is None or run.num_trained_unlocated:
        return False
    return _is_steady(run, headline) and is_covered(run, headline)


def is_covered(run: RunFacts, line: RunLine) -> bool:
    """Does a line count every position, an incomplete last window aside?"""
    coverage = line.coverage
    if coverage is None:
        return False
    is_tail = coverage.first_missing is None or coverage.first_missing + coverage.num_missing == run.num_positions
    return is_tail and coverage.num_missing < _WINDOW


def _results(run: RunFacts) -> list[RunLine]:
    """Reported scores, each set of losses once; where one was printed twice, the headline's line or the first."""
    found: dict[int, RunLine] = {}
    for index, line in enumerate(run.lines):
        key = index if line.repeats is None else line.repeats
        if key not in found or line.is_headline:
            found[key] = line
    return list(found.values())


def _is_steady(run: RunFacts, line: RunLine) -> bool:
    """Did the probe find every earlier loss of a line identical, at every cut?"""
    probed = _probed(run, line, "suffix")
    return bool(probed) and all(each.problem is None and not each.num_changed for each in probed)


def _probed(run: RunFacts, line: RunLine, probe: str) -> list[Comparison]:
    return [each for each in run.comparisons if each.text == line.text and each.probe == probe]


def _is_undisturbed(run: RunFacts) -> bool:
    """Are all reported lines made of recorded losses, and did the probe find each of them steady?"""
    return _all_followed(run) and all(_is_steady(run, line) for line in _results(run))


def _all_followed(run: RunFacts) -> bool:
    return bool(run.lines) and all(line.is_reconciled for line in run.lines)


def _labels(lines: Sequence[RunLine]) -> str:
    """```a`, `b` and 2 more```."""
    names = list(dict.fromkeys(f"`{line.label}`" for line in lines))
    rest = f" and {len(names) - _MAX_LABELS} more" if len(names) > _MAX_LABELS else ""
    return ", ".join(names[:_MAX_LABELS]) + rest


def _is_free(submission: Submission, offence: Offence) -> bool:
    """Is what was changed no parameter of a model? The source knows more about it than the run, where it read the line."""
    flow, place = submission.flow, offence.place
    updates = [e for e in flow.submitted.events if isinstance(e, Update)] if flow is not None and place else []
    at_line = {update.kind for update in updates if place and update.location.place == place.place}
    in_function = {update.kind for update in updates if place and update.location.symbol == place.symbol}
    kinds = at_line or in_function  # a change by hand stands on another line than its gradients
    if len(kinds) == 1:
        return kinds == {UpdateKind.DELTA}
    return offence.via is Via.FREE_TENSOR


def _touched(run: RunFacts, concerns: Callable[[Offence], bool]) -> list[tuple[RunLine, Offence]]:
    """The offences that concern a question, each with the reported score that it touches."""
    return [(line, each) for line in _results(run) for each in line.offences if concerns(each)]


def _reached_early(submission: Submission, run: RunFacts, concerns: Callable[[Offence], bool]) -> tuple[Observed, ...]:
    """Positions that were trained on before they were scored, else losses that later tokens reach however it may be."""
    touched = _touched(run, concerns)
    return (_observed(touched),) if touched else later_tokens_reach(submission, run).observed


def _influenced(run: RunFacts, concerns: Callable[[Offence], bool]) -> Answer:
    """Positions that were trained on before they were scored, in a way that concerns the question."""
    if touched := _touched(run, concerns):
        return Answer(observed=(_observed(touched),))
    if not _all_followed(run) or any(line.offences for line in run.lines):
        return SILENT
    first = f"no position of {_labels(_results(run))} was trained on before it was scored"
    parts = [first, *map(_score_first, [line for line in _results(run) if line.is_score_first])]
    is_steady = _is_undisturbed(run)
    if is_steady:
        parts.append("replacing later tokens left every earlier loss identical")
    return Answer(clean="; ".join(parts), whole=is_whole(run), doubts=is_steady)


def _score_first(line: RunLine) -> str:
    mode = "with autograd on and its values fixed before the step" if line.with_gradient else "without autograd"
    return (
        f"`{line.label}` is test-time training in {len(line.chunks)} chunks, each scored {mode} before any gradient that "
        f"used it, and its bytes are the {line.num_bytes:,} that its tokens decode to"
    )


def _observed(touched: Sequence[tuple[RunLine, Offence]]) -> Observed:
    line, offence = max(touched, key=lambda pair: (pair[0].is_headline, pair[1].num_positions))
    coverage = line.coverage
    total = f" of {coverage.num_once + coverage.num_repeated:,}" if coverage else ""
    lines = tuple(dict.fromkeys(each for each, _ in touched))
    others = [each for each in lines if each.label != line.label]
    also = f" (also in {_labels(others)})" if others else ""
    text = (
        f"{offence.num_positions:,}{total} positions of `{line.label}` were scored with {offence.via} that their own "
        f"gradients had changed by {offence.how}, from position {offence.first} on{also}"
    )
    return Observed(text=text, lines=lines, location=offence.place)
