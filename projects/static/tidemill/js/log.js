/* A log asks for what is new until its execution has ended. What it says of itself stands in the
   page's language at its box. */

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function startLog(box) {
  const card = box.closest("[data-log-card]");
  const stateText = card.querySelector("[data-log-state]");
  const follow = card.querySelector("[data-log-follow]");
  const words = box.dataset;
  let round = 0;

  const tell = (text) => {
    stateText.textContent = `· ${text}`;
  };

  async function read(url, mine) {
    let position = 0;
    let failures = 0;
    while (mine === round) {
      let page;
      try {
        const answer = await fetch(`${url}?position=${position}`, { credentials: "same-origin" });
        if (answer.status === 401) {
          tell(words.sayLoggedOut);
          document.dispatchEvent(new Event("tidemill:logged-out"));
          return;
        }
        if (!answer.ok) throw new Error(String(answer.status));
        page = await answer.json();
        failures = 0;
      } catch (error) {
        failures += 1;
        tell(words.sayUnreadable.replace("{reason}", error.message));
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
        tell(box.textContent ? words.sayEnded : words.sayEmpty);
        return;
      }
      tell(words.sayLive);
      if (!isNew) await sleep(document.hidden ? 5000 : 1000);
    }
  }

  function show(url) {
    round += 1;
    box.textContent = "";
    if (url) read(url, round);
    else tell(words.sayNothing);
  }

  show(box.dataset.log);
  // A new execution has begun (a retry, a rerun): go over to it unless another one was chosen.
  document.body.addEventListener("htmx:afterSettle", () => {
    const live = document.getElementById("live");
    if (!live || box.dataset.logFollowing !== "1") return;
    const url = live.dataset.log || "";
    if (url === box.dataset.log) return;
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

document.querySelectorAll("pre[data-log]").forEach(startLog);
