// For operators: one id's timeline. What all stores know of it, in order, in people's words or as the stores have it.

import { call } from "./api.js";
import { byId, element, facts, wireOwnNames } from "./dom.js";
import { showProblem } from "./fields.js";
import { meaningOf } from "./letters.js";
import { empty, linkButton, lookAgain } from "./lists.js";
import { address, go } from "./routes.js";
import { session } from "./session.js";
import { workflow } from "./stages.js";
import { exactMoment, moment } from "./times.js";

const form = byId("timeline-form");
const place = byId("timeline-shown");
const way = byId("timeline-way");

/** Wire the field, and the button that shows the machines' own names. */
export function wireTimeline() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go(address("timeline", "", { id: form.elements.id.value.trim() }));
  });
  wireOwnNames(byId("timeline-names"), byId("timeline"));
  session.addEventListener("end", () => byId("moments").replaceChildren());
}

/** Show the timeline of the id that the address names. */
export async function showTimeline({ query: { id = "" } }, signal) {
  form.elements.id.value = id;
  way.hidden = true;
  if (!id) return place.replaceChildren(askForOne());
  place.replaceChildren(element("p", { class: "note" }, `Looking for ${id} in every store …`));
  try {
    const [{ value }, graph] = await Promise.all([call("GET", `operator/timeline?${new URLSearchParams({ id })}`), workflow]);
    if (!signal.aborted) show(value, new Map(graph.states.map((state) => [state.name, state.words])));
  } catch (error) {
    if (signal.aborted) return;
    place.replaceChildren(...(error.status === 404 ? [nothing(id)] : []));
    if (error.status !== 404) showProblem(error, byId("timeline-problem"), form);
  }
}

function show({ answers, moments, limits, related }, states) {
  const links = (ids, to) =>
    ids.length && ids.map((id) => element("div", {}, element("a", { href: to(id) }, element("code", {}, id))));
  const companies = related.companies.length ? related.companies : [""];
  place.replaceChildren(
    element(
      "div",
      { class: "panel" },
      answers.map((answer) => element("p", {}, both([standing(answer), whose(answer, companies)].flat(), answer))),
      limits.map((limit) => element("p", { class: "note" }, sentence(limit))),
    ),
    facts([
      ["Dead letter", links(related.dead_letters, (id) => address("letters", id))],
      ...companies.map((company_id) => [
        companies.length > 1 ? `Message of ${company_id.slice(0, 8)}` : "Message",
        links(related.messages, (id) => address("messages", id, { company_id })),
      ]),
      ["Company", links(related.companies, (id) => address("messages", "", { company_id: id }))],
      ["Report", links(related.submissions, (id) => address("reports", id))],
      ["Request", related.requests.length && related.requests.map((id) => element("div", {}, element("code", {}, id)))],
    ]),
  );
  byId("moments").replaceChildren(...moments.map((each) => item(each, states)));
  way.hidden = moments.length === 0;
}

/** Return what was not looked for as a sentence, with its commands. */
function sentence(limit) {
  const [first, ...others] = `${limit[0].toUpperCase()}${limit.slice(1)}.`.split("`");
  return [first, ...others.map((part, index) => (index % 2 ? part : element("code", {}, part)))];
}

function item({ at, to_the_second, source, what }, states) {
  const { words, bad } = inWords(what, states);
  return element(
    "li",
    { "data-status": bad ? "failed" : "succeeded" },
    both(words, `${source}: ${what}`),
    to_the_second ? moment(at) : exactMoment(at),
  );
}

/** Return two elements of which one is shown: what is said in words, and in the stores' own. */
const both = (words, own) => [
  element("span", { class: "in-words" }, words),
  element("code", { class: "own-name" }, own),
];

const ENDS = { added: "Added to the registry", rejected: "Refused", failed: "Could not be finished" };

/** Return which company an answer is about, if there are several. */
function whose(answer, companies) {
  const company = companies.length > 1 && companies.find((each) => answer.includes(each));
  return company ? ` (company ${company.slice(0, 8)}…)` : [];
}

const BAD_ENDS = new Set(["Rejected", "Failed"]); // states of the workflow

/** Return how something stands, in people's words. What has no words is told as it is. */
function standing(answer) {
  const reason = /^message \S+ of company \S+ is a dead letter: (.*)$/.exec(answer)?.[1];
  if (reason) return `A message is a dead letter: ${meaningOf(reason).words}`;
  if (/^message .*: stored$/.test(answer)) return "The message is stored";
  if (/^message .*: stored, and has expired$/.test(answer)) return "The message was stored, and its time is over";
  if (/^message .*: archived, but not in the index/.test(answer)) return "The message is stored, and not listed yet";
  const dragon = /^dragon (.*) is in the registry,/.exec(answer)?.[1];
  if (dragon) return [element("a", { href: address("dragons", dragon) }, dragon), " is in the registry"];
  const [, name, status, reasonGiven] = /^dragon (.*), reported at \S+ \(submission \S+\): (\w+)(?:.*?: (.*))?$/.exec(answer) ?? [];
  const why = status === "failed" ? null : reasonGiven; // that of a failure is for clients of the API
  if (name) return [`${name} was reported`, ENDS[status] ?? "Still on its way", why].filter(Boolean).join(". ");
  return answer;
}

/** Return what happened in people's words, and whether it was bad. What has no words is told as it is. */
function inWords(what, states) {
  if (what.startsWith("archived, and indexed")) return { words: "Stored" };
  if (what.startsWith("archived, and not indexed")) return { words: "Stored, and not listed yet" };
  const reason = /^dead letter .*? of company \S+: (.*)$/.exec(what)?.[1];
  if (reason) return { words: `Became a dead letter: ${meaningOf(reason).words}`, bad: true };
  const state = / entered (.*)$/.exec(what)?.[1];
  if (states.has(state)) return { words: states.get(state), bad: BAD_ENDS.has(state) };
  if (/ ExecutionStarted$/.test(what)) return { words: "The workflow began" };
  if (/ ExecutionSucceeded$/.test(what)) return { words: "The workflow ended" };
  if (/ Execution(Failed|TimedOut|Aborted)\b/.test(what)) return { words: "The workflow broke off", bad: true };
  if (/ \w+(Failed|TimedOut)\b/.test(what)) return { words: "A step failed", bad: true };
  const end = / is (added|rejected|failed)\b/.exec(what)?.[1];
  return { words: ENDS[end] ?? what, bad: end === "rejected" || end === "failed" };
}

const askForOne = () =>
  empty(
    "Whose timeline?",
    "Put the id of a message, a report or a letter into the field above, or a dragon’s name.",
    linkButton(address("letters"), "Look at the dead letters"),
  );

const nothing = (id) =>
  empty(
    "No store knows anything of this.",
    [
      `Nothing is kept under ${id}. What came a moment ago may take a second. A request’s id is in the logs: `,
      element("code", {}, "make trace"),
      " looks there.",
    ],
    lookAgain(),
    linkButton(address("letters"), "Look at the dead letters"),
  );
