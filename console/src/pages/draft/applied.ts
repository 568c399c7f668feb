/** What was applied in this tab, and how it is taken back. */
import { computed } from "@preact/signals";
import { ApiError } from "../../api/errors";
import type { AnswerOf } from "../../api/types";
import { type Document, isObject } from "../../draft/document";
import { currentTenant, discardDraft, type Draft, touchedPolicies } from "../../draft/draft_store";
import { kept } from "../../draft/kept";
import { api } from "../../session";
import { type Remark, remarksOf } from "./problems";

export type ServerChange = AnswerOf<"ImportPolicyFile">["changes"][number];

/** A change of policies that was made in this tab. */
export interface Applied {
  readonly tenant: string;
  readonly summary: string;
  /** The first revision in which the change is in force. */
  readonly revision: number;
  /** The revision before it. */
  readonly previousRevision: number;
  readonly at: string;
  readonly changes: readonly ServerChange[];
  readonly warnings: readonly Remark[];
  /** The revision in which it was taken back; 0 if it was not. */
  readonly rolledBackIn: number;
}

/** How many changes are kept, and of how many policies each names the fields. */
const MOST = 20;
const MOST_CHANGES = 200;

const NONE: readonly Applied[] = [];
const all = kept("pdp.applied", NONE, read, (list) => list);

/** The changes of the current tenant, newest first. */
export const applied = computed(() =>
  all.value.value.filter((one) => one.tenant === currentTenant.value),
);

/**
 * Applies a draft: all its changes in one transaction. Then there is no draft any more.
 *
 * @throws ApiError of the status 412 if others have changed policies since the draft was started
 */
export async function applyDraft(draft: Draft, summary: string): Promise<Applied> {
  const policies = touchedPolicies(draft);
  const answer = await api.call("ImportPolicyFile", {
    body: {
      policies: policies as Record<string, never>,
      mode: "replace",
      summary,
      base_revision: draft.baseRevision,
    },
    timeout: 0,
  });
  const one = appliedOf(draft.tenant, summary, answer, policies);
  all.set([one, ...all.value.peek()].slice(0, MOST));
  discardDraft(draft.tenant);
  return one;
}

/**
 * Returns the tenant's policies to those of a revision.
 *
 * @param base the revision that the caller knows
 * @throws ApiError of the status 412 if policies were changed after `base`
 */
export async function rollBack(revision: number, base: number): Promise<Applied> {
  const tenant = currentTenant.peek();
  const body = { revision, base_revision: base };
  const answer = await api.call("RollbackPolicyFile", { body, timeout: 0 });
  const one = appliedOf(tenant, `Rolled back to revision ${revision}`, answer);
  const others = all.value.peek().map((other) => withRollback(other, one, revision));
  all.set([one, ...others].slice(0, MOST));
  return one;
}

/** Returns a change after `rollback` has returned its tenant to `target`. */
export function withRollback(other: Applied, rollback: Applied, target: number): Applied {
  if (other.tenant !== rollback.tenant) return other;
  if (other.revision > target) return { ...other, rolledBackIn: rollback.revision };
  // What had been taken back after `target` is in force again.
  return other.rolledBackIn > target ? { ...other, rolledBackIn: 0 } : other;
}

/** What a rollback would change. */
export interface Preview {
  /** The revision that it was compared with. */
  readonly revision: number;
  readonly changes: readonly ServerChange[];
  /** Whether it also takes back what others have changed since the revision that is known. */
  readonly isForeign: boolean;
}

/** Returns what a rollback would change; `known` is the last revision that the caller knows. */
export async function previewRollback(revision: number, known?: number): Promise<Preview> {
  const preview = async (base?: number) => {
    const body = {
      revision,
      dry_run: true,
      ...(base === undefined ? {} : { base_revision: base }),
    };
    return api.call("RollbackPolicyFile", { body, timeout: 0 });
  };
  if (known !== undefined) {
    try {
      return { ...(await preview(known)), isForeign: false };
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 412) throw error;
    }
  }
  return { ...(await preview()), isForeign: known !== undefined };
}

function appliedOf(
  tenant: string,
  summary: string,
  answer: AnswerOf<"ImportPolicyFile"> | AnswerOf<"RollbackPolicyFile">,
  policies: Document = {},
): Applied {
  return {
    tenant,
    summary,
    revision: answer.revision,
    previousRevision: answer.previous_revision,
    at: new Date().toISOString(),
    changes: answer.changes.slice(0, MOST_CHANGES),
    warnings: remarksOf(answer.warnings, policies),
    rolledBackIn: 0,
  };
}

function read(stored: unknown): readonly Applied[] {
  return Array.isArray(stored) ? stored.filter(isApplied) : NONE;
}

function isApplied(value: unknown): value is Applied {
  return (
    isObject(value) &&
    typeof value["tenant"] === "string" &&
    typeof value["revision"] === "number" &&
    typeof value["previousRevision"] === "number" &&
    Array.isArray(value["changes"]) &&
    Array.isArray(value["warnings"])
  );
}
