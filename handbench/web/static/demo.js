// The page works without this script: the form then sends the photo and gets a page back. With it,
// a photo is answered as soon as it is there, and a box can be drawn.

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

const at = (id) => document.getElementById(id);
const form = at("form");
if (form) demo();

function demo() {
  const [drop, frame, invitation, photo, overlay] = ["drop", "frame", "invitation", "photo", "overlay"].map(at);
  const [file, camera, boxField, model] = ["file", "camera", "box", "model"].map(at);
  const [status, help, shrink, again, answerPart] = ["status", "help", "shrink", "again", "answer"].map(at);
  const [drawButton, wholeButton] = ["draw", "whole"].map(at);
  const samples = Array.from(document.querySelectorAll("[name=sample]"));
  const { maxBytes, maxPixels, minSide, unsure } = Object.fromEntries(
    Object.entries(form.dataset).map(([key, value]) => [key, Number(value)]),
  );
  const SIDE_WHEN_SHRUNK = 1600;
  const PAUSE_MS = 250; // a pause shorter than this needs no word

  let picture = null; // the Blob that is shown
  let name = "hand"; // of the downloads
  let address = ""; // of the Blob
  let answer = null;
  let remark = ""; // on what was done to the picture here
  let latest = 0; // only the answer to the last question is shown
  let stop = null;

  // --- words --------------------------------------------------------------------------------------
  const words = (size) => (size >= 1e6 ? `${(size / 1e6).toFixed(1).replace(/\.0$/, "")} MB` : `${Math.round(size / 1e3)} kB`);
  const say = (text, { wrong = false, offer = null } = {}) => {
    status.className = wrong ? "warning" : "";
    status.replaceChildren(Object.assign(document.createElement("p"), { textContent: text }));
    shrink.hidden = offer !== "shrink";
    again.hidden = offer !== "again";
    help.hidden = offer === null;
  };
  const fail = (text, offer = null) => {
    answer = null;
    answerPart.hidden = true;
    draw();
    say(text, { wrong: true, offer });
  };

  // --- the picture --------------------------------------------------------------------------------
  const shown = () => new Promise((done, failed) => {
    photo.onload = done;
    photo.onerror = failed;
    photo.src = address;
  });
  const show = async (blob, alt) => {
    if (address) URL.revokeObjectURL(address);
    address = URL.createObjectURL(blob);
    photo.removeAttribute("width");
    photo.removeAttribute("height");
    await shown();
    photo.alt = alt;
    frame.classList.toggle("small", photo.naturalWidth < 448);
    overlay.setAttribute("viewBox", `-0.5 -0.5 ${photo.naturalWidth} ${photo.naturalHeight}`);
    frame.hidden = false;
    invitation.hidden = true;
    drop.classList.add("filled");
    drawButton.disabled = false;
  };
  const hide = () => {
    frame.hidden = true;
    invitation.hidden = false;
    drop.classList.remove("filled");
    drawButton.disabled = true;
  };
  const take = async (blob, { title = "hand", alt = "Your photo", sample = null, small = false, done = "" } = {}) => {
    const turn = (latest += 1);
    stop?.abort();
    frame.classList.remove("waiting"); // what was asked before is not told any more
    for (const button of samples) button.setAttribute("aria-pressed", button === sample);
    picture = blob;
    remark = done;
    name = title.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N}._-]+/gu, "-") || "hand";
    answer = null;
    answerPart.hidden = true;
    boxField.value = "";
    draw();
    try {
      await show(blob, alt);
    } catch {
      if (turn !== latest) return;
      hide();
      // Let the server say what the file is, unless it is too large to be sent.
      if (blob.size > maxBytes) fail(`Expected a JPEG or PNG photo of at most ${words(maxBytes)}, found a file of ${words(blob.size)} that this browser cannot show.`);
      else await send();
      return;
    }
    if (turn !== latest) return;
    const pixels = photo.naturalWidth * photo.naturalHeight;
    if (blob.size > maxBytes || pixels > maxPixels) {
      if (small) return shrinkAndSend();
      const found = blob.size > maxBytes ? words(blob.size) : `${photo.naturalWidth} × ${photo.naturalHeight} pixels`;
      const most = blob.size > maxBytes ? words(maxBytes) : `${maxPixels / 1e6} million pixels`;
      fail(`Expected a photo of at most ${most}, found ${found}.`, "shrink");
      return;
    }
    await send();
  };
  const shrinkAndSend = async () => {
    const [turn, before] = [latest, picture.size];
    let side = SIDE_WHEN_SHRUNK;
    let blob = null;
    do {
      const scale = Math.min(1, side / Math.max(photo.naturalWidth, photo.naturalHeight));
      const canvas = document.createElement("canvas");
      canvas.width = Math.max(1, Math.round(photo.naturalWidth * scale));
      canvas.height = Math.max(1, Math.round(photo.naturalHeight * scale));
      const pen = canvas.getContext("2d");
      pen.fillStyle = "#fff";
      pen.fillRect(0, 0, canvas.width, canvas.height);
      pen.imageSmoothingQuality = "high";
      pen.drawImage(photo, 0, 0, canvas.width, canvas.height);
      blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.9));
      side *= 0.7;
      if (turn !== latest) return; // another photo was chosen in the meantime
    } while (blob && blob.size > maxBytes && side > 200);
    if (!blob || blob.size > maxBytes) return fail("This browser could not make the photo small enough.");
    await take(blob, {
      title: name,
      alt: "Your photo, made smaller here",
      done: ` The photo was made smaller here (${words(before)} became ${words(blob.size)}); the numbers are of the smaller one.`,
    });
  };

  // --- question and answer --------------------------------------------------------------------------
  const send = async () => {
    if (!picture) return;
    const turn = (latest += 1);
    stop?.abort();
    stop = new AbortController();
    const body = new FormData();
    body.append("image", picture, "photo");
    if (boxField.value.trim()) body.append("box", boxField.value);
    if (model) body.append("model", model.value);
    const patience = setTimeout(() => { if (turn === latest) say("Looking …"); }, PAUSE_MS);
    frame.classList.add("waiting");
    try {
      const response = await fetch("api/v1/predict", { method: "POST", body, signal: stop.signal });
      const document_ = await response.json();
      if (turn !== latest) return;
      if (response.ok) tell(document_);
      else fail(document_.detail, [429, 503].includes(response.status) ? "again" : null);
    } catch (error) {
      if (turn === latest && error.name !== "AbortError") fail("The server cannot be reached, or its answer cannot be read.", "again");
    } finally {
      clearTimeout(patience);
      if (turn === latest) frame.classList.remove("waiting");
    }
  };
  const number = (value, digits) => (value === null || value === undefined ? "–" : value.toFixed(digits));
  const tell = (found) => {
    answer = found;
    const { hand } = found;
    answerPart.hidden = !hand;
    draw();
    if (!hand) return say("No hand found in this picture. Draw a box around it, or try another.");
    const side = { true: "Right", false: "Left" }[hand.is_right];
    at("score").textContent = number(hand.score, 2);
    at("meter").setAttribute("width", 100 * (hand.score ?? 0));
    at("side").textContent = side ?? "Not given";
    at("side-why").hidden = side !== undefined;
    at("time").textContent = `${found.ms.model.toFixed(0)}\u202fms`;
    at("unsure").hidden = hand.score === null || hand.score >= unsure;
    Array.from(at("points").rows, (row, joint) => {
      const values = [number(hand.keypoints[joint][0], 1), number(hand.keypoints[joint][1], 1), number(hand.scores?.[joint], 2)];
      values.forEach((value, k) => { row.cells[k + 1].textContent = value; });
    });
    const shown_ = hand.keypoints.filter(([x, y]) => x !== null && y !== null).length;
    const words_ = side ? `${side} hand` : "Left or right is not given by this model";
    say(`${shown_} points found. ${words_}; confidence ${number(hand.score, 2)}.${remark}`);
    keep(at("save-json"), new Blob([`${JSON.stringify(found, null, 2)}\n`], { type: "application/json" }), `${name}.json`);
    at("save-picture").download = `${name}-points.jpg`;
  };
  const keep = (link, blob, title) => {
    if (link.href.startsWith("blob:")) URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(blob);
    link.download = title;
  };
  at("save-picture").addEventListener("click", async (event) => {
    const link = event.currentTarget;
    if (!answer?.hand || link.dataset.ready) {
      delete link.dataset.ready;
      return;
    }
    event.preventDefault();
    const canvas = document.createElement("canvas");
    canvas.width = photo.naturalWidth;
    canvas.height = photo.naturalHeight;
    const pen = canvas.getContext("2d");
    pen.drawImage(photo, 0, 0);
    paint(pen);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.95));
    keep(link, blob, `${name}-points.jpg`);
    link.dataset.ready = "yes";
    link.click();
  });

  // --- the skeleton -----------------------------------------------------------------------------------
  const colors = Array.from(at("points").rows, (row) => getComputedStyle(row.querySelector(".swatch")).backgroundColor);
  // Strokes in the order they are drawn: [kind, geometry, color, width]; the same for screen and file.
  const strokes = () => {
    const points = answer?.hand?.keypoints ?? [];
    const seen = points.filter(([x, y]) => x !== null && y !== null);
    if (!seen.length) return [];
    const spread = (axis) => Math.max(...seen.map((p) => p[axis])) - Math.min(...seen.map((p) => p[axis]));
    const longest = Math.max(photo.naturalWidth, photo.naturalHeight);
    const width = Math.min(Math.max(Math.max(spread(0), spread(1)) / 62, longest / 400), Math.max(1.2, longest / 80));
    const whole = ([a, b]) => [...points[a], ...points[b]].every((value) => value !== null);
    const bones = answer.bones.filter(whole);
    return [
      ...bones.map(([a, b]) => ["line", [points[a], points[b]], "edge", 1.7 * width]),
      ...bones.map(([a, b]) => ["line", [points[a], points[b]], colors[b], width]),
      ...points.flatMap((point, joint) => (point[0] === null ? [] : [["dot", point, colors[joint], 1.25 * width]])),
    ];
  };
  const make = (kind, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", kind);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const draw = () => {
    const parts = strokes().map(([kind, where, color, width]) => {
      if (kind === "dot") return make("circle", { cx: where[0], cy: where[1], r: width, fill: color, "stroke-width": width / 3, "data-joint": "" });
      const [[x1, y1], [x2, y2]] = where;
      const line = make("line", { x1, y1, x2, y2, "stroke-width": width });
      if (color === "edge") line.setAttribute("class", "edge");
      else line.setAttribute("stroke", color);
      return line;
    });
    const box = boxOf(boxField.value);
    wholeButton.hidden = !box;
    if (box) {
      const [x, y, width, height] = box;
      const line = Math.max(photo.naturalWidth, photo.naturalHeight) / 250;
      parts.unshift(
        make("rect", { x, y, width, height, class: "box-edge", "stroke-width": 2.2 * line }),
        make("rect", { x, y, width, height, class: "box", "stroke-width": line }),
      );
    }
    overlay.replaceChildren(...parts);
  };
  const paint = (pen) => {
    pen.lineCap = "round";
    pen.translate(0.5, 0.5); // a canvas counts from edges, the points from pixel centres
    for (const [kind, where, color, width] of strokes()) {
      pen.beginPath();
      if (kind === "dot") {
        pen.arc(where[0], where[1], width, 0, 2 * Math.PI);
        pen.fillStyle = color;
        pen.fill();
        pen.lineWidth = width / 3;
        pen.strokeStyle = "rgb(0 0 0 / 60%)";
      } else {
        pen.moveTo(...where[0]);
        pen.lineTo(...where[1]);
        pen.lineWidth = width;
        pen.strokeStyle = color === "edge" ? "rgb(0 0 0 / 45%)" : color;
      }
      pen.stroke();
    }
  };

  // --- the box ------------------------------------------------------------------------------------------
  const boxOf = (text) => {
    const values = text.split(",").map(Number);
    return text.trim() && values.length === 4 && values.every(Number.isFinite) ? values : null;
  };
  const place = (event) => {
    const { left, top, width, height } = overlay.getBoundingClientRect();
    const share = (value, extent) => Math.min(Math.max(value / extent, 0), 1);
    return [
      share(event.clientX - left, width) * photo.naturalWidth - 0.5,
      share(event.clientY - top, height) * photo.naturalHeight - 0.5,
    ];
  };
  let start = null;
  let previous = "";
  const drawing = () => drawButton.getAttribute("aria-pressed") === "true";
  const pressDraw = (pressed) => {
    drawButton.setAttribute("aria-pressed", pressed);
    frame.classList.toggle("drawing", pressed);
  };
  overlay.addEventListener("pointerdown", (event) => {
    // A finger scrolls the page unless it was asked to draw.
    if (event.button !== 0 || (event.pointerType === "touch" && !drawing())) return;
    event.preventDefault();
    overlay.setPointerCapture(event.pointerId);
    start = place(event);
    previous = boxField.value;
  });
  overlay.addEventListener("pointermove", (event) => {
    if (!start) return;
    const end = place(event);
    const [x, y] = [0, 1].map((k) => Math.min(start[k], end[k]));
    const [width, height] = [0, 1].map((k) => Math.abs(start[k] - end[k]));
    boxField.value = [x, y, width, height].map((value) => value.toFixed(1)).join(", ");
    draw();
  });
  const release = (event) => {
    if (!start) return;
    start = null;
    const box = boxOf(boxField.value);
    if (event.type === "pointercancel" || boxField.value === previous || !box || Math.min(box[2], box[3]) < minSide) {
      boxField.value = previous; // a click is no box
      draw();
      return;
    }
    pressDraw(false);
    send();
  };
  overlay.addEventListener("pointerup", release);
  overlay.addEventListener("pointercancel", release);
  drawButton.addEventListener("click", () => pressDraw(!drawing()));
  wholeButton.addEventListener("click", () => {
    boxField.value = "";
    pressDraw(false);
    draw();
    send();
  });
  boxField.addEventListener("change", () => { draw(); send(); });
  model?.addEventListener("change", send);

  // --- where pictures come from ---------------------------------------------------------------------------
  const chosen = (input, options) => input.addEventListener("change", () => {
    const [first] = input.files;
    input.value = ""; // the same photo may be chosen again
    if (first) take(first, { title: first.name, ...options });
  });
  chosen(file, {});
  chosen(camera, { small: true }); // photos of phones are always too large
  for (const button of samples) {
    button.addEventListener("click", async (event) => {
      event.preventDefault();
      const words_ = button.querySelector("img").alt;
      try {
        const response = await fetch(button.dataset.src);
        await take(await response.blob(), { title: button.value, alt: words_, sample: button });
      } catch {
        fail("The server cannot be reached.");
      }
    });
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault(); // Enter in the field of the box
    draw();
    send();
  });
  shrink.addEventListener("click", shrinkAndSend);
  again.addEventListener("click", send);
  const dragged = (event) => Array.from(event.dataTransfer?.items ?? []).some((item) => item.kind === "file");
  let depth = 0;
  document.addEventListener("dragenter", (event) => {
    if (!dragged(event)) return;
    depth += 1;
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    if (!depth) drop.classList.remove("over");
  });
  document.addEventListener("dragover", (event) => { if (dragged(event)) event.preventDefault(); });
  document.addEventListener("drop", (event) => {
    depth = 0;
    drop.classList.remove("over");
    if (!dragged(event)) return;
    event.preventDefault(); // else the browser leaves the page for the file
    const [first] = event.dataTransfer.files;
    if (first) take(first, { title: first.name });
  });
  document.addEventListener("paste", (event) => {
    const found = Array.from(event.clipboardData?.files ?? []).find((one) => one.type.startsWith("image/"));
    if (found) take(found, { title: "pasted" });
  });
}
