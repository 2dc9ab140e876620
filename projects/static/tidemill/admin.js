/* What the pages of Tidemill need beyond htmx and Alpine: live logs, lists that refresh in place,
   columns that their reader chose. */
"use strict";
(() => {
  // --- log: asks for what is new until the execution has ended --------------------------------
  function startLog(box) {
    const card = box.closest("[data-log-card]");
    const stateText = card.querySelector("[data-log-state]");
    const follow = card.querySelector("[data-log-follow]");
    let round = 0;

    async function read(url, mine) {
      let position = 0;
      let failures = 0;
      while (mine === round) {
        let page;
        try {
          const answer = await fetch(`${url}?position=${position}`, { credentials: "same-origin" });
          if (!answer.ok) throw new Error(String(answer.status));
          page = await answer.json();
          failures = 0;
        } catch (error) {
          failures += 1;
          stateText.textContent = `· the log cannot be read (${error.message}), trying again`;
          await sleep(Math.min(1000 * 2 ** failures, 30000));
          continue;
        }
        if (mine !== round) return;
        if (page.text) {
          box.append(page.text);
          if (follow.checked) box.scrollTop = box.scrollHeight;
        }
        const isNew = page.next_position !== position;
        position = page.next_position;
        if (page.finished) {
          stateText.textContent = box.textContent ? "· ended" : "· ended without a line";
          return;
        }
        stateText.textContent = "· live";
        if (!isNew) await sleep(document.hidden ? 5000 : 1000);
      }
    }

    function show(url) {
      round += 1;
      box.textContent = "";
      if (url) read(url, round);
      else stateText.textContent = "· nothing has run yet";
    }

    show(box.dataset.log);
    // A new execution has begun (a retry, a rerun): go over to it unless another one was chosen.
    document.body.addEventListener("htmx:afterSettle", () => {
      const live = document.getElementById("live");
      if (!live || box.dataset.logFollowing !== "1") return;
      const url = live.dataset.log || "";
      if (url === box.dataset.log) {
        return;
      }
      box.dataset.log = url;
      card.querySelector("[data-log-title]").textContent = live.dataset.logTitle || "";
      const download = card.querySelector("[data-log-download]");
      download.href = `${url}?format=text`;
      download.hidden = !url;
      for (const one of [card, document.getElementById("code-card")]) one.hidden = !url;
      show(url);
      if (live.dataset.code) htmx.ajax("GET", live.dataset.code, "#code");
    });
  }

  const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

  // --- lists: ask for the same page again and put its parts in place ---------------------------
  async function refreshList() {
    if (document.querySelector("#result_list input.action-select:checked")) return;
    const answer = await fetch(window.location.href, { credentials: "same-origin" });
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const selector of ["#result_list", ".tm-chips a.tm-chip"]) {
      const fresh = [...page.querySelectorAll(selector)];
      const old = [...document.querySelectorAll(selector)];
      if (fresh.length === old.length) old.forEach((one, at) => one.replaceWith(fresh[at]));
    }
    const parent = document.querySelector(".result-list-wrapper");
    const boxes = parent ? parent.querySelectorAll("tr input.action-select") : [];
    if (boxes.length && window.Actions) window.Actions(boxes, { parent });
    chooseColumns();
  }

  function startRefreshing() {
    document.querySelector("[data-refresh]")?.addEventListener("click", refreshList);
    const auto = document.querySelector("[data-auto-refresh]");
    if (!auto) return;
    const key = `tidemill.live.${window.location.pathname}`;
    auto.checked = localStorage.getItem(key) === "1";
    auto.addEventListener("change", () => localStorage.setItem(key, auto.checked ? "1" : "0"));
    setInterval(() => {
      if (auto.checked && !document.hidden) refreshList();
    }, 5000);
  }

  // --- columns: hidden ones are remembered by this browser for this list ------------------------
  function headers() {
    return [...document.querySelectorAll("#result_list thead th")]
      .map((cell, at) => ({ cell, at, text: cell.textContent.trim().split("\n")[0].trim() }))
      .filter((one) => one.text && !one.cell.querySelector("input"));
  }

  const columnsKey = () => `tidemill.columns.${window.location.pathname}`;
  const hiddenColumns = () => new Set(JSON.parse(localStorage.getItem(columnsKey()) || "[]"));

  function chooseColumns() {
    const hidden = hiddenColumns();
    for (const { at, text } of headers()) {
      for (const row of document.querySelectorAll("#result_list tr")) {
        const cell = row.children[at];
        if (cell && row.children.length > 1) cell.style.display = hidden.has(text) ? "none" : "";
      }
    }
  }

  function startColumns() {
    const place = document.querySelector("[data-columns]");
    if (!place || !headers().length) return;
    const menu = document.createElement("details");
    menu.style.position = "relative";
    const summary = document.createElement("summary");
    summary.className = "tm-button tm-button-small";
    summary.textContent = "Columns";
    const list = document.createElement("div");
    list.className = "tm-card tm-body tm-rows";
    list.style.cssText = "position:absolute;right:0;z-index:60;margin-top:4px;min-width:180px";
    for (const { text } of headers()) {
      const label = document.createElement("label");
      label.className = "tm-row";
      const box = document.createElement("input");
      box.type = "checkbox";
      box.checked = !hiddenColumns().has(text);
      box.addEventListener("change", () => {
        const hidden = hiddenColumns();
        if (box.checked) hidden.delete(text);
        else hidden.add(text);
        localStorage.setItem(columnsKey(), JSON.stringify([...hidden]));
        chooseColumns();
      });
      label.append(box, ` ${text}`);
      list.append(label);
    }
    menu.append(summary, list);
    place.append(menu);
    document.addEventListener("click", (event) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
    chooseColumns();
  }

  // --- wizard: what was chosen changes which tasks are downstream ------------------------------
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-downstream]")) {
      document.body.dispatchEvent(new Event("downstream"));
    }
  });

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("pre[data-log]").forEach(startLog);
    startRefreshing();
    startColumns();
  });
})();
