"use strict";

// Numbers sort as numbers, what has none comes last, everything else as text.
function valueOf(row, column) {
  const text = row.cells[column] ? row.cells[column].textContent.trim() : "";
  const number = parseFloat(text);
  return /^[+-]?[\d.]/.test(text) && !Number.isNaN(number) ? number : text;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "number") return -1;
  if (typeof b === "number") return 1;
  return a.localeCompare(b);
}

for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  // On a phone each cell says what it is, since its column has no place there.
  table.classList.add("cards");
  for (const cell of table.tBodies[0].querySelectorAll("td:not([data-label], .found, [colspan])")) {
    cell.dataset.label = headings[cell.cellIndex].textContent.trim();
  }
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const falls = heading.getAttribute("aria-sort") === "ascending";
      for (const other of headings) other.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => (falls ? -1 : 1) * compare(valueOf(a, column), valueOf(b, column)));
      table.tBodies[0].append(...rows);
    });
  });
}

for (const slider of document.querySelectorAll(".slide input")) {
  const over = slider.closest("figure").querySelector("img + img");
  slider.addEventListener("input", () => over.style.setProperty("--at", `${slider.value}%`));
}

// Values under the pointer, from the colours of a picture's pixels: as fine as its scale has colours.
const colourNumbers = {};

function numbersOf(name) {
  if (!colourNumbers[name]) {
    const digits = JSON.parse(document.getElementById("palettes").textContent)[name];
    colourNumbers[name] = new Map();
    for (let number = 0; number < digits.length / 6; number += 1) {
      const colour = digits.slice(6 * number, 6 * number + 6);
      if (!colourNumbers[name].has(colour)) colourNumbers[name].set(colour, number);
    }
  }
  return colourNumbers[name];
}

function pixelsOf(image) {
  if (!image.pixels) {
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    image.pixels = context;
  }
  return image.pixels;
}

function valueAt(image, column, row) {
  const [red, green, blue, alpha] = pixelsOf(image).getImageData(column, row, 1, 1).data;
  if (alpha === 0) return null;
  const colour = [red, green, blue].map((part) => part.toString(16).padStart(2, "0")).join("");
  const [low, high, softening] = image.dataset.scale.split(" ").map(Number);
  const fraction = numbersOf(image.dataset.colours).get(colour) / 254;
  const stretch = (value) => (softening ? Math.asinh(value / softening) : value);
  const stretched = stretch(low) + fraction * (stretch(high) - stretch(low));
  return softening ? softening * Math.sinh(stretched) : stretched;
}

for (const frame of document.querySelectorAll(".frame")) {
  const said = frame.parentElement.querySelector("output");
  const images = [...frame.querySelectorAll("img[data-scale]")];
  if (!said || images.length === 0) continue;
  frame.addEventListener("pointermove", (event) => {
    const box = frame.getBoundingClientRect();
    const [left, right, bottom, top] = images[0].dataset.field.split(" ").map(Number);
    // The picture keeps its shape inside the frame.
    const step = Math.max((right - left) / box.width, (top - bottom) / box.height);
    const x = (left + right) / 2 + (event.clientX - box.left - box.width / 2) * step;
    const y = (bottom + top) / 2 - (event.clientY - box.top - box.height / 2) * step;
    if (x < left || x >= right || y <= bottom || y > top) return;
    const column = Math.floor(((x - left) / (right - left)) * images[0].naturalWidth);
    const row = Math.floor(((top - y) / (top - bottom)) * images[0].naturalHeight);
    const values = images.map((image) => valueAt(image, column, row));
    const words = values.map((value) => (value === null ? "nothing" : value.toPrecision(3)));
    said.textContent = `y ${y.toFixed(2)}″, x ${x.toFixed(2)}″: about ${words.join(" and ")}`;
  });
  frame.addEventListener("pointerleave", () => { said.textContent = said.dataset.unit; });
}

for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    const text = button.parentElement.querySelector("pre");
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      // A file opened from disk may not use the clipboard: leave the text selected instead.
      getSelection().selectAllChildren(text);
    }
  });
}

// On paper nothing unfolds, but pages of commands and of what passed are of no use there.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) {
    if (!details.closest("#reproduce, #gates")) details.open = true;
  }
});
