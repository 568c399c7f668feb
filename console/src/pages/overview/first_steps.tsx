/** What to do with a server that has decided nothing yet. */
import { href } from "../../router";
import { api, identity, may, tenant } from "../../session";
import { CopyButton } from "../../ui/copy";
import { shellWord } from "../../ui/escapes";
import { useRemote } from "../../ui/remote";
import type { LiveSummary } from "./summary";

/** Returns whether nothing was ever decided, as far as the server knows. */
export function useNewness({ value }: LiveSummary): boolean {
  const records = useRemote("any record", (signal) =>
    api.call("ListRecords", { query: { limit: 1 }, signal }),
  );
  const page = records.value.value;
  const summary = value.value;
  if (page === undefined || summary === undefined) return false;
  const made = summary.buckets.some(({ outcomes }) => outcomes.length > 0);
  return !made && page.records.length === 0 && page.next_cursor === "";
}

export function FirstSteps() {
  const command = firstDecision();
  return (
    <section class="panel first-steps">
      <h2>Nothing has been decided yet</h2>
      <ol>
        <li>
          <p>
            Send a first decision
            {may("Simulate") && (
              <>
                , or <a href={href(["playground"])}>try a prompt in the playground</a>
              </>
            )}
            :
          </p>
          <pre tabIndex={0}>{command}</pre>
          <CopyButton label="Copy the command" done="Copied the command" text={() => command} />
        </li>
        <li>
          Look at what is in force under <a href={href(["policies"])}>Policies</a>, and write your
          own.
        </li>
        <li>
          Choose in the <a href={href(["policies", "org-policy"])}>org policy</a> which decisions
          are recorded. At the level full, all are, and this page shows all of them.
        </li>
        {may("CreateApiKey") && (
          <li>
            Create a key with the role pep for each enforcement point under{" "}
            <a href={href(["operate"])}>Operate</a>.
          </li>
        )}
      </ol>
    </section>
  );
}

function firstDecision(): string {
  const withKey = identity.value?.kind !== "development";
  const name = tenant.value === "" ? (identity.value?.tenant_id ?? "") : tenant.value;
  return [
    `curl -sS ${window.location.origin}/v1/decide`,
    `-H 'Content-Type: application/json'`,
    ...(withKey ? [`-H "Authorization: Bearer $PDP_API_KEY"`] : []),
    ...(name === "" ? [] : [`-H ${shellWord(`X-Tenant-ID: ${name}`)}`]),
    `-d '{"content": {"text": "1 UNION SELECT password FROM users"}}'`,
  ].join(" \\\n  ");
}
