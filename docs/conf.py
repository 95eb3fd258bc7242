"""How the documentation is built: ``sphinx-build -W docs build/docs``."""

project = "minirobust"
author = "minirobust developers"
extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
exclude_patterns = ["images"]
html_theme = "alabaster"
html_static_path = []
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say it in words, with shapes and ranges
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
default_role = "code"


def keep_formulas(app, what, name, obj, options, lines):
    """Docstrings are written for people: |net| is a magnitude there, and (N, *shape) a shape."""
    lines[:] = [line.replace("|", r"\|").replace("(N, *", r"(N, \*") for line in lines]


def setup(app):
    app.connect("autodoc-process-docstring", keep_formulas, priority=400)
