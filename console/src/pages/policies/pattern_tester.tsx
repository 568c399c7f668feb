/** Tries a pattern on sample texts while it is written: what it finds is marked in the samples. */
import { useSignal } from "@preact/signals";
import { useEffect, useId, useMemo } from "preact/hooks";
import type { ApiError } from "../../api/errors";
import type { Schemas } from "../../api/types";
import { api, may } from "../../session";
import { Editor, type Mark } from "../../ui/editor";
import { integer } from "../../ui/format";
import { asApiError } from "../../ui/remote";
import { linesOf, marksOf, type Range } from "./sample_marks";
import type { BesideProps } from "./types";

/** How long the user pauses before a pattern is tried, in milliseconds. */
const PAUSE_MS = 250;

/** What a trial says about each line, or why it could not be made. */
interface Trial {
  readonly ranges: readonly (readonly Range[])[];
  readonly problem: string;
  readonly warnings: readonly Schemas["WriteWarning"][];
}

type Try = (pattern: string, lines: readonly string[], signal: AbortSignal) => Promise<Trial>;

const tryStatic: Try = async (pattern, lines, signal) => {
  const body = { pattern, test_inputs: [...lines] };
  const answer = await api.call("TestStaticPattern", { body, signal });
  return {
    ranges: answer.results.map((result) => result.match_positions ?? []),
    problem: "",
    warnings: answer.warnings ?? [],
  };
};

function tryDlp(type: "regex" | "ner" | "gliner"): Try {
  return async (pattern, lines, signal) => {
    const answers = await Promise.all(
      lines.map((line) => {
        const body = { rule_type: type, pattern, sample_text: line };
        return api.call("TestDlpRule", { body, signal });
      }),
    );
    return {
      ranges: answers.map((answer) => answer.matches),
      problem: answers.find((answer) => (answer.error ?? "") !== "")?.error ?? "",
      warnings: answers[0]?.warnings ?? [],
    };
  };
}

const tryRegex = tryDlp("regex");
const tryEntities = tryDlp("ner");
const tryLabels = tryDlp("gliner");

/** Beside the form of a static policy. */
export function StaticPatternTester({ values }: BesideProps) {
  if (!may("TestStaticPattern") || values["system"] === true) return null;
  return <Tester pattern={String(values["pattern"] ?? "")} attempt={tryStatic} />;
}

/** Beside the form of a DLP rule. */
export function DlpPatternTester({ values }: BesideProps) {
  if (!may("TestDlpRule")) return null;
  const configuration = (values["config_json"] ?? {}) as Readonly<Record<string, unknown>>;
  const type = values["detector_type"];
  const entity = String(values["entity_type"] ?? "");
  const names = (value: unknown) => (Array.isArray(value) ? value.join(",") : entity);
  if (type === "ner")
    return <Tester pattern={names(configuration["entities"])} attempt={tryEntities} />;
  if (type === "llm")
    return <Tester pattern={names(configuration["labels"])} attempt={tryLabels} />;
  return <Tester pattern={String(configuration["pattern"] ?? "")} attempt={tryRegex} />;
}

const EXAMPLE = "Write or paste sample texts here, one a line.";

function Tester({ pattern, attempt }: { pattern: string; attempt: Try }) {
  const samples = useSignal("");
  const trial = useSignal<Trial | undefined>(undefined);
  const error = useSignal<ApiError | undefined>(undefined);
  const id = useId();
  const lines = useMemo(() => linesOf(samples.value), [samples.value]);

  useEffect(() => {
    trial.value = undefined;
    error.value = undefined;
    const texts = lines.map(({ text }) => text).filter((text) => text !== "");
    if (pattern === "" || texts.length === 0) return;
    const controller = new AbortController();
    const timer = window.setTimeout(() => {
      attempt(pattern, texts, controller.signal).then(
        (result) => {
          if (!controller.signal.aborted) trial.value = result;
        },
        (cause: unknown) => {
          if (!controller.signal.aborted) error.value = asApiError(cause);
        },
      );
    }, PAUSE_MS);
    return () => {
      window.clearTimeout(timer);
      controller.abort();
    };
  }, [pattern, lines, attempt]);

  const marks = useMemo<readonly Mark[]>(
    () => marksOf(lines, trial.value?.ranges ?? []),
    [lines, trial.value],
  );
  return (
    <section class="panel form-group tester" aria-labelledby={id}>
      <h2 id={id}>Try the pattern</h2>
      <p class="help">{EXAMPLE} What the pattern finds is marked. Nothing is stored.</p>
      <Editor
        label="Sample texts"
        language="text"
        lines={6}
        value={samples.value}
        marks={marks}
        onChange={(next) => (samples.value = next)}
      />
      <div role="status">
        <Verdict pattern={pattern} trial={trial.value} />
      </div>
      {error.value !== undefined && <pre class="problem">{problemOf(error.value)}</pre>}
      {(trial.value?.warnings ?? []).map((warning) => (
        <p class="notice caution" key={warning.code + warning.message}>
          {warning.message}
        </p>
      ))}
    </section>
  );
}

function problemOf(error: ApiError): string {
  return error.violations.map(({ reason }) => reason).join("\n") || error.message;
}

function Verdict({ pattern, trial }: { pattern: string; trial: Trial | undefined }) {
  if (pattern === "") return <p class="soft small">There is no pattern to try yet.</p>;
  if (trial === undefined) return null;
  if (trial.problem !== "") return <pre class="problem">{trial.problem}</pre>;
  const matched = trial.ranges.filter((ranges) => ranges.length > 0).length;
  const matches = trial.ranges.reduce((sum, ranges) => sum + ranges.length, 0);
  return (
    <p class={matched > 0 ? "verdict found" : "verdict"}>
      {integer(matched)} of {integer(trial.ranges.length)} lines match, {integer(matches)}{" "}
      {matches === 1 ? "place" : "places"}.
    </p>
  );
}
