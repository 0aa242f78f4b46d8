// Swagger UI with the API's own document, calling the server that it came from.

import { base, uuid } from "./api.js";
import { byId } from "./dom.js";
import { freshName } from "./fresh.js";
import { session } from "./session.js";
import { wireSignIn } from "./signin.js";

const POSTING = ["/post-message", "post"];
const FOLLOWING = ["/submissions/{submission_id}", "get"];

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

let mending = 0;

/** Mend before the page is next painted: Swagger UI draws in many steps, and measuring after each is slow. */
function mendSoon() {
  mending ||= requestAnimationFrame(() => {
    mending = 0;
    mend();
  });
}

/** Return the document as this page shows it: what it fills in can be sent as it is.
 *
 * Its examples have one dragon name and one message id, which nobody has used yet.
 */
function toTry(spec) {
  const { DragonName, MessageId, SubmissionId } = spec.components.parameters;
  delete SubmissionId.example; // the service makes it: `follow` fills it in
  for (const parameter of parametersOf(spec)) if (!parameter.required) delete parameter.schema.default; // it would be sent
  return replaced(spec, new Map([[DragonName.example, freshName()], [MessageId.example, uuid()]]));
}

const parametersOf = (spec) => [
  ...Object.values(spec.components.parameters),
  ...Object.values(spec.paths).flatMap((path) => Object.values(path).flatMap(({ parameters = [] }) => parameters)),
].filter((parameter) => parameter.schema);

/** Return a document, or any text in it, with these words in place of others. */
function replaced(document, words) {
  let text = JSON.stringify(document);
  for (const [word, other] of words) text = text.replaceAll(word, other);
  return JSON.parse(text);
}

/** Post for the company of the user who has signed in, if they have one. A body that is edited already stays so. */
function useOwnCompany(ui) {
  const spec = ui.specSelectors.specJson().toJS();
  const [example] = Object.values(spec.paths["/post-message"].post.requestBody.content["application/json"].examples);
  const company = example.value.metadata.company_id;
  const words = new Map([[company, session.company || company]]);
  ui.specActions.updateJsonSpec(replaced(spec, words));
  ui.specActions.invalidateResolvedSubtreeCache();
  const shown = ui.oas3Selectors.requestBodyValue(...POSTING);
  if (shown) ui.oas3Actions.setRequestBodyValue({ value: replaced(shown, words), pathMethod: POSTING });
}

/** Ask for the submission that a report has begun, or for none. */
function follow(ui, location) {
  const id = /\/submissions\/([^/]+)$/.exec(location)?.[1] ?? "";
  const parameter = ui.specSelectors.specResolvedSubtree(["paths", ...FOLLOWING, "parameters", 0]);
  if (parameter) ui.specActions.changeParamByIdentity(FOLLOWING, parameter, id, false);
  else ui.specActions.changeParam(FOLLOWING, "submission_id", "path", id, false);
}

async function start() {
  const response = await fetch(new URL("openapi.json", base));
  if (!response.ok) throw new Error(`openapi.json: ${response.status}`);
  // Whatever servers the document names, this page calls the one that it came from, with its stage prefix.
  const here = { url: base.href.replace(/\/$/, ""), description: "where this page came from" };
  const spec = { ...toTry(await response.json()), servers: [here] };
  const schemes = Object.keys(spec.components.securitySchemes);
  const ui = globalThis.SwaggerUIBundle({
    spec,
    domNode: byId("swagger"),
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    docExpansion: "list",
    responseInterceptor: (answer) => {
      if (answer.headers?.location?.includes("/submissions/")) follow(ui, answer.headers.location);
      return answer;
    },
    tryItOutEnabled: true,
    validatorUrl: null,
  });
  new MutationObserver(mendSoon).observe(byId("swagger"), { childList: true, subtree: true });
  session.addEventListener("start", () => {
    schemes.forEach((name) => ui.preauthorizeApiKey(name, session.token));
    useOwnCompany(ui);
  });
  session.addEventListener("end", () => {
    ui.authActions.logout(schemes);
    follow(ui, "");
  });
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
