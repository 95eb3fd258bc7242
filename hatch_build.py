"""The package's description: the README with its pictures inside, since it is shown without the files beside it."""

import re
from base64 import b64encode
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface


class Readme(MetadataHookInterface):
    """Set `readme`, which pyproject.toml declares as dynamic."""

    def update(self, metadata):
        root = Path(self.root)
        text = re.sub(
            r"\]\(([^():]+\.png)\)",
            lambda found: f"]({embedded(root / found[1])})",
            (root / "README.md").read_text("utf-8"),
        )
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def embedded(picture):
    """Return a picture as a data URI."""
    return f"data:image/png;base64,{b64encode(picture.read_bytes()).decode()}"
