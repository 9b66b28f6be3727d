"""Every page of the built book, as a browser shows it."""

import pytest
from conftest import SITE, show_as_printed

WIDTHS = (390, 320)


def unset_maths(tab):
    """Formulas that were not set, or were set as an error."""
    return tab.evaluate(
        """() => {
        const found = [];
        for (const node of document.querySelectorAll("mjx-merror, [data-mjx-error]"))
            found.push("maths error: " + node.textContent);
        const article = document.querySelector("article, main") || document.body;
        for (const node of article.querySelectorAll("span.math, div.math"))
            if (!node.querySelector("mjx-container"))
                found.push("maths not set: " + node.textContent.slice(0, 80));
        for (const node of document.querySelectorAll("mjx-container"))
            if (!node.querySelector("mjx-assistive-mml"))
                found.push("maths that a screen reader cannot read");
        return found;
    }"""
    )


def torn(tab):
    """Formulas whose comma may begin a line, and numbers whose % may."""
    return tab.evaluate(
        """() => {
        const found = [];
        for (const formula of document.querySelectorAll("article span.math")) {
            const next = formula.nextSibling;
            if (next?.nodeType === Node.TEXT_NODE && /^[.,;:?!)\\]]/.test(next.data)
                && getComputedStyle(formula.parentElement).whiteSpace !== "nowrap")
                found.push("a formula is torn from " + next.data.slice(0, 40));
        }
        const article = document.querySelector("article") ?? document.body;
        const texts = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) {
            const { data, parentElement } = texts.currentNode;
            if (/\\d (%|°C)/.test(data) && !parentElement.closest("pre, code, script"))
                found.push("a number is torn from its unit: " + data.slice(0, 40));
        }
        return found;
    }"""
    )


def broken_images(tab):
    return tab.evaluate(
        """() => Promise.all([...document.images].map(image => {
            image.loading = "eager";
            return image.decode().then(() => [], () => ["image not shown: " + image.src]);
        })).then(found => found.flat())"""
    )


def overflow(tab, width):
    """What makes a page wider than the screen."""
    tab.set_viewport_size({"width": width, "height": 800})
    return tab.evaluate(
        """width => {
        const root = document.scrollingElement;
        if (root.scrollWidth <= window.innerWidth && window.innerWidth === width) return [];
        const wide = [...document.querySelectorAll("main *")]
            .filter(node => node.getBoundingClientRect().right > width + 1)
            .slice(0, 3)
            .map(node => node.tagName.toLowerCase() + "." + node.className);
        return [`${root.scrollWidth} px wide at ${width} px: ${wide.join(", ")}`];
    }""",
        width,
    )


def violations(tab, axe, mode, within="html"):
    """What axe finds in a part of the page, with the theme in light or dark mode."""
    tab.evaluate(
        """mode => {
        document.documentElement.dataset.mode = mode;
        document.documentElement.dataset.theme = mode;
    }""",
        mode,
    )
    # colours change in a transition: measure them when it is over
    tab.add_style_tag(content="*, ::before, ::after { transition: none !important; }")
    if not tab.evaluate("() => 'axe' in window"):
        tab.evaluate(axe)
    found = tab.evaluate(
        """within => axe.run(within, {
            resultTypes: ["violations"],
            preload: false,  // it would look for imported style sheets at the wrong place
            rules: {"label-content-name-mismatch": {enabled: true}},
        }).then(result => result.violations.map(one => ({
            id: one.id,
            impact: one.impact,
            // axe does not read MathML: a header that is a formula has text all the same.
            nodes: one.nodes.filter(node => one.id !== "empty-table-header" ||
                !document.querySelector(node.target[0]).querySelector("math")).map(node =>
                node.target.join(" ") + ": " + (node.failureSummary || "").split("\\n").pop()),
        })))""",
        within,
    )
    return [
        f"{mode}: {one['id']} ({one['impact']}): {node}" for one in found for node in one["nodes"]
    ]


def test_page(visit, axe, page_path):
    tab = visit.open(page_path)
    problems = unset_maths(tab) + torn(tab) + broken_images(tab)
    problems += violations(tab, axe, "light") + violations(tab, axe, "dark")
    for width in WIDTHS:
        problems += overflow(tab, width)
    problems += visit.problems
    assert not problems, "\n".join([page_path, *problems])


def test_first_address_leads_to_the_first_page(visit):
    tab = visit.tab
    tab.goto(visit.address)
    tab.wait_for_url("**/book/intro.html")
    assert tab.locator("h1").first.inner_text().strip()
    assert not visit.problems


def test_maths_is_shown_in_its_own_letters(visit):
    tab = visit.open("book/notation.html")
    shown = tab.evaluate(
        "() => document.fonts.ready.then(fonts =>"
        " [...fonts].filter(font => font.status === 'loaded').map(font => font.family))"
    )
    assert {"MJXTEX", "MJXTEX-I"} <= set(shown)


def test_icons_are_drawn(visit):
    tab = visit.open("book/mathematics/forget-gate.html")
    without = tab.evaluate(
        """() => [...document.querySelectorAll("i, .fa-solid, .fas")]
            .filter(icon => !getComputedStyle(icon).maskImage.startsWith("url("))
            .map(icon => icon.outerHTML)"""
    )
    assert not without


# What a reader types, and where the first result leads, as far as it is given.
SEARCHES = {
    "forget gate": "book/mathematics/forget-gate.html",
    "dC": "book/algorithm/backward.html",
    "C_t": "book/mathematics/cell-state.html#",
    "GRU vs LSTM": "book/concepts/variants.html",
    "vanishing gradient": "book/background/rnn-limits.html#vanishing-and-exploding-gradients",
    "overfitting": "book/glossary.html#term-overfitting",
    "seq2seq": "book/glossary.html#term-seq2seq",
    "initialization": "book/glossary.html#term-initialization",
}


