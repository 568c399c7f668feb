/** Policy packs and their rules. */
import { ApiError } from "../../../api/errors";
import type { Values } from "../../../forms/fields";
import type { Schema, SchemaReader } from "../../../forms/schema";
import { isEmpty } from "../../../forms/values";
import { api } from "../../../session";
import { tagOf, wholeList } from "../calls";
import { PackRules } from "../pack_rules";
import { narrowed, withOnly, withProperties } from "../refine";
import type { DraftEntry, Entity, Section } from "../types";

/** The fields that a rule has when its pack is created. */
const RULE_FIELDS = [
  "name",
  "description",
  "applies_to",
  "conditions",
  "action",
  "is_active",
  "mode",
  "redaction",
];
const PACK_FIELDS = ["name", "description", "compliance_standard", "version", "is_active"];

/** Returns the rules of a pack as they are written when a pack is created, in order. */
function rulesToCreate(pack: Entity): readonly Values[] {
  return ((pack["rules"] ?? []) as readonly Values[]).map((rule) => present(rule, RULE_FIELDS));
}

function present(source: Values, names: readonly string[]): Values {
  return Object.fromEntries(
    names.filter((name) => !isEmpty(source[name])).map((name) => [name, source[name]]),
  );
}

function draftEntry(values: Values, pack: Entity | undefined): DraftEntry {
  if (pack?.["pack_type"] === "bundle")
    return { section: "pack_settings", entry: { ...values, pack: pack["name"] } };
  // An entry replaces the pack as a whole, so it has the rules too.
  const rules = pack === undefined ? [] : rulesToCreate(pack);
  return { section: "packs", entry: { ...values, rules }, renames: true };
}

const readPacks = wholeList("ListPolicyPacks");

export const PACKS: Section = {
  path: "packs",
  title: "Policy packs",
  one: "policy pack",
  about:
    "Named sets of rules. A pack is in force when a chain names it. Packs of the product can only be switched on and off.",
  kinds: ["policy_pack", "bundle_toggle"],
  operations: {
    list: "ListPolicyPacks",
    get: "GetPolicyPack",
    create: "CreatePolicyPack",
    update: "UpdatePolicyPack",
    remove: "DeletePolicyPack",
  },
  variable: "pack_id",
  idField: "id",
  nameField: "name",
  list: async (signal) =>
    (await readPacks(signal)).map((pack) => ({
      ...pack,
      origin: pack["pack_type"] === "bundle" ? "product" : "own",
    })),
  columns: [
    { field: "name", label: "Name", width: "minmax(0, 2fr)" },
    { field: "is_active", label: "Active", width: "4rem", kind: "yes" },
    { field: "rule_count", label: "Rules", width: "4rem", kind: "count" },
    { field: "compliance_standard", label: "Standard", width: "9rem", wide: true },
    { field: "version", label: "Version", width: "5rem", wide: true },
    { field: "origin", label: "Origin", width: "5rem", wide: true },
    { field: "description", label: "Description", width: "minmax(0, 3fr)", wide: true },
  ],
  facets: [
    { field: "origin", label: "Origin" },
    { field: "is_active", label: "Active" },
  ],
  groups: [
    {
      title: "The pack",
      fields: ["name", "description", "compliance_standard", "version", "is_active"],
    },
  ],
  hidden: ["pack_type", "rules"],
  lock: (pack) =>
    pack["pack_type"] === "bundle"
      ? {
          reason: "This pack ships with the product. You can switch it on and off.",
          fields: ["is_active"],
        }
      : undefined,
  copy: (pack) => ({ ...present(pack, PACK_FIELDS), rules: rulesToCreate(pack) }),
  draft: draftEntry,
  below: PackRules,
  facts: [
    { field: "id", label: "ID", width: "", kind: "code" },
    { field: "rule_count", label: "Rules", width: "", kind: "count" },
    { field: "updated_at", label: "Changed", width: "", kind: "time" },
  ],
  empty: "No policy pack yet.",
};

/** The fields of each type of action. */
const ACTION_FIELDS: Readonly<Record<string, readonly string[]>> = {
  ALLOW: [],
  BLOCK: ["message"],
  CANCEL: ["message"],
  REDACT: ["redact_replacement"],
  ROUTE_TO: ["route_to_model", "route_to_tier"],
  PROMPT: ["prompt_message"],
  ESCALATE: ["message", "approvers", "expires_s"],
  ALLOW_WITH_OVERRIDE: ["override_message"],
};
/** Those that must be given if an action has them. */
const REQUIRED = ["type", "prompt_message", "override_message"];

/** Returns the fields that an action of the chosen type has. */
function fieldsOfAction(values: Values): readonly string[] {
  const action = values["action"] as { readonly type?: string } | undefined;
  return ["type", ...(ACTION_FIELDS[action?.type ?? ""] ?? [])];
}

function refineRule(schema: Schema, reader: SchemaReader): Schema {
  return withProperties(schema, {
    action: reader.resolve(schema.properties?.["action"] ?? {}),
  });
}

/** Returns the section of the rules of one pack. */
export function rulesOf(packId: string): Section {
  const path = { pack_id: packId };
  return {
    path: `packs/${encodeURIComponent(packId)}/rules`,
    up: { path: `packs/${encodeURIComponent(packId)}`, title: "The pack" },
    within: path,
    title: "Rules",
    one: "rule",
    about: "What happens to requests that meet the conditions.",
    kinds: ["policy_rule"],
    operations: {
      list: "ListPolicyRules",
      get: "ListPolicyRules",
      create: "CreatePolicyRule",
      update: "UpdatePolicyRule",
      remove: "DeletePolicyRule",
    },
    variable: "rule_id",
    idField: "id",
    nameField: "name",
    list: async (signal) => await api.call("ListPolicyRules", { path, signal }),
    read: async (id, signal) => {
      // The tag first: if the rule changes between the two reads, the tag is older, and a write fails.
      const etag = await tagOf("policy_rule", id, signal);
      const rules = await api.call("ListPolicyRules", { path, ...(signal ? { signal } : {}) });
      const entity = rules.find((rule) => rule.id === id);
      if (entity === undefined) throw new ApiError(404, "NOT_FOUND", `the pack has no rule ${id}`);
      return { entity, etag };
    },
    columns: [],
    facets: [],
    groups: [
      { title: "The rule", fields: ["name", "description", "applies_to", "is_active", "mode"] },
      { title: "What it does", fields: ["action", "redaction"] },
      { title: "For which requests", fields: ["conditions"] },
    ],
    hidden: ["sequence"],
    refine: refineRule,
    adapt: (schema, values) => {
      const fields = fieldsOfAction(values);
      const required = REQUIRED.filter((name) => fields.includes(name));
      return narrowed(schema, "action", fields, required);
    },
    liftedBy: "rules",
    tidy: (values) => withOnly(values, "action", fieldsOfAction(values)),
    references: {
      user_groups: ["group_names"],
      not_user_groups: ["group_names"],
      entity_types: ["entity_types"],
      providers: ["providers"],
      not_providers: ["providers"],
      models: ["models"],
      not_models: ["models"],
      route_to_model: ["models"],
    },
    facts: [
      { field: "id", label: "ID", width: "", kind: "code" },
      { field: "sequence", label: "Position", width: "", kind: "count" },
      { field: "updated_at", label: "Changed", width: "", kind: "time" },
    ],
    empty: "No rule yet.",
  };
}
