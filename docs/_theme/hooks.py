"""Hooks of the documentation site: files outside `docs`, links to them, Markdown copies of the pages, and `llms.txt`.

Pages link to files of the repository as a repository viewer needs it (`../../examples/adder.py`). The hooks publish
these files as pages (`PUBLISHED`) and change the links.
"""

import ast
import base64
import json
import posixpath
import re
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation, Section
from mkdocs.structure.pages import Page

PUBLISHED = ("CONTRIBUTING.md", "CHANGELOG.md", "examples/*.py", "examples/*.ipynb")
"""Files outside `docs` that are pages of the site, as patterns relative to the repository."""

_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
_FENCE = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)
_REFERENCE = re.compile(r"^::: ([\w.]+)\n", re.MULTILINE)

_published: dict[str, str] = {}
"""Path of each published page in the site, and its path in the repository."""
_markdown: dict[str, str] = {}
"""Markdown of each page, by its path in the site."""
_nav: list[Navigation] = []


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the published files as pages."""
    _published.clear()
    _markdown.clear()
    root = _root(config)
    for path in sorted(path for pattern in PUBLISHED for path in root.glob(pattern)):
        name = path.relative_to(root).as_posix()
        address = _address(name)
        _published[address] = name
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            text, images = notebook_page(json.loads(text), path.stem)
            for image, content in images.items():
                files.append(File.generated(config, f"examples/{image}", content=content))
        elif path.suffix == ".py":
            text = program_page(text, name)
        files.append(File.generated(config, address, content=text))
    return files


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:
    """Keeps the navigation for `llms.txt`."""
    _nav[:] = [nav]
    return nav


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Changes links to files of the repository into links to their pages, and widens the home page."""
    address = page.file.src_uri
    if page.is_homepage:
        page.meta["hide"] = ["navigation", "toc"]
    source = _published.get(address, f"docs/{address}")
    parts = _FENCE.split(markdown)
    parts[::2] = [_LINK.sub(lambda link: _site_link(link, source, address), part) for part in parts[::2]]
    _markdown[address] = "".join(parts)
    return _markdown[address]


def on_post_build(config: MkDocsConfig) -> None:
    """Writes the Markdown of each page next to its HTML, and `llms.txt`."""
    site = Path(config.site_dir)
    package = griffe.load("symscope", search_paths=[_root(config) / "src"], allow_inspection=False)
    for address, markdown in _markdown.items():
        text = _REFERENCE.sub(lambda name: reference_text(package, name.group(1)), markdown)
        (site / address).write_text(text, encoding="utf-8")
    (site / "llms.txt").write_text(llms_text(config.site_name, config.site_description or ""), encoding="utf-8")


def llms_text(name: str, summary: str) -> str:
    """The text of `llms.txt`: a section for each heading of the navigation, a line for each page (llmstxt.org)."""
    sections: dict[str, list[str]] = {}
    for item in _nav[0].items:
        pages = item.children if isinstance(item, Section) else [item]
        sections.setdefault(item.title if isinstance(item, Section) else "Overview", []).extend(
            _line(page) for page in pages if isinstance(page, Page)
        )
    lists = [f"## {title}\n\n" + "\n".join(lines) for title, lines in sections.items()]
    return "\n\n".join([f"# {name}", f"> {summary}", *lists]) + "\n"


def _line(page: Page) -> str:
    address = page.file.src_uri
    return f"- [{page.title}]({address}): {first_sentence(_markdown[address])}"


def first_sentence(markdown: str) -> str:
    """The first sentence of the first paragraph of a page, without marks."""
    text = re.sub(r"^```.*?^```|<!--.*?-->", "", markdown, flags=re.MULTILINE | re.DOTALL)
    paragraphs = [paragraph.strip() for paragraph in text.split("\n\n")]
    prose = next((p for p in paragraphs if (p and p[0].isalnum()) or p[:1] in "`*["), "")
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", " ".join(prose.split())).replace("**", "")
    return re.split(r"(?<=[.:?!]) ", plain, maxsplit=1)[0].rstrip(":")


def reference_text(package: griffe.Module, name: str) -> str:
    """The signature and the docstring of a public name, as Markdown."""
    member: Any = package[name.removeprefix("symscope.")]
    member = member.final_target if member.is_alias else member
    kinds = (griffe.Kind.FUNCTION, griffe.Kind.CLASS)
    signature = f"```python\n{member.signature()}\n```\n\n" if member.kind in kinds else ""
    return f"### {name}\n\n{signature}{member.docstring.value if member.docstring else ''}\n\n"


def program_page(text: str, name: str) -> str:
    """A page with a Python program: the first line of its docstring, the command, the code."""
    purpose = (ast.get_docstring(ast.parse(text)) or "A program of the repository.").splitlines()[0]
    return f"# {Path(name).name}\n\n{purpose}\n\nRun it with `python {name}`.\n\n```python\n{text.rstrip()}\n```\n"


def notebook_page(notebook: dict[str, Any], stem: str) -> tuple[str, dict[str, bytes]]:
    """A notebook with its outputs as Markdown, and the images that the page shows, by file name."""
    parts: list[str] = []
    images: dict[str, bytes] = {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", []):
            data = {kind: "".join(text) for kind, text in output.get("data", {}).items()}
            if "image/png" in data:
                image = f"{stem}-{len(images)}.png"
                images[image] = base64.b64decode(data["image/png"])
                parts.append(f'<img src="{image}" alt="Output of the cell above">')
            elif "text/html" in data:
                html = re.sub(r"\n\s*", " ", data["text/html"])  # Markdown would end the element at an empty line
                parts.append(f'<div class="output">{html}</div>')
            elif text := data.get("text/plain") or "".join(output.get("text", [])):
                parts.append(f"```text\n{text.rstrip()}\n```")
    return "\n\n".join(parts) + "\n", images


def _root(config: MkDocsConfig) -> Path:
    return Path(config.config_file_path or "mkdocs.yml").resolve().parent


def _address(name: str) -> str:
    """Path in the site of a file of the repository."""
    return re.sub(r"\.(py|ipynb)$", ".md", name)


def _site_link(link: re.Match[str], source: str, address: str) -> str:
    """A link of a page, where it leads out of `docs`, changed to the address in the site."""
    before, target, after = link.groups()
    if "://" in target or target.startswith("mailto:"):
        return link.group()
    name = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    if name.startswith("docs/"):
        target_address = name.removeprefix("docs/")
    elif _address(name) in _published:
        target_address = _address(name)
    else:
        raise PluginError(f"{source} links {target}, which is no page of the site: link a published file ({PUBLISHED})")
    return before + posixpath.relpath(target_address, posixpath.dirname(address) or ".") + after
