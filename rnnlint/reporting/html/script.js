"use strict";
// The page says everything without this; it only saves steps.

const all = (selector, within = document) => [...within.querySelectorAll(selector)];

function button(label, action) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = label;
  made.addEventListener("click", action);
  return made;
}

// --- The path of the data: one step open at a time, forward and back.

function walk(path, by) {
  const steps = all("details", path);
  const at = steps.findIndex((step) => step.open);
  const next = steps[Math.min(Math.max(at + by, 0), steps.length - 1)];
  next.open = true;
}

for (const path of all(".path")) {
  const bar = document.createElement("p");
  bar.className = "walk";
  const back = button("\u2190 Back", () => walk(path, -1));
  const forward = button("Forward \u2192", () => walk(path, 1));
  const steps = all("details", path);
  const settle = () => {
    back.disabled = steps[0].open;
    forward.disabled = steps[steps.length - 1].open;
  };
  for (const step of steps) {
    step.addEventListener("toggle", () => {
      // Browsers that do not know groups of <details> leave the others open.
      if (step.open) steps.filter((other) => other !== step).forEach((other) => (other.open = false));
      settle();
    });
  }
  bar.append(button("Follow the data", () => (steps[0].open = true)), back, forward);
  path.after(bar);
  settle();
}

// --- A link opens what it leads to.

function reveal() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let around = target; around; around = around.parentElement) {
    if (around.localName === "details") around.open = true;
  }
  all(":scope > td > details", target).forEach((place) => (place.open = true));
  target.scrollIntoView();
  target.focus({ preventScroll: true });
}
addEventListener("hashchange", reveal);
for (const link of all('a[href^="#"]')) {
  link.addEventListener("click", () => setTimeout(reveal));
}
reveal();

// --- Light and dark.

const root = document.documentElement;
function isDark() {
  const chosen = root.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}
const theme = button("", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  theme.textContent = isDark() ? "Light" : "Dark";
});
theme.textContent = isDark() ? "Light" : "Dark";

// --- Keys.

const help = document.createElement("dialog");
help.innerHTML =
  "<h2>Keys</h2><dl><dt><kbd>j</kbd> <kbd>k</kbd></dt><dd>next finding, the one before</dd>" +
  "<dt><kbd>\u2192</kbd> <kbd>\u2190</kbd></dt><dd>along the path of the data</dd>" +
  "<dt><kbd>t</kbd></dt><dd>light or dark</dd><dt><kbd>?</kbd></dt><dd>this help</dd></dl>";
help.append(button("Close", () => help.close()));
const tools = document.createElement("p");
tools.className = "tools";
tools.append(theme, " ", button("Keys", () => help.showModal()));
document.body.append(tools, help);

function current() {
  return document.activeElement.closest(".finding");
}

function visit(by) {
  const shown = all(".finding").filter((finding) => finding.offsetParent);
  const at = shown.indexOf(current());
  const next = at < 0 ? shown[0] : shown[at + by];
  if (next) {
    next.focus({ preventScroll: true });
    next.scrollIntoView();
  }
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  const path = current() && current().querySelector(".path");
  // Where source can be scrolled, the arrows scroll it.
  const scrolls = event.target.scrollWidth > event.target.clientWidth && event.target.matches("pre");
  if (event.key === "j") visit(1);
  else if (event.key === "k") visit(-1);
  else if (event.key === "t") theme.click();
  else if (event.key === "?") help.showModal();
  else if (event.key === "ArrowRight" && path && !scrolls) walk(path, 1);
  else if (event.key === "ArrowLeft" && path && !scrolls) walk(path, -1);
  else return;
  event.preventDefault();
});
