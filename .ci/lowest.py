"""Print the lowest versions that pyproject.toml allows, also of some extras, for pip: python lowest.py test fast"""

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
extras = [project["optional-dependencies"][extra] for extra in sys.argv[1:]]
for requirement in [*project["dependencies"], *(each for extra in extras for each in extra)]:
    name, version = re.fullmatch(r"([\w.-]+)>=([\d.]+)", requirement).groups()
    print(f"{name}=={version}.*" if "." in version else f"{name}=={version}.0.*")
