/** Downloads of all records that match the filters. */
import { ApiError } from "../../api/errors";
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
      const content = await response.blob().catch(() => {
        throw new ApiError(0, "UNREACHABLE", "The server went away before the end of the export.");
      });
      await checkEnd(content);
      save(content, `decisions.${format}`);
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

/** How much of the end of an export is looked at: more than the longest error. */
const END_BYTES = 8_192;

/** Throws if the last line of an export says that the rest is missing. */
async function checkEnd(content: Blob): Promise<void> {
  const end = (await content.slice(-END_BYTES).text()).trimEnd();
  const last = end.slice(end.lastIndexOf("\n") + 1);
  if (!last.startsWith('{"error":')) return;
  throw new ApiError(503, "EXPORT_INCOMPLETE", `The export ended early. ${messageOf(last)}`);
}

function messageOf(line: string): string {
  try {
    return String((JSON.parse(line) as { error: { message: unknown } }).error.message);
  } catch {
    return "";
  }
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
