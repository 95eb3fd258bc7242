"""How the documentation is built: ``sphinx-build -W docs build/docs``."""

project = "minirobust"
author = "minirobust developers"
extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
exclude_patterns = ["images"]
myst_heading_anchors = 3
html_theme = "alabaster"
html_static_path = []
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings give types in words, with shapes and ranges
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
default_role = "code"


def keep_formulas(app, what, name, obj, options, lines):
    """Escape what docutils would take for markup: |net| is a magnitude, and (N, *shape) is a shape."""
    lines[:] = [line.replace("|", r"\|").replace(", *", r", \*") for line in lines]


def setup(app):
    app.connect("autodoc-process-docstring", keep_formulas, priority=400)
