"use strict";
// Sorts and searches the table of operators, and shows tooltips; the page is complete without it.
const table = document.querySelector(".sortable table");
const body = table.tBodies[0];
const value = (row, column) => {
  const text = row.cells[column].dataset.value;
  return text === undefined ? row.cells[column].textContent : text === "" ? NaN : Number(text);
};
table.tHead.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const head = button.parentElement;
  const up = head.getAttribute("aria-sort") !== "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const rows = [...body.rows].map((row) => [value(row, head.cellIndex), row]);
  rows.sort(([a], [b]) => {
    if (typeof a === "string") return (up ? 1 : -1) * a.localeCompare(b);
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    return up ? a - b : b - a;
  });
  body.append(...rows.map(([, row]) => row));
});
const search = document.getElementById("search");
search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\s+/);
  let shown = 0;
  for (const row of body.rows) {
    const name = row.querySelector("th").textContent.toLowerCase();
    row.hidden = !words.every((word) => name.includes(word));
    shown += !row.hidden;
  }
  document.getElementById("found").textContent = `${shown} of ${body.rows.length}`;
});
const tip = document.getElementById("tip");
const show = (event) => {
  const about = event.target.closest("[data-tip]");
  tip.hidden = !about;
  if (!about) return;
  tip.textContent = about.dataset.tip;
  const box = about.getBoundingClientRect();
  const left = Math.min(Math.max(8, box.left + box.width / 2 - tip.offsetWidth / 2), innerWidth - tip.offsetWidth - 8);
  const above = box.top - tip.offsetHeight - 8;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 0 ? above : box.bottom + 8}px`;
};
for (const name of ["pointerover", "focusin"]) document.addEventListener(name, show);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
