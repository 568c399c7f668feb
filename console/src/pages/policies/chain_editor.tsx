/** The packs of one chain and their order. */
import { useSignal } from "@preact/signals";
import { ApiError } from "../../api/errors";
import type { Answer } from "../../api/client";
import type { Schemas } from "../../api/types";
import type { Values } from "../../forms/form";
import { go, href } from "../../router";
import { api, may } from "../../session";
import { ConfirmButton } from "../../ui/dialog";
import { ErrorBox, Loaded, notify } from "../../ui/feedback";
import { integer } from "../../ui/format";
import { useRemote, useTask } from "../../ui/remote";
import { Tabs } from "../../ui/tabs";
import { tagOf } from "./calls";
import { type Chain, chainId, ORG, USER } from "./chains_view";
import { ConflictDialog } from "./conflict_dialog";
import { saved } from "./entity_form";
import { keepWarnings } from "./entity_store";
import { ChainHistory } from "./chain_history";
import { DraftButton } from "./draft_button";
import { OrderedList } from "./ordered_list";
import type { Section } from "./types";
import { Warnings } from "./warnings";

const ALGORITHMS = [
  ["first_applicable", "The first rule that matches decides"],
  ["deny_overrides", "A rule that blocks or cancels decides before all others"],
] as const;

type Algorithm = (typeof ALGORITHMS)[number][0];
type Pack = Schemas["PolicyPack"];

interface State {
  readonly chain: Chain | undefined;
  readonly etag: string;
  readonly packs: readonly Pack[];
}

async function readState(id: string, signal?: AbortSignal): Promise<State> {
  // The tag first: if the chain changes between the reads, the tag is older, and a write fails.
  const etag = await tagOf("policy_chain", id, signal);
  const [chains, packs] = await Promise.all([
    api.call("ListPolicyChains", { signal }),
    api.call("ListPolicyPacks", { signal }),
  ]);
  return { chain: chains.find((one) => chainId(one) === id), etag, packs };
}

/** Writes a whole chain, as the order of the ids of its packs. */
export function writeChain(
  id: string,
  packIds: readonly string[],
  algorithm: string,
  ifMatch: string,
): Promise<Answer<unknown>> {
  const body = {
    packs: packIds.map((pack) => ({ id: pack })),
    combining_algorithm: algorithm as Algorithm,
  };
  if (id === ORG) return api.send("ReplaceOrgPolicyChain", { body, ifMatch });
  const path = { user_id: id.slice(USER.length) };
  return api.send("ReplaceUserPolicyChain", { path, body, ifMatch });
}

export function ChainEditor({ id, tab }: { id: string; tab: string }) {
  const remote = useRemote(`chain ${id}`, (signal) => readState(id, signal));
  const title = id === ORG ? "The chain of everybody" : `The chain of ${id.slice(USER.length)}`;
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
  readonly state: State;
  readonly reload: () => void;
}

function Editor({ id, state, reload }: EditorProps) {
  const before = (state.chain?.packs ?? []).map((entry) => entry.pack_id);
  const firstAlgorithm = state.chain?.combining_algorithm ?? "first_applicable";
  const order = useSignal<readonly string[]>(before);
  const algorithm = useSignal(firstAlgorithm);
  const theirs = useSignal<State | undefined>(undefined);
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
        theirs.value = await readState(id);
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

/** How the chain is written in a policy file. */
function draftSection(id: string): Pick<Section, "draft" | "nameField"> {
  const user = id === ORG ? {} : { user_id: id.slice(USER.length) };
  const section = id === ORG ? "chain" : "user_chains";
  return {
    nameField: "user_id",
    draft: (values) => ({
      section,
      entry: { ...user, ...values },
      references: { packs: "packs" },
    }),
  };
}

function draftValues(packs: readonly string[], combining_algorithm: string): Values {
  return { packs, combining_algorithm };
}

function PackLine({ pack, id }: { pack: Pack | undefined; id: string }) {
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

function AddPack({ packs, add }: { packs: readonly Pack[]; add: (pack: string) => void }) {
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

function DeleteChain({ id, state }: { id: string; state: State }) {
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
        question={<p>Only the chain of everybody then holds for {user}.</p>}
        confirm="Delete"
        run={remove}
      />
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
    </>
  );
}
