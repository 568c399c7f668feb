/** The overview: what is decided now, and whether everything works. */
import { findPeriod, HOUR, PERIODS } from "../../model/periods";
import { go, location } from "../../router";
import { identity, may } from "../../session";
import { Ago } from "../../ui/ago";
import { Charts } from "./charts";
import { FirstSteps, useNewness } from "./first_steps";
import { HealthCard } from "./health_card";
import { LimitsCard } from "./limits_card";
import { ProcessesCard } from "./processes_card";
import { useSummary } from "./summary";
import { TopLists } from "./top_lists";
import { Totals } from "./totals";
import "./overview.css";

export default function Overview() {
  const period = findPeriod(location.value.query.get("range")) ?? HOUR;
  const summary = useSummary(period);
  const isNew = useNewness(summary);
  const updated = summary.updated.value;
  return (
    <>
      <div class="page-head">
        <h1>Overview</h1>
        <div class="toolbar overview-bar">
          {updated !== "" && (
            <span class="soft small" role="timer">
              Updated <Ago time={updated} />
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
      {may("SummarizeRecords") &&
        (isNew ? (
          <FirstSteps />
        ) : (
          <>
            <Totals summary={summary} period={period} />
            <Charts summary={summary} />
          </>
        ))}
      <div class="overview-cards">
        {!isNew && <TopLists summary={summary} period={period} />}
        {may("GetLimitUsage") && <LimitsCard />}
        {may("ListProcesses") && <ProcessesCard />}
        {may("GetSiemHealth") && <HealthCard platform={identity.value?.platform === true} />}
      </div>
    </>
  );
}
