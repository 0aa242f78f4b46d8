/** Signing requests in, and sending those again that are safe to send again. */

export type Token = string | (() => string | Promise<string>);

export interface Patience {
  /** An ID token, or what returns one that is valid now. */
  token: Token;
  /** How often a request is sent at most; 5 if you don't say. */
  tries?: number;
  /** The longest pause; an answer that asks for a longer one is returned as it is. 30,000 if you don't say. */
  pauseMsMax?: number;
  /** What sends a request; the platform's `fetch` if you don't say. */
  fetch?: (request: Request) => Promise<Response>;
}

/** Return a `fetch` that waits as `Retry-After` says after a 429, and after a 503 or 504 of a request that is safe. */
export function patient({ token, tries = 5, pauseMsMax = 30_000, fetch = globalThis.fetch }: Patience) {
  return async (request: Request): Promise<Response> => {
    for (let left = tries - 1; ; left -= 1) {
      const attempt = new Request(request.clone());
      attempt.headers.set("Authorization", `Bearer ${typeof token === "string" ? token : await token()}`);
      const response = await fetch(attempt);
      const pauseMs = Number(response.headers.get("Retry-After") ?? 1) * 1000;
      if (left <= 0 || pauseMs > pauseMsMax || !mayBeSentAgain(request, response.status)) return response;
      await response.body?.cancel();
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  };
}

/** After a 429, nothing was done. After a 503 or 504, a request may have been carried out. */
function mayBeSentAgain(request: Request, status: number): boolean {
  if (status === 429) return true;
  if (status !== 503 && status !== 504) return false;
  return (
    ["GET", "HEAD"].includes(request.method) ||
    request.headers.has("Idempotency-Key") ||
    new URL(request.url).pathname.endsWith("/post-message")
  );
}
