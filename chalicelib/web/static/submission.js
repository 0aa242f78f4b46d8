// One report's page: what became of it, and the way that it took through the workflow.

import { byId, element, facts, wireOwnNames } from "./dom.js";
import { draw } from "./graph.js";
import { copyLink, empty, linkButton } from "./lists.js";
import { typedFor } from "./report.js";
import { address } from "./routes.js";
import { follow, nameIsTaken, outcome, stageList, statusMark, workflow } from "./stages.js";
import { moment, stepTime } from "./times.js";

const place = byId("submission-shown");
const way = byId("submission-way");
const svg = byId("workflow");
let light = () => {};

/** Wire the button that shows the workflow's own names, and draw the workflow. */
export function wireSubmission() {
  wireOwnNames(byId("machine-names"), way);
  workflow.then((graph) => (light = draw(svg, graph)));
}

/** Show the report that the address names, and keep it up to date until it is settled. */
export async function showSubmission({ id }, signal) {
  byId("submission-heading").textContent = "Report";
  place.replaceChildren();
  way.hidden = true;
  let last = null;
  const graph = await workflow;
  try {
    await follow(id, (submission) => show((last = submission), graph), signal);
    const taken = !signal.aborted && (await nameIsTaken(last));
    if (taken && !signal.aborted) show(last, graph, taken);
  } catch (error) {
    if (signal.aborted) return;
    if (error.status !== 404) throw error;
    way.hidden = true;
    place.replaceChildren(nothing());
  }
}

function show(submission, graph, taken = false) {
  const {
    submission_id: id,
    dragon_name_str: name,
    status,
    started_at: started,
    finished_at: finished,
    notification,
    steps,
  } = submission;
  byId("submission-heading").textContent = name;
  place.replaceChildren(
    element(
      "div",
      { class: "panel" },
      statusMark(status),
      stageList(graph, submission),
      outcome(submission, taken, Boolean(typedFor(id))),
    ),
    facts([
      ["Reported", moment(started)],
      ["Settled", moment(finished)],
      ["Subscribers", { sent: "told", failed: "could not be told" }[notification]],
      ["Report", element("code", {}, id)],
    ]),
    element("p", { class: "buttons" }, copyLink()),
  );
  const words = new Map(graph.states.map((state) => [state.name, state.words]));
  byId("steps").replaceChildren(...steps.map((step) => item(step, words.get(step.name) ?? step.name)));
  light(steps, status);
  const path = steps.map((step) => step.name).join(", ");
  svg.setAttribute("aria-label", path ? `The workflow. Path taken: ${path}.` : "The workflow. No step is known yet.");
  way.hidden = false;
}

const item = ({ name, status, at }, words) =>
  element(
    "li",
    { "data-status": status },
    element("span", { class: "in-words" }, words),
    element("code", { class: "own-name" }, name),
    ["succeeded", words.toLowerCase()].includes(status)
      ? null
      : element("em", {}, status === "running" ? "under way" : status),
    stepTime(at),
  );

const nothing = () =>
  empty(
    "There is no such report.",
    "It may be somebody else’s, or older than 90 days. What was reported a moment ago may take a second.",
    linkButton(address("reports"), "Your reports"),
    linkButton(address("reports", "new"), "Report a dragon"),
  );
