"""Every page of the built book, as a browser shows it."""

import pytest

WIDTHS = (390, 320)
# Moderate findings that the book does not accept either.
RULES = {"region", "label-content-name-mismatch"}


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


def broken_images(tab):
    return tab.evaluate(
        """() => [...document.images]
            .filter(image => image.loading !== "lazy" && !(image.complete && image.naturalWidth))
            .map(image => "image not shown: " + image.src)"""
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


def violations(tab, axe, mode):
    """What axe finds serious or critical, with the theme in light or dark mode."""
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
        """() => axe.run(document, {
            resultTypes: ["violations"],
            preload: false,  // it would look for imported style sheets at the wrong place
            rules: {"label-content-name-mismatch": {enabled: true}},
        }).then(result => result.violations.map(one => ({
            id: one.id,
            impact: one.impact,
            nodes: one.nodes.map(node =>
                node.target.join(" ") + ": " + (node.failureSummary || "").split("\\n").pop()),
        })))"""
    )
    return [
        f"{mode}: {one['id']} ({one['impact']}): {node}"
        for one in found
        if one["impact"] in ("serious", "critical") or one["id"] in RULES
        for node in one["nodes"]
    ]


def test_page(visit, axe, page_path):
    tab = visit.open(page_path)
    problems = unset_maths(tab) + broken_images(tab)
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


def test_maths_is_set_from_the_site_itself(visit):
    loaded = []
    visit.tab.on("request", lambda request: loaded.append(request.url))
    tab = visit.open("book/notation.html")
    assert tab.locator("mjx-container").count() > 0
    assert any("_static/mathjax/tex-chtml.js" in url for url in loaded)


def test_search_finds_pages(visit):
    tab = visit.open("search.html?q=forget")
    tab.locator("#search-results li a").first.wait_for(timeout=10_000)
    assert tab.locator("#search-results li").count() >= 2
    assert not visit.problems


def test_search_box_opens_the_results(visit):
    tab = visit.open("book/intro.html")
    tab.locator("button.search-button-field").first.click()
    tab.locator("input[type=search]:visible").first.fill("gate")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/search.html?q=gate*")
    tab.locator("#search-results li a").first.wait_for(timeout=10_000)


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
    from conftest import SITE

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
