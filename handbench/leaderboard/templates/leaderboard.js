"use strict";
// Every page can be read without this script; with it, tables sort and filter and colours switch.

// --- light and dark -------------------------------------------------------------------------------
const theme = document.getElementById("theme");
const dark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};
const label = () => { theme.textContent = dark() ? "Light" : "Dark"; };
theme.hidden = false;
theme.addEventListener("click", () => {
  const now = dark() ? "light" : "dark";
  document.documentElement.dataset.theme = now;
  try { localStorage.setItem("handbench-theme", now); } catch { /* this page alone remembers */ }
  label();
});
label();

// --- sorting --------------------------------------------------------------------------------------
// A number, or null for words; "1,234", "98.1 %" and "> 99.9 %" are numbers.
const numberIn = (cell) => {
  const text = cell.dataset.value ?? (cell.querySelector("strong") ?? cell.firstChild)?.textContent;
  const value = Number.parseFloat((text ?? "").replace(/[^0-9.eE+-]/g, ""));
  return Number.isNaN(value) ? null : value;
};
const wordsIn = (cell) => (cell.querySelector(".name") ?? cell).textContent.trim();
const sortBy = (table, column, descending) => {
  const body = table.tBodies[0];
  const numeric = table.tHead.rows[0].cells[column].classList.contains("n");
  const read = numeric ? numberIn : wordsIn;
  const rows = Array.from(body.rows, (row) => [read(row.cells[column]), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null); // no value: always last
    const order = numeric ? a - b : a.localeCompare(b, undefined, { numeric: true });
    return descending ? -order : order;
  });
  body.append(...rows.map(([, row]) => row));
};
for (const table of document.querySelectorAll("table.sortable")) {
  Array.from(table.tHead.rows[0].cells).forEach((cell, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...cell.childNodes);
    cell.append(button);
    button.addEventListener("click", () => {
      const now = cell.getAttribute("aria-sort");
      // The best comes first, then the other way round.
      const first = cell.dataset.best ?? "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const next = now === first ? other : first;
      for (const head of table.tHead.rows[0].cells) head.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", next);
      sortBy(table, column, next === "descending");
    });
  });
}

// --- filters --------------------------------------------------------------------------------------
const plain = (text) => text.toLocaleLowerCase().normalize("NFKD").replace(/\p{M}/gu, "");
const field = (box, name) => box.querySelector(`[name="${name}"]`);
const chosen = (box, name) => field(box, name)?.value ?? "";
const words = (box) => plain(chosen(box, "text")).split(/\s+/).filter(Boolean);
const tell = (box, shown, all) => {
  box.querySelector(".count").textContent = shown === all ? `all ${all} shown` : `${shown} of ${all} shown`;
};
// What a row or card says, folded text left out; read once, because reading is slow.
const said = new WeakMap();
const textOf = (item) => {
  if (!said.has(item)) {
    const parts = item.matches("tr")
      ? [...item.querySelectorAll(".name, th a, .training, .source, td code")]
      : [item];
    const own = parts.map((part) => part.textContent).join(" ");
    const data = item.dataset;
    said.set(item, plain([own, data.text, data.dataset, data.split, data.protocol].filter(Boolean).join(" ")));
  }
  return said.get(item);
};
const holds = (item, wanted) => wanted.every((word) => textOf(item).includes(word));
const listen = (box, apply) => {
  box.hidden = false;
  box.addEventListener("input", apply);
  apply(); // a browser restores fields when one comes back to a page
};

const finder = document.getElementById("finder");
if (finder) {
  const sections = [...document.querySelectorAll("[data-found]")];
  const kinds = ["dataset", "split", "protocol"];
  listen(finder, () => {
    const wanted = words(finder);
    const picked = kinds.map((kind) => [kind, chosen(finder, kind)]).filter(([, value]) => value);
    let shown = 0, all = 0;
    for (const section of sections) {
      let here = 0;
      for (const item of section.querySelectorAll(".card, tbody tr")) {
        // A model has no dataset of its own: only the search finds it.
        const fits = picked.every(([kind, value]) => item.dataset[kind] === value);
        item.hidden = !(fits && holds(item, wanted));
        here += !item.hidden;
        all += 1;
      }
      shown += here;
      section.classList.toggle("nothing", here === 0);
    }
    tell(finder, shown, all);
  });
}

const filters = document.getElementById("filters");
if (filters) {
  const tables = [...document.querySelectorAll("table[data-filtered]")];
  const rows = tables.flatMap((table) => [...table.tBodies[0].rows]);
  listen(filters, () => {
    const wanted = words(filters);
    const boxes = [...filters.querySelectorAll('[name="evidence"]')];
    const off = new Set(boxes.filter((box) => !box.checked).map((box) => box.value));
    const training = chosen(filters, "training");
    const overlap = chosen(filters, "overlap");
    const old = field(filters, "old")?.checked ?? false;
    let shown = 0, all = 0;
    for (const row of rows) {
      const data = row.dataset;
      const superseded = "old" in data && !old;
      row.hidden = superseded || off.has(data.evidence)
        || (training !== "" && !(data.training ?? "").split(" ").includes(training))
        || (overlap !== "" && data.overlap !== overlap)
        || !holds(row, wanted);
      shown += !row.hidden;
      all += !superseded;
    }
    const columns = field(filters, "columns")?.checked ?? false;
    for (const table of tables) table.classList.toggle("every", columns);
    tell(filters, shown, all);
  });
}

// --- copying --------------------------------------------------------------------------------------
for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = button.parentElement.querySelector("pre");
    const range = document.createRange();
    range.selectNodeContents(source);
    getSelection().removeAllRanges();
    getSelection().addRange(range); // where the clipboard is closed to us, the text is selected
    try { await navigator.clipboard.writeText(source.textContent); button.textContent = "Copied"; }
    catch { button.textContent = "Selected: press Ctrl+C"; }
  });
}

// --- links into folded parts, and paper -----------------------------------------------------------
const unfold = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) { target.open = true; target.scrollIntoView(); }
};
addEventListener("hashchange", unfold);
unfold();
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details.model")) part.open = true;
});
