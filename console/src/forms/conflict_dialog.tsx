/** A conflict: another user has changed the entity meanwhile. Shows what differs, and asks which values to keep. */
import { Dialog } from "../ui/dialog";
import { Diff } from "../ui/diff";
import type { Values } from "./fields";
import { changedNames, isEmpty } from "./values";

export interface ConflictDialogProps {
  /** The values that the user has started from. */
  readonly base: Values;
  readonly mine: Values;
  readonly theirs: Values;
  readonly running: boolean;
  readonly takeTheirs: () => void;
  readonly writeMine: (before: Values, after: Values) => void;
  readonly close: () => void;
}

/** Returns the values of another with the user's own changes over them. */
export function mineOver(base: Values, mine: Values, theirs: Values): Values {
  const result: Record<string, unknown> = { ...theirs };
  for (const name of changedNames(base, mine)) {
    if (isEmpty(mine[name])) delete result[name];
    else result[name] = mine[name];
  }
  return result;
}

export function ConflictDialog(props: ConflictDialogProps) {
  const { base, mine, theirs } = props;
  const merged = mineOver(base, mine, theirs);
  return (
    <Dialog wide title="Another user has changed it" close={props.close}>
      <div class="text">
        <p>Nothing was saved. Since you opened it, this was changed:</p>
        <Diff before={base} after={theirs} />
        <h3>What writing yours over it would change</h3>
        <Diff before={theirs} after={merged} />
      </div>
      <footer>
        <button type="button" onClick={props.close}>
          Keep editing
        </button>
        <button type="button" onClick={props.takeTheirs}>
          Take theirs
        </button>
        <button
          type="button"
          class="primary"
          disabled={props.running}
          onClick={() => props.writeMine(theirs, merged)}
        >
          Write mine over it
        </button>
      </footer>
    </Dialog>
  );
}
