"use strict";
// Filters the hits. It reads text and sets `hidden`, and never makes markup, so that nothing in a document can run.
(() => {
  const bar = document.getElementById("filters");
  if (!bar) return;
  const fold = (text) => text.normalize("NFKC").toLowerCase().replace(/\s+/g, " ").trim();
  const hits = [...document.querySelectorAll(".hit")];
  const texts = hits.map((hit) => fold(hit.textContent));
  const menus = [...bar.querySelectorAll("select")];
  const search = bar.querySelector("input");
  const controls = [...menus, search];
  const none = document.getElementById("none");
  const count = document.getElementById("count");

  function read() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    for (const control of controls) {
      control.value = wanted.get(control.name) ?? "";
      if (control.selectedIndex === -1) control.value = "";
    }
  }

  function remember() {
    const wanted = new URLSearchParams(controls.filter((c) => c.value).map((c) => [c.name, c.value]));
    try {
      history.replaceState(null, "", "#" + wanted);
    } catch {
      // some viewers give a page no address of its own; the filters work all the same
    }
  }

  function apply() {
    const words = fold(search.value).split(" ");
    let shown = 0;
    hits.forEach((hit, i) => {
      const fits = menus.every((menu) => !menu.value || hit.dataset[menu.name] === menu.value);
      hit.hidden = !(fits && words.every((word) => texts[i].includes(word)));
      shown += !hit.hidden;
    });
    none.hidden = shown > 0;
    count.textContent = `${shown} of ${hits.length} shown`;
  }

  bar.addEventListener("input", () => { apply(); remember(); });
  document.getElementById("clear").addEventListener("click", () => {
    for (const control of controls) control.value = "";
    apply();
    remember();
  });
  addEventListener("hashchange", () => {
    if (location.hash.includes("=")) { read(); apply(); }
  });
  if (location.hash.includes("=")) read();
  bar.hidden = false;
  apply();
})();
