"""One training run: its updates, its validation, and all that it must remember."""

import math
import operator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from tqdm import tqdm

from companion.train import left_out, processes, saving
from companion.train.batch import Scorer, check_finite
from companion.train.replay import Drawn


@dataclass
class Done:
    """How far a run is; the same in all processes. Epochs and batches are counted from 0."""

    epoch: int = 0
    batch: int = 0  # within the epoch
    total: float = 0.0  # of the epoch's losses, each with its weight
    weight: float = 0.0
    train: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    best: int | None = None
    best_weights: dict | None = None
    stopped: bool = False


class Run:
    """A model with everything that changes while it is trained, and so is in a checkpoint."""

    def __init__(self, model, loss, options, validation=None, rng=None, path=None):
        self.model, self.options = model, options
        self.validation, self.rng, self.path = validation, rng, path
        self.device = processes.device_of(model)
        self.score = Scorer(model, loss, options, self.device)
        self.optimizer, self.scheduler = _made(options, model)
        self.on_plateau = isinstance(self.scheduler, ReduceLROnPlateau)
        if self.on_plateau and validation is None:
            raise ValueError("schedule ReduceLROnPlateau needs validation, got None")
        self.identity = saving.identity(
            model,
            self.optimizer,
            self.scheduler,
            options,
            validation=validation is not None,
            metrics=sorted(options.metrics),
            rng=None if rng is None else type(rng.bit_generator).__name__,
            processes=processes.size(),
        )
        self.parallel = model
        if processes.size() > 1:
            self.parallel = DistributedDataParallel(model, find_unused_parameters=True)
        self.done = Done(metrics={name: [] for name in options.metrics})
        self.carried = None  # from batch to batch: a state, and of how many sequences
        self.waiting: list[float] = []  # weights of the batches whose gradients wait for an update
        self.drawn: Any = None  # of this epoch; between two epochs, of the one before
        self.resumed = False  # with nothing drawn again yet

    def epoch(self, batches):
        """Make the updates of this epoch that are still to be made, and validate.

        There is a checkpoint after every `Options.every` updates and at the end.
        """
        done, many = self.done, self.options.accumulate
        self.parallel.train()
        todo, length = self._still_to_do(batches)
        bar = _bar(todo, f"epoch {done.epoch + 1}/{self.options.epochs}", length, done.batch)
        for batch in bar:
            bar.set_postfix(loss=f"{self._differentiate(batch):.4g}", refresh=False)
            if done.batch % many == 0:
                self._update()
            if done.batch % (many * self.options.every) == 0:
                self.save()
        if done.batch == 0:
            raise ValueError(f"batches({done.epoch}) must give at least one batch, got none")
        if self.waiting:  # fewer batches than the others have
            self._update()
        done.train.append(done.total / done.weight)
        if self.validation is not None:
            self._validate()
        if self.options.on_epoch is not None and processes.rank() == 0:
            lists = {"train": done.train, "validation": done.validation, **done.metrics}
            self.options.on_epoch(done.epoch, {k: v[-1] for k, v in lists.items() if v})
        done.epoch, done.batch, done.total, done.weight = done.epoch + 1, 0, 0.0, 0.0
        self.carried = None
        self.save()

    def _still_to_do(self, batches):
        """Iterator over the epoch's batches without those done, and the number of all, or None."""
        done = self.done
        if self.resumed:
            now = saving.random_state(self.rng)
            # Between two epochs, what batches remember is brought to where it was, too.
            epoch, ended = (done.epoch - 1, True) if done.batch == 0 else (done.epoch, False)
            whole, todo = self.drawn.again(batches, epoch, self.rng, ended)
            saving.set_random_state(now, self.rng)
            self.resumed = False
        if done.batch == 0:
            self.drawn = Drawn(saving.random_state(self.rng))
            whole = batches(done.epoch)
            todo = iter(whole)
        if self.path is not None:
            todo = self.drawn.watch(todo)
        return todo, operator.length_hint(whole) or None

    def _differentiate(self, batch):
        """Add the gradient of a batch to those that wait; returns its loss."""
        done = self.done
        first = self.waiting[0] if self.waiting else None
        scaled, (total, weight), self.carried = self.score(
            self.parallel, batch, self.carried, self._where(), of=first
        )
        if first is None:
            self.optimizer.zero_grad()
        scaled.backward()
        self.waiting.append(weight)
        done.batch += 1
        done.total += total
        done.weight += weight
        return total / weight

    def _update(self):
        """Make an update with the gradients that wait."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        if len(self.waiting) > 1:  # all were divided by the first one's weight
            for p in parameters:
                if p.grad is not None:
                    p.grad.mul_(self.waiting[0] / sum(self.waiting))
        norm = get_total_norm([_numbers(p) for p in parameters if p.grad is not None])
        check_finite("norm of the gradient", norm.item(), self._where(1))
        if self.options.clip is not None:
            clip_grads_with_norm_(parameters, self.options.clip, norm)
        self.optimizer.step()
        if self.scheduler is not None and not self.on_plateau:
            self.scheduler.step()
        self.waiting = []

    def _where(self, back=0):
        done = self.done
        return f"batch {done.batch - back} of epoch {done.epoch}, both counted from 0"

    @torch.no_grad()
    def _validate(self):
        done, carried, metrics = self.done, None, self.options.metrics
        sums = [0.0] * (2 + 2 * len(metrics))
        self.model.eval()
        for k, batch in enumerate(_bar(self.validation, "validation")):
            where = f"validation batch {k} after epoch {done.epoch}, both counted from 0"
            _, more, carried = self.score(self.model, batch, carried, where, metrics)
            sums = [a + b for a, b in zip(sums, more, strict=True)]
        if sums[1] == 0:
            raise ValueError("validation must give at least one batch, got none")
        done.validation.append(sums[0] / sums[1])
        for name, total, weight in zip(metrics, sums[2::2], sums[3::2], strict=True):
            done.metrics[name].append(total / weight if weight else math.nan)
        if done.best is None or done.validation[-1] < done.validation[done.best]:
            done.best = done.epoch
            done.best_weights = saving.copy_of(self.model.state_dict())
        if self.options.patience is not None:
            done.stopped = done.epoch - done.best >= self.options.patience
        if self.on_plateau:
            self.scheduler.step(done.validation[-1])

    def save(self):
        """Write everything to the checkpoint; all processes call this, the first writes."""
        if self.path is None:
            return
        state, sequences = self.carried or (None, 0)
        if state is not None:
            # A state may be a view of a far larger tensor, which a file would then hold.
            state = processes.map_tensors(lambda part: part.cpu().clone(), state, "state")
        random = saving.random_state(self.rng)
        own = {"state": state, "random": random, "drawn": vars(self.drawn)}
        own["sequences"] = sequences
        own["kinds"], own["states"] = left_out.kinds(self.model), left_out.states(self.model)
        own["buffers"] = left_out.buffers(self.model)
        if (everyones := processes.collect(own)) is not None:
            content = {"identity": self.identity, "done": vars(self.done), "own": everyones}
            saving.write(self.path, content | self._state_dicts())

    def load(self):
        """Go on from the checkpoint. Raises ValueError as `saving.read` does."""
        content = saving.read(self.path, self.identity)
        done, own = Done(**content["done"]), content["own"][processes.rank()]
        if done.epoch + (done.batch > 0) > self.options.epochs:
            raise ValueError(
                f"epochs must not be lowered below the {done.epoch} whole epochs and "
                f"{done.batch} batches of checkpoint {self.path}, got {self.options.epochs}"
            )
        saving.check_same(self.path, own["kinds"], left_out.kinds(self.model))
        for name, part in self._parts().items():
            part.load_state_dict(content[name])
        left_out.put_back(self.model, own["states"], own["buffers"])
        self.done, self.drawn, self.resumed = done, Drawn(**own["drawn"]), True
        if own["state"] is not None:
            state = processes.map_tensors(lambda s: s.to(self.device), own["state"], "state")
            self.carried = state, own["sequences"]
        saving.set_random_state(own["random"], self.rng)

    def check_states(self):
        """Raise ValueError where a checkpoint could not be read."""
        states = self._state_dicts()
        states["model"] |= left_out.states(self.model)
        saving.check_states(states)

    def _parts(self):
        parts = {"model": self.model, "optimizer": self.optimizer, "scheduler": self.scheduler}
        return {name: part for name, part in parts.items() if part is not None}

    def _state_dicts(self):
        return {name: part.state_dict() for name, part in self._parts().items()}


def _made(options, model):
    """The optimizer, and the scheduler if there is one."""
    optimizer: Any = options.optimizer(model.parameters())
    if isinstance(optimizer, torch.optim.LBFGS):
        raise ValueError("optimizer must make a step from one gradient, got LBFGS")
    _check_made("optimizer", optimizer, torch.optim.Optimizer, "torch.optim.Optimizer")
    scheduler: Any = None
    if options.schedule is not None:
        scheduler = options.schedule(optimizer)
        wanted = "torch.optim.lr_scheduler.LRScheduler"
        _check_made("schedule", scheduler, LRScheduler, wanted)
    return optimizer, scheduler


def _check_made(name, made, kind, wanted):
    if not isinstance(made, kind):
        raise ValueError(f"{name} must return a {wanted}, got {type(made).__name__}")


def _numbers(parameter):
    """The numbers of a gradient, each once; of a sparse one, which has no norm, those it holds."""
    if not parameter.grad.is_sparse:
        return parameter.grad
    parameter.grad = parameter.grad.coalesce()
    return parameter.grad.values()


def _bar(iterable, label, total=None, initial=0):
    # Nothing is said about disable on process 0, so that TQDM_DISABLE=1 is obeyed.
    quiet = {"disable": True} if processes.rank() > 0 else {}
    return tqdm(iterable, label, total, leave=False, initial=initial, **quiet)
