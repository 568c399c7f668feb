/** DLP rules: types of data, and what happens if they are found. */
import type { Values } from "../../../forms/fields";
import { choicesOf, type Schema, type SchemaReader } from "../../../forms/schema";
import { api } from "../../../session";
import { wholeList } from "../calls";
import { DlpTools } from "../dlp_tools";
import { DlpPatternTester } from "../pattern_tester";
import {
  actionsByPlace,
  narrowed,
  objectOf,
  text,
  texts,
  withOnly,
  withProperties,
} from "../refine";
import type { DraftEntry, Entity, Section } from "../types";

/** What a tenant may set in a rule of the product: see `UpdateDlpRule`. */
const SETTINGS = [
  "enabled",
  "action_tier",
  "confidence_threshold",
  "expression",
  "scope",
  "scope_actions",
  "mode",
  "redaction",
];

const CONFIGURATION: Readonly<Record<string, Schema>> = {
  pattern: text("Type regex: an RE2 pattern. Its findings have the confidence 1.", 1000),
  detector: text("Type regex, without a pattern: a detector that ships with the product."),
  entities: texts("Type ner: what to find, such as PERSON. Otherwise the entity type is used."),
  labels: texts("Type llm: what to find, in free words. Otherwise the entity type is used."),
  replacement: text("What replaces a finding: [REDACTED] if unset. {entity_type} is its type."),
  message: text("The message to the user if the rule blocks or prompts.", 2048),
};

const OF_ALL_TYPES = ["replacement", "message"];
const OF_TYPE: Readonly<Record<string, readonly string[]>> = {
  regex: ["pattern", "detector"],
  ner: ["entities"],
  llm: ["labels"],
};

/** Returns what the configuration of a rule of the chosen type may have. */
function configurationFields({ detector_type: type }: Values): readonly string[] {
  const own = typeof type === "string" ? OF_TYPE[type] : undefined;
  return [...(own ?? Object.values(OF_TYPE).flat()), ...OF_ALL_TYPES];
}

function refine(schema: Schema, reader: SchemaReader): Schema {
  const properties = schema.properties ?? {};
  const tiers = choicesOf(reader.resolve(properties["action_tier"] ?? {}));
  return withProperties(schema, {
    config_json: objectOf({ description: "What the rule looks for." }, CONFIGURATION),
    scope_actions: actionsByPlace(tiers),
  });
}

/**
 * Returns what each version had, of the fields that have changed since. A version has only the
 * fields that it changed, so what newer versions replaced is put together.
 *
 * @param replaced the values before each version, newest first
 */
export function earlierValues(replaced: readonly Values[]): readonly Values[] {
  let values: Values = {};
  return replaced.map((before) => {
    const state = values;
    values = { ...values, ...before };
    return state;
  });
}

/** A file names a rule of the product by its detector, if the rule belongs to no bundle. */
function draftEntry(entry: Values, rule: Entity | undefined): DraftEntry | undefined {
  if (rule?.["source"] !== "platform") return { section: "dlp", entry, renames: true };
  const configuration = rule["config_json"] as { readonly detector?: string } | null;
  const detector = configuration?.detector ?? "";
  if (detector === "" || (rule["bundle_id"] ?? "") !== "") return undefined;
  return { section: "dlp_settings", entry: { ...entry, rule: detector } };
}

const readRules = wholeList("ListDlpRules");

export const DLP_RULES: Section = {
  path: "dlp",
  title: "DLP rules",
  one: "DLP rule",
  about:
    "Types of data to find, and what to do with them. You can set how strict the rules of the product are, and add your own.",
  kinds: ["dlp_rule", "dlp_customisation"],
  operations: {
    list: "ListDlpRules",
    get: "GetDlpRule",
    create: "CreateDlpRule",
    update: "UpdateDlpRule",
    remove: "DeleteDlpRule",
  },
  variable: "rule_id",
  idField: "id",
  nameField: "detector_name",
  list: async (signal) =>
    (await readRules(signal)).map((rule) => ({
      ...rule,
      origin: rule["source"] === "platform" ? "product" : "own",
    })),
  columns: [
    { field: "detector_name", label: "Name", width: "minmax(0, 3fr)" },
    { field: "action_tier", label: "Action", width: "5.5rem", kind: "badge" },
    { field: "enabled", label: "Enabled", width: "4.5rem", kind: "yes" },
    { field: "entity_type", label: "Finds", width: "minmax(0, 2fr)", wide: true },
    { field: "detector_type", label: "Type", width: "4rem", wide: true },
    {
      field: "confidence_threshold",
      label: "Confidence",
      width: "6rem",
      kind: "count",
      wide: true,
    },
    { field: "origin", label: "Origin", width: "5rem", wide: true },
    { field: "clause", label: "Clause", width: "minmax(0, 1fr)", wide: true },
  ],
  facets: [
    { field: "origin", label: "Origin" },
    { field: "enabled", label: "Enabled" },
    { field: "action_tier", label: "Action" },
    { field: "detector_type", label: "Type" },
  ],
  groups: [
    {
      title: "What it looks for",
      fields: ["detector_name", "detector_type", "entity_type", "config_json"],
    },
    {
      title: "What it does",
      fields: ["action_tier", "enabled", "confidence_threshold", "redaction", "mode"],
    },
    { title: "Where and when", fields: ["expression", "scope", "scope_actions"], folded: true },
  ],
  lock: (rule) =>
    rule["source"] === "platform"
      ? {
          reason: "This rule ships with the product. You can set how strict it is for this tenant.",
          fields: SETTINGS,
        }
      : undefined,
  refine,
  adapt: (schema, values) => narrowed(schema, "config_json", configurationFields(values)),
  tidy: (values) => withOnly(values, "config_json", configurationFields(values)),
  // What a tenant has not set in a rule of the product is null in the log.
  fromChange: (body) =>
    Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null)),
  references: { entity_type: ["entity_types"], detector: ["detectors"] },
  versions: async (id, signal) => {
    const versions = await api.call("ListDlpRuleVersions", { path: { rule_id: id }, signal });
    const states = earlierValues(versions.map((one) => one.old_values ?? {}));
    return versions.map((one, index) => ({
      label: `Version ${versions.length - index}`,
      at: one.changed_at,
      actor: one.changed_by,
      summary: one.change_type,
      values: states[index] ?? {},
    }));
  },
  liftedBy: "dlp_rules",
  beside: DlpPatternTester,
  tools: DlpTools,
  draft: draftEntry,
  facts: [
    { field: "id", label: "ID", width: "", kind: "code" },
    { field: "entity_type", label: "Finds", width: "" },
    { field: "clause", label: "Clause", width: "" },
  ],
  empty: "No DLP rule yet.",
};
