/* Says that the session has ended, and stops what asks for itself anew, until it goes on. */

const root = document.documentElement;

function tell() {
  if (root.dataset.loggedOut) return;
  root.dataset.loggedOut = "1";
  const box = document.createElement("div");
  box.id = "logged-out";
  box.setAttribute("role", "alert");
  box.className = "tm-card tm-callout tm-tone-red tm-body tm-over";
  const link = document.createElement("a");
  link.className = "tm-link";
  link.href = window.location.href;
  link.target = "_blank";
  link.textContent = "Log in in a new tab";
  box.append("You are logged out: what you see stays as it was. ", link, ", then go on here.");
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
