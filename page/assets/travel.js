// Shows the position while the slider moves, and goes there when it is let go.
// Without JavaScript there is a button.
"use strict";
for (const range of document.querySelectorAll("[data-travel]")) {
  const output = document.querySelector(`output[for="${CSS.escape(range.id)}"]`);
  range.addEventListener("input", () => { if (output) output.textContent = `#${range.value}`; });
  range.addEventListener("change", () => range.form.requestSubmit());
}
