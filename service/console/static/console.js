// Live figures, a pause, copying, and the age of times. Every page works without it.
"use strict";

const EVERY = 3000;
let paused = false;
let lost = false;

function live() {
  return document.querySelector("[data-live]");
}

// A refresh would disturb: the focus is in the part, text is selected, or the page is hidden.
function disturbs(part) {
  const selection = document.getSelection();
  return (
    document.hidden ||
    part.contains(document.activeElement) ||
    part.querySelector("details[open]") !== null ||
    (selection !== null && !selection.isCollapsed)
  );
}

function tick() {
  const part = live();
  if (part && !paused && !disturbs(part)) {
    part.dispatchEvent(new CustomEvent("tick"));
  }
}

function showPause(control) {
  control.hidden = live() === null;
  control.classList.toggle("paused", paused);
  control.classList.toggle("lost", lost && !paused);
  control.querySelector(".live-state").textContent = paused ? "Paused" : lost ? "No answer" : "Live";
  control.querySelector("button").textContent = paused ? "Resume" : "Pause";
}

function span(seconds) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const [size, unit] = units.find(([size]) => seconds >= size) || [1, "s"];
  return `${Math.round(seconds / size)} ${unit}`;
}

// Ages are counted by the server's clock, as the rest of the page is. On a page that refreshes by
// itself each refresh brings them all, so that no two of them tell different times.
const ahead = Date.now() - Date.parse(document.body.dataset.now);

function showAges() {
  if (live()) {
    return;
  }
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const seconds = (Date.now() - ahead - Date.parse(time.dateTime)) / 1000;
    if (seconds >= 1) {
      time.textContent = `${span(seconds)} ago`;
    }
  }
}

async function copy(button) {
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = "copied";
  setTimeout(() => (button.textContent = "copy"), 1500);
}

function prepare(root) {
  if (navigator.clipboard) {
    root.querySelectorAll("button.copy").forEach((button) => (button.hidden = false));
  }
  root.querySelectorAll("[data-pausable]").forEach(showPause);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button && button.matches(".copy")) {
    copy(button);
  } else if (button && button.matches("[data-pause]")) {
    paused = !paused;
    showPause(button.closest("[data-pausable]"));
  }
});

// A request failed: the figures are no longer live, and a part that was asked for is missing.
function showNoAnswer(event) {
  if (event.detail.successful) {
    return;
  }
  const part = event.detail.elt;
  if (part.matches("[data-live]")) {
    lost = true;
    document.querySelectorAll("[data-pausable]").forEach(showPause);
  } else {
    part.querySelectorAll(".waiting").forEach((text) => {
      text.textContent = "There was no answer. Load the page again.";
      text.classList.remove("waiting");
    });
    part.parentElement.querySelectorAll("[data-no-answer]").forEach((text) => {
      text.textContent = "There was no answer. Try again, or load the page again.";
    });
  }
}

document.addEventListener("htmx:beforeRequest", (event) => {
  event.detail.elt.querySelectorAll(".waiting").forEach((text) => (text.textContent = "Asking Clerk …"));
});
document.addEventListener("htmx:afterRequest", showNoAnswer);
document.addEventListener("htmx:afterSettle", () => {
  lost = false;
  prepare(document);
});
prepare(document);
setInterval(tick, EVERY);
setInterval(showAges, 1000);
