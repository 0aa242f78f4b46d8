/**
 * A client of Dragonpost: every operation of its OpenAPI document, typed, which signs in, waits and tries again.
 *
 *     const client = connect("https://…/prod", token);
 *     const { data } = await client.GET("/dragons", { params: { query: { family: "gold" } } });
 */
import createClient from "openapi-fetch";
import { type Patience, patient } from "./patience.js";
import type { components, paths } from "./schema.js";

export type { Patience, Token } from "./patience.js";
export type { components, operations, paths } from "./schema.js";

export type Dragonpost = ReturnType<typeof connect>;
export type SubmissionStatus = components["schemas"]["SubmissionStatus"];

/**
 * Return a client of the service at this address, which ends with the API's stage. The token is an ID token, or a
 * function that returns one that is valid now. See `Patience` for what is tried again.
 */
export function connect(url: string, token: Patience["token"], patience: Omit<Patience, "token"> = {}) {
  return createClient<paths>({ baseUrl: url, fetch: patient({ token, ...patience }) });
}

/** The service refused to show a submission. `status` and `problem` say why. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly problem: components["schemas"]["Problem"] | undefined,
  ) {
    super(problem?.detail ?? `status ${status}`);
  }
}

/**
 * Wait until the workflow is done with a reported dragon, and return how it ended: `added`, `rejected` or `failed`.
 * Throws `Refused`, or an `Error` if it is still pending after `withinMs`.
 */
export async function untilSettled(
  client: Dragonpost,
  submissionId: string,
  withinMs = 60_000,
): Promise<SubmissionStatus> {
  const until = Date.now() + withinMs;
  for (;;) {
    const { data, error, response } = await client.GET("/submissions/{submission_id}", {
      params: { path: { submission_id: submissionId } },
    });
    if (data && data.status !== "pending") return data;
    // A submission is there a moment after it was accepted.
    if (!data && response.status !== 404) throw new Refused(response.status, error);
    const pauseMs = Number(response.headers.get("Retry-After") ?? 1) * 1000;
    if (Date.now() + pauseMs > until) {
      throw new Error(`submission ${submissionId} is still pending after ${withinMs / 1000} s`);
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
