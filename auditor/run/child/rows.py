"""Rows of scores, one for each target: what they add up to, what an entry costs, and whether two rows are the same."""

from __future__ import annotations

import torch

_MAX_COLUMNS = 128  # of a row, for its checksum
_ROUNDING = 1e-3  # of what a row adds up to


def costs_and_masses(scores, picked):
    """What was picked from scores in nats, and what each row adds up to as probabilities; None if they are none.

    Probabilities and their logarithms are told by their signs. Costs are above zero like probabilities, but add up to one
    as the exponents of their negatives.
    """
    rows = scores.detach().to(torch.float64)
    if bool(rows.max() <= _ROUNDING):
        return picked.abs(), rows.exp().sum(-1).reshape(-1)
    if bool(rows.min() < 0) or bool((((-rows).exp().sum(-1) - 1).abs() < _ROUNDING).all()):
        return picked.abs(), None
    return -picked.clamp_min(torch.finfo(picked.dtype).tiny).log(), rows.sum(-1).reshape(-1)


def checksums(scores, classes):
    """A number for each row of scores that changes when the row does, from some of its columns.

    Rows are logarithms of a distribution: what changes one entry changes, by the normaliser, all of them.
    """
    rows = scores.detach().movedim(classes, -1)
    step = max(rows.shape[-1] // _MAX_COLUMNS, 1)
    held = rows[..., ::step].to(torch.float64).contiguous().view(torch.int64)
    return (held * (2 * torch.arange(held.shape[-1]) + 1)).sum(-1).reshape(-1)
