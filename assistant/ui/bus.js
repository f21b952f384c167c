// Turns clicks on elements that name an act (data-act) into events of this component; the other data- values
// go along. Every page has one such component. Names that Python listens for:
// 'open_chat' 'show_turn' 'ask_example' 'answer_again' 'edit_question' 'rate' 'say_more' 'approve_answer'
// 'run_train' 'run_prepare' 'run_watch' 'run_leave' 'run_cancel' 'notices_show' 'notices_see'
// 'adapter_show' 'adapter_leave' 'adapter_promote' 'adapter_rollback' 'adapter_base' 'adapter_retire'
// 'canary_start' 'canary_stop' 'audit_older' 'audit_newer' 'audit_verify'
// 'switch_documents' 'approval_end' 'approval_make' 'switch_learning' 'older_chats' 'pin_chat' 'rename_chat'
// 'delete_chat' 'leave_row' 'choose' 'open_receipt' 'close_receipt'
// 'people_show' 'people_more' 'person_open' 'person_approve' 'person_enable' 'person_disable' 'person_link'
// 'person_end_sessions' 'person_end_key'
// 'show_days' 'document_remove' 'documents_more' 'gap_close' 'gap_reopen' 'cause_set'
const bus = new AbortController();
const listen = (target, name, handler, options = {}) =>
  target.addEventListener(name, handler, { signal: bus.signal, ...options });

listen(document, "click", (event) => {
  const from = event.target instanceof Element ? event.target.closest("[data-act], [data-copy], [data-click]") : null;
  // Within a form a click is a click; Enter in a field clicks its button, and then the form is sent.
  if (!from || from.disabled || from.tagName === "FORM") return;
  // A link stays a link: with a modifier it opens beside this page.
  if (from.tagName === "A" && (event.ctrlKey || event.metaKey || event.shiftKey || event.button)) return;
  event.preventDefault();
  if (from.dataset.click) return document.querySelector(from.dataset.click)?.click();
  if (from.dataset.copy) return copy(from);
  if (from.dataset.busy) return;
  // A double click is one click.
  from.dataset.busy = "1";
  setTimeout(() => delete from.dataset.busy, 400);
  const { act, busy, ...data } = from.dataset;
  trigger(act, data);
});

// A form that names an act sends its fields along.
listen(document, "submit", (event) => {
  const form = event.target;
  if (!form.dataset?.act) return;
  event.preventDefault();
  const { act, ...data } = form.dataset;
  trigger(act, { ...data, ...Object.fromEntries(new FormData(form)) });
});

// To gradio's text boxes only a key that makes a letter is input. What is pasted, cut, deleted or dictated, and
// whatever a phone's keyboard writes, is made known by such a key without a letter.
let letter = false;
listen(document, "keydown", () => { letter = false; }, { capture: true });
listen(document, "keypress", (event) => {
  letter = event.isTrusted;
  // A letter is in the box before anything else happens; of Enter there may be none.
  setTimeout(() => { letter = false; });
}, { capture: true });
listen(document, "input", (event) => {
  const heard = letter;
  letter = false;
  if (heard || !event.target.matches?.("textarea, input[data-testid=textbox]")) return;
  event.target.dispatchEvent(new KeyboardEvent("keypress", { bubbles: true }));
});

async function copy(from) {
  const text = from.dataset.copy === "code"
    ? from.closest(".code").querySelector("code").textContent
    : from.dataset.text;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without https a page may not write to the clipboard; an old command still may.
    const hidden = Object.assign(document.createElement("textarea"), { value: text, className: "unseen" });
    document.body.append(hidden);
    hidden.select();
    document.execCommand("copy");
    hidden.remove();
  }
  from.classList.add("copied");
  setTimeout(() => from.classList.remove("copied"), 1200);
}

// The server writes times in UTC, since it does not know where the reader is.
function localise(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.valueOf())) continue;
    const today = moment.toDateString() === new Date().toDateString();
    const form = today
      ? { hour: "2-digit", minute: "2-digit" }
      : { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
    const text = new Intl.DateTimeFormat(undefined, form).format(moment);
    if (time.textContent !== text) time.textContent = text;
    time.title = moment.toLocaleString();
  }
}
localise(document);
const clock = new MutationObserver(() => localise(document));
clock.observe(document.body, { childList: true, subtree: true, characterData: true });
