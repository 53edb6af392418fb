/* The outline of a mask on a slice: halfway between its voxels and their neighbours. */
"use strict";

/* Edges of a square that an outline joins, by which corners lie in the mask.
   Corners: 1 low-low, 2 high-low, 4 high-high, 8 low-high. Edges: 0 below, 1 high, 2 above, 3 low. */
const JOINED = [
  [], [[3, 0]], [[0, 1]], [[3, 1]], [[1, 2]], [[3, 2], [0, 1]], [[0, 2]], [[3, 2]],
  [[2, 3]], [[2, 0]], [[0, 3], [1, 2]], [[2, 1]], [[1, 3]], [[1, 0]], [[0, 3]], [],
];
const MIDDLE = [[0.5, 0], [1, 0.5], [0.5, 1], [0, 0.5]];

/* Lines as lists of [column, row] voxel positions; `inside(column, row)` for every voxel. */
function outlineOf(inside, columns, rows) {
  const next = new Map();
  const join = (from, to) => {
    for (const [one, other] of [[from, to], [to, from]]) {
      const known = next.get(one.join()) ?? { point: one, to: [] };
      known.to.push(other.join());
      next.set(one.join(), known);
    }
  };
  for (let row = -1; row < rows; row += 1) {
    for (let column = -1; column < columns; column += 1) {
      const kind = inside(column, row) + 2 * inside(column + 1, row) +
        4 * inside(column + 1, row + 1) + 8 * inside(column, row + 1);
      for (const ends of JOINED[kind]) {
        join(...ends.map((edge) => [column + MIDDLE[edge][0], row + MIDDLE[edge][1]]));
      }
    }
  }
  return chained(next);
}

function chained(next) {
  const lines = [];
  for (const [start, first] of next) {
    while (first.to.length) {
      const line = [first.point];
      let here = start;
      for (;;) {
        const known = next.get(here);
        const there = known.to.pop();
        if (there === undefined) {
          break;
        }
        const back = next.get(there).to;
        back.splice(back.indexOf(here), 1);
        line.push(next.get(there).point);
        here = there;
      }
      lines.push(line);
    }
  }
  return lines;
}

/* Outlines of a mask on the slice of a plane through a point, in mm along the plane's axes. */
function maskOutline(mask, plane, mm) {
  const { normal, columns, rows } = plane;
  const slice = Math.round(applied(mask.inverse, mm)[normal]);
  if (slice < 0 || slice >= mask.shape[normal]) {
    return [];
  }
  const index = [0, 0, 0];
  index[normal] = slice;
  const inside = (column, row) => {
    if (column < 0 || row < 0 || column >= mask.shape[columns] || row >= mask.shape[rows]) {
      return 0;
    }
    index[columns] = column;
    index[rows] = row;
    return mask.rawAt(...index) ? 1 : 0;
  };
  return outlineOf(inside, mask.shape[columns], mask.shape[rows]).map((line) =>
    line.map(([column, row]) => [
      mask.affine[columns][columns] * column + mask.affine[columns][3],
      mask.affine[rows][rows] * row + mask.affine[rows][3],
    ]),
  );
}
