/** The org policy and the settings of the tenant: one entity each. */
import type { Values } from "../../../forms/fields";
import type { Schema } from "../../../forms/schema";
import { AlertTests } from "../alert_tests";
import { withProperties } from "../refine";
import type { Section } from "../types";

const ONLY = "only";

/** The log writes the parts of an org policy side by side, and masks the URLs of webhooks. */
function orgPolicyOf(body: Values): Values {
  const { logging_level, mode, gdpr, ai_act, soc2, blocking_enabled, block_on } = body;
  const rules = body["alert_rules"];
  const masked = JSON.stringify(rules ?? []).includes('"***"');
  return {
    logging_level,
    mode,
    frameworks: { gdpr, ai_act, soc2 },
    blocking_rules: { enabled: blocking_enabled, block_on },
    ...(masked ? {} : { alert_rules: rules }),
  };
}

const DESCRIPTIONS: Readonly<Record<string, string>> = {
  blocking_rules: "From which risk level on requests are blocked.",
  frameworks:
    "The frameworks whose rules are in force for all users. They are recorded, and stop nothing.",
  alert_rules: "Which decisions are reported, and to whom.",
  logging_level:
    "Which decisions are recorded: `minimal` those with personal data, `standard` also those with a risk of medium or higher, `full` all. `paranoid` records all, and blocks by risk.",
};

/** The contract describes what an update changes; a form shows what there is. */
function described(schema: Schema): Readonly<Record<string, Schema>> {
  return Object.fromEntries(
    Object.entries(DESCRIPTIONS).map(([name, description]) => [
      name,
      { ...schema.properties?.[name], description },
    ]),
  );
}

export const ORG_POLICY: Section = {
  path: "org-policy",
  title: "Org policy",
  one: "org policy",
  about: "What is recorded, which frameworks count, which risk is blocked, and who is alerted.",
  kinds: ["org_policy"],
  single: "org_policy",
  operations: { list: "GetOrgPolicy", get: "GetOrgPolicy", update: "UpdateOrgPolicy" },
  variable: ONLY,
  idField: ONLY,
  nameField: ONLY,
  columns: [],
  facets: [],
  groups: [
    { title: "Recording and blocking", fields: ["logging_level", "blocking_rules", "mode"] },
    { title: "Compliance frameworks", fields: ["frameworks"] },
    { title: "Alerts", fields: ["alert_rules"] },
  ],
  refine: (schema) => withProperties(schema, described(schema)),
  fromChange: orgPolicyOf,
  below: AlertTests,
  draft: (entry) =>
    // The URLs of webhooks are secrets, which a draft does not keep.
    entry["alert_rules"] === undefined ? { section: "org_policy", entry } : undefined,
  empty: "",
};

export const TENANT_SETTINGS: Section = {
  path: "settings",
  title: "Tenant settings",
  one: "tenant settings",
  about:
    "What applies if policies cannot decide, and what a request must have. Each setting can let requests pass that would be blocked.",
  kinds: ["tenant_settings"],
  single: "tenant_settings",
  operations: {
    list: "GetTenantSettings",
    get: "GetTenantSettings",
    update: "UpdateTenantSettings",
  },
  variable: ONLY,
  idField: ONLY,
  nameField: ONLY,
  columns: [],
  facets: [],
  groups: [
    {
      title: "If nothing decides",
      fields: ["failure_mode", "unknown_customer", "unknown_model", "unjudged"],
    },
    { title: "What a request must have", fields: ["require_customer", "max_timestamp_skew_s"] },
    { title: "Exceptions", fields: ["exceptions_need_approval", "permanent_exceptions"] },
    {
      title: "Tools and recording",
      fields: ["document_tools", "tool_actions", "sample_rate"],
    },
  ],
  draft: (entry) => ({ section: "tenant_settings", entry }),
  empty: "",
};
