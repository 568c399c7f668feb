/** The overview: what is decided now, and whether everything works. */
import { go, location } from "../../router";
import { identity, may } from "../../session";
import { age } from "../../ui/format";
import { now } from "../../ui/remote";
import { findPeriod, PERIODS } from "../decisions/periods";
import { Charts } from "./charts";
import { FirstSteps } from "./first_steps";
import { HealthCard } from "./health_card";
import { LimitsCard } from "./limits_card";
import { useSummary } from "./summary";
import { TopLists } from "./top_lists";
import { Totals } from "./totals";
import "./overview.css";

const DEFAULT = "1h";

export default function Overview() {
  const period = findPeriod(location.value.query.get("range")) ?? findPeriod(DEFAULT)!;
  const summary = useSummary(period);
  const updated = summary.updated.value;
  return (
    <>
      <div class="page-head">
        <h1>Overview</h1>
        <div class="toolbar overview-bar">
          {updated !== "" && (
            <span class="soft small" role="timer">
              Updated {age(updated, now.value)}
            </span>
          )}
          <label>
            Period
            <select
              value={period.key}
              onChange={(event) => go([], { range: event.currentTarget.value }, true)}
            >
              {PERIODS.map(({ key, label }) => (
                <option key={key} value={key}>
                  Last {label}
                </option>
              ))}
            </select>
          </label>
        </div>
      </div>
      <FirstSteps summary={summary} />
      {may("SummarizeRecords") && (
        <>
          <Totals summary={summary} period={period} />
          <Charts summary={summary} />
          <TopLists summary={summary} period={period} />
        </>
      )}
      <div class="cards overview-cards">
        {may("GetLimitUsage") && <LimitsCard />}
        {may("GetSiemHealth") && <HealthCard platform={identity.value?.platform === true} />}
      </div>
    </>
  );
}
