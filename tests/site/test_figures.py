"""The figures that compute in the page: their numbers, and that everyone can use them."""

import re
import sys

import numpy as np
import pytest
from conftest import ROOT, SITE, Visit, pages, show_as_printed
from test_browser import overflow, violations

from companion import CELLS, backward, forward, init
from companion.plots import COLORS

sys.path.append(str(ROOT / "book" / "_ext"))
import computed  # noqa: E402

WIDTHS = (1280, 390, 320)
FIGURE = re.compile(r'<figure class="[^"]*\bcomputed-([\w-]+)')
IN_JS = ("rnn", "lstm", "peephole", "coupled", "gru", "lstm1997")
FLOWS = ((1, 0.95), (0.1, 0.95), (1.8, 0.5))  # settings of the figure of gradient flow
MODULES = SITE / "_static" / computed.FOLDER


def figures_of(path):
    return FIGURE.findall((SITE / path).read_text(encoding="utf-8"))


PLACES = [(path, name) for path in pages() for name in figures_of(path)]


def trained(name):
    """Whether a figure is of a trained network, which is loaded when it is asked for."""
    return "./trained.mjs" in (computed.SOURCE / f"{name}.mjs").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def js(browser):
    """A blank page with the cells of the figures, as `cells`."""
    page = browser.new_page()
    page.evaluate(f"() => {{ {computed.bundle('cells')} window.cells = of_cells; }}")
    yield page
    page.close()


def plain(params):
    return {name: value.ravel().tolist() for name, value in params.items()}


def listed(arrays):
    return [array.tolist() for array in arrays]


