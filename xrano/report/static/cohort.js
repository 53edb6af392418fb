"use strict";
// The table of cases: sorted by its heads, filtered by the form above it. And buttons that copy.
(() => {
  const table = document.getElementById("case-table");
  const form = document.getElementById("case-filters");
  if (table && form) {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    const count = document.getElementById("case-count");
    const words = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

    const keyOf = (row, column, kind) => {
      const cell = row.cells[column];
      if (kind === "text") return cell.textContent.trim();
      return cell.dataset.sort === "" ? NaN : Number(cell.dataset.sort);
    };
    const compare = (kind) => (a, b) => {
      if (kind === "text") return a.localeCompare(b, "en", { numeric: true });
      return a - b;
    };
    // What has no number stays last, whichever way the column is sorted.
    const sortBy = (head, column) => {
      const kind = head.dataset.kind;
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const keyed = rows.map((row, place) => ({ row, place, key: keyOf(row, column, kind) }));
      const order = compare(kind);
      keyed.sort((a, b) => {
        const lacking = Number(Number.isNaN(a.key)) - Number(Number.isNaN(b.key));
        if (lacking) return lacking;
        const found = Number.isNaN(a.key) ? 0 : order(a.key, b.key);
        return (down ? -found : found) || a.place - b.place;
      });
      body.append(...keyed.map((one) => one.row));
    };
    Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sortBy(head, column));
    });

    const filter = () => {
      const asked = Object.fromEntries(new FormData(form));
      const texts = (asked.text || "").toLowerCase().split(/\s+/).filter(Boolean);
      const names = ["response", "predicted", "verdict", "status"].filter((name) => asked[name]);
      let shown = 0;
      for (const row of rows) {
        const fits =
          texts.every((text) => words.get(row).includes(text)) &&
          names.every((name) => row.dataset[name] === asked[name]);
        row.hidden = !fits;
        shown += Number(fits);
      }
      const none = shown ? "" : ": no case fits; Clear shows all";
      count.textContent = `${shown} of ${rows.length} shown${none}`;
    };
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    // The fields are empty only after the event.
    form.addEventListener("reset", () => setTimeout(filter));
    form.hidden = false;
    filter();
  }

  const copyText = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // A page opened from a file has no clipboard in some browsers.
      const field = document.createElement("textarea");
      field.value = text;
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
  };
  for (const button of document.querySelectorAll("button.copy")) {
    const label = button.textContent;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await copyText(document.getElementById(button.dataset.copy).innerText);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = label; }, 2000);
    });
  }

  // Paper cannot be unfolded.
  addEventListener("beforeprint", () => {
    for (const folded of document.querySelectorAll("details")) folded.open = true;
  });
})();
