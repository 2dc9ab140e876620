/* What is chosen in the wizard changes which tasks are downstream. */

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-downstream]")) {
    document.body.dispatchEvent(new Event("downstream"));
  }
});