@pytest.mark.parametrize("name", IN_JS)
def test_cell_computes_what_the_package_computes(js, name):
    cell, rng = CELLS[name], np.random.default_rng(3)
    params = {k: rng.normal(0, 1, v.shape) for k, v in init(cell, 2, 3, rng).items()}
    xs, first = rng.normal(0, 3, (5, 2)), [rng.normal(size=3) for _ in cell.states]
    ys, state, tape = forward(cell, params, xs[:, None], tuple(s[None] for s in first))
    found = js.evaluate(
        """([name, params, xs, first]) => {
        let state = first;
        return xs.map((x) => {
            const next = cells.advance(cells.CELLS[name], params, x, state);
            state = next.state;
            return [state.map((s) => [...s]), next.units.map((unit) => unit.kept)];
        });
    }""",
        [name, plain(params), xs.tolist(), listed(first)],
    )
    states = np.array([s for s, _ in found]).swapaxes(0, 1)
    np.testing.assert_allclose(states, tape.states[:, 1:, 0], rtol=0, atol=1e-12)
    kept = np.array([k for _, k in found])
    np.testing.assert_allclose(kept.transpose(2, 0, 1), tape.kept[:, :, 0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["rnn", "lstm"])
def test_step_back_is_that_of_the_package(js, name):
    cell, rng = CELLS[name], np.random.default_rng(4)
    params = {k: rng.normal(0, 1, v.shape) for k, v in init(cell, 2, 3, rng).items()}
    xs, first = rng.normal(size=(5, 2)), [rng.normal(size=3) for _ in cell.states]
    last = [rng.normal(size=3) for _ in cell.states]
    ys, _, tape = forward(cell, params, xs[:, None], tuple(s[None] for s in first))
    _, _, wanted = backward(cell, params, tape, 0 * ys, tuple(d[None] for d in last))
    found = js.evaluate(
        """([name, params, xs, first, last]) => {
        const cell = cells.CELLS[name], tape = [];
        let state = first, d = last;
        for (const x of xs) {
            const next = cells.advance(cell, params, x, state);
            tape.push([next, state]);
            state = next.state;
        }
        for (const [next, before] of tape.reverse())
            d = cells.retreat(cell, params, d, next.state, next.units, before);
        return d.map((one) => [...one]);
    }""",
        [
            name,
            plain(params),
            xs.tolist(),
            *([s.tolist() for s in group] for group in (first, last)),
        ],
    )
    np.testing.assert_allclose(found, np.array(wanted)[:, 0], rtol=0, atol=1e-12)


@pytest.fixture(scope="module")
def flow(js):
    """(cell, scale, forget) -> the network of the figure and the lengths that it draws."""
    js.evaluate(f"() => {{ {computed.bundle('flow')} window.flow = of_flow; }}")
    call = """(settings) => {
        const net = flow.network(...settings);
        return [net.params, net.xs, net.last, flow.lengths(net)];
    }"""
    return lambda *settings: js.evaluate(call, settings)


@pytest.mark.parametrize("name", ["rnn", "lstm"])
def test_gradient_flow_is_that_of_the_package(flow, name):
    flat, xs, last, found = flow(name, 1.3, 0.9)
    params = {k: np.array(v, float).reshape(len(flat["bias_ih"]), -1) for k, v in flat.items()}
    params |= {k: params[k].ravel() for k in ("bias_ih", "bias_hh")}
    xs, lengths = np.array(xs)[:, None], []
    _, _, tape = forward(name, params, xs)
    d = (np.array([last]), *(np.zeros((1, 16)) for _ in CELLS[name].states[1:]))
    for t in reversed(range(len(xs))):
        step = type(tape)(tape.xs[t : t + 1], tape.states[:, t : t + 2], tape.kept[:, t : t + 1])
        _, _, d = backward(name, params, step, np.zeros((1, 1, 16)), d)
        lengths.append(np.linalg.norm(d[-1]))
    np.testing.assert_allclose(found, np.array(lengths) / lengths[0], rtol=1e-9)
    assert abs(np.std(params["weight_hh"]) * 4 / 1.3 - 1) < 0.1
    assert abs(np.mean(xs)) < 0.1 and abs(np.std(xs) - 1) < 0.05


def test_gradient_flow_shows_what_the_pages_say(flow):
    ends = {(name, s, f): flow(name, s, f)[3][99] for name in ("rnn", "lstm") for s, f in FLOWS}
    assert 3e-20 < ends["rnn", 1, 0.95] < 3e-19 and 0.3 < ends["lstm", 1, 0.95] < 3
    assert 1 < ends["lstm", 0.1, 0.95] / 0.95**99 < 2  # nearly the gates alone
    assert ends["lstm", 1.8, 0.5] < ends["rnn", 1.8, 0.5]


@pytest.mark.parametrize("bias, every", [(2, False), (-1.5, True)])
def test_way_back_is_that_of_the_package(js, bias, every):
    params, columns = js.evaluate(
        f"""(settings) => {{
        {computed.bundle("carry")}
        const found = of_carry.walk(...settings);
        return [found.params, found.columns];
    }}""",
        [bias, every],
    )
    params = {k: np.array(v, float) for k, v in params.items()}
    params |= {k: params[k].reshape(4, 1) for k in ("weight_ih", "weight_hh")}
    _, _, tape = forward("lstm", params, np.array([1, -0.6, 0.8]).reshape(3, 1, 1))
    dys = np.array([every, every, 1.0]).reshape(3, 1, 1)
    grads, _, dstate = backward("lstm", params, tape, dys)
    for t in (1, 2, 3):
        assert columns[t]["f"] == pytest.approx(tape.kept[1, t - 1].item(), abs=1e-12)
        assert columns[t]["c"] == pytest.approx(tape.states[1, t].item(), abs=1e-12)
        assert columns[t]["dc"] * columns[t]["f"] == pytest.approx(columns[t - 1]["dcC"], abs=1e-12)
    sums = [sum(columns[t][key] for t in (1, 2, 3)) for key in ("dai", "daf", "dag", "dao")]
    np.testing.assert_allclose(sums, grads["bias_ih"], rtol=0, atol=1e-12)
    handed = [columns[0][key] for key in ("dhA", "dcC")]
    np.testing.assert_allclose(handed, np.ravel(dstate), rtol=0, atol=1e-12)


def test_data_arrives_as_it_was_written(js, tmp_path):
    path = tmp_path / "some.bin"
    path.write_bytes(bytes(range(256)))
    found = js.evaluate(
        f"""async () => {{
        {computed.bundle("data")}
        window.computed = {{given: {{}}, load: async (name) => window.computed.given[name]}};
        {computed.data(path)}
        return [...new Uint8Array(await of_data.bytes("some.bin"))];
    }}"""
    )
    assert found == list(range(256))


def test_colors_are_those_of_the_book():
    css = (computed.SOURCE / "figures.css").read_text(encoding="utf-8")
    assert dict(re.findall(r"--quantity-(\w): (#\w+);", css)) == COLORS


def test_figures_are_small():
    scripts = [MODULES / f"{name}.js" for name in computed.figures()]
    assert scripts
    assert all(script.stat().st_size < 100_000 for script in scripts)


def test_pages_without_a_figure_load_nothing(visit):
    requests = []
    visit.tab.on("request", lambda request: requests.append(request.url))
    visit.open("book/notation.html")
    assert not [url for url in requests if f"/{computed.FOLDER}/" in url]


def wake(tab, name):
    """Bring a figure to the screen and wait until it computes."""
    twin = tab.locator(f".computed-{name}").first
    twin.scroll_into_view_if_needed()
    twin.locator(".computed-live").wait_for()
    if twin.locator(".open").count():  # its network is loaded when it is asked for
        twin.locator(".open").click()
        twin.locator(".open").wait_for(state="detached")
    return twin


@pytest.mark.parametrize(("path", "name"), PLACES)
def test_figure_wakes_in_its_place_and_can_be_read_by_all(visit, axe, path, name):
    tab = visit.open(path)
    twin = wake(tab, name)
    assert twin.locator("output").first.inner_text().strip()
    assert not twin.locator("img").first.is_visible()
    # The page around it is that of test_page.
    place = f".computed-{name}"
    problems = violations(tab, axe, "light", place) + violations(tab, axe, "dark", place)
    for width in WIDTHS:
        problems += overflow(tab, width)
        awake = twin.bounding_box()["height"]
        live = twin.locator(".computed-live")
        high, wide = live.evaluate(
            "e => [e.scrollHeight - e.clientHeight, e.scrollWidth - e.clientWidth]"
        )
        if high > 0 or wide > 0:
            problems.append(f"at {width} px {high} px too high, {wide} px too wide")
        asleep = live.evaluate(
            """e => {
            const twin = e.parentElement, after = e.nextSibling;
            e.remove();
            twin.classList.remove("computed-awake");
            const height = twin.getBoundingClientRect().height;
            twin.insertBefore(e, after);
            twin.classList.add("computed-awake");
            return height;
        }"""
        )
        if abs(asleep - awake) > 1:
            problems.append(f"at {width} px {asleep} px high asleep, {awake} px awake")
    problems += visit.problems
    assert not problems, "\n".join(problems)
    show_as_printed(tab)
    assert twin.locator("img").first.is_visible()
    assert not twin.locator(".computed-live").is_visible()


@pytest.mark.parametrize(("path", "name"), [place for place in PLACES if trained(place[1])])
@pytest.mark.parametrize("width", WIDTHS)
def test_picture_of_a_trained_network_has_the_room_that_it_needs(visit, path, name, width):
    visit.tab.set_viewport_size({"width": width, "height": 800})
    tab = visit.open(path)
    twin = tab.locator(f".computed-{name}").first
    asleep = twin.bounding_box()["height"]
    twin.scroll_into_view_if_needed()
    twin.locator(".open").wait_for()
    assert twin.bounding_box()["height"] == pytest.approx(asleep, abs=1)  # nothing below moves
    live, picture = (twin.locator(f".computed-live{part}") for part in ("", " > img"))
    assert live.bounding_box()["height"] - picture.bounding_box()["height"] < 60  # the button


def test_cell_answers_the_keyboard_with_the_numbers_of_the_package(visit):
    twin = wake(visit.open("book/intro.html"), "cell")
    sliders = twin.get_by_role("slider")
    for _ in range(4):
        sliders.nth(0).press("ArrowRight")  # the input, from 1 by 0.05
    twin.get_by_role("combobox").select_option("f")
    sliders.nth(5).press("Home")  # the bias of the forget gate: -6
    twin.get_by_role("button", name="Next step").press("Enter")

    params = {"weight_ih": [[2.0], [0], [1], [0]], "weight_hh": [[0.0], [0], [0.5], [1]]}
    params |= {"bias_ih": [-1.0, -6, 0, 1], "bias_hh": [0.0] * 4}
    params = {name: np.array(value) for name, value in params.items()}
    first = (np.full((1, 1), 0.2), np.full((1, 1), 1.5))
    _, _, tape = forward("lstm", params, np.full((2, 1, 1), 1.2), first)
    i, f, g, o, tanh_c = tape.kept[:, 1].ravel()
    (_, c_before, c), (*_, h) = tape.states[1].ravel(), tape.states[0].ravel()
    wanted = [f, c_before, f * c_before, i, g, i * g, c, o, tanh_c, h]
    said = twin.locator("output").inner_text().replace("−", "-")
    found = [float(number) for number in re.findall(r"-?\d+\.\d\d", said)]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=0.0051)
    assert not visit.problems


def test_first_page_shows_the_cell_and_one_way_to_start(visit):
    tab = visit.open("book/intro.html")
    (start,) = tab.locator("article a.sd-btn").all()
    assert start.get_attribute("href").endswith("primer.html")
    live = wake(tab, "cell").locator(".computed-live .drawing").bounding_box()
    assert live["y"] + live["height"] < 900  # the height of the screen


@pytest.mark.parametrize(("name", "path"), sorted({name: path for path, name in PLACES}.items()))
def test_figure_wakes_in_a_folder_of_files(browser, name, path):
    visit = Visit(browser, SITE.as_uri() + "/")
    wake(visit.open(path), name)
    assert not [problem for problem in visit.problems if f"/{computed.FOLDER}/" in problem]
    visit.context.close()


def test_without_javascript_the_twin_stands(browser, address):
    context = browser.new_context(java_script_enabled=False)
    for path, name in PLACES:
        tab = context.new_page()
        tab.goto(address + path, wait_until="domcontentloaded")
        tab.locator(f".computed-{name} img").first.wait_for()  # until it is visible
        assert tab.locator(".computed-live").count() == 0
        tab.close()
    context.close()
