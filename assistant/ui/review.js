// What only the browser can do on the page for reviews: its keys, and to show at once what was chosen.
// Runs after bus.js, in its scope. Names that Python listens for: 'review_choose' 'review_save' 'review_skip'
// 'review_undo' 'review_open' 'review_next' 'review_more'
const field = (name) => document.querySelector(`#review-${name} textarea, #review-${name} input`);
const shownOf = (selector) => {
  const found = document.querySelector(selector);
  return found?.checkVisibility() ? found : null;
};

// The button that saves carries the whole choice: whoever presses 1 and N at once saves a 1.
function paint(save) {
  for (const one of document.querySelectorAll('#review-panel [data-act="review_choose"]')) {
    const { verdict, fault, toggle } = one.dataset;
    const pressed = toggle ? Boolean(save.dataset[toggle])
      : fault ? save.dataset.fault === fault
      : save.dataset.verdict === verdict;
    one.setAttribute("aria-pressed", String(pressed));
  }
}
listen(document, "click", (event) => {
  const chosen = event.target instanceof Element ? event.target.closest('[data-act="review_choose"]') : null;
  const save = document.getElementById("review-save");
  if (!chosen || !save || chosen.dataset.busy) return;
  const { verdict, fault, toggle } = chosen.dataset;
  if (toggle) save.dataset[toggle] = save.dataset[toggle] ? "" : "yes";
  if (fault) Object.assign(save.dataset, { verdict: "wrong", fault });
  if (verdict) Object.assign(save.dataset, { verdict, fault: verdict === "wrong" ? save.dataset.fault : "" });
  paint(save);
}, { capture: true });

// Either way a message may be lost, and then the page stands still: asked once more, the server shows the case
// at which it is. What was saved is not saved twice.
const PATIENCE_MS = 3000;
let waiting = 0;
const patient = () => clearTimeout(waiting);
for (const name of ["keydown", "input"]) listen(document, name, patient, { capture: true });
listen(document, "click", (event) => {
  patient();
  const save = event.target instanceof Element ? event.target.closest("#review-save") : null;
  if (!save || save.dataset.busy) return;
  if (save.dataset.sent) return void (save.dataset.again = "yes");
  save.dataset.sent = "yes";
  waiting = setTimeout(() => {
    if (document.getElementById("review-save") === save && !shownOf("#review-trouble")) save.click();
  }, PATIENCE_MS);
}, { capture: true });

// A drawing anew takes the focus away from the button that was pressed.
let focused = "";
listen(document, "focusin", (event) => {
  const key = event.target instanceof Element ? event.target.closest("#review-panel [data-key]") : null;
  focused = key ? key.dataset.key : "";
});
new MutationObserver(() => {
  if (!focused || document.activeElement !== document.body) return;
  document.querySelector(`#review-panel [data-key="${focused}"]`)?.focus({ preventScroll: true });
}).observe(document.body, { childList: true, subtree: true });

// A new case is read from the marked answer on.
let current = "";
new MutationObserver(() => {
  const task = document.querySelector("#review-panel [data-task]")?.dataset.task ?? "";
  const marked = document.querySelector("#review-case .marked");
  if (!marked || task === current) return;
  current = task;
  const box = document.querySelector("#review-case .conversation");
  if (box && box.scrollHeight > box.clientHeight) box.scrollTop = marked.offsetTop - 8;
}).observe(document.body, { childList: true, subtree: true });

function help() {
  const box = document.getElementById("review-help");
  if (box.open) box.close();
  else box.showModal();
}
listen(document, "keydown", (event) => {
  if (event.defaultPrevented || event.altKey || event.metaKey || event.isComposing) return;
  const writing = event.target instanceof Element && event.target.closest("input, textarea, select");
  if (event.ctrlKey && event.key === "Enter") {
    // Keys of the next case must not be written into the field of this one.
    if (writing) event.target.blur();
    return shownOf("#review-save")?.click();
  }
  if (event.ctrlKey) return;
  if (writing) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "?") return help();
  if (document.getElementById("review-help")?.open || !shownOf("#review-panel")) return;
  const key = event.key.toLowerCase();
  const named = { e: "correction", c: "comment" }[key];
  const button = /^[a-z0-9]$/.test(key) ? shownOf(`#review-panel [data-key="${key}"]`) : null;
  const guideline = key === "g" ? document.getElementById("guideline") : null;
  if (!(named && field(named)) && !button && !guideline) return;
  event.preventDefault();
  if (guideline) guideline.open = !guideline.open;
  else if (button) button.click();
  else field(named).focus();
});
