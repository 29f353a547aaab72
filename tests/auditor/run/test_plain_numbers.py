"""Real processes: scores that small models of our own compute in plain Python, followed and probed."""

from functools import cache

import pytest

pytest.importorskip("torch")
pytest.importorskip("sentencepiece")

from auditor.run.judge import judge
from auditor.run.probes import probe
from tests.auditor.run import endings

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def ran(opened):
    @cache
    def run(ending):
        outcome = opened(ending).run()
        assert outcome.failure is None, outcome.log
        return judge(outcome, opened(ending).world)

    return run


def probed(opened, ran, ending, kind):
    judgement = ran(ending)
    (found,) = probe(opened(ending), judgement.trace, judgement.lines, judgement.results[-1], [kind], [0.5])
    assert found.text == judgement.results[-1].metric.text
    return found


@pytest.mark.parametrize(("ending", "unit"), [(endings.PPM_LEGAL, "tokens"), (endings.PPM_OF_BYTES, "bytes")])
def test_a_mixer_that_predicts_before_it_counts_is_followed_and_found_steady(opened, ran, ending, unit):
    series = ran(ending).results[-1].series
    assert (series.unit, series.is_ordered) == (unit, True)
    found = probed(opened, ran, ending, "suffix")
    assert (found.problem, found.num_changed) == (None, 0)
    assert found.num_compared > 4000
    assert probed(opened, ran, ending, "bound").num_changed == 0


def test_counts_of_the_whole_stream_reach_every_earlier_number(opened, ran):
    found = probed(opened, ran, endings.PPM_OF_THE_WHOLE_STREAM, "suffix")
    assert found.num_changed > 0.9 * found.num_compared
    assert found.first_changed == 1


def test_a_token_that_is_counted_before_it_is_predicted_costs_less_than_it_can(opened, ran):
    assert probed(opened, ran, endings.PPM_THAT_COUNTS_FIRST, "suffix").num_changed == 0  # it looks no further than itself
    assert probed(opened, ran, endings.PPM_THAT_COUNTS_FIRST, "bound").num_changed > 0


def test_a_mixer_with_an_order_of_its_own_is_not_compared(opened, ran):
    found = probed(opened, ran, endings.PPM_BY_DOCUMENT, "suffix")
    assert found.num_changed == 0
    assert "not known" in found.problem


def test_a_script_computes_what_it_computes_unwatched(opened):
    outcome = opened(endings.WRITTEN_IN_MANY_WAYS).run()
    assert outcome.failure is None, outcome.log
    assert "inside [0.25]" in outcome.log
    expected = "values [0.5, 2.0, 1.5, 2.5, 3.5] 2.5 {'a': 1.5} ab (1, 2) 2.0 [[1.5, 1.5], [0.5, 0.5]] [3.0, 1.0]"
    assert expected in outcome.log
    assert opened(endings.WRITTEN_IN_MANY_WAYS).run(record=False).log == outcome.log
