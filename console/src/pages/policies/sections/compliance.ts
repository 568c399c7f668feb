/** Compliance bundles: groups of DLP rules that implement a regulation. */
import { api, may } from "../../../session";
import { BundleActions, BundleRules } from "../bundle_views";
import { wholeList } from "../calls";
import type { Entity, Section } from "../types";

const readBundles = wholeList("ListComplianceBundles");

/** Reads the bundles, with whether there is a newer definition; the matrix says so. */
async function list(signal: AbortSignal): Promise<readonly Entity[]> {
  const [bundles, matrix] = await Promise.all([
    readBundles(signal),
    may("GetComplianceMatrix") ? api.call("GetComplianceMatrix", { signal }) : [],
  ]);
  const newer = new Set(
    (matrix[0]?.bundles ?? []).filter((one) => one.upgrade_available).map((one) => one.bundle_id),
  );
  return bundles.map((bundle) => ({
    ...bundle,
    origin: bundle["is_seeded"] === true ? "product" : "own",
    upgrade: newer.has(String(bundle["id"])) ? "update available" : "",
  }));
}

interface Rule {
  readonly id: string;
  readonly clause: string;
}

/** Returns the tenant's own rules of a bundle: only those of its definition name a clause. */
function ownRules(rules: unknown): string[] {
  return ((rules ?? []) as Rule[]).filter(({ clause }) => clause === "").map(({ id }) => id);
}

export const COMPLIANCE: Section = {
  path: "compliance",
  title: "Compliance bundles",
  one: "compliance bundle",
  about:
    "DLP rules of a regulation, together. An active bundle is in force for all users; the matrix puts bundles in force for single groups.",
  kinds: ["compliance_bundle", "bundle_state"],
  operations: {
    list: "ListComplianceBundles",
    get: "GetComplianceBundle",
    create: "CreateComplianceBundle",
    update: "UpdateComplianceBundle",
    remove: "DeleteComplianceBundle",
  },
  variable: "bundle_id",
  idField: "id",
  nameField: "name",
  list,
  columns: [
    { field: "name", label: "Name", width: "minmax(0, 2fr)" },
    { field: "enabled", label: "Active", width: "4rem", kind: "yes" },
    { field: "regulatory_framework", label: "Regulation", width: "8rem", wide: true },
    { field: "rule_count", label: "Rules", width: "4rem", kind: "count" },
    { field: "version", label: "Version", width: "5rem", wide: true },
    { field: "upgrade", label: "Definition", width: "8.5rem", wide: true },
    { field: "origin", label: "Origin", width: "5rem", wide: true },
    { field: "description", label: "Description", width: "minmax(0, 3fr)", wide: true },
  ],
  facets: [
    { field: "origin", label: "Origin" },
    { field: "enabled", label: "Active" },
  ],
  groups: [
    { title: "The bundle", fields: ["name", "description", "regulatory_framework", "enabled"] },
    { title: "Own rules in it", fields: ["rule_ids"] },
  ],
  toForm: (bundle) => ({ ...bundle, rule_ids: ownRules(bundle["rules"]) }),
  // What a tenant has not changed in a bundle of the product is null in the log.
  fromChange: (body) =>
    Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null)),
  references: { rule_ids: ["own_dlp_rules"] },
  versions: async (id, signal) => {
    const path = { bundle_id: id };
    const versions = await api.call("ListComplianceBundleVersions", { path, signal });
    return versions.map((one, index) => ({
      label: `Version ${versions.length - index} of definition ${one.version}`,
      at: one.created_at,
      actor: one.changed_by,
      summary: one.summary,
      values: {
        name: one.name,
        description: one.description,
        regulatory_framework: one.regulatory_framework,
        enabled: one.enabled,
        rule_ids: ownRules(one.rules),
      },
    }));
  },
  // The rules of a bundle of the product cannot be in another bundle.
  copy: () => null,
  draft: (entry, bundle) =>
    bundle?.["is_seeded"] === true
      ? undefined
      : {
          section: "compliance_bundles",
          entry,
          references: { rule_ids: "dlp_rules" },
          renames: true,
        },
  actions: BundleActions,
  below: BundleRules,
  facts: [
    { field: "id", label: "ID", width: "", kind: "code" },
    { field: "version", label: "Definition", width: "" },
    { field: "rule_count", label: "Rules", width: "", kind: "count" },
    { field: "updated_at", label: "Changed", width: "", kind: "time" },
  ],
  empty: "No compliance bundle yet.",
};
