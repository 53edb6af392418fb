/* The viewer of a case page: its controls, and what stands at the crosshair. */
"use strict";

const TIMEPOINTS = { both: "both scans", prior: "prior scan", current: "current scan" };

class Viewer {
  constructor(root, data) {
    this.root = root;
    this.data = data;
    this.mm = data.start;
    this.rows = {};
    this.target = data.target;
  }

  control(name) {
    return this.root.querySelector(`#viewer-${name}`);
  }

  async start() {
    const { data } = this;
    const read = async (files) => Object.fromEntries(await Promise.all(
      Object.entries(files).map(async ([name, file]) => [name, await Volume.read(file)])));
    this.scans = await read(data.scans);
    this.masks = await read(data.masks);
    this.brain = await Volume.read(data.brain);
    this.shown = new ShownMap(this.scans.current, this.brain, data.colours);
    for (const element of this.root.querySelectorAll(".scan-row")) {
      this.rows[element.dataset.scan] =
        new ScanRow(element, data, this.masks, (mm) => this.move(mm));
    }
    if (data.methods.length) {
      this.control("method").replaceChildren(
        ...data.methods.map((method, value) => new Option(method.name, value)));
    }
    this.fillTargets();
    await this.chooseMap();
    await this.chooseScan();
    this.listen();
  }

  /* The classes and scans that the chosen method tells apart; the chosen ones stay if they can. */
  fillTargets() {
    const maps = this.method?.maps ?? [];
    const target = this.control("target");
    target.replaceChildren(...maps.map((one, value) => new Option(one.text, value)));
    target.value = Math.max(maps.findIndex((one) => one.target === this.target), 0);
    const apart = maps.some((one) => "prior" in one.parts);
    const timepoint = this.control("timepoint");
    timepoint.value = apart ? timepoint.value : "both";
    timepoint.disabled = !apart;
    for (const name of ["method", "target", "threshold", "opacity", "to-peak"]) {
      this.control(name).disabled = maps.length === 0;
    }
  }

  get method() {
    return this.data.methods[Number(this.control("method").value)];
  }

  listen() {
    const on = (name, event, then) => this.control(name).addEventListener(event, then);
    on("scan", "change", () => this.chooseScan());
    on("method", "change", () => {
      this.fillTargets();
      this.chooseMap();
    });
    on("target", "change", () => this.chooseMap());
    on("timepoint", "change", () => this.chooseMap());
    for (const name of ["threshold", "opacity"]) {
      on(name, "input", () => {
        this.waiting ??= requestAnimationFrame(() => {
          this.waiting = undefined;
          this.paint();
        });
      });
    }
    on("masks", "change", () => this.redraw());
    on("convention", "change", () => this.redraw());
    on("to-start", "click", () => this.move(this.data.start));
    on("to-peak", "click", () => this.move(this.shown.peak() ?? this.mm));
    this.root.addEventListener("keydown", (event) => {
      if (event.key === "Home" && event.target.classList.contains("plane")) {
        event.preventDefault();
        this.move(this.data.start);
      }
    });
  }

  async chooseScan() {
    const chosen = this.control("scan").value;
    for (const [timepoint, row] of Object.entries(this.rows)) {
      row.element.hidden = chosen !== "both" && chosen !== timepoint;
      if (!row.element.hidden) {
        await row.start(this.data.scans[timepoint], this.scans[timepoint]);
      }
    }
    this.paint();
  }

  async chooseMap() {
    const map = this.method?.maps[Number(this.control("target").value)];
    this.target = map?.target ?? this.target;
    if (await this.shown.choose(this.method, map, this.control("timepoint").value)) {
      this.control("note").textContent = map?.note ?? "";
      this.paint();
    }
  }

  paint() {
    const share = Number(this.control("threshold").value);
    const opacity = Number(this.control("opacity").value);
    for (const [name, value] of [["threshold", share], ["opacity", opacity]]) {
      const text = `${Math.round(100 * value)} %`;
      this.control(`${name}-value`).textContent = text;
      this.control(name).setAttribute("aria-valuetext", text);
    }
    const table = this.shown.table(share, opacity);
    this.drawBar(table, share);
    const colours = this.shown.rgba(table);
    for (const row of Object.values(this.rows)) {
      if (row.shown) {
        row.paint(colours);
      }
    }
    this.redraw();
  }

