"""How much an instance lowers the trace of the binary Fisher information that is unseen [Ash2021].

The binary approximation treats the predicted class against the rest: an instance with features phi
and the largest probability p adds w phi phi^T, w = p (1 - p). With F the sum over all candidates,
and M the sum over the labelled instances plus lambda I, an instance that joins M (sign = 1) or
leaves it (sign = -1) changes tr(M^-1 F) by

    -sign w phi^T Q phi / (1 + sign w phi^T A phi),      A = M^-1,  Q = M^-1 F M^-1

and A and Q themselves, with u = A phi, v = Q phi and s = sign w / (1 + sign w phi^T u), by

    A' = A - s u u^T                                     (Sherman and Morrison [Hager1989])
    Q' = A' F A' = Q - s (u y^T + y u^T),                y = v - (s / 2) (phi^T v) u

since u^T F u = phi^T Q phi, and A F u = Q phi. So for any two instances x and z, the numbers
x^T A z and x^T Q z change by products of such numbers, and nothing of size D is needed.

All of it is in 64 bits, converted from the features chunk by chunk: taking an instance away divides
by 1 - w phi^T A phi, which for an instance far from all others is nearly zero.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alupdate.laplace.tiles import at_once, is_accelerator

_CHUNK_NUMBERS = 2**20
"""How many numbers of the features are in 64 bits at once."""

_HISTORY_NUMBERS = 2**25
"""How many numbers there may be of what the picks of a block change, for all candidates."""

_BLOCKS = 5
"""Blocks of columns into which a symmetric matrix is divided, to compute its upper ones only."""

LONGEST_BLOCK = 32
"""Picks that are made before all candidates are looked at again, at most."""

LEADERS, LEADERS_PER_PICK = 256, 16
"""Candidates of highest gain among which the picks of a block are made, at most and for each."""

_ROUNDING = 1e-10
"""By how much, relatively, a gain must be larger than another to count as larger."""


def binary_weights(logits: Tensor) -> Tensor:
    """Return w = p (1 - p) (P,) in 64 bits, p the largest probability, of logits (P, C)."""
    largest = torch.softmax(logits.double(), dim=1).amax(dim=1)
    return largest * (1 - largest)


@dataclass
class Few:
    """A few instances among which picks are made, with all that a change needs of A and Q.

    Attributes:
        weights: (m,), w.
        own: (m, m), X A X^T.
        missing: (m, m), X Q X^T.
    """

    weights: NDArray[np.float64]
    own: NDArray[np.float64]
    missing: NDArray[np.float64]

    def gains(self, sign: int) -> NDArray[np.float64]:
        """Return by how much the trace falls (1: joins) or rises (-1: leaves) by each, (m,)."""
        inner = 1 + sign * self.weights * self.own.diagonal()
        gains: NDArray[np.float64] = self.weights * self.missing.diagonal() / inner
        return gains

    def change(self, place: int, sign: int) -> None:
        """Let an instance join (1) or leave (-1). O(m^2)."""
        u, v = self.own[place].copy(), self.missing[place].copy()
        step = sign * self.weights[place] / (1 + sign * self.weights[place] * u[place])
        y = v - (step / 2 * v[place]) * u
        mixed = np.outer(u, step * y)
        self.own -= np.outer(u, step * u)
        self.missing -= mixed + mixed.T


@dataclass(frozen=True)
class Unseen:
    """A, Q and what the gains of P candidates need of them.

    Attributes:
        features: (P, D), of the candidates.
        weights: (P,), w.
        inverse: (D, D), A.
        product: (D, D), Q.
        own: (P,), phi^T A phi.
        missing: (P,), phi^T Q phi.
    """

    features: Tensor
    weights: Tensor
    inverse: Tensor
    product: Tensor
    own: Tensor
    missing: Tensor

    @classmethod
    def of(
        cls,
        features: Tensor,
        weights: Tensor,
        known: Tensor,
        known_weights: Tensor,
        regularisation: float,
    ) -> "Unseen":
        """Return the state before the first pick: O((P + N) D^2 + D^3).

        Where there are fewer instances than features, all are expressed in a basis of their span
        first: A is I / lambda orthogonal to it, and F is zero.

        Args:
            features, weights: (P, D) and (P,), of the candidates.
            known, known_weights: (N, D) and (N,), of the labelled instances.
            regularisation: lambda.
        """
        if len(features) + len(known) < features.shape[1]:
            both = torch.cat([features, known]).double()
            coordinates = torch.linalg.qr(both.T, mode="r").R.T
            features, known = coordinates[: len(features)], coordinates[len(features) :]
        elif features.numel() <= _numbers_at_once(features):
            features = features.double()  # once, not in every pass
        scaled = known_weights.sqrt()[:, None] * known.double()
        inverse, own = _inverse(scaled, regularisation, features)
        product = inverse @ _weighted_gram(features, weights) @ inverse
        missing = _quadratic_forms(features, product)
        return cls(features, weights, inverse, product, own, missing)

    def gains(self) -> Tensor:
        """Return by how much tr(M^-1 F) falls if each candidate joins, (P,)."""
        return _gains(self.weights, self.own, self.missing)

    def few(self, positions: Tensor) -> Few:
        """Return the candidates at positions (m,) by themselves: O(m D^2)."""
        rows = self.features[positions].double()
        forms = (rows @ matrix @ rows.T for matrix in (self.inverse, self.product))
        own, missing = (form.numpy(force=True) for form in forms)
        return Few(self.weights[positions].numpy(force=True), own, missing)

    def greedy(self, free: Tensor, count: int) -> tuple[list[int], "Unseen"]:
        """Return the ``count`` candidates that greedy addition picks, in order, and the state then.

        The picks of a block are made among the m candidates of highest gain (``LEADERS``), in
        numbers of size m x m. Then one pass over all candidates computes every gain after each of
        these picks: those before the first one that another candidate exceeds stand, and the next
        block starts from there. So the picks are those of a pass per pick, at a fraction of the
        passes. The gains may differ by their rounding; then the first of the leaders is picked. A
        CPU begins with small blocks; a GPU, for which a pass over all is few calls, does not.

        Args:
            free: (P,), False for candidates that must not be picked; is changed.
            count: at most the number of free ones.
        """
        state, picked, whole = self, list[int](), is_accelerator(self.features.device)
        longest = max(1, min(LONGEST_BLOCK, _HISTORY_NUMBERS // (2 * len(self.features))))
        length = longest if whole else 4
        while len(picked) < count:
            size = min(length, longest, count - len(picked))
            block = state._block(free, size)
            state, stood = state._after(free, block)
            free[block[:stood]] = False
            picked += block[:stood].tolist()
            if not whole:
                length = 2 * length if stood == size else stood
        return picked, state

    def _block(self, free: Tensor, size: int) -> Tensor:
        """Return positions (size,) that greedy addition picks among the leaders."""
        gains = self.gains().masked_fill_(~free, -torch.inf)
        wanted = max(size, min(LEADERS, LEADERS_PER_PICK * size))
        count = min(wanted, int(free.sum()))
        leaders = gains.topk(count).indices.sort().values
        few, left, places = self.few(leaders), np.ones(count, dtype=bool), list[int]()
        for _ in range(size):
            gained = np.where(left, few.gains(1), -np.inf)
            place = int((gained >= gained.max() - _ROUNDING * abs(gained.max())).argmax())
            places.append(place)
            left[place] = False
            few.change(place, 1)
        return leaders[places]

    def _after(self, free: Tensor, block: Tensor) -> tuple["Unseen", int]:
        """Return the state after those picks (k,) of a block that stand, and how many these are."""
        steps, first, second = self._directions(block)
        own, missing = self._histories(steps, first, second)
        stood = len(block)
        together = max(1, at_once(own, 1) // own.shape[1])  # one, but on a GPU
        for start in range(0, len(block) - 1, together):
            part = slice(start, min(start + together, len(block) - 1))
            gains = _gains(self.weights, own[part], missing[part])
            surpassed = self._surpassed(gains, free, block, part)
            if surpassed is not None:
                stood = start + surpassed + 1
                break
        steps, first, second = steps[:stood], first[:, :stood], second[:, :stood]
        mixed = (first * steps) @ second.T
        return replace(
            self,
            inverse=self.inverse - (first * steps) @ first.T,
            product=self.product - (mixed + mixed.T),
            own=own[stood - 1].clone(),
            missing=missing[stood - 1].clone(),
        ), stood

    def _surpassed(self, gains: Tensor, free: Tensor, block: Tensor, part: slice) -> int | None:
        """Return after which pick of a part of a block another candidate would have been next.

        Args:
            gains: (r, P), after each pick in the part; are changed.
            free: (P,), False for candidates that were picked before the block.
            block: (k,), its picks.
            part: of the picks, the last one excluded.
        """
        after = block[part.start + 1 : part.stop + 1, None]
        most = gains.gather(1, after)
        most = most + _ROUNDING * most.abs()
        places = torch.arange(part.start, part.stop, device=block.device)
        done = torch.arange(part.stop, device=block.device) <= places[:, None]
        gains.masked_fill_(~free, -torch.inf)
        picked = block[: part.stop].expand(len(gains), -1)
        gains.scatter_(1, picked, gains.gather(1, picked).masked_fill_(done, -torch.inf))
        wrong = (gains > most).any(dim=1)
        first = int(torch.where(wrong.any(), wrong.to(torch.uint8).argmax(), -1))
        return None if first < 0 else first

    def _directions(self, block: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return s (k,), u (D, k) and y (D, k) of the picks of a block, each after those before."""
        rows, weights = self.features[block].double(), self.weights[block]
        first, second = (matrix @ rows.T for matrix in (self.inverse, self.product))
        steps = torch.zeros_like(weights)
        for place, row in enumerate(rows):
            u, v = first[:, place], second[:, place]
            done = steps[:place]
            seen, other = row @ first[:, :place] * done, row @ second[:, :place] * done
            v -= first[:, :place] @ other + second[:, :place] @ seen
            u -= first[:, :place] @ seen
            steps[place] = weights[place] / (1 + weights[place] * (row @ u))
            v -= (steps[place] / 2 * (row @ v)) * u
        return steps, first, second

    def _histories(self, steps: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``own`` and ``missing`` after each of k picks, (k, P) each: O(P D k)."""
        both, count = torch.cat([first, second], dim=1), len(steps)
        own, missing = self.own.new_empty(2, count, len(self.own))
        for part, rows in _chunks(self.features):
            u, y = torch.split((rows @ both).T, count)
            own[:, part] = self.own[part] - (steps[:, None] * u.square()).cumsum(dim=0)
            missing[:, part] = self.missing[part] - (2 * steps[:, None] * u * y).cumsum(dim=0)
        return own, missing


def _gains(weights: Tensor, own: Tensor, missing: Tensor) -> Tensor:
    return weights * missing / (1 + weights * own)


def _chunks(features: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield the rows of features (P, D) in 64 bits, part by part, and where they are."""
    size = max(1, _numbers_at_once(features) // features.shape[1])
    for start in range(0, len(features), size):
        part = slice(start, start + size)
        yield part, features[part].double()


def _numbers_at_once(features: Tensor) -> int:
    return at_once(features.new_empty(0, dtype=torch.float64), _CHUNK_NUMBERS)


def _upper_blocks(dimension: int) -> list[tuple[int, int]]:
    """Return the ranges of columns of the blocks; block (lo, hi) has the rows above hi."""
    size = -(-dimension // _BLOCKS)
    return [(lo, min(lo + size, dimension)) for lo in range(0, dimension, size)]


def _weighted_gram(features: Tensor, weights: Tensor) -> Tensor:
    """Return sum_x w phi phi^T, (D, D), of features (P, D): about P D^2 operations."""
    dimension = features.shape[1]
    total = weights.new_zeros(dimension, dimension)
    for part, rows in _chunks(features):
        weighted = weights[part, None] * rows
        for lo, hi in _upper_blocks(dimension):
            total[:hi, lo:hi].addmm_(rows[:, :hi].T, weighted[:, lo:hi])
    return total.triu() + total.triu(1).T


def _quadratic_forms(features: Tensor, matrix: Tensor) -> Tensor:
    """Return phi^T Q phi (P,) for a symmetric matrix Q: about P D^2 operations."""
    dimension = features.shape[1]
    doubled = 2 * matrix.triu(1) + matrix.diagonal().diag()
    forms = matrix.new_zeros(len(features))
    for part, rows in _chunks(features):
        for lo, hi in _upper_blocks(dimension):
            forms[part] += ((rows[:, :hi] @ doubled[:hi, lo:hi]) * rows[:, lo:hi]).sum(dim=1)
    return forms


def _inverse(known: Tensor, regularisation: float, features: Tensor) -> tuple[Tensor, Tensor]:
    """Return A = (lambda I + V^T V)^-1 for V (N, D), and phi^T A phi (P,) of features (P, D).

    For few rows by Woodbury's identity: A = (I - T^T T) / lambda with T = (chol(lambda I +
    V V^T))^-1 V, and the forms in O(P N D).
    """
    count, dimension = known.shape
    identity = torch.eye(dimension, dtype=known.dtype, device=known.device)
    if 2 * count > dimension:
        precision = torch.addmm(identity, known.T, known, beta=regularisation)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(precision))
        return inverse, _quadratic_forms(features, inverse)
    gram = known @ known.T
    gram.diagonal().add_(regularisation)
    seen = torch.linalg.solve_triangular(torch.linalg.cholesky(gram), known, upper=False)
    forms = known.new_empty(len(features))
    for part, rows in _chunks(features):
        forms[part] = rows.square().sum(dim=1) - (rows @ seen.T).square_().sum(dim=1)
    inverse = torch.addmm(identity, seen.T, seen, alpha=-1)
    return inverse / regularisation, forms / regularisation
