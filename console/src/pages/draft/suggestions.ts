/** The names that entries may refer to: those of the draft and those of the product. */
import { type Document, type Entry, entriesOf, isObject } from "../../draft/document";
import type { Suggestion, Suggestions } from "../../forms/fields";
import { api, may } from "../../session";

/** Names of the product's policies, which a policy file does not have. */
export interface ProductNames {
  readonly policies: readonly Suggestion[];
  readonly packs: readonly Suggestion[];
  readonly groups: readonly Suggestion[];
}

/** Pages of the list of static policies that are read at most; the product's come first. */
const PAGES = 10;

/** Loads the names of the product's policies, as far as the caller may read them. */
export async function productNames(signal: AbortSignal): Promise<ProductNames> {
  const [policies, packs, groups] = await Promise.all([
    may("ListStaticPolicies") ? systemPolicies(signal) : [],
    may("ListPolicyPacks") ? api.call("ListPolicyPacks", { signal }) : undefined,
    may("ListUserGroups") ? api.call("ListUserGroups", { signal }) : undefined,
  ]);
  return {
    policies,
    packs: (packs ?? []).map(({ name }) => suggestion(name)),
    groups: (groups ?? []).map(({ name }) => suggestion(name)),
  };
}

async function systemPolicies(signal: AbortSignal): Promise<Suggestion[]> {
  const found: Suggestion[] = [];
  for (let page = 1; page <= PAGES; page += 1) {
    const query = { page, page_size: 100 };
    const { policies } = await api.call("ListStaticPolicies", { query, signal });
    const own = policies.filter(({ system }) => system);
    found.push(...own.map(({ id, name }) => ({ value: id, label: `${name} (${id})` })));
    if (own.length < 100) break;
  }
  return found;
}

/** Returns what the fields of entries may name, by the name of the field. */
export function suggestionsOf(policies: Document, product: ProductNames | undefined): Suggestions {
  const own = (section: string, field: string) =>
    entriesOf(policies, section).map((entry) => suggestion(String(entry[field] ?? "")));
  const rules = entriesOf(policies, "packs").flatMap(rulesOf);
  const dlp = own("dlp", "detector_name");
  return {
    policies: unique([...own("static_policies", "name"), ...(product?.policies ?? [])]),
    dlp_rules: dlp,
    rule_ids: dlp,
    rules: unique(rules),
    bundle_ids: own("compliance_bundles", "name"),
    groups: unique([...own("user_groups", "name"), ...(product?.groups ?? [])]),
    packs: unique([...own("packs", "name"), ...(product?.packs ?? [])]),
  };
}

function rulesOf(pack: Entry): Suggestion[] {
  const rules = Array.isArray(pack["rules"]) ? (pack["rules"] as unknown[]) : [];
  const names = rules.filter(isObject).map((rule) => String(rule["name"] ?? ""));
  return names.map((name) => suggestion(`${String(pack["name"] ?? "")} > ${name}`));
}

function suggestion(name: string): Suggestion {
  return { value: name, label: name };
}

function unique(list: readonly Suggestion[]): Suggestion[] {
  return [...new Map(list.map((one) => [one.value, one])).values()];
}
