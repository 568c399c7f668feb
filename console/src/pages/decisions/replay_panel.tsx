import type { DecisionRecord } from "./rows";

export function ReplayPanel(_props: { record: DecisionRecord }) {
  return null;
}
