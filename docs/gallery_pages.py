"""Turn the scripts of `examples/` into the gallery's sources.

A page of the gallery is also a notebook, which has no command line.  A page is therefore the script with its options
written out as a block of settings.  Some settings are reduced so that the whole gallery is built in two minutes.
"""

import re
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "build" / "examples"

# In the order of the gallery: the title of each example, and the settings of its page that differ from the script's.
EXAMPLES = {
    "mnist_mlp": ("Train, measure and attack a network", {"epochs": 4, "samples": 1000, "mini": True}),
    "step_through_backprop": ("Step through backpropagation", {}),
    "step_through_cnn": ("Step through a convolution", {}),
    "own_layer": ("Check a custom layer", {}),
    "batch_norm": ("Write batch normalization", {}),
    "fgsm_epsilon": ("FGSM over a range of ε", {"epochs": 5, "samples": 500}),
    "pixel_attack": ("Change one, two or three pixels", {"epochs": 10, "samples": 200}),
    "ugly_images": ("The images with the largest input gradients", {"epochs": 5, "samples": 500}),
    "false_zeros": ("Gradients that rounding turns to zero", {"samples": 1000, "mini": True}),
    "audit_low_temperature": (
        "Audit networks at low temperature",
        {"temperatures": "(1 / 64, 1.0)", "epochs": 5, "samples": 50},
    ),
    "sharpen_after_training": (
        "Change the temperature after training",
        {"epochs": 5, "epsilons": "(0.1,)", "samples": 20},
    ),
    "adversarial_training": ("Adversarial training", {"epochs": 3, "samples": 50}),
    "cifar10_cnn": ("A convolutional network", {"epochs": 1, "samples": 200}),
    "audit_torch_module": ("Audit a PyTorch module", {"epochs": 2, "samples": 50}),
}

# The thumbnail of an example that draws no picture shows its code from this line on.
SHOWN_CODE = {
    "step_through_backprop": "net = mr.Network(",
    "step_through_cnn": "net = mr.Network(",
    "own_layer": "class Swish",
    "batch_norm": "class BatchNorm",
    "false_zeros": "class Textbook",
    "audit_low_temperature": "    for T, network in networks",
    "adversarial_training": "def train_adversarially",
    "audit_torch_module": "class Rounded",
}

HEADER = """\
Examples
========

Each example is a one-page lesson that runs on the data that come with the package.  Download it as a notebook or as a
script at the end of its page.  The pages use fewer epochs and images than the scripts in ``examples/``, which take
their settings as options: ``--epochs 30``, ``--temperature 1/64``.  ``--full`` selects the full-size data (see
:doc:`/install`), and ``--help`` lists all options.
"""

SHOW_PICTURES = """\
from pathlib import Path

from IPython.display import Image, display

for picture in sorted(Path("results").glob("*.png")):
    display(Image(picture))"""

CONFIGURATION = {
    "examples_dirs": str(SOURCES),
    "gallery_dirs": "gallery",
    "filename_pattern": ".",
    "within_subsection_order": "gallery_pages.position",
    "image_scrapers": ("gallery_pages.saved_pictures",),
    "first_notebook_cell": "%pip install minirobust",
    "last_notebook_cell": SHOW_PICTURES,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "remove_config_comments": True,
    "only_warn_on_example_error": True,  # -W makes an error of the warning
}


def position(name):
    """Return the position of a page in the gallery."""
    return list(EXAMPLES).index(Path(name).stem)


def page(name, title, settings, script):
    """Return the source of one page: a docstring in reStructuredText, the settings, the lesson.

    Parameters
    ----------
    name, title : str
    settings : dict
        The value, as Python source, of each setting of the page that differs from the script's.
    script : str
        The text of the example.
    """
    docstring, code = re.fullmatch(r'"""(.*?)\n?"""\n(.*)', script, re.DOTALL).groups()
    paragraphs = docstring.replace("|", r"\|").split("\n\n")
    text = [literal(paragraph) if paragraph.startswith("python ") else paragraph for paragraph in paragraphs]
    head = "\n\n".join([f"{title}\n{'=' * len(title)}", *text])
    code = without_options(name, code, settings)
    if name in SHOWN_CODE:
        thumbnail = Path("..") / SOURCES.relative_to(ROOT) / f"{name}.png"
        code += f'\n\n# sphinx_gallery_thumbnail_path = "{thumbnail.as_posix()}"\n'
    return f'"""\n{head}\n"""\n{code}'


def literal(text):
    """Return lines as a literal block."""
    return "::\n\n" + "\n".join(f"    {line}" for line in text.splitlines())


def without_options(name, code, settings):
    """Return an example's code with settings in place of options, and `main()` in a separate cell."""
    code = re.sub(r"^command_line\.options\(__doc__\).*\n\n", "", code, flags=re.MULTILINE)
    for setting, value in settings.items():
        code, found = re.subn(rf"^    {setting}=(\(.*?\)|[^,]*),", f"    {setting}={value},", code, flags=re.MULTILINE)
        if found != 1:
            raise ValueError(f"{name}: expected one setting {setting!r}, got {found}: see EXAMPLES in {__file__}")
    code = re.sub(r'^    (output|network)=("[^"]*")', r"    \1=Path(\2)", code, flags=re.MULTILINE)
    code = code.replace("command_line.options(\n    __doc__,", "SimpleNamespace(")
    needed = [("pathlib", "Path"), ("types", "SimpleNamespace")]
    imports = "".join(f"from {module} import {what}\n" for module, what in needed if f"{what}(" in code)
    code = re.sub(r"^import command_line .*\n", f"{imports}\n" if imports else "", code, flags=re.MULTILINE)
    return code.replace('if __name__ == "__main__":\n    main()', "# %%\n\nmain()")


def draw_thumbnail(name, script):
    """Draw an example's code, from the line in `SHOWN_CODE` on, as its thumbnail."""
    lines = script[script.index(SHOWN_CODE[name]) :].splitlines()[:16]
    figure = Figure(figsize=(4, 2.8))
    figure.text(0.03, 0.95, dedent("\n".join(lines)), family="monospace", fontsize=9, verticalalignment="top")
    figure.savefig(SOURCES / f"{name}.png", dpi=100)


def write_sources():
    """Write the gallery's sources; an unchanged page keeps its file, so sphinx-gallery does not run it again."""
    SOURCES.mkdir(parents=True, exist_ok=True)
    pages = {"GALLERY_HEADER.rst": HEADER}
    for name, (title, settings) in EXAMPLES.items():
        if name != "audit_torch_module" or find_spec("torch"):
            script = (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8")
            pages[f"{name}.py"] = page(name, title, settings, script)
            if name in SHOWN_CODE:
                draw_thumbnail(name, script)
    for name, text in pages.items():
        path = SOURCES / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def saved_pictures(block, block_vars, gallery_conf):
    """Move the picture that an example has saved into the gallery, and return it as reStructuredText."""
    source = Path(block_vars["src_file"])
    picture = source.parent / "results" / f"{source.stem}.png"
    if not picture.exists():
        return ""
    place = next(block_vars["image_path_iterator"])
    picture.replace(place)
    return figure_rst([place], gallery_conf["src_dir"])


def link_to_gallery(app, name, content):
    """Turn a link to a script, which works on GitHub, into a link to the script's page in the gallery."""
    content[0] = re.sub(r"\]\((?:\.\./)+examples/(\w+)\.py\)", r"](/gallery/\1.rst)", content[0])
