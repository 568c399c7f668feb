/** What the editor of a chain has besides its list. */
import { useSignal } from "@preact/signals";
import { go, href } from "../../router";
import { api, may } from "../../session";
import { ConfirmButton } from "../../ui/dialog";
import { ErrorBox, notify } from "../../ui/feedback";
import { integer } from "../../ui/format";
import { useTask } from "../../ui/remote";
import { type ChainState, ORG, type Pack, USER } from "./chain_store";

export function PackLine({ pack, id }: { pack: Pack | undefined; id: string }) {
  if (pack === undefined) return <code>{id}</code>;
  return (
    <>
      <a href={href(["policies", "packs", pack.id])}>{pack.name}</a>
      <span class="soft small">
        {integer(pack.rule_count)} rules{pack.is_active ? "" : ", not active: it does nothing"}
      </span>
    </>
  );
}

export function AddPack({ packs, add }: { packs: readonly Pack[]; add: (pack: string) => void }) {
  const chosen = useSignal("");
  if (packs.length === 0) return null;
  return (
    <div class="toolbar">
      <label>
        Add a pack
        <select
          value={chosen.value}
          onChange={(event) => (chosen.value = event.currentTarget.value)}
        >
          <option value="">Choose…</option>
          {packs.map((pack) => (
            <option key={pack.id} value={pack.id}>
              {pack.name}
            </option>
          ))}
        </select>
      </label>
      <button
        type="button"
        disabled={chosen.value === ""}
        onClick={() => {
          add(chosen.value);
          chosen.value = "";
        }}
      >
        Add
      </button>
    </div>
  );
}

export function DeleteChain({ id, state }: { id: string; state: ChainState }) {
  const task = useTask();
  if (id === ORG || state.chain === undefined || !may("DeleteUserPolicyChain")) return null;
  const user = id.slice(USER.length);
  const remove = async () => {
    const done = await task.run(() =>
      api.call("DeleteUserPolicyChain", { path: { user_id: user }, ifMatch: state.etag }),
    );
    if (!done) return;
    notify(`Deleted: the chain of ${user}`);
    go(["policies", "chains"]);
  };
  return (
    <>
      <ConfirmButton
        label="Delete the chain"
        question={<p>Only the chain of all users then holds for {user}.</p>}
        confirm="Delete"
        run={remove}
      />
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
    </>
  );
}
