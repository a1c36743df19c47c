"use strict";
// Lets a reader sort every table by its heads, and filter long ones. It reads text, moves rows and sets attributes; it
// never makes markup of what it reads, so that nothing in a document can run.
(() => {
  const LONG = 12; // rows, from which a table has a filter
  const words = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const fold = (text) => text.normalize("NFKC").toLowerCase().replace(/\s+/g, " ").trim();

  function value(row, column, isNumber) {
    const text = (row.cells[column]?.textContent ?? "").trim();
    if (!isNumber) return text;
    const number = parseFloat(text.replace(/[,<> ]|under/g, ""));
    return Number.isNaN(number) ? -Infinity : number - (text.startsWith("<") ? 1e-9 : 0);
  }

  function sort(table, head, column) {
    const isNumber = head.classList.contains("n");
    const before = head.getAttribute("aria-sort");
    const direction = before ? (before === "ascending" ? "descending" : "ascending") : isNumber ? "descending" : "ascending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const compare = isNumber ? (a, b) => (a === b ? 0 : a - b) : words.compare;
    const rows = [...table.tBodies[0].rows].map((row) => [value(row, column, isNumber), row]);
    rows.sort((a, b) => sign * compare(a[0], b[0]));
    table.tBodies[0].append(...rows.map((pair) => pair[1]));
  }

  function sortable(table) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, head, column));
      head.append(button);
    });
  }

  function filterable(table) {
    const rows = [...table.tBodies[0].rows];
    const texts = rows.map((row) => fold(row.textContent));
    const box = document.createElement("input");
    const count = document.createElement("output");
    const bar = document.createElement("div");
    box.type = "search";
    box.placeholder = "Filter these rows";
    box.setAttribute("aria-label", "Filter these rows");
    bar.className = "filter";
    const apply = () => {
      const wanted = fold(box.value).split(" ");
      let shown = 0;
      rows.forEach((row, i) => {
        row.hidden = !wanted.every((word) => texts[i].includes(word));
        shown += !row.hidden;
      });
      count.textContent = box.value ? `${shown} of ${rows.length} rows` : `${rows.length} rows`;
    };
    box.addEventListener("input", apply);
    bar.append(box, count);
    table.parentNode.before(bar);
    apply();
  }

  for (const table of document.querySelectorAll("table")) {
    if (!table.tHead || !table.tBodies.length || table.tBodies[0].rows.length < 2) continue;
    sortable(table);
    if (table.tBodies[0].rows.length >= LONG && !table.closest("figure")) filterable(table);
  }
})();
