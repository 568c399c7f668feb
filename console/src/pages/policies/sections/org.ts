/** The org policy and the settings of the tenant: one entity each. */
import type { Values } from "../../../forms/form";
import { AlertTests } from "../alert_tests";
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
