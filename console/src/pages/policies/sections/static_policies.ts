/** Static policies: patterns with an action; those of the product can be overridden. */
import type { AnswerOf } from "../../../api/types";
import type { Schema } from "../../../forms/schema";
import { api, may } from "../../../session";
import { allStaticPolicies } from "../calls";
import { OverridePanel } from "../override_panel";
import { StaticPatternTester } from "../pattern_tester";
import { actionsByPlace, withProperties } from "../refine";
import type { Entity, Section } from "../types";

export const STATIC_ACTIONS = ["block", "warn", "log"] as const;

/** Returns the schema of a static policy or of an override with the places of its actions. */
export function withPlaces(schema: Schema): Schema {
  return withProperties(schema, { scope_actions: actionsByPlace(STATIC_ACTIONS) });
}

type Override = AnswerOf<"ListStaticPolicyOverrides">["overrides"][number];

/** Reads all policies, with the tenant's overrides of those of the product. */
async function list(
  signal: AbortSignal,
  show: (part: readonly Entity[]) => void,
): Promise<readonly Entity[]> {
  const overrides = may("ListStaticPolicyOverrides")
    ? (await api.call("ListStaticPolicyOverrides", { signal })).overrides
    : [];
  const byPolicy = new Map(overrides.map((one) => [one.policy_id, one]));
  const marked = (policies: readonly Entity[]) => policies.map((one) => withOrigin(one, byPolicy));
  return marked(await allStaticPolicies(signal, (part) => show(marked(part))));
}

function withOrigin(policy: Entity, overrides: ReadonlyMap<string, Override>): Entity {
  const override = overrides.get(String(policy["id"]));
  const origin = policy["system"] === true ? "product" : "own";
  return override === undefined
    ? { ...policy, origin }
    : { ...policy, origin: "overridden", action: override.override_action };
}

export const STATIC_POLICIES: Section = {
  path: "static",
  title: "Static policies",
  one: "static policy",
  about:
    "Patterns that are looked for in every text. Policies of the product cannot be edited, but you can override their actions, or copy them as your own.",
  kinds: ["static_policy", "static_override"],
  operations: {
    list: "ListStaticPolicies",
    get: "GetStaticPolicy",
    create: "CreateStaticPolicy",
    update: "UpdateStaticPolicy",
    remove: "DeleteStaticPolicy",
  },
  variable: "id",
  idField: "id",
  nameField: "name",
  list,
  columns: [
    { field: "name", label: "Name", width: "minmax(0, 3fr)" },
    { field: "action", label: "Action", width: "5rem", kind: "badge" },
    { field: "enabled", label: "Enabled", width: "4.5rem", kind: "yes" },
    { field: "category", label: "Category", width: "7rem", wide: true },
    { field: "severity", label: "Severity", width: "5.5rem", kind: "badge", wide: true },
    { field: "origin", label: "Origin", width: "6.5rem", wide: true },
    { field: "pattern", label: "Pattern", width: "minmax(0, 2fr)", kind: "code", wide: true },
  ],
  facets: [
    { field: "origin", label: "Origin" },
    { field: "enabled", label: "Enabled" },
    { field: "action", label: "Action" },
    { field: "category", label: "Category" },
    { field: "family", label: "Family" },
  ],
  groups: [
    { title: "What it looks for", fields: ["name", "pattern", "category", "description"] },
    {
      title: "What it does",
      fields: ["action", "enabled", "message", "severity", "mode", "redaction"],
    },
    {
      title: "Where and when",
      fields: ["expression", "scope", "scope_actions", "in_prose"],
      folded: true,
    },
    { title: "Note for the history", fields: ["change_summary"], folded: true },
  ],
  lock: (policy) =>
    policy["system"] === true
      ? { reason: "This policy ships with the product.", fields: [] }
      : undefined,
  refine: withPlaces,
  fromChange: (body, kind) => (kind === "static_policy" ? body : undefined),
  versions: async (id, signal) => {
    const answer = await api.call("ListStaticPolicyVersions", { path: { id }, signal });
    return answer.versions.map((one) => ({
      label: `Version ${one.version}`,
      at: one.changed_at,
      actor: one.changed_by,
      summary: one.change_summary,
      values: { pattern: one.pattern, action: one.action, enabled: one.enabled },
    }));
  },
  liftedBy: "policies",
  beside: StaticPatternTester,
  below: OverridePanel,
  draft: ({ change_summary: _summary, ...entry }) => ({
    section: "static_policies",
    entry,
    renames: true,
  }),
  facts: [
    { field: "id", label: "ID", width: "", kind: "code" },
    { field: "family", label: "Family", width: "" },
    { field: "version", label: "Version", width: "", kind: "count" },
    { field: "created_at", label: "Created", width: "", kind: "time" },
    { field: "updated_at", label: "Changed", width: "", kind: "time" },
  ],
  empty: "No static policy yet.",
};
