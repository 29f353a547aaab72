"""Arrays that know which losses they are made from, against numpy's own results."""

import pytest

np = pytest.importorskip("numpy")


@pytest.fixture(scope="module")
def arrays(child_module):
    return child_module("arrays")


@pytest.fixture
def told(arrays):
    sums = []
    arrays._tell[:] = [lambda numbers, values: sums.append((numbers.tolist(), values.tolist()))]
    yield sums
    arrays._tell.clear()


@pytest.fixture
def losses(arrays):
    return arrays.followed(np.array([1.0, 2.0, 3.0, 4.0]), np.array([10, 11, -1, 13]))


def test_a_sum_tells_the_losses_in_it_with_the_values_that_they_have_by_then(losses, told):
    mixed = -np.log(0.5 * np.exp(-losses) + 0.5 * np.array([0.1, 0.2, 0.3, 0.4]))
    total = mixed.sum()
    plain = -np.log(0.5 * np.exp(-np.array([1.0, 2.0, 3.0, 4.0])) + 0.5 * np.array([0.1, 0.2, 0.3, 0.4]))
    assert float(total) == plain.sum()
    assert told == [([10, 11, 13], plain[[0, 1, 3]].tolist())]


@pytest.mark.parametrize(
    ("change", "numbers"),
    [
        (lambda a: a[1:], [11, -1, 13]),
        (lambda a: a[np.array([True, False, False, True])], [10, 13]),
        (lambda a: a[::-1], [13, -1, 11, 10]),
        (lambda a: a.reshape(2, 2).T.ravel(), [10, -1, 11, 13]),
        (lambda a: a.astype(np.float32).copy(), [10, 11, -1, 13]),
        (lambda a: np.where(a > 1, a, 0.0), [-1, 11, -1, 13]),
        (lambda a: np.where(a > 1, a, 9.0), [10, 11, -1, 13]),
        (lambda a: np.clip(a, 1.5, 3.5), [10, 11, -1, 13]),
        (lambda a: np.concatenate([np.zeros(1), a[:2]]), [-1, 10, 11]),
        (lambda a: np.stack([np.ones(4), a], axis=1).max(axis=1), [10, 11, -1, 13]),
    ],
    ids=["slice", "mask", "reversed", "reshaped", "copied", "masked", "corrected", "clip", "joined", "mixture"],
)
def test_what_moves_losses_keeps_their_numbers_and_numpy_s_values(losses, change, numbers):
    made = change(losses)
    assert made.numbers.tolist() == numbers
    assert made.tolist() == change(np.array([1.0, 2.0, 3.0, 4.0])).tolist()


def test_a_corrected_element_stays_the_loss_of_its_token(losses, told):
    losses[1] = 7.5
    losses.mean()
    assert told == [([10, 11, 13], [1.0, 7.5, 4.0])]


def test_an_array_that_is_filled_later_takes_the_numbers_of_what_fills_it(arrays, losses, told):
    held = arrays.followed(np.zeros(6))
    held[2:] = losses
    assert held.numbers.tolist() == [-1, -1, 10, 11, -1, 13]
    np.sum(held)
    assert told == [([10, 11, 13], [1.0, 2.0, 4.0])]


def test_terms_of_one_loss_are_no_sum_of_losses(losses, told):
    experts = np.stack([losses, np.full(4, 9.0)], axis=1)
    experts.sum(axis=1)
    assert told == []
    experts.sum(axis=0)
    assert [numbers for numbers, _ in told] == [[10, 11, 13]]
