/** The changes of one chain; the packs of each can be put back. */
import type { Schemas } from "../../api/types";
import { may } from "../../session";
import { ConfirmButton } from "../../ui/dialog";
import { Diff } from "../../ui/diff";
import { Empty, ErrorBox, Loaded, notify } from "../../ui/feedback";
import { useRemote, useTask } from "../../ui/remote";
import { writeChain } from "./chain_store";
import { ChangeItem } from "./change_item";
import { readChanges } from "./changes";
import { saved } from "./entity_form";

interface ChainBody {
  readonly packs: readonly { readonly pack_id: string }[];
  readonly combining_algorithm: string;
}

export interface ChainHistoryProps {
  readonly id: string;
  readonly packs: readonly Schemas["PolicyPack"][];
  /** The ids of the packs in force. */
  readonly current: readonly string[];
  readonly etag: string;
  readonly restored: () => void;
}

export function ChainHistory(props: ChainHistoryProps) {
  const task = useTask();
  const remote = useRemote(`chain log ${props.id} ${props.etag}`, (signal) =>
    readChanges({ kind: "policy_chain", entity_id: props.id, limit: 100 }, false, signal),
  );
  const name = (id: string) => props.packs.find((pack) => pack.id === id)?.name ?? id;
  const restore = (body: ChainBody) =>
    task.run(async () => {
      const ids = body.packs.map((pack) => pack.pack_id);
      const answer = await writeChain(props.id, ids, body.combining_algorithm, props.etag);
      notify(saved(answer.revision));
      props.restored();
    });
  return (
    <>
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
      <Loaded remote={remote}>
        {({ changes }) =>
          changes.length === 0 ? (
            <Empty title="The chain was never changed." />
          ) : (
            <ol class="changes">
              {changes.map((change, index) => {
                const body = change.after as unknown as ChainBody | null;
                return (
                  <ChangeItem key={change.revision} change={change} named={false}>
                    {index > 0 && body !== null && may("ReplaceOrgPolicyChain") && (
                      <ConfirmButton
                        label="Restore this version"
                        danger={false}
                        question={
                          <Diff
                            before={props.current.map(name)}
                            after={body.packs.map((pack) => name(pack.pack_id))}
                          />
                        }
                        confirm="Restore"
                        run={() => restore(body)}
                      />
                    )}
                  </ChangeItem>
                );
              })}
            </ol>
          )
        }
      </Loaded>
    </>
  );
}
