/** The server's opinion about a draft, before it is applied. */
import type { ApiError, Violation } from "../../api/errors";
import { type Document, findEntry } from "../../draft/document";
import { type Draft, touchedPolicies } from "../../draft/draft_store";
import { ofSession } from "../../draft/kept";
import { api } from "../../session";
import { asApiError } from "../../ui/remote";
import type { ServerChange } from "./applied";
import { type Problem, problemOf, type Remark, remarksOf } from "./problems";

export interface Check {
  /** The draft as it was checked. */
  readonly draft: Draft;
  readonly changes: readonly ServerChange[];
  readonly warnings: readonly Remark[];
  /** Why the draft cannot be applied; undefined if it can. */
  readonly error: ApiError | undefined;
  readonly problems: readonly Problem[];
  /** Violations that are about no entry. */
  readonly others: readonly Violation[];
}

/** The last check of a draft. */
export const lastCheck = ofSession<Check>();

/** Returns the check of a draft as it is now; undefined if there is none. */
export function checkOf(draft: Draft): Check | undefined {
  const check = lastCheck.value;
  const isOf =
    check?.draft.edited === draft.edited && check.draft.baseRevision === draft.baseRevision;
  return isOf ? check : undefined;
}

/** Checks a draft: an import that writes nothing. Its errors are part of the result. */
export async function checkDraft(draft: Draft, signal?: AbortSignal): Promise<Check> {
  const policies = touchedPolicies(draft);
  const body = {
    policies: policies as Record<string, never>,
    mode: "replace" as const,
    dry_run: true,
    base_revision: draft.baseRevision,
  };
  try {
    const answer = await api.call("ImportPolicyFile", { body, signal, timeout: 0 });
    const warnings = remarksOf(answer.warnings, policies);
    return { draft, changes: answer.changes, warnings, error: undefined, problems: [], others: [] };
  } catch (cause) {
    if (signal?.aborted === true) throw cause;
    const error = asApiError(cause);
    return { draft, changes: [], warnings: [], error, ...placed(error.violations, policies) };
  }
}

/** Returns the server's violations of one entry of a document that is not in the draft yet. */
export async function checkEntry(policies: Document, section: string, name: string) {
  const body = {
    policies: policies as Record<string, never>,
    mode: "replace" as const,
    dry_run: true,
  };
  try {
    await api.call("ImportPolicyFile", { body, timeout: 0 });
    return { error: undefined, problems: [] };
  } catch (cause) {
    const error = asApiError(cause);
    const { problems } = placed(error.violations, policies);
    const own = problems.filter((one) => one.section === section && one.name === name);
    // What is wrong elsewhere is not a reason to refuse this entry.
    return {
      error: own.length > 0 || error.violations.length === 0 ? error : undefined,
      problems: own,
    };
  }
}

function placed(violations: readonly Violation[], policies: Document) {
  const problems: Problem[] = [];
  const others: Violation[] = [];
  for (const violation of violations) {
    const problem = problemOf(violation, policies);
    if (problem === undefined) others.push(violation);
    else problems.push(problem);
  }
  return { problems, others };
}

/** Returns what the last check has found about an entry, if it is still the same. */
export function problemsOf(draft: Draft, section: string, name: string): readonly Problem[] {
  const check = lastCheck.value;
  if (check === undefined) return [];
  const entry = findEntry(draft.edited, section, name);
  if (entry !== findEntry(check.draft.edited, section, name)) return [];
  return check.problems.filter((one) => one.section === section && one.name === name);
}
