/** Operate: what keeps the product running, each part in a tab of its own. */
import type { ComponentChildren } from "preact";
import type { Operation } from "../../api/types";
import { href, location } from "../../router";
import { may } from "../../session";
import { Tabs } from "../../ui/tabs";
import { Alerts } from "./alerts";
import { AuditLog } from "./audit_log";
import { Backup } from "./backup";
import { DeadLetters } from "./dead_letters";
import { KeyPage } from "./key_page";
import { Keys } from "./keys";
import { ModelPage } from "./model_page";
import { Models } from "./models";
import { Processes } from "./processes";
import { Siem } from "./siem";
import "./operate.css";

interface Part {
  readonly path: string;
  readonly name: string;
  /** What the caller must be able to call, at least. */
  readonly needs: Operation;
  readonly view: (id: string | undefined) => ComponentChildren;
}

const PARTS: readonly Part[] = [
  {
    path: "keys",
    name: "API keys",
    needs: "ListApiKeys",
    view: (id) => (id === undefined ? <Keys /> : <KeyPage key={id} id={id} />),
  },
  { path: "siem", name: "SIEM", needs: "ListSiemConnectors", view: () => <Siem /> },
  { path: "alerts", name: "Alerts", needs: "GetOrgPolicy", view: () => <Alerts /> },
  {
    path: "dead-letters",
    name: "Dead letters",
    needs: "ListDeadLetters",
    view: () => <DeadLetters />,
  },
  { path: "audit", name: "Audit log", needs: "VerifyRecords", view: () => <AuditLog /> },
  { path: "processes", name: "Processes", needs: "ListProcesses", view: () => <Processes /> },
  {
    path: "models",
    name: "Models",
    needs: "ListModelConfigs",
    view: (id) => (id === undefined ? <Models /> : <ModelPage key={id} id={id} />),
  },
  { path: "backup", name: "Backup", needs: "GetSiemHealth", view: () => <Backup /> },
];

export default function Page() {
  const [, path, id] = location.value.parts;
  const offered = PARTS.filter((part) => may(part.needs));
  const current = offered.find((part) => part.path === path) ?? offered[0];
  return (
    <div class="operate">
      <div class="page-head">
        <h1>Operate</h1>
      </div>
      <Tabs
        label="Parts of Operate"
        tabs={offered.map((part) => ({
          name: part.name,
          address: href(["operate", part.path]),
          current: part === current,
        }))}
      />
      {current?.view(id)}
    </div>
  );
}
