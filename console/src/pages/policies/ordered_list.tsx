/** A list whose order can be changed: by dragging, and by keyboard. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

export interface OrderedItem {
  readonly id: string;
  readonly label: string;
}

export interface OrderedListProps<Item extends OrderedItem> {
  readonly label: string;
  readonly items: readonly Item[];
  /** Is called with the items in their new order; without it, the order cannot be changed. */
  readonly onOrder?: ((items: readonly Item[]) => void) | undefined;
  readonly onRemove?: ((item: Item) => void) | undefined;
  readonly children: (item: Item) => ComponentChildren;
}

/** Returns the items with one of them at another position. */
export function moved<Item>(items: readonly Item[], from: number, to: number): readonly Item[] {
  const result = [...items];
  result.splice(Math.max(0, Math.min(to, items.length - 1)), 0, ...result.splice(from, 1));
  return result;
}

export function OrderedList<Item extends OrderedItem>(props: OrderedListProps<Item>) {
  const { items, onOrder } = props;
  const list = useRef<HTMLOListElement>(null);
  const dragged = useSignal<number | undefined>(undefined);
  const over = useSignal<number | undefined>(undefined);
  const said = useSignal("");
  /** The item whose handle gets the focus again after it has moved. */
  const focused = useRef("");

  useEffect(() => {
    if (focused.current === "") return;
    const handles = list.current?.querySelectorAll<HTMLElement>("[data-handle]") ?? [];
    [...handles].find((handle) => handle.dataset["handle"] === focused.current)?.focus();
    focused.current = "";
  }, [items]);

  const move = (from: number, to: number) => {
    const item = items[from];
    if (item === undefined || to < 0 || to >= items.length || from === to) return;
    said.value = `${item.label} is now ${to + 1} of ${items.length}.`;
    onOrder?.(moved(items, from, to));
  };
  const byKey = (event: KeyboardEvent, index: number, id: string) => {
    const steps: Record<string, number> = {
      ArrowUp: index - 1,
      ArrowDown: index + 1,
      Home: 0,
      End: items.length - 1,
    };
    const target = steps[event.key];
    if (target === undefined) return;
    event.preventDefault();
    focused.current = id;
    move(index, target);
  };
  return (
    <>
      {onOrder !== undefined && items.length > 1 && (
        <p class="help">
          Drag an entry to another place, or use the arrow keys on its handle. Entries are evaluated
          from the first to the last.
        </p>
      )}
      <ol class="ordered" aria-label={props.label} ref={list}>
        {items.map((item, index) => (
          <li
            key={item.id}
            class={over.value === index && dragged.value !== index ? "over" : ""}
            draggable={onOrder !== undefined}
            onDragStart={(event) => {
              dragged.value = index;
              event.dataTransfer?.setData("text/plain", item.id);
              if (event.dataTransfer !== null) event.dataTransfer.effectAllowed = "move";
            }}
            onDragOver={(event) => {
              if (dragged.value === undefined) return;
              event.preventDefault();
              over.value = index;
            }}
            onDrop={(event) => {
              event.preventDefault();
              if (dragged.value !== undefined) move(dragged.value, index);
            }}
            onDragEnd={() => {
              dragged.value = undefined;
              over.value = undefined;
            }}
          >
            {onOrder !== undefined && (
              <button
                type="button"
                class="plain handle"
                data-handle={item.id}
                aria-label={`Move ${item.label}, ${index + 1} of ${items.length}, with the arrow keys`}
                onKeyDown={(event) => byKey(event, index, item.id)}
              >
                ⠿
              </button>
            )}
            <span class="position">{index + 1}</span>
            <div class="content">{props.children(item)}</div>
            {props.onRemove !== undefined && (
              <button
                type="button"
                class="plain"
                aria-label={`Remove ${item.label}`}
                onClick={() => props.onRemove?.(item)}
              >
                ×
              </button>
            )}
          </li>
        ))}
      </ol>
      <p class="unseen" role="status">
        {said.value}
      </p>
    </>
  );
}
