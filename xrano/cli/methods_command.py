"""``xrano methods``."""

from __future__ import annotations

from typing import Any

from xrano.cli.answers import Answer
from xrano.cli.terminal import table_text

EXAMPLE = "xrano methods --method ig"

JSON_KEYS = {
    "methods": "name, title, citation, fits, signed, multiplicative, coarse, stochastic, "
    "baselines, settings, captum and needs of each",
    "baselines": "those made of the scans",
    "references": "baselines made of other pairs or maps, with their meaning",
}


def run(method: str = "") -> Answer:
    """List the attribution methods: what each needs, and which networks it fits.

    Args:
        method: tell everything about one; all in a table if not given.
    """
    from xrano.attribution.baselines import BASELINES, REFERENCES
    from xrano.attribution.method_table import METHODS
    from xrano.attribution.requests import MethodRequest

    if method:
        request = MethodRequest.parse(method)
        found = [_facts(request.method, request.spec)]
    else:
        found = [_facts(name, spec) for name, spec in METHODS.items()]
    values = {"methods": found, "baselines": list(BASELINES), "references": dict(REFERENCES)}
    return Answer(_details(found[0]) if method else _overview(values), values)


def _facts(name: str, spec: Any) -> dict[str, Any]:
    """One method, for scripts."""
    return {
        "name": name,
        "title": spec.title,
        "citation": spec.citation,
        "fits": spec.fits,
        "signed": spec.signed,
        "multiplicative": spec.multiplicative,
        "coarse": spec.coarse,
        "stochastic": spec.stochastic,
        "baselines": list(spec.baselines),
        "settings": list(spec.settings),
        "captum": spec.captum,
        "needs": str(spec.groups or ""),
    }


def _overview(values: dict[str, Any]) -> str:
    heads = ["name", "what it is", "signed", "× input", "grid", "draws", "Captum", "fits"]
    rows = [
        [
            one["name"],
            one["title"],
            "yes" if one["signed"] else "no",
            "yes" if one["multiplicative"] else "no",
            "cells" if one["coarse"] else "voxels",
            "yes" if one["stochastic"] else "no",
            one["captum"] or "–",
            one["fits"],
        ]
        for one in values["methods"]
    ]
    compared = [one["name"] for one in values["methods"] if one["baselines"]]
    lines = [
        table_text([heads, *rows]),
        "any other method of Captum's by its class: captum.Deconvolution, captum.KernelShap, …",
        "",
        f"baselines, as in ig:prior, of {', '.join(compared)}:",
        f"  made of the scans: {', '.join(values['baselines'])}",
        *(f"  {name}: {meaning}" for name, meaning in values["references"].items()),
        "× input: follows input − baseline, on an untrained network too",
    ]
    return "\n".join(lines)


def _details(one: dict[str, Any]) -> str:
    scaled = ", scaled by input − baseline" if one["multiplicative"] else ""
    lines = [
        f"{one['name']}: {one['title']} ({one['citation']})",
        f"fits: {one['fits']}",
        f"values: {'signed' if one['signed'] else 'never negative'}, on "
        f"{'the cells of a layer' if one['coarse'] else 'voxels'}{scaled}",
        f"baselines: {', '.join(one['baselines']) or 'none'}",
        f"settings: {', '.join(one['settings']) or 'none'}",
        f"Captum's class: {one['captum'] or 'none'}",
    ]
    return "\n".join([*lines, *([f"needs: {one['needs']}"] if one["needs"] else [])])
