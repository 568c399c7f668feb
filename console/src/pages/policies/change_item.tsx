/** One entry of the change log: who, when, what, and the values before and after. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { href } from "../../router";
import { Ago } from "../../ui/ago";
import { Diff } from "../../ui/diff";
import { integer, time, words } from "../../ui/format";

import { Badge } from "../../ui/outcome";
import { type Change, withoutBookkeeping } from "./changes";
import { sectionOfKind } from "./sections";

const VERBS: Readonly<Record<string, string>> = {
  create: "created",
  update: "changed",
  delete: "deleted",
};

export interface ChangeItemProps {
  readonly change: Change;
  /** Whether the entry names its entity, which a history need not. */
  readonly named: boolean;
  readonly children?: ComponentChildren;
}

export function ChangeItem({ change, named, children }: ChangeItemProps) {
  const open = useSignal(false);
  return (
    <li class="change">
      <div class="change-head">
        <span>
          <strong>{change.actor}</strong> {VERBS[change.op] ?? change.op}
          {named && (
            <>
              {" "}
              <ChangedEntity change={change} />
            </>
          )}
        </span>
        <span class="soft small">
          <time dateTime={change.at ?? ""} title={time(change.at)}>
            <Ago time={change.at} />
          </time>
          {" · "}
          {time(change.at)} · revision {integer(change.revision)}
        </span>
      </div>
      {change.summary !== "" && <p class="change-summary">{change.summary}</p>}
      <details onToggle={(event) => (open.value = event.currentTarget.open)}>
        <summary>{change.op === "update" ? "What differs" : "Values"}</summary>
        {open.value && (
          <div class="diff">
            <Diff
              before={withoutBookkeeping(change.before)}
              after={withoutBookkeeping(change.after)}
            />
          </div>
        )}
      </details>
      {children}
    </li>
  );
}

/** What was changed, as a link if the console has a page for it. */
function ChangedEntity({ change }: { change: Change }) {
  const body = (change.after ?? change.before ?? {}) as Record<string, unknown>;
  const name = body["name"] ?? body["detector_name"] ?? body["customer_id"] ?? body["subject_id"];
  const label = typeof name === "string" && name !== "" ? name : change.entity_id;
  const address = entityAddress(change.kind, change.entity_id, body);
  return (
    <>
      <Badge value={change.kind} label={words(change.kind)} />{" "}
      {address === undefined ? label : <a href={address}>{label}</a>}
    </>
  );
}

/** Returns the address of an entity by its kind in the log; undefined if there is no page for it. */
export function entityAddress(
  kind: string,
  id: string,
  body: Readonly<Record<string, unknown>>,
): string | undefined {
  if (kind === "policy_chain") return href(["policies", "chains", id]);
  if (kind === "policy_rule") {
    const pack = body["pack_id"];
    return typeof pack === "string" ? href(["policies", "packs", pack, "rules", id]) : undefined;
  }
  const section = sectionOfKind(kind);
  if (section === undefined) return undefined;
  return section.single === undefined
    ? href(["policies", section.path, id])
    : href(["policies", section.path]);
}
