"""Does a test fail when the code is wrong? Change it in every small way, and see.

Every mutant of `companion/cells/`, `engine/loops.py` and `engine/unroll.py` must fail the fast
tests, or stand in equivalent.txt with the reason why it computes the same. Exits with 1 if one
does neither, or if the list has one that is gone or that a test kills.
"""

import argparse
import ast
import os
import sys
from collections import Counter
from pathlib import Path

from .mutants import Mutant, mutants
from .trial import BROKEN, KILLED, SURVIVED, verdicts, warm_up

ROOT = Path(__file__).parents[2]
FILES = sorted(ROOT.glob("companion/cells/*.py"))
FILES += [ROOT / f"companion/engine/{name}.py" for name in ("loops", "unroll")]
UNCHANGED = Mutant("", "", "", "")


def changes(wanted):
    """The unchanged code, then every mutant, as (mutant, tree, path)."""
    yield UNCHANGED, ast.parse(""), ""
    for path in FILES:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for mutant in mutants(module, tree):
            if wanted(mutant):
                yield mutant, tree, str(path)


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
    last = UNCHANGED
    for mutant in some:
        if mutant[:3] != last[:3]:
            print(f"@ {mutant.module} {mutant.function}".rstrip(), f"- {mutant.old}", sep="\n")
        print(f"+ {mutant.new}")
        last = mutant


def table(found, survived):
    print(f"{'module':28}{'mutants':>9}{'killed':>9}{'equivalent':>12}{'survived':>10}")
    for module in dict.fromkeys(m.module for m in found):
        here = {m: results for m, results in found.items() if m.module == module}
        count = sum(map(len, here.values()))
        killed = sum(results.count(KILLED) for results in here.values())
        bad = sum(results.count(SURVIVED) for m, results in here.items() if m in survived)
        print(f"{module:28}{count:9}{killed:9}{count - killed - bad:12}{bad:10}")


def main():
    parser = argparse.ArgumentParser(prog="cd tests; python -m mutation", description=__doc__)
    parser.add_argument("--module", default="", help="only modules with this in their name")
    parser.add_argument("--only", default="", help="only functions or lines with this in them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at a time")
    parser.add_argument("--list", type=Path, default=Path(__file__).with_name("equivalent.txt"))
    options = parser.parse_args()
    listed = read(options.list)

    def wanted(mutant):
        where = f"{mutant.function}: {mutant.old}"
        return options.module in mutant.module and options.only in where

    warm_up()
    found = verdicts(changes(wanted), options.jobs, sum(1 for _ in changes(wanted)))
    if found.pop(UNCHANGED) != [SURVIVED]:
        sys.exit("the fast tests fail without any change")
    listed = {mutant: reason for mutant, reason in listed.items() if wanted(mutant)}
    survived = [m for m, results in found.items() if SURVIVED in results and m not in listed]
    stale = [m for m in listed if KILLED in found.get(m, [KILLED])]
    broken = [m for m, results in found.items() if BROKEN in results]
    table(found, survived)
    for reason, count in Counter(listed.values()).most_common():
        print(f"{count:5} equivalent: {reason}")
    show("survived", survived)
    show("listed as equivalent, but gone or killed", stale)
    show("cannot be compiled, a mistake in mutants.py", broken)
    sys.exit(1 if survived or stale or broken else 0)


if __name__ == "__main__":
    main()
