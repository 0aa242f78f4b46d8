// Making elements. Text is always text: nothing here, and nothing that uses it, turns text into HTML.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** Return a new element with these attributes (`onclick` and the like are listeners) and children. */
export function element(name, attributes = {}, ...children) {
  return completed(document.createElement(name), attributes, children);
}

/** Return a new SVG element. */
export function drawing(name, attributes = {}, ...children) {
  return completed(document.createElementNS(SVG, name), attributes, children);
}

/** Return a list of names with their values; a name without a value is left out. */
export function facts(pairs) {
  const known = pairs.filter(([, value]) => value);
  return element("dl", {}, known.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

/** Return a table with these headings and rows; its class says what it lists. */
export const table = (kind, headings, rows) =>
  element(
    "table",
    { class: kind },
    element(
      "thead",
      {},
      element(
        "tr",
        {},
        headings.map((heading) => element("th", { scope: "col" }, heading)),
      ),
    ),
    element("tbody", {}, rows),
  );

/** Let a button act only when it is pressed again: at first, it asks. Return what makes it forget that it has asked. */
export function askTwice(button, question, act) {
  const words = button.textContent;
  const ask = (sure) => {
    button.textContent = sure ? question : words;
    button.toggleAttribute("data-sure", sure);
  };
  button.addEventListener("click", () => {
    const sure = button.hasAttribute("data-sure");
    ask(!sure);
    if (sure) act();
  });
  button.addEventListener("blur", () => ask(false));
  return () => ask(false);
}

/** Let a button show the machines' own names in a place, and the words again. */
export function wireOwnNames(button, place) {
  button.addEventListener("click", () => {
    const own = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(own));
    place.classList.toggle("own-names", own);
  });
}

/** Return a promise that resolves after this many seconds. */
export const pause = (seconds) => new Promise((resume) => setTimeout(resume, seconds * 1000));

function completed(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}
