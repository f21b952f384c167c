// What only the browser can do on the chat page: keep the newest words in sight, keep the address in step with
// the conversation, keys, and the drawer of conversations on a narrow screen. Runs after bus.js, in its scope.
const find = (id) => document.getElementById(id);
const visible = (node) => Boolean(node?.checkVisibility());
const narrow = matchMedia("(max-width: 800px)");

// -- the conversation scrolls by itself, and stays at its end while the reader is there
const talk = find("talk");
let atEnd = true;
const opened = new Set();
listen(talk, "scroll", () => {
  atEnd = talk.scrollTop + talk.clientHeight > talk.scrollHeight - 80;
});
const toEnd = () => { talk.scrollTop = talk.scrollHeight; };

// -- the address names the conversation, so that a reload or a bookmark comes back to it
let here = null;
function follow() {
  const turns = talk.querySelector(".turns");
  if (turns && turns.dataset.chat !== here) {
    const before = here;
    here = turns.dataset.chat;
    const address = here ? `/?chat=${here}` : "/";
    if (location.pathname + location.search !== address) {
      history[before === null ? "replaceState" : "pushState"](null, "", address);
    }
    atEnd = true;
    focusBox();
  }
  typed();
  document.title = here ? `${find("title").textContent.trim()} · Apprentice` : "Apprentice";
  for (const list of talk.querySelectorAll("details.sources")) list.open = opened.has(list.id);
  if (atEnd) toEnd();
}
new MutationObserver(follow).observe(talk, { childList: true, subtree: true, characterData: true });
new ResizeObserver(() => atEnd && toEnd()).observe(talk);
listen(window, "popstate", () => {
  here = new URLSearchParams(location.search).get("chat") ?? "";
  trigger("open_chat", { chat: here });
});

// -- a list of sources stays open when the conversation is drawn again, and opens for whoever follows a mark
listen(talk, "toggle", (event) => {
  const list = event.target;
  if (list.matches("details.sources")) list.open ? opened.add(list.id) : opened.delete(list.id);
}, { capture: true });
listen(talk, "click", (event) => {
  const mark = event.target instanceof Element ? event.target.closest("[data-cite]") : null;
  if (!mark) return;
  event.preventDefault();
  const source = find(mark.dataset.cite);
  if (!source) return;
  atEnd = false;
  source.closest("details").open = true;
  source.scrollIntoView({ block: "nearest" });
  source.focus({ preventScroll: true });
});

// -- sending goes to the end of the conversation, wherever one was reading
listen(document, "click", (event) => {
  const from = event.target instanceof Element ? event.target.closest("#send, [data-act]") : null;
  if (!from) return;
  const act = from.dataset.act;
  if (from.id === "send" || act === "ask_example" || act === "answer_again") atEnd = true;
  if (act === "open_chat" && narrow.matches) drawer(false);
  if (act === "edit_question") setTimeout(() => {
    box().focus();
    box().setSelectionRange(box().value.length, box().value.length);
  }, 300);
}, { capture: true });

// -- what is being typed outlives a reload of this tab, also the one after a lost connection
const KEY = "apprentice.typed";
const box = () => find("box")?.querySelector("textarea");
// Not while somebody works in the list beside it.
function focusBox() {
  if (!narrow.matches && box() && !find("side").contains(document.activeElement)) box().focus();
}
let restored = false;
(function restore(tries) {
  // Until the page listens the box takes nothing.
  if ((!box() || box().disabled) && tries) return setTimeout(restore, 100, tries - 1);
  restored = true;
  focusBox();
  if (!box() || box().value || !sessionStorage.getItem(KEY)) return;
  box().value = sessionStorage.getItem(KEY);
  box().dispatchEvent(new Event("input", { bubbles: true }));
})(300);
const typed = () => restored && box() && sessionStorage.setItem(KEY, box().value);
listen(document, "input", typed);
listen(document, "submit", () => sessionStorage.removeItem(KEY));

// -- keys
listen(document, "keydown", (event) => {
  if (event.key === "Enter" && event.target.closest?.("#box")) {
    // While a word is being composed (Japanese, Chinese …) Enter chooses it and must not send.
    if (event.isComposing || event.keyCode === 229) event.stopPropagation();
    else if (!event.shiftKey) atEnd = true;
  }
  if (event.key === "Escape") {
    const menu = document.querySelector(rows);
    if (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    } else if (document.querySelector("#history .row-form")) trigger("leave_row", {});
    else if (narrow.matches && document.body.classList.contains("side-open")) drawer(false);
    else if (visible(find("stop"))) find("stop").click();
    else if (visible(find("form"))) find("close-form").click();
    else if (visible(find("editing"))) find("cancel-edit").click();
  }
  if (event.key.toLowerCase() === "k" && !event.shiftKey && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    drawer(true);
    find("search").querySelector("input, textarea").focus();
  }
  if (event.key.toLowerCase() === "o" && event.shiftKey && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    trigger("open_chat", { chat: "" });
  }
}, { capture: true });

// -- one row of the list is open at a time, and a field that appears there is where one types
const rows = "#history details[open]";
function shutRows(but) {
  for (const row of document.querySelectorAll(rows)) if (row !== but) row.open = false;
}
listen(document, "toggle", (event) => event.target.matches?.(rows) && shutRows(event.target), { capture: true });
listen(document, "click", (event) => event.target.closest?.("#history details") || shutRows());
new MutationObserver(() => {
  const field = document.querySelector("[data-focus]:not([data-focused])");
  if (!field) return;
  field.dataset.focused = "1";
  field.focus();
  field.select();
}).observe(document.body, { childList: true, subtree: true });

// -- the list of conversations: beside the conversation on a wide screen, over it on a narrow one
function drawer(open) {
  document.body.classList.toggle(narrow.matches ? "side-open" : "side-shut", narrow.matches ? open : !open);
  const toggle = document.querySelector('[data-toggle="side"]');
  toggle?.setAttribute("aria-expanded", String(open));
}
const drawerOpen = () =>
  narrow.matches ? document.body.classList.contains("side-open") : !document.body.classList.contains("side-shut");
listen(document, "click", (event) => {
  if (event.target.closest?.('[data-toggle="side"]')) return drawer(!drawerOpen());
  if (narrow.matches && drawerOpen() && !event.target.closest?.("#side")) drawer(false);
});
find("send")?.setAttribute("aria-label", "Send");
find("stop")?.setAttribute("aria-label", "Stop the answer (Escape)");
drawer(!narrow.matches);
follow();
