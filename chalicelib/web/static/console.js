// The console: which of its views the address names, and to whom it is shown.

import { byId, element } from "./dom.js";
import { showDragon } from "./dragon.js";
import { wireEditor } from "./editor.js";
import { clearFaults, showProblem } from "./fields.js";
import { showFind, wireLookup } from "./lookup.js";
import { showLetter, wireLetter } from "./letter.js";
import { showLetters, wireLetters } from "./letters.js";
import { clearList, lookAgain } from "./lists.js";
import { showMessage, wireMessage } from "./message.js";
import { showMessages, wireMessages } from "./messages.js";
import { showPost, wirePost } from "./post.js";
import { showDragons, wireRegistry } from "./registry.js";
import { showReport, wireReport } from "./report.js";
import { showReports } from "./reports.js";
import { address, instead, route } from "./routes.js";
import { session } from "./session.js";
import { wireSignIn } from "./signin.js";
import { showSubmission, wireSubmission } from "./submission.js";
import { showTimeline, wireTimeline } from "./timeline.js";
import { zone } from "./times.js";

const VIEWS = {
  dragons: { show: showDragons, title: () => "Dragons" },
  dragon: { show: showDragon, title: ({ id }) => id },
  reports: { show: showReports, title: () => "Your reports" },
  report: { show: showReport, title: () => "Report a dragon" },
  submission: { show: showSubmission, title: () => "Report" },
  messages: { show: showMessages, title: () => "Messages" },
  post: { show: showPost, title: () => "Post a message" },
  message: { show: showMessage, title: ({ id }) => `Message ${id.slice(0, 8)}` },
  letters: { show: showLetters, title: () => "Operations" },
  letter: { show: showLetter, title: ({ id }) => `Letter ${id.slice(0, 8)}` },
  timeline: { show: showTimeline, title: () => "Timeline" },
  find: { show: showFind, title: () => "Look up" },
};
const SHOWN = [
  "dragons-list",
  "families",
  "known-families",
  "dragon-shown",
  "reports-list",
  "submission-shown",
  "steps",
  "messages-list",
  "message-shown",
  "ready",
  "letters-list",
  "letters-summary",
  "letter-shown",
  "timeline-shown",
  "find-shown",
];

let leaving = new AbortController(); // of the view that is shown
let last = ""; // what was shown before: its heading need not have the focus again

function render({ focus = true } = {}) {
  leaving.abort();
  leaving = new AbortController();
  const asked = route();
  const signedIn = session.token !== null;
  const view = signedIn ? asked.view : "welcome";
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== view;
  byId("views").hidden = byId("lookup").hidden = byId("who").hidden = byId("zone").hidden = !signedIn;
  document.title = signedIn ? `${VIEWS[view].title(asked)} – Dragonpost` : "Dragonpost";
  sayWhere(asked);
  if (signedIn) show(view, asked, leaving.signal);
  else sayWhatIsWanted(asked);
  const shown = `${view} ${asked.id}`;
  if (focus && shown !== last) {
    scrollTo(0, 0);
    byId(`${view}-heading`).focus({ preventScroll: true });
  }
  last = shown;
}

async function show(view, asked, signal) {
  const box = byId(`${view}-problem`);
  clearFaults(byId(view), box);
  try {
    await VIEWS[view].show(asked, signal);
  } catch (error) {
    if (signal.aborted) return;
    clearList(view, asked);
    showProblem(error, box);
    if (!error.status || error.status === 429 || error.status >= 500) box.firstChild?.append(element("p", {}, lookAgain()));
  }
}

/** Show a page anew whose own address a link has: browsers do nothing then. */
function showAnew({ target }) {
  if (target.closest('a[href^="#/"]')?.hash !== location.hash) return;
  last = "";
  dispatchEvent(new Event("hashchange"));
}

function sayWhere({ noun }) {
  const part = noun === "timeline" ? "letters" : noun;
  for (const link of byId("views").children) {
    if (link.hash === address(part)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** Tell somebody who follows a link, and has to sign in first, where it leads. */
function sayWhatIsWanted(asked) {
  const place = byId("wanted");
  place.hidden = !location.hash || asked.view === "dragons";
  place.textContent = `Sign in to go on to: ${VIEWS[asked.view].title(asked)}.`;
}

function greet() {
  byId("who-name").textContent = session.claims.email ?? session.claims["cognito:username"] ?? "Signed in";
  const company = session.company ? `company ${session.company.slice(0, 8)}…` : "no company";
  byId("who-role").textContent = session.isOperator ? "operator" : company;
  byId("operations").hidden = !session.isOperator;
  byId("zone").textContent =
    `You are ${byId("who-name").textContent} (${byId("who-role").textContent}). Times are in your zone, ${zone}.`;
}

/** Leave nothing of what the user saw, typed, or looked for. Each view's module forgets what it holds by itself. */
function forget() {
  for (const form of document.forms) form.reset();
  for (const id of SHOWN) byId(id).replaceChildren();
  instead(address("dragons"));
}

/** `/` leads to the field for looking up, from everywhere but another field. */
function useKeys(event) {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input:not([type=checkbox]), textarea, select, dialog") || byId("lookup").hidden) return;
  event.preventDefault();
  byId("lookup-text").focus();
}

wireSignIn(byId("sign-in"));
wireEditor();
wireLookup();
wireRegistry();
wireReport();
wireSubmission();
wireMessages();
wireMessage();
wirePost();
wireLetters();
wireLetter();
wireTimeline();
byId("sign-out").addEventListener("click", () => session.end("You are signed out."));
session.addEventListener("start", () => {
  greet();
  render();
});
session.addEventListener("end", forget);
addEventListener("hashchange", () => render());
addEventListener("keydown", useKeys);
addEventListener("click", showAnew);
render({ focus: false });
