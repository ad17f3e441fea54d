"""A Markov chain of order 1 to 3 over channels, built from path counts and solved exactly.

States: START, the k-grams of channels (a path shorter than k is one state), CONV and NULL; k-grams slide by one. The
probability of CONV from START is that of (I - Q)^-1 R, and equals the raw conversion rate of the counted paths.
Removing a channel sends every transition into a state that contains it to NULL; nothing is fitted again. Source:
Anderl, Becker, Wangenheim, Schumann 2016, "Mapping the customer journey".
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain as flatten

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import spsolve

from skeldir_huey.attribution.paths import PathCount

Floats = NDArray[np.float64]

_TABLE = 1_000_000  # entries, 9 MB


class Chain:
    """The states and transitions of some paths; how often each path occurs is given to each question anew.

    Args:
        paths: distinct paths.
        order: 1 to 3.
    """

    def __init__(self, paths: Sequence[PathCount], order: int) -> None:
        # One pass over all steps of all paths, none of it per path in Python: there may be hundreds of thousands.
        walks = [path.channels for path in paths]
        lengths = np.fromiter(map(len, walks), dtype=np.int64, count=len(walks))
        self.channels = sorted(set().union(*walks))
        numbers = {channel: number for number, channel in enumerate(self.channels, 1)}
        walked = np.fromiter(map(numbers.__getitem__, flatten.from_iterable(walks)), np.int64, int(lengths.sum()))
        owner = np.repeat(np.arange(len(paths)), lengths)
        position = np.arange(len(walked)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        # A state is a number whose digits are the last k channels; 0 stands where a short path has none.
        codes = np.zeros(len(walked), dtype=np.int64)
        for back in range(order):
            before = np.roll(walked, back) * (position >= back)
            codes += before * (len(self.channels) + 1) ** back
        kept = position >= np.minimum(order, np.repeat(lengths, lengths)) - 1
        codes, owner = codes[kept], owner[kept]
        base = len(self.channels) + 1
        self._states, states = _numbered(codes, base**order)
        first = np.r_[True, owner[1:] != owner[:-1]]
        last = np.r_[first[1:], True]
        size = len(self._states)
        # Rows are paths, columns are transitions: weights of paths times this are counts of transitions.
        moves, columns = _numbered(states[:-1][~last[:-1]] * size + states[1:][~last[:-1]], size**2)
        self._from, self._to = moves // size, moves % size
        self._moves = _counting(owner[:-1][~last[:-1]], columns, (len(paths), len(moves)))
        self._starts = _counting(owner[first], states[first], (len(paths), size))
        self._ends = _counting(owner[last], states[last], (len(paths), size))
        self._holds = [
            np.any([self._states // base**back % base == number for back in range(order)], axis=0)
            for number in numbers.values()
        ]

    def conversion_probability(self, conversions: Floats, nulls: Floats, removed: str | None = None) -> float:
        """Return P(CONV | START), on demand with a channel removed.

        Args:
            conversions, nulls: per path, in the order given to the constructor.
        """
        q, r, start = self._fit(conversions, nulls)
        return _solve(q, r, start, None if removed is None else self._holds[self.channels.index(removed)])

    def removal_effects(self, conversions: Floats, nulls: Floats) -> Floats | None:
        """Return 1 - P without the channel / P for each of `channels`; None when P is 0."""
        q, r, start = self._fit(conversions, nulls)
        whole = _solve(q, r, start, None)
        if whole <= 0:
            return None
        without = np.array([_solve(q, r, start, holds) for holds in self._holds])
        # Removing can only take away: what is below 0 is the rounding of the solver.
        return np.maximum(1 - without / whole, 0)

    def _fit(self, conversions: Floats, nulls: Floats) -> tuple[sparse.csr_array, Floats, Floats]:
        weights = conversions + nulls
        moves, converted = weights @ self._moves, conversions @ self._ends
        out = np.bincount(self._from, weights=moves, minlength=len(self._states)) + weights @ self._ends
        out[out == 0] = 1  # a state that no drawn path visits
        shape = (len(self._states), len(self._states))
        q = sparse.csr_array((moves / out[self._from], (self._from, self._to)), shape=shape)
        return q, converted / out, (weights @ self._starts) / max(weights.sum(), 1)


def _numbered(codes: NDArray[np.int64], space: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct codes in order, and for each code its place among them.

    Args:
        space: every code is below it. Where it is small, a table of it finds both without sorting.
    """
    if space > _TABLE:
        found, places = np.unique(codes, return_inverse=True)
        return found, places
    seen = np.zeros(space, dtype=bool)
    seen[codes] = True
    return np.flatnonzero(seen), (np.cumsum(seen) - 1)[codes]


def _counting(rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, int]) -> sparse.csr_array:
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)


def _solve(q: sparse.csr_array, r: Floats, start: Floats, removed: NDArray[np.bool_] | None) -> float:
    if removed is not None:
        left = np.flatnonzero(~removed)
        if not len(left):
            return 0.0
        q, r, start = q[left][:, left], r[left], start[left]
    if q.shape[0] <= 64:
        return float(start @ np.linalg.solve(np.eye(q.shape[0]) - q.toarray(), r))
    reached = spsolve(sparse.csc_array(sparse.eye_array(q.shape[0]) - q), r)
    return float(start @ reached)
