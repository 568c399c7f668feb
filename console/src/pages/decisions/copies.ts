/** A decision as a command and as a test case. No copy has a credential. */
import { isPlain, safeJson, shellWord, yaml } from "../../ui/escapes";
import { type DecideRequest, isRedacted, requestOf } from "./request_of";
import type { DecisionRecord } from "./rows";

/**
 * Returns a call of the REST API that asks the same again.
 *
 * @param withKey whether the server needs a credential; the shell reads it from its environment
 */
export function asCurl(record: DecisionRecord, server: string, withKey: boolean): string {
  return [
    `curl -sS ${shellWord(`${server}/v1/decide`)}`,
    `-H 'Content-Type: application/json'`,
    ...(withKey ? [`-H "Authorization: Bearer $PDP_API_KEY"`] : []),
    `-H ${shellWord(`X-Tenant-ID: ${record.tenant_id}`)}`,
    `--data-raw ${shellWord(safeJson(requestOf(record)))}`,
  ].join(" \\\n  ");
}

/** Returns a call of `pdp decide`. What its options cannot say goes to its standard input. */
export function asPdpDecide(record: DecisionRecord): string {
  const request = requestOf(record);
  const options = optionsOf(request);
  const tenant = option("--tenant", record.tenant_id);
  if (options === undefined) {
    const body = shellWord(safeJson(request));
    return `printf '%s' ${body} |\n  pdp decide --request - ${tenant} --explain`;
  }
  return ["pdp decide", ...options, tenant, "--explain"].join(" ");
}

/** Returns the options that say all of a request; undefined if there are none for a part of it. */
function optionsOf(request: DecideRequest): string[] | undefined {
  const { content, subject, model, target, ...rest } = request;
  const {
    action,
    tool,
    arguments: values,
    customer_id,
    session_id,
    direction,
    channel,
    ...other
  } = rest;
  const { classifications, fields, ...otherTarget } = target ?? {};
  const { user_id, groups, agent_id, ...otherSubject } = subject ?? {};
  const beyond = [other, otherTarget, otherSubject].some((part) => Object.keys(part).length > 0);
  const name = modelOption(model);
  const json = values === undefined || values === null ? undefined : safeJson(values);
  const pairs: [string, string | null | undefined][] = [
    ["--text", content?.text],
    ["--action", action],
    ["--tool", tool],
    ["--arguments", json],
    ["--customer", customer_id],
    ["--user", user_id],
    ...(groups ?? []).map((group): [string, string] => ["--group", group]),
    ["--agent", agent_id],
    ["--session", session_id],
    ["--model", name],
    ["--direction", direction],
    ["--channel", channel],
    ...(classifications ?? []).map((label): [string, string] => ["--classification", label]),
    ...(fields ?? []).map((field): [string, string] => ["--field", field]),
  ];
  const given = pairs.filter((pair): pair is [string, string] => !!pair[1]);
  const enough = given.length > 0 && given.every(([, value]) => isPlain(value));
  const modelFits = name !== undefined || model === undefined || model === null;
  if (beyond || !enough || !modelFits) return undefined;
  return given.map(([flag, value]) => option(flag, value));
}

/** Returns `PROVIDER/MODEL`; undefined if the option would read it in another way. */
function modelOption(model: DecideRequest["model"]): string | undefined {
  const { provider, model: name } = model ?? {};
  if (!name) return undefined;
  if (provider) return provider.includes("/") ? undefined : `${provider}/${name}`;
  return name.includes("/") ? undefined : name;
}

function option(flag: string, value: string): string {
  // A value that looks like an option is joined to its own.
  return value.startsWith("-") ? `${flag}=${shellWord(value)}` : `${flag} ${shellWord(value)}`;
}

/**
 * Returns a suite of decision cases for `pdp test`, with the decision as what is expected. If
 * values are redacted, not every policy can match again, so the matches are not expected.
 */
export function asTestCase(record: DecisionRecord): string {
  const redacted = isRedacted(record);
  const named = {
    name: `${record.outcome} of ${record.time ?? "an unknown time"}`,
    why: record.message === "" ? undefined : record.message,
    request: { ...requestOf(record), timestamp: record.asked_at ?? undefined },
    expect: {
      outcome: record.outcome,
      reason_code: record.reason_code === "" ? undefined : record.reason_code,
      matches: redacted
        ? undefined
        : record.matches.map(({ name, policy_id }) => name || policy_id),
    },
  };
  const tenant = shellWord(record.tenant_id);
  return [
    `# The policies: pdp policies export --tenant ${tenant} policies.yaml`,
    ...(redacted ? ["# The request is redacted: write examples in place of what is missing."] : []),
    `suite: ${safeJson(`Decision ${record.decision_id}`)}`,
    `policies_file: "policies.yaml"`,
    `cases:${yaml([named], "  ")}`,
  ].join("\n");
}
