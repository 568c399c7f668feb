/** The filters of the list. They are in force as soon as they are changed. */
import { PERIODS } from "../../model/periods";
import { OUTCOMES, RISK_LEVELS } from "../../ui/outcome";
import { Choices } from "./choices";
import { type Filters, TEXT_FILTERS, type TextFilter, valuesOf, withFilter } from "./filters";

/** The text filters that are always shown; the rest is behind "More filters". */
const FIRST: readonly TextFilter[] = ["user_id", "agent_id", "model"];

export interface FilterBarProps {
  readonly filters: Filters;
  readonly onChange: (filters: Filters) => void;
}

export function FilterBar({ filters, onChange }: FilterBarProps) {
  const set = (name: keyof Filters, value: string) => onChange(withFilter(filters, name, value));
  const more = (Object.keys(TEXT_FILTERS) as TextFilter[]).filter((name) => !FIRST.includes(name));
  const hidden = more.filter((name) => filters[name] !== undefined).length;
  return (
    <search class="filters" aria-label="Filters of decisions">
      <div class="toolbar">
        <TimeFilter filters={filters} onChange={onChange} />
        <Choices
          label="Outcome"
          options={OUTCOMES}
          chosen={valuesOf(filters.outcome)}
          onChange={(chosen) => set("outcome", chosen.join(","))}
        />
        <Choices
          label="Risk"
          options={RISK_LEVELS}
          chosen={valuesOf(filters.risk_level)}
          onChange={(chosen) => set("risk_level", chosen.join(","))}
        />
        <label>
          Personal data
          <select
            value={filters.pii_detected ?? ""}
            onChange={(event) => set("pii_detected", event.currentTarget.value)}
          >
            <option value="">Any</option>
            <option value="true">Found</option>
            <option value="false">None</option>
          </select>
        </label>
        {FIRST.map((name) => (
          <TextField key={name} name={name} filters={filters} onChange={onChange} />
        ))}
        {Object.keys(filters).length > 0 && (
          <button type="button" onClick={() => onChange({})}>
            Clear filters
          </button>
        )}
      </div>
      <details open={hidden > 0}>
        <summary>More filters</summary>
        <div class="toolbar">
          {more.map((name) => (
            <TextField key={name} name={name} filters={filters} onChange={onChange} />
          ))}
        </div>
      </details>
    </search>
  );
}

function TextField({ name, filters, onChange }: FilterBarProps & { name: TextFilter }) {
  return (
    <label>
      {TEXT_FILTERS[name]}
      <input
        type="search"
        value={filters[name] ?? ""}
        maxLength={256}
        autocomplete="off"
        spellcheck={false}
        onChange={(event) => onChange(withFilter(filters, name, event.currentTarget.value.trim()))}
      />
    </label>
  );
}

/** A period that ends now, or a time from and to. */
function TimeFilter({ filters, onChange }: FilterBarProps) {
  const custom = filters.since !== undefined || filters.until !== undefined;
  const { range: _range, since: _since, until: _until, ...rest } = filters;
  const choose = (value: string) => {
    if (value === "custom") onChange({ ...rest, since: startOfDay() });
    else onChange(withFilter(rest, "range", value));
  };
  return (
    <>
      <label>
        Time
        <select
          value={custom ? "custom" : (filters.range ?? "")}
          onChange={(event) => choose(event.currentTarget.value)}
        >
          <option value="">Any time</option>
          {PERIODS.map((period) => (
            <option key={period.key} value={period.key}>
              Last {period.label}
            </option>
          ))}
          <option value="custom">From and to</option>
        </select>
      </label>
      {custom && <MomentField label="From" name="since" filters={filters} onChange={onChange} />}
      {custom && <MomentField label="To" name="until" filters={filters} onChange={onChange} />}
    </>
  );
}

function MomentField({
  label,
  name,
  filters,
  onChange,
}: FilterBarProps & { label: string; name: "since" | "until" }) {
  const change = (value: string) => {
    const { range: _range, ...rest } = filters;
    onChange(withFilter(rest, name, value === "" ? "" : new Date(value).toISOString()));
  };
  return (
    <label>
      {label}
      <input
        type="datetime-local"
        step="1"
        value={localTime(filters[name])}
        onChange={(event) => change(event.currentTarget.value)}
      />
    </label>
  );
}

function startOfDay(): string {
  const day = new Date();
  day.setHours(0, 0, 0, 0);
  return day.toISOString();
}

/** Returns a time as the field of the browser takes it: in its own zone, without the zone. */
function localTime(value: string | undefined): string {
  if (value === undefined) return "";
  const date = new Date(value);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
