"""Compiled cells are the plain cells, faster."""

import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from types import ModuleType

import numpy as np
import pytest
from every_cell import EVERY

numba = pytest.importorskip("numba", reason="compiled cells need numba")

from companion import CELLS, Cell, backward, compiled, forward, init  # noqa: E402
from companion.activations import log_sigmoid, sigmoid, tanh  # noqa: E402
from companion.cells import held_open  # noqa: E402
from companion.engine import fingerprint  # noqa: E402
from companion.engine.team import ALONE  # noqa: E402
from companion.gradcheck import check_cell  # noqa: E402

COMPILED = {name: compiled(cell) for name, cell in EVERY.items()}


def run(cell, params, xs, state, dys):
    ys, last, tape = forward(cell, params, xs, state)
    grads, dxs, first = backward(cell, params, tape, dys, last)
    return {"ys": ys, "dxs": dxs} | grads | {f"{k}": v for k, v in enumerate(last + first)}


@pytest.mark.parametrize("with_state", [True, False], ids=["state", "no state"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 5e-6), (np.float64, 1e-13)])
@pytest.mark.parametrize("name", EVERY)
def test_compiled_is_plain(name, dtype, tolerance, with_state):
    rng = np.random.default_rng(0)
    # One row and several, that fill the tiles of the product and that do not; units that fill
    # registers, and that do not; more rows and terms than the product takes at a time.
    for T, B, D, H in [(1, 1, 1, 1), (9, 1, 3, 5), (7, 3, 4, 70), (3, 2, 2, 128), (19, 31, 2, 33)]:
        params = init(EVERY[name], D, H, rng, dtype)
        xs = rng.normal(size=(T, B, D)).astype(dtype)
        dys = rng.normal(size=(T, B, H)).astype(dtype)
        state = tuple(rng.normal(size=(B, H)).astype(dtype) for _ in EVERY[name].states)
        if name == "slstm":  # its n adds up weights, which are positive
            state[2][...] = np.abs(state[2]) + 0.5
        data = params, xs, state if with_state else None, dys
        fast, plain = run(COMPILED[name], *data), run(EVERY[name], *data)
        for key, value in plain.items():
            scale = max(1, np.abs(value).max())
            assert fast[key].dtype == dtype
            np.testing.assert_allclose(fast[key], value, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sequence_gives_the_same_bits_whatever_its_batch(dtype):
    T, B, D, H = 5, 23, 30, 70
    rng = np.random.default_rng(0)
    params = init(CELLS["peephole"], D, H, rng, dtype)
    xs, dys = (rng.normal(size=(T, B, n)).astype(dtype) for n in (D, H))
    whole = run(COMPILED["peephole"], params, xs, None, dys)
    for rows in (slice(1), slice(5, 8), slice(1, 20)):
        part = run(COMPILED["peephole"], params, xs[:, rows], None, dys[:, rows])
        for key in ("ys", "dxs"):
            np.testing.assert_array_equal(part[key], whole[key][:, rows])


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-13)])
def test_products_of_all_sizes_and_layouts(dtype, tolerance):
    from companion.engine.product import ROWS, TERMS

    rng = np.random.default_rng(0)
    product = partial(COMPILED["rnn"].loops(dtype)[2], ALONE)
    sizes = [(M, 5, N) for M in range(8) for N in (0, 1, 31, 33, 64)]
    sizes += [(3, 0, 2), (ROWS + 1, 2 * TERMS + 1, 3), (2, TERMS, 130), (14, 5, 33)]
    sizes += [(M, 5, N) for M in (11, 12, 23) for N in (7, 40)]
    for M, K, N in sizes:
        left, right = rng.normal(size=(M, K)), rng.normal(size=(K, N))
        wanted = left @ right
        for order in "CF":
            given = np.asarray(left, dtype, order), np.asarray(right, dtype, order)
            given[0].flags.writeable = False  # as a caller's array may be
            room = np.full((M + 12, N), np.nan, dtype)
            found = product(*given, room[:M])
            assert np.isnan(room[M:]).all()  # nothing is written beyond the last row
            again = product(*given, np.empty((M, N), dtype))
            assert found.dtype == dtype and np.array_equal(found, again)
            # The error of a sum of K products of about 1 grows with √K.
            np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * max(1, K) ** 0.5)


@pytest.mark.parametrize("name", EVERY)
def test_gradients_agree_with_the_complex_step(name):
    assert check_cell(COMPILED[name]).ok


