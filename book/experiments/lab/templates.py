"""Connected words by templates: which recordings, stretched in time, make up the utterance best?"""

import numpy as np

QUIET = 0.1  # share of the frames, those of least energy, that tell what a pause sounds like


class Templates:
    """Recordings of single words that an utterance is compared with.

    sequences: N float arrays (T_k, D), T_k at least 1. words: N whole numbers.
    Raises ValueError for an empty sequence, and unless there are as many words as sequences.
    """

    def __init__(self, sequences, words):
        if len(sequences) != len(words) or not all(len(x) for x in sequences):
            raise ValueError(
                f"sequences must have a frame and a word each, got {len(sequences)} sequences of "
                f"at least {min(map(len, sequences), default=0)} frames and {len(words)} words"
            )
        self.frames = np.concatenate(sequences)
        lengths = np.array([len(x) for x in sequences])
        self.last = np.cumsum(lengths) - 1
        self.first = self.last - lengths + 1
        self.second = self.first[lengths > 1] + 1
        self.words = np.asarray(words)
        self.squares = np.square(self.frames).sum(1)

    def recognise(self, x, penalty):
        """The words of the utterance x (T, D): a tuple.

        With each frame of x a template goes on by none, one or two of its own, and costs its
        distance; so does a pause, whose one frame is the mean of the quietest of x. A template
        begins where another or a pause has ended, for `penalty`. The cheapest path through all
        of x is found in one pass.
        Raises ValueError for an x without a frame.
        Source: Ney (1984).
        """
        if not len(x):
            raise ValueError("x must have at least one frame, got none")
        cross = x @ self.frames.T
        distances = np.square(x).sum(1)[:, None] + self.squares - 2 * cross
        distances = np.sqrt(np.maximum(distances, 0))
        order = x.mean(1).argsort()
        quiet = x[order[: max(1, round(QUIET * len(x)))]].mean(0)
        pauses = np.sqrt(np.square(x - quiet).sum(1))
        cost = np.full(len(self.frames), np.inf, distances.dtype)
        began = np.zeros(len(self.frames), np.int64)  # with which frame the template began
        done, ended = 0.0, []  # the cost of all so far, and what ended last: (word, first frame)
        for t, distance in enumerate(distances):
            stayed, stayed_began = cost, began
            cost, began = cost.copy(), began.copy()
            for step, blocked in ((1, self.first), (2, np.append(self.first, self.second))):
                before = np.full_like(cost, np.inf)
                before[step:] = stayed[:-step]
                before[blocked] = np.inf
                better = np.flatnonzero(before < cost)
                cost[better], began[better] = before[better], stayed_began[better - step]
            enter = self.first[cost[self.first] > done + penalty]
            cost[enter], began[enter] = done + penalty, t
            cost += distance
            pause = done + pauses[t]
            k = int(cost[self.last].argmin())
            at = self.last[k]
            if cost[at] < pause:
                done, end = float(cost[at]), (int(self.words[k]), int(began[at]))
            else:
                done, end = pause, (None, t)
            ended.append(end)
        found, t = [], len(x)
        while t > 0:
            word, t = ended[t - 1]
            found += [word] if word is not None else []
        return tuple(found[::-1])
