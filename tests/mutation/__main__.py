"""Does a test fail when the code is wrong? Change it in every small way, and see.

Every mutant of the modules in targets.py must fail the tests that it names there, or stand in
equivalent.txt with the reason why it computes the same. Of some modules only a sample is tried
unless --all is given: which mutants are in it depends on their text alone. Exits with 1 if one
survives that is not listed, or if the list has one that is gone or that a test kills.
"""

import argparse
import ast
import os
import sys
import zlib
from collections import Counter
from pathlib import Path

from .mutants import Mutant, mutants
from .targets import ROOT, TARGETS
from .trial import BROKEN, KILLED, SURVIVED, prepare, verdicts


def changes(target):
    """Every mutant of a target, as (mutant, tree, path)."""
    for path in target.paths:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for mutant in mutants(module, tree):
            yield mutant, tree, str(path)


def in_sample(mutant, share):
    """Whether a mutant is of the share that is tried: its checksum decides."""
    return zlib.crc32("\n".join(mutant).encode()) < share * 2**32


def read(path):
    """The list, a dict of mutant -> reason. Lines: = reason, @ module function, - old, + new."""
    listed, at = {}, {}
    for line in filter(None, path.read_text(encoding="utf-8").splitlines()):
        mark, _, text = line.partition(" ")
        if mark not in "=@-+":
            raise ValueError(f"a line of {path.name} must start with '= @ - +', got {line!r}")
        at[mark] = text
        if mark == "+":
            module, _, function = at["@"].partition(" ")
            listed[Mutant(module, function, at["-"], text)] = at["="]
    return listed


def show(title, some):
    """Print mutants as the list has them, so that they can be put there."""
    if some:
        print(f"\n{title}:")
    last = Mutant("", "", "", "")
    for mutant in some:
        if mutant[:3] != last[:3]:
            print(f"@ {mutant.module} {mutant.function}".rstrip(), f"- {mutant.old}", sep="\n")
        print(f"+ {mutant.new}")
        last = mutant


def table(every, found, survived):
    print(f"{'module':32}{'mutants':>9}{'tried':>9}{'killed':>9}{'equivalent':>12}{'survived':>10}")
    for module, count in Counter(m.module for m in every).items():
        here = {m: results for m, results in found.items() if m.module == module}
        tried = sum(map(len, here.values()))
        killed = sum(results.count(KILLED) for results in here.values())
        bad = sum(results.count(SURVIVED) for m, results in here.items() if m in survived)
        print(f"{module:32}{count:9}{tried:9}{killed:9}{tried - killed - bad:12}{bad:10}")


def main():
    parser = argparse.ArgumentParser(prog="cd tests; python -m mutation", description=__doc__)
    parser.add_argument("--all", action="store_true", help="every mutant, not a sample")
    parser.add_argument("--module", default="", help="only modules with this in their name")
    parser.add_argument("--only", default="", help="only functions or lines with this in them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at a time")
    parser.add_argument("--list", type=Path, default=Path(__file__).with_name("equivalent.txt"))
    options = parser.parse_args()

    def wanted(mutant):
        where = f"{mutant.function}: {mutant.old}"
        return options.module in mutant.module and options.only in where

    listed = {m: reason for m, reason in read(options.list).items() if wanted(m)}

    def tried(target, share):
        return (c for c in changes(target) if wanted(c[0]) and in_sample(c[0], share))

    every, work = [], []
    for target in TARGETS:
        here = [m for m, _, _ in changes(target) if wanted(m)]
        every += here
        share = 1.0 if options.all else target.share
        if total := sum(in_sample(m, share) for m in here):
            work.append((target, total, tried(target, share)))
    prepare()
    found = verdicts(work, options.jobs)
    survived = [m for m, results in found.items() if SURVIVED in results and m not in listed]
    stale = [m for m in listed if m not in every or KILLED in found.get(m, [])]
    broken = [m for m, results in found.items() if BROKEN in results]
    table(every, found, survived)
    for reason, count in Counter(listed.values()).most_common():
        print(f"{count:5} equivalent: {reason}")
    show("survived", survived)
    show("listed as equivalent, but gone or killed", stale)
    show("cannot be compiled, a mistake in mutants.py", broken)
    sys.exit(1 if survived or stale or broken else 0)


if __name__ == "__main__":
    main()
