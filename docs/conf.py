"""How the documentation is built: `sphinx-build -W docs build/docs`."""

import logging
import os
import re
import shutil
import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import gallery_pages

from minirobust.explore import export

project = "minirobust"
author = "minirobust developers"
version = release = version_of("minirobust")
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["images", "gallery/*.ipynb", "gallery/*.py"]
templates_path = ["_templates"]
default_role = "code"
smartquotes = False  # an option such as --full keeps its hyphens
copybutton_prompt_text = r"\$ |\(Pdb\) |>>> |\.\.\. "  # prompts, which are not copied
copybutton_prompt_is_regexp = True
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

# The reference
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings describe types in words, with shapes and ranges
autodoc_inherit_docstrings = False  # a layer's page does not repeat the docstrings of Layer
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
viewcode_line_numbers = True

# The gallery
gallery_pages.write_sources()
sphinx_gallery_conf = gallery_pages.CONFIGURATION
logging.getLogger("minirobust").setLevel(logging.WARNING)  # do not print which backend "auto" takes

# The theme
html_theme = "pydata_sphinx_theme"
html_title = f"{project} {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_use_index = False  # the reference is the index
html_sidebars = {"index": [], "install": []}
pygments_style = "a11y-high-contrast-light"
# The repository in which readers can edit a page; the host that builds the site names it.
repository = os.environ.get("READTHEDOCS_GIT_CLONE_URL", "").removesuffix(".git")
if "GITHUB_REPOSITORY" in os.environ:
    repository = f"https://github.com/{os.environ['GITHUB_REPOSITORY']}"
html_context = {
    "default_mode": "auto",
    "edit_page_url_template": repository
    + "/edit/main/{% if file_name.startswith('gallery/') %}examples/{{ file_name[8:-4] }}.py"
    + "{% else %}docs/{{ file_name }}{% endif %}",
}
html_theme_options = {
    "logo": {"text": html_title},
    "navbar_end": ["theme-switcher"],
    "use_edit_page_button": bool(repository),
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc", "edit-this-page"],
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "show_toc_level": 2,
    "header_links_before_dropdown": 8,
}


def keep_formulas(app, what, name, obj, options, lines):
    """Escape text that docutils would take for markup: |net| is a magnitude, (N, *shape) a shape, classes_ a name."""
    lines[:] = [re.sub(r"\||(?<=, )\*|(?<=\w)_(?![\w`])", r"\\\g<0>", line) for line in lines]


def leave_out_inherited(app, what, name, thing, skip, options):
    """Leave out the methods that scikit-learn adds to its estimators; its own documentation describes them."""
    return skip or re.fullmatch(r"set_\w+_request", name) is not None


def edit_what_is_written(app, pagename, templatename, context, doctree):
    """Hide the edit button on generated pages, which have no file in docs/."""
    if pagename.startswith("reference/generated/") or pagename == "gallery/index":
        context["theme_use_edit_page_button"] = False


def link_to_results(app, docname, source):
    """Turn links to the study's report and tables into plain ones, since Sphinx would copy each file on its own."""
    source[0] = re.sub(r"\[([^]]*)\]\((\.\./results/[^)]+\.(?:html|json|csv))\)", r'<a href="\2">\1</a>', source[0])


def copy_results(app, exception):
    """Copy the study's results, in which the report links to the tables beside it."""
    if exception is None:
        shutil.copytree(Path(app.srcdir) / "results", Path(app.outdir) / "results", dirs_exist_ok=True)


def write_the_page_with_the_slider(app):
    """Write the page of `minirobust explore` for the front page, unless it exists; this takes a minute."""
    path = Path(app.srcdir) / "_static" / "explore.html"
    if not path.exists():
        export.write(None, path)


def setup(app):
    app.connect("builder-inited", write_the_page_with_the_slider)
    app.connect("autodoc-process-docstring", keep_formulas, priority=400)
    app.connect("autodoc-skip-member", leave_out_inherited)
    app.connect("source-read", gallery_pages.link_to_gallery)
    app.connect("source-read", link_to_results)
    app.connect("html-page-context", edit_what_is_written)
    app.connect("build-finished", copy_results)
