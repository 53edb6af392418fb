"""What the source may not call: whatever executes what a file says, or reaches the network."""

from __future__ import annotations

import ast
from collections.abc import Iterator

MODULES = {
    *("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal", "jsonpickle"),
    *("urllib.request", "requests", "httpx", "http.client", "ftplib", "socket", "telnetlib"),
    *("huggingface_hub", "gdown"),
}
"""Never imported."""

CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "tempfile.mktemp"),
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "yaml.unsafe_load_all"),
    *("yaml.Loader", "yaml.UnsafeLoader", "yaml.FullLoader", "yaml.dump"),
    *("pd.read_pickle", "pandas.read_pickle", "joblib.load", "joblib.dump", "nib.load"),
    *("nibabel.load", "torch.hub.load", "np.fromfile", "torch.jit.load"),
}
"""Never called; ``nib.load`` because it believes headers."""

NEEDED = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
}
"""Called only with a keyword, as a constant."""


def breaches(source: str) -> Iterator[str]:
    """What a file of source does that it may not, with the line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for name in _imported(node):
                if any(name == module or name.startswith(f"{module}.") for module in MODULES):
                    yield f"line {node.lineno} imports {name}"
        elif isinstance(node, ast.Call):
            yield from _of_call(node)


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]


def _of_call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    given = {word.arg: getattr(word.value, "value", word.value) for word in node.keywords}
    if name in CALLS:
        yield f"line {node.lineno} calls {name}"
    if name in NEEDED and given.get(NEEDED[name][0]) is not NEEDED[name][1]:
        yield f"line {node.lineno} calls {name} without {NEEDED[name][0]}={NEEDED[name][1]}"
    if "allow_pickle" in given and given["allow_pickle"] is not False:
        yield f"line {node.lineno} allows pickle"
    if given.get("shell", False) is not False:
        yield f"line {node.lineno} calls {name} with a shell"
