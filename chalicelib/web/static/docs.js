// Swagger UI with the API's own document, calling the server that it came from.

import { base } from "./api.js";
import { byId } from "./dom.js";
import { session } from "./session.js";
import { wireSignIn } from "./signin.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const followTheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);

/** Label what Swagger UI leaves unlabelled, and let the keyboard reach what scrolls, each time it draws again. */
function mend() {
  const shown = byId("swagger");
  for (const choice of shown.querySelectorAll("select:not([aria-label])")) {
    const kind = choice.id === "servers" ? "Server" : choice.className.includes("example") ? "Example" : "Choice";
    choice.setAttribute("aria-label", kind);
  }
  for (const code of shown.querySelectorAll("pre:not([tabindex])")) {
    if (code.scrollWidth > code.clientWidth || code.scrollHeight > code.clientHeight) code.tabIndex = 0;
  }
}

async function start() {
  const response = await fetch(new URL("openapi.json", base));
  if (!response.ok) throw new Error(`openapi.json: ${response.status}`);
  const spec = await response.json();
  const schemes = Object.keys(spec.components?.securitySchemes ?? {});
  // Whatever servers the document names, this page calls the one that it came from, with its stage prefix.
  const here = { url: base.href.replace(/\/$/, ""), description: "where this page came from" };
  const ui = globalThis.SwaggerUIBundle({
    spec: { ...spec, servers: [here] },
    domNode: byId("swagger"),
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    docExpansion: "list",
    tryItOutEnabled: true,
    validatorUrl: null,
  });
  new MutationObserver(mend).observe(byId("swagger"), { childList: true, subtree: true });
  session.addEventListener("start", () => schemes.forEach((name) => ui.preauthorizeApiKey(name, session.token)));
  session.addEventListener("end", () => ui.authActions.logout(schemes));
}

function showWho() {
  const claims = session.claims;
  byId("sign-in").hidden = claims !== null;
  byId("who").hidden = claims === null;
  byId("who-name").textContent = claims?.email ?? "";
  byId(claims ? "sign-out" : "username").focus();
}

dark.addEventListener("change", followTheme);
followTheme();
wireSignIn(byId("sign-in"));
byId("sign-out").addEventListener("click", () => session.end("You are signed out."));
try {
  await start();
} catch (error) {
  byId("swagger").textContent = `The API's description cannot be shown (${error.message}).`;
}
session.addEventListener("start", showWho);
session.addEventListener("end", showWho);
