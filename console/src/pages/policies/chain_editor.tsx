/** The packs of one chain and their order. */
import { useSignal } from "@preact/signals";
import { ApiError } from "../../api/errors";
import { ConflictDialog } from "../../forms/conflict_dialog";
import { href } from "../../router";
import { may } from "../../session";
import { ErrorBox, Loaded, notify } from "../../ui/feedback";
import { useRemote, useTask } from "../../ui/remote";
import { Tabs } from "../../ui/tabs";
import { ChainHistory } from "./chain_history";
import { AddPack, DeleteChain, PackLine } from "./chain_parts";
import {
  type ChainState,
  draftSection,
  draftValues,
  ORG,
  readChain,
  USER,
  writeChain,
} from "./chain_store";
import { DraftButton } from "./draft_button";
import { saved } from "./entity_form";
import { keepWarnings } from "./entity_store";
import { OrderedList } from "./ordered_list";
import { Warnings } from "./warnings";

const ALGORITHMS = [
  ["first_applicable", "The first rule that matches decides"],
  ["deny_overrides", "A rule that blocks or cancels decides before all others"],
] as const;

export function ChainEditor({ id, tab }: { id: string; tab: string }) {
  const remote = useRemote(`chain ${id}`, (signal) => readChain(id, signal));
  const title = id === ORG ? "The chain of all users" : `The chain of ${id.slice(USER.length)}`;
  const history = tab === "history" && may("ListChanges");
  return (
    <>
      <p class="crumbs small">
        <a href={href(["policies", "chains"])}>← Chains</a>
      </p>
      <div class="page-head">
        <h1>{title}</h1>
      </div>
      {may("ListChanges") && (
        <Tabs
          label="Views of this chain"
          tabs={[
            { name: "Packs", address: href(["policies", "chains", id]), current: !history },
            {
              name: "History",
              address: href(["policies", "chains", id, "history"]),
              current: history,
            },
          ]}
        />
      )}
      <Loaded remote={remote}>
        {(state) =>
          history ? (
            <ChainHistory
              id={id}
              packs={state.packs}
              current={(state.chain?.packs ?? []).map((pack) => pack.pack_id)}
              etag={state.etag}
              restored={() => remote.reload()}
            />
          ) : (
            <Editor
              key={`${id} ${state.etag}`}
              id={id}
              state={state}
              reload={() => remote.reload()}
            />
          )
        }
      </Loaded>
    </>
  );
}

interface EditorProps {
  readonly id: string;
  readonly state: ChainState;
  readonly reload: () => void;
}

function Editor({ id, state, reload }: EditorProps) {
  const before = (state.chain?.packs ?? []).map((entry) => entry.pack_id);
  const firstAlgorithm = state.chain?.combining_algorithm ?? "first_applicable";
  const order = useSignal<readonly string[]>(before);
  const algorithm = useSignal(firstAlgorithm);
  const theirs = useSignal<ChainState | undefined>(undefined);
  const task = useTask();
  const byId = new Map(state.packs.map((pack) => [pack.id, pack]));
  const items = order.value.map((pack) => ({ id: pack, label: byId.get(pack)?.name ?? pack }));
  const editable = may(id === ORG ? "ReplaceOrgPolicyChain" : "ReplaceUserPolicyChain");
  const changed =
    order.value.join() !== before.join() ||
    algorithm.value !== firstAlgorithm ||
    state.chain === undefined;
  const address = `chains/${id}`;
  const write = (etag: string) =>
    task.run(async () => {
      try {
        const answer = await writeChain(id, order.value, algorithm.value, etag);
        keepWarnings(address, answer.value);
        notify(saved(answer.revision));
      } catch (cause) {
        if (!(cause instanceof ApiError) || cause.status !== 412) throw cause;
        theirs.value = await readChain(id);
        return;
      }
      theirs.value = undefined;
      reload();
    });
  const values = (packs: readonly string[], combining_algorithm: string) => ({
    packs: packs.map((pack) => byId.get(pack)?.name ?? pack),
    combining_algorithm,
  });
  return (
    <>
      <Warnings address={address} />
      <section class="panel form-group" aria-label="Packs of the chain">
        {items.length === 0 && (
          <p class="soft">The chain is empty. Add a pack to put it in force.</p>
        )}
        <OrderedList
          label="Packs of the chain"
          items={items}
          onOrder={editable ? (next) => (order.value = next.map((item) => item.id)) : undefined}
          onRemove={
            editable
              ? (item) => (order.value = order.value.filter((pack) => pack !== item.id))
              : undefined
          }
        >
          {(item) => <PackLine pack={byId.get(item.id)} id={item.id} />}
        </OrderedList>
        {editable && (
          <AddPack
            packs={state.packs.filter((pack) => !order.value.includes(pack.id))}
            add={(pack) => (order.value = [...order.value, pack])}
          />
        )}
        <div class="field">
          <label for="combination">If several rules match</label>
          <select
            id="combination"
            disabled={!editable}
            value={algorithm.value}
            onChange={(event) => (algorithm.value = event.currentTarget.value)}
          >
            {ALGORITHMS.map(([value, label]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </div>
      </section>
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
      {editable && (
        <div class="save-bar">
          <button
            type="button"
            class="primary"
            disabled={!changed || task.running.value}
            onClick={() => void write(state.etag)}
          >
            {task.running.value ? "Saving…" : "Save"}
          </button>
          {changed && state.chain !== undefined && (
            <button
              type="button"
              onClick={() => {
                order.value = before;
                algorithm.value = firstAlgorithm;
              }}
            >
              Undo changes
            </button>
          )}
          <DraftButton
            section={draftSection(id)}
            values={draftValues(order.value, algorithm.value)}
            entity={undefined}
          />
          <DeleteChain id={id} state={state} />
        </div>
      )}
      {theirs.value !== undefined && (
        <ConflictDialog
          base={values(before, firstAlgorithm)}
          mine={values(order.value, algorithm.value)}
          theirs={values(
            (theirs.value.chain?.packs ?? []).map((entry) => entry.pack_id),
            theirs.value.chain?.combining_algorithm ?? "first_applicable",
          )}
          running={task.running.value}
          takeTheirs={() => {
            theirs.value = undefined;
            reload();
          }}
          writeMine={() => void write(theirs.value?.etag ?? "")}
          close={() => (theirs.value = undefined)}
        />
      )}
    </>
  );
}