@pytest.mark.parametrize(("T", "B"), [(0, 2), (3, 0)])
def test_empty_input(T, B):
    params = init(CELLS["lstm"], 2, 3, np.random.default_rng(0))
    ys, last, tape = forward(COMPILED["lstm"], params, np.zeros((T, B, 2)))
    grads, dxs, _ = backward(COMPILED["lstm"], params, tape, np.zeros((T, B, 3)))
    assert ys.shape == (T, B, 3) and not any(g.any() for g in grads.values())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_stays_in_its_row_and_huge_numbers_are_finite(dtype):
    rng = np.random.default_rng(0)
    params = init(CELLS["lstm"], 2, 70, rng, dtype)
    xs = np.where(rng.normal(size=(5, 3, 2)) > 0, 1e30, -1e30).astype(dtype)
    ys, last, _ = forward(COMPILED["lstm"], params, xs)
    assert all(np.isfinite(value).all() for value in (ys, *last))
    xs[2, 1] = np.nan
    ys, _, _ = forward(COMPILED["lstm"], params, xs)
    assert np.isnan(ys[2:, 1]).all() and np.isfinite(ys[:, [0, 2]]).all()


def test_read_only_and_oddly_laid_out_arrays_work():
    rng = np.random.default_rng(0)
    params = {k: np.asfortranarray(v) for k, v in init(CELLS["peephole"], 2, 3, rng).items()}
    xs, dys = rng.normal(size=(4, 2, 8))[..., ::4], np.asfortranarray(rng.normal(size=(4, 2, 3)))
    for value in (*params.values(), xs, dys):
        value.flags.writeable = False
    fast = run(COMPILED["peephole"], params, xs, None, dys)
    plain = run(CELLS["peephole"], params, xs, None, dys)
    for key, value in plain.items():
        np.testing.assert_allclose(fast[key], value, atol=1e-12)


def test_activations_of_single_numbers_are_accurate():
    from companion.engine.scalar import SCALAR

    x = np.linspace(-100, 100, 20001)
    exact = {"sigmoid": 1 / (1 + np.exp(-x)), "tanh": np.tanh(x)}
    for number, tolerance in ((np.float32, 5e-7), (np.float64, 1e-14)):
        for name, wanted in exact.items():
            values = np.array([SCALAR[number][name](number(v)) for v in x])
            assert np.abs(values - wanted).max() < tolerance, (name, number)
        near = x.astype(number).astype(np.float64)
        values = np.array([SCALAR[number]["log_sigmoid"](number(v)) for v in x])
        wanted = log_sigmoid(near)
        assert (np.abs(values - wanted) / np.maximum(1, np.abs(wanted))).max() < tolerance
        exponent = x[x < 88]  # to the largest number of float32
        values = np.array([SCALAR[number]["exp"](number(v)) for v in exponent])
        # Relative, as far down as float32 has all its digits.
        wanted = np.exp(exponent.astype(number).astype(np.float64))
        error = np.abs(values - wanted)[exponent > -87] / wanted[exponent > -87]
        assert error.max() < tolerance and values[0] < 1e-43
        ends = [-np.inf, -1e30, 1e30, np.inf, np.nan]
        values = [SCALAR[number]["exp"](number(v)) for v in ends]
        np.testing.assert_array_equal(values, [0, 0, np.inf, np.inf, np.nan])
        values = [SCALAR[number]["log_sigmoid"](number(v)) for v in ends]
        np.testing.assert_array_equal(values, [*np.float64(number(ends[:2])), 0, 0, np.nan])
        maximum = SCALAR[number]["maximum"]
        assert [maximum(number(a), number(b)) for a, b in ((1, 2), (2, 1), (2, 2))] == [2, 2, 2]
        for pair in ((1, np.nan), (np.nan, 1)):
            assert np.isnan(maximum(*map(number, pair)))
        constant = SCALAR[number]["constant"](number(np.inf), 3)
        assert constant == 3 and isinstance(constant, float)


def test_a_readers_own_cell_compiles():
    def step(a, carry, p):
        (ah,) = a
        h = ah / (1 + abs(ah))
        return (h,), (ah,)

    def derivative(dstate, state, kept, carry, p):
        (dh,) = dstate
        (ah,) = kept
        return (dh / ((1 + abs(ah)) * (1 + abs(ah))),), (), ()

    softsign = Cell("softsign", ("h",), ("h",), (), ("a",), step, derivative)
    rng = np.random.default_rng(0)
    data = init(softsign, 2, 3, rng), rng.normal(size=(5, 2, 2)), None, rng.normal(size=(5, 2, 3))
    fast, plain = run(compiled(softsign), *data), run(softsign, *data)
    np.testing.assert_allclose(fast["dxs"], plain["dxs"], atol=1e-13)


