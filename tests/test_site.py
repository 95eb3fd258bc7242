"""The documentation site: complete, with valid numpydoc docstrings, built without a warning, and fit for a phone."""

import ast
import functools
import http.server
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import threading
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import minirobust as mr
from minirobust.study.store import held

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"


def listed():
    """Return the names of all objects that have a page of their own."""
    tables = re.compile(r"currentmodule:: (\S+)\n\n\.\. autosummary::\n(?:   :.*\n)+\n((?:   \S+\n)+)")
    pages = [page.read_text(encoding="utf-8") for page in sorted(REFERENCE.glob("*.md"))]
    return [f"{module}.{name}" for page in pages for module, names in tables.findall(page) for name in names.split()]


def resolved(name):
    """Return the object of a dotted name; an attribute goes before a module of the same name, as in `attacks.fgsm`."""
    found, path = import_module(name.split(".")[0]), name.split(".")[0]
    for part in name.split(".")[1:]:
        path += f".{part}"
        found = getattr(found, part) if hasattr(found, part) else import_module(path)
    return found


NEEDS = {"minirobust.MLPClassifier": "sklearn"}
PUBLIC = {name: resolved(name) for name in listed() if name not in NEEDS or find_spec(NEEDS[name])}
# What the library itself calls, and what a subclass overrides, whose parent's docstring says it all.
INSIDE = {"bind", "expect", "expect_declared", "expect_logits", "check_input", "fresh", "join", "states", "view"}
METHODS = {
    f"{name}.{key}": value
    for name, kind in PUBLIC.items()
    if inspect.isclass(kind) and name.removeprefix("minirobust.") in mr.__all__
    for key, value in vars(kind).items()
    if not key.startswith("_") and inspect.isfunction(value) and value.__doc__ and key not in INSIDE
    if not any(hasattr(parent, key) for parent in kind.__bases__)
}


def test_every_public_name_has_a_page():
    modules = ["minirobust", "minirobust.attacks", "minirobust.certify", "minirobust.foreign", "minirobust.masking"]
    public = {f"{module}.{name}": module for module in modules for name in import_module(module).__all__}
    names = [name for name in public if name not in NEEDS or find_spec(NEEDS[name])]
    things = {name: resolved(name) for name in names}
    documented = list(PUBLIC.values())
    assert [name for name, thing in things.items() if callable(thing) and thing not in documented] == []


# Docstrings

# What numpydoc may find: https://numpydoc.readthedocs.io/en/latest/validation.html
REQUIRED = {
    "GL07": "sections in another order",
    "GL08": "no docstring",
    "PR01": "undocumented parameters",
    "PR02": "unknown parameters",
    "PR03": "parameters in another order",
    "RT01": "no Returns",
    "SS05": "a summary in the third person",
    "SS06": "a summary of several lines",
    "YD01": "no Yields",
}
# Where a reader begins: an example is due.
EXAMPLES_DUE = [
    "minirobust.Network",
    "minirobust.fit",
    "minirobust.gradcheck",
    "minirobust.trace",
    "minirobust.save",
    "minirobust.load",
    "minirobust.attacks.fgsm",
    "minirobust.attacks.pgd",
    "minirobust.attacks.pixel",
    "minirobust.certify.crown",
    "minirobust.audit",
    "minirobust.foreign.function",
    "minirobust.robustness.network_robustness",
    "minirobust.regimes.bounds",
    "minirobust.saliency.magnitude",
    "minirobust.models.mlp",
    "data_loaders.Split",
    "data_loaders.load_mnist",
]


def has_section(thing, section):
    return re.search(rf"^ *{section}\n *-+$", thing.__doc__ or "", re.MULTILINE) is not None


def is_documented_by_attributes(thing):
    """Tell whether a class takes what its Attributes section lists, or is built like its parent or like any error."""
    if not inspect.isclass(thing):
        return False
    return has_section(thing, "Attributes") or "__init__" not in vars(thing) or issubclass(thing, Exception)


def test_public_docstrings_are_complete():
    validate = pytest.importorskip("numpydoc.validate", reason="numpydoc is not installed").validate
    faults = {}
    for name, thing in (PUBLIC | METHODS).items():
        found = dict(validate(f"{thing.__module__}.{thing.__qualname__}")["errors"])
        if is_documented_by_attributes(thing) or getattr(thing, "_is_protocol", False):
            found.pop("PR01", None)
        if has_section(thing, "Yields"):
            found.pop("RT01", None)
        faults |= {(name, code): text for code, text in found.items() if code in REQUIRED}
    assert faults == {}


def raised(function):
    """Return the names of the exceptions that a function's own body raises."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc is not None]
    names = [call.func.id for call in calls if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)]
    return set(names) - {"NotImplementedError"}


def test_public_docstrings_name_what_is_raised():
    unnamed = []
    for name, thing in (PUBLIC | METHODS).items():
        if inspect.isfunction(thing):
            section = re.search(r"^ *Raises\n *-+\n(.*)", thing.__doc__, re.MULTILINE | re.DOTALL)
            unnamed += [(name, error) for error in raised(thing) if not section or error not in section[1]]
    assert unnamed == []


def test_entry_points_have_an_example():
    assert [name for name in EXAMPLES_DUE if not has_section(PUBLIC[name], "Examples")] == []


# The site


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The built site, which takes minutes and is therefore shared by the processes of pytest-xdist."""
    for package in ("sphinx", "sphinx_gallery", "pydata_sphinx_theme", "sphinx_design", "sphinx_copybutton", "sklearn"):
        if not find_spec(package):
            pytest.skip(f'{package} is not installed: python -m pip install -e ".[docs,interop]"')
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # that of all processes
    pages = folder / "site"
    with held(pages):
        if not pages.exists():
            build(folder / "building").rename(pages)
    return pages


