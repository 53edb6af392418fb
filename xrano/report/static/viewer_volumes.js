/* Volumes: bytes of a gzipped NIfTI file to values that have a place in the patient (RAS+ mm). */
"use strict";

const READERS = { 2: Uint8Array, 4: Int16Array, 16: Float32Array };

async function inflate(base64) {
  const packed = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/* Rows of a 3 x 4 matrix that undoes the 3 x 4 matrix of an affine. */
function undone([[a, b, c, x], [d, e, f, y], [g, h, i, z]]) {
  const det = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  const linear = [
    [e * i - f * h, c * h - b * i, b * f - c * e],
    [f * g - d * i, a * i - c * g, c * d - a * f],
    [d * h - e * g, b * g - a * h, a * e - b * d],
  ].map((row) => row.map((value) => value / det));
  return linear.map((row) => [...row, -(row[0] * x + row[1] * y + row[2] * z)]);
}

function applied(matrix, [x, y, z]) {
  return matrix.map((row) => row[0] * x + row[1] * y + row[2] * z + row[3]);
}

class Volume {
  constructor(shape, affine, raw, slope, inter) {
    Object.assign(this, { shape, affine, raw, slope, inter });
    this.inverse = undone(affine);
  }

  static async read(base64) {
    const buffer = await inflate(base64);
    const header = new DataView(buffer);
    const shape = [42, 44, 46].map((at) => header.getInt16(at, true));
    const affine = [280, 296, 312].map((row) =>
      [0, 4, 8, 12].map((column) => header.getFloat32(row + column, true)),
    );
    const raw = new READERS[header.getInt16(70, true)](
      buffer, header.getFloat32(108, true), shape[0] * shape[1] * shape[2],
    );
    return new Volume(
      shape, affine, raw, header.getFloat32(112, true) || 1, header.getFloat32(116, true),
    );
  }

  get spacing() {
    return [0, 1, 2].map((axis) => Math.hypot(...this.affine.map((row) => row[axis])));
  }

  world(index) {
    return applied(this.affine, index);
  }

  /* Lowest and highest mm that the voxels reach, of a grid along the axes of the world. */
  get box() {
    const low = this.world([-0.5, -0.5, -0.5]);
    const high = this.world(this.shape.map((size) => size - 0.5));
    return [low, high];
  }

  rawAt(i, j, k) {
    return this.raw[i + this.shape[0] * (j + this.shape[1] * k)];
  }

  /* The stored number of the voxel that holds a point; null outside. */
  stored(mm) {
    const index = applied(this.inverse, mm).map(Math.round);
    const inside = index.every((at, axis) => at >= 0 && at < this.shape[axis]);
    return inside ? this.rawAt(...index) : null;
  }

  nearest(mm) {
    const stored = this.stored(mm);
    return stored === null ? null : stored * this.slope + this.inter;
  }

  linear(mm, edge) {
    return this.linearAt(...applied(this.inverse, mm), edge);
  }

  /* Trilinear; beyond the outer voxels 0, or with `edge` the nearest value. */
  linearAt(x, y, z, edge) {
    const [sx, sy, sz] = this.shape;
    if (!edge && (x < -0.5 || y < -0.5 || z < -0.5 ||
        x > sx - 0.5 || y > sy - 0.5 || z > sz - 0.5)) {
      return 0;
    }
    x = Math.min(Math.max(x, 0), sx - 1);
    y = Math.min(Math.max(y, 0), sy - 1);
    z = Math.min(Math.max(z, 0), sz - 1);
    const i = Math.min(Math.floor(x), Math.max(sx - 2, 0));
    const j = Math.min(Math.floor(y), Math.max(sy - 2, 0));
    const k = Math.min(Math.floor(z), Math.max(sz - 2, 0));
    const [right, front, up] = [sx > 1 ? 1 : 0, sy > 1 ? sx : 0, sz > 1 ? sx * sy : 0];
    const at = i + sx * (j + sy * k);
    const raw = this.raw;
    const along = (from) => raw[from] + (x - i) * (raw[from + right] - raw[from]);
    const below = along(at) + (y - j) * (along(at + front) - along(at));
    const above = along(at + up) + (y - j) * (along(at + up + front) - along(at + up));
    return (below + (z - k) * (above - below)) * this.slope + this.inter;
  }

  /* Add the values to those of voxels of another grid. */
  addTo(values, grid, edge) {
    const step = this.inverse.map((row) =>
      [0, 1, 2].map((axis) => row[0] * grid.affine[0][axis] + row[1] * grid.affine[1][axis] +
        row[2] * grid.affine[2][axis]),
    );
    const start = applied(this.inverse, grid.world([0, 0, 0]));
    const [x, y, z] = step;
    let at = 0;
    for (let k = 0; k < grid.shape[2]; k += 1) {
      for (let j = 0; j < grid.shape[1]; j += 1) {
        let u = start[0] + x[1] * j + x[2] * k;
        let v = start[1] + y[1] * j + y[2] * k;
        let w = start[2] + z[1] * j + z[2] * k;
        for (let i = 0; i < grid.shape[0]; i += 1) {
          values[at] += this.linearAt(u, v, w, edge);
          u += x[0];
          v += y[0];
          w += z[0];
          at += 1;
        }
      }
    }
  }
}
