"""Run the parts of an experiment one by one, and keep the outcome of each in a JSON file."""

import argparse
import json
import os
import subprocess
from pathlib import Path

import scipy.linalg  # noqa: F401  so that its BLAS is held to one thread, too
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from book.experiments.lab.machine import machine

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "companion" / "data" / "results"


def run(name, about, settings, jobs, outcome, anywhere=False):
    """Run every job that companion/data/results/<name>.json does not have yet.

    about: the command's help. settings: what all runs share, stored in the file; a file with
    other settings is not added to. jobs(seeds) gives dicts that tell the runs apart,
    outcome(job) gives a dict of what came out. The file is rewritten after every run, whole or
    not at all, so that an interrupted experiment goes on where it stopped.
    anywhere: whether runs of several machines may stand in one file, as where no seconds are
    compared; a run on another machine than the first one's then says which.
    """
    parser = argparse.ArgumentParser(prog=f"python -m book.experiments.{name}", description=about)
    parser.add_argument("--seeds", nargs="+", type=int, default=range(settings["seeds"]))
    parser.add_argument("--folder", type=Path, default=RESULTS, help="where the JSON is written")
    options = parser.parse_args()
    path = options.folder / f"{name}.json"
    # Through JSON and back, so that a tuple is compared as the list that it is stored as.
    depends = machine(["numpy", "scipy", "numba"])
    settings = json.loads(json.dumps(settings))
    new = {"machine": depends, "settings": settings, "runs": []}
    results = json.loads(path.read_text()) if path.exists() else new
    for key in ("settings",) if anywhere else ("machine", "settings"):
        if results[key] != new[key]:
            parser.error(f"{path} has other {key}: move it away to start anew")
    other = {} if results["machine"] == depends else {"machine": depends}
    done = [json.dumps(run["job"], sort_keys=True) for run in results["runs"]]
    todo = [job for job in jobs(options.seeds) if json.dumps(job, sort_keys=True) not in done]
    code = commit()
    with threadpool_limits(1):  # these networks are too small for more
        for job in tqdm(todo, desc=name):
            results["runs"].append({"job": job, **outcome(job), "commit": code, **other})
            write(path, results)


def write(path, results):
    """Write the file whole or not at all: one line a run, so that a diff is readable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = json.dumps({key: value for key, value in results.items() if key != "runs"}, indent=1)
    lines = ",\n".join("  " + json.dumps(run) for run in results["runs"])
    new = path.with_suffix(".tmp")
    new.write_text(f'{head[:-2]},\n "runs": [\n{lines}\n ]\n}}\n')
    os.replace(new, path)


def commit():
    """The commit that ran, with a + if companion or the experiments were changed since."""

    def git(*words):
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout

    changed = git("status", "--porcelain", "companion", "book/experiments")
    return (git("rev-parse", "--short", "HEAD").strip() or "unknown") + ("+" if changed else "")
