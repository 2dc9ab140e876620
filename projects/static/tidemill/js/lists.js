/* A list asks for itself again: by its button, and every five seconds while "Live" is on. Not while
   rows of it are chosen. */

const SECONDS = 5;

const isChosen = (list) => list.querySelector("input.action-select:checked") !== null;

function refresh() {
  const list = document.getElementById("list");
  if (list && !isChosen(list)) htmx.trigger(list, "refresh");
}

function startRefreshing(auto) {
  const key = `tidemill.live.${window.location.pathname}`;
  auto.checked = localStorage.getItem(key) === "1";
  auto.addEventListener("change", () => localStorage.setItem(key, auto.checked ? "1" : "0"));
  setInterval(() => {
    if (auto.checked && !document.hidden) refresh();
  }, SECONDS * 1000);
}

document.querySelector("[data-refresh]")?.addEventListener("click", refresh);
document.querySelectorAll("[data-auto-refresh]").forEach(startRefreshing);

document.body.addEventListener("htmx:beforeSwap", (event) => {
  if (event.target.id !== "list") return;
  // Elsewhere is the login. Rows that were chosen while the answer was on its way stay chosen.
  const isElsewhere = new URL(event.detail.xhr.responseURL).pathname !== window.location.pathname;
  if (isElsewhere || isChosen(event.target)) event.detail.shouldSwap = false;
});

// The boxes of the new rows: what the admin's own script does when the page is loaded.
document.body.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id !== "list") return;
  const parent = document.querySelector(".result-list-wrapper");
  const boxes = parent ? parent.querySelectorAll("tr input.action-select") : [];
  if (boxes.length && window.Actions) window.Actions(boxes, { parent });
});
