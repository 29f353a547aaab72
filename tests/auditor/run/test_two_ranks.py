"""Two real processes that exchange over gloo: small scripts of our own, run, merged and judged."""

from functools import cache

import pytest

pytest.importorskip("torch")
pytest.importorskip("sentencepiece")

import cli
from auditor.commands.running import run_options
from auditor.run.facts import Via
from auditor.run.judge import judge
from auditor.run.lines import Lines
from auditor.run.probes import probe
from auditor.run.sequence import Sources
from tests.auditor.run import endings

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def ran(opened):
    @cache
    def run(ending, num_ranks=2):
        session = opened(ending, num_ranks)
        outcome = session.run()
        assert outcome.failure is None, outcome.log
        judgement = judge(outcome, session.world)
        return outcome, judgement, Lines(judgement, session.world.validation(), frozenset(), Sources("t.py", "t.py"))

    return run


def final(ran, ending, num_ranks=2):
    (line,) = ran(ending, num_ranks)[2].told()
    return line


def test_the_score_of_two_ranks_is_recomputed_from_the_losses_of_both(ran):
    line = final(ran, endings.RANKS_SCORE_FIRST)
    assert line.is_reconciled
    assert line.coverage.num_once == 8192
    ranks = ran(endings.RANKS_SCORE_FIRST)[2].ranks()
    assert [(each.num_scored, each.num_trained) for each in ranks] == [(4096, 4096), (4096, 4096)]
    assert not set(ranks[0].scored) & set(ranks[1].scored)
    assert ranks[0].scored == ranks[1].trained  # each trains on what the other has scored


def test_ranks_that_train_on_each_others_chunks_once_these_are_scored_are_score_first(ran):
    line = final(ran, endings.RANKS_SCORE_FIRST)
    assert line.is_score_first
    assert line.num_unordered == 8192  # which of the two was faster, nobody knows


def test_gradients_of_what_the_other_rank_has_not_scored_yet_are_found_and_one_process_would_not_show_them(ran):
    (offence,) = final(ran, endings.RANKS_LEARN_AHEAD).offences
    assert (offence.num_positions, offence.first, offence.via) == (4071, 257, Via.PARAMETERS)
    assert offence.how == "AdamW.step"
    alone = final(ran, endings.RANKS_LEARN_AHEAD, 1)
    assert alone.offences == ()
    assert alone.is_reconciled


def test_training_that_the_scoring_rank_never_hears_of_reaches_no_score(ran):
    judged = ran(endings.RANKS_AFTER_A_BARRIER)[2]
    assert judged.told()[0].offences == ()
    assert judged.told()[0].num_unordered == 0
    assert judged.num_discarded() > 4000


def test_without_a_collective_the_order_of_two_ranks_is_not_known(ran):
    judged = ran(endings.RANKS_KEEP_TO_THEMSELVES)[2]
    assert judged.told()[0].offences == ()
    assert judged.told()[0].num_unordered == 4096
    assert judged.num_discarded() == 0


def test_gradients_that_are_averaged_by_the_wrapper_reach_both_ranks(ran):
    outcome, _, judged = ran(endings.RANKS_IN_PARALLEL)
    assert outcome.log.count("equal True") == 2
    assert "rank 0 device 2" in outcome.log
    for line in judged.told():
        assert sum(each.num_positions for each in line.offences) == 256  # whoever trained on them
    assert [each.num_trained for each in judged.ranks()] == [128, 128]


def test_replacing_later_tokens_changes_no_earlier_loss_of_either_rank(opened, ran):
    _, judgement, _ = ran(endings.RANKS_SCORE_FIRST)
    session = opened(endings.RANKS_SCORE_FIRST, 2)
    (found,) = probe(session, judgement.trace, judgement.lines, judgement.results[-1], ["suffix"], [0.5])
    assert (found.problem, found.num_changed) == (None, 0)
    assert found.num_compared > 4000


def test_a_rank_that_fails_ends_the_other_and_is_the_one_that_is_told(opened):
    ending = f"{endings.RANKS}\nif rank == 1:\n    raise KeyError('own bug')\ndist.barrier()\n"
    outcome = opened(ending, 2).run()
    assert outcome.failure == "KeyError: 'own bug'"
    assert outcome.seconds < 200


def test_ranks_that_meet_in_different_collectives_are_told_which(opened):
    outcome = opened(f"{endings.RANKS}\nif rank == 1:\n    dist.barrier()\nfinish(score)\n", 2).run()
    assert "different collectives: rank 0 in all_reduce and rank 1 in barrier" in str(outcome.failure)


COLLECTIVES = f"""{endings.RANKS}
mine = torch.arange(4.0) + 10 * rank
parts = [torch.empty(4) for _ in range(world)]
dist.all_gather(parts, mine)
print(rank, "all_gather", [part.tolist() for part in parts])
whole = torch.empty(8)
dist.all_gather_into_tensor(whole, mine)
print(rank, "into", whole.tolist())
half = torch.empty(2)
dist.reduce_scatter_tensor(half, mine.bfloat16().float())
print(rank, "scatter", half.tolist())
for name in ("SUM", "AVG", "MAX", "MIN", "PRODUCT"):
    held = mine.to(torch.bfloat16)
    work = dist.all_reduce(held, op=getattr(dist.ReduceOp, name), async_op=True)
    work.wait()
    print(rank, name, held.tolist())
dist.broadcast(mine, src=1)
print(rank, "broadcast", mine.tolist())
names = ["own"] if rank == 0 else [None]
dist.broadcast_object_list(names, src=0)
print(rank, "objects", names)
alone = dist.new_group([0])
if rank == 0:
    dist.all_reduce(mine, group=alone)
print(rank, "group", mine.tolist(), dist.get_rank(), dist.get_world_size(), dist.get_backend())
print(rank, "environment", *(os.environ[name] for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR")))
dist.destroy_process_group()
"""


def test_collectives_compute_what_they_mean_and_the_environment_is_torchruns(opened):
    outcome = opened(COLLECTIVES, 2).run()
    assert outcome.failure is None, outcome.log
    lines = outcome.log.splitlines()
    both = {
        "all_gather [[0.0, 1.0, 2.0, 3.0], [10.0, 11.0, 12.0, 13.0]]",
        "into [0.0, 1.0, 2.0, 3.0, 10.0, 11.0, 12.0, 13.0]",
        "SUM [10.0, 12.0, 14.0, 16.0]",
        "AVG [5.0, 6.0, 7.0, 8.0]",
        "MAX [10.0, 11.0, 12.0, 13.0]",
        "MIN [0.0, 1.0, 2.0, 3.0]",
        "PRODUCT [0.0, 11.0, 24.0, 39.0]",
        "broadcast [10.0, 11.0, 12.0, 13.0]",
        "objects ['own']",
    }
    for rank in (0, 1):
        assert {f"{rank} {each}" for each in both} <= set(lines), outcome.log
        assert f"{rank} group [10.0, 11.0, 12.0, 13.0] {rank} 2 nccl" in lines
        assert f"{rank} environment {rank} {rank} 2 127.0.0.1" in lines
    assert "0 scatter [10.0, 12.0]" in lines
    assert "1 scatter [14.0, 16.0]" in lines


@pytest.mark.parametrize(("words", "num_ranks"), [((), 1), (("--ranks", "2"), 2)])
@pytest.mark.parametrize("command", [("run-trace", "."), ("audit", ".", "--run")])
def test_one_process_runs_unless_two_are_asked_for(command, words, num_ranks):
    assert run_options(cli.parser().parse_args([*command, *words])).num_ranks == num_ranks
