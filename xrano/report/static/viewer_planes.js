/* The three planes: what they show, where they stand, and the words for a place. */
"use strict";

/* World axes: 0 to the right, 1 to the front, 2 up. `kind` is niivue's number of the plane. */
const PLANES = {
  axial: { kind: 0, normal: 2, columns: 0, rows: 1 },
  coronal: { kind: 1, normal: 1, columns: 0, rows: 2 },
  sagittal: { kind: 2, normal: 0, columns: 1, rows: 2 },
};
const LETTERS = [["L", "R"], ["P", "A"], ["I", "S"]];
const NARROW = 620;

function signed(mm) {
  const text = Math.abs(mm) < 0.05 ? "0" : Math.abs(mm).toFixed(1).replace(/\.0$/, "");
  return `${text === "0" ? "" : mm < 0 ? "−" : "+"}${text}`;
}

/* Where each plane stands, in shares of width and height, and height over width. */
function tiles([width, depth, height], narrow) {
  const gap = 0.008;
  if (!narrow) {
    const total = (2 * width + depth) / (1 - 2 * gap);
    const tall = Math.max(depth, height);
    const place = (left, wide, high) => [left, (1 - high / tall) / 2, wide / total, high / tall];
    return {
      ratio: tall / total,
      axial: place(0, width, depth),
      coronal: place(width / total + gap, width, height),
      sagittal: place((2 * width) / total + 2 * gap, depth, height),
    };
  }
  const upper = depth / width;
  const lower = (height * (1 - gap)) / (width + depth);
  const ratio = upper + gap + lower;
  const share = (1 - gap) / (width + depth);
  return {
    ratio,
    axial: [0, 0, 1, upper / ratio],
    coronal: [0, (upper + gap) / ratio, width * share, lower / ratio],
    sagittal: [width * share + gap, (upper + gap) / ratio, depth * share, lower / ratio],
  };
}
