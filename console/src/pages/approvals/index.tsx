/** Approvals: requests that wait for a second person. */
import { href, location } from "../../router";
import { Tabs } from "../../ui/tabs";
import { ApprovalPage } from "./approval_page";
import { History, Waiting } from "./lists";
import "./approvals.css";

export default function Page() {
  const { parts, query } = location.value;
  const id = parts[1];
  return (
    <div class="approvals">
      {id === undefined ? (
        <Lists history={query.get("show") === "history"} />
      ) : (
        <ApprovalPage key={id} id={id} />
      )}
    </div>
  );
}

function Lists({ history }: { history: boolean }) {
  return (
    <>
      <div class="page-head">
        <h1>Approvals</h1>
        <p class="soft">Requests that wait for the answer of a second person.</p>
      </div>
      <Tabs
        label="Approvals"
        tabs={[
          { name: "Waiting", address: href(["approvals"]), current: !history },
          {
            name: "History",
            address: href(["approvals"], { show: "history" }),
            current: history,
          },
        ]}
      />
      {history ? <History /> : <Waiting />}
    </>
  );
}
