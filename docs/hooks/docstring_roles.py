"""Docstrings as pages want them: roles as links, and examples as code.

They name objects by roles, as ``:func:`xrano.maps.rectify```; pages show a link where the object
has a place, and its name where it has none.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:func|class|meth|mod|data|attr|exc):`(~?)\.?([\w.]+)`")
_EXAMPLE = re.compile(r"^( *)Example:$", re.MULTILINE)
_GIVEN = re.compile(r"^( *(?:Returns|Yields):\n +)(?=[^\n]*:)", re.MULTILINE)


class DocstringRoles(griffe.Extension):
    """Rewrites every docstring as it is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for each module, class, function and attribute."""
        if obj.docstring is not None:
            text = _ROLE.sub(lambda role: _link(role, obj), obj.docstring.value)
            # Griffe knows the plural alone as a section of examples.
            text = _EXAMPLE.sub(r"\1Examples:", text)
            if isinstance(obj, griffe.Function):
                # It takes what stands before a colon for the type; so the type comes first.
                text = _GIVEN.sub(lambda head: f"{head[1]}{obj.returns}: ", text)
            obj.docstring.value = text


def _link(role: re.Match[str], obj: griffe.Object) -> str:
    name = role[2]
    path = name if name.startswith("xrano.") else f"{_scope(obj, name)}.{name}"
    shown = name.rpartition(".")[2] if role[1] else name
    return f'<autoref identifier="{path}" optional><code>{shown}</code></autoref>'


def _scope(obj: griffe.Object, name: str) -> str:
    """Where a bare name is to be looked up: the class that has it, or the module."""
    owner = obj if obj.is_class else obj.parent
    if owner is not None and owner.is_class and name.partition(".")[0] in owner.members:
        return owner.path
    return obj.module.path
