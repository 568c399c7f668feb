/** What was tried, with what was found in it marked in place. */
import { Editor } from "../../ui/editor";
import { Highlighted } from "../../ui/highlight";
import type { Inputs } from "./inputs";
import { JsonSource } from "./json_source";
import { jsonMarks, textSpans, type Place } from "./places";

export function Marked({ tried, places }: { tried: Inputs; places: readonly Place[] }) {
  const text = { prompt: tried.text, payload: tried.body, tool: tried.arguments }[tried.kind];
  if (text.trim() === "") return <p class="soft">There is no text in the request.</p>;
  const source = tried.kind === "prompt" ? undefined : JsonSource.of(text);
  if (source === undefined) return <Highlighted text={text} spans={textSpans(places)} />;
  return (
    <Editor
      label="What was tried, with the findings marked"
      language="json"
      readOnly
      value={text}
      marks={jsonMarks(source, places)}
    />
  );
}
