"use strict";
const sections = [...document.querySelectorAll("section")].map((element) => ({
  element,
  errors: [...element.querySelectorAll(".errors > li")],
}));
const PART = "[data-span], [data-spans]";
let lit = null; // the section in which something is lit
let kept = false; // whether it stays so when the pointer leaves

function light(part) {
  lit?.classList.remove("lighting");
  for (const other of lit?.querySelectorAll(".lit, .pointed") ?? [])
    other.classList.remove("lit", "pointed");
  lit = part?.closest("section") ?? null;
  if (!lit) return;
  lit.classList.add("lighting");
  part.classList.add("pointed");
  const spans = (part.dataset.spans ?? part.dataset.span).split(" ");
  for (const other of lit.querySelectorAll("[data-span]")) {
    const isPointed = spans.includes(other.dataset.span);
    other.classList.toggle("pointed", isPointed);
    other.classList.toggle("lit", isPointed || other.dataset.chain === part.dataset.chain);
  }
}

function letGo() {
  kept = false;
  light(null);
}

document.addEventListener("mouseover", (event) => {
  const part = event.target.closest(PART);
  if (!kept && (part || lit)) light(part);
});
document.addEventListener("click", (event) => {
  const part = event.target.closest(PART);
  if (part) {
    kept = true;
    light(part);
    // The mentions of an error may be far above it in a long text.
    if (part.dataset.spans)
      lit.querySelector(".mention.pointed")?.scrollIntoView({ block: "nearest" });
  } else if (lit) letGo();
});
document.addEventListener("focusin", (event) => {
  const part = event.target.closest(PART);
  if (part) light(part);
});
document.addEventListener("focusout", () => {
  if (!kept) light(null);
});

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "Escape") letGo();
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const section = event.target.closest("section");
  if (!step || !section) return;
  const stops = [...section.querySelectorAll("h2 a, [tabindex]")].filter((stop) =>
    stop.checkVisibility(),
  );
  event.preventDefault();
  const next = stops[stops.indexOf(event.target) + step];
  if (!next) return;
  // What is seen only while it is lit has to stay so until the focus has come to it.
  kept = true;
  next.focus();
  kept = false;
  if (!next.closest(PART)) light(null);
});

const buttons = [...document.querySelectorAll(".filters button")];

function chosen(group) {
  const pressed = buttons.filter((button) => button.ariaPressed === "true");
  return new Set(pressed.map((button) => button.dataset[group]).filter(Boolean));
}

function filter() {
  const sorts = chosen("sort");
  const kinds = chosen("kind");
  const counts = new Map();
  let shown = 0;
  for (const { element, errors } of sections) {
    let isShown = !sorts.size && !kinds.size;
    for (const error of errors) {
      const { sort, kind } = error.dataset;
      const isOfSort = !sorts.size || sorts.has(sort);
      const isOfKind = !kinds.size || kinds.has(kind);
      error.hidden = !(isOfSort && isOfKind);
      isShown ||= !error.hidden;
      // A button counts what it would add to the choice among the others.
      if (isOfKind) counts.set(sort, (counts.get(sort) ?? 0) + 1);
      if (isOfSort) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
    element.hidden = !isShown;
    shown += isShown;
  }
  for (const button of buttons) {
    const count = counts.get(button.dataset.sort ?? button.dataset.kind) ?? 0;
    button.lastElementChild.textContent = count;
    button.classList.toggle("empty", !count);
  }
  document.querySelector(".count").textContent = `${shown} of ${sections.length} shown`;
}

for (const button of buttons)
  button.addEventListener("click", () => {
    button.ariaPressed = String(button.ariaPressed !== "true");
    letGo();
    filter();
  });
document.querySelector("#all-gold")?.addEventListener("change", (event) => {
  document.body.classList.toggle("all-gold", event.target.checked);
});
