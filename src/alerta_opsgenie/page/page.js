// Updates the first screen. The page also works without this script.
"use strict";

const EVERY_MS = 2000;
const NO_ANSWER = "No answer: this may be out of date";
const liveStatus = document.getElementById("live-status");
const pause = document.getElementById("pause");
const field = document.getElementById("token");
const parts = ["now", "actions"];

// The token stays in this tab. `status --web` prints a URL with it as the fragment, which is never sent.
if (location.hash.startsWith("#token=")) {
  sessionStorage.setItem("token", decodeURIComponent(location.hash.slice(7)));
  history.replaceState(null, "", location.pathname + location.search);
}
if (field) {
  field.value = document.getElementById("wrong") ? "" : sessionStorage.getItem("token") || "";
  field.form.addEventListener("submit", () => sessionStorage.setItem("token", field.value));
}

const keys = (where) => Array.from(where.querySelectorAll("tr[data-key]"), (row) => row.dataset.key);
const isPaused = () => pause.getAttribute("aria-pressed") === "true";
const isInUse = () => document.hidden || !getSelection().isCollapsed;

function showStatus(words) {
  if (liveStatus.textContent !== words) liveStatus.textContent = words; // a screen reader reads each change
}

async function refresh() {
  const answer = await fetch(location.pathname + location.search, { cache: "no-store", signal: AbortSignal.timeout(10000) });
  if (!answer.ok) throw new Error(answer.status);
  const next = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (isPaused() || isInUse()) return;
  const known = new Set(keys(document));
  const fresh = keys(next).filter((key) => !known.has(key)).length;
  const focused = document.activeElement && document.activeElement.getAttribute("href");
  for (const id of parts) document.getElementById(id).replaceWith(next.getElementById(id));
  document.title = next.title;
  const link = focused && document.activeElement === document.body
    && Array.from(document.querySelectorAll("main a")).find((one) => one.getAttribute("href") === focused);
  if (link) link.focus({ preventScroll: true });
  if (fresh) showStatus(fresh === 1 ? "1 new action" : fresh + " new actions");
  else if (liveStatus.textContent === NO_ANSWER) showStatus("Live");
}

async function round() {
  if (!isPaused() && !isInUse()) {
    try {
      await refresh();
    } catch (error) {
      showStatus(NO_ANSWER);
    }
  }
  setTimeout(round, EVERY_MS);
}

if (pause) {
  pause.parentElement.hidden = false;
  showStatus("Live");
  pause.addEventListener("click", () => {
    pause.setAttribute("aria-pressed", String(!isPaused()));
    pause.textContent = isPaused() ? "Resume" : "Pause";
    showStatus(isPaused() ? "Paused" : "Live");
  });
  setTimeout(round, EVERY_MS);
}
