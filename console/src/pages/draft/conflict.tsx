/** Others have changed policies since the draft was started: what they did, and how to go on. */
import { useMemo, useState } from "preact/hooks";
import type { AnswerOf } from "../../api/types";
import { allChanges, type Document } from "../../draft/document";
import { type Draft, exportPolicies, replaceDraft } from "../../draft/draft_store";
import { api, may } from "../../session";
import { Diff } from "../../ui/diff";
import { Loaded, notify } from "../../ui/feedback";
import { integer, time, words } from "../../ui/format";
import { useRemote } from "../../ui/remote";
import { ChangeCard, sectionTitle, Stepwise, titleOf } from "./change_view";
import {
  type Conflict as EntryConflict,
  conflictKey,
  merge,
  type Merge,
  resolve,
  type Side,
} from "./draft_merge";

type LoggedChange = AnswerOf<"ListChanges">["changes"][number];

interface Theirs {
  readonly policies: Document;
  readonly revision: number;
  readonly log: readonly LoggedChange[];
}

/** Pages of the change log that are read at most. */
const PAGES = 5;

/** Shows what others have changed, and moves the draft to the newest policies. */
export function Conflict({ draft }: { draft: Draft }) {
  const remote = useRemote(`theirs-${draft.baseRevision}`, (signal) =>
    loadTheirs(draft.baseRevision, signal),
  );
  return (
    <section aria-label="Changes of others">
      <div class="notice caution" role="alert">
        <p>
          <strong>Others have changed policies since revision {draft.baseRevision}.</strong> Your
          draft is not lost, and nothing was changed. Look at their changes, then carry yours over.
        </p>
      </div>
      <Loaded remote={remote}>
        {(theirs) => <Rebase key={theirs.revision} draft={draft} theirs={theirs} />}
      </Loaded>
    </section>
  );
}

async function loadTheirs(base: number, signal: AbortSignal): Promise<Theirs> {
  const { document, revision } = await exportPolicies();
  return { policies: document, revision, log: await changesSince(base, signal) };
}

async function changesSince(base: number, signal: AbortSignal): Promise<LoggedChange[]> {
  if (!may("ListChanges")) return [];
  const found: LoggedChange[] = [];
  let cursor = "";
  for (let page = 0; page < PAGES; page += 1) {
    const answer = await api.call("ListChanges", { query: { limit: 200, cursor }, signal });
    found.push(...answer.changes.filter(({ revision }) => revision > base));
    cursor = answer.next_cursor;
    if (cursor === "" || answer.changes.some(({ revision }) => revision <= base)) break;
  }
  return found;
}

function Rebase({ draft, theirs }: { draft: Draft; theirs: Theirs }) {
  const merged = useMemo(
    () => merge(draft.base, draft.edited, theirs.policies),
    [draft, theirs.policies],
  );
  const [sides, setSides] = useState<ReadonlyMap<string, Side>>(new Map());
  const open = merged.conflicts.filter((one) => !sides.has(conflictKey(one))).length;
  const foreign = useMemo(() => allChanges(draft.base, theirs.policies), [draft, theirs.policies]);
  return (
    <>
      <h2>What they changed</h2>
      <Log log={theirs.log} />
      <Stepwise items={foreign}>
        {(change) => (
          <ChangeCard key={`${change.section}/${change.name}`} change={change} isLink={false}>
            <span class="soft small">{sectionTitle(change.section)}</span>
          </ChangeCard>
        )}
      </Stepwise>
      {foreign.length === 0 && <p class="soft">Their changes have left no policy different.</p>}
      <Conflicts
        conflicts={merged.conflicts}
        sides={sides}
        choose={(key, side) => setSides(new Map(sides).set(key, side))}
      />
      <footer class="form-foot">
        <button
          type="button"
          class="primary"
          disabled={open > 0}
          onClick={() => carryOver(draft, theirs, merged, sides)}
        >
          Carry my changes over to revision {theirs.revision}
        </button>
        {open > 0 && (
          <span class="soft" role="status">
            {open === 1 ? "One policy needs" : `${integer(open)} policies need`} your decision.
          </span>
        )}
      </footer>
    </>
  );
}

function carryOver(
  draft: Draft,
  theirs: Theirs,
  merged: Merge,
  sides: ReadonlyMap<string, Side>,
): void {
  replaceDraft({
    ...draft,
    baseRevision: theirs.revision,
    base: theirs.policies,
    edited: resolve(merged, sides),
  });
  notify(`The draft now starts from revision ${theirs.revision}`);
}

function Log({ log }: { log: readonly LoggedChange[] }) {
  if (log.length === 0) return null;
  return (
    <ul class="log">
      {log.slice(0, 20).map(({ revision, at, actor, summary, kind, entity_id, op }) => (
        <li key={`${revision}/${kind}/${entity_id}/${op}`}>
          <span class="soft small">
            revision {revision} · {time(at)}
          </span>{" "}
          <strong>{actor}</strong>: {summary === "" ? `${op} of ${words(kind)}` : summary}
        </li>
      ))}
      {log.length > 20 && <li class="soft">and {integer(log.length - 20)} more</li>}
    </ul>
  );
}

function Conflicts({
  conflicts,
  sides,
  choose,
}: {
  conflicts: readonly EntryConflict[];
  sides: ReadonlyMap<string, Side>;
  choose: (key: string, side: Side) => void;
}) {
  if (conflicts.length === 0) {
    return <p class="notice">No policy was changed by both. Your changes fit beside theirs.</p>;
  }
  return (
    <>
      <h2>Changed by both</h2>
      {conflicts.map((conflict) => (
        <Choice
          key={conflictKey(conflict)}
          conflict={conflict}
          side={sides.get(conflictKey(conflict))}
          choose={(side) => choose(conflictKey(conflict), side)}
        />
      ))}
    </>
  );
}

const SIDES: readonly (readonly [Side, string])[] = [
  ["mine", "Mine"],
  ["theirs", "Theirs"],
  ["both", "Both: we changed different fields"],
];

function Choice({
  conflict,
  side,
  choose,
}: {
  conflict: EntryConflict;
  side: Side | undefined;
  choose: (side: Side) => void;
}) {
  const { section, name, base, mine, theirs, both } = conflict;
  const offered = SIDES.filter(([key]) => key !== "both" || both !== undefined);
  const title = titleOf(section, name);
  return (
    <fieldset class="field conflict">
      <legend>
        {title} <span class="soft small">{sectionTitle(section)}</span>
      </legend>
      <div class="versions">
        <Version title="Mine" before={base} after={mine} />
        <Version title="Theirs" before={base} after={theirs} />
      </div>
      <div class="choices-list">
        {offered.map(([key, label]) => (
          <label class="check" key={key}>
            <input
              type="radio"
              name={conflictKey(conflict)}
              checked={side === key}
              onChange={() => choose(key)}
            />
            {label}
          </label>
        ))}
      </div>
    </fieldset>
  );
}

function Version({ title, before, after }: { title: string; before: unknown; after: unknown }) {
  return (
    <section aria-label={title}>
      <h3>{title}</h3>
      {after === undefined ? (
        <p class="removed">removed</p>
      ) : (
        <Diff before={before ?? {}} after={after} />
      )}
    </section>
  );
}
