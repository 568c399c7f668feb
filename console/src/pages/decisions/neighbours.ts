/** The decisions that the list shows, so that a page of one leads to the next. */
import { computed, effect, signal } from "@preact/signals";
import { identity } from "../../session";
import type { RecordList } from "./record_list";

const shown = signal<RecordList | undefined>(undefined);

/** Remembers the list that the user looks at. */
export function remember(list: RecordList): void {
  shown.value = list;
}

// The next user of this tab must not see what the one before has listed.
effect(() => {
  if (identity.value === undefined) shown.value = undefined;
});

const positions = computed(
  () => new Map((shown.value?.rows.value ?? []).map(({ id }, index) => [id, index])),
);

export interface Neighbours {
  /** The ID of the decision before in the list: a newer one. */
  readonly newer: string | undefined;
  readonly older: string | undefined;
}

export function neighboursOf(id: string): Neighbours {
  const index = positions.value.get(id);
  if (index === undefined) return { newer: undefined, older: undefined };
  const rows = shown.value?.rows.value ?? [];
  return { newer: rows[index - 1]?.id, older: rows[index + 1]?.id };
}
