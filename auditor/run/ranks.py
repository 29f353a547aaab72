"""Events of several ranks as one sequence: each keeps its own order, and a collective separates before from after for all.

Two events of different ranks with no collective between them happened in an order that nobody knows; each event therefore
carries its `rank` and its `epoch` (collectives before it), from which `Trace.precedes` tells what is known. The sequence is
one that agrees with all that is known. Where nothing is, scores stand before training (what another rank learns meanwhile
cannot reach them), and scores by their position in the stream.

Not covered: orders that ranks agree on by files, or by messages from one to the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

Event = Mapping[str, object]


def merge(streams: Sequence[Sequence[Event]]) -> tuple[Event, ...]:
    """One sequence of the events of each rank; those of one rank alone are left as they are.

    Losses and sums are numbered anew, since each rank counts for itself. ValueError for events without their shape.
    """
    if len(streams) == 1:
        return tuple(streams[0])
    numbers = _Numbers()
    try:
        return tuple(numbers.renumbered(event) for event in _in_order(streams))
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ValueError(f"events of {len(streams)} ranks do not belong together: {error!r}") from error


def _in_order(streams: Sequence[Sequence[Event]]) -> Iterator[dict[str, object]]:
    epochs = [list(_epochs(stream, rank)) for rank, stream in enumerate(streams)]
    for epoch in range(max(map(len, epochs))):
        waiting = [deque(each[epoch]) for each in epochs if epoch < len(each)]
        while any(waiting):
            first = min((queue for queue in waiting if queue), key=lambda queue: _turn(queue[0]))
            yield first.popleft()


def _epochs(stream: Sequence[Event], rank: int) -> Iterator[list[dict[str, object]]]:
    """The events between collectives; a collective ends what came before it."""
    epoch, events = 0, []
    for event in stream:
        events.append(dict(event) | {"rank": rank, "epoch": epoch})
        if event.get("t") == "collective":
            yield events
            epoch, events = epoch + 1, []
    yield events


def _turn(event: Mapping[str, object]) -> tuple[int, int]:
    """Of the ranks' next events the one with the least goes first; of equals that of the lower rank."""
    kind = event.get("t")
    if kind == "losses":
        positions = event["positions"]
        return 1, positions[0] if isinstance(positions, list) and positions and isinstance(positions[0], int) else -1
    return {"gradient": 2, "collective": 3}.get(str(kind), 0), 0


class _Numbers:
    """The numbers of losses and sums over all ranks, by those that each rank gave."""

    def __init__(self) -> None:
        self._losses: dict[int, int] = {}
        self._sums: dict[int, int] = {}

    def renumbered(self, event: dict[str, object]) -> Event:
        """An event with its numbers, and those that it refers to, as they are over all ranks."""
        kind = event.get("t")
        if kind == "losses":
            first, positions = event["first"], event["positions"]
            if not isinstance(first, int) or not isinstance(positions, list):
                raise TypeError("losses without numbers or positions")
            event["first"] = start = len(self._losses)
            self._losses.update((first + index, start + index) for index in range(len(positions)))
        elif kind in ("sum", "leaves"):
            event["losses"] = _mapped(event["losses"], self._losses)
            if kind == "sum":
                number = event["id"]
                if not isinstance(number, int):
                    raise TypeError("a sum without a number")
                event["id"] = self._sums.setdefault(number, len(self._sums))
        elif kind == "read":
            event["sums"] = _mapped(event["sums"], self._sums)
        return event


def _mapped(ranges: object, numbers: Mapping[int, int]) -> list[list[int]]:
    """[first, count] pairs in other numbers."""
    if not isinstance(ranges, list):
        raise TypeError("numbers that are no list")
    found: list[list[int]] = []
    for first, count in ranges:
        for number in range(first, first + count):
            mapped = numbers[number]
            if found and sum(found[-1]) == mapped:
                found[-1][1] += 1
            else:
                found.append([mapped, 1])
    return found
