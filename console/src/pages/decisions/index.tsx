/** Decisions: the list, and a page for each. */
import { location } from "../../router";
import { ListPage } from "./list_page";
import { RecordPage } from "./record_page";
import "./decisions.css";

export default function Decisions() {
  const id = location.value.parts[1];
  return id === undefined ? <ListPage /> : <RecordPage key={id} id={id} />;
}
