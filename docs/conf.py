"""The site: pages in Markdown, notebooks, and the reference out of the docstrings.

``make docs`` builds it strictly: a broken link, or a docstring that does not render, fails.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import generate

from selfmis_plugin import __version__

project = "SelfMIS plugin"
author = copyright = "The SelfMIS plugin developers"
release = version = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
# Written anew at each build.
generate.write_pages(Path(__file__).parent / "generated")

html_theme = "furo"
html_title = f"SelfMIS plugin {__version__}"
exclude_patterns = ["results/**"]
# Notebooks are executed by make test-slow, on a cohort; here they are shown.
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

napoleon_google_docstring = False
napoleon_use_rtype = False
# Attributes of named tuples are members as well.
napoleon_use_ivar = True
napoleon_custom_sections = ["Shapes"]
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
# What a package hands on is shown where it lies.
autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    "ignore-module-all": True,
}

# Roles in docstrings must lead somewhere; the types of signatures are other libraries' too, whose
# pages a build without a network does not see.
nitpicky = True
nitpick_ignore_regex = [
    ("py:class", r".*"),
    ("py:obj", r".*"),
    ("py:.*", r"(?!selfmis_plugin).*"),
]
