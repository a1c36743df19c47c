// Shopping cart widget: opens the side panel, renders the items and keeps the badge in the header up to date.

const panel = document.querySelector("#cart-panel");
const badge = document.querySelector("#cart-badge");
const list = panel.querySelector("ul");

function loadCart() {
  try {
    return JSON.parse(localStorage.getItem("cart")) || [];
  } catch (error) {
    console.warn("cart was damaged, starting with an empty one", error);
    return [];
  }
}

function saveCart(items) {
  localStorage.setItem("cart", JSON.stringify(items));
  render(items);
}

function render(items) {
  badge.textContent = items.length;
  badge.hidden = items.length === 0;
  list.replaceChildren(...items.map(renderItem));
}

function renderItem(item) {
  const row = document.createElement("li");
  row.className = "cart-item";
  const image = document.createElement("img");
  image.src = item.thumbnail;
  image.alt = item.title;
  const button = document.createElement("button");
  button.textContent = "Remove";
  button.addEventListener("click", () => {
    saveCart(loadCart().filter((other) => other.sku !== item.sku));
  });
  row.append(image, item.title, button);
  return row;
}

document.querySelectorAll("[data-add-to-cart]").forEach((button) => {
  button.addEventListener("click", async () => {
    button.disabled = true;
    const response = await fetch(`/api/products/${button.dataset.addToCart}`);
    if (response.ok) {
      saveCart([...loadCart(), await response.json()]);
      panel.classList.add("open");
    } else {
      alert("Sorry, this product is not available right now.");
    }
    button.disabled = false;
  });
});

panel.querySelector(".close").addEventListener("click", () => panel.classList.remove("open"));
render(loadCart());