ONE_RUN = """
import numpy as np
import sys
from companion import CELLS, backward, compiled, forward, init
params, xs = init(CELLS["rnn"], 2, 3, np.random.default_rng(0)), np.ones((4, 1, 2))

def results(cell):
    ys, _, tape = forward(cell, params, xs)
    return ys, backward(cell, params, tape, np.ones_like(ys))[1]

for found, wanted in zip(results(compiled(CELLS["rnn"])), results(CELLS["rnn"])):
    np.testing.assert_allclose(found, wanted, atol=1e-13)
for name in [name for name in sys.modules if name.startswith("companion_rnn_")]:
    pair = ("forward", "multiply") if "forward" in name else ("backward", "gradients")
    for loop in pair:  # the call took what was compiled for it
        assert len(getattr(sys.modules[name], loop).signatures) == 1
"""
# From here on no file may hold more bytes: what a full disk and a quota do, without either.
FULL = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))
"""
NOBODY = """
import pwd
def no_entry(uid): raise KeyError(uid)
pwd.getpwuid = no_entry
"""


def one_run(folder, first="", **env):
    """Run the compiled rnn in a process of its own; returns what it says.

    It caches in `folder`, and leaves nothing where it works and where temporary files go.
    """
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    env = {"XDG_CACHE_HOME": str(folder), "TMPDIR": str(temporary)} | env
    env = {key: value for key, value in (os.environ | env).items() if value is not None}
    done = subprocess.run(
        [sys.executable, "-c", first + ONE_RUN],
        capture_output=True,
        text=True,
        env=env,
        cwd=temporary,
    )
    assert done.returncode == 0, done.stderr
    assert not list(temporary.iterdir())
    return done.stderr


def kept(folder):
    """The files of the cache, with the time at which each was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.nb*")}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A folder in which one process has compiled."""
    folder = tmp_path_factory.mktemp("cache")
    assert one_run(folder).splitlines() == [
        "companion: compiling rnn for float64, once",
        "companion: compiling the derivative of rnn for float64, once",
    ]
    return folder


