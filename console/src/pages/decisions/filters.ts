/** The filters of the list of decisions. The address keeps them, so that a list can be shared. */
import type { QueryOf } from "../../api/types";
import { findPeriod } from "../../model/periods";
import { OUTCOMES, RISK_LEVELS } from "../../ui/outcome";

/** Filters that are one text each, by the name of the query parameter. */
export const TEXT_FILTERS = {
  user_id: "User",
  agent_id: "Agent",
  model: "Model",
  customer_id: "Customer",
  provider: "Provider",
  action: "Action",
  policy_id: "Policy ID",
  reason_code: "Reason code",
  request_id: "Request ID",
} as const satisfies Partial<Record<keyof QueryOf<"ListRecords">, string>>;

export type TextFilter = keyof typeof TEXT_FILTERS;

const NAMES = ["range", "since", "until", "outcome", "risk_level", "pii_detected"] as const;

export type FilterName = (typeof NAMES)[number] | TextFilter;

/** The filters that are set. Lists are split by commas. */
export type Filters = Readonly<Partial<Record<FilterName, string>>>;

/** What the API calls a query: without the place in the list. */
export type RecordQuery = Omit<Partial<QueryOf<"ListRecords">>, "limit" | "cursor">;

type Reader = (value: string) => string;

const READERS: Readonly<Record<(typeof NAMES)[number], Reader>> = {
  range: (value) => findPeriod(value)?.key ?? "",
  since: timestamp,
  until: timestamp,
  outcome: (value) => members(value, OUTCOMES).join(","),
  risk_level: (value) => members(value, RISK_LEVELS).join(","),
  pii_detected: (value) => (value === "true" || value === "false" ? value : ""),
};

/** Returns the filters of an address. What is no filter is left out. */
export function filtersOf(query: URLSearchParams): Filters {
  const fixed = NAMES.map((name) => [name, READERS[name](query.get(name) ?? "")] as const);
  const texts = Object.keys(TEXT_FILTERS).map((name) => [name, (query.get(name) ?? "").trim()]);
  return Object.fromEntries([...fixed, ...texts].filter(([, value]) => value !== ""));
}

/** Returns filters with one of them changed; an empty value removes it. */
export function withFilter(filters: Filters, name: FilterName, value: string): Filters {
  const { [name]: _before, ...rest } = filters;
  return value === "" ? rest : { ...rest, [name]: value };
}

/** Returns the values of a filter that is a list. */
export function valuesOf(value: string | undefined): string[] {
  return value === undefined || value === "" ? [] : value.split(",");
}

/** Returns the query of the API for filters; a period ends now. */
export function recordQuery(filters: Filters, nowMs: number): RecordQuery {
  const period = findPeriod(filters.range ?? null);
  const since =
    period === undefined ? filters.since : new Date(nowMs - period.seconds * 1_000).toISOString();
  const until = period === undefined ? filters.until : undefined;
  const texts = Object.keys(TEXT_FILTERS) as TextFilter[];
  return {
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
    ...(filters.outcome === undefined ? {} : { outcome: members(filters.outcome, OUTCOMES) }),
    ...(filters.risk_level === undefined
      ? {}
      : { risk_level: members(filters.risk_level, RISK_LEVELS) }),
    ...(filters.pii_detected === undefined
      ? {}
      : { pii_detected: filters.pii_detected === "true" }),
    ...Object.fromEntries(
      texts.flatMap((name) => (filters[name] === undefined ? [] : [[name, filters[name]]])),
    ),
  };
}

/** Returns the filters as the query of an address. */
export function addressQuery(filters: Filters): Record<string, string> {
  return { ...filters };
}

function members<Value extends string>(list: string, allowed: readonly Value[]): Value[] {
  const chosen = new Set(valuesOf(list));
  return allowed.filter((value) => chosen.has(value));
}

function timestamp(value: string): string {
  const date = new Date(value);
  return value === "" || Number.isNaN(date.getTime()) ? "" : date.toISOString();
}
