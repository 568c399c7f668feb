/** Which entry a violation or a warning of the server is about. */
import type { Violation } from "../../api/errors";
import type { Schemas } from "../../api/types";
import { type Document, entriesOf } from "../../draft/document";
import { entryName, isSection, isSingle } from "../../draft/sections";
import { normalPath } from "../../forms/violations";

/** What is wrong in a policy, and its place. */
export interface Problem {
  readonly section: string;
  /** The name of the entry; undefined if it is about the section as a whole. */
  readonly name: string | undefined;
  /** The field within the entry; empty for the whole entry. */
  readonly field: string;
  readonly reason: string;
}

const PLACE = /^(?:.*\.)?policies\.(\w+)(?:\[(\d+)\])?(?:\.(.*))?$/;

/** Returns the problem of a violation; undefined if it is not about a policy of the document. */
export function problemOf({ field, reason }: Violation, policies: Document): Problem | undefined {
  const [, section = "", index, rest = ""] = PLACE.exec(normalPath(field)) ?? [];
  if (!isSection(section)) return undefined;
  if (isSingle(section)) return { section, name: "", field: rest, reason };
  const entry = index === undefined ? undefined : entriesOf(policies, section)[Number(index)];
  if (entry === undefined) return { section, name: undefined, field: rest, reason };
  return { section, name: entryName(section, entry), field: rest, reason };
}

/** Something that the server says about an entry. */
export interface Remark {
  /** What the server says. */
  readonly message: string;
  /** What may be meant instead. */
  readonly suggestions: readonly string[];
  /** The path of the value in the request. */
  readonly path: string;
  /** Its place among the policies; undefined if it is about none of them. */
  readonly problem: Problem | undefined;
}

/** Returns the warnings of an answer with their places. */
export function remarksOf(
  warnings: readonly Schemas["WriteWarning"][] | null | undefined,
  policies: Document,
): Remark[] {
  return (warnings ?? []).map(({ field, message, suggestions }) => ({
    message,
    suggestions,
    path: field,
    problem: problemOf({ field, reason: message }, policies),
  }));
}
