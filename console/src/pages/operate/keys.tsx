/** API keys: who may call the server, as what. */
import { type Signal, useSignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import type { AnswerOf, BodyOf } from "../../api/types";
import type { Values } from "../../forms/fields";
import { href } from "../../router";
import { api, may } from "../../session";
import { Ago } from "../../ui/ago";
import { Dialog } from "../../ui/dialog";
import { Empty, Loaded } from "../../ui/feedback";
import { time } from "../../ui/format";
import { now, type Remote, useRemote, useTask } from "../../ui/remote";
import { type Column, Table } from "../../ui/table";
import { FilterField, wordMatcher } from "../../ui/text_filter";
import { OperationForm } from "./operation_form";
import { SecretDialog } from "./secret_dialog";

export type ApiKey = AnswerOf<"GetApiKey">;

export function Keys() {
  const remote = useRemote("keys", (signal) => api.call("ListApiKeys", { signal }));
  const text = useSignal("");
  const creating = useSignal(false);
  return (
    <>
      <div class="toolbar">
        <FilterField value={text.value} onChange={(next) => (text.value = next)} />
        {may("CreateApiKey") && (
          <button type="button" class="primary end" onClick={() => (creating.value = true)}>
            New key
          </button>
        )}
      </div>
      <NewKey open={creating} remote={remote} />
      <Loaded remote={remote}>{(keys) => <KeyTable keys={keys} filter={text.value} />}</Loaded>
    </>
  );
}

function KeyTable({ keys, filter }: { keys: readonly ApiKey[]; filter: string }) {
  const shown = useMemo(() => {
    const matches = wordMatcher(filter);
    const newestFirst = [...keys].reverse();
    return newestFirst.filter((key) => matches(searchable(key)));
  }, [keys, filter]);
  if (keys.length === 0) {
    return (
      <Empty title="There are no API keys.">Create one for each program and each person.</Empty>
    );
  }
  if (shown.length === 0) return <Empty title={`No key matches “${filter}”.`} />;
  return (
    <Table
      label="API keys"
      columns={COLUMNS}
      rows={shown}
      keyOf={({ id }) => id}
      hrefOf={({ id }) => href(["operate", "keys", id])}
    />
  );
}

function searchable(key: ApiKey): string {
  const prefixes = key.secrets.map(({ prefix }) => prefix);
  const parts = [key.name, key.role, key.owner ?? "", key.id, ...key.tenants, ...prefixes];
  return parts.join("\n").toLowerCase();
}

const COLUMNS: readonly Column<ApiKey>[] = [
  { name: "Name", width: "minmax(0, 1.5fr)", cell: ({ name }) => name },
  { name: "Role", width: "6rem", cell: ({ role }) => role },
  { name: "Tenants", width: "minmax(0, 1fr)", cell: ({ tenants }) => tenantsOf(tenants) },
  { name: "Owner", width: "minmax(0, 1fr)", cell: ({ owner }) => owner ?? "–", wide: true },
  {
    name: "Secrets",
    width: "minmax(0, 1.4fr)",
    cell: ({ secrets }) => secrets.map(({ prefix }) => `${prefix}…`).join(", "),
    wide: true,
  },
  {
    name: "Created",
    width: "6.5rem",
    cell: ({ created_at }) => <Ago time={created_at} />,
    wide: true,
  },
  { name: "Expires", width: "6.5rem", cell: (key) => <Expiry at={key.expires_at} /> },
];

export function tenantsOf(tenants: readonly string[]): string {
  return tenants.includes("*") ? "All" : tenants.join(", ");
}

/** When something expires, marked if it has. */
export function Expiry({ at }: { at: string | null }) {
  if (at === null) return <>Never</>;
  const over = Date.parse(at) <= now.value;
  return (
    <span class={over ? "expired" : ""} title={time(at)}>
      {over ? "Expired" : <Ago time={at} />}
    </span>
  );
}

function NewKey(props: { open: Signal<boolean>; remote: Remote<AnswerOf<"ListApiKeys">> }) {
  const { open, remote } = props;
  const value = useSignal<Values>({ role: "pep" });
  const secret = useSignal("");
  const task = useTask();
  const create = (event: SubmitEvent) => {
    event.preventDefault();
    void task.run(async () => {
      const body = value.value as BodyOf<"CreateApiKey">;
      const { key } = await api.call("CreateApiKey", { body });
      open.value = false;
      value.value = { role: "pep" };
      secret.value = key;
      remote.reload();
    });
  };
  return (
    <>
      {open.value && (
        <Dialog title="New API key" close={() => (open.value = false)}>
          <form onSubmit={create}>
            <div class="text">
              <OperationForm
                operation="CreateApiKey"
                value={value.value}
                onChange={(next) => (value.value = next)}
                error={task.error.value}
              />
            </div>
            <footer>
              <button type="button" onClick={() => (open.value = false)}>
                Cancel
              </button>
              <button type="submit" class="primary" disabled={task.running.value}>
                Create the key
              </button>
            </footer>
          </form>
        </Dialog>
      )}
      {secret.value !== "" && (
        <SecretDialog title="The new key" secret={secret.value} close={() => (secret.value = "")} />
      )}
    </>
  );
}
