"""How well are digits recognised that a stranger says into a microphone, in a room with noise?

The networks of `spoken_digits` learn from recordings that are cut to the digit and hardly noisy.
These learn from what `digit_strings.in_a_room` makes of them, and are tested on the same of a
person whom they have never heard.
"""

import time

import torch

from book.experiments.lab import digit_networks, digit_strings
from book.experiments.lab.digit_networks import train
from book.experiments.lab.digit_strings import said, steps, text
from book.experiments.lab.runner import run
from book.experiments.spoken_digits import asterisk, fsdd, spoken_by
from companion.data.digits import SPEAKERS
from companion.models.recogniser import greedy

WAYS = ("speed", "room")
NOBODY = "nobody"  # is left out of the network that the page's figure has
SETTINGS = {
    "seeds": 2,
    **digit_strings.SETTINGS,
    **digit_networks.SETTINGS,
    "epochs": 50,
    "room": digit_strings.ROOM,
    "ways": WAYS,
    "choice": "the room was guessed; ranges of speed, noise and silence were tried on the other "
    "takes of theo, on george and jackson, and on the Asterisk voice",
    "torch": torch.__version__,
}


def outcome(job):
    """What was said in a room and what was heard, string by string."""
    torch.set_num_threads(1)
    start = time.process_time()
    people, checksum = fsdd()
    model, training = without(job["speaker"], job["seed"])
    tests = {"asterisk": asterisk(("room",))}
    if job["speaker"] in people:
        tests[job["speaker"]] = spoken_by(people[job["speaker"]], ways=("room",))
    heard = {name: understood(model, spoken) for name, spoken in tests.items()}
    seconds = round(time.process_time() - start, 1)
    losses = [round(x, 3) for x in training]
    return {"heard": heard, "training": losses, "seconds": seconds, "data": checksum}


def without(speaker, seed):
    """A network that has heard all people but one as in a room, and its losses."""
    others = [person for name, person in fsdd()[0].items() if name != speaker]
    return train(others, WAYS, seed, SETTINGS["epochs"])


def understood(model, spoken):
    """What is said in the strings and what is heard by best path, lists of strings of digits."""
    found = greedy(model, [steps(string.x) for string in spoken])
    return {"said": said(spoken), "greedy": [text(classes) for classes in found]}


def jobs(seeds):
    """Every person left out, and nobody, with every seed."""
    return [{"speaker": name, "seed": seed} for seed in seeds for name in (*SPEAKERS, NOBODY)]


if __name__ == "__main__":
    run("microphone", __doc__, SETTINGS, jobs, outcome)
