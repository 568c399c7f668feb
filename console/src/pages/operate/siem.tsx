/** SIEM connectors: whether events arrive, and a test of each. */
import { useSignal } from "@preact/signals";
import type { AnswerOf, Schemas } from "../../api/types";
import { api, may } from "../../session";
import { ErrorBox, Loaded } from "../../ui/feedback";
import { words } from "../../ui/format";
import { Badge, type Tone } from "../../ui/outcome";
import { useRemote, useTask } from "../../ui/remote";

type Connector = Schemas["SiemConnector"];
type TestResult = AnswerOf<"TestSiemConnector">;

const EVERY_MS = 5_000;

const TONES: Readonly<Record<string, Tone>> = {
  healthy: "good",
  degraded: "caution",
  error: "bad",
};

export function Siem() {
  const remote = useRemote(
    "siem",
    (signal) => api.call("ListSiemConnectors", { signal }),
    EVERY_MS,
  );
  return (
    <Loaded remote={remote}>{({ connectors }) => <Connectors connectors={connectors} />}</Loaded>
  );
}

function Connectors({ connectors }: { connectors: readonly Connector[] }) {
  const configured = connectors.filter(({ status }) => status !== "not_configured");
  const others = connectors.filter(({ status }) => status === "not_configured");
  return (
    <>
      {configured.length === 0 && (
        <div class="empty">
          <p>
            <strong>No SIEM gets events.</strong>
          </p>
          <p>Set the environment variables of a connector below, and restart the server.</p>
        </div>
      )}
      <div class="cards">
        {configured.map((connector) => (
          <ConnectorCard key={connector.connector_id} connector={connector} />
        ))}
      </div>
      {others.length > 0 && (
        <>
          <h2>Not configured</h2>
          <div class="cards">
            {others.map((connector) => (
              <ConnectorCard key={connector.connector_id} connector={connector} />
            ))}
          </div>
        </>
      )}
    </>
  );
}

function ConnectorCard({ connector }: { connector: Connector }) {
  const { connector_id, display_name, status, config_summary } = connector;
  const result = useSignal<TestResult | undefined>(undefined);
  const task = useTask();
  const test = () =>
    task.run(async () => {
      result.value = undefined;
      result.value = await api.call("TestSiemConnector", { path: { connector_id } });
    });
  const configured = status !== "not_configured";
  return (
    <section class="panel connector" aria-label={display_name}>
      <header>
        <h3>{display_name}</h3>
        <Badge value={status} label={words(status)} tone={TONES[status] ?? "quiet"} />
      </header>
      {configured && (
        <dl class="facts">
          {Object.entries(config_summary)
            .filter(([, value]) => value !== "" && value !== null)
            .map(([name, value]) => (
              <SettingRow key={name} name={name} value={value} />
            ))}
        </dl>
      )}
      {may("TestSiemConnector") && (
        <button type="button" disabled={task.running.value} onClick={() => void test()}>
          {task.running.value ? "Sending…" : configured ? "Send a test event" : "What is missing?"}
        </button>
      )}
      {result.value !== undefined && (
        <TestOutcome success={result.value.success} error={result.value.error} />
      )}
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
    </section>
  );
}

function SettingRow({ name, value }: { name: string; value: unknown }) {
  return (
    <>
      <dt>{words(name)}</dt>
      <dd>{typeof value === "string" ? value : JSON.stringify(value)}</dd>
    </>
  );
}

/** The result of a test delivery. A delivery that failed is no error of the call. */
export function TestOutcome({ success, error }: { success: boolean; error: string | null }) {
  return (
    <p class={`test-result ${success ? "added" : "removed"}`} role="status">
      {success ? "The test was accepted." : (error ?? "The test was not accepted.")}
    </p>
  );
}
