// Puts new events on top of the list as they happen. Without JavaScript the
// page loads itself again every few seconds instead.
"use strict";
const list = document.querySelector("[data-live]");
if (list) {
  const state = document.querySelector("[data-live-state]");
  const source = new EventSource(list.dataset.live);
  const most = 200;
  source.onopen = () => { if (state) state.textContent = "Live"; };
  source.onerror = () => { if (state) state.textContent = "Connecting again…"; };
  source.onmessage = (message) => {
    const box = document.createElement("template");
    box.innerHTML = message.data; // written and escaped by the server's own template
    const line = box.content.firstElementChild;
    if (!line || list.querySelector(`[data-position="${CSS.escape(line.dataset.position)}"]`)) return;
    line.classList.add("fresh");
    list.querySelector("[data-empty]")?.remove();
    let day = list.querySelector(".day");
    if (!day || day.dataset.day !== line.dataset.day) {
      day = document.createElement("li");
      day.className = "day";
      day.dataset.day = day.textContent = line.dataset.day;
      list.prepend(day);
    }
    day.after(line);
    while (list.children.length > most) list.lastElementChild.remove();
  };
  addEventListener("pagehide", () => source.close());
}
