"""One run of the race: train for so many CPU seconds, then read text that no choice has seen."""

import copy
import math
import os
import time

import numpy as np
import torch
from torch.nn import functional as F

from book.experiments.lab.race_networks import network
from companion.data import streams
from companion.data.batches import stretches

WINDOW = 128  # characters that attention sees at once
POINTS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1)  # of the budget, at which validation is read


def carried(numbers, B, n, rng):
    """Endless batches of streams, n steps each, and whether they begin anew.

    The text is a ring that is cut elsewhere in every epoch.
    """
    while True:
        ring = np.roll(numbers, -rng.integers(len(numbers)))
        for k, (x, y) in enumerate(stretches(ring, B, n)(0)):
            if len(x) == n:
                yield x, y, k == 0


def windows(numbers, B, n, rng):
    """Endless batches of windows of n characters from anywhere in the text; all begin anew."""
    text = torch.from_numpy(numbers)
    while True:
        rows = torch.from_numpy(rng.integers(len(text) - n, size=B)) + torch.arange(n + 1)[:, None]
        yield text[rows[:-1]], text[rows[1:]], True


def rate(share, rise=0.05):
    """Factor of the learning rate once a share of the budget is spent: up, then half a cosine."""
    fall = (max(share, rise) - rise) / (1 - rise)
    return min(share / rise, 1) * (1 + math.cos(math.pi * min(fall, 1))) / 2


@torch.no_grad()
def bits(net, numbers, attends, B=1):
    """Mean bits a character, of all but the first of B streams. A window moves by half of it."""
    net.eval()
    total, many = 0.0, 0
    if attends:
        columns = torch.from_numpy(numbers)
        starts = torch.arange(0, len(columns) - WINDOW, WINDOW // 2)
        for part in starts.split(32):
            rows = part + torch.arange(WINDOW + 1)[:, None]
            scores, _ = net(columns[rows[:-1]])
            costs = F.cross_entropy(
                scores.flatten(0, 1), columns[rows[1:]].flatten(), reduction="none"
            ).view(WINDOW, -1)
            fresh = torch.arange(WINDOW)[:, None] >= (part > 0) * WINDOW // 2
            total, many = total + costs[fresh].sum().item(), many + int(fresh.sum())
    else:
        state, columns = None, torch.from_numpy(streams(numbers, B))
        for x, y in zip(columns[:-1].split(512), columns[1:].split(512), strict=True):
            scores, state = net(x, state)
            total += F.cross_entropy(scores.flatten(0, 1), y.flatten(), reduction="sum").item()
            many += y.numel()
    net.train()
    return total / many / math.log(2)


def train(name, size, lr, budget, seed, numbers, settings):
    """Train one network. numbers: training, validation and test. Returns what came out, a dict.

    Only updates are timed, drawing their batches included; compiling and validation are not.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    attends, rng = name == "Transformer", np.random.default_rng(seed)
    K = int(max(map(np.max, numbers.values()))) + 1
    dropped = settings["dropped"].get(str(budget), 0)
    net = network(name, K, size, dropped, WINDOW)
    batches = (windows if attends else carried)(
        numbers["training"], *settings["windows" if attends else "streams"], rng
    )
    warm_up(net, next(batches))
    optimizer = torch.optim.Adam(net.parameters(), lr)
    guard, back = settings["guarded"].get(str(budget)), []
    points = [(k + 1) / guard["points"] for k in range(guard["points"])] if guard else list(POINTS)
    spent, steps, state, best = 0.0, 0, None, (math.inf, None)
    curve, began, load = [], time.time(), os.getloadavg()[0]
    while points:
        start = time.process_time()
        optimizer.param_groups[0]["lr"] = lr * rate(spent / budget) / 2 ** len(back)
        x, y, anew = next(batches)
        scores, state = net(x, None if anew else detached(state))
        loss = F.cross_entropy(scores.flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), settings["clip"])
        optimizer.step()
        steps += 1
        spent += time.process_time() - start
        if not math.isfinite(loss.item()):
            return {"failed": round(spent, 1), "steps": steps}
        if spent >= points[0] * budget:
            del points[0]
            valid = bits(net, numbers["validation"], attends, B=16)
            curve.append([round(spent, 2), round(valid, 4)])
            if valid < best[0]:
                best = valid, copy.deepcopy((net.state_dict(), optimizer.state_dict()))
            elif guard and valid > best[0] + guard["worse"]:
                weights, moments = copy.deepcopy(best[1])
                net.load_state_dict(weights)
                optimizer.load_state_dict(moments)
                back.append(round(spent, 2))
                state = None
    net.load_state_dict(best[1][0])
    return {
        "curve": curve,
        **({"thrown back": back} if guard else {}),
        "validation": round(best[0], 4),
        "test": round(bits(net, numbers["test"], attends), 4) if settings["test"] else None,
        "steps": steps,
        "characters": steps * x.numel(),
        "parameters": sum(value.numel() for value in net.parameters()),
        "wall": round(time.time() - began, 1),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
        "torch": torch.__version__,
    }


def detached(state):
    """The same state, cut off from the batch that it comes from."""
    if isinstance(state, torch.Tensor):
        return state.detach()
    return None if state is None else type(state)(map(detached, state))


def warm_up(net, batch):
    """Compile, allocate and import outside of the clock: one backward pass, thrown away."""
    x, y, _ = batch
    scores, _ = net(x)
    F.cross_entropy(scores.flatten(0, 1), y.flatten()).backward()
    net.zero_grad()
