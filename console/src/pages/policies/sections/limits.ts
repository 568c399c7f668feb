/** Limits of users and groups, with what they have used. */
import type { Values } from "../../../forms/fields";
import type { Schema } from "../../../forms/schema";
import { api, may } from "../../../session";
import { wholeList } from "../calls";
import { LimitUsage } from "../limit_usage";
import { withProperties } from "../refine";
import type { Entity, Section } from "../types";
import { BOUNDS, fullest } from "../usage";

const readLimits = wholeList("ListLimits");

async function list(signal: AbortSignal): Promise<readonly Entity[]> {
  const [limits, usage] = await Promise.all([
    readLimits(signal),
    may("GetLimitUsage") ? api.call("GetLimitUsage", { signal }) : [],
  ]);
  const byLimit = new Map(usage.map((one) => [one.limit_id, fullest(one)]));
  return limits.map((limit) => ({ ...limit, used: byLimit.get(String(limit["id"])) ?? "" }));
}

const MICRO_DOLLARS = 1_000_000;

/** The log has costs in millionths of a dollar. */
function fromChange(body: Values): Values {
  const { daily_cost_limit: daily, monthly_cost_limit: monthly, ...rest } = body;
  const dollars = (value: unknown) => (typeof value === "number" ? value / MICRO_DOLLARS : value);
  return {
    ...rest,
    daily_cost_limit_usd: dollars(daily),
    monthly_cost_limit_usd: dollars(monthly),
  };
}

/** What a bound means is the same for all of them, and easier to say than the contract does. */
function described(schema: Schema): Readonly<Record<string, Schema>> {
  const description = "Empty is unlimited, 0 allows nothing.";
  return Object.fromEntries(
    BOUNDS.map((bound) => [bound, { ...schema.properties?.[bound], description }]),
  );
}

export const LIMITS: Section = {
  path: "limits",
  title: "Limits",
  one: "limit",
  about: "How many requests, tokens and dollars a user or a group may use. Not set is unlimited.",
  kinds: ["limit"],
  operations: {
    list: "ListLimits",
    get: "GetLimit",
    create: "CreateLimit",
    update: "UpdateLimit",
    remove: "DeleteLimit",
  },
  variable: "limit_id",
  idField: "id",
  nameField: "subject_id",
  list,
  columns: [
    { field: "subject_id", label: "For", width: "minmax(0, 2fr)" },
    { field: "scope", label: "Kind", width: "4.5rem" },
    { field: "is_active", label: "Active", width: "4rem", kind: "yes" },
    { field: "used", label: "Nearest to its bound", width: "minmax(0, 2fr)" },
    {
      field: "daily_request_limit",
      label: "Requests a day",
      width: "8rem",
      kind: "count",
      wide: true,
    },
    { field: "daily_token_limit", label: "Tokens a day", width: "7rem", kind: "count", wide: true },
    { field: "daily_cost_limit_usd", label: "USD a day", width: "6rem", kind: "count", wide: true },
  ],
  facets: [
    { field: "scope", label: "Kind" },
    { field: "is_active", label: "Active" },
  ],
  groups: [
    { title: "For whom", fields: ["scope", "subject_id", "is_active"] },
    {
      title: "Bounds of requests",
      fields: ["requests_per_minute", "daily_request_limit", "monthly_request_limit"],
    },
    { title: "Bounds of tokens", fields: ["daily_token_limit", "monthly_token_limit"] },
    { title: "Bounds of cost", fields: ["daily_cost_limit_usd", "monthly_cost_limit_usd"] },
  ],
  fixed: ["scope", "subject_id"],
  nullClears: true,
  refine: (schema) => withProperties(schema, described(schema)),
  references: { subject_id: ["group_names"] },
  fromChange,
  below: LimitUsage,
  draft: (entry, limit) => ({
    section: "limits",
    entry: { ...pick(limit, ["scope", "subject_id"]), ...entry },
  }),
  facts: [
    { field: "scope", label: "Kind", width: "" },
    { field: "subject_id", label: "For", width: "" },
    { field: "id", label: "ID", width: "", kind: "code" },
    { field: "updated_at", label: "Changed", width: "", kind: "time" },
  ],
  empty: "No limit yet: all users may use as much as they want.",
};

function pick(entity: Entity | undefined, names: readonly string[]): Values {
  if (entity === undefined) return {};
  return Object.fromEntries(names.map((name) => [name, entity[name]]));
}
