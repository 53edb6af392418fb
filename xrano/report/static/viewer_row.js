/* One scan in three planes: niivue draws the scan and the colours over it, this file the lines. */
"use strict";

class ScanRow {
  /* `masks`: timepoint to mask; `move(mm)` is called when someone points somewhere. */
  constructor(element, data, masks, move) {
    Object.assign(this, { element, data, masks, move, radiological: true, outlined: true });
    this.stage = element.querySelector(".stage");
    this.scan = element.querySelector("canvas.scan");
    this.lines = element.querySelector("canvas.lines");
    this.planes = {};
    for (const plane of element.querySelectorAll(".plane")) {
      this.planes[plane.dataset.plane] = plane;
    }
  }

  /* Once: a scan that is never asked for costs nothing. */
  start(base64, volume) {
    this.started ??= this.attach(base64, volume);
    return this.started;
  }

  async attach(base64, volume) {
    this.volume = volume;
    this.box = volume.box;
    const nv = new niivue.Niivue({
      isSliceMM: true,
      isOrientationTextVisible: false,
      crosshairWidth: 0,
      interactive: false,
      dragAndDropEnabled: false,
      loadingText: "",
      logLevel: "error",
      backColor: [0, 0, 0, 1],
    });
    await nv.attachToCanvas(this.scan, false);
    const { NVImage } = niivue;
    nv.addVolume(await NVImage.loadFromBase64({
      base64,
      name: "scan.nii.gz",
      colormap: "gray",
      cal_min: this.data.window[0],
      cal_max: this.data.window[1],
    }));
    this.colours = await NVImage.loadFromBase64({
      base64: this.data.blank, name: "colours.nii.gz",
    });
    nv.addVolume(this.colours);
    this.nv = nv;
    this.listen();
    new ResizeObserver(() => requestAnimationFrame(() => this.layOut())).observe(this.stage);
    this.layOut();
  }

  get shown() {
    return !this.element.hidden && this.nv !== undefined;
  }

  /* Again whenever the stage changes its size, and when it is shown after it was hidden. */
  layOut() {
    const width = this.stage.clientWidth;
    if (!width || !this.nv) {
      return;
    }
    if (width !== this.width) {
      this.width = width;
      const size = [0, 1, 2].map((axis) => this.box[1][axis] - this.box[0][axis]);
      const places = tiles(size, width < NARROW);
      this.stage.style.height = `${Math.round(width * places.ratio)}px`;
      this.nv.setCustomLayout(
        Object.entries(PLANES).map(([name, plane]) =>
          ({ sliceType: plane.kind, position: places[name] })),
      );
      for (const [name, element] of Object.entries(this.planes)) {
        const [left, top, wide, high] = places[name].map((share) => `${100 * share}%`);
        Object.assign(element.style, { left, top, width: wide, height: high });
      }
    }
    this.nv.resizeListener();
    this.draw();
  }

  listen() {
    for (const [name, element] of Object.entries(this.planes)) {
      const point = (event) => {
        const box = element.getBoundingClientRect();
        this.move(this.toWorld(name, (event.clientX - box.left) / box.width,
          (event.clientY - box.top) / box.height));
      };
      element.addEventListener("pointerdown", (event) => {
        element.setPointerCapture(event.pointerId);
        point(event);
      });
      element.addEventListener("pointermove", (event) => {
        if (event.buttons & 1) {
          point(event);
        }
      });
      element.addEventListener("wheel", (event) => {
        if (document.activeElement === element) {
          event.preventDefault();
          this.step(name, 0, 0, event.deltaY < 0 ? 1 : -1);
        }
      }, { passive: false });
      element.addEventListener("keydown", (event) => this.pressed(name, event));
    }
  }

  pressed(name, event) {
    const far = event.shiftKey ? 5 : 1;
    const moves = {
      ArrowLeft: [-far, 0, 0],
      ArrowRight: [far, 0, 0],
      ArrowUp: [0, far, 0],
      ArrowDown: [0, -far, 0],
      PageUp: [0, 0, far],
      PageDown: [0, 0, -far],
    };
    if (event.key in moves && !event.altKey && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      this.step(name, ...moves[event.key]);
    }
  }

  /* Move by voxels: along the picture's width and height, and from slice to slice. */
  step(name, across, up, through) {
    const plane = PLANES[name];
    const spacing = this.volume.spacing;
    const mm = [...this.mm];
    mm[plane.columns] += across * spacing[plane.columns] * (this.mirrored(name) ? -1 : 1);
    mm[plane.rows] += up * spacing[plane.rows];
    mm[plane.normal] += through * spacing[plane.normal];
    this.move(mm);
  }

