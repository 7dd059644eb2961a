"""The documentation as a site: `make docs`. Decision 18 says why Sphinx with Furo."""

import re
import sys
from pathlib import Path
from types import ModuleType

from pygments.lexers.sql import PostgresLexer
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parents[1]))

from service import surface

# The package is `clerk_user_sync` only when it is built: here its names are under their folders.
package = ModuleType("clerk_user_sync")
for name, value in vars(surface).items():
    if not name.startswith("_"):
        setattr(package, name, value)
sys.modules["clerk_user_sync"] = package

project = "clerk-user-sync"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 3
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types of other libraries, which this site does not have
default_role = "literal"
autodoc_typehints = "signature"
autodoc_class_signature = "separated"
autodoc_member_order = "bysource"
html_theme = "furo"
html_title = "clerk-user-sync"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["site.css"]

LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
"""A link of Markdown: its text, and where it leads."""


def setup(app: Sphinx) -> None:
    app.add_lexer("sql", PostgresLexer)  # knows `$1` and `$$`, which are errors in plain SQL
    app.connect("source-read", without_links_to_the_repository)


def without_links_to_the_repository(app: Sphinx, document: str, source: list[str]) -> None:
    """The site has the documentation alone: of a link to our code, the text remains."""
    pages, folder = Path(app.srcdir), Path(app.srcdir, document).parent

    def kept(link: re.Match[str]) -> str:
        there = (folder / link[2].partition("#")[0]).resolve()
        return link[1] if there.exists() and not there.is_relative_to(pages) else link[0]

    source[0] = LINK.sub(kept, source[0])
