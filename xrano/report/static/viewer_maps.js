/* The map that is shown: its values on the grid of the scans, and their colours. */
"use strict";

class ShownMap {
  /* `grid` is that of the scans, `brain` a mask; `colours` the page's. */
  constructor(grid, brain, colours) {
    Object.assign(this, { grid, brain, colours });
    this.loaded = new Map();
    this.parts = [];
    this.values = new Float32Array(grid.raw.length);
  }

  /* Show one map of a method, all its channels or those of one scan; nothing without one.
     False if another was asked for while this one was read. */
  async choose(method, map, timepoint) {
    const asked = {};
    this.asked = asked;
    const files = map === undefined ? [] : timepoint in map.parts
      ? [map.parts[timepoint]] : Object.values(map.parts);
    for (const file of files) {
      if (!this.loaded.has(file)) {
        this.loaded.set(file, await Volume.read(file));
      }
    }
    if (this.asked !== asked) {
      return false;
    }
    Object.assign(this, { method, map, timepoint });
    this.parts = files.map((file) => this.loaded.get(file));
    this.values = this.valuesOnGrid();
    return true;
  }

  get top() {
    return this.method?.top ?? 0;
  }

  get signed() {
    return this.method?.signed ?? false;
  }

  valuesOnGrid() {
    const values = new Float32Array(this.grid.raw.length);
    for (const part of this.parts) {
      part.addTo(values, this.grid, this.map.cells);
    }
    if (this.map?.cells) {
      this.inBrain ??= this.brainOnGrid();
      this.inBrain.forEach((share, at) => {
        values[at] = share < 0.5 ? 0 : values[at];
      });
    }
    return values;
  }

  brainOnGrid() {
    const inside = new Float32Array(this.grid.raw.length);
    this.brain.addTo(inside, this.grid, false);
    return inside;
  }

  /* The value at a point; both scans together are the sum of their parts. */
  at(mm) {
    if (this.map.cells && !this.brain.nearest(mm)) {
      return 0;
    }
    return this.parts.reduce((sum, part) => sum + part.linear(mm, this.map.cells), 0);
  }

  /* Where the strongest relevance is; null where there is none. */
  peak() {
    let best = 0;
    this.values.forEach((value, at) => {
      if (Math.abs(value) > Math.abs(this.values[best])) {
        best = at;
      }
    });
    const [width, depth] = this.grid.shape;
    return this.values[best] ? this.grid.world([
      best % width, Math.floor(best / width) % depth, Math.floor(best / (width * depth)),
    ]) : null;
  }

  /* Colours fade into the anatomy where relevance is weak, and vanish below the threshold. */
  table(threshold, opacity) {
    const faintest = threshold > 0 ? this.colours.faintest : 0;
    return this.colours.maps.map((name, at, names) => {
      const share = at / (names.length - 1);
      const strength = this.signed ? Math.abs(2 * share - 1) : share;
      const rise = Math.min(Math.max((strength - threshold) / (1 - threshold), 0), 1);
      const alpha = strength < threshold ? 0 : opacity * (faintest + (1 - faintest) * rise);
      const [red, green, blue] = [1, 3, 5].map((from) => parseInt(name.slice(from, from + 2), 16));
      return [red, green, blue, Math.round(255 * alpha)];
    });
  }

  /* Red, green, blue and opacity of every voxel. */
  rgba(table) {
    const colours = new Uint8Array(4 * this.values.length);
    const last = table.length - 1;
    if (this.top > 0 && last > 0) {
      this.values.forEach((value, at) => {
        const share = this.signed ? (value / this.top + 1) / 2 : value / this.top;
        colours.set(table[Math.round(last * Math.min(Math.max(share, 0), 1))], 4 * at);
      });
    }
    return colours;
  }
}
