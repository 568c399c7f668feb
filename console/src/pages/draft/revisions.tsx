/** The revisions of the tenant's policies: who made them, and how to return to them. */
import { useState } from "preact/hooks";
import type { AnswerOf } from "../../api/types";
import { startDraft } from "../../draft/draft_store";
import { go } from "../../router";
import { api, may } from "../../session";
import { Empty, ErrorBox, Loaded } from "../../ui/feedback";
import { time, words } from "../../ui/format";
import { useRemote, useTask } from "../../ui/remote";
import { RollbackButton } from "./rollback";

type LoggedChange = AnswerOf<"ListChanges">["changes"][number];

/** All changes of one revision. */
export interface Revision {
  readonly revision: number;
  readonly at: string | null;
  readonly actor: string;
  readonly summary: string;
  /** What was changed, such as `2 static policies`. */
  readonly what: string;
}

interface Page {
  readonly changes: readonly LoggedChange[];
  readonly cursor: string;
  readonly removedThrough: number;
}

const PAGE = 200;

export function Revisions() {
  const first = useRemote("revisions", (signal) => loadPage("", signal));
  return (
    <Loaded remote={first}>
      {(page) =>
        page.changes.length === 0 ? (
          <Empty title="The policies of the tenant were never changed.">
            <p class="soft">Each change from now on makes a revision.</p>
          </Empty>
        ) : (
          <RevisionList
            key={page.changes[0]?.revision ?? 0}
            first={page}
            reload={() => first.reload()}
          />
        )
      }
    </Loaded>
  );
}

function RevisionList({ first, reload }: { first: Page; reload: () => void }) {
  const [page, setPage] = useState(first);
  const task = useTask();
  const older = () =>
    task.run(async () => {
      const next = await loadPage(page.cursor);
      setPage({ ...next, changes: [...page.changes, ...next.changes] });
    });
  // The last revision of a page may go on in the next one.
  const all = revisionsOf(page.changes);
  const revisions = page.cursor === "" || all.length < 2 ? all : all.slice(0, -1);
  const newest = first.changes[0]?.revision ?? 0;
  return (
    <>
      <ol class="revisions">
        {revisions.map((revision) => (
          <Row
            key={revision.revision}
            revision={revision}
            isNewest={revision.revision === newest}
            reload={reload}
          />
        ))}
      </ol>
      {page.removedThrough > 0 && (
        <p class="soft">
          Changes up to revision {page.removedThrough} were removed because of their age.
        </p>
      )}
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
      {page.cursor !== "" && (
        <button type="button" disabled={task.running.value} onClick={() => void older()}>
          Show older revisions
        </button>
      )}
    </>
  );
}

function Row({
  revision: one,
  isNewest,
  reload,
}: {
  revision: Revision;
  isNewest: boolean;
  reload: () => void;
}) {
  const task = useTask();
  const start = () =>
    task.run(async () => {
      await startDraft(`Return to revision ${one.revision}`, one.revision);
      go(["draft"]);
    });
  return (
    <li class="panel change">
      <header>
        <h2>Revision {one.revision}</h2>
        <span class="soft small">
          {time(one.at)} · {one.actor}
        </span>
        {isNewest ? (
          <span class="badge good">in force</span>
        ) : (
          <span class="row-buttons">
            <button type="button" disabled={task.running.value} onClick={() => void start()}>
              Take it as a draft
            </button>
            {may("RollbackPolicyFile") && <RollbackButton revision={one.revision} done={reload} />}
          </span>
        )}
      </header>
      <p>
        {one.summary === "" ? one.what : one.summary}{" "}
        {one.summary !== "" && <span class="soft">({one.what})</span>}
      </p>
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
    </li>
  );
}

async function loadPage(cursor: string, signal?: AbortSignal): Promise<Page> {
  const answer = await api.call("ListChanges", { query: { limit: PAGE, cursor }, signal });
  return {
    changes: answer.changes,
    cursor: answer.next_cursor,
    removedThrough: answer.removed_through ?? 0,
  };
}

/** Returns the revisions of changes, newest first. */
export function revisionsOf(changes: readonly LoggedChange[]): Revision[] {
  const groups = new Map<number, LoggedChange[]>();
  for (const change of changes) {
    const group = groups.get(change.revision);
    if (group === undefined) groups.set(change.revision, [change]);
    else group.push(change);
  }
  return [...groups].flatMap(([revision, group]) => {
    const [first] = group;
    if (first === undefined) return [];
    const { at, actor, summary } = first;
    return [{ revision, at, actor, summary, what: whatOf(group) }];
  });
}

function whatOf(changes: readonly LoggedChange[]): string {
  const counts = new Map<string, number>();
  for (const { op, kind } of changes) {
    const key = `${words(kind).toLowerCase()} ${DONE[op] ?? op}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].map(([key, count]) => (count === 1 ? key : `${count} × ${key}`)).join(", ");
}

const DONE: Record<string, string> = { create: "created", update: "changed", delete: "deleted" };
