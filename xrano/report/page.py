"""Fill a template and make the page self-contained: style, script and pictures lie in the file."""

from __future__ import annotations

import base64
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

DISCLAIMER = "Research software, not a medical device."


def render_page(template: str, **values: Any) -> str:
    """A page from one of ``templates/``; whatever is not ``Markup`` is escaped.

    Args:
        template: its file name.
        **values: what it shows.

    Raises:
        jinja2.UndefinedError: if the template needs a value that is not given.

    Example:
        >>> "&lt;script&gt;" in render_page("base.html.j2", title="<script>")
        True
    """
    return _environment().get_template(template).render(disclaimer=DISCLAIMER, **values)


def png_source(picture: bytes) -> str:
    """The ``src`` of a PNG that lies in the page itself.

    Example:
        >>> png_source(b"abc")
        'data:image/png;base64,YWJj'
    """
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


def static_text(name: str) -> Markup:
    """A file of ``static/`` to put between ``<style>`` or ``<script>`` tags.

    The browser ends a script at the first ``</script``, wherever it stands, so that is broken up.
    """
    text = (files("xrano.report") / "static" / name).read_text(encoding="utf-8")
    return Markup(text.replace("</script", "<\\/script"))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("xrano.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(static_text=static_text, png_source=png_source)
    return environment
