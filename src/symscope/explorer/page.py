"""The page: one HTML file with its data, its style and its script, which loads nothing and accepts no other script."""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jinja2
from markupsafe import Markup

import symscope
from symscope.report.charts import scheme_variables

SCRIPTS = ("arrays", "networks", "algorithm", "swap", "state", "python", "view", "map", "drag", "main")
"""Parts of the script, in order; each sees the names of those before it."""
RANDOM_PAIRS = 200
"""Pairs that the button of the page tests; the script has the same number."""
HEADING = "Swap the variable yourself"
DATA_ID = "explorer-data"
"""Id of the element with the document."""

_ESCAPED = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def render_page(document: Mapping[str, Any]) -> str:
    """The page of a document as HTML text.

    Names of the user stand in the page as escaped text, or in the data, which no script is read from. The content
    security policy names the script and the style by their hashes, so no other script runs, nothing is loaded and
    nothing is sent; text that becomes markup is refused as well (trusted types).
    """
    templates = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader("symscope.explorer"), jinja2.PackageLoader("symscope.report")]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    colours = {"light": Markup(scheme_variables("light")), "dark": Markup(scheme_variables("dark"))}
    style = "".join(templates.get_template(name).render(colours) for name in ("style.css", "explorer.css"))
    script = script_text(templates)
    return templates.get_template("explorer.html").render(
        heading=HEADING,
        title=document["title"],
        report=document["report"],
        version=symscope.__version__,
        policy=content_policy(script, style),
        style=Markup(style),
        script=Markup(script),
        data=Markup(json_in_html(document)),
        random_pairs=RANDOM_PAIRS,
    )


def script_text(templates: jinja2.Environment) -> str:
    """The script of the page: its parts in one function, so that their names stay out of the global ones."""
    assert templates.loader is not None
    parts = [templates.loader.get_source(templates, f"{name}.js")[0] for name in SCRIPTS]
    return '(() => {\n  "use strict";\n' + "\n".join(parts) + "})();"


def json_in_html(document: Mapping[str, Any]) -> str:
    """The document as JSON that can stand in a script element: no character of it ends the element or a line."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(_ESCAPED)


def content_policy(script: str, style: str) -> str:
    """The content security policy of a page with this script and this style."""
    rules = {
        "default-src": "'none'",
        "script-src": f"'{_hash(script)}'",
        "style-src": f"'{_hash(style)}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
