/** Names in place of ids: a policy file names the policies of the tenant, because ids differ. */
import type { Values } from "../../forms/fields";
import { api } from "../../session";
import { allStaticPolicies } from "./calls";

/** What the lists of an entry refer to. Policies of the product may be named by their ids. */
export type FileReference = "static_policies" | "dlp_rules" | "bundles" | "pack_rules" | "packs";

/** The names of the tenant's own policies of a kind, by id. */
const OWN_NAMES: Readonly<Record<FileReference, () => Promise<ReadonlyMap<string, string>>>> = {
  static_policies: async () => {
    const policies = await allStaticPolicies(new AbortController().signal);
    return names(
      policies.filter((policy) => policy["system"] !== true),
      "name",
    );
  },
  dlp_rules: async () => {
    const rules = await api.call("ListDlpRules");
    return names(
      rules.filter((rule) => rule.source !== "platform"),
      "detector_name",
    );
  },
  bundles: async () => {
    const bundles = await api.call("ListComplianceBundles");
    return names(
      bundles.filter((bundle) => !bundle.is_seeded),
      "name",
    );
  },
  packs: async () => names(await api.call("ListPolicyPacks"), "name"),
  pack_rules: async () => {
    const packs = (await api.call("ListPolicyPacks")).filter((pack) => pack.pack_type === "custom");
    const lists = await Promise.all(
      packs.map(async (pack) => {
        const rules = await api.call("ListPolicyRules", { path: { pack_id: pack.id } });
        return rules.map((rule): [string, string] => [rule.id, `${pack.name} > ${rule.name}`]);
      }),
    );
    return new Map(lists.flat());
  },
};

function names(rows: readonly object[], field: string): ReadonlyMap<string, string> {
  return new Map((rows as readonly Values[]).map((row) => [String(row["id"]), String(row[field])]));
}

/**
 * Returns an entry with names in place of ids, in lists and in the objects of lists.
 *
 * @param references what the fields of the entry refer to, by the name of the field
 */
export async function withNames(
  entry: Values,
  references: Readonly<Record<string, FileReference>>,
): Promise<Values> {
  const used = Object.entries(references).filter(([field]) => entry[field] !== undefined);
  const maps = await Promise.all(used.map(([, kind]) => OWN_NAMES[kind]()));
  const changed = used.map(([field], index): [string, unknown] => [
    field,
    named(entry[field], maps[index] ?? new Map()),
  ]);
  return { ...entry, ...Object.fromEntries(changed) };
}

function named(value: unknown, byId: ReadonlyMap<string, string>): unknown {
  if (typeof value === "string") return byId.get(value) ?? value;
  if (Array.isArray(value)) return value.map((one) => named(one, byId));
  if (typeof value !== "object" || value === null) return value;
  const { rule_id: rule, ...rest } = value as Values;
  return rule === undefined ? value : { ...rest, rule_id: named(rule, byId) };
}
