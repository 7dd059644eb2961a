"""`make docs`: a site in which no link is broken, and that asks nobody else for anything."""

import ast
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from service import surface
from tests.docs.reference import ROOT

DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
BLOCK = re.compile(r"(?ms)^```python\n(.*?)^```")
LINK = re.compile(r"(?<!`)\[[^\]]+\]\(([^)\s#]+)[^)]*\)")


class Requests(HTMLParser):
    """What a browser would ask others for when it shows a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        asked = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
        address = dict(attrs).get(asked.get(tag, ""), None)
        if address and re.match(r"(https?:)?//", address):
            self.found.append(address)


def build(source: Path, target: Path) -> "subprocess.CompletedProcess[str]":
    command = str(Path(sys.executable).with_name("sphinx-build"))
    options = ["--quiet", "--fail-on-warning", "--keep-going", "--conf-dir", str(DOCS)]
    return subprocess.run(
        [command, *options, str(source), str(target)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    done = build(DOCS, target)
    assert done.returncode == 0, done.stderr
    return target


def test_every_page_is_on_it_and_can_be_found(site: Path) -> None:
    missing = [
        page
        for page in DOCS.rglob("*.md")
        if not (site / page.relative_to(DOCS)).with_suffix(".html").is_file()
    ]
    assert missing == []
    words = (site / "searchindex.js").read_text()
    for word in ("quarantin", "tombston", "metrics_port"):
        assert word in words


def test_it_asks_nobody_else_for_anything(site: Path) -> None:
    found = Requests()
    for page in site.rglob("*.html"):
        found.feed(page.read_text())
    assert found.found == []
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", style.read_text()), style


def test_the_public_names_are_in_the_reference(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text()
    names = [name for name in vars(surface) if not name.startswith("_")]
    missing = [name for name in names if f'id="clerk_user_sync.{name}"' not in page]
    assert missing == [], f"docs/reference/python.md: add {missing}"


def test_a_broken_link_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "index.md").write_text("# A page\n\n[nowhere](nowhere.md)\n")
    done = build(tmp_path, tmp_path / "built")
    assert done.returncode != 0
    assert "nowhere" in done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text())
    links = [link for link in LINK.findall(text) if "://" not in link and "mailto:" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_its_python_is_python(page: Path) -> None:
    for code in BLOCK.findall(page.read_text()):
        ast.parse(code)
