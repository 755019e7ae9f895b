"use strict";
// Shows one step at a time. Without scripts all steps stay visible, one below the other.
(() => {
  const steps = [...document.querySelectorAll("section.step")];
  const [previous, next, place] = ["previous", "next", "place"].map((id) => document.getElementById(id));
  let at = 0;

  function show(index, { moveFocus = true, remember = true } = {}) {
    at = Math.min(Math.max(index, 0), steps.length - 1);
    steps.forEach((step, i) => { step.hidden = i !== at; });
    previous.disabled = at === 0;
    next.disabled = at === steps.length - 1;
    place.textContent = `${at + 1} / ${steps.length}`;
    if (remember) history.replaceState(null, "", `#${steps[at].id}`);
    if (moveFocus) {
      steps[at].querySelector("h2").focus({ preventScroll: true });
      steps[at].scrollIntoView();
    }
  }

  function showAddressed(moveFocus) {
    const index = steps.findIndex((step) => `#${step.id}` === location.hash);
    show(Math.max(index, 0), { moveFocus: moveFocus && index >= 0, remember: index >= 0 });
  }

  previous.addEventListener("click", () => show(at - 1));
  next.addEventListener("click", () => show(at + 1));
  addEventListener("hashchange", () => showAddressed(true));
  document.querySelector("nav").addEventListener("click", (event) => {
    if (event.target.matches("a")) event.currentTarget.querySelector("details").open = false;
  });
  addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const table = event.target.closest?.(".scroll");
    if (table && table.scrollWidth > table.clientWidth) return; // the keys scroll it
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: steps.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    show(to);
  });

  for (const table of document.querySelectorAll(".scroll")) table.tabIndex = 0;
  document.querySelector("footer").hidden = false;
  showAddressed(false);
})();
