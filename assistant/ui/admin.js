// What only the browser can do on the admin page: the question for a reason behaves like a dialog.
// Runs after bus.js, in its scope.
const dialog = () => document.getElementById("decision");
new MutationObserver(() => {
  const box = dialog();
  if (!box || box.getAttribute("role") === "dialog") return;
  box.setAttribute("role", "dialog");
  box.setAttribute("aria-modal", "true");
  box.setAttribute("aria-labelledby", "question");
  // Its parts are drawn a moment after its frame.
  setTimeout(() => document.querySelector("#reason textarea, #reason input")?.focus(), 100);
}).observe(document.body, { childList: true, subtree: true });
listen(document, "keydown", (event) => {
  if (event.key === "Escape" && dialog()?.checkVisibility()) document.getElementById("dismiss")?.click();
});

// What is looked at stands in the address, so that a reload or somebody else finds it again.
listen(document, "click", (event) => {
  const act = event.target instanceof Element ? event.target.closest("[data-act]")?.dataset : undefined;
  const places = { run_watch: `?run=${act?.run}`, adapter_show: `?adapter=${act?.name}`, run_leave: "?", adapter_leave: "?" };
  if (act && places[act.act]) history.replaceState(history.state, "", location.pathname + places[act.act].replace(/^\?$/, ""));
});
