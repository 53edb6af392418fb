"""What the source may not call: whatever executes what a file says, or reaches the network.

Names are followed to where they come from, so that ``from os import system as run`` is seen as
well, and what may not be called may not be handed on either.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Mapping

MODULES = {
    *("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal", "jsonpickle"),
    *("urllib.request", "requests", "httpx", "http.client", "ftplib", "socket", "telnetlib"),
    *("huggingface_hub", "gdown", "runpy", "code", "imp", "pty"),
}
"""Never imported."""

CALLS = {
    *("builtins.eval", "builtins.exec", "builtins.compile", "builtins.__import__"),
    *("os.system", "os.popen", "os.startfile", "os.posix_spawn", "os.posix_spawnp"),
    *("subprocess.getoutput", "subprocess.getstatusoutput", "tempfile.mktemp"),
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "yaml.unsafe_load_all"),
    *("yaml.Loader", "yaml.UnsafeLoader", "yaml.FullLoader", "yaml.dump", "yaml.full_load_all"),
    *("pandas.read_pickle", "pandas.eval", "joblib.load", "joblib.dump", "nibabel.load"),
    *("torch.hub.load", "torch.hub.load_state_dict_from_url", "torch.jit.load", "numpy.fromfile"),
    "shutil.unpack_archive",
}
"""Never called; ``nibabel.load`` because it believes headers."""

FAMILIES = ("os.exec", "os.spawn")
"""How names begin of which none is called, but to start the same Python anew."""

NEEDED = {
    "torch.load": ("weights_only", True),
    "numpy.load": ("allow_pickle", False),
}
"""Called only with a keyword, as a constant."""

_USUAL = {"np": "numpy", "pd": "pandas", "nib": "nibabel"}


def breaches(source: str) -> Iterator[str]:
    """What a file of source does that it may not, with the line."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    origins = {**_USUAL, **_origins(nodes)}
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from _of_import(node)
        elif isinstance(node, ast.Call):
            yield from _of_call(node, origins)
        elif isinstance(node, (ast.Name, ast.Attribute)) and id(node) not in called:
            name = _full_name(node, origins)
            if _is_forbidden(name) or name in NEEDED:
                yield f"line {node.lineno} hands on {name}"


def unbounded(source: str) -> Iterator[str]:
    """Where JSON of a file is read without the bounds of :mod:`xrano.text_files`."""
    nodes = list(ast.walk(ast.parse(source)))
    origins = _origins(nodes)
    for node in nodes:
        if isinstance(node, ast.Call):
            name = _full_name(node.func, origins)
            read = any("read" in ast.unparse(part) for part in node.args)
            if name == "json.load" or (name == "json.loads" and read):
                yield f"line {node.lineno} reads JSON of a file by {name}"


def _origins(nodes: list[ast.AST]) -> dict[str, str]:
    """Names that imports bind, anywhere in the file, to what they stand for."""
    found = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update({alias.asname: alias.name for alias in node.names if alias.asname})
        elif isinstance(node, ast.ImportFrom) and not node.level:
            named = {alias.asname or alias.name: alias.name for alias in node.names}
            found.update({name: f"{node.module}.{own}" for name, own in named.items()})
    return found


def _full_name(node: ast.expr, origins: Mapping[str, str]) -> str:
    """The dotted name of an expression by its origin; empty for what is no such name."""
    if isinstance(node, ast.Attribute):
        before = _full_name(node.value, origins)
        return f"{before}.{node.attr}" if before else ""
    if not isinstance(node, ast.Name):
        return ""
    return origins.get(node.id, f"builtins.{node.id}" if hasattr(builtins, node.id) else node.id)


def _is_forbidden(name: str) -> bool:
    return name in CALLS or name.startswith(FAMILIES)


def _of_import(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    for name in _imported(node):
        module = any(name == known or name.startswith(f"{known}.") for known in MODULES)
        if module or _is_forbidden(name):
            yield f"line {node.lineno} imports {name}"
    if any(alias.name == "*" for alias in node.names):
        yield f"line {node.lineno} imports whatever there is"


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    # With its dots a module of this package has no name of anybody else's.
    module = "." * node.level + (node.module or "")
    return [module, *(f"{module}.{alias.name}" for alias in node.names)]


def _of_call(node: ast.Call, origins: Mapping[str, str]) -> Iterator[str]:
    name = _full_name(node.func, origins)
    given = {word.arg: getattr(word.value, "value", word.value) for word in node.keywords}
    if _is_forbidden(name) and not _starts_itself(name, node):
        yield f"line {node.lineno} calls {name}"
    if name in NEEDED and given.get(NEEDED[name][0]) is not NEEDED[name][1]:
        yield f"line {node.lineno} calls {name} without {NEEDED[name][0]}={NEEDED[name][1]}"
    if "allow_pickle" in given and given["allow_pickle"] is not False:
        yield f"line {node.lineno} allows pickle"
    if given.get("shell", False) is not False:
        yield f"line {node.lineno} calls {name} with a shell"
    if isinstance(node.func, ast.Attribute):
        yield from _of_method(node, node.func)


def _starts_itself(name: str, node: ast.Call) -> bool:
    return name.startswith(FAMILIES) and ast.unparse(node.args[0]) == "sys.executable"


def _of_method(node: ast.Call, method: ast.Attribute) -> Iterator[str]:
    """Methods by their name, of whatever they are."""
    if method.attr == "eval" and (node.args or node.keywords):
        # model.eval() takes nothing, a table's takes what it executes.
        yield f"line {node.lineno} evaluates text by .eval"
    if method.attr == "query" and "tree" not in ast.unparse(method.value).lower():
        # A tree of places is asked for the nearest, a table executes text.
        yield f"line {node.lineno} evaluates text by .query"
    if method.attr in ("extractall", "read_pickle", "to_pickle"):
        yield f"line {node.lineno} calls .{method.attr}"
