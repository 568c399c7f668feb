/** Downloads of all records that match the filters. */
import type { QueryOf } from "../../api/types";
import { api, may } from "../../session";
import { ErrorBox, notify } from "../../ui/feedback";
import { useTask } from "../../ui/remote";
import { type Filters, recordQuery } from "./filters";

type Format = NonNullable<QueryOf<"ExportRecords">["format"]>;

export function ExportButtons({ filters }: { filters: Filters }) {
  const task = useTask();
  if (!may("ExportRecords")) return null;
  const download = (format: Format) =>
    void task.run(async () => {
      const query = { ...recordQuery(filters, Date.now()), format };
      const response = await api.fetch("ExportRecords", { query, timeout: 0 });
      save(await response.blob(), `decisions.${format}`);
      notify(`Saved: decisions.${format}`);
    });
  const { value: running } = task.running;
  return (
    <>
      <button type="button" disabled={running} onClick={() => download("ndjson")}>
        Export NDJSON
      </button>
      <button type="button" disabled={running} onClick={() => download("csv")}>
        Export CSV
      </button>
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
    </>
  );
}

/** Saves a file as the browser saves downloads. The link lives only for the click. */
function save(content: Blob, name: string): void {
  const address = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
