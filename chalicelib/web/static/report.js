// Reporting a dragon, and watching the workflow decide on it, as the API's submission resource shows it.

import { call, uuid } from "./api.js";
import { byId, element, facts, pause } from "./dom.js";
import { dragonFields, dragonIn, exampleDragon, fillIn } from "./dragons.js";
import { clearFaults, showProblem } from "./fields.js";
import { draw } from "./graph.js";
import { session } from "./session.js";

const RETRY_AFTER_S = 1;

const form = byId("report-form");
const box = byId("report-problem");
const outcome = byId("outcome");
const stepList = byId("steps");
const svg = byId("workflow");
let light = () => {};
let ends = []; // the names of the states that the workflow ends in
let sending = null; // the idempotency key of a report that has no answer yet
let watched = 0;

/** Wire the form, and draw the workflow. */
export async function wireReport() {
  byId("report-fields").append(...dragonFields("report-"));
  byId("report-example").addEventListener("click", () => {
    sending = null; // another dragon needs another key
    clearFaults(form, box);
    fillIn(form, exampleDragon());
  });
  form.addEventListener("input", () => (sending = null));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    report();
  });
  session.addEventListener("end", forget);
  const answer = await fetch(new URL("workflow.json", import.meta.url));
  const graph = await answer.json();
  ends = graph.states.filter((state) => !state.edges.length).map((state) => state.name);
  light = draw(svg, graph);
}

async function report() {
  clearFaults(form, box);
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  // A report that is sent again because no answer came is still the same submission.
  sending ??= uuid();
  try {
    const name = form.elements.namedItem("/dragon_name_str").value;
    const answer = await call("POST", "dragons", { headers: { "Idempotency-Key": sending }, body: bodyOf(form) });
    sending = null;
    form.reset();
    show({ ...answer.value, dragon_name_str: name });
    outcome.focus();
    watch(`${answer.headers.get("Location")}?steps=true`);
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

async function watch(location) {
  const number = ++watched;
  try {
    for (;;) {
      const answer = await read(location);
      if (number !== watched) return; // another dragon has been reported since
      show(answer.value);
      if (answer.value.status !== "pending" && hasEnded(answer.value.steps)) return;
      await pause(Number(answer.headers.get("Retry-After")) || RETRY_AFTER_S);
    }
  } catch (error) {
    if (number === watched) showProblem(error, box);
  }
}

/** Tell whether the last step is there: the workflow writes down how a report ends just before it does end. */
function hasEnded(steps) {
  const last = steps.at(-1);
  return !last || last.status === "failed" || (ends.includes(last.name) && last.status === "succeeded");
}

/** Return the submission. Ask again as long as the service says when to retry. */
async function read(location) {
  for (;;) {
    try {
      return await call("GET", location);
    } catch (error) {
      if (!error.retryAfterS) throw error;
      await pause(error.retryAfterS);
    }
  }
}

function show(submission) {
  const { status, steps = [] } = submission;
  outcome.replaceChildren(
    element("h3", {}, submission.dragon_name_str),
    element("span", { class: `status ${status}` }, status),
    ...(submission.reason ? [element("p", { class: "reason" }, submission.reason)] : []),
    facts([
      ["Submission", element("code", {}, submission.submission_id)],
      ["Started", moment(submission.started_at)],
      ["Finished", moment(submission.finished_at)],
      ["Notification", submission.notification],
    ]),
  );
  stepList.replaceChildren(
    ...steps.map((step) =>
      element("li", { "data-status": step.status }, element("span", {}, step.name), element("em", {}, step.status), moment(step.at)),
    ),
  );
  light(steps, status);
  const path = steps.map((step) => step.name).join(", ");
  svg.setAttribute("aria-label", path ? `The workflow. Path taken: ${path}.` : "The workflow. No step is known yet.");
}

const moment = (at) => (at ? element("time", { datetime: at, title: at }, `${at.slice(11, 23)} UTC`) : null);

function forget() {
  watched++;
  sending = null;
  form.reset();
  clearFaults(form, box);
  outcome.replaceChildren(element("p", { class: "empty" }, "Report a dragon, and its path lights up here."));
  stepList.replaceChildren();
  light([]);
}
