// The console: which of its views it shows, and to whom.

import { byId } from "./dom.js";
import { wireEditor } from "./editor.js";
import { wireMessages } from "./messages.js";
import { showFirstPage, wireRegistry } from "./registry.js";
import { wireReport } from "./report.js";
import { session } from "./session.js";
import { wireSignIn } from "./signin.js";

const VIEWS = ["registry", "report", "post"];

function show({ focus = false } = {}) {
  const signedIn = session.token !== null;
  const asked = location.hash.slice(1);
  const wanted = VIEWS.includes(asked) ? asked : VIEWS[0];
  byId("welcome").hidden = signedIn;
  byId("views").hidden = byId("who").hidden = !signedIn;
  for (const view of VIEWS) {
    byId(view).hidden = !signedIn || view !== wanted;
    const link = document.querySelector(`a[href="#${view}"]`);
    if (view === wanted) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (signedIn && wanted === "registry") showFirstPage();
  if (focus) byId(signedIn ? wanted : "welcome").querySelector("h2").focus();
}

function greet() {
  byId("who-name").textContent = session.claims.email ?? session.claims["cognito:username"] ?? "Signed in";
  const company = session.company ? `company ${session.company.slice(0, 8)}…` : "no company";
  byId("who-role").textContent = session.isOperator ? "operator" : company;
}

wireSignIn(byId("sign-in"));
wireEditor();
wireRegistry();
wireMessages();
byId("sign-out").addEventListener("click", () => session.end("You are signed out."));
session.addEventListener("start", () => {
  greet();
  show({ focus: true });
});
session.addEventListener("end", () => show({ focus: true }));
addEventListener("hashchange", () => show({ focus: true }));
show();
await wireReport();
