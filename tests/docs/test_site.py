"""The documentation site: it lists every page and every public name, and opens from files without a request."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
import yaml
from tests.report.browser import CHROMIUM, Page

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src/symscope"
DOCS = ROOT / "docs"
REFERENCE = {page.name: page.read_text("utf-8") for page in sorted((DOCS / "reference").glob("*.md"))}
PACKAGES = (
    "algorithms", "alignment", "analysis", "checks", "comparison", "explorer", "figures", "interchange", "networks",
    "report", "runner", "studies", "tasks", "training", "wrapped",
)  # fmt: skip
LISTED = Counter(name for text in REFERENCE.values() for name in re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE))
"""How often each name is listed on the pages of the reference."""


class Settings(yaml.SafeLoader):
    """Reads mkdocs.yml, without the objects that its tags name."""


Settings.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


def statements(path: str) -> list[ast.stmt]:
    return ast.parse((SOURCE / path).read_text("utf-8")).body


def public_names() -> set[str]:
    """Each public name under its shortest address: symscope.align, symscope.networks.gru. Nothing is imported."""
    imports = [node for node in statements("__init__.pyi") if isinstance(node, ast.ImportFrom)]
    short = {(node.module, alias.name) for node in imports for alias in node.names}
    names = {f"symscope.{name}" for _, name in short}
    for package in PACKAGES:
        (exported,) = (
            ast.literal_eval(node.value)
            for node in statements(f"{package}/__init__.py")
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        )
        names |= {f"symscope.{package}.{name}" for name in exported if (f"symscope.{package}", name) not in short}
    return names


def defined_names(module: str) -> set[str]:
    """Classes and functions of a module of symscope."""
    defined = [node for node in statements(f"{module}.py") if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    return {f"symscope.{module}.{node.name}" for node in defined}


def test_each_public_name_is_on_one_page_of_the_reference():
    names = public_names()
    assert {name for name in names if not LISTED[name]} == set()
    assert {name for name, times in LISTED.items() if times > 1} == set()


def test_names_of_the_reference_exist():
    further = {name for module in ("errors", "statistics", "verdict") for name in defined_names(module)}
    assert set(LISTED) - public_names() - further == set()
    assert {name for name in further if name.startswith("symscope.errors.")} - set(LISTED) == {
        "symscope.errors.SymscopeError"  # listed as symscope.SymscopeError
    }


def nav_pages(entry) -> list[str]:
    """Pages of an entry of the navigation."""
    if isinstance(entry, str):
        return [entry]
    children = entry.values() if isinstance(entry, dict) else entry
    return [page for child in children for page in nav_pages(child)]


def test_the_navigation_lists_every_page_once():
    settings = yaml.load((ROOT / "mkdocs.yml").read_text("utf-8"), Settings)
    listed = Counter(nav_pages(settings["nav"]))
    examples = [path for pattern in ("*.py", "*.ipynb") for path in (ROOT / "examples").glob(pattern)]
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    pages |= {f"examples/{path.stem}.md" for path in examples} | {"CHANGELOG.md", "CONTRIBUTING.md"}
    assert set(listed) == pages
    assert max(listed.values()) == 1


# ------------------------------------------------------------------------------------------------- the built site

slow = pytest.mark.slow
RESOURCES = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "video": "src"}
"""Elements that a browser loads without a click, and the attribute with the address."""


class Document(HTMLParser):
    """Links, loaded resources and anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.resources, self.anchors = [], [], set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.anchors |= {values[key] for key in ("id", "name") if values.get(key)}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        elif tag in RESOURCES and values.get(RESOURCES[tag]) and values.get("rel") not in ("next", "prev"):
            self.resources.append(values[RESOURCES[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("mkdocstrings") is None:
        pytest.skip("needs MkDocs: pip install '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="module")
def documents(site):
    return {path: Document(path) for path in sorted(site.rglob("*.html"))}


def is_external(address: str) -> bool:
    return re.match(r"(\w+:)?//|mailto:|https?:", address) is not None


@slow
def test_every_link_and_anchor_exists(site, documents):
    faults, checked = [], 0
    for path, document in documents.items():
        if path.name == "404.html":  # its links start at the root of a server
            continue
        for link in [*document.links, *document.resources]:
            if is_external(link) or link.startswith("data:"):
                continue
            address, anchor = urldefrag(link)
            target = (path.parent / unquote(address)).resolve() if address else path
            if target.is_dir():
                target /= "index.html"
            anchors = documents[target].anchors if target in documents else set()
            if not target.is_file() or (anchor and unquote(anchor) not in anchors):
                faults.append((path.relative_to(site).as_posix(), link))
            checked += 1
    assert checked > 1_000
    assert faults == []


@slow
def test_no_page_loads_a_script_style_image_or_font_from_elsewhere(site, documents):
    external = {
        (path.name, address) for path, document in documents.items() for address in document.resources
        if is_external(address)
    }  # fmt: skip
    assert external == set()
    for style in site.rglob("*.css"):
        assert not re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style.read_text("utf-8")), style


@slow
def test_each_public_name_has_an_anchor_on_one_page(documents):
    anchors = Counter(anchor for path, document in documents.items() if "reference" in path.parts
                      for anchor in document.anchors)  # fmt: skip
    assert {name: anchors[name] for name in public_names() if anchors[name] != 1} == {}


@slow
def test_llms_txt_has_the_form_of_llmstxt_org_and_its_links_exist(site):
    text = (site / "llms.txt").read_text("utf-8")
    assert re.match(r"# symscope\n\n> \S.*\n\n## ", text)
    links = re.findall(r"^- \[.+?\]\((.+?)\): \S.*$", text, re.MULTILINE)
    assert len(links) == len(re.findall(r"^- ", text, re.MULTILINE)) > 50
    for link in links:
        markdown = (site / link).read_text("utf-8")
        assert markdown.startswith("# ") or "\n# " in markdown, link
        assert "\n::: " not in markdown, link


# ------------------------------------------------------------------------------------------------- in a browser

browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


@slow
@browser
@pytest.mark.parametrize(("size", "dark"), [((390, 844), True), ((1400, 1000), False)], ids=["phone", "wide"])
def test_every_page_opens_from_files_in_silence(site, documents, size, dark, tmp_path):
    """No console error, no request that leaves the folder, and no page wider than the screen."""
    faults = {}
    with Page(tmp_path, size, dark=dark) as page:
        for path in documents:
            if path.name == "404.html":
                continue
            page.said.clear()
            page.requests.clear()
            page.open(path)
            title = page.value("document.querySelector('h1') !== null")
            wide = page.value("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            left = [url for url in page.requests if not url.startswith((site.as_uri(), "data:", "about:"))]
            if not title or wide > 0 or page.said or left:
                faults[path.relative_to(site).as_posix()] = (title, wide, page.said[:], left)
    assert faults == {}


@slow
@browser
def test_the_search_finds_a_name_in_a_page_that_is_opened_from_files(site, tmp_path):
    with Page(tmp_path, (1400, 1000)) as page:
        page.open(site / "index.html")
        found = page.value("""new Promise((done) => {
          const input = document.querySelector("input[name=query]");
          input.focus();
          input.value = "wrap_recurrent";
          input.dispatchEvent(new Event("input", { bubbles: true }));
          input.dispatchEvent(new KeyboardEvent("keyup", { bubbles: true, key: "t" }));
          const look = () => {
            const links = [...document.querySelectorAll(".md-search-result__link")].map((link) => link.href);
            if (links.length) done(links);
            else setTimeout(look, 100);
          };
          look();
        })""")
        assert any("reference/networks.html" in link for link in found)
        assert page.said == []
