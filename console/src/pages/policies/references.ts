/** Names of what ids stand for: forms offer them, tables and facts show them. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { isRecord, type Suggestion, type Suggestions, type Values } from "../../forms/fields";
import { api, may, tenant } from "../../session";
import { allStaticPolicies } from "./calls";

export type ReferenceKind =
  | "groups"
  | "group_names"
  | "bundles"
  | "dlp_rules"
  | "own_dlp_rules"
  | "static_policies"
  | "pack_rules"
  | "packs"
  | "models"
  | "providers"
  | "entity_types"
  | "detectors";

type Loader = (signal: AbortSignal) => Promise<readonly Suggestion[]>;

const LOADERS: Readonly<Record<ReferenceKind, Loader>> = {
  groups: async (signal) => named(await api.call("ListUserGroups", { signal }), "id", "name"),
  group_names: async (signal) =>
    named(await api.call("ListUserGroups", { signal }), "name", "name"),
  bundles: async (signal) =>
    named(await api.call("ListComplianceBundles", { signal }), "id", "name"),
  dlp_rules: async (signal) =>
    named(await api.call("ListDlpRules", { signal }), "id", "detector_name"),
  own_dlp_rules: async (signal) => {
    const rules = await api.call("ListDlpRules", { signal });
    return named(
      rules.filter((rule) => rule.source !== "platform"),
      "id",
      "detector_name",
    );
  },
  static_policies: async (signal) => named(await allStaticPolicies(signal), "id", "name"),
  pack_rules: packRules,
  packs: async (signal) => named(await api.call("ListPolicyPacks", { signal }), "id", "name"),
  models: async (signal) =>
    named(await api.call("ListModelConfigs", { signal }), "model_id", "model_id"),
  providers: async (signal) =>
    named(await api.call("ListModelConfigs", { signal }), "provider", "provider"),
  entity_types: async (signal) =>
    named(await api.call("ListDlpRules", { signal }), "entity_type", "entity_type"),
  detectors: async (signal) => {
    const { categories } = await api.call("ListAvailablePatterns", { signal });
    return named(
      categories.flatMap((category) => category.patterns),
      "id",
      "id",
    );
  },
};

async function packRules(signal: AbortSignal): Promise<readonly Suggestion[]> {
  const packs = await api.call("ListPolicyPacks", { signal });
  const lists = await Promise.all(
    packs.map(async (pack) => {
      const rules = await api.call("ListPolicyRules", { path: { pack_id: pack.id }, signal });
      return rules.map((rule) => ({ value: rule.id, label: `${pack.name} > ${rule.name}` }));
    }),
  );
  return distinct(lists.flat());
}

function named(rows: readonly object[], id: string, name: string): readonly Suggestion[] {
  return distinct(
    rows.map((row) => {
      const fields = row as Record<string, unknown>;
      return { value: String(fields[id]), label: String(fields[name]) };
    }),
  );
}

/** Returns suggestions without repeated values; equal names get their id behind them. */
export function distinct(all: readonly Suggestion[]): readonly Suggestion[] {
  const byValue = new Map(all.map((one) => [one.value, one]));
  const counts = new Map<string, number>();
  for (const { label } of byValue.values()) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...byValue.values()].map(({ value, label }) =>
    (counts.get(label) ?? 0) > 1 && value !== label
      ? { value, label: `${label} (${value})` }
      : { value, label },
  );
}

/** Names by the name of the field, as they become known. */
export interface Names {
  readonly suggestions: Suggestions;
  /** What could not be loaded; the form then shows ids. */
  readonly problem: string;
}

const NEEDS: Readonly<Record<ReferenceKind, Parameters<typeof may>[0]>> = {
  groups: "ListUserGroups",
  group_names: "ListUserGroups",
  bundles: "ListComplianceBundles",
  dlp_rules: "ListDlpRules",
  own_dlp_rules: "ListDlpRules",
  static_policies: "ListStaticPolicies",
  pack_rules: "ListPolicyPacks",
  packs: "ListPolicyPacks",
  models: "ListModelConfigs",
  providers: "ListModelConfigs",
  entity_types: "ListDlpRules",
  detectors: "ListAvailablePatterns",
};

/** Loads the names that the fields of a form refer to. */
export function useNames(fields: Readonly<Record<string, readonly ReferenceKind[]>>): Names {
  const found = useSignal<Suggestions>({});
  const problem = useSignal("");
  const forTenant = tenant.value;
  const key = JSON.stringify(fields);
  useEffect(() => {
    const controller = new AbortController();
    found.value = {};
    problem.value = "";
    for (const kind of new Set(Object.values(fields).flat())) {
      if (!may(NEEDS[kind])) continue;
      LOADERS[kind](controller.signal).then(
        (names) => {
          if (!controller.signal.aborted) found.value = merged(found.value, fields, kind, names);
        },
        () => {
          if (!controller.signal.aborted)
            problem.value = "Some names could not be loaded; their ids are shown instead.";
        },
      );
    }
    return () => controller.abort();
  }, [key, forTenant]);
  return { suggestions: found.value, problem: problem.value };
}

function merged(
  before: Suggestions,
  fields: Readonly<Record<string, readonly ReferenceKind[]>>,
  kind: ReferenceKind,
  names: readonly Suggestion[],
): Suggestions {
  const added = Object.entries(fields)
    .filter(([, kinds]) => kinds.includes(kind))
    .map(([field]): [string, readonly Suggestion[]] => [
      field,
      [...(before[field] ?? []), ...names],
    ]);
  return { ...before, ...Object.fromEntries(added) };
}

/** Returns the name of an id, or the id. */
export function nameOf(suggestions: Suggestions, field: string, id: string): string {
  return suggestions[field]?.find((one) => one.value === id)?.label ?? id;
}

/**
 * Returns values with ids in place of names. A form does so itself when a name is chosen; this is
 * for names that were typed before they were known.
 */
export function withIds(values: Values, suggestions: Suggestions): Values {
  return Object.fromEntries(
    Object.entries(values).map(([field, value]) => [
      field,
      identified(value, suggestions[field] ?? [], suggestions),
    ]),
  );
}

function identified(
  value: unknown,
  known: readonly Suggestion[],
  suggestions: Suggestions,
): unknown {
  if (Array.isArray(value)) return value.map((one) => identified(one, known, suggestions));
  if (isRecord(value)) return withIds(value, suggestions);
  if (typeof value !== "string" || known.some((one) => one.value === value)) return value;
  return known.find((one) => one.label === value)?.value ?? value;
}
