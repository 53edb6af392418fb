"""``xrano methods``."""

from __future__ import annotations

EXAMPLE = "xrano methods --method ig"


def run(method: str = "") -> None:
    """List the attribution methods: what each needs, and which networks it fits.

    Args:
        method: tell everything about one; all in a table if not given.
    """
    from xrano.attribution.baselines import BASELINES, REFERENCES
    from xrano.attribution.method_table import METHODS, spec_of

    if method:
        print(_details(method))
        return
    heads = ["name", "what it is", "signed", "× input", "grid", "draws", "Captum", "fits"]
    rows = [
        [
            name,
            spec.title,
            "yes" if spec.signed else "no",
            "yes" if spec.multiplicative else "no",
            "cells" if spec.coarse else "voxels",
            "yes" if spec.stochastic else "no",
            spec.captum or "–",
            spec.fits,
        ]
        for name, spec in METHODS.items()
    ]
    table = [heads, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(heads))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    print("any other method of Captum's by its class: captum.Deconvolution, captum.KernelShap, …")
    compared = [name for name in METHODS if spec_of(name).baselines]
    print(f"\nbaselines, as in ig:prior, of {', '.join(compared)}:")
    print(f"  made of the scans: {', '.join(BASELINES)}")
    for name, meaning in REFERENCES.items():
        print(f"  {name}: {meaning}")
    print("× input: follows input − baseline, on an untrained network too")


def _details(method: str) -> str:
    from xrano.attribution.requests import MethodRequest

    request = MethodRequest.parse(method)
    spec = request.spec
    lines = [
        f"{request.method}: {spec.title} ({spec.citation})",
        f"fits: {spec.fits}",
        f"values: {'signed' if spec.signed else 'never negative'}, on "
        f"{'the cells of a layer' if spec.coarse else 'voxels'}"
        f"{', scaled by input − baseline' if spec.multiplicative else ''}",
        f"baselines: {', '.join(spec.baselines) or 'none'}",
        f"settings: {', '.join(spec.settings) or 'none'}",
        f"Captum's class: {spec.captum or 'none'}",
    ]
    if spec.groups:
        lines.append(f"needs: {spec.groups}")
    return "\n".join(lines)
