/** The sections of a policy file: what their entries are, and how they are named. */
import type { Operation } from "../api/types";
import type { Schema } from "../forms/schema";
import type { Entry } from "./document";

export interface Section {
  readonly key: string;
  /** What people call it. */
  readonly title: string;
  /** What an entry is, as a sentence. */
  readonly about: string;
  /** The operation whose body has the fields of an entry; without it, `extras` has them all. */
  readonly operation?: Operation;
  /** The field that names an entry; empty if the section has one entry only. */
  readonly nameField: string;
  /** Fields of an entry that the body of the operation does not have, or has in another form. */
  readonly extras?: Readonly<Record<string, Schema>>;
  /** Fields of the body that an entry does not have. */
  readonly omitted?: readonly string[];
  /** Whether only admins may change it. */
  readonly adminOnly?: boolean;
  /** Whether an export never has it: it appears only if a policy file has it. */
  readonly shortForm?: boolean;
}

function text(description: string): Schema {
  return { type: "string", maxLength: 256, description };
}

function texts(description: string): Schema {
  return { type: "array", items: { type: "string", maxLength: 256 }, description };
}

const PACKS: Schema = {
  type: "array",
  description: "The names of the packs. The first one is asked first.",
  items: { type: "object", properties: { pack: text("The name of a pack.") }, required: ["pack"] },
};

/** All sections, in the order in which a policy file has them. */
export const SECTIONS: readonly Section[] = [
  {
    key: "tenant_settings",
    title: "Tenant settings",
    about: "The settings of the tenant. Only an admin may change them.",
    operation: "UpdateTenantSettings",
    nameField: "",
    adminOnly: true,
  },
  {
    key: "org_policy",
    title: "Org policy",
    about: "What is recorded, reported and blocked by risk.",
    operation: "UpdateOrgPolicy",
    nameField: "",
  },
  {
    key: "static_policies",
    title: "Static policies",
    about: "Patterns that are looked for in every text.",
    operation: "CreateStaticPolicy",
    nameField: "name",
  },
  {
    key: "overrides",
    title: "Overrides",
    about: "The tenant's own actions for system policies.",
    operation: "CreateStaticPolicyOverride",
    nameField: "policy_id",
    extras: { policy_id: text("The ID of the system policy.") },
  },
  {
    key: "dlp",
    title: "DLP rules",
    about: "The tenant's own DLP rules.",
    operation: "CreateDlpRule",
    nameField: "detector_name",
  },
  {
    key: "dlp_settings",
    title: "DLP rules of the product",
    about: "Changes of DLP rules that ship with the product.",
    operation: "UpdateDlpRule",
    nameField: "rule",
    extras: { rule: text("A detector such as email, or a rule of a bundle such as pci_dss/card.") },
    omitted: ["detector_name", "detector_type", "entity_type", "config_json"],
  },
  {
    key: "compliance_bundles",
    title: "Compliance bundles",
    about: "The tenant's own compliance bundles.",
    operation: "CreateComplianceBundle",
    nameField: "name",
    extras: { rule_ids: texts("The names of the DLP rules of the bundle.") },
  },
  {
    key: "upgraded_bundles",
    title: "Upgraded bundles",
    about: "Bundles of the product at their latest definition; all others have their first one.",
    nameField: "bundle",
    extras: { bundle: text("The bundle of the product, such as pci_dss.") },
    shortForm: true,
  },
  {
    key: "active_bundles",
    title: "Active bundles",
    about: "Bundles in force for all users; all other bundles of the product are not.",
    nameField: "bundle",
    extras: { bundle: text("The bundle, such as pci_dss.") },
    shortForm: true,
  },
  {
    key: "bundle_settings",
    title: "Bundles of the product",
    about: "Which compliance bundles of the product are in force, and how.",
    operation: "UpdateComplianceBundle",
    nameField: "bundle",
    extras: {
      bundle: text("The bundle of the product, such as pci_dss."),
      version: text("The definition to use; empty means the first one."),
      rule_ids: texts("The names of the tenant's own DLP rules in the bundle."),
    },
  },
  {
    key: "user_groups",
    title: "User groups",
    about: "Groups of users, with their bundles and stricter DLP rules.",
    operation: "CreateUserGroup",
    nameField: "name",
    extras: {
      bundle_ids: texts("The names of the bundles that apply to the group."),
      removed: { type: "boolean", description: "Removes a group of the product." },
    },
  },
  {
    key: "limits",
    title: "Limits",
    about: "How much users and groups may use.",
    operation: "CreateLimit",
    nameField: "subject_id",
  },
  {
    key: "packs",
    title: "Policy packs",
    about: "The tenant's own policy packs, with their rules in order.",
    operation: "CreatePolicyPack",
    nameField: "name",
    omitted: ["pack_type"],
  },
  {
    key: "pack_settings",
    title: "Packs of the product",
    about: "Whether policy packs of the product are active.",
    operation: "UpdatePolicyPack",
    nameField: "pack",
    extras: { pack: text("The name of the pack.") },
    omitted: ["name", "description", "compliance_standard", "version"],
  },
  {
    key: "chain",
    title: "Chain",
    about: "The policy packs that apply to all requests, in order.",
    operation: "ReplaceOrgPolicyChain",
    nameField: "",
    extras: { packs: PACKS },
  },
  {
    key: "user_chains",
    title: "Chains of users",
    about: "Additional policy packs of single users.",
    operation: "ReplaceUserPolicyChain",
    nameField: "user_id",
    extras: { user_id: text("The ID of the user."), packs: PACKS },
  },
  {
    key: "exceptions",
    title: "Exceptions",
    about: "Policies that are lifted for some requests. Only an admin may change them.",
    operation: "CreateException",
    nameField: "name",
    extras: {
      policies: texts("The names of the static policies that it lifts."),
      dlp_rules: texts("The names of the DLP rules that it lifts."),
      rules: texts("The rules of packs that it lifts, as Pack > Rule."),
    },
    adminOnly: true,
  },
  {
    key: "customer_policies",
    title: "Customer policies",
    about: "What the tenant's customers may do.",
    nameField: "customer_id",
    extras: {
      customer_id: text("The ID of the customer."),
      policies: { type: "object", description: "The whole policy of the customer." },
      mode: {
        type: "string",
        enum: ["enforce", "monitor"],
        description: "In monitor mode, the policy is judged and recorded, and has no other effect.",
      },
    },
  },
];

const BY_KEY = new Map(SECTIONS.map((section) => [section.key, section]));

/** Returns a section by its key. */
export function sectionOf(key: string): Section {
  const section = BY_KEY.get(key);
  if (section === undefined) throw new Error(`a policy file has no section ${key}`);
  return section;
}

export function isSection(key: string): boolean {
  return BY_KEY.has(key);
}

/** Whether the section is one entry, not a list. */
export function isSingle(key: string): boolean {
  return sectionOf(key).nameField === "";
}

/**
 * Returns the name of an entry, unique in its section, as the server's changes name it; empty in
 * a section with one entry, and for an entry that has no name yet.
 */
export function entryName(key: string, entry: Entry): string {
  const { nameField } = sectionOf(key);
  if (nameField === "") return "";
  const word = (field: string) => String(entry[field] ?? "");
  if (key === "limits") return `${word("scope")} ${word("subject_id")}`.trim();
  const hasIds = key === "user_groups" || key === "packs";
  return (hasIds && word("id")) || word(nameField);
}
