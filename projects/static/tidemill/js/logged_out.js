/* Says that the session has ended, and stops what asks for itself anew, until it goes on. */

const root = document.documentElement;

function tell() {
  if (root.dataset.loggedOut) return;
  root.dataset.loggedOut = "1";
  const box = document.getElementById("logged-out-box").content.cloneNode(true);
  box.querySelector("a").href = window.location.href;
  document.body.append(box);
}

async function goOn() {
  if (!root.dataset.loggedOut || document.hidden) return;
  const answer = await fetch(window.location.href, { credentials: "same-origin" });
  if (answer.status === 401) return;
  delete root.dataset.loggedOut;
  document.getElementById("logged-out")?.remove();
}

document.addEventListener("tidemill:logged-out", tell);
document.body.addEventListener("htmx:responseError", (event) => {
  if (event.detail.xhr.status === 401) tell();
});
document.body.addEventListener("htmx:beforeRequest", (event) => {
  if (root.dataset.loggedOut) event.preventDefault();
});
document.addEventListener("visibilitychange", goOn);
window.addEventListener("focus", goOn);
