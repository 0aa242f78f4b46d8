// Reporting a dragon. The form keeps what was typed until the dragon is added; beside it is everything that was reported
// from this page, as it goes on.

import { call, uuid } from "./api.js";
import { byId, element } from "./dom.js";
import { dragonFields, dragonIn, exampleDragon, fillIn } from "./dragons.js";
import { clearFaults, showProblem } from "./fields.js";
import { address } from "./routes.js";
import { session } from "./session.js";
import { follow, nameIsTaken, outcome, stageList, statusMark, workflow } from "./stages.js";

const form = byId("report-form");
const box = byId("report-problem");
const place = byId("watched");
let sending = null; // the idempotency key of a report that has no answer yet
let watched = []; // what was reported from this page, the latest first: its submission, what was sent, whether it is followed
let ended = new AbortController(); // when the session does

/** Wire the form. */
export function wireReport() {
  byId("report-fields").append(...dragonFields("report-"));
  byId("report-example").addEventListener("click", () => begin(exampleDragon()));
  byId("report-clear").addEventListener("click", () => begin(null));
  form.addEventListener("input", () => (sending = null));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    report();
  });
  session.addEventListener("end", forget);
  showNobody();
}

/** Show the form, with the name that the address suggests, and go on with what is under way. */
export function showReport({ query: { name } }) {
  const field = form.elements.namedItem("/dragon_name_str");
  if (name && !field.value) field.value = name;
  if (watched.length) place.replaceChildren(...watched.map((each) => each.entry));
  else showNobody();
  for (const each of watched) if (!each.settled && !each.followed) watch(each);
}

/** Forget what was typed and reported. */
function forget() {
  ended.abort();
  ended = new AbortController();
  watched = [];
  begin(null);
  showNobody();
}

/** Begin another dragon, which needs another key. */
function begin(dragon) {
  sending = null;
  clearFaults(form, box);
  form.reset();
  if (dragon) fillIn(form, dragon);
}

async function report() {
  clearFaults(form, box);
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  // A report that is sent again because no answer came is still the same submission.
  sending ??= uuid();
  const body = bodyOf(form);
  try {
    const { value } = await call("POST", "dragons", { headers: { "Idempotency-Key": sending }, body });
    sending = null;
    const name = form.elements.namedItem("/dragon_name_str").value.trim();
    begun({ ...value, dragon_name_str: name }, body);
  } catch (error) {
    // After a 5xx nobody knows whether the workflow started. Under another key, the report could be its own duplicate.
    if (error.status && error.status < 500) sending = null;
    showProblem(error, box, form);
  } finally {
    button.disabled = false;
  }
}

function bodyOf(form) {
  const report = dragonIn(form);
  const phone = form.elements.namedItem("/reportingPhoneNumber").value.trim();
  if (phone) report.reportingPhoneNumber = phone;
  if (form.elements.namedItem("/confirmationRequired").checked) report.confirmationRequired = true;
  return JSON.stringify(report);
}

function begun(submission, body) {
  const entry = element("li", { class: "panel", tabindex: -1 });
  const each = { submission, body, entry, settled: false, followed: false };
  watched.unshift(each);
  place.replaceChildren(...watched.map((known) => known.entry));
  watch(each);
  entry.focus();
}

async function watch(each) {
  const { signal } = ended;
  each.followed = true;
  const known = await workflow;
  const show = (submission, taken = false) => {
    each.submission = submission;
    each.entry.replaceChildren(...entryOf(submission, known, taken));
  };
  show(each.submission);
  try {
    await follow(each.submission.submission_id, show, signal, { justReported: true });
    if (signal.aborted) return;
    each.settled = true;
    // What is in the form now may be the next dragon already.
    if (each.submission.status === "added" && bodyOf(form) === each.body) begin(null);
    const taken = await nameIsTaken(each.submission);
    if (!signal.aborted) show(each.submission, taken);
  } catch (error) {
    if (!signal.aborted) showProblem(error, box);
  } finally {
    each.followed = false;
  }
}

function entryOf(submission, known, taken) {
  const { submission_id: id, dragon_name_str: name, status } = submission;
  return [
    element(
      "div",
      { class: "heading" },
      element("h4", {}, element("a", { href: address("reports", id) }, name)),
      statusMark(status),
    ),
    stageList(known, submission),
    element("div", { role: "status" }, outcome(submission, taken)),
  ];
}

function showNobody() {
  place.replaceChildren(
    element("li", { class: "note" }, "Nothing yet. What you report appears here, and you can watch several at once."),
  );
}