  drawBar(table, share) {
    const { top, signed: symmetric } = this.shown;
    const bar = this.control("bar");
    const context = bar.getContext("2d");
    context.fillStyle = "black";
    context.fillRect(0, 0, bar.width, bar.height);
    const width = bar.width / table.length;
    table.forEach(([red, green, blue, alpha], at) => {
      context.fillStyle = `rgba(${red}, ${green}, ${blue}, ${alpha / 255})`;
      context.fillRect(at * width, 0, width + 0.5, bar.height);
    });
    const edge = number(share * top);
    this.control("bar-low").textContent = symmetric ? `≤ ${number(-top)}` : "0";
    this.control("bar-high").textContent = `≥ ${number(top)}`;
    this.control("bar-cut").textContent = symmetric
      ? `drawn below ${edge.replace(/^/, "−")} and above ${edge}` : `drawn from ${edge}`;
  }

  redraw() {
    for (const row of Object.values(this.rows)) {
      if (row.shown) {
        row.radiological = this.control("convention").value === "radiological";
        row.outlined = this.control("masks").checked;
        row.show(this.mm);
      }
    }
    this.read();
  }

  move(mm) {
    const grid = this.scans.current;
    this.mm = mm.map((at, axis) => {
      const rim = grid.spacing[axis] / 2;
      return Math.min(Math.max(at, grid.box[0][axis] + rim), grid.box[1][axis] - rim);
    });
    this.redraw();
  }

  read() {
    const chosen = this.control("scan").value;
    const scans = Object.keys(this.scans).filter((name) => chosen === "both" || chosen === name);
    const texts = [
      place(this.mm),
      ...scans.map((name) => `${name} ${this.data.sequence} ${this.scanText(name)}`),
    ];
    const { method, map, timepoint, top } = this.shown;
    if (map) {
      const value = this.shown.at(this.mm);
      const share = top > 0 ? Math.round((100 * value) / top) : 0;
      texts.push(`${method.name}, target ${map.target}, ${TIMEPOINTS[timepoint]}: ` +
        `${number(value)} (${share} % of the scale)`.replace("(-", "(−"));
    }
    texts.push(...Object.entries(this.masks).map(([scan, mask]) =>
      `${mask.nearest(this.mm) ? "inside" : "outside"} the ${this.data.region} ` +
      `of the ${scan} scan`));
    if (!this.brain.nearest(this.mm)) {
      texts.push("outside the brain");
    }
    this.control("reading").textContent = texts.join(" · ");
  }

  /* The grey window ends at the first and last stored number. */
  scanText(timepoint) {
    const stored = this.scans[timepoint].stored(this.mm);
    const text = number(this.scans[timepoint].nearest(this.mm));
    return stored === 255 ? `≥ ${text}` : stored === 0 ? `≤ ${text}` : text;
  }
}

function number(value) {
  if (value === 0 || !Number.isFinite(value)) {
    return "0";
  }
  const text = Math.abs(value) >= 0.001 && Math.abs(value) < 1e4
    ? String(Number(value.toPrecision(3))) : value.toExponential(1);
  return text.replaceAll("-", "−");
}

/* `R 24.0, P 12.5, S 30.0 mm` */
function place(mm) {
  return `${mm.map((at, axis) => {
    const text = Math.abs(at).toFixed(1);
    return text === "0.0" ? `${"xyz"[axis]} 0.0` : `${LETTERS[axis][at < 0 ? 0 : 1]} ${text}`;
  }).join(", ")} mm`;
}

async function startViewer() {
  const root = document.getElementById("viewer");
  const state = document.getElementById("viewer-state");
  const fail = (text) => {
    root.dataset.state = "failed";
    root.querySelector(".viewer-body").hidden = true;
    state.textContent = `${text} The panel shows the same case.`;
  };
  if (!document.createElement("canvas").getContext("webgl2")) {
    fail("The viewer needs WebGL2, which this browser does not offer.");
    return;
  }
  if (typeof DecompressionStream === "undefined") {
    fail("This browser is too old for the viewer: it has no DecompressionStream.");
    return;
  }
  try {
    const source = await inflate(document.getElementById("niivue-source").textContent.trim());
    const script = document.createElement("script");
    script.textContent = new TextDecoder().decode(source);
    document.head.append(script);
    const data = JSON.parse(document.getElementById("viewer-data").textContent);
    root.querySelector(".viewer-body").hidden = false;
    const viewer = new Viewer(root, data);
    await viewer.start();
    root.dataset.state = "ready";
    state.textContent = "";
  } catch (error) {
    fail(`The viewer could not start: ${error.message}.`);
    throw error;
  }
}

startViewer();