  /* niivue's own record of what it drew where. */
  tile(name) {
    return this.nv.screenSlices.find((slice) => slice.axCorSag === PLANES[name].kind);
  }

  mirrored(name) {
    return this.tile(name).fovMM[0] < 0;
  }

  /* Pixels of the canvas of mm along a plane's axes. */
  toPixel(tile, column, row) {
    const [left, top, width, height] = tile.leftTopWidthHeight;
    return [
      left + ((column - tile.leftTopMM[0]) / tile.fovMM[0]) * width,
      top + height - ((row - tile.leftTopMM[1]) / tile.fovMM[1]) * height,
    ];
  }

  toWorld(name, across, down) {
    const plane = PLANES[name];
    const tile = this.tile(name);
    const mm = [...this.mm];
    mm[plane.columns] = tile.leftTopMM[0] + across * tile.fovMM[0];
    mm[plane.rows] = tile.leftTopMM[1] + (1 - down) * tile.fovMM[1];
    return mm;
  }

  /* RGBA of every voxel, 4 numbers each. */
  paint(rgba) {
    this.colours.img.set(rgba);
    this.nv.updateGLVolume();
  }

  show(mm) {
    this.mm = mm;
    this.draw();
  }

  draw() {
    if (!this.shown || !this.mm) {
      return;
    }
    this.nv.opts.isRadiologicalConvention = this.radiological;
    this.nv.opts.sagittalNoseLeft = this.radiological;
    this.nv.scene.crosshairPos = this.nv.mm2frac(this.mm);
    this.nv.drawScene();
    this.lines.width = this.scan.width;
    this.lines.height = this.scan.height;
    const context = this.lines.getContext("2d");
    const scale = this.scan.width / this.stage.clientWidth;
    for (const [name, plane] of Object.entries(PLANES)) {
      const tile = this.tile(name);
      context.save();
      context.beginPath();
      context.rect(...tile.leftTopWidthHeight);
      context.clip();
      this.drawOutlines(context, plane, tile, scale);
      this.drawCross(context, plane, tile, scale);
      context.restore();
      this.write(name, plane);
    }
  }

  /* The dashed line comes last: where both agree, the solid one shows in its gaps. */
  drawOutlines(context, plane, tile, scale) {
    for (const timepoint of ["current", "prior"]) {
      const mask = this.masks[timepoint];
      if (!mask || !this.outlined) {
        continue;
      }
      const [colour, line] = this.data.colours.outlines[timepoint];
      context.beginPath();
      for (const points of maskOutline(mask, plane, this.mm)) {
        points.forEach(([column, row], number) =>
          context[number ? "lineTo" : "moveTo"](...this.toPixel(tile, column, row)));
      }
      context.setLineDash(line === "--" ? [5 * scale, 3 * scale] : []);
      for (const [width, style] of [[3, "black"], [1.6, colour]]) {
        context.lineWidth = width * scale;
        context.strokeStyle = style;
        context.stroke();
      }
    }
    context.setLineDash([]);
  }

  drawCross(context, plane, tile, scale) {
    const [x, y] = this.toPixel(tile, this.mm[plane.columns], this.mm[plane.rows]);
    const [left, top, width, height] = tile.leftTopWidthHeight;
    const gap = 8 * scale;
    context.beginPath();
    for (const [from, to] of [[left, x - gap], [x + gap, left + width]]) {
      context.moveTo(from, y);
      context.lineTo(to, y);
    }
    for (const [from, to] of [[top, y - gap], [y + gap, top + height]]) {
      context.moveTo(x, from);
      context.lineTo(x, to);
    }
    context.lineWidth = scale;
    context.strokeStyle = "rgba(255, 255, 255, 0.7)";
    context.stroke();
  }

  write(name, plane) {
    const letters = [...LETTERS[plane.columns]];
    if (this.mirrored(name)) {
      letters.reverse();
    }
    const texts = {
      left: letters[0],
      right: letters[1],
      top: LETTERS[plane.rows][1],
      bottom: LETTERS[plane.rows][0],
      where: `${"xyz"[plane.normal]} = ${signed(this.mm[plane.normal])} mm`,
    };
    for (const [place, text] of Object.entries(texts)) {
      this.planes[name].querySelector(`.${place}`).textContent = text;
    }
  }
}
