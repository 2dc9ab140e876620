/* Columns that this browser hides in a list; a sheet of styles says which. */

const key = `tidemill.columns.${window.location.pathname}`;
const sheet = new CSSStyleSheet();

const headers = () =>
  [...document.querySelectorAll("#result_list thead th")]
    .map((cell, at) => ({ cell, at, name: cell.dataset.column, text: cell.textContent.trim() }))
    .filter((one) => one.text && !one.cell.querySelector("input"));

const read = () => new Set(JSON.parse(localStorage.getItem(key) || "[]"));

function hide() {
  const hidden = read();
  const rules = headers()
    .filter(({ name }) => hidden.has(name))
    .map(({ at }) => `#result_list tr > :nth-child(${at + 1}) { display: none; }`);
  sheet.replaceSync(rules.join("\n"));
}

function choice({ name, text }) {
  const label = document.createElement("label");
  label.className = "tm-row";
  const box = document.createElement("input");
  box.type = "checkbox";
  box.checked = !read().has(name);
  box.addEventListener("change", () => {
    const hidden = read();
    if (box.checked) hidden.delete(name);
    else hidden.add(name);
    localStorage.setItem(key, JSON.stringify([...hidden]));
    hide();
  });
  label.append(box, ` ${text}`);
  return label;
}

function startColumns(place) {
  const menu = document.createElement("details");
  menu.className = "tm-menu";
  const summary = document.createElement("summary");
  summary.className = "tm-button tm-button-small";
  summary.textContent = place.dataset.columns;
  const list = document.createElement("div");
  list.className = "tm-card tm-body tm-rows";
  list.append(...headers().map(choice));
  menu.append(summary, list);
  place.append(menu);
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  hide();
}

const place = document.querySelector("[data-columns]");
if (place && headers().length) startColumns(place);