def found(tab, words):
    """Addresses and excerpts of what a search finds."""
    tab.locator(".bd-search-container input").fill(words)
    tab.locator(f"#search-results[data-found='{words}'] li").first.wait_for(timeout=20_000)
    return tab.evaluate(
        """() => [...document.querySelectorAll("#search-results li")]
            .map(one => [one.querySelector("a").href, one.querySelector("p").textContent])"""
    )


@pytest.mark.parametrize("kept", ["on a server", "in a folder"])
def test_search_finds_pages(visit, kept):
    if kept == "in a folder":
        visit.address = f"{SITE.as_uri()}/"
    tab = visit.open("search.html")
    for words, page in SEARCHES.items():
        results = found(tab, words)
        assert results[0][0].startswith(visit.address + page)
        for _, excerpt in results:
            assert "import " not in excerpt and "\\" not in excerpt
    assert not visit.problems


def test_search_leads_to_the_index(visit):
    tab = visit.open("search.html")
    tab.locator("a[href='genindex.html']").click()
    entries = tab.locator(".indextable a").all_inner_texts()
    assert {"C_t (cell state)", "eta η (learning rate)", "seq2seq", "xLSTM"} <= set(entries)
    tab.set_viewport_size({"width": 390, "height": 800})
    columns = tab.locator(".indextable td").evaluate_all("all => all.map(one => one.offsetWidth)")
    assert min(columns) > 300


def test_search_box_opens_the_results(visit):
    tab = visit.open("book/intro.html")
    tab.keyboard.press("Control+k")
    tab.locator("input[type=search]:visible").first.fill("gate")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/search.html?q=gate*")
    tab.locator("#search-results li a").first.wait_for(timeout=20_000)


def test_keyboard_skips_to_the_text_and_shows_where_it_is(visit):
    tab = visit.open("book/mathematics/forget-gate.html")
    tab.keyboard.press("Tab")
    assert tab.evaluate("() => document.activeElement.hash") == "#main-content"
    unseen = tab.evaluate(
        """() => {
        const all = "a[href], button, input, select, textarea, summary, [tabindex='0']";
        const shown = [...document.querySelectorAll(all)].filter(
            one => one.checkVisibility({visibilityProperty: true}));
        return shown.filter(one => {
            one.focus();
            const {outlineStyle, outlineWidth} = getComputedStyle(one);
            return document.activeElement !== one || outlineStyle === "none"
                || outlineWidth === "0px";
        }).map(one => one.outerHTML.slice(0, 120));
    }"""
    )
    assert not unseen
    tab.locator("button.toggle-button").first.focus()
    tab.keyboard.press("Enter")
    assert tab.locator(".solution section").first.is_visible()


def test_arrow_keys_turn_pages_and_scroll_boxes(visit):
    visit.tab.set_viewport_size({"width": 390, "height": 800})
    tab = visit.open("book/appendix/benchmarks.html")
    box = tab.locator(".pst-scrollable-table-container[tabindex]").first
    box.focus()
    tab.keyboard.press("ArrowRight")
    tab.wait_for_function("box => box.scrollLeft > 0", arg=box.element_handle())
    box.blur()
    after = tab.locator("link[rel=next]").evaluate("link => link.href")
    tab.keyboard.press("ArrowRight")
    tab.wait_for_url(after)


def test_print_shows_all_of_the_code(visit):
    tab = visit.open("book/algorithm/backward.html")
    show_as_printed(tab)
    tab.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    cut = tab.evaluate(
        """() => [...document.querySelectorAll(".bd-article pre")]
            .filter(code => code.clientHeight && code.scrollWidth > code.clientWidth)
            .map(code => code.textContent.slice(0, 80))"""
    )
    assert not cut
    solutions = tab.locator(".solution section")
    assert solutions.count() and all(one.is_visible() for one in solutions.all())


def test_dark_mode_button_changes_the_theme_and_is_kept(visit):
    tab = visit.open("book/intro.html")
    seen = set()
    for _ in range(3):
        tab.locator("button.theme-switch-button:visible").first.click()
        seen.add(tab.evaluate("() => document.documentElement.dataset.mode"))
    assert seen == {"light", "dark", "auto"}
    while tab.evaluate("() => document.documentElement.dataset.mode") != "dark":
        tab.locator("button.theme-switch-button:visible").first.click()
    tab = visit.open("book/notation.html")
    assert tab.evaluate("() => document.documentElement.dataset.theme") == "dark"


def test_contents_open_on_a_phone(visit):
    visit.tab.set_viewport_size({"width": 390, "height": 800})
    tab = visit.open("book/intro.html")
    link = tab.locator("nav.bd-docs-nav a", has_text="Notation").first
    assert not link.is_visible() or link.bounding_box()["x"] < 0
    tab.locator("button.primary-toggle").first.click()
    tab.wait_for_function(
        "() => document.querySelector('.bd-sidebar-primary').getBoundingClientRect().left >= 0"
    )
    link.click()
    tab.wait_for_url("**/book/notation.html")


def test_code_of_solutions_unfolds(visit):
    with_solution = [
        path
        for path in sorted(SITE.glob("book/*/*.html"))
        if 'class="solution dropdown' in path.read_text(encoding="utf-8")
    ]
    if not with_solution:
        pytest.skip("no page has a folded solution")
    tab = visit.open(str(with_solution[0].relative_to(SITE)))
    solution = tab.locator("div.solution.dropdown").first
    content = solution.locator("section, .section").first
    assert not content.is_visible()
    solution.locator("button.toggle-button, summary").first.click()
    assert content.is_visible()
