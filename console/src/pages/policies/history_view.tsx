/** The history of one entity: its versions, and every change, each of which can be restored. */
import { useSignal } from "@preact/signals";
import { contract } from "../../forms/contract";
import type { Values } from "../../forms/fields";
import { may } from "../../session";
import { Ago } from "../../ui/ago";
import { Empty, Loaded } from "../../ui/feedback";
import { ErrorBox } from "../../ui/feedback";
import { time } from "../../ui/format";
import { useRemote, useTask } from "../../ui/remote";
import { ChangeItem } from "./change_item";
import { type Change, type ChangeQuery, readChanges } from "./changes";
import { RestoreDialog } from "./restore_dialog";
import type { Section, Version } from "./types";

/** How many changes are read at a time, of each kind. */
const PAGE = 50;

interface Restoring {
  readonly title: string;
  readonly values: Values;
}

export function History({ section, id }: { section: Section; id: string }) {
  const restoring = useSignal<Restoring | undefined>(undefined);
  const again = useSignal(0);
  const restorable = may(section.operations.update);
  const offer = restorable
    ? (title: string, values: Values) => (restoring.value = { title, values })
    : undefined;
  return (
    <>
      {section.versions !== undefined && (
        <Versions key={`versions ${again.value}`} section={section} id={id} offer={offer} />
      )}
      <h2>Change log</h2>
      <Changes key={`changes ${again.value}`} section={section} id={id} offer={offer} />
      {restoring.value !== undefined && (
        <RestoreDialog
          section={section}
          id={id}
          title={restoring.value.title}
          restored={restoring.value.values}
          load={contract}
          done={() => {
            restoring.value = undefined;
            again.value += 1;
          }}
          close={() => (restoring.value = undefined)}
        />
      )}
    </>
  );
}

interface PartProps {
  readonly section: Section;
  readonly id: string;
  /** Offers to restore values; undefined if the caller may not write. */
  readonly offer: ((title: string, values: Values) => void) | undefined;
}

function Versions({ section, id, offer }: PartProps) {
  const remote = useRemote(`versions ${section.path} ${id}`, async (signal) =>
    section.versions === undefined ? [] : section.versions(id, signal),
  );
  return (
    <>
      <h2>Versions</h2>
      <Loaded remote={remote}>
        {(versions: readonly Version[]) =>
          versions.length === 0 ? (
            <p class="soft">There are no versions, because it has never been changed.</p>
          ) : (
            <ol class="changes">
              {versions.map((version, index) => (
                <li class="change" key={version.label}>
                  <div class="change-head">
                    <span>
                      <strong>{version.label}</strong> by {version.actor}
                      {index === 0 && <span class="soft"> · the latest</span>}
                    </span>
                    <span class="soft small">
                      <Ago time={version.at} /> · {time(version.at)}
                    </span>
                  </div>
                  {version.summary !== "" && <p class="change-summary">{version.summary}</p>}
                  {offer !== undefined && index > 0 && (
                    <button type="button" onClick={() => offer(version.label, version.values)}>
                      Restore this version
                    </button>
                  )}
                </li>
              ))}
            </ol>
          )
        }
      </Loaded>
    </>
  );
}

/** The pages of the log that are read, with what is needed for the next ones. */
interface Log {
  readonly changes: readonly Change[];
  readonly next: readonly { readonly kind: string; readonly cursor: string }[];
  readonly removed: boolean;
}

async function readLog(
  id: string,
  from: readonly { readonly kind: string; readonly cursor: string }[],
  signal?: AbortSignal,
): Promise<Log> {
  const pages = await Promise.all(
    from.map(async ({ kind, cursor }) => {
      const query: ChangeQuery = { kind, entity_id: id, cursor, limit: PAGE };
      return { kind, page: await readChanges(query, false, signal) };
    }),
  );
  return {
    changes: pages.flatMap(({ page }) => page.changes).sort((a, b) => b.revision - a.revision),
    next: pages
      .map(({ kind, page }) => ({ kind, cursor: page.cursor }))
      .filter(({ cursor }) => cursor !== ""),
    removed: pages.some(({ page }) => page.removed),
  };
}

function Changes({ section, id, offer }: PartProps) {
  const older = useSignal<readonly Log[]>([]);
  const task = useTask();
  const remote = useRemote(`log ${section.path} ${id}`, (signal) =>
    readLog(
      id,
      section.kinds.map((kind) => ({ kind, cursor: "" })),
      signal,
    ),
  );
  return (
    <Loaded remote={remote}>
      {(first) => {
        const logs = [first, ...older.value];
        const changes = logs.flatMap((log) => log.changes);
        const last = logs.at(-1) ?? first;
        return (
          <>
            {changes.length === 0 ? (
              <Empty title="No change of it is in the log.">
                <p class="soft">
                  It is as the product was installed, or its changes were too old to keep.
                </p>
              </Empty>
            ) : (
              <ol class="changes">
                {changes.map((change, index) => (
                  <ChangeItem
                    key={`${change.kind} ${change.revision}`}
                    change={change}
                    named={false}
                  >
                    <Restore section={section} change={change} latest={index === 0} offer={offer} />
                  </ChangeItem>
                ))}
              </ol>
            )}
            {last.removed && <p class="soft">Older changes were removed because of their age.</p>}
            {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
            {last.next.length > 0 && (
              <button
                type="button"
                disabled={task.running.value}
                onClick={() =>
                  void task.run(async () => {
                    older.value = [...older.value, await readLog(id, last.next)];
                  })
                }
              >
                Older changes
              </button>
            )}
          </>
        );
      }}
    </Loaded>
  );
}

function Restore({
  section,
  change,
  latest,
  offer,
}: Pick<PartProps, "section" | "offer"> & { change: Change; latest: boolean }) {
  const body = change.after as Values | null;
  if (offer === undefined || latest || body === null) return null;
  const values = section.fromChange === undefined ? body : section.fromChange(body, change.kind);
  if (values === undefined) return null;
  return (
    <button
      type="button"
      onClick={() => offer(`the values of revision ${change.revision}`, values)}
    >
      Restore this version
    </button>
  );
}
