"""Batches that a checkpoint has seen are drawn again on a resume: the same ones, or it stops."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from companion.train import processes, saving


@dataclass
class Drawn:
    """The batches of an epoch that were drawn so far, and what it takes to draw them again.

    start: state of all generators before anything was drawn. states: by the number of a batch,
    the states of the global generators before it, of those that it drew from: between batches the
    model draws from them, too. checksums: of every batch.
    """

    start: dict[str, Any]
    states: dict[int, dict[str, Any]] = field(default_factory=dict)
    checksums: list[int] = field(default_factory=list)

    def watch(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The same batches; each is noted here as it comes."""
        while True:
            before = saving.global_state()
            try:
                batch = next(batches)
            except StopIteration:
                return
            after = saving.global_state()
            moved = {name: s for name, s in before.items() if not _same(s, after[name])}
            if moved:
                self.states[len(self.checksums)] = moved
            self.checksums.append(processes.checksum(batch))
            yield batch

    def again(
        self,
        batches: Callable[[int], Iterable[Any]],
        epoch: int,
        rng: np.random.Generator | None,
        ended: bool,
    ) -> tuple[Iterable[Any], Iterator[Any]]:
        """Draw these batches again: what batches(epoch) gave, and its iterator behind them.

        ended: whether they were the whole epoch. The generators are not put back.
        Raises ValueError if other batches come.
        """
        # A DataLoader draws the seed of persistent workers when it is used first: where that was
        # in an earlier epoch, the first try does it, and the second gives the batches.
        for _ in range(2):
            saving.set_random_state(self.start, rng)
            whole = batches(epoch)
            todo = iter(whole)
            other = self._first_other(todo, ended)
            if other is None:
                return whole, todo
        raise ValueError(
            f"batches({epoch}) must give the {len(self.checksums)} batches that the checkpoint "
            f"has seen, got {other}; it is left as it is. Draw from a generator made from the "
            "epoch, from `rng`, or from the global generators of torch, NumPy and Python, and not "
            'in workers that outlive an epoch; or start anew from its weights, entry "model"'
        )

    def _first_other(self, todo, ended):
        """How what comes differs from what was seen, in words, or None."""
        for k, expected in enumerate(self.checksums):
            saving.set_random_state(self.states.get(k, {}))
            try:
                batch = next(todo)
            except StopIteration:
                return str(k)
            if processes.checksum(batch) != expected:
                return f"another batch {k}, counted from 0"
        if ended:
            for _ in todo:
                return "more"
        return None


def _same(a, b):
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
