"""SWA and EMA against their formulas, computed from all states at once in float64; a resumed average is the same."""

import pytest
import torch
from torch import nn

from trainer.averaging import Averager
from trainer.config import ScheduleConfig

SWA = ScheduleConfig(averaging="swa", swa_every=2, swa_start_scale=0.5)
EMA = ScheduleConfig(averaging="ema", ema_decay=0.9)
OFF = ScheduleConfig(averaging="off")
NUM_STEPS = 20


def make_model() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2, bias=False))


def scale_at(step: int) -> float:
    """A learning rate that falls from the tenth step on."""
    return min(1.0, (NUM_STEPS - step) / 10)


def train(model: nn.Module, averager: Averager, start: int = 0, stop: int = NUM_STEPS) -> list[dict[str, torch.Tensor]]:
    """Move the weights at random and average; returns the weights after each step."""
    states = []
    for step in range(start + 1, stop + 1):
        generator = torch.Generator().manual_seed(step)
        with torch.no_grad():
            for weight in model.parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator))
        averager.update(step, scale_at(step))
        states.append({name: weight.double().clone() for name, weight in model.state_dict().items()})
    return states


def assert_weights(model: nn.Module, expected: dict[str, torch.Tensor]) -> None:
    for name, weight in model.state_dict().items():
        assert torch.allclose(weight.double(), expected[name], rtol=1e-6, atol=1e-7)


def test_swa_is_the_mean_of_every_other_state_below_half_the_learning_rate():
    model = make_model()
    averager = Averager(model, SWA)
    states = train(model, averager)
    assert averager.apply() == 3
    taken = [states[step - 1] for step in (16, 18, 20)]
    assert_weights(model, {name: torch.stack([state[name] for state in taken]).mean(dim=0) for name in taken[0]})


def test_ema_is_the_decayed_sum_of_all_states():
    model = make_model()
    averager = Averager(model, EMA)
    states = train(model, averager)
    assert averager.apply() == NUM_STEPS
    first, *rest = range(NUM_STEPS)
    share = {first: 0.9 ** (NUM_STEPS - 1)} | {index: 0.1 * 0.9 ** (NUM_STEPS - 1 - index) for index in rest}
    assert sum(share.values()) == pytest.approx(1)
    assert_weights(model, {name: sum(share[i] * states[i][name] for i in share) for name in states[0]})


def test_the_first_averaged_state_is_announced_once():
    averager = Averager(make_model(), SWA)
    started = [step for step in range(1, NUM_STEPS + 1) if averager.update(step, scale_at(step))]
    assert started == [16]


@pytest.mark.parametrize(("schedule", "num_steps"), [(OFF, NUM_STEPS), (SWA, 10), (SWA, 16), (EMA, 0)])
def test_too_few_states_leave_the_model_alone(schedule, num_steps):
    model = make_model()
    averager = Averager(model, schedule)
    train(model, averager, stop=num_steps)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    assert averager.apply() == 0
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("schedule", [SWA, EMA])
@pytest.mark.parametrize("stop", [0, 5, 15, 17, NUM_STEPS])
def test_a_resumed_average_is_bit_for_bit_the_uninterrupted_one(schedule, stop, tmp_path):
    whole, first, second = make_model(), make_model(), make_model()
    uninterrupted, before, after = (Averager(model, schedule) for model in (whole, first, second))
    train(whole, uninterrupted)
    train(first, before, stop=stop)
    torch.save(before.state_dict(), tmp_path / "average.pt")
    train(first, before, start=stop)  # the saved state must not go on changing
    after.load_state_dict(torch.load(tmp_path / "average.pt", weights_only=True))
    train(second, after, start=stop)
    assert uninterrupted.apply() == after.apply()
    for name, weight in whole.state_dict().items():
        assert torch.equal(second.state_dict()[name], weight)


def test_training_goes_on_from_its_own_weights_not_from_the_average():
    model = make_model()
    averager = Averager(model, EMA)
    states = train(model, averager)
    assert_weights(model, states[-1])


def test_half_precision_weights_are_averaged_in_full():
    model = make_model().bfloat16()
    averager = Averager(model, EMA)
    for step in range(1, 300):
        with torch.no_grad():
            for weight in model.parameters():
                weight.fill_(1.0 if step == 1 else 2.0)
        averager.update(step, 1.0)
    averager.apply()
    assert all(bool((weight == 2.0).all()) for weight in model.parameters())


def test_a_checkpoint_of_another_average_or_model_is_refused():
    state = Averager(make_model(), SWA).state_dict()
    with pytest.raises(ValueError, match="averages by 'swa', the run by 'ema'"):
        Averager(make_model(), EMA).load_state_dict(state)
    model = make_model()
    averager = Averager(model, EMA)
    averager.update(1, 1.0)
    with pytest.raises(ValueError, match="not of this model's parameters"):
        Averager(nn.Linear(1, 1), EMA).load_state_dict(averager.state_dict())
