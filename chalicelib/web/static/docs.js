// Swagger UI with the API's own document, calling the server that it came from.

import { base, uuid } from "./api.js";
import { byId, element } from "./dom.js";
import { freshName } from "./fresh.js";
import "./kept.js"; // whoever signs out here leaves nothing in the console either
import { session } from "./session.js";
import { wireSignIn } from "./signin.js";

const POSTING = ["/post-message", "post"];
const FOLLOWING = ["/submissions/{submission_id}", "get"];
const LISTING = ["/messages", "get"];

const dark = matchMedia("(prefers-color-scheme: dark)");
const followTheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);

const LANDMARKS = { ".information-container": "About", ".schemes": "Server" };

/** Label what Swagger UI leaves unlabelled, have its headings skip no level, and let the keyboard reach what scrolls, each
 * time it draws again.
 */
function mend() {
  const shown = byId("swagger");
  for (const [place, label] of Object.entries(LANDMARKS)) {
    const landmark = shown.querySelector(`${place}:not([aria-label])`);
    landmark?.setAttribute("role", "region");
    landmark?.setAttribute("aria-label", label);
  }
  for (const heading of shown.querySelectorAll(":is(h3, h4, h5):not([aria-level])")) {
    heading.setAttribute("aria-level", heading.localName[1] - 1); // there is an h1, and no h2
  }
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

/** List the messages of the company that is posted for, if the user, an operator, has none of their own. */
function nameCompany(ui) {
  const [example] = ui.specSelectors.specJson().getIn(["paths", ...LISTING, "parameters", 0, "schema", "examples"]);
  fillIn(ui, LISTING, "query", "company_id", session.company ? null : example); // with an empty one, nothing is sent
}

/** Ask for the submission that a report has begun, or for none. */
function follow(ui, location) {
  fillIn(ui, FOLLOWING, "path", "submission_id", /\/submissions\/([^/]+)$/.exec(location)?.[1] ?? "");
}

/** Fill in an operation's first parameter. */
function fillIn(ui, operation, place, name, value) {
  const parameter = ui.specSelectors.specResolvedSubtree(["paths", ...operation, "parameters", 0]);
  if (parameter) ui.specActions.changeParamByIdentity(operation, parameter, value, false);
  else ui.specActions.changeParam(operation, name, place, value, false);
}

/** Have Swagger UI write an operation's path as text: it puts a link there, inside the button that opens the operation. */
const withoutLinksInButtons = ({ React }) => ({
  components: { DeepLink: ({ text }) => React.createElement("span", {}, text) },
});

async function start() {
  const response = await fetch(new URL("openapi.json", base));
  if (!response.ok) throw new Error(`openapi.json: ${response.status}`);
  // Whatever servers the document names, this page calls the one that it came from, with its stage prefix.
  const here = { url: base.href.replace(/\/$/, ""), description: "where this page came from" };
  const spec = { ...(await response.json()), servers: [here] };
  const schemes = Object.keys(spec.components.securitySchemes);
  new MutationObserver(mendSoon).observe(byId("swagger"), { childList: true, subtree: true });
  let ui = draw(spec);
  const authorize = () => schemes.forEach((name) => ui.preauthorizeApiKey(name, session.token));
  const begin = () => {
    authorize();
    useOwnCompany(ui);
    nameCompany(ui);
  };
  session.addEventListener("start", begin);
  session.addEventListener("renew", authorize);
  if (session.token) begin(); // somebody was signed in before the document was there
  session.addEventListener("end", () => {
    history.replaceState(null, "", location.pathname); // or the operation that was used last would be open again
    ui = draw(spec);
  });
}

/** Draw Swagger UI, without anything that somebody has typed or been answered. */
function draw(spec) {
  const place = element("div");
  byId("swagger").replaceChildren(place);
  const ui = globalThis.SwaggerUIBundle({
    spec: toTry(structuredClone(spec)),
    domNode: place,
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    docExpansion: "list",
    plugins: [withoutLinksInButtons],
    requestInterceptor: async (request) => {
      const { Authorization: header } = request.headers;
      const { token } = session; // a user may also have typed in another one
      if (token && header?.includes(token)) request.headers.Authorization = header.replace(token, await session.fresh());
      return request;
    },
    responseInterceptor: (answer) => {
      if (answer.headers?.location?.includes("/submissions/")) follow(ui, answer.headers.location);
      return answer;
    },
    tryItOutEnabled: true,
    validatorUrl: null,
  });
  return ui;
}

/** Show who is signed in. */
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
session.addEventListener("start", showWho);
session.addEventListener("end", showWho);
byId("sign-out").addEventListener("click", () => session.end("You are signed out."));
try {
  await start();
} catch (error) {
  const why = `The API's description cannot be shown (${error.message}). Load this page again in a moment.`;
  byId("trying").hidden = true;
  byId("swagger").replaceChildren(element("main", {}, element("h1", {}, "Dragonpost API"), element("p", {}, why)));
}