def test_a_network_that_never_goes_back_compiles_no_derivative(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cell = compiled(replace(CELLS["rnn"], name="forwards"))
    params, xs = init(cell, 2, 3, np.random.default_rng(0)), np.ones((4, 1, 2))
    _, _, tape = forward(cell, params, xs)
    assert capfd.readouterr().err == "companion: compiling forwards for float64, once\n"
    backward(cell, params, tape, np.ones((4, 1, 3)))
    said = "companion: compiling the derivative of forwards for float64, once\n"
    assert capfd.readouterr().err == said


def test_a_second_process_takes_what_the_first_compiled(cache):
    before = kept(cache)
    assert before and one_run(cache) == ""
    assert kept(cache) == before


@pytest.mark.parametrize(
    ("pattern", "share"), [("*.nbi", 0), ("*.nbc", 0.5)], ids=["emptied", "cut off"]
)
def test_a_damaged_cache_is_left_and_removed(cache, tmp_path, pattern, share):
    shutil.copytree(cache, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.rglob(pattern):
        os.truncate(path, int(share * path.stat().st_size))
    assert "without a cache" in one_run(tmp_path)
    assert not kept(tmp_path)  # the next process starts anew


def test_a_damaged_source_is_written_again(cache, tmp_path):
    shutil.copytree(cache, tmp_path, dirs_exist_ok=True)
    sources = [*tmp_path.rglob("*.py")]
    texts = [source.read_bytes() for source in sources]
    assert len(texts) == 2
    for source in sources:
        source.write_bytes(b"")
    one_run(tmp_path)
    assert [source.read_bytes() for source in sources] == texts and kept(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of the system")
@pytest.mark.parametrize(("limit", "says"), [(0, "without a cache"), (9000, "not be kept")])
def test_a_full_disk_or_quota_stops_no_one(tmp_path, limit, says):
    assert says in one_run(tmp_path, FULL.format(limit))
    assert not [name for name in kept(tmp_path) if name.endswith(".nbc")]


@pytest.mark.skipif(sys.platform == "win32", reason="needs users of the system")
def test_without_a_home_it_runs_all_the_same(tmp_path):
    said = one_run(tmp_path, NOBODY, XDG_CACHE_HOME=None, HOME=None)
    assert "without a cache (Could not determine home" in said
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]


def test_a_folder_that_cannot_be_written_stops_no_one(tmp_path):
    (tmp_path / "file").touch()
    assert "without a cache" in one_run(tmp_path, XDG_CACHE_HOME=str(tmp_path / "file"))


def test_where_numba_does_not_compile_it_is_plain_numpy(tmp_path):
    assert one_run(tmp_path, NUMBA_DISABLE_JIT="1") == ""
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]


def test_without_numba_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(ImportError, match="pip install numba$"):
        compiled(CELLS["lstm"])


def test_compiled_loops_run_no_other_cell():
    """They took the rows of the gates that are left for those of the gates before."""
    fast = compiled("lstm")
    assert held_open(fast, "f", "open").loops is None
    assert compiled(fast).loops.cell == CELLS["lstm"]
    with pytest.raises(ValueError, match="loops must have been compiled for this cell"):
        replace(fast, step=CELLS["lstm1997"].step)


def test_a_changed_cell_is_compiled_anew():
    params = init(CELLS["rnn"], 2, 3, np.random.default_rng(0))
    changed = compiled(replace(CELLS["rnn"], step=lambda a, carry, p: ((0.5 * a[0],), ())))
    xs = np.ones((1, 1, 2))
    assert not np.allclose(forward(changed, params, xs)[0], forward(COMPILED["rnn"], params, xs)[0])


def reading(x):
    """A cell whose step and derivative read the global x, and the scope that holds it."""
    scope = {"x": x}
    exec(
        "def step(a, carry, p):\n    return (x * a[0],), ()\n"
        "def derivative(dstate, state, kept, carry, p):\n    return (x * dstate[0],), (), ()\n",
        scope,
    )
    return Cell("own", ("h",), ("h",), (), (), scope["step"], scope["derivative"]), scope


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (0.5, 0.9),
        (np.float32(0.5), np.float32(0.9)),
        (np.float32(0.5), np.float64(0.5)),
        (np.array([0.5]), np.array([0.9])),
        (np.arange(9.0).reshape(3, 3), np.arange(9.0)),
    ],
)
def test_a_changed_global_changes_the_fingerprint_whatever_its_kind(first, second):
    cell, scope = reading(first)
    before = fingerprint.fingerprint(cell)
    assert before == fingerprint.fingerprint(cell)
    scope["x"] = second
    assert fingerprint.fingerprint(cell) != before


@pytest.mark.parametrize(("first", "second"), [((1, 2.0), (1, 2.5)), ((1, (2, 3)), (1, (2, 4)))])
def test_a_changed_tuple_function_default_or_module_attribute_changes_it_too(first, second):
    def cell(value, kind):
        def helper(y, factor=value[0] if kind == "default" else 1):
            return y * factor

        settings = ModuleType("settings")
        settings.value = value
        settings.scaled = eval("lambda y: y * v[1]", {"v": value})
        read = {
            "closure": lambda a, carry, p: ((value[1] * a[0],), ()),
            "default": lambda a, carry, p: ((helper(a[0]),), ()),
            "helper": lambda a, carry, p: ((helper(a[0]) + len(value),), ()),
            "module": eval("lambda a, carry, p: ((m.value[1] * a[0],), ())", {"m": settings}),
            "its function": eval("lambda a, carry, p: ((m.scaled(a[0]),), ())", {"m": settings}),
            "within": eval("lambda a, carry, p: (((lambda y: y * v)(a[0]),), ())", {"v": value}),
        }
        return replace(CELLS["rnn"], step=read[kind])

    for kind in ("closure", "module", "its function", "helper", "within"):
        one, other = (fingerprint.fingerprint(cell(v, kind)) for v in (first, second))
        assert one != other, kind
    one, other = (fingerprint.fingerprint(cell((v, 0), "default")) for v in (1.0, 2.0))
    assert one != other


def test_a_default_may_be_a_function_a_module_or_a_slice():
    def cell(value):
        def helper(y, read=value):
            return y

        return replace(CELLS["rnn"], step=lambda a, carry, p: ((helper(a[0]),), ()))

    modules = [ModuleType("one"), ModuleType("two"), ModuleType("one")]
    modules[2].__version__ = "2"
    values = [*modules, lambda y: y, lambda y: 2 * y, slice(1), slice(2)]
    assert len({fingerprint.fingerprint(cell(value)) for value in values}) == len(values)


