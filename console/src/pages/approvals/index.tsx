/** Approvals: requests that wait for a second person. */
import { href, location } from "../../router";
import { ApprovalPage } from "./approval_page";
import { History, Waiting } from "./lists";
import { Tabs } from "../../ui/tabs";
import "./approvals.css";

export default function Page() {
  const { parts, query } = location.value;
  const id = parts[1];
  if (id !== undefined) return <ApprovalPage key={id} id={id} />;
  const history = query.get("show") === "history";
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
