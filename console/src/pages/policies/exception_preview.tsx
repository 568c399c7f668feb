/** What an exception does, in one sentence, while it is written; and ends that are often chosen. */
import { time } from "../../ui/format";
import { now } from "../../ui/remote";
import { forWhom, whatItLifts } from "./exception_words";
import type { BesideProps } from "./types";

const DAY_MS = 86_400_000;
const ENDS = [
  [1, "1 day"],
  [7, "7 days"],
  [30, "30 days"],
  [90, "90 days"],
] as const;

export function ExceptionPreview({ values, change }: BesideProps) {
  const lifted = whatItLifts(values);
  const until = values["valid_until"];
  const names = ["groups", "users", "agents", "customers", "everyone", "values", "value_patterns"];
  const hasSubject = names.some((name) => values[name] !== undefined);
  const end = (days: number) => {
    const moment = new Date(Date.now() + days * DAY_MS).toISOString();
    change({ ...values, valid_until: moment.replace(/\.\d+Z$/, "Z") });
  };
  return (
    <section class="panel form-group" aria-label="What the exception does">
      <h2>What it does</h2>
      <p role="status">
        {lifted === "" ? "Choose what it lifts." : `It lifts ${lifted}`}
        {lifted !== "" && (hasSubject ? ` for ${forWhom(values)}` : ". Choose for whom")}
        {lifted !== "" && hasSubject && typeof until === "string" && `, until ${time(until)}`}
        {lifted !== "" && "."}
      </p>
      <p class="soft small">
        A policy that is lifted still matches and is recorded; it no longer stops, warns or redacts.
      </p>
      <div class="row-buttons" role="group" aria-label="End it after">
        <span>End after</span>
        {ENDS.map(([days, label]) => (
          <button type="button" key={days} onClick={() => end(days)}>
            {label}
          </button>
        ))}
      </div>
      <p class="soft small">
        {typeof until === "string"
          ? Date.parse(until) <= now.value
            ? "The end has passed."
            : ""
          : "Most tenants require an end."}
      </p>
    </section>
  );
}
