/** Who changed what: the change log of the tenant, or of what all tenants share. */
import { useSignal } from "@preact/signals";
import { go, location } from "../../router";
import { may } from "../../session";
import { Empty, ErrorBox, Loaded } from "../../ui/feedback";
import { words } from "../../ui/format";
import { useRemote, useTask } from "../../ui/remote";
import { ChangeItem } from "./change_item";
import { type ChangePage, type ChangeQuery, readChanges } from "./changes";
import { SECTIONS } from "./sections";

/** How many changes are read at a time. */
const PAGE = 50;

const TENANT_KINDS = [
  ...new Set([...SECTIONS.flatMap((section) => section.kinds), "policy_rule", "policy_chain"]),
].sort();
const PLATFORM_KINDS = [
  "api_key",
  "model_config",
  "static_policy",
  "dlp_rule",
  "compliance_bundle",
];
const OPERATIONS = ["create", "update", "delete"];
const FILTERS = ["kind", "entity_id", "actor", "op", "since", "until"] as const;

export function ChangesView() {
  const { query } = location.value;
  const platform = query.get("of") === "platform" && may("ListPlatformChanges");
  const selection = Object.fromEntries(
    FILTERS.map((name) => [name, query.get(name) ?? ""]).filter(([, value]) => value !== ""),
  ) as ChangeQuery;
  return (
    <>
      <div class="page-head">
        <h1>Who changed what</h1>
      </div>
      <p class="soft">Every change of policies, newest first, with the values before and after.</p>
      <Filters query={query} platform={platform} />
      <ChangeList
        key={JSON.stringify([platform, selection])}
        selection={selection}
        platform={platform}
      />
    </>
  );
}

function Filters({ query, platform }: { query: URLSearchParams; platform: boolean }) {
  const set = (name: string, value: string) =>
    go(["policies", "changes"], { ...Object.fromEntries(query), [name]: value }, true);
  const kinds = platform ? PLATFORM_KINDS : TENANT_KINDS;
  return (
    <div class="toolbar">
      {may("ListPlatformChanges") && (
        <label>
          Of
          <select
            value={platform ? "platform" : ""}
            onChange={(event) => set("of", event.currentTarget.value)}
          >
            <option value="">This tenant</option>
            <option value="platform">What all tenants share</option>
          </select>
        </label>
      )}
      <Choice
        label="What"
        value={query.get("kind") ?? ""}
        choices={kinds}
        choose={(v) => set("kind", v)}
      />
      <Choice
        label="Change"
        value={query.get("op") ?? ""}
        choices={OPERATIONS}
        choose={(v) => set("op", v)}
      />
      <label>
        By
        <input
          type="search"
          autocomplete="off"
          spellcheck={false}
          placeholder="User or key"
          value={query.get("actor") ?? ""}
          onChange={(event) => set("actor", event.currentTarget.value.trim())}
        />
      </label>
      <Moment label="From" value={query.get("since") ?? ""} choose={(v) => set("since", v)} />
      <Moment label="Until" value={query.get("until") ?? ""} choose={(v) => set("until", v)} />
    </div>
  );
}

function Choice({
  label,
  value,
  choices,
  choose,
}: {
  label: string;
  value: string;
  choices: readonly string[];
  choose: (value: string) => void;
}) {
  return (
    <label>
      {label}
      <select value={value} onChange={(event) => choose(event.currentTarget.value)}>
        <option value="">All</option>
        {choices.map((one) => (
          <option key={one} value={one}>
            {words(one)}
          </option>
        ))}
      </select>
    </label>
  );
}

/** A time in the zone of the browser; the address has it in UTC. */
function Moment({
  label,
  value,
  choose,
}: {
  label: string;
  value: string;
  choose: (value: string) => void;
}) {
  const date = value === "" ? undefined : new Date(value);
  const local =
    date === undefined || Number.isNaN(date.getTime())
      ? ""
      : new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  return (
    <label>
      {label}
      <input
        type="datetime-local"
        value={local}
        onChange={(event) => {
          const text = event.currentTarget.value;
          choose(text === "" ? "" : new Date(text).toISOString());
        }}
      />
    </label>
  );
}

function ChangeList({ selection, platform }: { selection: ChangeQuery; platform: boolean }) {
  const older = useSignal<readonly ChangePage[]>([]);
  const task = useTask();
  const read = (cursor: string, signal?: AbortSignal) =>
    readChanges({ ...selection, cursor, limit: PAGE }, platform, signal);
  const remote = useRemote(`changes ${JSON.stringify([selection, platform])}`, (signal) =>
    read("", signal),
  );
  return (
    <Loaded remote={remote}>
      {(first) => {
        const pages = [first, ...older.value];
        const changes = pages.flatMap((page) => page.changes);
        const last = pages.at(-1) ?? first;
        if (changes.length === 0) {
          return (
            <Empty title="No change fits the filter.">
              <p class="soft">Choose another time, or remove a filter.</p>
            </Empty>
          );
        }
        return (
          <>
            <ol class="changes">
              {changes.map((change) => (
                <ChangeItem
                  key={`${change.revision} ${change.kind} ${change.entity_id}`}
                  change={change}
                  named
                />
              ))}
            </ol>
            {last.removed && <p class="soft">Older changes were removed because of their age.</p>}
            {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
            {last.cursor !== "" && (
              <button
                type="button"
                disabled={task.running.value}
                onClick={() =>
                  void task.run(async () => {
                    older.value = [...older.value, await read(last.cursor)];
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
