/** Tables of any length: only the rows that can be seen are in the document. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

const ROW_HEIGHT = 40;
/** Rows beyond the visible ones, so that scrolling shows no gaps. */
const MARGIN = 10;

export interface Column<Row> {
  readonly name: string;
  /** A track of CSS grid, such as `12rem` or `2fr`. */
  readonly width: string;
  readonly cell: (row: Row) => ComponentChildren;
  /** Leaves the column out on narrow screens. */
  readonly wide?: boolean;
  readonly numeric?: boolean;
}

export interface TableProps<Row> {
  readonly label: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row) => string;
  /** The address that a row leads to; without it, rows do nothing. */
  readonly hrefOf?: (row: Row) => string;
  /** Is called when the end of the rows is near, to load more. */
  readonly onEnd?: (() => void) | undefined;
  /** The height of the scrolled part, in rows; shorter tables are as high as their rows. */
  readonly visible?: number;
}

/** A table with a fixed header. The arrow keys, Home and End move between rows that are links. */
export function Table<Row>(props: TableProps<Row>) {
  const { columns, rows, visible = 14, onEnd } = props;
  const viewport = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const height = Math.min(rows.length, visible) * ROW_HEIGHT;
  const first = Math.max(0, Math.floor(top / ROW_HEIGHT) - MARGIN);
  const last = Math.min(rows.length, Math.ceil((top + height) / ROW_HEIGHT) + MARGIN);

  useEffect(() => {
    if (onEnd !== undefined && rows.length > 0 && last >= rows.length) onEnd();
  }, [last, rows.length, onEnd]);

  const tracks = columns.map((column) => column.width).join(" ");
  const narrow = columns.filter((column) => column.wide !== true).map((column) => column.width);
  return (
    <div
      class="table"
      role="table"
      aria-label={props.label}
      aria-rowcount={rows.length + 1}
      style={{ "--tracks": tracks, "--narrow-tracks": narrow.join(" ") }}
    >
      <div role="rowgroup" class="head">
        <div role="row" class="row" aria-rowindex={1}>
          {columns.map((column) => (
            <span role="columnheader" class={cellClass(column)} key={column.name}>
              {column.name}
            </span>
          ))}
        </div>
      </div>
      <div
        role="rowgroup"
        class="rows"
        ref={viewport}
        tabIndex={props.hrefOf === undefined ? 0 : -1}
        style={{ maxHeight: `${visible * ROW_HEIGHT}px` }}
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
        onKeyDown={(event) => moveFocus(event, viewport.current, rows.length)}
      >
        <div style={{ height: `${rows.length * ROW_HEIGHT}px` }} role="presentation">
          <div style={{ transform: `translateY(${first * ROW_HEIGHT}px)` }} role="presentation">
            {rows.slice(first, last).map((row, offset) => (
              <Row key={props.keyOf(row)} row={row} index={first + offset} table={props} />
            ))}
          </div>
        </div>
      </div>
    </div>
  );
}

function Row<R>({ row, index, table }: { row: R; index: number; table: TableProps<R> }) {
  const address = table.hrefOf?.(row);
  return (
    <div role="row" class="row" aria-rowindex={index + 2} data-index={index}>
      {table.columns.map((column, position) => (
        <span role="cell" class={cellClass(column)} key={column.name}>
          {position === 0 && address !== undefined ? (
            <a href={address} class="row-link">
              {column.cell(row)}
            </a>
          ) : (
            column.cell(row)
          )}
        </span>
      ))}
    </div>
  );
}

function cellClass<R>(column: Column<R>): string {
  return [column.wide === true ? "wide-only" : "", column.numeric === true ? "numeric" : ""]
    .join(" ")
    .trim();
}

function moveFocus(event: KeyboardEvent, viewport: HTMLElement | null, count: number): void {
  const row = (event.target as HTMLElement).closest<HTMLElement>("[data-index]");
  if (viewport === null || row === null) return;
  const index = Number(row.dataset["index"]);
  const targets: Record<string, number> = {
    ArrowDown: index + 1,
    ArrowUp: index - 1,
    Home: 0,
    End: count - 1,
  };
  const target = targets[event.key];
  if (target === undefined || target < 0 || target >= count) return;
  event.preventDefault();
  if (target * ROW_HEIGHT < viewport.scrollTop) viewport.scrollTop = target * ROW_HEIGHT;
  const overflow = (target + 1) * ROW_HEIGHT - viewport.clientHeight;
  if (overflow > viewport.scrollTop) viewport.scrollTop = overflow;
  // The row may appear only with the next rendering.
  requestAnimationFrame(() =>
    requestAnimationFrame(() =>
      viewport
        .querySelector<HTMLElement>(`[data-index="${target}"] a`)
        ?.focus({ preventScroll: true }),
    ),
  );
}
