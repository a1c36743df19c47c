// The switch of light and dark, and the documents behind a number beside the page instead of at its end. Documents are
// shown by copying what the page holds of them already; nothing is ever made markup here.
(() => {
  const root = document.documentElement;
  const isDark = () =>
    (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const theme = document.getElementById("theme");
  if (theme) {
    const tell = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
    theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; tell(); });
    tell();
    theme.hidden = false;
  }

  const drawer = document.getElementById("drawer");
  if (!drawer?.showModal) return;
  const [title, told, inside] = ["drawer-title", "drawer-told", "drawer-inside"].map((id) => document.getElementById(id));
  const cards = document.querySelectorAll("#behind > .document");

  function copy(number) {
    const card = cards[number].cloneNode(true);
    card.removeAttribute("id");
    for (const back of card.querySelectorAll(".uses")) back.remove();
    return card;
  }

  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    if (event.target === drawer || event.target.closest("#drawer-close")) drawer.close();
    const link = event.target.closest("a[data-see]");
    if (!link) return;
    event.preventDefault();
    const numbers = link.dataset.see.split(" ");
    title.textContent = link.dataset.what;
    told.textContent = `${numbers.length === 1 ? "One document" : `${numbers.length} documents`} behind this number.`;
    inside.replaceChildren(...numbers.map(copy));
    if (!drawer.open) drawer.showModal();
    drawer.scrollTop = 0;
  });
})();
