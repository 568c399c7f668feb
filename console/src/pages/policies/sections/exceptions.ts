/** Exceptions: policies that are lifted for some requests, for a time, with a reason. */
import type { Values } from "../../../forms/fields";
import { wholeList } from "../calls";
import { ExceptionActions } from "../exception_actions";
import { ExceptionPreview } from "../exception_preview";
import { forWhom, standing, whatItLifts } from "../exception_words";
import type { Section } from "../types";

const readExceptions = wholeList("ListExceptions");

/** The log has times in seconds since 1970. */
function fromChange(body: Values): Values {
  const moment = (value: unknown) =>
    typeof value === "number" ? new Date(value * 1000).toISOString() : value;
  return {
    ...body,
    valid_from: moment(body["valid_from"]),
    valid_until: moment(body["valid_until"]),
  };
}

export const EXCEPTIONS: Section = {
  path: "exceptions",
  title: "Exceptions",
  one: "exception",
  about:
    "Let requests of some people pass although a policy stops them: for whom, what is lifted, until when, and why.",
  kinds: ["policy_exception"],
  operations: {
    list: "ListExceptions",
    get: "GetException",
    create: "CreateException",
    update: "UpdateException",
    remove: "DeleteException",
  },
  variable: "id",
  idField: "id",
  nameField: "name",
  list: async (signal) =>
    (await readExceptions(signal)).map((one) => ({
      ...one,
      standing: standing(one),
      whom: forWhom(one),
      lifts: whatItLifts(one),
    })),
  columns: [
    { field: "name", label: "Name", width: "minmax(0, 2fr)" },
    { field: "standing", label: "State", width: "7rem", kind: "badge" },
    { field: "whom", label: "For", width: "minmax(0, 2fr)", wide: true },
    { field: "lifts", label: "Lifts", width: "minmax(0, 2fr)", wide: true },
    { field: "valid_until", label: "Until", width: "10.5rem", kind: "time", wide: true },
    { field: "owner", label: "Owner", width: "8rem", wide: true },
    { field: "ticket", label: "Ticket", width: "7rem", wide: true },
  ],
  facets: [
    { field: "standing", label: "State" },
    { field: "owner", label: "Owner" },
  ],
  groups: [
    { title: "Why", fields: ["name", "reason", "ticket", "description", "owner"] },
    { title: "For whom", fields: ["groups", "users", "agents", "customers", "everyone"] },
    {
      title: "What it lifts",
      fields: ["policies", "families", "dlp_rules", "entity_types", "rules", "org_risk"],
    },
    { title: "Until when", fields: ["valid_until", "valid_from"] },
    {
      title: "Only for some requests",
      fields: ["models", "tools", "scope", "expression"],
      folded: true,
    },
    { title: "Only for some values", fields: ["values", "value_patterns"], folded: true },
  ],
  whole: true,
  references: {
    groups: ["group_names"],
    policies: ["static_policies"],
    dlp_rules: ["dlp_rules"],
    entity_types: ["entity_types"],
    rules: ["pack_rules"],
    models: ["models"],
  },
  fromChange,
  beside: ExceptionPreview,
  actions: ExceptionActions,
  draft: (entry) => ({
    section: "exceptions",
    entry,
    references: { policies: "static_policies", dlp_rules: "dlp_rules", rules: "pack_rules" },
    renames: true,
  }),
  facts: [
    { field: "id", label: "ID", width: "", kind: "code" },
    { field: "proposed_by", label: "Proposed by", width: "" },
    { field: "approved_by", label: "Approved by", width: "" },
    { field: "updated_at", label: "Changed", width: "", kind: "time" },
  ],
  empty: "No exception yet: policies hold for all users.",
};
