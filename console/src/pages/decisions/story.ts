/** A decision in words: what happened, and which layer said what. */
import { LAYERS, layerName } from "../../model/layers";
import { duration } from "../../ui/format";
import {
  type DecisionRecord,
  decidingMatch,
  type Match,
  matchName,
  modelName,
  subjectName,
} from "./rows";

/** What each outcome means for the request. */
const VERDICTS: Readonly<Record<string, string>> = {
  ALLOW: "Allowed",
  WARN: "Allowed with a warning",
  ALLOW_WITH_OVERRIDE: "Allowed with a notice",
  ROUTE_TO: "Routed to another model",
  REDACT: "Allowed after redaction",
  PROMPT: "Held for confirmation",
  ESCALATE: "Held for approval",
  CANCEL: "Cancelled",
  BLOCK: "Blocked",
};

export function verdict(outcome: string): string {
  return VERDICTS[outcome] ?? outcome;
}

/** What one layer said. */
export interface Chapter {
  readonly layer: string;
  readonly name: string;
  readonly purpose: string;
  readonly matches: readonly Match[];
  /** How long it took; empty if that is not recorded. */
  readonly took: string;
}

export interface Story {
  /** The layers with a match, in the order in which they were asked. */
  readonly chapters: readonly Chapter[];
  /** The names of the layers that are known to have run, and matched nothing. */
  readonly silent: readonly string[];
  /** How long the search for patterns took; empty if that is not recorded. */
  readonly scan: string;
}

export function storyOf(record: DecisionRecord): Story {
  const times = new Map(record.layers.map(({ layer, duration_us }) => [layer, duration_us]));
  const took = (layer: string) => {
    const us = times.get(layer);
    return us === undefined ? "" : duration(us);
  };
  const order = Object.keys(LAYERS);
  const others = record.matches.map(({ layer }) => layer).filter((layer) => !order.includes(layer));
  const chapters = [...order, ...new Set(others)]
    .map((layer) => ({
      layer,
      name: layerName(layer),
      purpose: LAYERS[layer]?.purpose ?? "",
      matches: record.matches.filter((match) => match.layer === layer),
      took: took(layer),
    }))
    .filter(({ matches }) => matches.length > 0);
  const said = new Set(chapters.map(({ layer }) => layer));
  const silent = order.filter((layer) => times.has(layer) && !said.has(layer)).map(layerName);
  return { chapters, silent, scan: took("scan") };
}

/** Returns the sentence at the top: who asked what of whom. */
export function question(record: DecisionRecord): string {
  const who = subjectName(record) || "An unnamed caller";
  const model = modelName(record);
  const to = model === "" ? "" : ` ${record.direction === "output" ? "from" : "to"} ${model}`;
  if (record.tool !== "") return `${who} wanted to call the tool ${record.tool}${to}.`;
  if (record.action !== "") return `${who} wanted to do ${record.action}${to}.`;
  if (record.direction === "output") return `An answer${to} was on its way to ${who}.`;
  const what = record.payload_format ? `a request (${record.payload_format})` : "a prompt";
  return `${who} sent ${what}${to}.`;
}

/** Returns what happened and which policy decided: `Blocked by the static policy “No rivals”`. */
export function headline(record: DecisionRecord): string {
  const match = decidingMatch(record);
  const what = verdict(record.outcome);
  if (match === undefined || record.outcome === "ALLOW") return what;
  const by = record.outcome === "BLOCK" || record.outcome === "CANCEL" ? "by" : "because of";
  const one = LAYERS[match.layer]?.one ?? match.layer;
  return `${what} ${by} ${one} “${matchName(match)}”`;
}

/** Returns why the decision is what it is, in a sentence. */
export function reason(record: DecisionRecord): string {
  const match = decidingMatch(record);
  if (match !== undefined && record.outcome !== "ALLOW") return sentence(match.reason);
  if (record.incomplete) return "A part of the request could not be evaluated.";
  if (record.outcome !== "ALLOW") return "No policy gives the reason.";
  if (record.matches.length === 0) return "No policy matched.";
  if (record.matches.some(({ approved_by }) => approved_by)) return "An approval lets it pass.";
  if (record.matches.some(({ excepted_by }) => excepted_by)) return "An exception lets it pass.";
  return "Policies matched, but none of them stops or changes the request.";
}

function sentence(text: string): string {
  if (text === "") return "Its conditions hold.";
  const end = /[.!?]$/.test(text) ? "" : ".";
  return text.charAt(0).toUpperCase() + text.slice(1) + end;
}

export interface Finding {
  /** The place of the finding: the text, or a pointer into the arguments. */
  readonly place: string;
  readonly start: number;
  readonly end: number;
  readonly types: readonly string[];
  readonly detectors: readonly string[];
  readonly confidence: number;
}

/** Returns the findings by place: several detectors often find the same. */
export function findingsOf(record: DecisionRecord): Finding[] {
  const groups = new Map<string, DecisionRecord["entities"]>();
  for (const entity of record.entities) {
    const place = `${placeName(entity.path, entity.in_key)}\n${entity.start}\n${entity.end}`;
    groups.set(place, [...(groups.get(place) ?? []), entity]);
  }
  return [...groups.values()].flatMap((entities) => {
    const [first] = entities;
    if (first === undefined) return [];
    return [
      {
        place: placeName(first.path, first.in_key),
        start: first.start,
        end: first.end,
        types: [...new Set(entities.map(({ entity_type }) => entity_type))],
        detectors: [...new Set(entities.map(({ detector_id }) => detector_id || "the caller"))],
        confidence: Math.max(...entities.map(({ confidence }) => confidence)),
      },
    ];
  });
}

export function placeName(path: string | null | undefined, inKey = false): string {
  if (path === null || path === undefined) return "text";
  return inKey ? `key of ${path}` : path;
}

export interface Leaf {
  /** A JSON Pointer. */
  readonly path: string;
  readonly text: string;
}

/** Returns each value of a document with its place: what people read in place of JSON. */
export function leavesOf(value: unknown, path = ""): Leaf[] {
  if (Array.isArray(value))
    return value.length === 0
      ? [{ path, text: "(empty list)" }]
      : value.flatMap((one, index) => leavesOf(one, `${path}/${index}`));
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value);
    if (members.length === 0) return [{ path, text: "(empty)" }];
    return members.flatMap(([key, one]) =>
      leavesOf(one, `${path}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`),
    );
  }
  return [{ path, text: String(value) }];
}
