// What an accessibility checker would say of a page: a list of sentences, empty when all is well.
// Tests run this text in the page and call the function.
const accessibilityProblems = () => {
  const problems = [];
  const say = (rule, element, what = "") =>
    problems.push(`${rule}: ${what} ${(element?.outerHTML ?? "").replace(/\s+/g, " ").slice(0, 120)}`);
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  const visible = (element) => element.checkVisibility({ visibilityProperty: true });
  const text = (element) => (element?.textContent ?? "").replace(/\s+/g, " ").trim();

  // --- the document ---------------------------------------------------------------------------
  if (!document.documentElement.lang) say("lang", document.documentElement, "no language");
  if (!document.title.trim()) say("title", document.head, "no title");
  const viewport = document.querySelector("meta[name=viewport]")?.content ?? "";
  if (!viewport || /user-scalable\s*=\s*no|maximum-scale/.test(viewport)) say("zoom", null, viewport);
  const seen = new Set();
  for (const element of all("[id]")) {
    if (seen.has(element.id)) say("duplicate id", element, element.id);
    seen.add(element.id);
  }

  // --- headings and landmarks -----------------------------------------------------------------
  let level = 0;
  for (const heading of all("h1, h2, h3, h4, h5, h6")) {
    const here = Number(heading.tagName[1]);
    if (here > level + 1) say("heading order", heading, `h${here} after h${level}`);
    if (!text(heading)) say("empty heading", heading);
    level = here;
  }
  if (all("h1").length !== 1) say("h1", document.body, `${all("h1").length} of them`);
  if (all("main").length !== 1) say("landmark", document.body, `${all("main").length} main`);
  for (const part of ["header", "footer"]) {
    if (!all(`body > ${part}`).length) say("landmark", document.body, `no ${part}`);
  }
  for (const child of document.body.children) {
    const apart = child.matches("script, style, template, header, main, footer, nav, aside, a.skip, [hidden]");
    if (!apart && text(child)) say("outside landmarks", child);
  }
  const skip = document.querySelector("body > a[href^='#']");
  if (!skip) say("skip link", document.body, "none");
  for (const nav of all("nav, section[role=region], [role=region], [role=group]")) {
    if (!nav.getAttribute("aria-label") && !nav.getAttribute("aria-labelledby")) say("unnamed region", nav);
  }

  // --- names ----------------------------------------------------------------------------------
  const byIds = (ids) => (ids ?? "").split(/\s+/).filter(Boolean).map((id) => text(document.getElementById(id))).join(" ");
  const name = (element) =>
    byIds(element.getAttribute("aria-labelledby")) || element.getAttribute("aria-label")
    || all("label").filter((label) => label.control === element).map(text).join(" ")
    || (element.matches("select, input, textarea") ? "" : text(element))
    || (element.matches("input[type=submit], input[type=button]") ? element.value : "")
    || all("img[alt]", element).map((image) => image.alt).join(" ")
    || element.getAttribute("title") || "";
  const CONTROLS = "a[href], button, select, input:not([type=hidden]), textarea, summary, [role=button], [tabindex]";
  for (const control of all(CONTROLS)) {
    if (!name(control).trim()) say("control without a name", control);
    if (control.tabIndex > 0) say("tabindex above 0", control);
  }
  for (const attribute of ["aria-labelledby", "aria-describedby", "aria-controls"]) {
    for (const element of all(`[${attribute}]`)) {
      for (const id of element.getAttribute(attribute).split(/\s+/)) {
        if (!document.getElementById(id)) say(`${attribute} leads nowhere`, element, id);
      }
    }
  }
  for (const label of all("label")) if (!label.control) say("label without a control", label);
  for (const link of all("a[href^='#']")) {
    const id = decodeURIComponent(link.getAttribute("href").slice(1));
    if (id && !document.getElementById(id)) say("link leads nowhere", link);
  }
  for (const hidden of all("[aria-hidden=true]")) {
    if (hidden.matches(CONTROLS) || hidden.querySelector(CONTROLS)) say("control that is hidden from readers", hidden);
  }
  for (const control of all("a[href], button, summary")) {
    const inner = control.querySelector("a[href], button, select, input, summary");
    if (inner) say("control in a control", inner);
  }

  // --- pictures, tables, lists ----------------------------------------------------------------
  for (const image of all("img")) if (!image.hasAttribute("alt")) say("image without alt", image);
  for (const drawing of all("svg")) {
    const silent = drawing.closest("[aria-hidden=true]");
    if (!silent && !(drawing.getAttribute("role") === "img" && drawing.getAttribute("aria-label"))) {
      say("drawing without a name", drawing);
    }
  }
  for (const table of all("table")) {
    if (!table.caption || !text(table.caption)) say("table without caption", table);
    if (!table.tHead) say("table without head", table);
    for (const cell of all("th", table)) {
      if (!["col", "row", "colgroup", "rowgroup"].includes(cell.scope)) say("th without scope", cell);
      if (!text(cell)) say("empty th", cell);
    }
    for (const row of all("tbody tr", table)) {
      const plain = row.cells.length && !row.querySelector("th") && table.tHead?.querySelectorAll("th").length !== row.cells.length;
      if (plain) say("row without headers", row);
    }
  }
  for (const list of all("ul, ol")) {
    for (const child of list.children) if (!child.matches("li, script, template")) say("list holds no item", child);
  }
  for (const list of all("dl")) {
    for (const child of list.children) if (!child.matches("dt, dd, div")) say("dl holds no pair", child);
  }

  // --- what scrolls can be reached by keyboard --------------------------------------------------
  for (const element of all("body *")) {
    const wide = element.scrollWidth > element.clientWidth + 1;
    if (!wide || !visible(element) || !/auto|scroll/.test(getComputedStyle(element).overflowX)) continue;
    if (element.tabIndex < 0 && !element.querySelector("a[href], button, select, input, [tabindex]")) say("scrolls, but not by keyboard", element);
  }

  // --- focus can be seen ------------------------------------------------------------------------
  const active = document.activeElement;
  const looked = new Set();
  for (const control of all(CONTROLS)) {
    const kind = `${control.tagName} ${control.className} ${control.parentElement.tagName}`;
    if (looked.has(kind) || !visible(control) || control.disabled || control.tabIndex < 0) continue;
    looked.add(kind);
    control.focus({ focusVisible: true, preventScroll: true });
    if (document.activeElement !== control) continue;
    const style = getComputedStyle(control);
    const outlined = style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) >= 1;
    if (!outlined && style.boxShadow === "none") say("focus cannot be seen", control);
  }
  active?.focus?.({ preventScroll: true });

  // --- contrast -----------------------------------------------------------------------------------
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const known = new Map();
  const rgba = (color) => {
    if (!known.has(color)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = color;
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
      known.set(color, [r, g, b, a / 255]);
    }
    return known.get(color);
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((value, k) => a * value + (1 - a) * below[k]);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((value) => {
      const c = value / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color[3] > 0) layers.push(color);
      if (color[3] === 1) break;
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const opacity = (element) => {
    let product = 1;
    for (let at = element; at; at = at.parentElement) product *= Number(getComputedStyle(at).opacity);
    return product;
  };
  const told = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !visible(element)) continue;
    if (element.closest("script, style, title, option, noscript, [hidden]")) continue;
    const style = getComputedStyle(element);
    if (style.clipPath !== "none" || element.closest(".hidden")) continue;
    const drawn = element.closest("svg");
    let below = behind(drawn ?? element);
    if (drawn) {
      // A number on a disc stands on the disc.
      const disc = element.parentElement.querySelector(":scope > circle, :scope > rect");
      const fill = disc && element.parentElement.tagName === "g" ? getComputedStyle(disc).fill : "none";
      if (fill !== "none") below = over(rgba(fill), below);
    }
    const [r, g, b, a] = rgba(drawn ? style.fill : style.color);
    const front = over([r, g, b, a * opacity(element)], below);
    const [bright, dim] = [light(front), light(below)].sort((one, two) => two - one);
    const ratio = (bright + 0.05) / (dim + 0.05);
    const px = Number.parseFloat(style.fontSize);
    const large = px >= 24 || (px >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio >= (large ? 3 : 4.5)) continue;
    const sentence = `${element.tagName} ${element.className.baseVal ?? element.className} ${ratio.toFixed(2)}`;
    if (!told.has(sentence)) say("contrast", element, sentence);
    told.add(sentence);
  }
  return problems;
};
