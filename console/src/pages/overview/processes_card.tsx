/** Every worker and replica: whether it serves, and whether its policies are the newest. */
import { BEAT_MS, isOld, type Process, type Processes, toneOf } from "../../model/processes";
import { api } from "../../session";
import { Ago } from "../../ui/ago";
import { Loaded } from "../../ui/feedback";
import { integer, words } from "../../ui/format";
import { Badge } from "../../ui/outcome";
import { useRemote } from "../../ui/remote";

export function ProcessesCard() {
  const processes = useRemote(
    "processes",
    (signal) => api.call("ListProcesses", { signal }),
    BEAT_MS,
  );
  return (
    <section class="panel">
      <h2>Workers and replicas</h2>
      <Loaded remote={processes}>{(value) => <ProcessTable value={value} />}</Loaded>
    </section>
  );
}

function ProcessTable({ value }: { value: Processes }) {
  if (value.processes.length === 0) {
    return (
      <p class="soft">No process has written a heartbeat yet. Each does so every 5 seconds.</p>
    );
  }
  const current = value.processes.filter((one) => !isOld(one)).length;
  return (
    <>
      <p>
        {current} of {value.processes.length} {current === 1 ? "serves" : "serve"} by fresh
        policies. The newest revision is {integer(value.revision)}.
      </p>
      <table class="plain-table processes">
        <thead>
          <tr>
            <th scope="col">Process</th>
            <th scope="col">State</th>
            <th scope="col" class="numeric">
              Revision
            </th>
          </tr>
        </thead>
        <tbody>
          {value.processes.map((process) => (
            <ProcessRow key={process.process_id} process={process} newest={value.revision} />
          ))}
        </tbody>
      </table>
    </>
  );
}

function ProcessRow({ process, newest }: { process: Process; newest: number }) {
  const behind = newest - process.revision;
  return (
    <tr>
      <th scope="row">
        {process.host} · worker {process.worker}
        <br />
        <span class="soft small">
          process {process.pid}, version {process.version}, started{" "}
          <Ago time={process.started_at} />
        </span>
      </th>
      <td>
        <Badge value={process.state} label={words(process.state)} tone={toneOf(process)} />
        <br />
        <span class="soft small">
          seen <Ago time={process.seen_at} />
        </span>
      </td>
      <td class="numeric">
        {integer(process.revision)}{" "}
        {behind > 0 && isOld(process) && (
          <Badge value={`${integer(behind)} behind`} tone="caution" />
        )}
        <br />
        <span class={isOld(process) ? "removed small" : "soft small"}>
          policies {seconds(process.policies_age_seconds)} old
        </span>
      </td>
    </tr>
  );
}

function seconds(value: number): string {
  return value < 120 ? `${value.toFixed(1)} s` : `${integer(Math.round(value / 60))} min`;
}
