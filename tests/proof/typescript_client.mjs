// Runs both pipelines with the TypeScript client: PLACE OF THE PACKAGE, then {"url", "token", "company", "report"} on
// stdin. Prints what it found as JSON.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { connect, untilSettled } = await import(pathToFileURL(`${process.argv[2]}/dist/index.js`));
const { url, token, company, report } = JSON.parse(readFileSync(0, "utf8"));
const client = connect(url, () => token);

const accepted = await client.POST("/dragons", { body: report, params: { header: { "Idempotency-Key": randomUUID() } } });
const settled = await untilSettled(client, accepted.data.submission_id);
const path = { dragon_name: report.dragon_name_str };
const shown = await client.GET("/dragons/{dragon_name}", { params: { path } });
const removed = await client.DELETE("/dragons/{dragon_name}", {
  params: { path, header: { "If-Match": shown.response.headers.get("ETag") } },
});

const metadata = { message_time: "2023-12-10T22:02:38Z", company_id: company, message_id: randomUUID() };
const data = { order_id: randomUUID(), order_time: "2023-12-10T22:00:00Z", order_amount: 19.99 };
const posted = await client.POST("/post-message", { body: { metadata, data } });
const refused = await client.GET("/dragons", { params: { query: { cursor: "none-of-ours" } } });

// The service answers 503 twice, and then as it does.
const answers = [503, 503];
const interrupted = connect(url, token, {
  fetch: (request) =>
    answers.length
      ? Promise.resolve(new Response(null, { status: answers.pop(), headers: { "Retry-After": "0" } }))
      : globalThis.fetch(request),
});
const listed = await interrupted.GET("/dragons", { params: { query: { limit: 1 } } });

console.log(
  JSON.stringify({
    settled: settled.status,
    shown: shown.data,
    removed: removed.response.status,
    posted: posted.data.message_id === metadata.message_id,
    refused: refused.error.type,
    listed: listed.response.status,
  }),
);
