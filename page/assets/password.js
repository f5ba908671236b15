// Adds a button to each password field that shows what was typed. Without
// JavaScript there is no button, and nothing is missing.
"use strict";
for (const input of document.querySelectorAll('input[type="password"]')) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "reveal";
  const set = (shown) => {
    input.type = shown ? "text" : "password";
    button.textContent = shown ? "Hide" : "Show";
    button.setAttribute("aria-pressed", String(shown));
    button.setAttribute("aria-label", (shown ? "Hide " : "Show ") + (input.labels[0]?.textContent.trim().toLowerCase() || "password"));
  };
  set(false);
  button.addEventListener("click", () => { set(input.type === "password"); input.focus(); });
  input.form?.addEventListener("submit", () => set(false));
  const box = document.createElement("span");
  box.className = "revealing";
  input.replaceWith(box);
  box.append(input, button);
}
