// Print as JSON what each of the other OpenAPI documents breaks for clients of the first: breaking_changes.mjs OLD NEW...
import { readFileSync } from "node:fs";
import { apiCompare } from "api-smart-diff";

// Adding one of these narrows what a request may be; api-smart-diff 1.0.6 considers it harmless.
const NARROWING = /\/(parameters|requestBody)\/.*\/(enum\/0|const|additionalProperties)$/;

function breaks({ action, type, path }) {
  // References are resolved, so every change shows where it is used; no client depends on a component by itself.
  if (path[0] !== "paths") return false;
  if (type === "breaking" || (action === "add" && NARROWING.test(path.join("/")))) return true;
  // A person has to judge what it cannot (if, allOf, dependentRequired).
  return type === "unclassified" && path.includes("schema");
}

const [before, ...others] = process.argv.slice(2).map((path) => JSON.parse(readFileSync(path, "utf8")));
const breaking = others.map((after) => apiCompare(before, after).diffs.filter(breaks));
const shown = ({ action, path, description }) => ({ action, path, description });
console.log(JSON.stringify(breaking.map((changes) => changes.map(shown))));
