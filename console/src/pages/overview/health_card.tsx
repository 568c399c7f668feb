/** The health of what takes records, events and alerts. */
import { Fragment } from "preact";
import { href } from "../../router";
import { api, may } from "../../session";
import { Loaded } from "../../ui/feedback";
import { integer } from "../../ui/format";
import { Badge } from "../../ui/outcome";
import { useRemote } from "../../ui/remote";
import { AlertHealth } from "./alert_health";
import { readMetrics } from "./metrics";

const EVERY_MS = 15_000;

/** @param platform whether the caller sees what all tenants share: queues and losses */
export function HealthCard({ platform }: { platform: boolean }) {
  return (
    <section class="panel">
      <h2>
        <a href={href(["operate", "siem"])}>SIEMs and alerts</a>
      </h2>
      <Connectors />
      {may("GetAlertHealth") && <AlertHealth />}
      {platform && <Deliveries />}
    </section>
  );
}

const TONES = { healthy: "low", degraded: "medium", error: "high" } as const;

function Connectors() {
  const health = useRemote(
    "siem health",
    async (signal) => ({
      counts: await api.call("GetSiemHealth", { signal }),
      connectors: may("ListSiemConnectors")
        ? (await api.call("ListSiemConnectors", { signal })).connectors
        : [],
    }),
    EVERY_MS,
  );
  return (
    <Loaded remote={health}>
      {({ counts, connectors }) =>
        counts.total === counts.not_configured ? (
          <p class="soft">
            No SIEM is configured. Settings of the server name them, for instance{" "}
            <code>SIEM_FILE_PATH</code>.
          </p>
        ) : (
          <>
            <p class="badges">
              {(["healthy", "degraded", "error"] as const)
                .filter((state) => counts[state] > 0)
                .map((state) => (
                  <Badge key={state} value={TONES[state]} label={`${counts[state]} ${state}`} />
                ))}
            </p>
            <ul class="plain-list">
              {connectors
                .filter(({ status }) => status === "degraded" || status === "error")
                .map(({ connector_id, display_name, status }) => (
                  <li key={connector_id}>
                    {display_name}: {status}
                  </li>
                ))}
            </ul>
          </>
        )
      }
    </Loaded>
  );
}

/** What should be zero, by the name of its metric. */
const LOSSES: readonly (readonly [metric: string, name: string])[] = [
  ["pdp_alerts_dropped_total", "Alerts dropped"],
  ["pdp_dead_letters", "Dead letters"],
  ["pdp_siem_dropped_total", "SIEM events dropped"],
  ["pdp_audit_dropped_total", "Decisions not recorded"],
  ["pdp_audit_unrecorded_total", "Decisions blocked, because they could not be recorded"],
  ["pdp_faults_total", "Errors during evaluation"],
];

function Deliveries() {
  const metrics = useRemote("metrics", readMetrics, EVERY_MS);
  return (
    <Loaded remote={metrics}>
      {(sums) => {
        const of = (name: string) => sums.get(name) ?? 0;
        const losses = LOSSES.filter(([name]) => of(name) > 0);
        return (
          <>
            <h3>All tenants</h3>
            <dl class="facts">
              <dt>Alerts that wait</dt>
              <dd>{integer(of("pdp_alerts_waiting"))}</dd>
              <dt>SIEM events that wait</dt>
              <dd>{integer(of("pdp_siem_waiting"))}</dd>
              {losses.map(([name, label]) => (
                <Fragment key={name}>
                  <dt>{label}</dt>
                  <dd>
                    <Badge value={integer(of(name))} tone="bad" />
                  </dd>
                </Fragment>
              ))}
              {losses.length === 0 && (
                <>
                  <dt>Lost</dt>
                  <dd>
                    <Badge value="Nothing" tone="good" />
                  </dd>
                </>
              )}
            </dl>
          </>
        );
      }}
    </Loaded>
  );
}
