// Reporting a dragon. The form keeps what was typed until the dragon is added; beside it is everything that was reported
// from this tab, as it goes on. A reload loses none of it.

import { call, uuid } from "./api.js";
import { watchTyping } from "./aside.js";
import { byId, element } from "./dom.js";
import { dragonFields, dragonIn, exampleDragon, fillIn } from "./dragons.js";
import { clearFaults, showProblem, typedIn, typeInto } from "./fields.js";
import { keep, kept } from "./kept.js";
import { address, instead } from "./routes.js";
import { session } from "./session.js";
import { follow, nameIsTaken, outcome, stageList, statusMark, workflow } from "./stages.js";

const KEPT_MAX = 20; // so many watched reports outlive a reload; all are in the list of reports

const form = byId("report-form");
const nameField = () => form.elements.namedItem("/dragon_name_str");
const box = byId("report-problem");
const place = byId("watched");
const typing = watchTyping(form, byId("report-aside"), goOnWith, () => sending);
let sending = null; // the idempotency key of a report that has no answer yet
let watched = []; // what was reported from this tab, the latest first, as `begun` makes it
let ended = new AbortController(); // when the session does

/** Wire the form. */
export function wireReport() {
  byId("report-fields").append(...dragonFields("report-"));
  byId("report-example").addEventListener("click", () => begin(() => fillIn(form, exampleDragon())));
  byId("report-clear").addEventListener("click", () => begin());
  form.addEventListener("input", () => {
    sending = null;
    keepForm();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    report();
  });
  session.addEventListener("start", goOn);
  session.addEventListener("end", forget);
  showNobody();
}

/** Show the form, with the report to change or the name that the address suggests, and go on with what is under way. */
export function showReport({ query: { name, again } }) {
  if (again) return change(again);
  if (name) {
    if (nameField().value !== name) begin(() => (nameField().value = name));
    instead(address("reports", "new")); // or a reload would undo what is changed
  }
  if (watched.length) place.replaceChildren(...watched.map((each) => each.entry));
  else showNobody();
  for (const each of watched) if (!each.settled && !each.followed) watch(each);
}

/** Return what was typed for a report that was sent from this tab and is not added, or nothing. */
export const typedFor = (id) => watched.find(({ submission }) => submission.submission_id === id)?.typed;

/** Fill in a report again. Its address gives way, or a reload would undo what is changed. */
function change(id) {
  const typed = typedFor(id);
  if (typed) begin(() => typeInto(form, typed));
  instead(address("reports", "new"));
  if (typed) nameField().focus();
}

/** Go on with what the page before has kept: what was typed, and what was watched. */
function goOn() {
  const { typed, key, typing: before } = kept("report") ?? {};
  if (typed) typeInto(form, typed);
  typing.restore(before);
  sending = key ?? null;
  watched = (kept("watched") ?? []).map((each) => ({ ...each, entry: newEntry(), followed: false }));
  for (const each of watched) {
    if (each.settled) draw(each);
    else watch(each);
  }
}

/** Go on with what was put aside; `key` is that of a report that has no answer yet. */
function goOnWith(key) {
  sending = key;
  clearFaults(form, box);
  keepForm();
}

const keepForm = () => keep("report", { typed: typedIn(form), key: sending, typing: typing.state() });

const keepWatched = () =>
  keep(
    "watched",
    watched
      .slice(0, KEPT_MAX)
      .map(({ submission, typed, taken, settled }) => ({ submission, typed, taken, settled })),
  );

/** Forget what was typed and reported. */
function forget() {
  ended.abort();
  ended = new AbortController();
  watched = [];
  begin();
  typing.restore(null);
  showNobody();
}

/** Begin another dragon, which needs another key. What was typed for one that was not sent is put aside. */
function begin(fill = () => {}) {
  typing.putAside();
  sending = null;
  clearFaults(form, box);
  form.reset();
  fill();
  keepForm();
}

async function report() {
  clearFaults(form, box);
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  // A report that is sent again because no answer came is still the same submission.
  sending ??= uuid();
  keepForm();
  const typed = typedIn(form);
  try {
    const { value } = await call("POST", "dragons", { headers: { "Idempotency-Key": sending }, body: body() });
    sending = null;
    typing.sent(typed);
    begun({ ...value, dragon_name_str: typed["/dragon_name_str"].trim() }, typed);
  } catch (error) {
    // After a 5xx nobody knows whether the workflow started. Under another key, the report could be its own duplicate.
    if (error.status && error.status < 500) sending = null;
    showProblem(error, box, form);
  } finally {
    button.disabled = false;
    keepForm();
  }
}

function body() {
  const report = dragonIn(form);
  const phone = form.elements.namedItem("/reportingPhoneNumber").value.trim();
  if (phone) report.reportingPhoneNumber = phone;
  if (form.elements.namedItem("/confirmationRequired").checked) report.confirmationRequired = true;
  return JSON.stringify(report);
}

const newEntry = () => element("li", { class: "panel", tabindex: -1 });

/** Watch a report, given what was typed for it, which is kept until the dragon is added. */
function begun(submission, typed) {
  const each = { submission, typed, taken: false, settled: false, followed: false, entry: newEntry() };
  watched.unshift(each);
  place.replaceChildren(...watched.map((known) => known.entry));
  watch(each);
  each.entry.focus();
}

async function watch(each) {
  const { signal } = ended;
  const learn = (news) => {
    Object.assign(each, news);
    keepWatched();
    return draw(each);
  };
  each.followed = true;
  await learn({});
  try {
    await follow(each.submission.submission_id, (submission) => learn({ submission }), signal, { justReported: true });
    if (signal.aborted) return;
    if (each.submission.status === "added") {
      // What is in the form now may be the next dragon already.
      if (JSON.stringify(typedIn(form)) === JSON.stringify(each.typed)) begin();
      each.typed = null;
    }
    const taken = await nameIsTaken(each.submission);
    if (!signal.aborted) learn({ taken, settled: true });
  } catch (error) {
    if (!signal.aborted) showProblem(error, box);
  } finally {
    each.followed = false;
  }
}

async function draw({ entry, submission, taken, typed }) {
  const graph = await workflow;
  const { submission_id: id, dragon_name_str: name, status } = submission;
  entry.replaceChildren(
    element(
      "div",
      { class: "heading" },
      element("h4", {}, element("a", { href: address("reports", id) }, name)),
      statusMark(status),
    ),
    stageList(graph, submission),
    element("div", { role: "status" }, outcome(submission, taken, Boolean(typed))),
  );
}

function showNobody() {
  place.replaceChildren(
    element("li", { class: "note" }, "Nothing yet. What you report appears here, and you can watch several at once."),
  );
}