def test_a_changed_global_leaves_no_old_kernel_running(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cell, scope = reading(np.float32(0.5))
    params, xs = init(cell, 2, 3, np.random.default_rng(0)), np.ones((1, 1, 2))
    before = compiled(cell)
    assert compiled(cell) is before
    half = forward(before, params, xs)[0]
    scope["x"] = np.float32(0.9)
    np.testing.assert_allclose(forward(compiled(cell), params, xs)[0], 1.8 * half, rtol=1e-6)
    later = compiled(replace(cell, name="not run yet"))
    scope["x"] = np.float32(0.7)
    with pytest.raises(ValueError, match="has changed since"):
        forward(later, params, xs)
    halfway = compiled(replace(cell, name="not gone back yet"))
    _, _, tape = forward(halfway, params, xs)
    scope["x"] = np.float32(0.8)
    with pytest.raises(ValueError, match="has changed since"):
        backward(halfway, params, tape, np.ones((1, 1, 3)))


def test_what_cannot_be_told_apart_is_refused():
    secret = [0.5]
    cell = Cell("own", ("h",), ("h",), (), (), lambda a, carry, p: ((secret[0] * a[0],), ()), None)
    cell = replace(cell, derivative=lambda d, state, kept, carry, p: ((secret[0] * d[0],), (), ()))
    with pytest.raises(ValueError, match="got secret, a list"):
        compiled(cell)
    for method in ({"a": 0.5}.get, [0.5].index):  # which read what they are methods of
        cell = replace(cell, step=eval("lambda a, carry, p: ((m(a[0]),), ())", {"m": method}))
        with pytest.raises(ValueError, match="got m, a builtin_function_or_method"):
            fingerprint.fingerprint(cell)
    fingerprint.fingerprint(replace(CELLS["rnn"], step=lambda a, carry, p: ((math.cos(a[0]),), ())))


def test_slices_and_whole_numbers_are_what_they_are():
    """A reader's own cell may index and slice its tuples, and count with whole numbers."""

    def step(a, carry, p):
        (x,), (y,) = a[0:1], a[1:]
        return (x + 2 * y,), (carry[0] * 1,)

    def derivative(dstate, state, kept, carry, p):
        return (dstate[0], 2 * dstate[0]), (0 * kept[0],), ()

    cell = Cell("sliced", ("x", "y"), ("h",), ("h",), ("k",), step, derivative)
    rng = np.random.default_rng(0)
    data = init(cell, 2, 3, rng), rng.normal(size=(5, 2, 2)), None, rng.normal(size=(5, 2, 3))
    fast, plain = run(compiled(cell), *data), run(cell, *data)
    np.testing.assert_allclose(fast["dxs"], plain["dxs"], atol=1e-13)


def test_the_settings_of_the_compiler_are_part_of_the_fingerprint(monkeypatch):
    before = fingerprint.fingerprint(CELLS["lstm"])
    monkeypatch.setattr(fingerprint, "FAST", {"nsz"})
    assert fingerprint.fingerprint(CELLS["lstm"]) != before


def test_a_fingerprint_is_the_same_in_another_process():
    code = """
from dataclasses import replace
from companion import CELLS
from companion.engine.fingerprint import fingerprint
names = frozenset("abcdefgh")
own = replace(CELLS["rnn"], step=lambda a, carry, p: ((a[0] * len(names),), ()))
print([fingerprint(cell) for cell in (own, *CELLS.values())])
"""
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            env=dict(os.environ, PYTHONHASHSEED=seed),
        )
        for seed in "12"
    ]
    assert runs[0].returncode == 0, runs[0].stderr
    assert runs[0].stdout == runs[1].stdout


def test_a_step_may_have_functions_and_lists_within_it():
    def step(a, carry, p):
        squash = lambda value: tanh(value)  # noqa: E731
        i, f = [sigmoid(value) for value in (a[0], a[1])]
        return (f * squash(carry[0]) + i * squash(a[1]),), ()

    def derivative(dstate, state, kept, carry, p):  # is not asked for
        return (dstate[0], dstate[0]), (dstate[0],), ()

    cell = Cell("inner", ("i", "f"), ("h",), ("h",), (), step, derivative)
    params = init(cell, 3, 4, rng := np.random.default_rng(0))
    xs = rng.normal(size=(5, 2, 3))
    found, wanted = (forward(c, params, xs, keep_tape=False)[0] for c in (compiled(cell), cell))
    np.testing.assert_allclose(found, wanted, atol=1e-14)
