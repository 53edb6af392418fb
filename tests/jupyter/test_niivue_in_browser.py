"""The volumes of the viewer in three dimensions, drawn by niivue: left, right, front and back."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image
from report.viewer_cases import LESION_MM, left_lesion, oblique_grid, plain_grid, voxel_map

from xrano.jupyter.niivue_picture import crosshair_of
from xrano.jupyter.niivue_volumes import colour_bytes, colours_of, scan_bytes, viewer_frame
from xrano.jupyter.picture import Look
from xrano.report.viewer import niivue_base64

PAGE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<canvas width="900" height="600" style="width:900px;height:600px"></canvas>
<script type="module">
const packed = Uint8Array.from(atob("NIIVUE"), (letter) => letter.charCodeAt(0));
const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
const script = document.createElement("script");
script.textContent = await new Response(stream).text();
document.head.append(script);
const given = GIVEN;
const nv = new niivue.Niivue({
  isRadiologicalConvention: given.radiological, sagittalNoseLeft: given.radiological,
  isSliceMM: true, isOrientationTextVisible: false, crosshairWidth: 0, show3Dcrosshair: false,
  backColor: [0, 0, 0, 1], loadingText: "", logLevel: "error", dragAndDropEnabled: false,
});
await nv.attachToCanvas(document.querySelector("canvas"), false);
for (const [name, content] of given.volumes) {
  nv.addVolume(await niivue.NVImage.loadFromBase64({ base64: content, name }));
}
nv.setSliceType(nv.sliceTypeMultiplanar);
nv.scene.crosshairPos = given.crosshair;
nv.drawScene();
window.nv = nv;
</script>"""

AXIAL, SAGITTAL = 0, 2
"""niivue's numbers of planes."""


def page_of(path, grid, what, radiological):
    case = left_lesion(grid)
    frame = viewer_frame(case)
    attribution = voxel_map(case, "saliency", "PD", LESION_MM)
    look = Look(outlines=False)
    contents = {
        "scan": [("scan.nii.gz", scan_bytes(case, "CT1", frame))],
        "map": [("map.nii.gz", colour_bytes(colours_of(case, attribution, look, frame), frame))],
    }[what]
    given = {
        "radiological": radiological,
        "volumes": [(name, base64.b64encode(content).decode()) for name, content in contents],
        "crosshair": crosshair_of(LESION_MM, frame),
    }
    text = PAGE.replace("NIIVUE", niivue_base64()).replace("GIVEN", json.dumps(given))
    path.write_text(text, encoding="utf-8")
    return path


def tile(page, kind):
    """The pixels that niivue drew a plane on."""
    page.wait_for_function("window.nv !== undefined && window.nv.screenSlices.length > 2")
    left, top, width, height = (
        round(one)
        for one in page.evaluate(
            "kind => [...window.nv.screenSlices.find("
            "(slice) => slice.axCorSag === kind).leftTopWidthHeight]",
            kind,
        )
    )
    shot = page.locator("canvas").screenshot()
    pixels = np.array(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)
    return pixels[top : top + height, left : left + width]


def centre(found):
    rows, columns = np.nonzero(found)
    return columns.mean() / found.shape[1], rows.mean() / found.shape[0]


@pytest.mark.parametrize("what", ["scan", "map"])
@pytest.mark.parametrize("radiological", [True, False])
@pytest.mark.parametrize("grid", [oblique_grid(), plain_grid((110, 130, 16), (1.4, 1.4, 9))])
def test_a_lesion_on_the_patients_left_is_drawn_there(
    open_page, tmp_path, grid, what, radiological
):
    page = open_page(page_of(tmp_path / "page.html", grid, what, radiological))
    for kind, towards in ((AXIAL, radiological), (SAGITTAL, not radiological)):
        pixels = tile(page, kind)
        if what == "scan":
            found = pixels.min(axis=2) > 230
        else:
            found = pixels.max(axis=2) - pixels.min(axis=2) > 40
        assert found.sum() > 50
        column, _ = centre(found)
        # Axial: the left of the patient. Sagittal: the lesion lies in front of the middle.
        assert (column > 0.5) if towards else (column < 0.5)
        if kind == AXIAL:
            assert abs(column - 0.5) > 0.1
