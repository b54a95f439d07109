"use strict";
// The page works without this script; with it, tables sort, colours switch,
// pictures can be chosen, and paper shows all.

const theme = document.getElementById("theme");
const dark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};
const label = () => { theme.textContent = dark() ? "Light" : "Dark"; };
theme.hidden = false;
theme.addEventListener("click", () => {
  document.documentElement.dataset.theme = dark() ? "light" : "dark";
  label();
});
label();

// A number, or null for words; "1,234", "98.1 %" and "> 99.9 %" are numbers.
const numberIn = (cell) => {
  const text = cell.dataset.value ?? (cell.querySelector("strong") ?? cell).textContent;
  const value = Number.parseFloat(text.replace(/[^0-9.eE+-]/g, ""));
  return Number.isNaN(value) ? null : value;
};
const sortBy = (table, column, descending) => {
  const body = table.tBodies[0];
  const numeric = table.tHead.rows[0].cells[column].classList.contains("n");
  const key = (row) => numeric ? numberIn(row.cells[column]) : row.cells[column].textContent.trim();
  const rows = Array.from(body.rows, (row) => [key(row), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null); // no value: always last
    const order = numeric ? a - b : a.localeCompare(b);
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
      const descending = cell.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sortBy(table, column, descending);
    });
  });
}

// A link to a folded model unfolds it; printing unfolds models.
const unfold = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) { target.open = true; target.scrollIntoView(); }
};
addEventListener("hashchange", unfold);
unfold();
addEventListener("beforeprint", () => {
  for (const model of document.querySelectorAll("details.model")) model.open = true;
});

// Pictures by joint and kind of error: a letter a joint tells what happened to it.
const HARMLESS = "ab-";
for (const filter of document.querySelectorAll(".filter")) {
  const pictures = filter.closest(".pictures");
  const figures = Array.from(pictures.querySelectorAll("figure"));
  const more = pictures.querySelector("details.more");
  const joint = filter.querySelector(".by-joint");
  const kind = filter.querySelector(".by-kind");
  const found = filter.querySelector(".found");
  const shows = (codes) => {
    const joints = joint.value ? joint.value.split(" ").map(Number) : [...codes].keys();
    return [...joints].some((j) => kind.value ? codes[j] === kind.value : !HARMLESS.includes(codes[j] ?? "-"));
  };
  const apply = () => {
    const all = !joint.value && !kind.value;
    let number = 0;
    for (const figure of figures) {
      figure.hidden = !(all || shows(figure.dataset.codes ?? ""));
      number += !figure.hidden;
    }
    for (const part of pictures.querySelectorAll("section, details.more")) {
      part.hidden = !part.querySelector("figure:not([hidden])");
    }
    if (more && !all) more.open = true;
    const what = `${number} of ${figures.length} pictures`;
    found.textContent = all ? "" : number ? `${what} show this` : `None of the ${figures.length} pictures shows this`;
    filter.querySelector(".clear").hidden = all;
  };
  joint.addEventListener("change", apply);
  kind.addEventListener("change", apply);
  filter.querySelector(".clear").addEventListener("click", () => {
    joint.value = kind.value = "";
    apply();
    joint.focus();
  });
  filter.hidden = false;
  apply();
}