def build(pages):
    """Build the site; the sources stay where they are, so that the gallery runs only what has changed."""
    shutil.rmtree(REFERENCE / "generated", ignore_errors=True)  # with pages of objects that are gone
    environment = os.environ | {"GITHUB_REPOSITORY": "someone/minirobust", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "docs", str(pages)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert built.returncode == 0, built.stderr
    return pages


def pages_of(site):
    """Return all pages but the study's report, which is a document of its own."""
    return sorted(page for page in site.rglob("*.html") if not {"_downloads", "_static", "results"} & set(page.parts))


@pytest.mark.slow
def test_links_of_the_site_lead_somewhere(site):
    missing = []
    for page in (*pages_of(site), site / "results/report.html"):
        text = page.read_text(encoding="utf-8")
        for link in set(re.findall(r'(?:href|src)="([^"#?]+)[^"]*"', text)):
            if not re.match(r"https?:|data:|mailto:", link) and not (page.parent / link).exists():
                missing.append((page.name, link))
    assert missing == []


@pytest.mark.slow
def test_pages_load_nothing_from_other_hosts(site):
    for page in pages_of(site):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(
            r'<(?:script|img|iframe)[^>]*\ssrc="([^"]+)"|<link rel="stylesheet"[^>]*href="([^"]+)"', text
        )
        assert [link for pair in loaded for link in pair if link.startswith(("http", "//"))] == [], page.name


@pytest.mark.slow
def test_a_page_offers_its_source_its_version_and_to_be_edited(site):
    page = (site / "reference/generated/minirobust.Dense.html").read_text(encoding="utf-8")
    assert "[source]" in page
    assert (site / "_modules/minirobust/layers/dense.html").exists()
    page = (site / "explanation/temperature.html").read_text(encoding="utf-8")
    assert 'href="https://github.com/someone/minirobust/edit/main/docs/explanation/temperature.md"' in page
    assert mr.__version__ in page


@pytest.mark.slow
def test_every_example_is_a_page_with_a_notebook(site):
    examples = {path.stem for path in (ROOT / "examples").glob("*.py")} - {"command_line"}
    if not find_spec("torch"):
        examples.remove("audit_torch_module")
    assert {page.stem for page in (site / "gallery").glob("*.html")} - {"index"} == examples
    notebooks = {path.stem: json.loads(path.read_text("utf-8")) for path in site.glob("_downloads/*/*.ipynb")}
    assert examples <= set(notebooks)
    for name, notebook in notebooks.items():
        code = "".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
        assert "command_line" not in code, name  # a notebook has none
    assert len(list((site / "_images").glob("sphx_glr_mnist_mlp_001*"))) > 0


# In a browser

WIDTHS = (390, 1280)
# Listings and tables scroll within themselves, and the theme's side bars wait beside the page.
OVERFLOWING = """() => [...document.querySelectorAll('body *')].filter(e => {
    const box = e.getBoundingClientRect();
    const scrolls = 'pre, .pst-scrollable-table-container, dialog, .bd-sidebar-primary, .bd-sidebar-secondary';
    const shown = box.width > 0 && e.checkVisibility({checkVisibilityCSS: true, checkOpacity: true});
    return shown && box.right > innerWidth + 1 && !e.closest(scrolls);
}).map(e => e.tagName + '.' + e.className)"""
FAINT = """() => {
    const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const over = (top, below) => { const a = top[3] ?? 1; return [0, 1, 2].map(i => top[i] * a + below[i] * (1 - a)); };
    const behind = e => {
        const layers = [];
        for (let p = e; p; p = p.parentElement) layers.push(parse(getComputedStyle(p).backgroundColor));
        return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
    };
    const faint = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const e = walker.currentNode.parentElement, style = getComputedStyle(e);
        const shown = e.checkVisibility({checkVisibilityCSS: true, checkOpacity: true});
        if (!shown || !walker.currentNode.data.trim() || e.closest('svg, script, style')) continue;
        const back = behind(e), front = over(parse(style.color), back);
        const [a, b] = [light(front), light(back)].sort((a, b) => b - a);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < 4.5) faint.push([ratio.toFixed(2), walker.currentNode.data.trim().slice(0, 30), e.className]);
    }
    return faint;
}"""


@pytest.fixture(scope="session")
def address(site):
    """The address of a server of the site on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    handler = functools.partial(Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_overflows_and_text_has_contrast(width, scheme, site, address, browser):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab = context.new_page()
    wrong = {}
    for page in pages_of(site):
        if "_modules" in page.parts or ("generated" in page.parts and page.stem.count(".") > 1):
            continue  # hundreds of one kind
        name = page.relative_to(site).as_posix()
        tab.goto(f"{address}/{name}")
        found = tab.evaluate(OVERFLOWING) + tab.evaluate(FAINT)
        if tab.evaluate("document.documentElement.scrollWidth") > width:
            found.append("the page scrolls sideways")
        if found:
            wrong[name] = found[:5]
    context.close()
    assert wrong == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("install", "install.html"),
        ("tutorial", "tutorial/"),
        ("gradient check", "tutorial/4-backprop.html"),
        ("resume", "how-to/resume.html"),
    ],
)
def test_search_finds(words, page, address, browser):
    tab = browser.new_page()
    tab.goto(f"{address}/search.html?q={words.replace(' ', '+')}")
    tab.wait_for_selector("#search-results li a")
    tab.wait_for_timeout(1000)
    links = tab.eval_on_selector_all("#search-results li a", "found => found.map(a => a.getAttribute('href'))")
    assert any(page in link for link in links[:10]), links[:10]
