// How far a report has got: what the workflow has done so far, in the five stages that people understand.

import { call } from "./api.js";
import { element, pause } from "./dom.js";
import { linkButton } from "./lists.js";
import { address } from "./routes.js";

const RETRY_AFTER_S = 1;
const APPEARS_WITHIN_S = 10; // a report can be read a moment after it was accepted

const NOT_KNOWN =
  "Only the tab that it was sent from has what was typed, until its user signs out. The service keeps the name alone.";
const WORDS = { pending: "Under way", added: "Added", rejected: "Refused", failed: "Failed" };

/** The workflow as `make generate` has drawn it: its stages, its states, and what each of them does in words. */
export const workflow = fetch(new URL("workflow.json", import.meta.url)).then((answer) => answer.json());

/** Return a submission's status as people say it. */
export const statusMark = (status) => element("span", { class: `status ${status}` }, WORDS[status] ?? status);

/** Return the stages, with how far a submission has got. */
export function stageList({ stages, states }, { status, steps = [] }) {
  const known = new Map(states.map((state) => [state.name, state.stage]));
  const reached = steps.map(({ name }) => known.get(name));
  const current = status === "pending" ? (reached.at(-1) ?? 0) : stages.length;
  const bad = status === "rejected" || status === "failed";
  const turned = bad && steps.length ? stageThatTurned(reached, stages) : -1;
  return element(
    "ol",
    { class: "stages", "aria-label": "How far it has got" },
    stages.map((stage, index) => {
      const last = index === stages.length - 1;
      const broken = index === turned || (last && bad);
      const done = steps.length ? reached.includes(index) && index !== current : status === "added";
      const how = broken ? "failed" : index === current ? "running" : done ? "done" : "ahead";
      return element(
        "li",
        { "data-status": how, "aria-current": how === "running" ? "step" : null },
        last && bad ? WORDS[status] : stage,
      );
    }),
  );
}

/** Return the last of the stages before anybody was told: there the report was refused, or failed. */
const stageThatTurned = (reached, stages) =>
  Math.max(...reached.filter((stage) => stage < stages.indexOf("Announce")), 0);

/** Return what became of a submission, with where to go from there.
 *
 * `taken` is whether a dragon has its name, and `known` is whether this tab still has what was typed for it.
 */
export function outcome({ submission_id: id, status, dragon_name_str: name, reason, notification }, taken, known) {
  const dragon = (text, kind) => linkButton(address("dragons", name), text, kind);
  if (status === "pending") return [element("p", {}, "It is on its way. You can go on; this keeps up by itself.")];
  if (status === "added") {
    const told = notification === "failed" ? " Its subscribers could not be told." : "";
    return [
      element("p", {}, `It is in the registry.${told}`),
      element("p", { class: "buttons" }, dragon(`See ${name}`, "")),
    ];
  }
  const failed = status === "failed";
  return [
    element("p", { class: "reason" }, failed ? couldNotBeFinished(name) : (reason ?? "")),
    known ? null : element("p", { class: "note" }, NOT_KNOWN),
    element(
      "p",
      { class: "buttons" },
      taken ? dragon("See the dragon that has the name", "") : null,
      failed ? dragon(`Look for ${name}`, "") : null,
      known
        ? linkButton(address("reports", "new", { again: id }), "Change it and report again")
        : linkButton(address("reports", "new", { name }), "Begin again with its name"),
    ),
  ];
}

const couldNotBeFinished = (name) =>
  `The service could not finish it. Check whether ${name} is in the registry before you report it again.`;

/** Tell whether the registry has a dragon of a refused report's name. */
export async function nameIsTaken({ status, dragon_name_str: name }) {
  if (status !== "rejected") return false;
  try {
    await call("GET", `dragons/${encodeURIComponent(name)}`);
    return true;
  } catch (error) {
    if ([400, 404].includes(error.status)) return false;
    throw error;
  }
}

/** Ask for a submission until its last step is there; `show` gets each answer. Ends early if nobody looks any more. */
export async function follow(id, show, signal, { justReported = false } = {}) {
  const appearsUntil = Date.now() + (justReported ? APPEARS_WITHIN_S * 1000 : 0);
  const { states } = await workflow;
  const ends = states.filter((state) => !state.edges.length).map((state) => state.name);
  while (!signal.aborted) {
    const { value, headers } = await patiently(
      `submissions/${encodeURIComponent(id)}?steps=true`,
      signal,
      appearsUntil,
    );
    if (signal.aborted) return;
    show(value);
    if (value.status !== "pending" && hasEnded(value.steps, ends)) return;
    await pause(Number(headers.get("Retry-After")) || RETRY_AFTER_S);
  }
}

/** Tell whether the last step is there: the workflow writes down how a report ends just before it does end. */
function hasEnded(steps, ends) {
  const last = steps.at(-1);
  return !last || last.status === "failed" || (ends.includes(last.name) && last.status === "succeeded");
}

/** Return the answer. Ask again as long as the service says when to retry, or there may yet be something. */
async function patiently(reference, signal, appearsUntil) {
  for (;;) {
    try {
      return await call("GET", reference);
    } catch (error) {
      const mayAppear = error.status === 404 && Date.now() < appearsUntil;
      if (signal.aborted || !(error.retryAfterS || mayAppear)) throw error;
      await pause(error.retryAfterS || RETRY_AFTER_S);
    }
  }
}
